// SPDX-License-Identifier: GPL-2.0
/* Task switches: the exceptions of their checks, and the state that goes into the old TSS. */
#define _GNU_SOURCE
#include "vcpu_fixture.h"

#define GDT		0x2000u
#define OLD_TSS		0x3000u
#define NEW_TSS		0x4000u

#define CODE0		0x08u
#define DATA0		0x10u
#define CODE3		0x18u
#define DATA3		0x20u
#define OLD		0x28u
#define NEW		0x30u
#define LDT		0x38u
#define CHANGED		0x40u		/* with the access rights that a case gives it */
#define GDT_LIMIT	(CHANGED + 7)

/* Members of a 32-bit TSS (SDM, "32-Bit Task-State Segment (TSS)"). */
#define TSS_EIP		0x20
#define TSS_EFLAGS	0x24
#define TSS_SEGMENTS	0x48

enum { ES, CS, SS, DS, FS, GS, LDTR, NOTHING };
enum { CALL, IRET, JMP, GATE };

static void put(exits_t *self, uint32_t at, uint64_t value, unsigned int size)
{
	memcpy(self->machine.memory.ram + at, &value, size);
}

static uint64_t get(const exits_t *self, uint32_t at, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, self->machine.memory.ram + at, size);
	return value;
}

static void describe(exits_t *self, uint16_t selector, uint32_t base, uint8_t access)
{
	put(self, GDT + selector, 0xffff | (uint64_t)base << 16 | (uint64_t)access << 40 |
	    0x4full << 48, 8);
}

/* An exit whose task switch nothing is wrong with. */
static void prepare(exits_t *self, unsigned int by, unsigned int cpl)
{
	const uint16_t code = cpl ? CODE3 | 3 : CODE0, data = cpl ? DATA3 | 3 : DATA0;

	memset(self->machine.memory.ram, 0, RAM);
	exit_at(self, VMX_REASON_INTERRUPT_WINDOW, 0);
	self->run->reason = VMX_REASON_TASK_SWITCH;
	self->run->qualification = NEW | by << 30;
	self->run->efer = 0;
	self->run->cr0 = CR0_PE;
	vmcs[VMX_F_GUEST_CR0] = CR0_PE;
	vmcs[VMX_F_GUEST_GDTR_BASE] = GDT;
	vmcs[VMX_F_GUEST_GDTR_LIMIT] = GDT_LIMIT;
	/* The old task's LDT has the same as the GDT. */
	vmcs[VMX_F_GUEST_LDTR_BASE] = GDT;
	vmcs[VMX_F_GUEST_LDTR_LIMIT] = GDT_LIMIT;
	vmcs[VMX_F_GUEST_LDTR_ACCESS] = 0x82;
	vmcs[VMX_F_GUEST_TR_SELECTOR] = OLD;
	vmcs[VMX_F_GUEST_TR_BASE] = OLD_TSS;
	vmcs[VMX_F_GUEST_TR_ACCESS] = ACCESS_TSS;
	describe(self, CODE0, 0, 0x9b);
	describe(self, DATA0, 0, 0x93);
	describe(self, CODE3, 0, 0xfb);
	describe(self, DATA3, 0, 0xf3);
	describe(self, OLD, OLD_TSS, 0x8b);
	describe(self, NEW, NEW_TSS, by == IRET ? 0x8b : 0x89);
	describe(self, LDT, GDT, 0x82);
	for (unsigned int n = ES; n <= GS; n++)
		put(self, NEW_TSS + TSS_SEGMENTS + 4 * n, n == CS ? code : data, 4);
}

/* SDM, "Exception Conditions Checked During a Task Switch" */
TEST_F(exits, segments_of_a_new_task)
{
	static const struct {
		unsigned int segment;
		uint16_t selector;
		uint8_t access;
		unsigned int cpl;
		uint64_t limit;
		uint8_t vector;			/* 0 for none */
	} cases[] = {
		{ NOTHING },
		{ NOTHING, .cpl = 3 },
		{ LDTR, LDT }, { LDTR, LDT | 4, .vector = VECTOR_TS },
		{ LDTR, DATA0, .vector = VECTOR_TS }, { LDTR, CHANGED, 0x02, .vector = VECTOR_TS },
		{ CS, 0, .vector = VECTOR_TS }, { CS, DATA0, .vector = VECTOR_TS },
		{ CS, CODE0 | 3, .vector = VECTOR_TS }, { CS, CODE3, .vector = VECTOR_TS },
		{ CS, CHANGED, 0x1b, .vector = VECTOR_NP },
		{ CS, CHANGED | 3, 0x9f, .cpl = 3 },		/* conforming */
		{ CS, CHANGED, 0xff, .vector = VECTOR_TS },
		{ SS, 0, .vector = VECTOR_TS }, { SS, CODE0, .vector = VECTOR_TS },
		{ SS, DATA3, .vector = VECTOR_TS }, { SS, DATA0 | 3, .vector = VECTOR_TS },
		{ SS, CHANGED, 0x91, .vector = VECTOR_TS },
		{ SS, CHANGED, 0x13, .vector = VECTOR_SS },
		{ DS, 0 }, { DS, DATA3 }, { DS, CODE0 }, { DS, DATA0 | 3, .vector = VECTOR_TS },
		{ DS, OLD, .vector = VECTOR_TS }, { DS, CHANGED, 0x99, .vector = VECTOR_TS },
		{ DS, CHANGED, 0x13, .vector = VECTOR_NP },
		{ DS, DATA0, .cpl = 3, .vector = VECTOR_TS }, { DS, DATA3, .cpl = 3 },
		{ DS, CHANGED, 0x9f, .cpl = 3 },
		{ GS, CHANGED, 0x93 }, { GS, CHANGED, 0x93, .limit = 0x46, .vector = VECTOR_TS },
		{ GS, CHANGED + 8, .vector = VECTOR_TS },
		{ GS, CODE0 | 4, .vector = VECTOR_TS },		/* it has no LDT */
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		uint32_t expected = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION |
				    VMX_INTR_ERROR_CODE | cases[n].vector;
		const unsigned int segment = cases[n].segment;

		prepare(self, JMP, cases[n].cpl);
		if (cases[n].access)
			describe(self, CHANGED, 0, cases[n].access);
		if (cases[n].limit)
			vmcs[VMX_F_GUEST_GDTR_LIMIT] = cases[n].limit;
		if (segment != NOTHING)
			put(self, NEW_TSS + TSS_SEGMENTS + 4 * segment, cases[n].selector, 4);
		ASSERT_EQ(0, vmx_cpu_exit(self->cpu)) { TH_LOG("%s", vmx_error()); }
		if (!cases[n].vector)
			expected = 0;
		EXPECT_EQ(expected, self->run->inject_info) {
			TH_LOG("case %zu", n);
		}
		if (cases[n].vector)
			EXPECT_EQ(cases[n].selector & ~3, self->run->inject_error) {
				TH_LOG("case %zu", n);
			}
	}
}

/* Instructions come back behind themselves, exceptions and interrupts to where they came. */
TEST_F(exits, where_a_task_goes_on)
{
	static const struct {
		unsigned int by;
		uint32_t idt_info;
		uint64_t eip;
	} cases[] = {
		{ CALL, 0, RIP + 3 }, { JMP, 0, RIP + 3 }, { IRET, 0, RIP + 3 },
		{ GATE, VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x20, RIP },
		{ GATE, VMX_INTR_VALID | VMX_INTR_TYPE_NMI | 2, RIP },
		{ GATE, VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | 13, RIP },
		{ GATE, VMX_INTR_VALID | VMX_INTR_TYPE_SOFTWARE_EXCEPTION | 3, RIP + 3 },
		{ GATE, VMX_INTR_VALID | VMX_INTR_TYPE_SOFTWARE_INTERRUPT | 0x80, RIP + 3 },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		const bool nests = cases[n].by == CALL || cases[n].by == GATE;
		const bool nmi = (cases[n].idt_info & VMX_INTR_TYPE_MASK) == VMX_INTR_TYPE_NMI;

		prepare(self, cases[n].by, 0);
		self->run->idt_info = cases[n].idt_info;
		self->run->rflags |= RFLAGS_NT;
		if (cases[n].by == IRET)
			vmcs[VMX_F_GUEST_INTERRUPTIBILITY] = VMX_BLOCKING_BY_NMI;
		ASSERT_EQ(0, vmx_cpu_exit(self->cpu)) { TH_LOG("%s", vmx_error()); }
		EXPECT_EQ(cases[n].eip, get(self, OLD_TSS + TSS_EIP, 4)) { TH_LOG("case %zu", n); }
		EXPECT_EQ(cases[n].by != IRET,
			  !!(get(self, OLD_TSS + TSS_EFLAGS, 4) & RFLAGS_NT));
		EXPECT_EQ(nests, !!(vmcs[VMX_F_GUEST_RFLAGS] & RFLAGS_NT));
		EXPECT_EQ(nests ? OLD : 0, get(self, NEW_TSS, 2));
		EXPECT_EQ(nests ? 0x8b : 0x89, get(self, GDT + OLD + 5, 1));
		EXPECT_EQ(0x8b, get(self, GDT + NEW + 5, 1));
		EXPECT_EQ(nmi ? VMX_BLOCKING_BY_NMI : 0, vmcs[VMX_F_GUEST_INTERRUPTIBILITY]) {
			TH_LOG("case %zu", n);
		}
	}
}

TEST_HARNESS_MAIN
