/* SPDX-License-Identifier: GPL-2.0 */
/* VPIDs: there are 65,535, for everybody. */
#ifndef VMX_VPID_H
#define VMX_VPID_H

#include <linux/atomic.h>

/* A VM's share, so that no program takes all of them by one VM. */
#define VMX_VM_VPIDS	1024

int vmx_vpid_take(atomic_t *taken);
void vmx_vpid_return(int vpid, atomic_t *taken);

#endif /* VMX_VPID_H */
