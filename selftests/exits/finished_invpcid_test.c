// SPDX-License-Identifier: GPL-2.0
/*
 * INVPCID, which the CPU finishes with EPT and the module with shadow page tables: the address of
 * its descriptor, the descriptor, and the exceptions, all the same with both.
 */
#include "lib/machine_fixture.h"

#define GP	13
#define SS	12
#define PF	14
#define DB	1

/* Linear: two pages with data, and one that nothing is mapped at. Beside the 4 GiB of the start. */
#define LINEAR		0x140000000ull
#define ABSENT		(LINEAR + 0x2000)
/* Guest-physical: tables, and the pages that LINEAR has, which do not follow each other. */
#define DIRECTORY	0x100000u
#define TABLE		0x101000u
#define FIRST		0x104000u
#define SECOND		0x106000u
#define LOW		0xf000u		/* for addresses of 16 bits */

#define NONCANONICAL	0x0000800000000000ull
#define RESERVED	0x1000ull

/* What is special about a page at LINEAR, or a segment. */
enum special {
	NOTHING, RESERVED_PTE, USER_PTE, SHORT_DS, UNUSABLE_DS, EXECUTE_ONLY_CS, DOWN_DS,
	DOWN_DS_INSIDE, HIGH_DS, SHORT_SS, GS_BASE,
};

struct row {
	const char *name;
	const unsigned char *code, *end;
	enum vmx_mode mode;
	uint64_t rax, rcx, pcid, address;
	uint64_t cr4, flags;
	enum special special;
	uint64_t vector, error, cr2;
	bool shadow_only;
};

#define ROW(bits, id, text, ...)							\
	GUEST##bits(id##_row, text);							\
	static const struct row id##_is = {						\
		.name = #id ": " text, .code = id##_row, .end = id##_row_end,		\
		.rcx = TEST_DATA, .vector = NONE, .mode = MODE_OF_##bits, __VA_ARGS__	\
	};										\
	static const struct row *const id##_at						\
		__attribute__((section("invpcid_rows"), used)) = &id##_is
extern const struct row *const __start_invpcid_rows[], *const __stop_invpcid_rows[];

#define MODE_OF_64	VMX_MODE_LONG
#define MODE_OF_32	VMX_MODE_PAE

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"

/* Types, and what each demands of the descriptor */
#define PLAIN "invpcid (%rcx), %rax"
ROW(64, address, PLAIN, .rax = 0, .address = LINEAR);
ROW(64, address_high, PLAIN, .rax = 0, .address = ~0ull << 47);
ROW(64, address_bad, PLAIN, .rax = 0, .address = NONCANONICAL, .vector = GP);
ROW(64, address_pcid, PLAIN, .rax = 0, .pcid = 5, .vector = GP);
ROW(64, address_pcide, PLAIN, .rax = 0, .pcid = 5, .cr4 = CR4_PCIDE);
ROW(64, address_bad_pcide, PLAIN, .rax = 0, .pcid = 5, .address = NONCANONICAL,
    .cr4 = CR4_PCIDE, .vector = GP);
ROW(64, context, PLAIN, .rax = 1, .address = NONCANONICAL);
ROW(64, context_pcid, PLAIN, .rax = 1, .pcid = 0xfff, .vector = GP);
ROW(64, context_pcide, PLAIN, .rax = 1, .pcid = 0xfff, .cr4 = CR4_PCIDE);
ROW(64, all, PLAIN, .rax = 2, .pcid = 5, .address = NONCANONICAL);
ROW(64, all_but_global, PLAIN, .rax = 3, .pcid = 5, .address = NONCANONICAL);
ROW(64, no_type, PLAIN, .rax = 4, .vector = GP);
/* Not by Bochs, see Documentation/emulator.rst */
ROW(64, high_type, PLAIN, .rax = 1ull << 32, .vector = GP, .shadow_only = true);
ROW(64, reserved_0, PLAIN, .rax = 0, .pcid = RESERVED, .vector = GP);
ROW(64, reserved_1, PLAIN, .rax = 1, .pcid = 1ull << 63, .cr4 = CR4_PCIDE, .vector = GP);
ROW(64, reserved_2, PLAIN, .rax = 2, .pcid = 1ull << 32, .vector = GP);
ROW(64, reserved_3, PLAIN, .rax = 3, .pcid = RESERVED, .vector = GP);

/* Where the descriptor is: base, index, displacement, RIP, address size, segments */
ROW(64, index, "invpcid -0x100(%rcx,%rax,8), %rax", .rax = 2, .rcx = TEST_DATA + 0xf0);
ROW(64, no_base, "invpcid 0x1fffe(,%rax,1), %rax", .rax = 2);
ROW(64, rip, "invpcid 0x20000(%rip), %rax", .rax = 2, .rcx = 0);
ROW(64, stack, "invpcid -0x20000(%rsp), %rax", .rax = 2, .rcx = 0);
ROW(64, narrow, "invpcid (%ecx), %rax", .rax = 2, .rcx = TEST_DATA | 0xfffffff100000000);
ROW(64, gs, "invpcid %gs:(%rcx), %rax", .rax = 2, .rcx = 0x1000, .special = GS_BASE);
ROW(64, gs_wraps, "invpcid %gs:(%rcx), %rax", .rax = 2, .special = GS_BASE,
    .rcx = NONCANONICAL, .vector = GP);
ROW(64, bad, PLAIN, .rax = 2, .rcx = NONCANONICAL, .vector = GP);
ROW(64, bad_end, PLAIN, .rax = 2, .rcx = NONCANONICAL - 8, .vector = GP);
ROW(64, bad_stack, "invpcid (%rsp,%rcx,1), %rax", .rax = 2, .rcx = NONCANONICAL, .vector = SS);
ROW(64, ds_has_no_limit, PLAIN, .rax = 2, .special = SHORT_DS);

/* The page walk; the descriptor may lie on two pages */
ROW(64, mapped, PLAIN, .rax = 2, .rcx = LINEAR);
ROW(64, split, PLAIN, .rax = 2, .rcx = LINEAR + 0xff8);
ROW(64, split_in_pcid, PLAIN, .rax = 2, .rcx = LINEAR + 0xffd);
ROW(64, split_reserved, PLAIN, .rax = 2, .rcx = LINEAR + 0xffd, .pcid = 1ull << 50, .vector = GP);
ROW(64, split_address, PLAIN, .rax = 0, .rcx = LINEAR + 0xff1, .address = 1ull << 60,
    .vector = GP);
ROW(64, absent, PLAIN, .rax = 2, .rcx = ABSENT, .vector = PF, .cr2 = ABSENT);
ROW(64, half_absent, PLAIN, .rax = 2, .rcx = ABSENT - 8, .vector = PF, .cr2 = ABSENT);
ROW(64, far_absent, PLAIN, .rax = 0, .rcx = ~0ull << 47, .vector = PF, .cr2 = ~0ull << 47);
ROW(64, absent_and_no_type, PLAIN, .rax = 4, .rcx = ABSENT, .vector = PF, .cr2 = ABSENT);
ROW(64, reserved_pte, PLAIN, .rax = 2, .rcx = LINEAR + 8, .special = RESERVED_PTE,
    .vector = PF, .error = 9, .cr2 = LINEAR + 8);
ROW(64, user_pte, PLAIN, .rax = 2, .rcx = LINEAR, .special = USER_PTE);
ROW(64, smap, PLAIN, .rax = 2, .rcx = LINEAR, .special = USER_PTE, .cr4 = CR4_SMAP,
    .vector = PF, .error = 1, .cr2 = LINEAR);
ROW(64, smap_allowed, PLAIN, .rax = 2, .rcx = LINEAR, .special = USER_PTE, .cr4 = CR4_SMAP,
    .flags = RFLAGS_AC);

/* 32-bit code: registers have 32 bits, and segments have limits */
#define PLAIN32 "invpcid (%ecx), %eax"
ROW(32, protected, PLAIN32, .mode = VMX_MODE_PROTECTED, .rax = 2);
ROW(32, pae, PLAIN32, .rax = 0, .address = LINEAR);
ROW(32, pae_high_halves, PLAIN32, .rax = 2 | 1ull << 32, .rcx = TEST_DATA | 1ull << 40);
ROW(32, pae_pcid, PLAIN32, .rax = 1, .pcid = 1, .vector = GP);
ROW(32, pae_bad_address, PLAIN32, .rax = 0, .address = NONCANONICAL, .vector = GP);
ROW(32, pae_no_type, PLAIN32, .rax = 5, .vector = GP);
ROW(32, wide, "invpcid (%bx), %eax", .rax = 2);
ROW(32, wide_index, "invpcid -0x1000(%bx,%si), %eax", .rax = 2);
ROW(32, ds_short, PLAIN32, .rax = 2, .special = SHORT_DS, .vector = GP);
ROW(32, ds_short_inside, "invpcid -8(%ecx), %eax", .rax = 2, .special = SHORT_DS);
ROW(32, ds_short_end, "invpcid -7(%ecx), %eax", .rax = 2, .special = SHORT_DS, .vector = GP);
ROW(32, ss_short, "invpcid %ss:(%ecx), %eax", .rax = 2, .rcx = TEST_STACK + 0x2000,
    .special = SHORT_SS, .vector = SS);
ROW(32, ds_unusable, PLAIN32, .rax = 2, .special = UNUSABLE_DS, .vector = GP);
ROW(32, es_usable, "invpcid %es:(%ecx), %eax", .rax = 2, .special = UNUSABLE_DS);
ROW(32, cs, "invpcid %cs:(%ecx), %eax", .rax = 2);
ROW(32, cs_execute_only, "invpcid %cs:(%ecx), %eax", .rax = 2, .special = EXECUTE_ONLY_CS,
    .vector = GP);
ROW(32, ds_down, PLAIN32, .rax = 2, .special = DOWN_DS, .vector = GP);
ROW(32, ds_down_inside, PLAIN32, .rax = 2, .special = DOWN_DS_INSIDE);
ROW(32, ds_wraps, "invpcid 0x1000(%ecx), %eax", .rax = 2, .special = HIGH_DS);

#pragma GCC diagnostic pop

static void write_at(struct vmx_vm *vm, uint64_t gpa, const struct row *row)
{
	const uint64_t descriptor[] = { row->pcid, row->address };

	memcpy(test_at(vm, gpa), descriptor, sizeof(descriptor));
}

/* The descriptor everywhere that a row may look, and what would be wrong next to it. */
static void write_data(struct vmx_vm *vm, const struct row *row)
{
	const uint64_t descriptor[] = { row->pcid, row->address };
	const uint64_t at = row->rcx - LINEAR;

	write_at(vm, TEST_DATA - 8, row);
	write_at(vm, TEST_DATA, row);
	write_at(vm, LOW, row);
	write_at(vm, TEST_CODE + 0x20000 + (row->end - row->code), row);
	memset(test_at(vm, FIRST), 0xff, 4 * 4096);
	if (row->rcx < LINEAR || row->rcx >= ABSENT)
		return;
	for (unsigned int n = 0; n < sizeof(descriptor); n++)
		*(char *)test_at(vm, at + n < 4096 ? FIRST + at + n : SECOND + at + n - 4096) =
			((const char *)descriptor)[n];
}

static void write_tables(struct vmx_vm *vm, enum special special)
{
	uint64_t *pointers = test_at(vm, VMX_GUEST_PAGE_TABLES + 0x1000);
	uint64_t *table = memset(test_at(vm, TABLE), 0, 4096), all = 0;

	/* User pages are of users at each level; the supervisor reads them unless SMAP forbids. */
	if (special == USER_PTE) {
		*(uint64_t *)test_at(vm, VMX_GUEST_PAGE_TABLES) |= 4;
		all = 4;
	}
	memset(test_at(vm, DIRECTORY), 0, 4096);
	pointers[LINEAR >> 30] = DIRECTORY | 3 | all;
	*(uint64_t *)test_at(vm, DIRECTORY) = TABLE | 3 | all;
	table[0] = FIRST | 1 | all | (special == RESERVED_PTE ? 1ull << 51 : 0);
	table[1] = SECOND | 1;
}

/* A segment register gets another base, limit, or type. */
static int set_segment(int vmcs, unsigned int n, uint64_t base, uint64_t limit, uint64_t access)
{
	int ret = vmx_field_set(vmcs, VMX_F_GUEST_ES_BASE + 2 * n, base);

	ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_ES_LIMIT + 2 * n, limit);
	return ret ?: vmx_field_set(vmcs, VMX_F_GUEST_ES_ACCESS + 2 * n, access);
}

/* SDM, "Code- and Data-Segment Descriptor Types": present, accessed, of 32 bits */
#define DATA_UP		0x4093
#define DATA_DOWN	0x4097
#define BIG		0x8000
#define NUMBER_CS	1
#define NUMBER_SS	2
#define NUMBER_DS	3
#define NUMBER_GS	5

static int set_special(int vmcs, enum special special)
{
	switch (special) {
	case SHORT_DS:
		return set_segment(vmcs, NUMBER_DS, 0, TEST_DATA + 7, DATA_UP);
	case UNUSABLE_DS:
		return set_segment(vmcs, NUMBER_DS, 0, 0, VMX_ACCESS_UNUSABLE);
	case EXECUTE_ONLY_CS:
		return vmx_field_change(vmcs, VMX_F_GUEST_CS_ACCESS, 2, 0);
	case DOWN_DS:
		return set_segment(vmcs, NUMBER_DS, 0, TEST_DATA, DATA_DOWN);
	case DOWN_DS_INSIDE:
		return set_segment(vmcs, NUMBER_DS, 0, TEST_DATA - 1, DATA_DOWN);
	case HIGH_DS:
		return set_segment(vmcs, NUMBER_DS, 0xfffff000, UINT32_MAX, DATA_UP | BIG);
	case SHORT_SS:
		return set_segment(vmcs, NUMBER_SS, 0, TEST_STACK + 0xfff, DATA_UP | BIG);
	case GS_BASE:
		return vmx_field_set(vmcs, VMX_F_GUEST_GS_BASE, TEST_DATA - 0x1000);
	default:
		return 0;
	}
}

static int enable(struct vmx_cpu *cpu, uint64_t cr4)
{
	const int vmcs = cpu->vcpu.vmcs;
	int ret = vmx_field_change(vmcs, VMX_F_CPU2_CONTROLS, 0, VMX_CPU2_INVPCID);

	cpu->vcpu.run->cr2 = 0;
	cpu->vcpu.run->dirty |= VMX_STATE_CR2;
	/* It is not what an earlier row had. */
	ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CR4, CR4_PCIDE | CR4_SMAP, 0);
	return ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CR4, 0, cr4);
}

static int prepare_row(struct vmx_cpu *cpu, const struct instance *instance)
{
	const struct row *row = __start_invpcid_rows[instance->detail];
	struct vmx_run_page *run = cpu->vcpu.run;
	int ret = enable(cpu, row->cr4);

	write_data(cpu->vcpu.vm, row);
	if (row->mode == VMX_MODE_LONG)
		write_tables(cpu->vcpu.vm, row->special);
	/* Of 16-bit addresses, whose sum has 16 bits as well. */
	run->regs[VMX_RBX] = LOW | 0xffff0000;
	run->regs[VMX_RSI] = 0x1000;
	return ret ?: set_special(cpu->vcpu.vmcs, row->special);
}

static int prepare_enabled(struct vmx_cpu *cpu, const struct instance *instance)
{
	(void)instance;
	return enable(cpu, 0);
}

static bool has_invpcid(const struct vmx_cpu *cpu)
{
	return cpu->vcpu.vm->caps.cpu2.may & VMX_CPU2_INVPCID;
}

static bool can_have(const struct vmx_cpu *cpu, const struct row *row)
{
	const struct vmx_caps *caps = &cpu->vcpu.vm->caps;

	return !(row->cr4 & ~caps->msr.cr4_fixed1) &&
	       (!row->shadow_only || cpu->vcpu.vm->shadow);
}

static void expect(struct __test_metadata *_metadata, struct vmx_cpu *cpu, const struct row *row,
		   const struct instance *instance, const struct outcome *outcome)
{
	const bool traps = row->vector == NONE && instance->flags & RFLAGS_TF;
	const size_t length = row->end - row->code;
	uint64_t rflags = RFLAGS_FIXED | (instance->flags & ~RFLAGS_RF);

	if (row->vector != NONE)
		rflags |= RFLAGS_RF;
	EXPECT_EQ(traps ? DB : row->vector, outcome->vector) {
		TH_LOG("%s, flags %#llx: %s", row->name, (unsigned long long)instance->flags,
		       describe(outcome));
	}
	if (row->vector != NONE)
		EXPECT_EQ(row->error, outcome->error) { TH_LOG("%s", row->name); }
	EXPECT_EQ(TEST_CODE + (row->vector == NONE ? length : 0), outcome->rip) {
		TH_LOG("%s, flags %#llx", row->name, (unsigned long long)instance->flags);
	}
	EXPECT_EQ(rflags, outcome->rflags) {
		TH_LOG("%s, flags %#llx", row->name, (unsigned long long)instance->flags);
	}
	EXPECT_EQ(row->cr2, cpu->vcpu.run->cr2) { TH_LOG("%s", row->name); }
	EXPECT_EQ(0, outcome->blocking) { TH_LOG("%s", row->name); }
}

TEST_F(finished, as_the_sdm_says)
{
	const size_t count = __stop_invpcid_rows - __start_invpcid_rows;

	if (!has_invpcid(self->cpu))
		SKIP(return, "the CPU has no INVPCID");
	for (unsigned int n = 0; n < count * TEST_COUNT(states); n++) {
		const unsigned int at = n / TEST_COUNT(states), state = n % TEST_COUNT(states);
		const struct row *row = __start_invpcid_rows[at];
		struct instance instance = {
			.mode = row->mode, .code = row->code, .length = row->end - row->code,
			.rax = row->rax, .rcx = row->rcx, .flags = row->flags | states[state].flags,
			.blocking = states[state].blocking, .prepare = prepare_row, .detail = at,
		};
		struct outcome outcome;

		if (!can_have(self->cpu, row))
			continue;
		ASSERT_EQ(0, attempt(self->cpu, &instance, BY_CPU, &outcome)) {
			TH_LOG("%s: %s, %s", row->name, vmx_error(),
			       test_describe(&self->cpu->vcpu));
		}
		expect(_metadata, self->cpu, row, &instance, &outcome);
	}
}

/* A descriptor that no memory is at is userspace's: the exit is an EPT violation. */
TEST_F(finished, descriptor_outside_of_memory)
{
	struct vmx_run_page *run = self->cpu->vcpu.run;
	struct instance instance = {
		.mode = VMX_MODE_LONG, .code = all_row, .length = all_row_end - all_row, .rax = 2,
		.rcx = TEST_RAM + 8, .prepare = prepare_enabled,
	};

	if (!has_invpcid(self->cpu))
		SKIP(return, "the CPU has no INVPCID");
	ASSERT_VMX(put(self->cpu, &instance, BY_CPU));
	ASSERT_EXIT(&self->cpu->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(TEST_CODE, run->rip);
	EXPECT_EQ(TEST_RAM + 8, run->physical);
	EXPECT_EQ(TEST_RAM + 8, run->linear);
	EXPECT_EQ(VMX_MMU_READ | VMX_VIOLATION_LINEAR_VALID | VMX_VIOLATION_TRANSLATED,
		  run->qualification & 0x1ff);
}

/* An exit that becomes an EPT violation has not the event of an earlier one. */
TEST_F(finished, descriptor_after_an_event)
{
	struct vmx_run_page *run = self->cpu->vcpu.run;
	const uint32_t info = VMX_INTR_VALID | VMX_INTR_TYPE_EXTERNAL | 0x31;
	const int vmcs = self->cpu->vcpu.vmcs;
	struct instance instance = {
		.mode = VMX_MODE_LONG, .code = all_row, .length = all_row_end - all_row, .rax = 2,
		.rcx = TEST_DATA, .prepare = prepare_enabled,
	};
	struct outcome outcome;

	if (!has_invpcid(self->cpu))
		SKIP(return, "the CPU has no INVPCID");
	/* From here on the code is mapped: its fetch is no exit. */
	ASSERT_VMX(attempt(self->cpu, &instance, BY_CPU, &outcome));
	ASSERT_EQ(NONE, outcome.vector);
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_GUEST_RIP, TEST_CODE));
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF));
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_GUEST_IDTR_BASE, TEST_RAM));
	ASSERT_VMX(vmx_field_set(vmcs, VMX_F_GUEST_IDTR_LIMIT, 0xfff));
	run->inject_info = info;
	ASSERT_EXIT(&self->cpu->vcpu, VMX_REASON_EPT_VIOLATION);
	ASSERT_EQ(info, run->idt_info);
	run->inject_info = 0;
	run->regs[VMX_RCX] = TEST_RAM + 8;
	ASSERT_EXIT(&self->cpu->vcpu, VMX_REASON_EPT_VIOLATION);
	EXPECT_EQ(TEST_RAM + 8, run->physical);
	EXPECT_EQ(0, run->idt_info & VMX_INTR_VALID);
}

/* INVPCID with random operands, in the same state with EPT and with shadow page tables */

/* An instruction with its prefixes: ModR/M, SIB and a displacement. */
#define LONGEST 16

struct encoded {
	unsigned char bytes[LONGEST];
	size_t length;
};

static void add(struct encoded *insn, const void *bytes, size_t count)
{
	memcpy(insn->bytes + insn->length, bytes, count);
	insn->length += count;
}

/* Segments that a prefix names; FS and GS have bases. */
static const unsigned char prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

/* Types have no more than 32 bits here: Bochs reads no more without REX.W. */
static void encode(struct encoded *insn, uint64_t *random, bool in_64bit)
{
	const uint64_t choice = test_random(random);
	const unsigned int mod = choice % 3, rm = choice >> 8 & 7;
	const bool narrow = choice >> 16 & 1 && choice >> 17 & 1;
	const unsigned int size = in_64bit ? (narrow ? 32 : 64) : narrow ? 16 : 32;
	/* The displacement is small, or an address of what is there. */
	const int32_t near[] = { 0, 8, -16, 0x100, TEST_DATA, FIRST, -TEST_DATA, 0x7fffffff };
	const int32_t displacement = near[choice >> 20 & 7];
	const unsigned char sib = choice >> 24, rex = 0x40 | (choice >> 32 & 7);
	unsigned char modrm;

	*insn = (struct encoded){};
	if (choice >> 40 & 1)
		add(insn, &prefixes[(choice >> 41 & 0xff) % sizeof(prefixes)], 1);
	if (narrow)
		add(insn, "\x67", 1);
	add(insn, "\x66", 1);
	if (in_64bit && choice >> 50 & 1)
		add(insn, &rex, 1);
	add(insn, "\x0f\x38\x82", 3);
	/* The type is in RDX, or R10. */
	modrm = mod << 6 | VMX_RDX << 3 | rm;
	add(insn, &modrm, 1);
	if (size != 16 && rm == 4)
		add(insn, &sib, 1);
	if (mod == 1)
		add(insn, &displacement, 1);
	else if (size == 16 && (mod == 2 || rm == 6))
		add(insn, &displacement, 2);
	else if (size != 16 && (mod == 2 || rm == 5 || (rm == 4 && (sib & 7) == 5)))
		add(insn, &displacement, 4);
}

/* What both guests start with. */
struct start {
	uint64_t regs[16], bases[2], cr4, seed;
	unsigned int segment;
};

static void choose(struct start *start, uint64_t *random)
{
	const uint64_t values[] = {
		0, 8, 0x10, 0x100, TEST_DATA, TEST_DATA + 0xff8, FIRST, LINEAR, LINEAR + 0xff8,
		ABSENT, ABSENT - 8, NONCANONICAL - 8, NONCANONICAL, -8, LOW, TEST_DATA | 1ull << 40,
	};

	for (unsigned int n = 0; n < 16; n++) {
		const uint64_t choice = test_random(random);

		start->regs[n] = values[choice % TEST_COUNT(values)] + (choice >> 32 & 0xf);
	}
	start->regs[VMX_RDX] = test_random(random) % 5;
	start->regs[VMX_R10] = test_random(random) % 5;
	start->bases[0] = values[test_random(random) % 8];
	start->bases[1] = values[test_random(random) % 8];
	start->cr4 = test_random(random) & 1 ? CR4_PCIDE : 0;
	start->segment = test_random(random) % 5;
	start->seed = test_random(random);
}

/* Descriptors that are right, or wrong somewhere, at each address that the operands may have. */
static void fill_with_descriptors(struct vmx_vm *vm, uint64_t gpa, uint64_t seed)
{
	const uint64_t pcids[] = { 0, 0, 0, 5, 0, RESERVED, 0, 0 };
	const uint64_t addresses[] = { 0, LINEAR, NONCANONICAL, 0 };
	uint64_t *at = test_at(vm, gpa);

	for (size_t n = 0; n < 4096 / sizeof(*at); n += 2) {
		const uint64_t choice = test_random(&seed);

		at[n] = pcids[choice % TEST_COUNT(pcids)];
		at[n + 1] = addresses[(choice >> 8) % TEST_COUNT(addresses)];
	}
}

static const struct start *started;

static int prepare_random(struct vmx_cpu *cpu, const struct instance *instance)
{
	static const enum special specials[] = {
		NOTHING, SHORT_DS, UNUSABLE_DS, DOWN_DS_INSIDE, HIGH_DS,
	};
	const bool in_64bit = instance->mode == VMX_MODE_LONG;
	const int vmcs = cpu->vcpu.vmcs;
	struct vmx_run_page *run = cpu->vcpu.run;
	int ret = enable(cpu, in_64bit ? started->cr4 : 0);

	fill_with_descriptors(cpu->vcpu.vm, TEST_DATA, started->seed);
	fill_with_descriptors(cpu->vcpu.vm, TEST_DATA + 4096, started->seed + 1);
	fill_with_descriptors(cpu->vcpu.vm, FIRST, started->seed + 2);
	fill_with_descriptors(cpu->vcpu.vm, SECOND, started->seed + 3);
	for (unsigned int n = 0; n < 16; n++)
		if (n != VMX_RSP)
			run->regs[n] = started->regs[n];
	if (in_64bit) {
		write_tables(cpu->vcpu.vm, NOTHING);
		ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_FS_BASE, started->bases[0]);
		return ret ?: vmx_field_set(vmcs, VMX_F_GUEST_GS_BASE, started->bases[1]);
	}
	return ret ?: set_special(vmcs, specials[started->segment]);
}

struct result {
	int ret;
	uint32_t reason;
	uint64_t cr2, physical, linear, qualification;
	struct outcome outcome;
};

static void try(struct vmx_machine *machine, const struct instance *instance, struct result *result)
{
	struct vmx_cpu *cpu = &machine->cpus[0];
	const struct vmx_run_page *run = cpu->vcpu.run;

	memset(result, 0, sizeof(*result));
	result->ret = put(cpu, instance, BY_CPU) ?: vmx_run(&cpu->vcpu);
	result->reason = run->reason;
	if (result->ret || run->reason == VMX_REASON_VMCALL) {
		result->ret = result->ret ?: look(cpu, instance, &result->outcome);
		result->cr2 = run->cr2;
	} else {
		result->physical = run->physical;
		result->linear = run->linear;
		result->qualification = run->qualification & 0x1ff;
	}
}

TEST(random_operands)
{
	struct vmx_machine_config config = { .memory = TEST_RAM, .cpus = 1, .mmu = VMX_MMU_EPT };
	struct vmx_machine *by_cpu = calloc(2, sizeof(*by_cpu)), *by_module = by_cpu + 1;
	uint64_t seed = test_seed();
	unsigned int done[2] = {};

	NEED(VMX_HAS_EPT);
	ASSERT_NE(NULL, by_cpu);
	ASSERT_VMX(vmx_machine_init(by_cpu, &config));
	config.mmu = VMX_MMU_SHADOW;
	ASSERT_VMX(vmx_machine_init(by_module, &config));
	if (!has_invpcid(&by_cpu->cpus[0]))
		SKIP(return, "the CPU has no INVPCID");
	for (unsigned int n = 0; n < 600; n++) {
		const enum vmx_mode mode = n % 3 ? VMX_MODE_LONG : VMX_MODE_PAE;
		struct result expected, found;
		struct encoded insn;
		struct start start;
		struct instance instance = { .mode = mode, .prepare = prepare_random };

		encode(&insn, &seed, mode == VMX_MODE_LONG);
		choose(&start, &seed);
		started = &start;
		instance.code = insn.bytes;
		instance.length = insn.length;
		instance.rcx = start.regs[VMX_RCX];
		try(by_cpu, &instance, &expected);
		try(by_module, &instance, &found);
		EXPECT_EQ(0, memcmp(&expected, &found, sizeof(expected))) {
			TH_LOG("try %u, mode %d, %zu bytes %02x %02x %02x %02x %02x %02x %02x", n,
			       mode, insn.length, insn.bytes[0], insn.bytes[1], insn.bytes[2],
			       insn.bytes[3], insn.bytes[4], insn.bytes[5], insn.bytes[6]);
			TH_LOG("the CPU:    %d, exit %u, CR2 %#llx, %#llx at %#llx, %s",
			       expected.ret, expected.reason, (unsigned long long)expected.cr2,
			       (unsigned long long)expected.qualification,
			       (unsigned long long)expected.physical, describe(&expected.outcome));
			TH_LOG("the module: %d, exit %u, CR2 %#llx, %#llx at %#llx, %s",
			       found.ret, found.reason, (unsigned long long)found.cr2,
			       (unsigned long long)found.qualification,
			       (unsigned long long)found.physical, describe(&found.outcome));
		}
		ASSERT_EQ(0, expected.ret);
		done[expected.outcome.vector == NONE]++;
	}
	/* Neither all right nor all wrong. */
	EXPECT_LT(50, done[0]);
	EXPECT_LT(50, done[1]);
	vmx_machine_free(by_module);
	vmx_machine_free(by_cpu);
	free(by_cpu);
}

VMX_TEST_MAIN
