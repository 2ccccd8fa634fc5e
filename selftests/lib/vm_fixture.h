/* SPDX-License-Identifier: GPL-2.0 */
/* The fixture of most tests: a VM with TEST_RAM bytes of RAM and one vCPU. */
#ifndef VM_FIXTURE_H
#define VM_FIXTURE_H

#include "vmx_test.h"

FIXTURE(vm) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	struct vmx_run_page *run;
};

FIXTURE_SETUP(vm)
{
	NEED(VMX_HAS_EPT);
	ASSERT_VMX(vmx_vm_open(&self->vm, TEST_RAM));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	self->run = self->vcpu.run;
}

FIXTURE_TEARDOWN(vm)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
}

#endif /* VM_FIXTURE_H */
