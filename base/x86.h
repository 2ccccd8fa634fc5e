/* SPDX-License-Identifier: GPL-2.0 */
/* Facts about the architecture that the kernel has no names for. */
#ifndef BASE_X86_H
#define BASE_X86_H

#include <asm/processor-flags.h>

/* All bits that CR0 has. */
#define BASE_CR0_ARCHITECTED						\
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET |	\
	 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD |	\
	 X86_CR0_PG)

#endif /* BASE_X86_H */
