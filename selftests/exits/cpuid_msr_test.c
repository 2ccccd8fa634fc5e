// SPDX-License-Identifier: GPL-2.0
/* Exits that the kernel finishes from tables: CPUID, MSRs by policy, XSETBV. */
#include <cpuid.h>

#include "lib/vm_fixture.h"

#define MSR_TSC_AUX		0xc0000103
#define MSR_LSTAR		0xc0000082
#define MSR_STAR		0xc0000081
#define MSR_CSTAR		0xc0000083
#define MSR_FMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_EFER		0xc0000080
#define MSR_MADE_UP		0x4b564d00
#define EFER_SCE		1ull
#define CR4_OSXSAVE		(1 << 18)
#define ECX_OSXSAVE		(1 << 27)

GUEST64(cpuid_guest, "cpuid\n hlt");
GUEST64(rdmsr_guest, "rdmsr\n hlt");
GUEST64(wrmsr_guest, "wrmsr\n hlt");
GUEST64(xsetbv_guest, "xsetbv\n hlt");

/* CPUID of the guest, finished by the kernel; the exit reason. */
static uint32_t guest_cpuid(struct vmx_vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
	/* The upper halves must be cleared, as CPUID does. */
	vcpu->run->regs[VMX_RAX] = 0xdead00000000 | leaf;
	vcpu->run->regs[VMX_RCX] = 0xdead00000000 | subleaf;
	vcpu->run->regs[VMX_RBX] = ~0ull;
	vcpu->run->regs[VMX_RDX] = ~0ull;
	test_goto(vcpu, 0);
	return vmx_run(vcpu) ? ~0u : vcpu->run->reason;
}

static bool answered(const struct vmx_vcpu *vcpu, const struct vmx_cpuid_entry *entry)
{
	const __u64 *regs = vcpu->run->regs;

	return regs[VMX_RAX] == entry->eax && regs[VMX_RBX] == entry->ebx &&
	       regs[VMX_RCX] == entry->ecx && regs[VMX_RDX] == entry->edx;
}

TEST_F(vm, cpuid_from_the_table)
{
	const struct vmx_cpuid_entry table[] = {
		{ .leaf = 0, .eax = 7, .ebx = 0x11111111, .ecx = 0x22222222, .edx = 0x33333333 },
		{ .leaf = 4, .subleaf = 1, .flags = VMX_CPUID_SUBLEAF, .eax = 41 },
		{ .leaf = 4, .subleaf = 3, .flags = VMX_CPUID_SUBLEAF, .eax = 43 },
		{ .leaf = 0x80000000, .eax = 0x80000008, .edx = 0xffffffff },
	};
	struct vmx_vm_stats stats;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cpuid_guest));
	EXPECT_EQ(VMX_REASON_CPUID, guest_cpuid(&self->vcpu, 0, 0));
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, TEST_COUNT(table)));

	EXPECT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 0, 5));
	EXPECT_TRUE(answered(&self->vcpu, &table[0]));
	EXPECT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 4, 1));
	EXPECT_TRUE(answered(&self->vcpu, &table[1]));
	EXPECT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 4, 3));
	EXPECT_TRUE(answered(&self->vcpu, &table[2]));
	EXPECT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 0x80000000, 0));
	EXPECT_TRUE(answered(&self->vcpu, &table[3]));
	EXPECT_EQ(VMX_REASON_CPUID, guest_cpuid(&self->vcpu, 4, 2));
	EXPECT_EQ(VMX_REASON_CPUID, guest_cpuid(&self->vcpu, 1, 0));

	/* Finished exits are counted too: six CPUIDs after the first one. */
	ASSERT_VMX(vmx_vm_stats(&self->vm, &stats));
	EXPECT_EQ(7, stats.exits[VMX_REASON_CPUID]);
	EXPECT_EQ(4, stats.exits[VMX_REASON_HLT]);
	EXPECT_EQ(7, stats.user_exits);
	EXPECT_EQ(7, stats.runs);
}

TEST_F(vm, cpuid_table_is_replaced)
{
	struct vmx_cpuid_entry table[] = { { .leaf = 0, .eax = 1 }, { .leaf = 1, .eax = 2 } };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cpuid_guest));
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, 2));
	/* A refused table leaves the old one. */
	table[1].leaf = 0;
	EXPECT_EQ(-EINVAL, test_set_cpuid(&self->vcpu, table, 2));
	EXPECT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 1, 0));
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, NULL, 0));
	EXPECT_EQ(VMX_REASON_CPUID, guest_cpuid(&self->vcpu, 1, 0));
}

TEST_F(vm, cpuid_osxsave_follows_cr4)
{
	struct vmx_cpuid_entry table[] = { { .leaf = 1, .ecx = ECX_OSXSAVE | 1 } };

	NEED(VMX_HAS_XSAVE);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cpuid_guest));
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, 1));
	ASSERT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 1, 0));
	EXPECT_EQ(1, self->run->regs[VMX_RCX]);
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR4, 0, CR4_OSXSAVE));
	ASSERT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 1, 0));
	EXPECT_EQ(ECX_OSXSAVE | 1, self->run->regs[VMX_RCX]);
}

/* CPUID of 0DH in a guest with XCR0 as it is: EBX. */
static uint32_t area_size(struct vmx_vcpu *vcpu, uint32_t subleaf)
{
	return guest_cpuid(vcpu, 0xd, subleaf) == VMX_REASON_HLT ? vcpu->run->regs[VMX_RBX] : 0;
}

#define XSAVEC	(1 << 1)

/*
 * What a guest may not have, such as PKRU, the host's own CPUID counts in: a guest that believes it
 * makes a larger area than it was told a component ends at, and Linux switches XSAVE off.
 */
TEST_F(vm, cpuid_xsave_area_follows_xcr0)
{
	struct vmx_cpuid_entry table[] = {
		{ .leaf = 0xd, .flags = VMX_CPUID_SUBLEAF, .eax = 7, .ebx = 1, .ecx = 832 },
		{ .leaf = 0xd, .flags = VMX_CPUID_SUBLEAF, .subleaf = 1, .eax = XSAVEC, .ebx = 1 },
		{ .leaf = 0xd, .flags = VMX_CPUID_SUBLEAF, .subleaf = 2, .eax = 256, .ebx = 576 },
		{ .leaf = 0xe, .ebx = 1 },
	};
	struct vmx_fpu fpu = { .size = sizeof(fpu) };
	uint32_t eax, offset, ecx, edx;
	static char area[8192];

	NEED(VMX_HAS_XSAVE);
	fpu.area = (uintptr_t)area;
	fpu.length = sizeof(area);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cpuid_guest));
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, TEST_COUNT(table)));
	EXPECT_EQ(576, area_size(&self->vcpu, 0));
	EXPECT_EQ(576, area_size(&self->vcpu, 1));
	EXPECT_EQ(576, area_size(&self->vcpu, 2));
	EXPECT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 0xe, 0));
	EXPECT_EQ(1, self->run->regs[VMX_RBX]);
	/* Without XSAVEC and XSAVES the second is the table's. */
	table[1].eax = 1;
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, TEST_COUNT(table)));
	EXPECT_EQ(1, area_size(&self->vcpu, 1));
	table[1].eax = XSAVEC;
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, TEST_COUNT(table)));
	__cpuid_count(0xd, 2, eax, offset, ecx, edx);
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_GET_FPU, &fpu));
	fpu.xcr0 = 7;
	fpu.length = fpu.needed;
	if (ioctl(self->vcpu.fd, VMX_SET_FPU, &fpu))
		SKIP(return, "the CPU has no AVX");
	EXPECT_EQ(offset + eax, area_size(&self->vcpu, 0));
	EXPECT_EQ(576 + eax, area_size(&self->vcpu, 1));
}

/*
 * The kernel's CPUID ends in a single-step trap like the CPU's. Once without
 * first: Bochs takes an EPT violation under RFLAGS.TF for a completed instruction.
 */
TEST_F(vm, cpuid_is_single_stepped)
{
	const struct vmx_cpuid_entry table[] = { { .leaf = 0 } };

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cpuid_guest));
	ASSERT_EQ(0, test_set_cpuid(&self->vcpu, table, 1));
	ASSERT_EQ(VMX_REASON_HLT, guest_cpuid(&self->vcpu, 0, 0));
	test_goto(&self->vcpu, 0);
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_RFLAGS, 0x102));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_EXCEPTION_BITMAP, 1 << 1));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EXCEPTION_NMI);
	EXPECT_EQ(1, self->run->intr_info & VMX_INTR_VECTOR_MASK);
	EXPECT_EQ(VMX_PENDING_BS, self->run->qualification & VMX_PENDING_BS);
	EXPECT_EQ(TEST_CODE + 2, self->run->rip);
}

static uint32_t guest_msr(struct vmx_vcpu *vcpu, uint32_t index, uint64_t value)
{
	vcpu->run->regs[VMX_RCX] = index;
	vcpu->run->regs[VMX_RAX] = (uint32_t)value;
	vcpu->run->regs[VMX_RDX] = value >> 32;
	test_goto(vcpu, 0);
	return vmx_run(vcpu) ? ~0u : vcpu->run->reason;
}

static uint64_t msr_result(const struct vmx_vcpu *vcpu)
{
	return vcpu->run->regs[VMX_RDX] << 32 | vcpu->run->regs[VMX_RAX];
}

TEST_F(vm, msr_kept_by_the_kernel)
{
	struct vmx_msr msrs[] = {
		{ .index = MSR_MADE_UP, .policy = VMX_MSR_KERNEL, .value = 0x1122334455667788 },
		{ .index = MSR_MADE_UP + 1, .policy = VMX_MSR_KERNEL_READ, .value = 99 },
		{ .index = 0x1b, .policy = VMX_MSR_EXIT },
		/* TSC: the guest may see a kept value of any MSR, not the CPU's. */
		{ .index = 0x10, .policy = VMX_MSR_KERNEL, .value = 5 },
	};
	uint32_t bad;

	ASSERT_EQ(0, test_set_msrs(&self->vcpu, msrs, TEST_COUNT(msrs), &bad));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, rdmsr_guest));
	EXPECT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, MSR_MADE_UP, ~0ull));
	EXPECT_EQ(0x1122334455667788, msr_result(&self->vcpu));
	EXPECT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, MSR_MADE_UP + 1, 0));
	EXPECT_EQ(99, msr_result(&self->vcpu));
	EXPECT_EQ(VMX_REASON_RDMSR, guest_msr(&self->vcpu, 0x1b, 0));
	EXPECT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, 0x10, 0));
	EXPECT_EQ(5, msr_result(&self->vcpu));
	EXPECT_EQ(VMX_REASON_RDMSR, guest_msr(&self->vcpu, MSR_MADE_UP + 2, 0));

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, wrmsr_guest));
	EXPECT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, MSR_MADE_UP, 0xabcdef0123456789));
	EXPECT_EQ(VMX_REASON_WRMSR, guest_msr(&self->vcpu, MSR_MADE_UP + 1, 100));
	EXPECT_EQ(VMX_REASON_WRMSR, guest_msr(&self->vcpu, 0x1b, 100));
	ASSERT_EQ(0, test_get_msrs(&self->vcpu, msrs, TEST_COUNT(msrs), &bad));
	EXPECT_EQ(0xabcdef0123456789, msrs[0].value);
	EXPECT_EQ((uint32_t)VMX_MSR_KERNEL, msrs[0].policy);
	EXPECT_EQ(99, msrs[1].value);
	EXPECT_EQ((uint32_t)VMX_MSR_KERNEL_READ, msrs[1].policy);
}

/* The guest has them to itself: what it writes is there, and not in the host. */
TEST_F(vm, msr_passthrough)
{
	static const uint32_t indices[] = {
		MSR_LSTAR, MSR_STAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS_BASE,
		MSR_FS_BASE, MSR_GS_BASE, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
	};
	struct vmx_msr msrs[TEST_COUNT(indices)];
	uint64_t seed = test_seed();
	uint64_t values[TEST_COUNT(indices)];
	uint32_t bad;

	for (size_t n = 0; n < TEST_COUNT(indices); n++)
		msrs[n] = (struct vmx_msr){ .index = indices[n], .policy = VMX_MSR_PASSTHROUGH };
	ASSERT_EQ(0, test_set_msrs(&self->vcpu, msrs, TEST_COUNT(msrs), &bad));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, wrmsr_guest));
	for (size_t n = 0; n < TEST_COUNT(indices); n++) {
		/* Canonical, and right for 32-bit MSRs as well. */
		values[n] = test_random(&seed) & 0x7fffffff;
		ASSERT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, indices[n], values[n])) {
			TH_LOG("MSR %#x: %s", indices[n], test_describe(&self->vcpu));
		}
	}
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, rdmsr_guest));
	for (size_t n = 0; n < 5; n++) {
		ASSERT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, indices[n], 0));
		EXPECT_EQ(values[n], msr_result(&self->vcpu)) { TH_LOG("MSR %#x", indices[n]); }
	}
	ASSERT_EQ(0, test_get_msrs(&self->vcpu, msrs, 5, &bad));
	for (size_t n = 0; n < 5; n++) {
		EXPECT_EQ(values[n], msrs[n].value) { TH_LOG("MSR %#x", indices[n]); }
	}
}

/* Values given by SET are what the guest starts with. */
TEST_F(vm, msr_passthrough_starts_with_value)
{
	struct vmx_msr msr = { .index = MSR_LSTAR, .policy = VMX_MSR_PASSTHROUGH, .value = 0x1234 };

	ASSERT_EQ(0, test_set_msrs(&self->vcpu, &msr, 1, NULL));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, rdmsr_guest));
	ASSERT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, MSR_LSTAR, 0));
	EXPECT_EQ(0x1234, msr_result(&self->vcpu));
}

/* A table that takes another's place leaves nothing of it: no policy, no right and no value. */
TEST_F(vm, msr_table_gets_smaller)
{
	struct vmx_msr many[] = {
		{ .index = MSR_MADE_UP + 2, .policy = VMX_MSR_KERNEL, .value = 2 },
		{ .index = MSR_FS_BASE, .policy = VMX_MSR_PASSTHROUGH },
		{ .index = MSR_SYSENTER_CS, .policy = VMX_MSR_PASSTHROUGH },
		{ .index = MSR_KERNEL_GS_BASE, .policy = VMX_MSR_PASSTHROUGH, .value = TEST_DATA },
		{ .index = MSR_MADE_UP, .policy = VMX_MSR_KERNEL_READ, .value = 1 },
	};
	struct vmx_msr few = { .index = MSR_MADE_UP + 1, .policy = VMX_MSR_KERNEL, .value = 3 };

	for (uint32_t left = 0; left < 2; left++) {
		ASSERT_EQ(0, test_set_msrs(&self->vcpu, many, TEST_COUNT(many), NULL));
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, rdmsr_guest));
		for (size_t n = 0; n < TEST_COUNT(many); n++) {
			EXPECT_EQ(VMX_REASON_HLT, guest_msr(&self->vcpu, many[n].index, 0));
		}
		ASSERT_EQ(0, test_set_msrs(&self->vcpu, &few, left, NULL));
		for (size_t n = 0; n < TEST_COUNT(many); n++) {
			struct vmx_msr gone = many[n];

			EXPECT_EQ(VMX_REASON_RDMSR, guest_msr(&self->vcpu, gone.index, 0));
			EXPECT_EQ(-ENOENT, test_get_msrs(&self->vcpu, &gone, 1, NULL));
		}
		EXPECT_EQ(left ? VMX_REASON_HLT : VMX_REASON_RDMSR,
			  guest_msr(&self->vcpu, few.index, 0));
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, wrmsr_guest));
		for (size_t n = 0; n < TEST_COUNT(many); n++) {
			EXPECT_EQ(VMX_REASON_WRMSR, guest_msr(&self->vcpu, many[n].index, 0));
		}
	}
}

/* RBX is what the other GS base has at 8. SYSCALL goes to LSTAR, which 0 stands for as well. */
GUEST64(values_guest,
	"swapgs\n mov %gs:8, %rbx\n swapgs\n"
	"syscall\n"
	".balign 32\n"
	"vmcall");

TEST_F(vm, msr_values_go_with_the_table)
{
	const uint64_t lstar = TEST_CODE + 32;
	const struct vmx_msr msrs[] = {
		{ .index = MSR_KERNEL_GS_BASE, .policy = VMX_MSR_PASSTHROUGH, .value = TEST_DATA },
		{ .index = MSR_LSTAR, .policy = VMX_MSR_PASSTHROUGH, .value = lstar },
		{ .index = MSR_FMASK, .policy = VMX_MSR_PASSTHROUGH, .value = 0x800 },
	};

	memcpy(test_at(&self->vm, 0), "\x0f\x01\xc1", 3);
	*(uint64_t *)test_at(&self->vm, 8) = 1;
	*(uint64_t *)test_at(&self->vm, TEST_DATA + 8) = 2;
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, values_guest));
	self->run->efer = 0x500 | EFER_SCE;
	self->run->rflags = 0x802;
	self->run->dirty |= VMX_STATE_EFER | VMX_STATE_RFLAGS;
	for (unsigned int n = 0; n < 4; n++) {
		const bool has = n % 2;

		ASSERT_EQ(0, test_set_msrs(&self->vcpu, msrs, has ? TEST_COUNT(msrs) : 0, NULL));
		test_goto(&self->vcpu, 0);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
		EXPECT_EQ(has ? 2 : 1, self->run->regs[VMX_RBX]);
		EXPECT_EQ(has ? lstar : 0, self->run->rip);
		EXPECT_EQ(has ? 0 : 0x800, self->run->rflags & 0x800);
		self->run->rflags |= 0x800;
		self->run->dirty |= VMX_STATE_RFLAGS;
	}
}

/* The guest allows SYSCALL, and executes it before anything else makes RUN return. */
GUEST64(syscall_guest,
	"wrmsr\n"
	"syscall\n"
	".balign 32\n"
	"vmcall");

TEST_F(vm, syscall_where_efer_allows_it)
{
	const struct vmx_msr msrs[] = {
		{ .index = MSR_EFER, .policy = VMX_MSR_PASSTHROUGH },
		{ .index = MSR_LSTAR, .policy = VMX_MSR_PASSTHROUGH, .value = TEST_CODE + 32 },
		{ .index = MSR_STAR, .policy = VMX_MSR_PASSTHROUGH,
		  .value = (uint64_t)VMX_GUEST_CS64 << 32 },
	};
	uint64_t selector;

	if (self->vm.caps.features & VMX_HAS_EPT)
		NEED(VMX_HAS_LOAD_EFER);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, syscall_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_EQ(0, test_set_msrs(&self->vcpu, msrs, TEST_COUNT(msrs), NULL));
	for (unsigned int n = 0; n < 2; n++) {
		ASSERT_EQ(VMX_REASON_VMCALL, guest_msr(&self->vcpu, MSR_EFER, 0xd00 | EFER_SCE)) {
			TH_LOG("%s", test_describe(&self->vcpu));
		}
		EXPECT_EQ(TEST_CODE + 32, self->run->rip);
		EXPECT_EQ(TEST_CODE + 4, self->run->regs[VMX_RCX]);
		ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_CS_SELECTOR, &selector));
		EXPECT_EQ(VMX_GUEST_CS64, selector);
		/* and with the bit clear it is #UD again, unless EFER stays the host's */
		if (!(self->vm.caps.features & VMX_HAS_LOAD_EFER))
			continue;
		self->run->regs[VMX_RSP] = TEST_STACK;
		self->run->dirty |= VMX_STATE_RSP;
		ASSERT_EQ(VMX_REASON_VMCALL, guest_msr(&self->vcpu, MSR_EFER, 0xd00));
		EXPECT_EQ(6, self->run->regs[VMX_RDI]);
	}
}

TEST_F(vm, msr_lists_that_are_refused)
{
	struct vmx_msr msrs[] = {
		{ .index = MSR_MADE_UP, .policy = VMX_MSR_KERNEL, .value = 7 },
		{ .index = MSR_MADE_UP + 1, .policy = VMX_MSR_PASSTHROUGH },
	};
	uint32_t bad = 0;

	EXPECT_EQ(-EACCES, test_set_msrs(&self->vcpu, msrs, 2, &bad));
	EXPECT_EQ(1, bad);
	msrs[1] = msrs[0];
	EXPECT_EQ(-EINVAL, test_set_msrs(&self->vcpu, msrs, 2, &bad));
	msrs[1] = (struct vmx_msr){ .index = MSR_LSTAR, .policy = VMX_MSR_PASSTHROUGH,
				    .value = 1ull << 63 };
	EXPECT_EQ(-EINVAL, test_set_msrs(&self->vcpu, msrs, 2, &bad));
	msrs[1] = (struct vmx_msr){ .index = MSR_LSTAR, .policy = 4 };
	EXPECT_EQ(-EINVAL, test_set_msrs(&self->vcpu, msrs, 2, &bad));
	EXPECT_EQ(-ENOENT, test_get_msrs(&self->vcpu, msrs, 1, &bad));
	EXPECT_EQ(0, bad);
	ASSERT_EQ(0, test_set_msrs(&self->vcpu, msrs, 1, &bad));
	EXPECT_EQ(-ENOENT, test_get_msrs(&self->vcpu, msrs, 2, &bad));
	EXPECT_EQ(1, bad);
}

static uint64_t guest_xcr0(struct vmx_vcpu *vcpu)
{
	char area[8192];
	struct vmx_fpu fpu = {
		.size = sizeof(fpu), .area = (uintptr_t)area, .length = sizeof(area),
	};

	return ioctl(vcpu->fd, VMX_GET_FPU, &fpu) ? 0 : fpu.xcr0;
}

/* XSETBV of what the CPU would take is done, anything else is the guest's #GP(0). */
TEST_F(vm, xsetbv)
{
	static const struct {
		uint64_t xcr0;
		uint32_t index;
		bool valid;
	} cases[] = {
		{ 1, 0, true }, { 3, 0, true }, { 0, 0, false }, { 2, 0, false }, { 5, 0, false },
		{ 1, 1, false }, { 1ull << 63 | 1, 0, false }, { 1ull << 62 | 3, 0, false },
		{ 1ull << 18 | 3, 0, false }, { 3, 0, true },
	};
	uint64_t xcr0 = 0;

	NEED(VMX_HAS_XSAVE);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, xsetbv_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR4, 0, CR4_OSXSAVE));
	for (size_t n = 0; n < TEST_COUNT(cases); n++) {
		self->run->regs[VMX_RSP] = TEST_STACK;
		self->run->dirty |= VMX_STATE_RSP;
		if (cases[n].valid) {
			ASSERT_EQ(VMX_REASON_HLT,
				  guest_msr(&self->vcpu, cases[n].index, cases[n].xcr0)) {
				TH_LOG("case %zu: %s", n, test_describe(&self->vcpu));
			}
			xcr0 = cases[n].xcr0;
		} else {
			ASSERT_EQ(VMX_REASON_VMCALL,
				  guest_msr(&self->vcpu, cases[n].index, cases[n].xcr0)) {
				TH_LOG("case %zu: %s", n, test_describe(&self->vcpu));
			}
			EXPECT_EQ(13, self->run->regs[VMX_RDI]);
			EXPECT_EQ(0, self->run->regs[VMX_RSI]);
		}
		EXPECT_EQ(xcr0 ? xcr0 : 1, guest_xcr0(&self->vcpu)) { TH_LOG("case %zu", n); }
	}
}

GUEST16(real_guest, "wrmsr\n hlt\n .balign 16\n vmcall");

/* Without protection #GP has no error code: neither VM entry nor the handler would take one. */
TEST_F(vm, general_protection_in_real_mode)
{
	const struct vmx_msr lstar = { .index = MSR_LSTAR, .policy = VMX_MSR_PASSTHROUGH };
	const uint32_t handler = TEST_CODE + 16;
	uint16_t frame[3];
	uint32_t bad;

	NEED(VMX_HAS_UNRESTRICTED);
	ASSERT_EQ(0, test_set_msrs(&self->vcpu, &lstar, 1, &bad));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_REAL, real_guest));
	memcpy(test_at(&self->vm, 13 * 4), &handler, sizeof(handler));
	ASSERT_EQ(VMX_REASON_VMCALL, guest_msr(&self->vcpu, MSR_LSTAR, 1ull << 63)) {
		TH_LOG("%s", test_describe(&self->vcpu));
	}
	EXPECT_EQ(handler, self->run->rip);
	memcpy(frame, test_at(&self->vm, self->run->regs[VMX_RSP] & 0xffff), sizeof(frame));
	EXPECT_EQ(TEST_CODE, frame[0]);
	EXPECT_EQ(0, frame[1]);
}

VMX_TEST_MAIN
