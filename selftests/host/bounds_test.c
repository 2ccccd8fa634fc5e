// SPDX-License-Identifier: GPL-2.0
/*
 * What a program makes the host do takes no longer than a bound, however much of it the program
 * asks for: the host gets its CPU back in time for its interrupts and for other threads.
 *
 * The bounds are counted on the lab kernel. Those of distributions charge, clear and free memory
 * in larger lots, within the same calls, and the ledgers cannot tell whose instructions they are.
 *
 * needs: cpus=2
 * needs: kernel=fast
 * needs: ledgers
 * limit: 20G
 */
#include <limits.h>
#include <linux/membarrier.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/bounds.h"
#include "lib/mmu_guest.h"

/* A piece of memory that is mapped again and again, so that a large map needs little of it. */
#define PIECE	LARGE
#define PIECES	64ul
#define LENGTH	(PIECES * PIECE)

/*
 * Goes by VMFUNC if RDI is not 0, and writes at RBX, every RSI bytes, R11 times; RCX times that, a
 * page further each time.
 */
GUEST64(writer,
	"mov	%ecx, %r8d\n"
	"test	%edi, %edi\n"
	"jz	1f\n"
	"xor	%eax, %eax\n"
	"mov	%edi, %ecx\n"
	"vmfunc\n"
	"1: mov	%rbx, %r10\n"
	"mov	%r11d, %r9d\n"
	"2: mov	%rsi, (%r10)\n"
	"add	%rsi, %r10\n"
	"dec	%r9d\n"
	"jnz	2b\n"
	"add	$0x1000, %rbx\n"
	"dec	%r8d\n"
	"jnz	1b\n"
	"vmcall");

/* CPUID with EAX and ECX, then RDMSR of RBX. */
GUEST64(asker,
	"cpuid\n"
	"mov	$0x7000007f, %ecx\n"
	"rdmsr\n"
	"vmcall");

FIXTURE(vm_bounds) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	char *piece;
};

EVERY_MMU_OF(vm_bounds);

typedef FIXTURE_DATA(vm_bounds) fixture;

/* PIECES times the same memory from AREA on. */
static int map_pieces(int mmu, char *piece)
{
	int ret = 0;

	for (uint64_t n = 0; !ret && n < PIECES; n++)
		ret = mmu_map(mmu, AREA + n * PIECE, piece, PIECE, RWX);
	return ret;
}

FIXTURE_SETUP(vm_bounds)
{
	struct rlimit files;

	NEED(variant->needs);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &files));
	files.rlim_cur = files.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	self->piece = new_memory(2 * PIECE);
	ASSERT_NE(MAP_FAILED, self->piece);
	self->piece = (void *)(((uintptr_t)self->piece + PIECE - 1) & ~(PIECE - 1));
	ASSERT_EQ(0, madvise(self->piece, PIECE, MADV_NOHUGEPAGE));
	memset(self->piece, 1, PIECE);
}

FIXTURE_TEARDOWN(vm_bounds)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

#define POPULATE()							\
	ASSERT_EQ(LENGTH, mmu_populate(self->vm.mmu, AREA, LENGTH, RW))

TEST_F(vm_bounds, large_maps)
{
	static uint64_t bitmap[LENGTH / PAGE / 64];
	struct vmx_mmu_range all = { .size = sizeof(all), .gpa = AREA, .length = LENGTH };

	ASSERT_EQ(0, map_pieces(self->vm.mmu, self->piece));
	WITHIN_BOUNDS("POPULATE", POPULATE());
	WITHIN_BOUNDS("LOG", ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_WRITE_PROTECT)));
	POPULATE();
	WITHIN_BOUNDS("DIRTY", ASSERT_LE(0, mmu_dirty(self->vm.mmu, AREA, LENGTH, bitmap)));
	WITHIN_BOUNDS("LOG off", ASSERT_EQ(0, mmu_log(self->vm.mmu, VMX_DIRTY_OFF)));
	POPULATE();
	WITHIN_BOUNDS("INVALIDATE", ASSERT_EQ(0, ioctl(self->vm.mmu, VMX_MMU_INVALIDATE, &all)));
	WITHIN_BOUNDS("PROTECT", ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH,
							  VMX_MMU_READ)));
	ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, LENGTH, RWX));
	POPULATE();
	WITHIN_BOUNDS("notifier", ASSERT_EQ(0, madvise(self->piece, PIECE, MADV_DONTNEED)));
	POPULATE();
	WITHIN_BOUNDS("UNMAP", ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, LENGTH)));
	ASSERT_EQ(0, map_pieces(self->vm.mmu, self->piece));
	POPULATE();
	vmx_vcpu_close(&self->vcpu);
	WITHIN_BOUNDS("close", vmx_vm_close(&self->vm));
	self->vcpu.fd = -1;
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
}

/* The CPU tells of each page that was written by a bit of its own, so all are looked at. */
TEST(dirty_bits)
{
	static uint64_t bitmap[LENGTH / PAGE / 64];
	char *piece = new_memory(PIECE);
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	NEED(VMX_HAS_EPT_AD);
	ASSERT_NE(MAP_FAILED, piece);
	ASSERT_VMX(vmx_vm_open_mmu(&vm, TEST_RAM, VMX_MMU_EPT));
	ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
	ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, writer));
	ASSERT_EQ(0, map_pieces(vm.mmu, piece));
	WITHIN_BOUNDS("LOG", ASSERT_EQ(0, mmu_log(vm.mmu, VMX_DIRTY_BITS)));
	vcpu.run->regs[VMX_RBX] = AREA;
	vcpu.run->regs[VMX_RSI] = PAGE;
	vcpu.run->regs[VMX_R11] = LENGTH / PAGE;
	vcpu.run->regs[VMX_RCX] = 1;
	vcpu.run->regs[VMX_RDI] = 0;
	WITHIN_BOUNDS("faults", ASSERT_EXIT(&vcpu, VMX_REASON_VMCALL));
	WITHIN_BOUNDS("DIRTY", ASSERT_EQ((long)(LENGTH / PAGE),
					 mmu_dirty(vm.mmu, AREA, LENGTH, bitmap)));
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
}

/* As many ranges as there can be, all of the same page. */
TEST_F(vm_bounds, ranges_of_a_page)
{
	const uint64_t most = mmu_stats(self->vm.mmu).ranges;
	uint64_t count = 0;

	while (!mmu_map(self->vm.mmu, AREA + count * PAGE, self->piece, PAGE, RW))
		count++;
	ASSERT_EQ(ENOSPC, errno);
	EXPECT_LT(most, count);
	ASSERT_EQ(count * PAGE, mmu_populate(self->vm.mmu, AREA, count * PAGE, RW));
	WITHIN_BOUNDS("notifier", ASSERT_EQ(0, madvise(self->piece, PAGE, MADV_DONTNEED)));
	ASSERT_EQ(count * PAGE, mmu_populate(self->vm.mmu, AREA, count * PAGE, RW));
	WITHIN_BOUNDS("PROTECT", ASSERT_EQ(0, mmu_protect(self->vm.mmu, AREA, count * PAGE,
							  VMX_MMU_READ)));
	WITHIN_BOUNDS("UNMAP", ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, count * PAGE)));
}

/* Each of many vCPUs has run, so its VMCS is active. */
#define VCPUS	400
#define CPU1	"/sys/devices/system/cpu/cpu1"
TEST_F(vm_bounds, many_vcpus)
{
	static struct vmx_vcpu vcpus[VCPUS];
	struct vmx_vm_stats stats = { .size = sizeof(stats) };

	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->piece, PIECE, RW));
	ASSERT_EQ(0, test_pin(1));
	for (int n = 0; n < VCPUS; n++) {
		ASSERT_VMX(vmx_vcpu_open(&vcpus[n], &self->vm));
		ASSERT_VMX(test_start(&vcpus[n], VMX_MODE_LONG, access_guest));
		ASSERT_EQ(ACCESS_DONE, guest_write(&vcpus[n], AREA, n));
	}
	WITHIN_BOUNDS("VM_STATS", ASSERT_EQ(0, ioctl(self->vm.fd, VMX_VM_STATS, &stats)));
	WITHIN_BOUNDS("UNMAP", ASSERT_EQ(0, mmu_unmap(self->vm.mmu, AREA, PIECE)));
	ASSERT_EQ(0, test_pin(0));
	WITHIN_BOUNDS("a CPU goes offline", test_write_file(CPU1 "/online", "0"));
	test_write_file(CPU1 "/online", "1");
	/* It comes with interrupts off for long, and others wait for it. */
	sleep(1);
	WITHIN_BOUNDS("close", {
		for (int n = 0; n < VCPUS; n++)
			vmx_vcpu_close(&vcpus[n]);
	});
}

TEST_F(vm_bounds, vmcs)
{
	static struct vmx_field fields[VMX_VMCS_BATCH_MAX];
	static struct vmx_field_info infos[300];
	struct vmx_vmcs_io io = {
		.size = sizeof(io), .fields = (uintptr_t)fields, .count = VMX_VMCS_BATCH_MAX,
	};
	struct vmx_vmcs_dump dump = {
		.size = sizeof(dump), .fields = (uintptr_t)infos, .count = TEST_COUNT(infos),
	};
	struct vmx_vmcs_check check = { .size = sizeof(check) };

	for (size_t n = 0; n < TEST_COUNT(fields); n++)
		fields[n].field = VMX_F_CPU2_CONTROLS;
	WITHIN_BOUNDS("VMCS_READ", ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_READ, &io)));
	WITHIN_BOUNDS("VMCS_WRITE", ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_WRITE, &io)));
	WITHIN_BOUNDS("VMCS_DUMP", ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_DUMP, &dump)));
	WITHIN_BOUNDS("VMCS_CHECK", ASSERT_EQ(0, ioctl(self->vcpu.vmcs, VMX_VMCS_CHECK, &check)));
	/* Of the last things that the CPU looks at. */
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_PENDING_DEBUG, 1 << 4));
	WITHIN_BOUNDS("a failed entry", {
		ASSERT_VMX(vmx_run(&self->vcpu));
		ASSERT_TRUE(vmx_entry_failed(self->vcpu.run));
	});
}

TEST_F(vm_bounds, tables)
{
	static struct vmx_cpuid_entry cpuid[VMX_CPUID_MAX];
	static struct vmx_msr msrs[VMX_MSRS_MAX];

	for (uint32_t n = 0; n < VMX_CPUID_MAX; n++)
		cpuid[n] = (struct vmx_cpuid_entry){
			.leaf = 0x20, .flags = VMX_CPUID_SUBLEAF,
			.subleaf = (n * 77) % VMX_CPUID_MAX,
		};
	for (uint32_t n = 0; n < VMX_MSRS_MAX; n++)
		msrs[n] = (struct vmx_msr){
			.index = 0x70000000 + (n * 77) % VMX_MSRS_MAX, .policy = VMX_MSR_KERNEL,
		};
	WITHIN_BOUNDS("SET_CPUID", ASSERT_EQ(0, test_set_cpuid(&self->vcpu, cpuid, VMX_CPUID_MAX)));
	WITHIN_BOUNDS("SET_MSRS", {
		ASSERT_EQ(0, test_set_msrs(&self->vcpu, msrs, VMX_MSRS_MAX, NULL));
	});
	WITHIN_BOUNDS("GET_MSRS", {
		ASSERT_EQ(0, test_get_msrs(&self->vcpu, msrs, VMX_MSRS_MAX, NULL));
	});
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, asker));
	self->vcpu.run->regs[VMX_RAX] = 0x20;
	self->vcpu.run->regs[VMX_RCX] = VMX_CPUID_MAX - 1;
	WITHIN_BOUNDS("CPUID and RDMSR", ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL));
}

static long long microseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000ll + time.tv_nsec / 1000;
}

/* How long RCU's readers are waited for, on average. */
static long long grace_period(void)
{
	const int count = 10;
	long long begun = microseconds();

	for (int n = 0; n < count; n++)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
			return -1;
	return (microseconds() - begun) / count;
}

/* A guest that stays on a CPU is no reader of RCU's: others need not wait until it leaves. */
TEST_F(vm_bounds, grace_periods)
{
	struct test_spinner spinner;
	long long idle, beside;

	ASSERT_EQ(0, test_pin(0));
	idle = grace_period();
	ASSERT_LE(0, idle);
	ASSERT_EQ(0, test_spin(&spinner, &self->vcpu, 1));
	beside = grace_period();
	ASSERT_EQ(-EINTR, test_spin_stop(&spinner));
	TH_LOG("grace periods: %lld us, beside a guest %lld us", idle, beside);
	/* The guest's CPU tells by its clock tick: of 4 ms, three of them. */
	EXPECT_LT(beside, idle + 16000);
}

/* As many EPTs as a list has room for; some have tables of their own for all pieces. */
#define FULL_VIEWS	32
FIXTURE(view_bounds) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	int mmus[VMX_EPTP_LIST_MAX];
	char *piece;
};

FIXTURE_SETUP(view_bounds)
{
	struct vmx_create create = { .size = sizeof(create) };

	NEED(VMX_HAS_EPT | VMX_HAS_VMFUNC);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, VMX_MMU_EPT));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->piece = new_memory(PIECE);
	ASSERT_NE(MAP_FAILED, self->piece);
	for (int n = 0; n < VMX_EPTP_LIST_MAX; n++) {
		self->mmus[n] = n ? ioctl(self->vm.fd, VMX_CREATE_EPT, &create) : self->vm.mmu;
		ASSERT_LE(0, self->mmus[n]);
		if (n) {
			ASSERT_EQ(0, mmu_map(self->mmus[n], 0, self->vm.ram, TEST_RAM, RWX));
		}
		if (n >= FULL_VIEWS)
			continue;
		ASSERT_EQ(0, map_pieces(self->mmus[n], self->piece));
		for (uint64_t k = 0; k < PIECES; k++)
			ASSERT_EQ(PAGE, mmu_populate(self->mmus[n], AREA + k * PIECE, PAGE, RW));
	}
}

FIXTURE_TEARDOWN(view_bounds)
{
	WITHIN_BOUNDS("close of a vCPU with many EPTs", vmx_vcpu_close(&self->vcpu));
	for (int n = 1; n < VMX_EPTP_LIST_MAX; n++)
		close(self->mmus[n]);
	vmx_vm_close(&self->vm);
}

static int set_list(struct vmx_vcpu *vcpu, const int *fds)
{
	struct vmx_eptp_list list = {
		.size = sizeof(list), .mmu_fds = (uintptr_t)fds, .count = VMX_EPTP_LIST_MAX,
	};

	return ioctl(vcpu->fd, VMX_SET_EPTP_LIST, &list);
}

static int set_mmu(struct vmx_vcpu *vcpu, int mmu)
{
	struct vmx_vcpu_mmu args = { .size = sizeof(args), .mmu_fd = mmu };

	return ioctl(vcpu->fd, VMX_SET_MMU, &args);
}

/* Each write is to another table, so that what the CPU wrote down is found the longest way. */
TEST_F(view_bounds, many_views)
{
	static uint64_t bitmap[LENGTH / PAGE / 64];
	const uint64_t times = 32;
	enum vmx_dirty_method method = VMX_DIRTY_WRITE_PROTECT;
	struct vmx_vm_stats before, after;

	if (self->vm.caps.features & VMX_HAS_PML)
		method = VMX_DIRTY_PML;
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, writer));
	WITHIN_BOUNDS("SET_EPTP_LIST", ASSERT_EQ(0, set_list(&self->vcpu, self->mmus)));
	WITHIN_BOUNDS("SET_MMU", ASSERT_EQ(0, set_mmu(&self->vcpu, self->mmus[5])));
	for (int n = 0; n < VMX_EPTP_LIST_MAX; n++)
		ASSERT_EQ(0, mmu_log(self->mmus[n], method));
	self->vcpu.run->regs[VMX_RBX] = AREA;
	self->vcpu.run->regs[VMX_RSI] = PIECE;
	self->vcpu.run->regs[VMX_R11] = PIECES;
	self->vcpu.run->regs[VMX_RCX] = times;
	self->vcpu.run->regs[VMX_RDI] = 7;
	ASSERT_VMX(vmx_vm_stats(&self->vm, &before));
	WITHIN_BOUNDS("writes, with many EPTs", ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL));
	ASSERT_VMX(vmx_vm_stats(&self->vm, &after));
	/* An INVEPT is one instruction here, and hundreds of cycles elsewhere. */
	TH_LOG("invalidations: %llu", after.invalidations - before.invalidations);
	EXPECT_LT(after.invalidations - before.invalidations, VMX_EPTP_LIST_MAX / 2);
	WITHIN_BOUNDS("DIRTY", ASSERT_EQ((long)(times * PIECES),
					 mmu_dirty(self->mmus[7], AREA, LENGTH, bitmap)));
	WITHIN_BOUNDS("UNMAP", ASSERT_EQ(0, mmu_unmap(self->mmus[7], AREA, PIECE)));
	/* All are out of date, and none has the CPU write anything down. */
	for (int n = 0; n < VMX_EPTP_LIST_MAX; n++)
		ASSERT_EQ(0, mmu_log(self->mmus[n], VMX_DIRTY_WRITE_PROTECT));
	test_goto(&self->vcpu, 0);
	self->vcpu.run->regs[VMX_RBX] = AREA + PIECE;
	self->vcpu.run->regs[VMX_R11] = 1;
	self->vcpu.run->regs[VMX_RCX] = 1;
	self->vcpu.run->regs[VMX_RDI] = 7;
	WITHIN_BOUNDS("another log", ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL));
}

VMX_TEST_MAIN
