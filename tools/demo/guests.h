/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guests of the demo: one per mode, each a few instructions. */
#ifndef DEMO_GUESTS_H
#define DEMO_GUESTS_H

/*
 * Prints a text through the UART at 0x3f8 as a driver that polls does: wait for
 * the transmitter (LSR bit 5), send a byte. The same source assembles for each
 * operand size; @si is its string pointer.
 */
#define PRINT(si, text)							\
	"	call	1f\n"						\
	"	.asciz	\"" text "\\n\"\n"				\
	"1:	pop	%" si "\n"					\
	"2:	lodsb\n"						\
	"	mov	%al, %bl\n"					\
	"	test	%al, %al\n"					\
	"	jz	4f\n"						\
	"	mov	$0x3fd, %dx\n"					\
	"3:	in	%dx, %al\n"					\
	"	test	$0x20, %al\n"					\
	"	jz	3b\n"						\
	"	mov	$0x3f8, %dx\n"					\
	"	mov	%bl, %al\n"					\
	"	out	%al, %dx\n"					\
	"	jmp	2b\n"						\
	"4:\n"

#define GUEST(bits, name, text)						\
	asm(".pushsection .rodata\n"					\
	    ".code" #bits "\n"						\
	    #name ":\n"							\
	    text							\
	    #name "_end:\n"						\
	    ".code64\n"							\
	    ".popsection\n");						\
	extern const unsigned char name[], name##_end[]

GUEST(16, real_guest,
	PRINT("si", "Hello from real mode: 16 bits, no paging")
	"	hlt\n");

GUEST(32, protected_guest,
	PRINT("esi", "Hello from protected mode: 32 bits, flat segments")
	"	hlt\n");

GUEST(32, pae_guest,
	PRINT("esi", "Hello from PAE paging: 32 bits, 64-bit page-table entries")
	"	hlt\n");

/* Does more than print, so that there are exits to look at; see DEMO_MMIO. */
GUEST(64, long_guest,
	PRINT("rsi", "Hello from 64-bit mode: four levels of page tables")
	"	mov	$0xd0000000, %edi\n"
	"	movl	$42, (%rdi)\n"
	"	mov	$100, %r8d\n"
	"5:	xor	%eax, %eax\n"
	"	cpuid\n"
	"	vmcall\n"
	"	dec	%r8d\n"
	"	jnz	5b\n"
	"	hlt\n");

#endif /* DEMO_GUESTS_H */
