// SPDX-License-Identifier: LGPL-2.1-or-later
/* What exits there were. */
#include <stdio.h>

#include "vmxrun.h"

void stats_print(void)
{
	for (unsigned int reason = 0; reason < VMX_STATS_REASONS; reason++) {
		uint64_t count = 0;

		for (unsigned int n = 0; n < machine.config.cpus; n++)
			count += machine.cpus[n].exits[reason];
		if (count)
			fprintf(stderr, "%10llu %s\n", (unsigned long long)count,
				vmx_reason_name(reason) ?: "?");
	}
}
