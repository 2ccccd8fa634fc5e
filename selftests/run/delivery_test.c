// SPDX-License-Identifier: GPL-2.0
/* Exceptions whose delivery faults, and exceptions that the module raises or reflects. */
#define EVERY_MMU
#include "lib/guest_tables.h"

#define MSR_LSTAR	0xc0000082u
#define VECTOR_UD	6
#define VECTOR_DF	8
#define VECTOR_AC	17
#define RFLAGS_TF	0x102
#define RFLAGS_RF	(1ull << 16)
#define RFLAGS_AC	0x40002
#define CR0_AM		(1ull << 18)
#define DEBUGCTL_BTF	2

/* One fault each, at multiples of 16 bytes. */
enum fault { DE, NP, SS, GP, UD, BP, PF };

GUEST64(faults,
	"xor	%ecx, %ecx\n"
	"div	%ecx\n"
	".balign 16\n"
	"mov	$0x8, %eax\n"
	"mov	%eax, %ds\n"
	".balign 16\n"
	"movabs	$0x8000000000000000, %rbp\n"
	"mov	(%rbp), %eax\n"
	".balign 16\n"
	"mov	$0x1230, %eax\n"
	"mov	%eax, %ds\n"
	".balign 16\n"
	"ud2\n"
	".balign 16\n"
	"int3\n"
	".balign 16\n"
	"mov	(%rbx), %eax");

/* Descriptors that the guest starts with. */
#define CS32_PRESENT	(1ull << 47)

/*
 * The IDT's gates below FIRST, or from FIRST on, are in a page that the guest's tables do not have:
 * LINEAR is one that they have, and they have neither of those beside it.
 */
static int tear_idt(struct vmx_vcpu *vcpu, unsigned int first, bool below)
{
	uint64_t base = LINEAR + (below ? 0 : PAGE) - first * 16;
	uint64_t *page = test_at(vcpu->vm, DATA);
	int ret = test_set_idt(vcpu);

	if (below)
		memcpy(page, test_at(vcpu->vm, TEST_IDT + first * 16), (256 - first) * 16);
	else
		memcpy(page + (PAGE - first * 16) / 8, test_at(vcpu->vm, TEST_IDT), first * 16);
	return ret ?: vmx_field_set(vcpu->vmcs, VMX_F_GUEST_IDTR_BASE, base);
}

static int raise_fault(struct vmx_vcpu *vcpu, enum fault fault)
{
	test_goto(vcpu, fault * 16);
	vcpu->run->regs[VMX_RSP] = TEST_STACK;
	vcpu->run->dirty |= VMX_STATE_RSP;
	return vmx_run(vcpu);
}

/* SDM, "Conditions for Generating a Double Fault": after all exceptions but #PF and #DF. */
TEST_F(vm, page_fault_after_an_exception)
{
	static const struct { enum fault first; unsigned int vector; } cases[] = {
		{ DE, 0 }, { BP, 3 }, { UD, 6 }, { NP, 11 }, { SS, 12 }, { GP, 13 },
	};

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, faults));
	map_linear(&self->vm);
	*(uint64_t *)test_at(&self->vm, VMX_GUEST_GDT + VMX_GUEST_CS32) &= ~CS32_PRESENT;
	ASSERT_VMX(tear_idt(&self->vcpu, VECTOR_PF, true));
	for (unsigned int n = 0; n < TEST_COUNT(cases); n++) {
		ASSERT_VMX(raise_fault(&self->vcpu, cases[n].first));
		ASSERT_EQ((uint32_t)VMX_REASON_VMCALL, self->run->reason) {
			TH_LOG("after vector %u: %s", cases[n].vector, test_describe(&self->vcpu));
		}
		EXPECT_EQ(VECTOR_PF, self->run->regs[VMX_RDI]);
		EXPECT_EQ(0, self->run->regs[VMX_RSI]);
		EXPECT_EQ(LINEAR - (VECTOR_PF - cases[n].vector) * 16, self->run->cr2);
	}
}

TEST_F(vm, page_fault_after_a_page_fault)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, faults));
	map_linear(&self->vm);
	self->run->regs[VMX_RBX] = LINEAR - 2 * PAGE;
	ASSERT_VMX(tear_idt(&self->vcpu, VECTOR_PF, false));
	ASSERT_VMX(raise_fault(&self->vcpu, PF));
	ASSERT_EQ((uint32_t)VMX_REASON_VMCALL, self->run->reason) {
		TH_LOG("%s", test_describe(&self->vcpu));
	}
	EXPECT_EQ(VECTOR_DF, self->run->regs[VMX_RDI]);
	EXPECT_EQ(0, self->run->regs[VMX_RSI]);
	EXPECT_EQ(LINEAR + PAGE, self->run->cr2);
}

TEST_F(vm, page_fault_after_a_double_fault)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, faults));
	map_linear(&self->vm);
	self->run->regs[VMX_RBX] = LINEAR - 2 * PAGE;
	ASSERT_VMX(tear_idt(&self->vcpu, 64, true));
	ASSERT_VMX(raise_fault(&self->vcpu, PF));
	EXPECT_EQ((uint32_t)VMX_REASON_TRIPLE_FAULT, self->run->reason) {
		TH_LOG("%s", test_describe(&self->vcpu));
	}
}

/* The next event finds no page to push to. */
static int take_stack(struct vmx_vm *vm)
{
	return madvise(test_at(vm, TEST_STACK - PAGE), PAGE, MADV_DONTNEED);
}

/* SDM, "Resume Flag (RF)": a fault pushes it set, an injected event pushes what RFLAGS has. */
TEST_F(vm, rf_of_an_event_that_waits_for_a_page)
{
	const uint64_t *pushed = test_at(&self->vm, TEST_STACK - 24);

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, faults));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	self->run->inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | VECTOR_UD;
	ASSERT_EQ(0, take_stack(&self->vm));
	ASSERT_VMX(raise_fault(&self->vcpu, UD));
	EXPECT_EQ(VECTOR_UD, self->run->regs[VMX_RDI]);
	if (variant->mmu == VMX_MMU_SHADOW)
		EXPECT_EQ(0, *pushed & RFLAGS_RF);
	ASSERT_EQ(0, take_stack(&self->vm));
	ASSERT_VMX(raise_fault(&self->vcpu, UD));
	EXPECT_EQ(VECTOR_UD, self->run->regs[VMX_RDI]);
	EXPECT_EQ(RFLAGS_RF, *pushed & RFLAGS_RF);
}

GUEST64(nop_guest, "nop\n hlt");

/* Events that no instruction brings back, if they are lost. */
static const struct {
	uint32_t type;
	unsigned int vector;
} interrupts[] = {
	{ VMX_INTR_TYPE_EXTERNAL, 0x31 }, { VMX_INTR_TYPE_NMI, 2 },
};

static int interrupt(struct vmx_vcpu *vcpu, unsigned int n)
{
	struct vmx_run_page *run = vcpu->run;
	int ret = 0;

	test_goto(vcpu, 0);
	run->regs[VMX_RSP] = TEST_STACK;
	run->rflags = 0x202;
	run->interruptibility = 0;
	run->dirty |= VMX_STATE_RSP | VMX_STATE_RFLAGS | VMX_STATE_INTERRUPTIBILITY;
	run->inject_info = VMX_INTR_VALID | interrupts[n].type | interrupts[n].vector;
	if (vcpu->vm->caps.features & VMX_HAS_VIRTUAL_NMI)
		ret = vmx_field_change(vcpu->vmcs, VMX_F_PIN_CONTROLS, 0, VMX_PIN_VIRTUAL_NMIS);
	return ret ?: vmx_run(vcpu);
}

#define EXPECT_VECTOR(vcpu, vector)						\
	EXPECT_EQ((uint32_t)VMX_REASON_VMCALL, (vcpu)->run->reason) {		\
		TH_LOG("%s", test_describe(vcpu));				\
	}									\
	EXPECT_EQ(vector, (vcpu)->run->regs[VMX_RDI]);				\
	EXPECT_EQ(0, (vcpu)->run->inject_info)

/* The gate is in a page that the guest has, and nobody has accessed yet. */
TEST_F(vm, fault_of_the_hosts_in_the_delivery_of_an_interrupt)
{
	for (unsigned int n = 0; n < TEST_COUNT(interrupts); n++) {
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nop_guest));
		map_linear(&self->vm);
		ASSERT_VMX(tear_idt(&self->vcpu, 0, true));
		ASSERT_EQ(0, mmu_unmap(self->vm.mmu, DATA, PAGE));
		ASSERT_EQ(0, mmu_map(self->vm.mmu, DATA, test_at(&self->vm, DATA), PAGE, RWX));
		ASSERT_VMX(interrupt(&self->vcpu, n));
		EXPECT_VECTOR(&self->vcpu, interrupts[n].vector);
		EXPECT_EQ(TEST_CODE, *(uint64_t *)test_at(&self->vm, self->run->regs[VMX_RSP] +
							  TEST_EVENT_RIP));
	}
}

/*
 * The gate is in a page that the guest does not have. The CPU delivers the page fault alone. With
 * shadow page tables it is userspace's, which gets the interrupt back.
 */
TEST_F(vm, fault_of_the_guests_in_the_delivery_of_an_interrupt)
{
	for (unsigned int n = 0; n < TEST_COUNT(interrupts); n++) {
		const unsigned int vector = interrupts[n].vector;
		const uint32_t info = VMX_INTR_VALID | interrupts[n].type | vector;
		const bool below = vector < VECTOR_PF;
		const uint64_t gate = below ? LINEAR - 16 : LINEAR + PAGE;

		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nop_guest));
		map_linear(&self->vm);
		ASSERT_VMX(tear_idt(&self->vcpu, below ? vector + 1 : vector, below));
		ASSERT_VMX(interrupt(&self->vcpu, n));
		if (variant->mmu != VMX_MMU_SHADOW) {
			EXPECT_VECTOR(&self->vcpu, VECTOR_PF);
			EXPECT_EQ(gate, self->run->cr2);
			continue;
		}
		ASSERT_EQ((uint32_t)VMX_REASON_EXCEPTION_NMI, self->run->reason) {
			TH_LOG("vector %u: %s", vector, test_describe(&self->vcpu));
		}
		EXPECT_EQ(VECTOR_PF, self->run->intr_info & VMX_INTR_VECTOR_MASK);
		EXPECT_EQ(gate, self->run->qualification);
		EXPECT_EQ(info, self->run->idt_info);
		EXPECT_EQ(info, self->run->inject_info);
		ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_IDTR_BASE, TEST_IDT));
		ASSERT_VMX(vmx_run(&self->vcpu));
		EXPECT_VECTOR(&self->vcpu, vector);
	}
}

GUEST64(cpuid_guest, "cpuid\n hlt");

/* What retiring an instruction under RFLAGS.TF leaves pending, and what VM entry makes of it. */
static uint64_t pending_after(struct vmx_vcpu *vcpu, uint64_t debugctl)
{
	uint64_t pending = ~0ull;

	if (vmx_field_set(vcpu->vmcs, VMX_F_GUEST_PENDING_DEBUG, 0) ||
	    vmx_field_set(vcpu->vmcs, VMX_F_GUEST_DEBUGCTL, debugctl) ||
	    vmx_field_set(vcpu->vmcs, VMX_F_GUEST_RFLAGS, RFLAGS_TF))
		return pending;
	test_goto(vcpu, 0);
	vcpu->run->length = 2;
	vcpu->run->retire = 1;
	vcpu->run->immediate_exit = 1;
	if (vmx_run(vcpu) != -EINTR ||
	    vmx_field_get(vcpu->vmcs, VMX_F_GUEST_PENDING_DEBUG, &pending))
		return ~0ull;
	vcpu->run->immediate_exit = 0;
	return pending;
}

/* SDM, "Single-Stepping on Branches": with DEBUGCTL.BTF what is no branch does not trap. */
TEST_F(vm, single_step_on_branches)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cpuid_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_CPUID);
	EXPECT_EQ(VMX_PENDING_BS, pending_after(&self->vcpu, 0));
	EXPECT_EQ(0, pending_after(&self->vcpu, DEBUGCTL_BTF));
}

GUEST64(nops_guest, "nop\n nop\n nop\n hlt");

/*
 * SDM, likewise: a debug exception clears BTF, and DR7.GD ("Debug Control Register (DR7)"). One
 * that the module passes on does, too.
 */
TEST_F(vm, debug_exception_ends_stepping_on_branches)
{
	struct vmx_debug debug = { .size = sizeof(debug), .dr = { TEST_CODE + 1 } };
	uint64_t debugctl = ~0ull, dr7 = ~0ull;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nops_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_EQ(0, ioctl(self->vcpu.fd, VMX_SET_DEBUG, &debug));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DR7, 0x2402));
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_DEBUGCTL, DEBUGCTL_BTF));
	ASSERT_EVENT(&self->vcpu, 1, 0);
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_DEBUGCTL, &debugctl));
	EXPECT_EQ(0, debugctl);
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_DR7, &dr7));
	EXPECT_EQ(0x402, dr7);
}

GUEST64(misaligned, "mov 1(%rbx), %eax\n vmcall");

/* An alignment check is the guest's own: at privilege level 3, with CR0.AM and RFLAGS.AC. */
TEST_F(vm, alignment_check)
{
	const struct vmx_field user[] = {
		{ .field = VMX_F_GUEST_CS_ACCESS, .value = 0xa0fb },
		{ .field = VMX_F_GUEST_SS_ACCESS, .value = 0xc0f3 },
		{ .field = VMX_F_GUEST_CS_SELECTOR, .value = VMX_GUEST_CS64 | 3 },
		{ .field = VMX_F_GUEST_SS_SELECTOR, .value = VMX_GUEST_DS | 3 },
		{ .field = VMX_F_GUEST_RFLAGS, .value = RFLAGS_AC },
	};
	const uint64_t stack = TEST_STACK;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, misaligned));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	*entry(&self->vm, VMX_GUEST_PAGE_TABLES, 0) |= U;
	*entry(&self->vm, POINTERS, 0) |= U;
	*entry(&self->vm, IDENTITY, 0) |= U;
	/* RSP0 of the TSS */
	memcpy(test_at(&self->vm, VMX_GUEST_TSS + 4), &stack, sizeof(stack));
	self->run->regs[VMX_RBX] = TEST_DATA;
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR0, 0, CR0_AM));
	/* Not the supervisor's. */
	ASSERT_VMX(vmx_field_set(self->vcpu.vmcs, VMX_F_GUEST_RFLAGS, RFLAGS_AC));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(TEST_CODE + 3, self->run->rip);

	test_goto(&self->vcpu, 0);
	ASSERT_VMX(vmx_fields_set(self->vcpu.vmcs, (struct vmx_field *)user, TEST_COUNT(user)));
	ASSERT_EVENT(&self->vcpu, VECTOR_AC, 0);
}

GUEST64(split_lock, "lock incl 62(%rbx)\n vmcall");

/* Where the host has the CPU detect split locks, it is the host that hears of them. */
TEST_F(vm, split_lock_is_no_exception)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, split_lock));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	self->run->regs[VMX_RBX] = TEST_DATA;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_VMCALL);
	EXPECT_EQ(TEST_CODE + 4, self->run->rip) { TH_LOG("%s", test_describe(&self->vcpu)); }
}

VMX_TEST_MAIN
