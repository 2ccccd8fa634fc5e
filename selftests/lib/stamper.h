/* SPDX-License-Identifier: GPL-2.0 */
/* A guest that stamps pages, and ends with the number of what it finds changed. */
#ifndef STAMPER_H
#define STAMPER_H

#include "vmx_test.h"

/* Its variables: what tells it to end, rounds, ticks of its timer. */
#define STOP		0x1ff000
#define ROUNDS		0x1ff008
#define TICKS		0x1ff010
/* Pages that it stamps. */
#define STAMPS		0x200000
#define STAMP_PAGES	256

#define CHECK(number)	"mov $" #number ", %ebp\n"

/*
 * Rounds, R15; the TSC of the last, R14. What was set before the first round has to stay. It says R
 * before, and ends when STOP is not 0, or when it is sent a byte.
 */
GUEST64(stamper,
	"mov $0x180000, %esp\n mov $0x190000, %edi\n"
	"lea handler(%rip), %rax\n mov %ax, 0x200(%rdi)\n movl $0x8e000010, 0x202(%rdi)\n"
	"shr $16, %rax\n mov %ax, 0x206(%rdi)\n"
	"sub $16, %rsp\n movw $0x20f, (%rsp)\n mov %rdi, 2(%rsp)\n lidt (%rsp)\n"
	"mov %cr4, %rax\n or $0x200, %eax\n mov %rax, %cr4\n"
	"mov $0xc0000082, %ecx\n mov $0x1234567, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov $0xc0000102, %ecx\n mov $0x7654321, %eax\n wrmsr\n"
	"mov $0x1111, %eax\n mov %rax, %dr0\n mov $0x3333, %eax\n mov %rax, %dr3\n"
	"mov $0x9999, %eax\n mov %rax, %cr2\n"
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0xb, 0x3e0(%rbx)\n"
	"movl $0x20020, 0x320(%rbx)\n movl $1000000, 0x380(%rbx)\n"
	"mov $0x3f8, %edx\n mov $'R', %al\n out %al, %dx\n"
	"xor %r15d, %r15d\n movq %r15, %xmm7\n fld1\n xor %r14d, %r14d\n sti\n"
	"outer: inc %r15\n mov $0x200000, %ebx\n mov $256, %ecx\n" CHECK(1)
	"1: lea -1(%r15), %rax\n cmp %rax, (%rbx)\n jne bad\n mov %r15, (%rbx)\n"
	"add $4096, %rbx\n dec %ecx\n jnz 1b\n"
	CHECK(2) "movq %xmm7, %rax\n lea -1(%r15), %rdx\n cmp %rax, %rdx\n jne bad\n"
	"movq %r15, %xmm7\n"
	CHECK(3) "mov $0xc0000082, %ecx\n rdmsr\n cmp $0x1234567, %eax\n jne bad\n"
	CHECK(4) "mov $0xc0000102, %ecx\n rdmsr\n cmp $0x7654321, %eax\n jne bad\n"
	CHECK(5) "mov %dr0, %rax\n cmp $0x1111, %eax\n jne bad\n"
	"mov %dr3, %rax\n cmp $0x3333, %eax\n jne bad\n"
	CHECK(6) "mov %cr2, %rax\n cmp $0x9999, %eax\n jne bad\n"
	CHECK(7) "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n cmp %r14, %rax\n jb bad\n"
	"mov %rax, %r14\n"
	CHECK(8) "fld1\n fcomip %st(1), %st\n jne bad\n"
	"mov %r15, 0x1ff008\n mov $0x3fd, %edx\n in %dx, %al\n and $1, %al\n or 0x1ff000, %al\n"
	"jz outer\n xor %ebp, %ebp\n"
	"bad: mov %ebp, %eax\n out %al, $0xf4\n 2: jmp 2b\n"
	"handler: push %rax\n incq 0x1ff010\n mov $0xfee000b0, %eax\n movl $0, (%rax)\n pop %rax\n iretq");

#endif /* STAMPER_H */
