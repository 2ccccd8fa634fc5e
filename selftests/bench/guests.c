// SPDX-License-Identifier: GPL-2.0
/*
 * Guest code, 64-bit and position-independent. R9 is a checksum, RDI goes
 * through BENCH_TIMES, R8 counts batches; the operations have the rest.
 */
#include "bench.h"

#define STR_(x)	#x
#define STR(x)	STR_(x)

/* BEFORE and AFTER belong to the loop: their cost is taken off. */
#define CODE(name, setup, before, op, after)				\
	#name ":\n"							\
	"mov	$" STR(BENCH_TIMES) ", %edi\n"				\
	"mov	$" STR(BENCH_BATCHES) ", %r8d\n"			\
	"xor	%r9d, %r9d\n"						\
	setup								\
	"1:\n"								\
	"rdtsc\n"							\
	"mov	%eax, (%rdi)\n"						\
	"mov	%edx, 4(%rdi)\n"					\
	".rept " STR(BENCH_BATCH) "\n"					\
	before op after							\
	".endr\n"							\
	"rdtsc\n"							\
	"mov	%eax, 8(%rdi)\n"					\
	"mov	%edx, 12(%rdi)\n"					\
	"add	$16, %rdi\n"						\
	"dec	%r8d\n"							\
	"jnz	1b\n"							\
	"mov	%r9, " STR(BENCH_SUM) "\n"				\
	"hlt\n"								\
	#name "_end:\n"

#define GUEST(name, setup, before, op, after)				\
	asm(".pushsection .rodata\n"					\
	    CODE(name, setup, before, op, after)			\
	    CODE(name##_empty, setup, before, "", after)		\
	    ".popsection\n");						\
	extern const unsigned char name[], name##_end[];		\
	extern const unsigned char name##_empty[], name##_empty_end[]

#define ENTRY(text, name)						\
	{								\
		.operation = text,					\
		.full = { name, name##_end },				\
		.empty = { name##_empty, name##_empty_end },		\
	}

GUEST(bench_cpuid,
      "",
      "xor	%eax, %eax\n"
      "xor	%ecx, %ecx\n",
      "cpuid\n",
      "add	%rax, %r9\n"
      "add	%rbx, %r9\n"
      "add	%rcx, %r9\n"
      "add	%rdx, %r9\n");

GUEST(bench_rdmsr,
      "",
      "mov	$" STR(BENCH_MSR) ", %ecx\n",
      "rdmsr\n",
      "add	%rax, %r9\n"
      "add	%rdx, %r9\n");

GUEST(bench_pio,
      "",
      "mov	%r8d, %eax\n",
      "out	%eax, $" STR(BENCH_PORT) "\n",
      "");

GUEST(bench_mmio,
      "mov	$" STR(BENCH_MMIO) ", %ebx\n",
      "mov	%r8d, %eax\n",
      "mov	%eax, (%rbx)\n",
      "add	$4, %ebx\n");

GUEST(bench_touch,
      "mov	$" STR(BENCH_PAGES) ", %esi\n",
      "",
      "mov	%rsi, 8(%rsi)\n",
      "add	$4096, %esi\n");

const struct bench_guest bench_guests[] = {
	ENTRY("cpuid", bench_cpuid),
	ENTRY("rdmsr", bench_rdmsr),
	ENTRY("pio-user", bench_pio),
	ENTRY("mmio-user", bench_mmio),
	ENTRY("ept-4k-present", bench_touch),
	{}
};
