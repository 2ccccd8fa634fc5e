/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* State of one instruction that is being emulated. */
#ifndef LIBVMX_EMULATE_EMULATOR_H
#define LIBVMX_EMULATE_EMULATOR_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <Zydis/Zydis.h>

#include <libvmx.h>
#include <libvmx/emulate.h>

#include "../lib/internal.h"
#include "../lib/x86.h"

#define MOST_BYTES	15	/* of an instruction (SDM, "Instruction Format") */
#define WIDEST		16	/* operand, in bytes */
#define CACHE_LINE	64	/* bytes, which no other operand of what is emulated has */

/* As the VMCS numbers them. */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEGMENTS };

struct segment {
	bool known;
	uint64_t base;
	uint32_t limit;
	uint32_t access;
};

/* Part of an operand that lies in one page. Without a host address, it is MMIO. */
struct piece {
	uint64_t gpa;
	unsigned int length;
	unsigned char *from;
	unsigned char *to;
};

/* Where an operand is in memory. */
struct place {
	unsigned int size;
	struct piece pieces[2];
	unsigned int count;
};

/* The page translated last for reads, for writes. */
struct translation {
	bool known;
	uint64_t linear;
	uint64_t gpa;
};

/* What bytes mean in a mode. */
struct decoded {
	ZydisMachineMode mode;
	ZydisStackWidth stack;
	uint8_t bytes[MOST_BYTES];
	ZydisDecodedInstruction insn;		/* of no length: there is nothing here */
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/*
 * Registers are worked on here: an instruction that faults has changed nothing. Functions return 0,
 * -errno, or VMX_EMULATE_INJECT after raise().
 */
struct emulation {
	struct vmx_emulator *emulator;
	struct vmx_run_page *run;

	uint64_t regs[16];
	uint64_t rflags;
	unsigned int mode;		/* 16, 32 or 64: the width of code */
	bool user;
	struct vmx_paging paging;
	uint64_t pdptes[4];
	struct segment segments[SEGMENTS];
	struct translation translations[2];

	uint8_t bytes[MOST_BYTES];
	unsigned int fetched;
	const struct decoded *code;		/* never NULL */
	struct place place;		/* of the explicit operand in memory */
	bool again;			/* not finished: the guest executes it again */
};

/* A mask of SIZE bytes. */
static inline uint64_t bytes_mask(unsigned int size)
{
	return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

/* emulate.c */
int vmx_em_raise_exception(struct emulation *em, uint8_t vector, uint32_t error);
int vmx_em_raise_page_fault(struct emulation *em, uint32_t error, uint64_t linear);

/* memory.c */
int vmx_em_read_segment(struct emulation *em, unsigned int n, struct segment **segment);
int vmx_em_translate(struct emulation *em, uint64_t linear, unsigned int access, uint64_t *gpa);
/* Finds the bytes of an operand and judges them; VMX_WALK_WRITE is for reading too. */
int vmx_em_find_place(struct emulation *em, unsigned int segment, uint64_t offset,
		      unsigned int size, unsigned int access, struct place *place);
void vmx_em_read_place(struct emulation *em, const struct place *place, void *bytes);
void vmx_em_write_place(struct emulation *em, const struct place *place, const void *bytes);
uint64_t vmx_em_read_value(struct emulation *em, const struct place *place);
void vmx_em_write_value(struct emulation *em, const struct place *place, uint64_t value);

/* decode.c */
extern const struct decoded vmx_em_nothing;
int vmx_em_decode(struct emulation *em);
/* Fails with a sentence that names the instruction. */
int vmx_em_cannot(struct emulation *em, const char *why);

/* operand.c */
bool vmx_em_is_gpr(ZydisRegister reg);
uint64_t vmx_em_read_register(const struct emulation *em, ZydisRegister reg);
void vmx_em_write_register(struct emulation *em, ZydisRegister reg, uint64_t value);
/* Changes a general register's low WIDTH bits, as instructions of that width do. */
void vmx_em_write_width(struct emulation *em, unsigned int n, unsigned int width, uint64_t value);
int vmx_em_segment_of(ZydisRegister reg);
/* Finds the explicit operand in memory, if there is one; DISTANCE is added to its address. */
int vmx_em_find_operand(struct emulation *em, int64_t distance);
/* Operands that are general registers, immediates, or what vmx_em_find_operand() found. */
uint64_t vmx_em_read_operand(struct emulation *em, unsigned int n);
void vmx_em_write_operand(struct emulation *em, unsigned int n, uint64_t value);

/* flags.c: operations on BITS bits of A and B, which have no others. */
enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR };
uint64_t vmx_em_alu(enum alu op, uint64_t a, uint64_t b, unsigned int bits, uint64_t *rflags);
/* Condition codes as in the low four bits of Jcc, SETcc and CMOVcc. */
bool vmx_em_condition(unsigned int code, uint64_t rflags);

/* execute.c, string.c */
int vmx_em_execute(struct emulation *em);
/* With PORT, INS and OUTS are allowed, to it; without one, none are. */
int vmx_em_execute_string(struct emulation *em, const uint16_t *port);
bool vmx_em_is_string(const struct emulation *em);
bool vmx_em_is_string_io(const struct emulation *em);

#endif /* LIBVMX_EMULATE_EMULATOR_H */
