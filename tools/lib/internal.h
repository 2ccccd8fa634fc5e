/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBVMX_INTERNAL_H
#define LIBVMX_INTERNAL_H

#include <stdarg.h>

/* Remembers a sentence for vmx_error() and returns -error. */
int vmx_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* LIBVMX_INTERNAL_H */
