// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of the features that GET_CAPS reports. */
#include <libvmx.h>

#include "internal.h"

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{ VMX_HAS_EPT, "EPT" },
	{ VMX_HAS_EPT_2M, "2M pages" },
	{ VMX_HAS_EPT_1G, "1G pages" },
	{ VMX_HAS_EPT_AD, "EPT A/D" },
	{ VMX_HAS_EPT_EXEC_ONLY, "execute-only" },
	{ VMX_HAS_EPT_5LEVEL, "5-level EPT" },
	{ VMX_HAS_VPID, "VPID" },
	{ VMX_HAS_UNRESTRICTED, "unrestricted guest" },
	{ VMX_HAS_PREEMPTION_TIMER, "preemption timer" },
	{ VMX_HAS_VIRTUAL_NMI, "virtual NMIs" },
	{ VMX_HAS_LOAD_EFER, "load EFER" },
	{ VMX_HAS_LOAD_PAT, "load PAT" },
	{ VMX_HAS_XSAVE, "XSAVE" },
	{ VMX_HAS_SHADOW_VMCS, "VMCS shadowing" },
	{ VMX_HAS_PML, "PML" },
	{ VMX_HAS_VMFUNC, "VM functions" },
	{ VMX_HAS_VE, "virtualization exceptions" },
	{ VMX_HAS_MODE_EXEC, "mode-based execute control" },
};

const char *vmx_feature_name(unsigned int n, uint64_t *bit)
{
	if (n >= COUNT(features))
		return NULL;
	*bit = features[n].bit;
	return features[n].name;
}
