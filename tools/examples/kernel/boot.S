/* SPDX-License-Identifier: MIT */
/* The first CPU starts in protected mode, as Multiboot says; the second starts in real mode. */

#define CODE		0x08
#define DATA		0x10
#define STACK		4096

/* "Multiboot Specification version 0.6.96": modules on pages, and the amount of memory, please. */
#define MAGIC		0x1badb002
#define FLAGS		0x00000003

	.section .multiboot, "a"
	.align	4
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.code32
	.globl	start
start:
	lgdt	gdt_pointer
	mov	$first_stack, %esp
	push	$first_cpu
	push	%ebx			/* Multiboot's information, for first_cpu() */
	jmp	enter

/* On the stack is what to call, and then its argument. */
enter:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	ljmp	$CODE, $1f
1:	pop	%eax
	pop	%edx
	push	%eax
	call	*%edx

/*
 * A start-up IPI with vector V begins at V << 12 in real mode; this is copied there. SDM,
 * "Typical AP Initialization Sequence".
 */
	.globl	trampoline, trampoline_end
	.code16
trampoline:
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	gdt_pointer_copy - trampoline
	mov	%cr0, %eax
	or	$1, %al			/* PE */
	mov	%eax, %cr0
	ljmpl	$CODE, $second
gdt_pointer_copy:
	.word	gdt_end - gdt - 1
	.long	gdt
trampoline_end:

	.code32
second:
	mov	$DATA, %eax
	mov	%eax, %ss
	mov	$second_stack, %esp
	push	$second_cpu
	push	$0
	jmp	enter

	.align	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* CODE: 4 GiB, 32 bits */
	.quad	0x00cf93000000ffff	/* DATA */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt

	.bss
	.align	16
	.skip	STACK
first_stack:
	.skip	STACK
second_stack:

	.section .note.GNU-stack, "", @progbits
