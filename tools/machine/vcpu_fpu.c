// SPDX-License-Identifier: LGPL-2.1-or-later
/* A vCPU's FPU state, for who debugs it, and for instructions that are finished here. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../lib/internal.h"
#include "internal.h"

#define XSTATE_BV	512
#define X87_SSE		3

int vmx_cpu_get_fpu(const struct vmx_cpu *cpu, struct fpu_area *area)
{
	area->fpu = (struct vmx_fpu){
		.size = sizeof(area->fpu), .area = (uintptr_t)area->bytes,
		.length = sizeof(area->bytes),
	};
	memset(area->bytes, 0, sizeof(area->bytes));
	if (ioctl(cpu->vcpu.fd, VMX_GET_FPU, &area->fpu))
		return vmx_fail(errno, "cannot read the FPU: %s", strerror(errno));
	return 0;
}

int vmx_cpu_set_fpu(const struct vmx_cpu *cpu, struct fpu_area *area)
{
	if (area->fpu.needed > XSTATE_BV)
		area->bytes[XSTATE_BV] |= X87_SSE;
	area->fpu.length = area->fpu.needed;
	if (ioctl(cpu->vcpu.fd, VMX_SET_FPU, &area->fpu))
		return vmx_fail(errno, "cannot write the FPU: %s", strerror(errno));
	return 0;
}

int vmx_cpu_xmm(void *arg, unsigned int n, uint8_t bytes[16], bool write)
{
	const struct vmx_cpu *cpu = arg;
	struct fpu_area area;
	uint8_t *reg = area.bytes + FPU_XMM_AT + 16 * n;
	int ret = vmx_cpu_get_fpu(cpu, &area);

	if (ret)
		return ret;
	memcpy(write ? reg : bytes, write ? bytes : reg, 16);
	return write ? vmx_cpu_set_fpu(cpu, &area) : 0;
}
