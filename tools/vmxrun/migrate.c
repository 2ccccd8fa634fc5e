// SPDX-License-Identifier: LGPL-2.1-or-later
/* Moves the machine to another process, or keeps it for a person to decide where it is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libvmx/migrate.h>

#include "../api/api.h"
#include "vmxrun.h"

#define BANDWIDTH_LEAST	(64u << 10)

static struct vmx_migration migration = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Protects what follows. */
static pthread_mutex_t moving = PTHREAD_MUTEX_INITIALIZER;
static bool on_its_way;
static bool undecided;

const struct vmx_migration_codec *migrate_codec(struct sentence *why)
{
	return load_symbol("vmxrun-transport.so", "transport_zstd", why);
}

static int flush(void *host __attribute__((unused)), char *why)
{
	if (disks_flush())
		return 0;
	snprintf(why, VMX_MIGRATION_WHY, "the guest's last writes to a disk cannot be flushed");
	return -EIO;
}

/* What only one side may have. Called before the other side is told to go on. */
static int release(void *host __attribute__((unused)), bool *paused,
		   char *why __attribute__((unused)))
{
	*paused = control_give_up();
	disks_unlock();
	return 0;
}

static int regain(void *host __attribute__((unused)), char *why)
{
	struct sentence reason;
	int ret = disks_lock(&reason);

	if (!ret)
		control_take_back();
	else
		snprintf(why, VMX_MIGRATION_WHY, "%s", reason.text);
	return ret;
}

bool migrate_is_undecided(void)
{
	bool is;

	pthread_mutex_lock(&moving);
	is = undecided;
	pthread_mutex_unlock(&moving);
	return is;
}

bool migrate_is_leaving(void)
{
	struct vmx_migration_status status;

	migrate_read(&status);
	return status.phase >= VMX_MIGRATION_STOP && status.phase <= VMX_MIGRATION_DONE;
}

void migrate_set_undecided(const char *why)
{
	pthread_mutex_lock(&moving);
	undecided = true;
	pthread_mutex_unlock(&moving);
	fprintf(stderr,
		"vmxrun: the guest is paused: %s.\n"
		"vmxrun: If it does not run on the other side, end that one and have it go on here: vmxctl resume --here\n",
		why);
}

int migrate_resume_here(struct sentence *why)
{
	int ret = -EBUSY;

	sentence_is(why, "no migration has left it undecided where the machine is");
	pthread_mutex_lock(&moving);
	if (undecided) {
		ret = disks_lock(why);
		if (!ret)
			ret = disks_renew(why);
		if (ret)
			disks_unlock();
	}
	if (!ret)
		undecided = false;
	pthread_mutex_unlock(&moving);
	if (ret)
		return ret;
	pthread_mutex_lock(&migration.lock);
	/* Of a source's. It has the guest, as it turns out. */
	if (migration.status.phase == VMX_MIGRATION_UNDECIDED)
		migration.status.phase = VMX_MIGRATION_FAILED;
	pthread_mutex_unlock(&migration.lock);
	control_take_back();
	vmx_machine_resume(&machine);
	nets_announce();
	return 0;
}

/* From here on it can be cancelled. */
static void set_up(const struct api_migrate *how)
{
	pthread_mutex_lock(&migration.lock);
	migration.config = (struct vmx_migration_config){
		.bandwidth = how->bandwidth, .downtime_ms = how->downtime_ms,
		.throttle = how->throttle, .flush = flush, .release = release, .regain = regain,
		.fd = -1,
	};
	migration.cancelled = false;
	migration.status = (struct vmx_migration_status){ .phase = VMX_MIGRATION_OFFER };
	pthread_mutex_unlock(&migration.lock);
}

static bool is_cancelled(void)
{
	bool is;

	pthread_mutex_lock(&migration.lock);
	is = migration.cancelled;
	pthread_mutex_unlock(&migration.lock);
	return is;
}

static int connect_line(const struct api_migrate *how, struct sentence *why)
{
	const struct vmx_migration_codec *codec = how->compress ? migrate_codec(why) : NULL;
	const struct line_config to = {
		.address = how->address, .tls_creds = how->tls_creds,
		.tls_hostname = how->tls_hostname,
	};
	int fd = how->compress && !codec ? -EOPNOTSUPP : line_connect(&to, is_cancelled, why);
	int ret = fd < 0 ? fd : 0;

	if (ret == -ECANCELED)
		sentence_is(why, "the migration was cancelled");
	pthread_mutex_lock(&migration.lock);
	migration.config.codec = codec;
	migration.config.fd = fd;
	if (ret)
		migration.status.phase = VMX_MIGRATION_FAILED;
	pthread_mutex_unlock(&migration.lock);
	return ret;
}

/* Who cancels does not shut down what another one has opened. */
static void disconnect(void)
{
	int fd;

	pthread_mutex_lock(&migration.lock);
	fd = migration.config.fd;
	migration.config.fd = -1;
	pthread_mutex_unlock(&migration.lock);
	close(fd);
}

/* One at a time. */
static int begin(struct sentence *why)
{
	int ret = 0;

	pthread_mutex_lock(&moving);
	if (incoming_is_foreign() || on_its_way || undecided) {
		sentence_is(why, undecided ? "it is undecided where the machine is" : on_its_way ?
			    "the machine is on its way already" :
			    "the machine has not come yet");
		ret = -EBUSY;
	} else {
		on_its_way = true;
	}
	pthread_mutex_unlock(&moving);
	return ret;
}

/* The guest has gone, or goes on, or is paused until somebody knows. */
static void end(int ret, const char *address, const struct sentence *why)
{
	if (ret == -EINPROGRESS)
		migrate_set_undecided(why->text);
	pthread_mutex_lock(&moving);
	on_its_way = false;
	pthread_mutex_unlock(&moving);
	if (ret)
		return;
	fprintf(stderr, "vmxrun: the machine has moved to %s\n", address);
	pthread_mutex_lock(&making);
	console_stop(STATUS_MOVED);
	pthread_mutex_unlock(&making);
}

int migrate_machine(const struct api_migrate *how, struct vmx_migration_status *report,
		    struct sentence *why)
{
	int ret;

	if (how->bandwidth && how->bandwidth < BANDWIDTH_LEAST) {
		sentence_is(why, "with so little bandwidth it never ends: give 64K or more");
		return -EINVAL;
	}
	ret = begin(why);
	if (ret)
		return ret;
	set_up(how);
	ret = connect_line(how, why);
	if (!ret) {
		ret = vmx_machine_migrate(&machine, &migration);
		if (ret)
			sentence_is(why, "%s", vmx_error());
		disconnect();
		migrate_read(report);
	}
	end(ret, how->address, why);
	return ret;
}

void migrate_read(struct vmx_migration_status *status)
{
	vmx_migration_read(&migration, status);
}

int migrate_cancel(struct sentence *why)
{
	struct vmx_migration_status status;
	bool running;

	pthread_mutex_lock(&moving);
	running = on_its_way;
	pthread_mutex_unlock(&moving);
	if (running && vmx_migration_cancel(&migration))
		return 0;
	migrate_read(&status);
	sentence_is(why, running && status.phase != VMX_MIGRATION_FAILED ?
		    "it is too late: the other side was told to go on; nobody waits for it now" :
		    "no migration is on its way");
	return -EBUSY;
}
