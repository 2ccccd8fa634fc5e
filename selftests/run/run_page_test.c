// SPDX-License-Identifier: GPL-2.0
/* What RUN takes from the run page, and what it leaves alone when it refuses. */
#include "lib/run_page.h"
#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");
GUEST64(cr2_guest, "mov %cr2, %rbx\n hlt");

#define INTERRUPT	(VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x40)
#define FAULT		(VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION |		\
			 VMX_INTR_ERROR_CODE | 13)
#define RFLAGS_IF	0x200u

/* Another value that each may have. */
static const uint64_t others[RUN_CHANGEABLE] = {
	TEST_CODE + 0x40, TEST_STACK + 0x40, 0xad7, 0x80010031, VMX_GUEST_PAGE_TABLES + 8, 0x2a0,
	0xd01, 8, 1,
};

/* The module keeps VMXE set in the field, and MCE as the host has it. */
#define CR4_HOST	(1ull << 13 | 1ull << 6)

static void get_state(const struct vmx_vcpu *vcpu, uint64_t *values)
{
	memset(values, 0, RUN_CHANGEABLE * sizeof(*values));
	for (size_t n = 0; n < RUN_CHANGEABLE; n++) {
		vmx_field_get(vcpu->vmcs, run_members[n].field, &values[n]);
		if (run_members[n].field == VMX_F_GUEST_CR4)
			values[n] &= ~CR4_HOST;
	}
}

/* Takes the input, and comes back before the guest is entered. */
static int take(struct vmx_vcpu *vcpu)
{
	int ret;

	vcpu->run->immediate_exit = 1;
	ret = vmx_run(vcpu);
	vcpu->run->immediate_exit = 0;
	return ret;
}

/* A bit has one member taken, as it is, and no other. */
TEST_F(vm, each_dirty_bit)
{
	uint64_t before[RUN_CHANGEABLE], after[RUN_CHANGEABLE];

	for (size_t n = 0; n < RUN_CHANGEABLE; n++) {
		const struct run_member *member = &run_members[n];

		if (member->field == VMX_F_GUEST_EFER &&
		    !(self->vm.caps.features & VMX_HAS_LOAD_EFER))
			continue;
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
		EXPECT_EQ(-EINTR, take(&self->vcpu));
		get_state(&self->vcpu, before);
		for (size_t i = 0; i < RUN_CHANGEABLE; i++)
			run_set(self->run, &run_members[i], others[i]);
		self->run->dirty = member->bit;
		EXPECT_EQ(-EINTR, take(&self->vcpu));
		EXPECT_EQ(0, self->run->dirty);
		get_state(&self->vcpu, after);
		for (size_t i = 0; i < RUN_CHANGEABLE; i++) {
			EXPECT_EQ(i == n ? others[i] : before[i], after[i]) {
				TH_LOG("dirty %s: %s", member->name, run_members[i].name);
			}
		}
	}
}

/* CR2 has no field. */
TEST_F(vm, cr2_by_its_dirty_bit)
{
	for (uint32_t n = 0; n < 4; n++) {
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, cr2_guest));
		self->run->cr2 = 0x123456789000 + n;
		self->run->dirty |= n % 2 ? VMX_STATE_CR2 : 0;
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		EXPECT_EQ(n ? 0x123456789000 + (n - 1) / 2 * 2 + 1 : 0, self->run->regs[VMX_RBX]);
	}
}

static bool is_event(uint32_t type, uint32_t vector, bool error)
{
	switch (type) {
	case VMX_INTR_TYPE_EXTERNAL:
	case VMX_INTR_TYPE_SOFTWARE_INTERRUPT:
		return !error;
	case VMX_INTR_TYPE_NMI:
		return vector == 2 && !error;
	case VMX_INTR_TYPE_HARDWARE_EXCEPTION:
	case VMX_INTR_TYPE_PRIVILEGED_EXCEPTION:
	case VMX_INTR_TYPE_SOFTWARE_EXCEPTION:
		return vector < 32;
	default:
		return false;
	}
}

/* Reserved bits, types and vectors (SDM, "VM-Entry Controls for Event Injection"). */
TEST_F(vm, events)
{
	static const uint32_t vectors[] = { 0, 2, 3, 31, 32, 255 };
	struct vmx_run_page *run = self->run;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (uint32_t type = 0; type < 8; type++)
		for (size_t n = 0; n < TEST_COUNT(vectors); n++)
			for (int error = 0; error < 2; error++) {
				const uint32_t info = type << 8 | vectors[n] |
						      (error ? VMX_INTR_ERROR_CODE : 0);
				const bool valid = is_event(type << 8, vectors[n], error);

				run->inject_info = info | VMX_INTR_VALID;
				EXPECT_EQ(valid ? -EINTR : -EINVAL, take(&self->vcpu)) {
					TH_LOG("event %#x", run->inject_info);
				}
				/* One that is refused stays; one that was taken comes back. */
				EXPECT_EQ(info | VMX_INTR_VALID, run->inject_info);
				run->inject_info = info;
				EXPECT_EQ(info ? -EINVAL : -EINTR, take(&self->vcpu));
			}
	for (int bit = 12; bit < 31; bit++) {
		run->inject_info = INTERRUPT | 1u << bit;
		EXPECT_EQ(-EINVAL, take(&self->vcpu)) { TH_LOG("bit %d", bit); }
	}
}

/* An event comes with the error code and length that it was given, and goes back with them. */
TEST_F(vm, event_comes_back_whole)
{
	struct vmx_run_page *run = self->run;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	run->inject_info = FAULT;
	run->inject_error = 0x1238;
	run->inject_length = 7;
	EXPECT_EQ(-EINTR, take(&self->vcpu));
	EXPECT_EQ(FAULT, run->inject_info);
	EXPECT_EQ(0x1238, run->inject_error);
	EXPECT_EQ(7, run->inject_length);
	/* Userspace takes it away: it is not delivered. */
	run->inject_info = 0;
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, run->inject_info);
}

/* Refused input, beside input that is right. */
static void spoil(struct vmx_run_page *run, unsigned int how)
{
	switch (how) {
	case 0:
		run->dirty |= 1u << 15;
		break;
	case 1:
		run->dirty |= VMX_STATE_CS;
		break;
	case 2:
		run->window = 4;
		break;
	case 3:
		run->inject_info |= 1u << 12;
		break;
	case 4:
		run->inject_info &= ~VMX_INTR_VALID;
		break;
	case 5:
		run->activity = VMX_ACTIVITY_WAIT_FOR_SIPI;
		run->dirty |= VMX_STATE_ACTIVITY;
		break;
	case 6:
		run->retire = 2;
		break;
	case 7:
		run->retire = 1;
		run->length = 0;
		break;
	case 8:
		run->retire = 1;
		run->length = 16;
		break;
	case 9:
		run->cr4 = 1ull << 63;
		run->dirty |= VMX_STATE_CR4;
		break;
	}
}

#define SPOILT	10

/* Neither the page, nor the guest, nor the event. */
TEST_F(vm, refused_and_nothing_changed)
{
	uint64_t before[RUN_CHANGEABLE], after[RUN_CHANGEABLE];
	struct vmx_run_page page;

	for (unsigned int how = 0; how < SPOILT; how++) {
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
		ASSERT_VMX(test_set_idt(&self->vcpu));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		get_state(&self->vcpu, before);
		self->run->inject_info = INTERRUPT;
		self->run->rip = TEST_CODE + 0x100;
		self->run->regs[VMX_RSP] = TEST_STACK - 64;
		self->run->rflags = 2 | RFLAGS_IF;
		self->run->activity = 0;
		self->run->deadline = 12345;
		self->run->dirty = VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS;
		spoil(self->run, how);
		page = *self->run;
		EXPECT_EQ(-EINVAL, vmx_run(&self->vcpu)) { TH_LOG("case %u", how); }
		EXPECT_EQ(0, memcmp(&page, self->run, sizeof(page))) { TH_LOG("case %u", how); }
		get_state(&self->vcpu, after);
		EXPECT_EQ(0, memcmp(before, after, sizeof(before))) { TH_LOG("case %u", how); }
		/* The guest is where it was, and nothing comes in between. */
		self->run->dirty = 0;
		self->run->inject_info = 0;
		self->run->window = 0;
		self->run->deadline = 0;
		self->run->length = 1;
		self->run->retire = 0;
		test_goto(&self->vcpu, 0);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		EXPECT_EQ(TEST_CODE, self->run->rip) { TH_LOG("case %u", how); }
	}
}

VMX_TEST_MAIN
