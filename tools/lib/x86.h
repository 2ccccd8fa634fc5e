/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of the SDM that no header of userspace has, under the SDM's names. */
#ifndef LIBVMX_X86_H
#define LIBVMX_X86_H

#define CR0_PE		(1ull << 0)
#define CR0_MP		(1ull << 1)
#define CR0_EM		(1ull << 2)
#define CR0_TS		(1ull << 3)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_AM		(1ull << 18)
#define CR0_NW		(1ull << 29)
#define CR0_CD		(1ull << 30)
#define CR0_PG		(1ull << 31)

#define CR4_DE		(1ull << 3)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_PGE		(1ull << 7)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define CR4_LA57	(1ull << 12)
#define CR4_VMXE	(1ull << 13)
#define CR4_PCIDE	(1ull << 17)
#define CR4_SMEP	(1ull << 20)
#define CR4_SMAP	(1ull << 21)

#define EFER_SCE	(1ull << 0)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define EFER_NXE	(1ull << 11)

#define RFLAGS_CF	(1ull << 0)
#define RFLAGS_FIXED	(1ull << 1)
#define RFLAGS_PF	(1ull << 2)
#define RFLAGS_AF	(1ull << 4)
#define RFLAGS_ZF	(1ull << 6)
#define RFLAGS_SF	(1ull << 7)
#define RFLAGS_TF	(1ull << 8)
#define RFLAGS_IF	(1ull << 9)
#define RFLAGS_DF	(1ull << 10)
#define RFLAGS_OF	(1ull << 11)
#define RFLAGS_IOPL	(3ull << 12)
#define RFLAGS_NT	(1ull << 14)
#define RFLAGS_RF	(1ull << 16)
#define RFLAGS_VM	(1ull << 17)
#define RFLAGS_AC	(1ull << 18)
#define RFLAGS_STATUS	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* Access rights as a descriptor's bits 40 to 55 (SDM, "Guest Register State"). */
#define ACCESS_CODE16	0x009b
#define ACCESS_DATA16	0x0093
#define ACCESS_CODE32	0xc09b
#define ACCESS_DATA32	0xc093
#define ACCESS_CODE64	0xa09b
#define ACCESS_TSS	0x008b

/* Segment limits: of real mode, of flat segments, of a TSS without an I/O bitmap. */
#define LIMIT_REAL	0xffff
#define LIMIT_FLAT	0xffffffff
#define LIMIT_TSS	0x67
/* The interrupt vectors of real mode */
#define LIMIT_REAL_IDT	0x3ff

/* Power-on values (SDM, "IA-32 Processor States Following Power-up") */
#define PAT_DEFAULT	0x0007040600070406ull
#define DR7_DEFAULT	0x400ull

/* Debug registers (SDM, "Debug Status Register (DR6)", "Debug Control Register (DR7)"). */
#define DR6_BD		(1ull << 13)
#define DR6_BT		(1ull << 15)
#define DR6_FIXED	0xffff0ff0ull
#define DR6_WRITABLE	0x0000e00full
#define DR7_LOCAL	0x155ull
#define DR7_GD		(1ull << 13)
#define DR7_WRITABLE	0xffff23ffull

#define DEBUGCTL_LBR	(1ull << 0)
#define DEBUGCTL_BTF	(1ull << 1)

/* Page-table entries */
#define PAGE_PRESENT	0x01ull
#define PAGE_WRITE	0x02ull
#define PAGE_LARGE	0x80ull

/* Page-fault error code. */
#define PF_PRESENT	0x01
#define PF_WRITE	0x02
#define PF_USER		0x04
#define PF_RESERVED	0x08
#define PF_FETCH	0x10

#define VECTOR_DB	1
#define VECTOR_NMI	2
#define VECTOR_UD	6
#define VECTOR_NM	7
#define VECTOR_TS	10
#define VECTOR_NP	11
#define VECTOR_SS	12
#define VECTOR_GP	13
#define VECTOR_PF	14
#define VECTOR_AC	17

#endif /* LIBVMX_X86_H */
