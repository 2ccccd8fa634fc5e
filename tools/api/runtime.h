/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where machines with a name have their sockets: vmxrun puts them there, vmxctl looks. */
#ifndef VMXRUN_RUNTIME_H
#define VMXRUN_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#define RUNTIME_SUFFIX	".sock"

/*
 * The folder: vmx in $XDG_RUNTIME_DIR, if that is the user's own, or root's /run/vmx. False if the
 * user has none.
 */
bool runtime_folder(char *path, size_t size);
/* Letters, digits, dots, dashes and underscores; up to 64, and the first no dot and no dash. */
bool runtime_is_name(const char *name);

#endif /* VMXRUN_RUNTIME_H */
