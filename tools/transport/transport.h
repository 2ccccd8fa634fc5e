/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vmxrun loads for a migration alone, with the libraries that it needs. */
#ifndef VMXRUN_TRANSPORT_H
#define VMXRUN_TRANSPORT_H

#include <libvmx/migrate.h>

/* In vmxrun-transport.so */
extern const struct vmx_migration_codec transport_zstd;

/* Whom a line leads to, and who this side is. */
struct tls_config {
	int fd;			/* the line; it is taken over, and closed after an error, too */
	const char *folder;	/* of this side's certificates */
	const char *host;	/* whom the target's has to name; NULL at the target */
	bool (*cancelled)(void);	/* asked while one waits; or NULL */
	unsigned int patience_ms;	/* for the other side's answers */
};

/* In vmxrun-tls.so */
struct transport_tls {
	/*
	 * A socket that carries in the clear what goes over the line by TLS; or -errno, and a
	 * sentence.
	 */
	int (*protect)(const struct tls_config *config, char *why, size_t size);
	/* Has the folder all that a target needs? 0, or -errno and a sentence. */
	int (*check)(const char *folder, char *why, size_t size);
};

extern const struct transport_tls transport_tls;

#endif /* VMXRUN_TRANSPORT_H */
