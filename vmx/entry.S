/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VM entry and VM exit. This code switches the general registers, since VMX
 * leaves them to software. All other state that differs between guest and
 * host is in the VMCS or was switched before.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include "verw.h"

#ifndef VMX_HAVE_CLEAR_BRANCH_HISTORY_VMEXIT
#error "no CLEAR_BRANCH_HISTORY_VMEXIT (BHI): build for a newer update of this kernel"
#endif

/* Offsets in struct vmx_run_page.regs, in the SDM's register numbers */
#define RAX	(0 * 8)
#define RCX	(1 * 8)
#define RDX	(2 * 8)
#define RBX	(3 * 8)
#define RBP	(5 * 8)
#define RSI	(6 * 8)
#define RDI	(7 * 8)
#define R(n)	((n) * 8)

#define HOST_RSP	0x6c14

	/* What VERW looks at. The kernel's own one is, in some kernels, for KVM alone. */
	.section .rodata, "a"
	.balign	2
.Lselector:
	.word	__KERNEL_DS

	.section .noinstr.text, "ax"

/*
 * void *__vmx_enter(u64 *regs, unsigned long *host_rsp, unsigned long launched)
 *
 * Enters the guest with the registers at regs and returns after the exit, with
 * the guest's registers there. Interrupts are off. host_rsp is what the
 * HOST_RSP field holds: as long as RUN's stack is as deep as before, it need
 * not be written.
 *
 * Returns regs after an exit, NULL if VMLAUNCH or VMRESUME failed.
 */
SYM_FUNC_START(__vmx_enter)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi

	cmp	%rsp, (%rsi)
	je	1f
	mov	$HOST_RSP, %eax
.Lhost_rsp:
	vmwrite	%rsp, %rax
	mov	%rsp, (%rsi)
1:
	UNWIND_HINT_SAVE
	/* Into CF, which neither MOV nor VERW changes */
	bt	$0, %edx

	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R(8)(%rdi), %r8
	mov	R(9)(%rdi), %r9
	mov	R(10)(%rdi), %r10
	mov	R(11)(%rdi), %r11
	mov	R(12)(%rdi), %r12
	mov	R(13)(%rdi), %r13
	mov	R(14)(%rdi), %r14
	mov	R(15)(%rdi), %r15
	mov	RAX(%rdi), %rax
	mov	RDI(%rdi), %rdi

	/*
	 * Nothing of the host's may be left in CPU buffers (MDS and kin). Which of
	 * the two features asks for it depends on the flaw and on the kernel.
	 */
	ALTERNATIVE_2 "jmp .Lcleared", "", X86_FEATURE_CLEAR_CPU_BUF,\
		      "", VMX_FEATURE_VERW_VM
	verw	.Lselector(%rip)
.Lcleared:
	jnc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lfailed
.Llaunch:
	vmlaunch
	jmp	.Lfailed

	/* Where a reboot or a crash has turned VMX off */
	_ASM_EXTABLE(.Lhost_rsp, .Lfailed)
	_ASM_EXTABLE(.Lresume, .Lfailed)
	_ASM_EXTABLE(.Llaunch, .Lfailed)

/* HOST_RIP: the CPU comes here with RSP as it was at VM entry */
SYM_INNER_LABEL_ALIGN(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR

	push	%rax
	mov	8(%rsp), %rax
	mov	%rcx, RCX(%rax)
	mov	%rdx, RDX(%rax)
	mov	%rbx, RBX(%rax)
	mov	%rbp, RBP(%rax)
	mov	%rsi, RSI(%rax)
	mov	%rdi, RDI(%rax)
	mov	%r8, R(8)(%rax)
	mov	%r9, R(9)(%rax)
	mov	%r10, R(10)(%rax)
	mov	%r11, R(11)(%rax)
	mov	%r12, R(12)(%rax)
	mov	%r13, R(13)(%rax)
	mov	%r14, R(14)(%rax)
	mov	%r15, R(15)(%rax)
	pop	RAX(%rax)

.Lout:
	/* No guest value is left for speculation to use as an address */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	/* The guest trained the return predictor and the branch history */
	FILL_RETURN_BUFFER %rbx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT,\
			   X86_FEATURE_RSB_VMEXIT_LITE
	/* Legacy IBRS protects only after it was written in this mode */
	ALTERNATIVE "jmp 2f", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	rdmsr
	wrmsr
2:
	CLEAR_BRANCH_HISTORY_VMEXIT
	pop	%rax
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfailed:
	xor	%eax, %eax
	mov	%rax, (%rsp)
	jmp	.Lout
SYM_FUNC_END(__vmx_enter)
