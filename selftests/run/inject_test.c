// SPDX-License-Identifier: GPL-2.0
/* Events injected into guests, and events whose delivery an exit interrupted. */
#include "lib/vm_fixture.h"

#define RFLAGS_IF	0x202
#define RFLAGS_NO_IF	0x002

/* An IDT that lies where nothing is mapped: delivering anything is an EPT violation. */
#define AWAY		TEST_MMIO

GUEST64(nop_guest, "nop\n nop\n hlt");
GUEST64(sti_guest, "cli\n nop\n sti\n nop\n nop\n hlt");
GUEST64(int_guest, "int $0x42\n hlt");
GUEST64(ud_guest, "ud2\n hlt");
GUEST64(pf_guest, "mov $0x123456789000, %rax\n movb $0, (%rax)\n mov %cr2, %rbx\n hlt");

FIXTURE(inject) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
};

FIXTURE_SETUP(inject)
{
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, nop_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
}

FIXTURE_TEARDOWN(inject)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

static void inject(struct vmx_run_page *run, uint32_t type, uint8_t vector, uint32_t error,
		   uint32_t length)
{
	run->inject_info = VMX_INTR_VALID | type | vector;
	run->inject_error = error;
	run->inject_length = length;
}

static void set_rflags(struct vmx_run_page *run, uint64_t rflags)
{
	run->rflags = rflags;
	run->dirty |= VMX_STATE_RFLAGS;
}

/* What the guest returns to, from the frame under a handler that has just started. */
static uint64_t *return_rip(struct vmx_vcpu *vcpu)
{
	return test_at(vcpu->vm, vcpu->run->regs[VMX_RSP] + TEST_EVENT_RIP);
}

/* Makes the IDT's page appear under AWAY, and the IDT be there. */
static int move_idt_away(struct vmx_vcpu *vcpu)
{
	return vmx_field_set(vcpu->vmcs, VMX_F_GUEST_IDTR_BASE, AWAY);
}

static int bring_idt_back(struct vmx_vm *vm)
{
	return vmx_vm_map(vm, AWAY, test_at(vm, TEST_IDT), 4096, VMX_MMU_READ | VMX_MMU_WRITE);
}

TEST_F(inject, exception_with_error_code)
{
	inject(self->run, VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE, 13, 0x1230, 0);
	ASSERT_EVENT(&self->vcpu, 13, 0x1230);
	EXPECT_EQ(TEST_CODE, *return_rip(&self->vcpu));
	EXPECT_EQ(0, self->run->inject_info);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

TEST_F(inject, exception_without_error_code)
{
	inject(self->run, VMX_INTR_TYPE_HARDWARE_EXCEPTION, 6, 0xffff, 0);
	ASSERT_EVENT(&self->vcpu, 6, 0);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* Software interrupts and exceptions return behind their instruction. */
TEST_F(inject, software_events)
{
	inject(self->run, VMX_INTR_TYPE_SOFTWARE_INTERRUPT, 0x80, 0, 2);
	ASSERT_EVENT(&self->vcpu, 0x80, 0);
	EXPECT_EQ(TEST_CODE + 2, *return_rip(&self->vcpu));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);

	test_goto(&self->vcpu, 0);
	inject(self->run, VMX_INTR_TYPE_SOFTWARE_EXCEPTION, 3, 0, 1);
	ASSERT_EVENT(&self->vcpu, 3, 0);
	EXPECT_EQ(TEST_CODE + 1, *return_rip(&self->vcpu));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

TEST_F(inject, every_external_vector)
{
	for (unsigned int vector = 0; vector < 256; vector++) {
		/* The error-code push of the exceptions' stubs would shift the frame. */
		if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
			continue;
		test_goto(&self->vcpu, 0);
		set_rflags(self->run, RFLAGS_IF);
		inject(self->run, VMX_INTR_TYPE_EXTERNAL, vector, 0, 0);
		ASSERT_EVENT(&self->vcpu, vector, 0);
		EXPECT_EQ(0, self->run->rflags & 0x200);
		ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
		EXPECT_EQ(0x200, self->run->rflags & 0x200);
	}
}

/* VM entry refuses it, and says which check. */
TEST_F(inject, external_with_interrupts_off)
{
	set_rflags(self->run, RFLAGS_NO_IF);
	inject(self->run, VMX_INTR_TYPE_EXTERNAL, 0x30, 0, 0);
	ASSERT_VMX(vmx_run(&self->vcpu));
	ASSERT_TRUE(vmx_entry_failed(self->run)) { TH_LOG("%s", test_describe(&self->vcpu)); }
	EXPECT_EQ(VMX_CHECK_RFLAGS_IF, self->run->failure.check);
	/* The event was not delivered, so it is the user's again. */
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x30, self->run->inject_info);
	set_rflags(self->run, RFLAGS_IF);
	ASSERT_EVENT(&self->vcpu, 0x30, 0);
}

TEST_F(inject, interrupt_window)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, sti_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	self->run->window = VMX_WINDOW_INTR;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_INTERRUPT_WINDOW);
	/* Not right after STI, whose shadow covers one instruction. */
	EXPECT_EQ(TEST_CODE + 4, self->run->rip);
	EXPECT_EQ(VMX_WINDOW_INTR, self->run->window);
	self->run->window = 0;
	inject(self->run, VMX_INTR_TYPE_EXTERNAL, 0x55, 0, 0);
	ASSERT_EVENT(&self->vcpu, 0x55, 0);
	EXPECT_EQ(TEST_CODE + 4, *return_rip(&self->vcpu));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* The window does not close by itself, and opens no wider than the guest's IF. */
TEST_F(inject, window_stays)
{
	self->run->window = VMX_WINDOW_INTR;
	set_rflags(self->run, RFLAGS_NO_IF);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	set_rflags(self->run, RFLAGS_IF);
	test_goto(&self->vcpu, 0);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_INTERRUPT_WINDOW);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_INTERRUPT_WINDOW);
	EXPECT_EQ(TEST_CODE, self->run->rip);
	self->run->window = 0;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

TEST_F(inject, nmi_and_its_window)
{
	NEED(VMX_HAS_VIRTUAL_NMI);
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_PIN_CONTROLS, 0, VMX_PIN_VIRTUAL_NMIS));
	inject(self->run, VMX_INTR_TYPE_NMI, 2, 0, 0);
	ASSERT_EVENT(&self->vcpu, 2, 0);
	EXPECT_EQ(VMX_BLOCKING_BY_NMI, self->run->interruptibility & VMX_BLOCKING_BY_NMI);
	/* Until IRET no NMI can be delivered. */
	self->run->window = VMX_WINDOW_NMI;
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_NMI_WINDOW);
	EXPECT_EQ(0, self->run->interruptibility & VMX_BLOCKING_BY_NMI);
	EXPECT_EQ(TEST_CODE, self->run->rip);
	self->run->window = 0;
	inject(self->run, VMX_INTR_TYPE_NMI, 2, 0, 0);
	ASSERT_EVENT(&self->vcpu, 2, 0);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* Injected, but the IDT cannot be read: calling RUN again is right. */
TEST_F(inject, delivery_interrupted)
{
	uint32_t info = VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x31;

	ASSERT_VMX(move_idt_away(&self->vcpu));
	set_rflags(self->run, RFLAGS_IF);
	inject(self->run, VMX_INTR_TYPE_EXTERNAL, 0x31, 0, 0);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(AWAY + 0x31 * 16, self->run->physical & ~7ull);
	EXPECT_TRUE(self->run->valid & VMX_VALID_IDT);
	EXPECT_EQ(info, self->run->idt_info);
	EXPECT_EQ(info, self->run->inject_info);
	/* Again and again: it is neither lost nor doubled. */
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(info, self->run->inject_info);
	ASSERT_VMX(bring_idt_back(&self->vm));
	ASSERT_EVENT(&self->vcpu, 0x31, 0);
	EXPECT_EQ(TEST_CODE, *return_rip(&self->vcpu));
	EXPECT_EQ(0, self->run->inject_info);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* The guest's own INT n: the instruction's length comes along. */
TEST_F(inject, guest_int_interrupted)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, int_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_VMX(move_idt_away(&self->vcpu));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_SOFTWARE_INTERRUPT | 0x42, self->run->inject_info);
	EXPECT_EQ(2, self->run->inject_length);
	ASSERT_VMX(bring_idt_back(&self->vm));
	ASSERT_EVENT(&self->vcpu, 0x42, 0);
	EXPECT_EQ(TEST_CODE + 2, *return_rip(&self->vcpu));
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

TEST_F(inject, guest_exception_interrupted)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, ud_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_VMX(move_idt_away(&self->vcpu));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 6, self->run->inject_info);
	ASSERT_VMX(bring_idt_back(&self->vm));
	ASSERT_EVENT(&self->vcpu, 6, 0);
	EXPECT_EQ(TEST_CODE, *return_rip(&self->vcpu));
}

/* A page fault keeps its address in CR2, whatever the host does meanwhile. */
TEST_F(inject, guest_page_fault_interrupted)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, pf_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_VMX(move_idt_away(&self->vcpu));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE | 14,
		  self->run->inject_info);
	EXPECT_EQ(2, self->run->inject_error);
	/* A page fault of the host's own, at an address of its own. */
	memset(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	       1, 4096);
	ASSERT_VMX(bring_idt_back(&self->vm));
	ASSERT_EVENT(&self->vcpu, 14, 2);
	/* Behind the store: ten bytes of MOV, three of MOVB. */
	EXPECT_EQ(TEST_CODE + 10, *return_rip(&self->vcpu));
	*return_rip(&self->vcpu) += 3;
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0x123456789000, self->run->regs[VMX_RBX]);
}

/* An emulated access faults: its address is userspace's to give. */
TEST_F(inject, page_fault_with_address)
{
	GUEST64(cr2_guest, "mov %cr2, %rbx\n hlt");

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cr2_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	inject(self->run, VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE, 14, 4, 0);
	self->run->cr2 = 0xfeed0000beef;
	self->run->dirty |= VMX_STATE_CR2;
	ASSERT_EVENT(&self->vcpu, 14, 4);
	EXPECT_TRUE(self->run->valid & VMX_STATE_CR2);
	EXPECT_EQ(0xfeed0000beef, self->run->cr2);
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0xfeed0000beef, self->run->regs[VMX_RBX]);
}

/* The user may think better of it. */
TEST_F(inject, interrupted_delivery_can_be_cancelled)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, int_guest));
	ASSERT_VMX(test_set_idt(&self->vcpu));
	ASSERT_VMX(move_idt_away(&self->vcpu));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	self->run->inject_info = 0;
	test_goto(&self->vcpu, 2);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* An injected event replaces nothing that the guest is about to do. */
TEST_F(inject, kick_keeps_the_event)
{
	inject(self->run, VMX_INTR_TYPE_HARDWARE_EXCEPTION, 6, 0, 0);
	self->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vmx_run(&self->vcpu));
	self->run->immediate_exit = 0;
	EXPECT_EQ(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 6, self->run->inject_info);
	ASSERT_EVENT(&self->vcpu, 6, 0);
}

TEST_F(inject, events_that_do_not_exist)
{
	static const uint32_t wrong[] = {
		VMX_INTR_VALID | 1 << 8 | 0x20,				/* reserved type */
		VMX_INTR_VALID | VMX_INTR_TYPE_OTHER | 1,
		VMX_INTR_VALID | VMX_INTR_TYPE_NMI | 3,
		VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 32,
		VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | VMX_INTR_ERROR_CODE | 32,
		VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | VMX_INTR_UNBLOCK_NMI | 32,
		VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 1 << 13 | 32,
		VMX_INTR_TYPE_EXTERNAL | 32,				/* not valid */
	};

	for (size_t n = 0; n < TEST_COUNT(wrong); n++) {
		self->run->inject_info = wrong[n];
		EXPECT_EQ(-EINVAL, vmx_run(&self->vcpu)) { TH_LOG("event %#x", wrong[n]); }
		EXPECT_EQ(wrong[n], self->run->inject_info);
	}
	self->run->inject_info = 0;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* The CPU, not the module, knows which exceptions have error codes; some do not mind. */
TEST_F(inject, error_code_where_there_is_none)
{
	const bool any = self->vm.caps.msr.basic & 1ull << 56;

	inject(self->run, VMX_INTR_TYPE_HARDWARE_EXCEPTION | VMX_INTR_ERROR_CODE, 6, 0x55, 0);
	ASSERT_VMX(vmx_run(&self->vcpu));
	ASSERT_EQ(!any, vmx_entry_failed(self->run)) { TH_LOG("%s", test_describe(&self->vcpu)); }
	if (any) {
		/* Where the handler does not expect it: under what it takes for RIP. */
		EXPECT_EQ((uint32_t)VMX_REASON_VMCALL, self->run->reason);
		EXPECT_EQ(0x55, *return_rip(&self->vcpu));
		return;
	}
	EXPECT_EQ((uint32_t)VMX_REASON_VM_INSTRUCTION, self->run->reason);
	EXPECT_EQ(VMX_ERROR_CONTROLS, self->run->failure.error);
	EXPECT_EQ((uint32_t)VMX_CHECK_EVENT_ERROR_BIT, self->run->failure.check);
}

VMX_TEST_MAIN
