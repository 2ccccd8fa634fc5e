/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Handlers for all 256 vectors of a 64-bit guest, see test_set_idt(). Each
 * reports its vector and error code with VMCALL, then returns.
 */

	/* TEST_STUB_SIZE */
	STUB_SIZE = 16

	.section .rodata.test_stubs, "a"
	.global	test_stubs, test_stubs_end
	.code64
test_stubs:
	vector = 0
	.rept	256
	.balign	STUB_SIZE, 0xcc
	/* Vectors 8, 10 to 14, 17 and 21 push an error code (SDM, "Error Code"). */
	.if	(vector != 8) && (vector != 10) && (vector != 11) && \
		(vector != 12) && (vector != 13) && (vector != 14) && \
		(vector != 17) && (vector != 21)
	push	$0
	.endif
	push	$vector
	jmp	handler
	vector = vector + 1
	.endr
	.balign	STUB_SIZE, 0xcc
handler:
	push	%rdi
	push	%rsi
	mov	16(%rsp), %rdi
	mov	24(%rsp), %rsi
	vmcall
	pop	%rsi
	pop	%rdi
	add	$16, %rsp
	iretq
test_stubs_end:

	.section .note.GNU-stack, "", @progbits
