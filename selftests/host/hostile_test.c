// SPDX-License-Identifier: GPL-2.0
/*
 * Attacks on the host by a user who has access to /dev/vmx and no other
 * privilege. Each test checks at its end that the host's MSRs are unchanged
 * on every CPU and that a guest runs.
 *
 * needs: cpus=2
 * limit: 20G
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <x86intrin.h>

#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");
GUEST64(busy_guest, "1: inc %rax\n mov %rax, 0x20000\n cpuid\n jmp 1b");

/* Host MSRs that a guest could have left its values in. */
static const uint32_t host_msrs[] = {
	0x174, 0x175, 0x176,				/* SYSENTER */
	0x1a0,						/* MISC_ENABLE */
	0x1d9,						/* DEBUGCTL */
	0x277,						/* PAT */
	0xda0,						/* XSS */
	0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,	/* EFER, SYSCALL */
	0xc0000101, 0xc0000103,				/* GS base, TSC_AUX */
};

#define CPUS 2

struct host {
	uint64_t msr[CPUS][TEST_COUNT(host_msrs)];
	bool known;
};

static void read_host(struct host *host)
{
	memset(host, 0, sizeof(*host));
	for (int cpu = 0; cpu < CPUS; cpu++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		host->known = true;
		for (size_t n = 0; n < TEST_COUNT(host_msrs); n++)
			if (pread(fd, &host->msr[cpu][n], 8, host_msrs[n]) != 8)
				host->msr[cpu][n] = 0;
		close(fd);
	}
}

FIXTURE(hostile) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
	struct host before;
};

FIXTURE_SETUP(hostile)
{
	read_host(&self->before);
	ASSERT_TRUE(self->before.known) { TH_LOG("no /dev/cpu/*/msr"); }
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
}

FIXTURE_TEARDOWN(hostile)
{
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;
	struct host after;

	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	read_host(&after);
	for (int cpu = 0; cpu < CPUS; cpu++) {
		for (size_t n = 0; n < TEST_COUNT(host_msrs); n++) {
			EXPECT_EQ(self->before.msr[cpu][n], after.msr[cpu][n]) {
				TH_LOG("host MSR %#x of CPU %d", host_msrs[n], cpu);
			}
		}
	}
	ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&vcpu, VMX_REASON_HLT);
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

/* Runs whatever the VMCS holds, for a while at most. Documented results only. */
static bool try_run(struct vmx_vcpu *vcpu)
{
	int ret;

	vcpu->run->deadline = __rdtsc() + 20000;
	ret = vmx_run(vcpu);
	vcpu->run->retire = 0;
	vcpu->run->dirty = 0;
	vcpu->run->inject_info = 0;
	return !ret || ret == -EINTR || ret == -EINVAL || ret == -EFAULT;
}

/* A failed entry explains itself. */
static bool explained(const struct vmx_run_page *run)
{
	return !vmx_entry_failed(run) || run->failure.check != VMX_CHECK_NONE;
}

TEST_F(hostile, fields_of_the_host)
{
	static const uint32_t fields[] = {
		VMX_F_HOST_CR0, VMX_F_HOST_CR3, VMX_F_HOST_CR4, VMX_F_HOST_RIP, VMX_F_HOST_RSP,
		VMX_F_HOST_CS_SELECTOR, VMX_F_HOST_TR_SELECTOR, VMX_F_HOST_GDTR_BASE,
		VMX_F_HOST_IDTR_BASE, VMX_F_HOST_GS_BASE, VMX_F_HOST_SYSENTER_EIP,
		VMX_F_HOST_PAT, VMX_F_HOST_EFER,
		VMX_F_EPT_POINTER, VMX_F_IO_BITMAP_A, VMX_F_IO_BITMAP_B, VMX_F_MSR_BITMAP,
		VMX_F_EXIT_MSR_STORE_ADDR, VMX_F_EXIT_MSR_LOAD_ADDR, VMX_F_ENTRY_MSR_LOAD_ADDR,
		VMX_F_EXIT_MSR_STORE_COUNT, VMX_F_EXIT_MSR_LOAD_COUNT, VMX_F_ENTRY_MSR_LOAD_COUNT,
		VMX_F_VMCS_LINK_POINTER, VMX_F_VIRTUAL_APIC_ADDR, VMX_F_APIC_ACCESS_ADDR,
		VMX_F_POSTED_INTERRUPT_DESC_ADDR, VMX_F_PML_ADDR, VMX_F_EPTP_LIST_ADDR,
		VMX_F_VMREAD_BITMAP, VMX_F_VMWRITE_BITMAP, VMX_F_VE_INFO_ADDR, VMX_F_VPID,
		VMX_F_PREEMPTION_TIMER, VMX_F_EXECUTIVE_VMCS_POINTER,
	};
	uint64_t value;

	for (size_t n = 0; n < TEST_COUNT(fields); n++) {
		EXPECT_EQ(-EACCES, vmx_field_set(self->vcpu.vmcs, fields[n], 0)) {
			TH_LOG("field %#x", fields[n]);
		}
		/* Reading would tell where the kernel is. */
		EXPECT_EQ(-EACCES, vmx_field_get(self->vcpu.vmcs, fields[n], &value)) {
			TH_LOG("field %#x", fields[n]);
		}
	}
}

/* Every control bit in turn: refused, or harmless. */
TEST_F(hostile, control_bits)
{
	static const uint32_t fields[] = {
		VMX_F_PIN_CONTROLS, VMX_F_CPU_CONTROLS, VMX_F_CPU2_CONTROLS, VMX_F_EXIT_CONTROLS,
		VMX_F_ENTRY_CONTROLS,
	};

	for (size_t n = 0; n < TEST_COUNT(fields); n++) {
		for (int bit = 0; bit < 32; bit++) {
			ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, busy_guest));
			ASSERT_VMX(test_enable_interrupts(&self->vcpu));
			if (vmx_field_change(self->vcpu.vmcs, fields[n], 0, 1u << bit) &&
			    vmx_field_change(self->vcpu.vmcs, fields[n], 1u << bit, 0))
				continue;
			EXPECT_TRUE(try_run(&self->vcpu)) {
				TH_LOG("field %#x bit %d: %s", fields[n], bit, vmx_error());
			}
			EXPECT_TRUE(explained(self->run)) {
				TH_LOG("field %#x bit %d: %s", fields[n], bit,
				       test_describe(&self->vcpu));
			}
			/* What the bit did is undone by hand: modes leave other bits alone. */
			vmx_field_set(self->vcpu.vmcs, fields[n], 0);
		}
	}
}

TEST_F(hostile, activity_states)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, busy_guest));
	EXPECT_EQ(-EACCES, vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_ACTIVITY,
					 VMX_ACTIVITY_SHUTDOWN));
	EXPECT_EQ(-EACCES, vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_ACTIVITY,
					 VMX_ACTIVITY_WAIT_FOR_SIPI));
	for (uint32_t state = 2; state < 8; state++) {
		self->run->activity = state;
		self->run->dirty = VMX_STATE_ACTIVITY;
		EXPECT_EQ(-EINVAL, vmx_run(&self->vcpu));
	}
	self->run->dirty = 0;
}

TEST_F(hostile, debugctl)
{
	for (int bit = 0; bit < 64; bit++) {
		if (bit == 1)
			continue;
		EXPECT_EQ(-EACCES,
			  vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DEBUGCTL, 1ull << bit)) {
			TH_LOG("bit %d", bit);
		}
	}
}

/* The masks keep what the host needs, whoever clears them. */
TEST_F(hostile, masks)
{
	const uint64_t cr0_host = 1ull << 29 | 1ull << 30;		/* NW, CD */
	const uint64_t cr4_host = 1ull << 6 | 1ull << 13;		/* MCE, VMXE */
	uint64_t value;

	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_CR0_MASK, 0));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_CR4_MASK, 0));
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_CR0_MASK, &value));
	EXPECT_EQ(cr0_host, value & cr0_host);
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_CR4_MASK, &value));
	EXPECT_EQ(cr4_host, value & cr4_host);
	/* Protection keys, CET and their like, which the module does not switch. */
	EXPECT_EQ(1ull << 22 | 1ull << 23 | 1ull << 24, value & (7ull << 22));
}

/* Guest code that reaches for the host's CR0, CR4 and CR8 only exits. */
TEST_F(hostile, control_registers_from_inside)
{
	GUEST64(cr_guest,
		"mov %cr0, %rax\n bts $30, %rax\n mov %rax, %cr0\n"
		"mov %cr0, %rax\n bts $29, %rax\n bts $30, %rax\n mov %rax, %cr0\n"
		"mov %cr4, %rax\n bts $6, %rax\n mov %rax, %cr4\n"
		"mov %cr4, %rax\n bts $22, %rax\n mov %rax, %cr4\n"
		"mov $15, %eax\n mov %rax, %cr8\n"
		"hlt");
	unsigned int accesses = 0;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cr_guest));
	for (;;) {
		ASSERT_VMX(vmx_run(&self->vcpu));
		if (self->run->reason != VMX_REASON_CR_ACCESS)
			break;
		accesses++;
		self->run->retire = 1;
	}
	EXPECT_EQ((uint32_t)VMX_REASON_HLT, self->run->reason);
	/* CR4.MCE may be 1 already: setting it is no change then. */
	EXPECT_LE(4, accesses);
}

/* Of all MSRs only those that the module switches can be passed through. */
TEST_F(hostile, msr_passthrough_is_an_allowlist)
{
	static const uint32_t allowed[] = {
		0x174, 0x175, 0x176, 0x277, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
		0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
	};
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0, 0x2000 }, { 0xc0000000, 0xc0002000 }, { 0x40000000, 0x40000200 },
		{ 0xc0010000, 0xc0010200 },
	};

	for (size_t r = 0; r < TEST_COUNT(ranges); r++) {
		for (uint32_t index = ranges[r].first; index < ranges[r].last; index++) {
			struct vmx_msr msr = { .index = index, .policy = VMX_MSR_PASSTHROUGH };
			int ret = test_set_msrs(&self->vcpu, &msr, 1, NULL);
			bool listed = false;

			for (size_t n = 0; n < TEST_COUNT(allowed); n++)
				listed |= allowed[n] == index;
			if (!ret) {
				EXPECT_TRUE(listed) { TH_LOG("MSR %#x", index); }
			} else {
				EXPECT_EQ(-EACCES, ret) { TH_LOG("MSR %#x", index); }
			}
		}
	}
}

/* With no policy, none of them is in the guest's reach. */
TEST_F(hostile, every_msr_exits)
{
	GUEST64(sweep_guest, "1: rdmsr\n wrmsr\n inc %ecx\n cmp %r8d, %ecx\n jne 1b\n hlt");
	static const uint32_t first[] = { 0, 0xc0000000 };

	for (int n = 0; n < 2; n++) {
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, sweep_guest));
		self->run->regs[VMX_RCX] = first[n];
		self->run->regs[VMX_R8] = first[n] + 0x2000;
		for (uint32_t index = 0; index < 0x2000; index++) {
			ASSERT_EXIT(&self->vcpu, VMX_REASON_RDMSR);
			ASSERT_EQ(first[n] + index, self->run->regs[VMX_RCX]);
			ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_WRMSR);
			self->run->retire = 1;
		}
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	}
}

TEST_F(hostile, every_port_exits)
{
	GUEST64(ports_guest, "1: out %al, %dx\n inc %edx\n cmp $0x10000, %edx\n jne 1b\n hlt");

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, ports_guest));
	for (uint32_t port = 0; port < 0x10000; port++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_IO);
		ASSERT_EQ(port, self->run->io_port);
		self->run->retire = 1;
	}
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/*
 * Fields whose random values Bochs does not survive (its check of the CPU's mode
 * panics), judges by other rules than the SDM's (the RPL of CS), or lets keep the
 * host's interrupts out (RFLAGS).
 */
static bool spared(const struct vmx_vcpu *vcpu, uint32_t field)
{
	if (test_keeps_interrupts_out(vcpu, field))
		return true;
	return test_on_bochs() &&
	       (field == VMX_F_ENTRY_CONTROLS || field == VMX_F_GUEST_EFER ||
		field == VMX_F_GUEST_CR0 || field == VMX_F_GUEST_CS_SELECTOR ||
		field == VMX_F_GUEST_SS_SELECTOR);
}

/*
 * Random values in random fields of a VMCS that would run: entries fail and
 * say why, guests crash, and nothing else happens.
 */
TEST_F(hostile, random_fields)
{
	static struct vmx_field_info infos[300];
	struct vmx_vmcs_dump dump = {
		.size = sizeof(dump), .fields = (uintptr_t)infos, .count = TEST_COUNT(infos),
	};
	uint64_t seed = test_seed();
	unsigned int failed = 0, unexplained = 0;
	char story[512];

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, busy_guest));
	ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_DUMP, &dump));
	for (int round = 0; round < 2000; round++) {
		int changes = 1 + test_random(&seed) % 4, length = 0;

		story[0] = 0;
		if (round % 100 == 0) {
			vmx_vcpu_close(&self->vcpu);
			ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
			self->run = self->vcpu.run;
		}
		ASSERT_VMX(test_start(&self->vcpu, test_random(&seed) % 2 ? VMX_MODE_LONG :
				      VMX_MODE_PAE, busy_guest));
		ASSERT_VMX(test_enable_interrupts(&self->vcpu));
		while (changes--) {
			const struct vmx_field_info *info = &infos[test_random(&seed) % dump.count];
			uint64_t value = test_random(&seed) & info->may;

			if (spared(&self->vcpu, info->field))
				continue;
			/* One bit flipped says more than noise. */
			if (test_random(&seed) % 2)
				value = info->value ^ (value & -value);
			if (!vmx_field_set(self->vcpu.vmcs, info->field, value))
				length += snprintf(story + length, sizeof(story) - length,
						   " %#x=%#llx", info->field,
						   (unsigned long long)value);
		}
		ASSERT_TRUE(try_run(&self->vcpu)) { TH_LOG("round %d: %s", round, vmx_error()); }
		failed += vmx_entry_failed(self->run);
		if (!explained(self->run) && unexplained++ < 10)
			TH_LOG("round %d unexplained:%s: %s", round, story,
			       test_describe(&self->vcpu));
	}
	EXPECT_LT(0, failed);
	EXPECT_EQ(0, unexplained);
}

static volatile bool stop;

/* Writes garbage over the run page while it is in use. */
static void *scribble(void *arg)
{
	uint64_t seed = 1, *words = arg;

	while (!stop) {
		size_t n = test_random(&seed) % (sizeof(struct vmx_run_page) / 8);

		words[n] = test_random(&seed) & test_random(&seed);
	}
	return NULL;
}

TEST_F(hostile, run_page_changes_under_the_kernel)
{
	pthread_t thread;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, busy_guest));
	ASSERT_VMX(test_enable_interrupts(&self->vcpu));
	stop = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, self->run));
	for (int round = 0; round < 3000; round++) {
		if (round % 50 == 0) {
			ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, busy_guest));
			ASSERT_VMX(test_enable_interrupts(&self->vcpu));
		}
		/* Ends a run that the scribbler gave no deadline. */
		ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_KICK));
		ASSERT_TRUE(try_run(&self->vcpu)) { TH_LOG("round %d: %s", round, vmx_error()); }
	}
	stop = true;
	pthread_join(thread, NULL);
	memset(self->run, 0, sizeof(*self->run));
}

static void *use_everything(void *arg)
{
	struct vmx_vcpu *vcpu = arg;
	uint64_t seed = (uintptr_t)&seed;
	struct vmx_field field = { .field = VMX_F_GUEST_RIP, .value = TEST_CODE };
	struct vmx_vmcs_clear clear = { .size = sizeof(clear) };
	struct vmx_vm_stats stats;

	for (int n = 0; n < 1000; n++) {
		switch (test_random(&seed) % 8) {
		case 0:
			vmx_fields_set(vcpu->vmcs, &field, 1);
			break;
		case 1:
			ioctl(vcpu->vmcs, VMX_VMCS_CLEAR, &clear);
			break;
		case 2:
			test_set_cpuid(vcpu, NULL, 0);
			break;
		case 3:
			test_set_msrs(vcpu, NULL, 0, NULL);
			break;
		case 4:
			vmx_vm_stats(vcpu->vm, &stats);
			break;
		case 5:
			ioctl(vcpu->fd, VMX_KICK);
			break;
		default:
			vcpu->run->deadline = __rdtsc() + 5000;
			vmx_run(vcpu);
			break;
		}
	}
	return NULL;
}

/* All ioctls of one vCPU from four threads at once. */
TEST_F(hostile, everyone_at_once)
{
	pthread_t threads[4];

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, busy_guest));
	ASSERT_VMX(test_enable_interrupts(&self->vcpu));
	for (size_t n = 0; n < TEST_COUNT(threads); n++) {
		ASSERT_EQ(0, pthread_create(&threads[n], NULL, use_everything, &self->vcpu));
	}
	for (size_t n = 0; n < TEST_COUNT(threads); n++)
		pthread_join(threads[n], NULL);
}

VMX_TEST_MAIN
