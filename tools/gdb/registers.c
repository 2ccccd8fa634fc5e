// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Registers under gdb's numbers, and their description for gdb ("Target Descriptions" and
 * "i386 Features" in gdb's manual). gdb requires every register of the first feature.
 */
#include <string.h>

#include <libvmx.h>

#include "gdb.h"

struct known_register {
	const char *name;
	size_t offset;		/* in struct vmx_gdb_registers */
	unsigned int size;
	const char *type;
};

#define CORE	"org.gnu.gdb.i386.core"
#define SSE	"org.gnu.gdb.i386.sse"
#define BASES	"org.gnu.gdb.i386.segments"
#define SYSTEM	"vmx.system"

#define AT(member) offsetof(struct vmx_gdb_registers, member)
#define GENERAL(name, reg, size, type) { name, AT(general[VMX_##reg]), size, type }
#define ST(n) { "st" #n, AT(st[n]), 10, "i387_ext" }
#define XMM(n) { "xmm" #n, AT(xmm[n]), 16, "vec128" }
#define WORD(name, member) { name, AT(member), 4, "int" }

static const struct known_register general64[] = {
	GENERAL("rax", RAX, 8, "int64"), GENERAL("rbx", RBX, 8, "int64"),
	GENERAL("rcx", RCX, 8, "int64"), GENERAL("rdx", RDX, 8, "int64"),
	GENERAL("rsi", RSI, 8, "int64"), GENERAL("rdi", RDI, 8, "int64"),
	GENERAL("rbp", RBP, 8, "data_ptr"), GENERAL("rsp", RSP, 8, "data_ptr"),
	GENERAL("r8", R8, 8, "int64"), GENERAL("r9", R9, 8, "int64"),
	GENERAL("r10", R10, 8, "int64"), GENERAL("r11", R11, 8, "int64"),
	GENERAL("r12", R12, 8, "int64"), GENERAL("r13", R13, 8, "int64"),
	GENERAL("r14", R14, 8, "int64"), GENERAL("r15", R15, 8, "int64"),
	{ "rip", AT(rip), 8, "code_ptr" },
};

static const struct known_register general32[] = {
	GENERAL("eax", RAX, 4, "int32"), GENERAL("ecx", RCX, 4, "int32"),
	GENERAL("edx", RDX, 4, "int32"), GENERAL("ebx", RBX, 4, "int32"),
	GENERAL("esp", RSP, 4, "data_ptr"), GENERAL("ebp", RBP, 4, "data_ptr"),
	GENERAL("esi", RSI, 4, "int32"), GENERAL("edi", RDI, 4, "int32"),
	{ "eip", AT(rip), 4, "code_ptr" },
};

static const struct known_register core[] = {
	{ "eflags", AT(eflags), 4, "eflags" },
	WORD("cs", segments[0]), WORD("ss", segments[1]), WORD("ds", segments[2]),
	WORD("es", segments[3]), WORD("fs", segments[4]), WORD("gs", segments[5]),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	WORD("fctrl", fpu[0]), WORD("fstat", fpu[1]), WORD("ftag", fpu[2]),
	WORD("fiseg", fpu[3]), WORD("fioff", fpu[4]), WORD("foseg", fpu[5]),
	WORD("fooff", fpu[6]), WORD("fop", fpu[7]),
};

static const struct known_register xmm_low[] = {
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
};

static const struct known_register xmm_high[] = {
	XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
};

static const struct known_register mxcsr[] = { WORD("mxcsr", mxcsr) };

static const struct known_register bases[] = {
	{ "fs_base", AT(fs_base), 8, "int64" }, { "gs_base", AT(gs_base), 8, "int64" },
};

static const struct known_register system64[] = {
	{ "cr0", AT(cr0), 8, "cr0" }, { "cr2", AT(cr2), 8, "int64" },
	{ "cr3", AT(cr3), 8, "int64" }, { "cr4", AT(cr4), 8, "cr4" },
	{ "efer", AT(efer), 8, "efer" },
};

static const struct known_register system32[] = {
	{ "cr0", AT(cr0), 4, "cr0" }, { "cr2", AT(cr2), 4, "int32" },
	{ "cr3", AT(cr3), 4, "int32" }, { "cr4", AT(cr4), 4, "cr4" },
};

#define TABLE(feature, table, where) { feature, table, COUNT(table), where }

/* Which of the two descriptions has them. */
enum { BOTH, WIDE, NARROW };

static const struct table {
	const char *feature;
	const struct known_register *registers;
	unsigned int count;
	unsigned int where;
} tables[] = {
	TABLE(CORE, general64, WIDE), TABLE(CORE, general32, NARROW), TABLE(CORE, core, BOTH),
	TABLE(SSE, xmm_low, BOTH), TABLE(SSE, xmm_high, WIDE), TABLE(SSE, mxcsr, BOTH),
	TABLE(BASES, bases, WIDE),
	TABLE(SYSTEM, system64, WIDE), TABLE(SYSTEM, system32, NARROW),
};

static bool applies(const struct table *table, bool wide)
{
	return table->where == BOTH || table->where == (wide ? WIDE : NARROW);
}

unsigned int gdb_register_count(bool wide)
{
	unsigned int count = 0;

	for (size_t n = 0; n < COUNT(tables); n++)
		if (applies(&tables[n], wide))
			count += tables[n].count;
	return count;
}

void *gdb_register(struct vmx_gdb_registers *registers, bool wide, unsigned int number,
		   size_t *size)
{
	for (size_t n = 0; n < COUNT(tables); n++) {
		const struct known_register *reg;

		if (!applies(&tables[n], wide))
			continue;
		if (number >= tables[n].count) {
			number -= tables[n].count;
			continue;
		}
		reg = &tables[n].registers[number];
		*size = reg->size;
		return (char *)registers + reg->offset;
	}
	return NULL;
}

/* Registers whose bits have names, which are those of VMCS fields. */
static const struct {
	const char *feature;
	const char *name;
	uint32_t field;
} flags[] = {
	{ CORE, "eflags", VMX_F_GUEST_RFLAGS },
	{ SYSTEM, "cr0", VMX_F_GUEST_CR0 },
	{ SYSTEM, "cr4", VMX_F_GUEST_CR4 },
	{ SYSTEM, "efer", VMX_F_GUEST_EFER },
};

static void describe_flags(struct text *text, size_t n, unsigned int size)
{
	vmx_text(text, "<flags id=\"%s\" size=\"%u\">", flags[n].name, size);
	for (unsigned int bit = 0; bit < 8 * size; bit++) {
		const char *name = vmx_bit_name(flags[n].field, bit);

		if (name)
			vmx_text(text, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", name,
				 bit, bit);
	}
	vmx_text(text, "</flags>");
}

static void describe_types(struct text *text, const char *feature, bool wide)
{
	if (!strcmp(feature, SSE))
		vmx_text(text, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
			 "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
			 "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
			 "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
			 "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
			 "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
			 "<field name=\"v2_double\" type=\"v2d\"/>"
			 "<field name=\"v16_int8\" type=\"v16i8\"/>"
			 "<field name=\"v4_int32\" type=\"v4i32\"/>"
			 "<field name=\"v2_int64\" type=\"v2i64\"/>"
			 "<field name=\"uint128\" type=\"uint128\"/></union>");
	for (size_t n = 0; n < COUNT(flags); n++)
		if (!strcmp(flags[n].feature, feature))
			describe_flags(text, n, wide && !strcmp(feature, SYSTEM) ? 8 : 4);
}

size_t gdb_describe(bool wide, char *buf, size_t size)
{
	struct text text = { buf, size };
	const char *feature = NULL;

	vmx_text(&text, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
		 "<architecture>%s</architecture>", wide ? "i386:x86-64" : "i386");
	for (size_t n = 0; n < COUNT(tables); n++) {
		if (!applies(&tables[n], wide))
			continue;
		if (!feature || strcmp(feature, tables[n].feature)) {
			vmx_text(&text, "%s<feature name=\"%s\">", feature ? "</feature>" : "",
				 tables[n].feature);
			feature = tables[n].feature;
			describe_types(&text, feature, wide);
		}
		for (unsigned int m = 0; m < tables[n].count; m++)
			vmx_text(&text, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>",
				 tables[n].registers[m].name, 8 * tables[n].registers[m].size,
				 tables[n].registers[m].type);
	}
	vmx_text(&text, "</feature></target>");
	return text.at - buf;
}
