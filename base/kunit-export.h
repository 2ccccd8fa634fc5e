/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exports for the KUnit module alone. Kbuild decides whether it is built: it needs
 * CONFIG_KUNIT, and a kernel that has kunit/visibility.h.
 */
#ifndef BASE_KUNIT_EXPORT_H
#define BASE_KUNIT_EXPORT_H

#include <linux/build_bug.h>

#ifdef VMX_HAVE_KUNIT
#include <kunit/visibility.h>
#else
#define EXPORT_SYMBOL_IF_KUNIT(symbol)					\
	static_assert(__builtin_types_compatible_p(typeof(symbol), typeof(symbol)))
#endif

#endif /* BASE_KUNIT_EXPORT_H */
