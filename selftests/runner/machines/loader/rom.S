/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The machine's boot loader: an option ROM, which the BIOS calls in real mode when its own work is
 * done. It reads the parts of the first disk that `parts` lists, the kernel's setup code among
 * them, and starts that. machine/loader.py fills `parts` in, and has the rest of the boot protocol.
 * It defines rom, the ROM's address, setup, the segment of the setup code, and stack, an offset
 * there.
 */
	/* Registers and bits of an ATA disk. */
	.set	DATA, 0x1f0
	.set	COUNT, 0x1f2
	.set	COMMAND, 0x1f7
	.set	READ, 0x20
	.set	READY, 0x08
	.set	BUSY, 0x80
	.set	FAILED, 0x21		/* an error or a fault */
	.set	COM1, 0x3f8
	.set	MASTER, 0xe0		/* with LBA */

	.code16
	.globl	_start
_start:
	.byte	0x55, 0xaa, 1		/* a ROM of one sector */
	cli
	cld
	/* ES reaches all memory: it keeps the limit that it gets in protected mode. */
	lgdtl	%cs:gdtr
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	mov	$8, %bx
	mov	%bx, %es
	and	$~1, %al
	mov	%eax, %cr0
	xor	%bx, %bx
	mov	%bx, %es
	mov	$parts, %si

	/* EDI: where to; EBP: how many sectors are left; EBX: the next one. */
next:	mov	%cs:(%si), %edi
	mov	%cs:4(%si), %ebp
	mov	%cs:8(%si), %ebx
	add	$12, %si
	test	%ebp, %ebp
	jz	start

	/* One command reads 128 sectors at most. */
more:	mov	$128, %ecx
	cmp	%ecx, %ebp
	ja	1f
	mov	%ebp, %ecx
1:	mov	$COUNT, %dx
	mov	%cl, %al
	out	%al, %dx
	mov	%ebx, %eax
	inc	%dx
	out	%al, %dx
	shr	$8, %eax
	inc	%dx
	out	%al, %dx
	shr	$8, %eax
	inc	%dx
	out	%al, %dx
	mov	%ah, %al
	or	$MASTER, %al
	inc	%dx
	out	%al, %dx
	mov	$READ, %al
	inc	%dx
	out	%al, %dx
	sub	%ecx, %ebp
	add	%ecx, %ebx

sector:	mov	$COMMAND, %dx
2:	in	%dx, %al
	test	$BUSY, %al
	jnz	2b
	test	$FAILED, %al
	jnz	failed
	test	$READY, %al
	jz	2b
	push	%cx
	mov	$DATA, %dx
	mov	$128, %ecx
	addr32 rep insl
	pop	%cx
	loop	sector
	test	%ebp, %ebp
	jnz	more
	jmp	next

start:	mov	$setup, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %fs
	mov	%ax, %gs
	mov	%ax, %ss
	mov	$stack, %sp
	ljmp	$setup + 0x20, $0

failed:	mov	$message, %si
3:	mov	%cs:(%si), %al
	inc	%si
	mov	$COM1, %dx
	out	%al, %dx
	test	%al, %al
	jnz	3b
4:	hlt
	jmp	4b

message:
	.asciz	"the loader cannot read its disk\n"
	.balign	8, 0
gdt:	.quad	0
	.quad	0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	rom + gdt

	/* Address, sectors, first sector; the last has no sectors. */
	.balign	4, 0
	.globl	parts
parts:	.fill	4 * 3, 4, 0
