/* SPDX-License-Identifier: GPL-2.0 */
/* A 64-bit guest that counts at TEST_DATA and never exits by itself, see test_spin(). */

	/* TEST_DATA */
	DATA = 0x20000

	.section .rodata.test_spin_guest, "a"
	.global	test_spin_guest, test_spin_guest_end
	.code64
test_spin_guest:
	incq	DATA
	jmp	test_spin_guest
test_spin_guest_end:

	.section .note.GNU-stack, "", @progbits
