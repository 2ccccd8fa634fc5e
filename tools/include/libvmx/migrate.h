/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: migration
 *
 * A machine moves to another process while its guest runs. Documentation/moving.rst
 * has the protocol. The source calls vmx_machine_migrate(). The target calls, in this
 * order, vmx_incoming_open(), vmx_incoming_check() with a machine that it frees again,
 * vmx_incoming_receive() and vmx_incoming_finish().
 *
 * The guest never runs on both sides. Until the source commits, it goes on there
 * whatever happens. Once the target has acknowledged that, it goes on there. If the
 * line is cut in between, both keep the machine paused, and a person decides.
 */
#ifndef LIBVMX_MIGRATE_H
#define LIBVMX_MIGRATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/machine.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct vmx_migration_codec - packs pages
 * @pack: packs @length bytes into @room bytes: how many they are then, or 0 if they are
 *	not less
 * @unpack: the reverse: true if there were exactly @length bytes
 */
struct vmx_migration_codec {
	size_t (*pack)(void *to, size_t room, const void *from, size_t length);
	bool (*unpack)(void *to, size_t length, const void *from, size_t packed);
};

/**
 * enum vmx_migration_phase - how far a migration is
 * @VMX_MIGRATION_NONE: it has not begun
 * @VMX_MIGRATION_OFFER: the target looks whether it has what the guest needs
 * @VMX_MIGRATION_COPY: memory is copied while the guest runs
 * @VMX_MIGRATION_STOP: the guest is stopped, and the rest is copied
 * @VMX_MIGRATION_COMMIT: the target was told to go on, and has not acknowledged it
 * @VMX_MIGRATION_UNDECIDED: the line was cut then: nobody knows which side has the guest
 * @VMX_MIGRATION_DONE: the target has the guest
 * @VMX_MIGRATION_FAILED: the source has it
 */
enum vmx_migration_phase {
	VMX_MIGRATION_NONE,
	VMX_MIGRATION_OFFER,
	VMX_MIGRATION_COPY,
	VMX_MIGRATION_STOP,
	VMX_MIGRATION_COMMIT,
	VMX_MIGRATION_UNDECIDED,
	VMX_MIGRATION_DONE,
	VMX_MIGRATION_FAILED,
};

#define VMX_MIGRATION_PHASES	8
#define VMX_MIGRATION_WHY	300	/* bytes of a sentence, the zero at the end among them */

/**
 * struct vmx_migration_config - how to migrate
 * @fd: a stream socket to the target; stays the caller's
 * @bandwidth: bytes that may be sent in a second, 0 for as many as the line takes
 * @downtime_ms: how long the guest may stand still
 * @throttle: slow down a guest that writes faster than the line takes
 * @codec: packs pages if the target knows how to unpack them; NULL for nobody
 * @flush: has disks keep what the guest wrote: called before the guest is stopped for the
 *	last time, and again afterwards: 0, or -errno with a sentence in @why; NULL for
 *	nothing
 * @release: called directly before the target is told to go on: gives up what only one
 *	side may have, such as locks of disks, and says whether the user had paused the
 *	machine; likewise; NULL for nothing to give up
 * @regain: undoes that, for the guest goes on here: likewise; NULL for nothing. After an
 *	error it stays paused
 * @host: argument for these
 */
struct vmx_migration_config {
	int fd;
	uint64_t bandwidth;
	uint32_t downtime_ms;
	bool throttle;
	const struct vmx_migration_codec *codec;
	int (*flush)(void *host, char *why);
	int (*release)(void *host, bool *paused, char *why);
	int (*regain)(void *host, char *why);
	void *host;
};

/**
 * struct vmx_migration_status - what is known of a migration
 * @phase: how far it is
 * @round: of copying, from 1 on
 * @sent: bytes on the line
 * @pages: pages of 4 KiB that were sent, zero pages not counted
 * @zero: zero pages that were told or left out
 * @left: pages that are known to be sent still
 * @rate: bytes of memory that went in a second of the last round
 * @dirtied: bytes that the guest wrote in a second of it
 * @throttle: hundredths of its time that the guest is kept from running
 * @estimate_ms: the downtime if the guest was stopped now
 * @total_ns: since it began
 * @offer_ns: of what the guest stood still: for the offer, before all
 * @braked_ns: by throttling
 * @faults: writes that the module had to note by a fault
 * @downtime_ns: by the last stop, until the target acknowledged it; it is the sum of
 *	the following five
 * @stop_ns: until all virtual CPUs and devices were at rest
 * @pages_ns: the last pages
 * @state_ns: the state of virtual CPUs and devices, on its way
 * @target_ns: the target puts it into its machine
 * @resume_ns: the commit, and the target's first steps
 */
struct vmx_migration_status {
	enum vmx_migration_phase phase;
	uint32_t round;
	uint64_t sent;
	uint64_t pages;
	uint64_t zero;
	uint64_t left;
	uint64_t rate;
	uint64_t dirtied;
	uint32_t throttle;
	uint64_t estimate_ms;
	uint64_t total_ns;
	uint64_t offer_ns;
	uint64_t braked_ns;
	uint64_t faults;
	uint64_t downtime_ns;
	uint64_t stop_ns;
	uint64_t pages_ns;
	uint64_t state_ns;
	uint64_t target_ns;
	uint64_t resume_ns;
};

/**
 * struct vmx_migration - a migration that others watch
 * @config: filled in by the caller
 * @lock: protects the rest
 * @cancelled: somebody wants it to end
 * @status: what is known of it
 *
 * The caller initializes @lock and zeroes the rest.
 */
struct vmx_migration {
	struct vmx_migration_config config;
	pthread_mutex_t lock;
	bool cancelled;
	struct vmx_migration_status status;
};

/**
 * vmx_machine_migrate() - move a machine to another process
 * @machine: the machine; runs or is paused. It must stay in place meanwhile
 * @migration: how, and where others see how far it is
 *
 * Return: 0: the target has the guest, and this machine, which is paused, may only be
 * ended. -EINPROGRESS: nobody knows whether it has, or @regain failed, and the machine is
 * paused: vmx_machine_resume() has it go on here. Any other -errno: the machine goes on here
 * as if nothing had been; -ECANCELED (vmx_migration_cancel(), or the target gave up),
 * -ESHUTDOWN (the guest has ended, or resets itself), -EPIPE (the line was cut),
 * -ETIMEDOUT (the target kept the guest waiting too long),
 * -EBUSY (a debugger has the machine). vmx_error() has the reason.
 */
int vmx_machine_migrate(struct vmx_machine *machine,
			struct vmx_migration *migration);

/**
 * vmx_migration_cancel() - have a migration end, from another thread
 * @migration: the migration
 *
 * Once the target was told to go on it is too late: it is not waited for any more, and
 * unless it has acknowledged, it is undecided which side has the guest.
 *
 * Return: whether it was in time.
 */
bool vmx_migration_cancel(struct vmx_migration *migration);

/**
 * vmx_migration_read() - see how far a migration is, from any thread
 * @migration: the migration
 * @status: filled in
 */
void vmx_migration_read(struct vmx_migration *migration,
			struct vmx_migration_status *status);

struct vmx_incoming;

/**
 * vmx_incoming_open() - hear what machine is to come
 * @incoming: out: it
 * @fd: a stream socket to the source; stays the caller's
 * @codec: unpacks pages, or NULL
 * @config: filled in
 *
 * Return: 0, -EINVAL (what comes is no machine), -EPIPE, or another -errno.
 */
int vmx_incoming_open(struct vmx_incoming **incoming, int fd,
		      const struct vmx_migration_codec *codec,
		      struct vmx_saved_config *config);

/**
 * vmx_incoming_check() - has a machine all that the guest needs?
 * @incoming: the machine that is to come
 * @machine: a new machine with the same memory, CPUs and devices. It can only be freed
 *	then
 *
 * The source is told why not.
 *
 * Return: 0 or -errno, as vmx_machine_restore().
 */
int vmx_incoming_check(struct vmx_incoming *incoming,
		       struct vmx_machine *machine);

/**
 * vmx_incoming_refuse() - tell the source that this side cannot take the machine
 * @incoming: the machine that is to come; it was not received yet
 * @why: a sentence
 */
void vmx_incoming_refuse(struct vmx_incoming *incoming, const char *why);

/**
 * vmx_incoming_receive() - take memory and state
 * @incoming: the machine that comes
 * @machine: like the one that was checked; it is paused then
 *
 * Return: 0 or -errno; after an error the source has the guest.
 */
int vmx_incoming_receive(struct vmx_incoming *incoming,
			 struct vmx_machine *machine);

/**
 * vmx_incoming_finish() - wait until this side has the guest
 * @incoming: the machine that came
 * @machine: the machine
 * @take: takes what only one side may have, before the source is told that the guest
 *	goes on here: 0, or -errno with a sentence in @why; NULL for nothing
 * @give_back: undoes that, for the machine has ended meanwhile; NULL for nothing
 * @host: argument for these
 * @paused: out: the user had paused the machine. If not, it was resumed
 *
 * Another thread must call vmx_machine_run() meanwhile: only a machine whose virtual CPUs
 * are ready to run takes the guest over.
 *
 * Return: 0; -EINPROGRESS: the line was cut, and nobody knows which side has the guest;
 * vmx_machine_resume() has it go on here. Any other -errno: the source has it;
 * -ESHUTDOWN (the machine has ended).
 */
int vmx_incoming_finish(struct vmx_incoming *incoming,
			struct vmx_machine *machine,
			int (*take)(void *host, char *why),
			void (*give_back)(void *host), void *host, bool *paused);

/**
 * vmx_incoming_received() - how much has come?
 * @incoming: the machine that comes
 *
 * Return: pages of 4 KiB.
 */
uint64_t vmx_incoming_received(const struct vmx_incoming *incoming);

/**
 * vmx_incoming_close() - forget what came
 * @incoming: it, or NULL; the machine goes on
 */
void vmx_incoming_close(struct vmx_incoming *incoming);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_MIGRATE_H */
