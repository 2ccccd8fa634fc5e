// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads a flat binary to an address and enters it there. */
#include <errno.h>

#include "load.h"

#define REAL_END	0x100000ull

int load_flat(const struct vmx_memory *memory, const struct vmx_boot *boot,
	      struct vmx_start *start)
{
	bool real = boot->flat_mode == VMX_MODE_REAL;
	struct plan plan = { .memory = memory };
	struct start_tables tables;
	int error;

	if (!real && boot->flat_mode != VMX_MODE_PROTECTED && boot->flat_mode != VMX_MODE_LONG)
		return vmx_fail(EINVAL,
				"A flat binary starts in real, 32-bit protected or 64-bit mode");
	if (boot->flat_address >= (real ? REAL_END : GIB_4))
		return vmx_fail(EINVAL,
				"A flat binary in this mode begins below %#llx, not at %#llx",
				real ? REAL_END : GIB_4, (unsigned long long)boot->flat_address);
	if (boot->module_count)
		return vmx_fail(EINVAL,
				"A flat binary cannot have modules, since it has no way to find them");
	error = plan_at(&plan, boot->flat_address, boot->kernel_size, boot->kernel,
			boot->kernel_size, "flat binary");
	if (error)
		return error;
	if (real) {
		start_real(start, boot->flat_address);
	} else {
		error = start_plan(&plan, start, boot->flat_mode, &tables);
		start->rip = boot->flat_address;
	}
	if (!error)
		plan_carry_out(&plan);
	return error;
}
