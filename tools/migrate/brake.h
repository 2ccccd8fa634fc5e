/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps a guest from running for a part of its time. Its clocks go on meanwhile. */
#ifndef LIBVMX_MIGRATE_BRAKE_H
#define LIBVMX_MIGRATE_BRAKE_H

#include <libvmx/machine.h>

struct brake {
	struct vmx_machine *machine;
	pthread_t thread;
	pthread_cond_t changed;
	bool on;		/* there is a thread */
	bool ending;
	uint32_t hundredths;
	uint64_t ns;		/* how long it kept the guest in all */
};

/* From now on for so many hundredths of its time, up to 99. 0 or -errno. */
int brake_set(struct brake *brake, struct vmx_machine *machine, uint32_t hundredths);
/* Lets go; nothing happens if it was never set. */
void brake_end(struct brake *brake);

#endif /* LIBVMX_MIGRATE_BRAKE_H */
