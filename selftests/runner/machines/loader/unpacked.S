/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands below a kernel that is unpacked already. What enters a bzImage by its 32-bit entry goes on
 * at the kernel's 64-bit entry, with what the boot protocol promises there
 * (Documentation/arch/x86/boot.rst of the kernel): memory up to 4 GiB mapped to itself, __BOOT_CS
 * and __BOOT_DS, the zero page in RSI. machine/loader.py links it.
 */
	.set	CR0_PE, 1 << 0
	.set	CR0_PG, 1 << 31
	.set	CR4_PAE, 1 << 5
	.set	EFER, 0xc0000080
	.set	EFER_LME, 1 << 8
	.set	BOOT_CS, 0x10
	.set	BOOT_DS, 0x18
	.set	TABLE, 0x003		/* present, writable */
	.set	LARGE_PAGE, 0x083

	.code32
	.globl	_start
_start:
	cli
	cld
	lgdt	gdtr
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	$(CR0_PG | CR0_PE), %eax
	mov	%eax, %cr0
	ljmp	$BOOT_CS, $1f

	.code64
1:	mov	$BOOT_DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%esi, %esi
	mov	$kernel, %eax
	jmp	*%rax

	.balign	8, 0
gdt:	.quad	0, 0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	gdt

	.balign	4096, 0
pml4:	.quad	pdpt + TABLE
	.balign	4096, 0
pdpt:	.quad	pd + TABLE, pd + 0x1000 + TABLE, pd + 0x2000 + TABLE, pd + 0x3000 + TABLE
	.balign	4096, 0
pd:	.set	at, 0
	.rept	2048
	.quad	at + LARGE_PAGE
	.set	at, at + 0x200000
	.endr
