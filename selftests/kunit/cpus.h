/* SPDX-License-Identifier: GPL-2.0 */
/* CPUs for tests: values of their capability MSRs. */
#ifndef VMX_KUNIT_CPUS_H
#define VMX_KUNIT_CPUS_H

#include "../../vmx/caps.h"

/* A capability MSR of a control field */
#define CONTROL_MSR(must, may) ((u64)(may) << 32 | (must))

/* Penryn: no true controls, no EPT, no VPIDs, no EFER or PAT switch */
extern const struct vmx_cpu_info cpu_penryn;
/* Haswell: EPT, VPIDs, unrestricted guest, VM functions, VMCS shadowing */
extern const struct vmx_cpu_info cpu_haswell;
/* All bits of the older controls can be 1, even those that mean nothing yet */
extern const struct vmx_cpu_info cpu_everything;

struct vmx_caps caps_of(const struct vmx_cpu_info *cpu);

#endif /* VMX_KUNIT_CPUS_H */
