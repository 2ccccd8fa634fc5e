/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vmxrun loads for a migration alone, with the libraries that it needs. */
#ifndef VMXRUN_TRANSPORT_H
#define VMXRUN_TRANSPORT_H

#include <libvmx/migrate.h>

extern const struct vmx_migration_codec transport_zstd;

#endif /* VMXRUN_TRANSPORT_H */
