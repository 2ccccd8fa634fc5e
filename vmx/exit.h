/* SPDX-License-Identifier: GPL-2.0 */
/* What exits tell, apart from any CPU. */
#ifndef VMX_EXIT_H
#define VMX_EXIT_H

#include <linux/types.h>

bool vmx_exit_in_delivery(u32 reason);
bool vmx_checks_alignment(u64 cr0, u64 rflags, u32 ss_access);

#endif /* VMX_EXIT_H */
