/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fixture of most tests: a VM with TEST_RAM bytes of RAM and one vCPU. A test
 * that defines EVERY_MMU before it includes this runs with EPT and with shadow
 * page tables; others with the CPU's default.
 */
#ifndef VM_FIXTURE_H
#define VM_FIXTURE_H

#include "vmx_test.h"

FIXTURE(vm) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
};

#ifdef EVERY_MMU
EVERY_MMU_OF(vm);
#define VM_NEEDS	(variant->needs)
#define VM_MMU		(variant->mmu)
#else
#define VM_NEEDS	0
#define VM_MMU		VMX_MMU_AUTO
#endif

FIXTURE_SETUP(vm)
{
	NEED(VM_NEEDS);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, VM_MMU));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
}

FIXTURE_TEARDOWN(vm)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

#endif /* VM_FIXTURE_H */
