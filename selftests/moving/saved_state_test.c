// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's state is carried into another one: in each mode, with values in all that a guest can
 * see, between EPT and shadow page tables. It comes out as it went in, and the guest goes on.
 */
#include <errno.h>

#include "lib/vmx_test.h"

#include "../../tools/lib/x86.h"
#include "../../tools/machine/internal.h"
#include "../../tools/machine/vcpu_state.h"

#define CODE_BYTES	16

/* The same bytes in every mode: VMCALL; MOV $0x55, %AX or %EAX; VMCALL. */
GUEST16(real_guest, ".byte 0x0f, 0x01, 0xc1\n mov $0x55, %ax\n .byte 0x0f, 0x01, 0xc1");
GUEST32(flat_guest, "vmcall\n mov $0x55, %eax\n vmcall");

FIXTURE(carried) {
	struct vmx_machine *from;
	struct vmx_machine *to;
	struct state_cpu *before;
	struct state_cpu *after;
};

FIXTURE_VARIANT(carried) {
	enum vmx_mmu_kind from;
	enum vmx_mmu_kind to;
	uint64_t needs;
};

#define WAY(name, mmu_from, mmu_to, features)						\
	FIXTURE_VARIANT_ADD(carried, name) {						\
		.from = mmu_from, .to = mmu_to, .needs = features,			\
	}

WAY(ept, VMX_MMU_EPT, VMX_MMU_EPT, VMX_HAS_EPT);
WAY(shadow, VMX_MMU_SHADOW, VMX_MMU_SHADOW, 0);
WAY(ept_to_shadow, VMX_MMU_EPT, VMX_MMU_SHADOW, VMX_HAS_EPT);
WAY(shadow_to_ept, VMX_MMU_SHADOW, VMX_MMU_EPT, VMX_HAS_EPT);

typedef FIXTURE_DATA(carried) fixture;

static int make(fixture *self, enum vmx_mmu_kind from, enum vmx_mmu_kind to)
{
	struct vmx_machine_config config = { .memory = TEST_RAM, .cpus = 1, .mmu = from };
	int ret;

	self->from = calloc(1, sizeof(*self->from));
	self->to = calloc(1, sizeof(*self->to));
	self->before = calloc(1, sizeof(*self->before));
	self->after = calloc(1, sizeof(*self->after));
	if (!self->after)
		return -ENOMEM;
	ret = vmx_machine_init(self->from, &config);
	config.mmu = to;
	return ret ?: vmx_machine_init(self->to, &config);
}

static void unmake(fixture *self)
{
	if (self->from)
		vmx_machine_free(self->from);
	if (self->to)
		vmx_machine_free(self->to);
	free(self->from);
	free(self->to);
	free(self->before);
	free(self->after);
}

FIXTURE_SETUP(carried)
{
	NEED(variant->needs);
	ASSERT_VMX(make(self, variant->from, variant->to));
}

FIXTURE_TEARDOWN(carried)
{
	unmake(self);
}

/* Runs to the VMCALL, which is done then. */
static int run_to_call(struct vmx_cpu *cpu)
{
	int ret = vmx_run(&cpu->vcpu);

	if (!ret && cpu->vcpu.run->reason != VMX_REASON_VMCALL)
		return -EBADE;
	cpu->vcpu.run->retire = 1;
	return ret ?: vmx_cpu_settle(cpu);
}

static int begin(struct vmx_cpu *cpu, enum vmx_mode mode)
{
	const bool real = mode == VMX_MODE_REAL;
	int ret = test_start_code(&cpu->vcpu, mode, real ? real_guest : flat_guest, CODE_BYTES);

	return ret ?: run_to_call(cpu);
}

/* Something else in everything that does not decide where the guest goes on. */
static void fill(struct state_cpu *state, const struct vmx_cpu *cpu)
{
	static const uint64_t values[] = { 0x10008, 0x1111, 0x2222, 0x3333 };

	for (unsigned int n = 0; n < 16; n++)
		if (n != VMX_RSP)
			state->regs[n] = 0x1010101 * n;
	for (unsigned int n = 0; n < 4; n++)
		state->dr[n] = 0x123400 + n;
	state->dr6 = DR6_FIXED | 5;
	state->dr7 = DR7_DEFAULT | 0x20;
	state->cr2 = 0x7654321;
	state->debugctl = DEBUGCTL_BTF;
	state->pending_debug = 1;
	state->interruptibility = VMX_BLOCKING_BY_NMI;
	state->sysenter_cs = 0x10;
	state->sysenter_esp = 0x1234;
	state->sysenter_eip = 0x5678;
	state->tsc_adjust = 0x100000000ull;
	if (cpu->machine->vm.caps.features & VMX_HAS_LOAD_PAT)
		state->pat = 0x0007010600070106ull;
	for (unsigned int n = 0; n < state->msr_count; n++)
		state->msrs[n].value = values[n % 4];
	state->event_info = VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x33;
	/* XMM3 and ST0; MXCSR rounds down. */
	memset(state->fpu + FPU_XMM_AT + 48, 0x5a, 16);
	memset(state->fpu + FPU_ST_AT, 0x77, 8);
	state->fpu[FPU_MXCSR_AT] = 0x80;
	state->fpu[FPU_MXCSR_AT + 1] = 0x3f;
	if (state->fpu_length > 512)
		state->fpu[512] |= 3;
}

#define SAME(member) do {								\
	if (memcmp(&a->member, &b->member, sizeof(a->member)))				\
		return #member;								\
} while (0)

static const char *difference(const struct state_cpu *a, const struct state_cpu *b)
{
	SAME(regs);
	SAME(rip);
	SAME(rflags);
	SAME(cr0);
	SAME(cr2);
	SAME(cr3);
	SAME(cr4);
	SAME(efer);
	SAME(pat);
	for (unsigned int n = 0; n < STATE_SEGMENTS; n++) {
		SAME(segments[n].selector);
		SAME(segments[n].limit);
		SAME(segments[n].access);
		SAME(segments[n].base);
	}
	SAME(gdt_base);
	SAME(gdt_limit);
	SAME(idt_base);
	SAME(idt_limit);
	SAME(sysenter_cs);
	SAME(sysenter_esp);
	SAME(sysenter_eip);
	SAME(dr);
	SAME(dr6);
	SAME(dr7);
	SAME(debugctl);
	SAME(pending_debug);
	SAME(interruptibility);
	SAME(activity);
	SAME(event_info);
	SAME(tsc_adjust);
	SAME(halted);
	SAME(msr_count);
	for (unsigned int n = 0; n < a->msr_count; n++) {
		SAME(msrs[n].index);
		SAME(msrs[n].value);
	}
	SAME(xcr0);
	SAME(fpu_length);
	SAME(fpu);
	return NULL;
}

/* The vCPU that goes on has no kernel of its own: it is where the other was. */
static int move(fixture *self)
{
	struct vmx_cpu *to = &self->to->cpus[0];
	int ret;

	to->lapic.waiting = false;
	memcpy(self->to->memory.ram, self->from->memory.ram, TEST_RAM);
	ret = vmx_cpu_put_state(to, self->before);
	ret = ret ?: vmx_vm_invalidate(&self->to->vm, 0, TEST_RAM);
	ret = ret ?: vmx_cpu_settle(to);
	return ret ?: vmx_cpu_get_state(to, self->after);
}

static void carry(struct __test_metadata *_metadata, fixture *self, enum vmx_mode mode)
{
	struct vmx_cpu *from = &self->from->cpus[0], *to = &self->to->cpus[0];
	const char *different;

	ASSERT_VMX(begin(from, mode));
	ASSERT_VMX(vmx_cpu_get_state(from, self->before));
	fill(self->before, from);
	/* In a vCPU of the first kind all of it holds; then it is carried over. */
	ASSERT_VMX(vmx_cpu_put_state(from, self->before));
	ASSERT_VMX(vmx_cpu_settle(from));
	ASSERT_VMX(vmx_cpu_get_state(from, self->after));
	different = difference(self->before, self->after);
	EXPECT_EQ(NULL, different) { TH_LOG("put and got: %s", different); }
	ASSERT_VMX(move(self));
	different = difference(self->before, self->after);
	EXPECT_EQ(NULL, different) { TH_LOG("carried: %s", different); }

	/* And without the events, it runs. */
	self->before->event_info = 0;
	self->before->pending_debug = 0;
	self->before->interruptibility = 0;
	ASSERT_VMX(move(self));
	ASSERT_VMX(run_to_call(to));
	EXPECT_EQ(0x55, to->vcpu.run->regs[VMX_RAX] & 0xffff);
	EXPECT_EQ(0x1010101 * VMX_RBX, to->vcpu.run->regs[VMX_RBX]);
}

TEST_F(carried, long_mode)
{
	carry(_metadata, self, VMX_MODE_LONG);
}

TEST_F(carried, pae)
{
	carry(_metadata, self, VMX_MODE_PAE);
}

TEST_F(carried, protected_mode)
{
	carry(_metadata, self, VMX_MODE_PROTECTED);
}

/* Which only guests with EPT can be in. */
TEST(real_mode)
{
	fixture self = { NULL };

	NEED(VMX_HAS_UNRESTRICTED);
	ASSERT_VMX(make(&self, VMX_MMU_EPT, VMX_MMU_EPT));
	carry(_metadata, &self, VMX_MODE_REAL);
	unmake(&self);
	ASSERT_VMX(make(&self, VMX_MMU_EPT, VMX_MMU_SHADOW));
	ASSERT_VMX(begin(&self.from->cpus[0], VMX_MODE_REAL));
	ASSERT_VMX(vmx_cpu_get_state(&self.from->cpus[0], self.before));
	EXPECT_EQ(-EOPNOTSUPP, move(&self));
	EXPECT_NE(NULL, strstr(vmx_error(), "real mode"));
	unmake(&self);
}

/* States that the stream cannot judge are judged before the guest goes on. */
TEST_F(carried, an_impossible_state)
{
	ASSERT_VMX(begin(&self->from->cpus[0], VMX_MODE_LONG));
	ASSERT_VMX(vmx_cpu_get_state(&self->from->cpus[0], self->before));
	self->before->rflags = 0;
	EXPECT_EQ(-EINVAL, move(self));
	EXPECT_NE(NULL, strstr(vmx_error(), "cannot go on here")) {
		TH_LOG("%s", vmx_error());
	}
	ASSERT_VMX(vmx_cpu_get_state(&self->from->cpus[0], self->before));
	self->before->msrs[0].index = 0x10a;
	EXPECT_EQ(-EOPNOTSUPP, move(self));
	EXPECT_NE(NULL, strstr(vmx_error(), "MSR 0x10a"));
}

VMX_TEST_MAIN
