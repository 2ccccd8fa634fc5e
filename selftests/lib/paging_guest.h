/* SPDX-License-Identifier: GPL-2.0 */
/* A guest for tests of paging: its code has the same effect, and the same bytes, in all modes. */
#ifndef PAGING_GUEST_H
#define PAGING_GUEST_H

#include "vm_fixture.h"

/* What the guest does at EBX, by bytes that are the same instructions in all modes. */
GUEST64(operations,
	"mov	(%rbx), %edx\n"
	"vmcall\n"
	".balign 16\n"
	"mov	%edx, (%rbx)\n"
	"vmcall\n"
	".balign 16\n"
	"jmp	*%rbx\n"
	".balign 16\n"
	"invlpg	(%rbx)\n"
	"vmcall\n"
	".balign 16\n"
	"mov	%rbx, %cr3\n"
	"vmcall\n"
	".balign 16\n"
	"mov	%ecx, %ds\n"
	"vmcall\n"
	".balign 16\n"
	"mov	%rbx, %cr0\n"
	"vmcall\n"
	".balign 16\n"
	"mov	%rbx, %cr4\n"
	"vmcall\n"
	".balign 16\n"
	"invpcid (%rbx), %rdx\n"
	"vmcall");

/*
 * DESCRIPTOR loads a segment register: the supervisor reads the GDT, whoever asks for it. The type
 * of INVPCID is in EDX.
 */
enum operation { READ, WRITE, FETCH, INVLPG, MOV_CR3, DESCRIPTOR, MOV_CR0, MOV_CR4, INVPCID };
#define SELECTOR	0xbu

enum format { FORMAT_32BIT, FORMAT_PAE, FORMAT_LONG, FORMATS };

#endif /* PAGING_GUEST_H */
