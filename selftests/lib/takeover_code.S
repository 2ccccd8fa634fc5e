/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Takes the machine over from the kernel, see takeover.c: tries to start the other CPUs, reports
 * the result on the console and switches the machine off. Linux enters it in 64-bit mode with
 * interrupts off, at any address, and with RAM mapped one to one.
 */

	COM1 = 0x3f8
	LSR = COM1 + 5
	LSR_EMPTY = 0x20

	APIC_BASE = 0x1b
	APIC_BASE_X2APIC = 0xc00
	X2APIC_SVR = 0x80f
	SVR_ENABLED = 0x1ff
	/* INIT and start-up to all but this CPU (SDM, "Interrupt Command Register (ICR)") */
	X2APIC_ICR = 0x830
	ICR_INIT = 0xc4500
	ICR_STARTUP = 0xc4600

	/* Page below 1 MiB where a CPU starts. */
	TRAMPOLINE = 0x8000
	/* Ticks: more than CPUs take to get ready, and to start. */
	READY = 10000000
	STARTED = 200000000

	/* SLP_EN; type 0 is S5 in the firmware of all machines that the tests boot. */
	SLEEP = 0x2000

	.section .rodata.test_takeover, "a"
	.global	test_takeover, test_takeover_end
	.code64
test_takeover:
	lea	stack(%rip), %rsp
	cld
	lea	trampoline(%rip), %rsi
	mov	$TRAMPOLINE, %edi
	mov	$(trampoline_end - trampoline), %ecx
	rep movsb

	mov	$APIC_BASE, %ecx
	rdmsr
	or	$APIC_BASE_X2APIC, %eax
	wrmsr
	xor	%edx, %edx
	mov	$X2APIC_SVR, %ecx
	mov	$SVR_ENABLED, %eax
	wrmsr

	/* SDM, "MP Initialization Protocol Algorithm for MP Systems" */
	mov	$X2APIC_ICR, %ecx
	mov	$ICR_INIT, %eax
	xor	%edx, %edx
	wrmsr
	mov	$READY, %edi
	call	wait
	mov	$X2APIC_ICR, %ecx
	mov	$(ICR_STARTUP | TRAMPOLINE >> 12), %eax
	xor	%edx, %edx
	wrmsr
	mov	$STARTED, %edi
	call	wait

	lea	test_takeover_words(%rip), %rsi
	cmpl	$0, TRAMPOLINE + (here - trampoline)
	jne	1f
	add	$(otherwise - test_takeover_words), %rsi
1:	call	print
	mov	power_port(%rip), %edx
	mov	$SLEEP, %eax
	out	%ax, %dx
2:	hlt
	jmp	2b

/* RDI ticks, or until a CPU is here */
wait:
	rdtsc
	shl	$32, %rdx
	lea	(%rax, %rdx), %r8
1:	pause
	cmpl	$0, TRAMPOLINE + (here - trampoline)
	jne	2f
	rdtsc
	shl	$32, %rdx
	add	%rdx, %rax
	sub	%r8, %rax
	cmp	%rdi, %rax
	jb	1b
2:	ret

/* RSI text */
print:
	lodsb
	test	%al, %al
	jz	2f
	mov	%al, %cl
	mov	$LSR, %edx
1:	in	%dx, %al
	test	$LSR_EMPTY, %al
	jz	1b
	mov	$COM1, %edx
	mov	%cl, %al
	out	%al, %dx
	jmp	print
2:	ret

	.code16
trampoline:
	movl	$1, %cs:(here - trampoline)
1:	hlt
	jmp	1b
	.balign	4
here:
	.long	0
trampoline_end:

	/* struct words of takeover.c */
	.code64
	.balign	8
	.global	test_takeover_words
test_takeover_words:
	.space	256
otherwise:
	.space	256
power_port:
	.long	0

	.balign	16
	.space	256
stack:
test_takeover_end:

	.section .note.GNU-stack, "", @progbits
