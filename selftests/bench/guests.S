/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest code, 64-bit and position-independent. An operation OP is four macros:
 * OP_setup once, then OP_before, OP_op and OP_after again and again. The loop
 * owns R8 (batches left), R9 (a checksum) and RDI (the buffer for times). Each
 * exists twice, the second time without OP_op: that is the loop's own cost.
 */
#include "layout.h"

	.section .rodata, "a"

	.macro store_time at
	rdtsc
	mov	%eax, \at(%rdi)
	mov	%edx, \at + 4(%rdi)
	.endm

	.macro loop op, with
	mov	$BENCH_TIMES, %edi
	mov	$BENCH_BATCHES, %r8d
	xor	%r9d, %r9d
	\op\()_setup
1:	store_time 0
	.rept BENCH_BATCH
	\op\()_before
	.if \with
	\op\()_op
	.endif
	\op\()_after
	.endr
	store_time 8
	add	$16, %rdi
	dec	%r8d
	jnz	1b
	mov	%r9, BENCH_SUM
	hlt
	.endm

	.macro guest op
	.globl	bench_\op, bench_\op\()_end, bench_\op\()_empty, bench_\op\()_empty_end
bench_\op:
	loop \op, 1
bench_\op\()_end:
bench_\op\()_empty:
	loop \op, 0
bench_\op\()_empty_end:
	.endm

	.macro cpuid_setup
	.endm
	.macro cpuid_before
	xor	%eax, %eax
	xor	%ecx, %ecx
	.endm
	.macro cpuid_op
	cpuid
	.endm
	.macro cpuid_after
	add	%rax, %r9
	add	%rbx, %r9
	add	%rcx, %r9
	add	%rdx, %r9
	.endm

	.macro rdmsr_setup
	.endm
	.macro rdmsr_before
	mov	$BENCH_MSR, %ecx
	.endm
	.macro rdmsr_op
	rdmsr
	.endm
	.macro rdmsr_after
	add	%rax, %r9
	add	%rdx, %r9
	.endm

	.macro pio_setup
	.endm
	.macro pio_before
	mov	%r8d, %eax
	.endm
	.macro pio_op
	out	%eax, $BENCH_PORT
	.endm
	.macro pio_after
	.endm

	.macro mmio_setup
	mov	$BENCH_MMIO, %ebx
	.endm
	.macro mmio_before
	mov	%r8d, %eax
	.endm
	/* BENCH_MMIO_INSN bytes */
	.macro mmio_op
	mov	%eax, (%rbx)
	.endm
	.macro mmio_after
	add	$4, %ebx
	.endm

	.macro touch_setup
	mov	$BENCH_PAGES, %esi
	.endm
	.macro touch_before
	.endm
	.macro touch_op
	mov	%rsi, BENCH_TOUCHED(%rsi)
	.endm
	.macro touch_after
	add	$0x1000, %esi
	.endm

/* Writes to pages as BENCH_PARAMETERS say. */
	.globl	bench_write, bench_write_end
bench_write:
	mov	BENCH_PARAMETERS, %rsi
	mov	BENCH_PARAMETERS + 8, %rdi
	mov	BENCH_PARAMETERS + 16, %rcx
	jrcxz	2f
1:	mov	%rsi, BENCH_TOUCHED(%rsi)
	add	%rdi, %rsi
	dec	%rcx
	jnz	1b
2:	hlt
bench_write_end:

/*
 * Turns as BENCH_PARAMETERS say. In Bochs interrupts end the guest's stay only if it has them
 * enabled; none comes to it.
 */
	.globl	bench_spin, bench_spin_end
bench_spin:
	mov	BENCH_PARAMETERS, %rcx
	sti
1:	dec	%rcx
	jnz	1b
	hlt
bench_spin_end:

	guest cpuid
	guest rdmsr
	guest pio
	guest mmio
	guest touch

	.section .note.GNU-stack, "", @progbits
