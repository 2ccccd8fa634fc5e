// SPDX-License-Identifier: LGPL-2.1-or-later
/* A machine that comes from another process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libvmx/migrate.h>

#include "vmxrun.h"

static struct vmx_incoming *incoming;
static int line = -1;
static bool waits;
static bool foreign;

bool incoming_waits(void)
{
	return __atomic_load_n(&waits, __ATOMIC_ACQUIRE);
}

static void set_waiting(bool on)
{
	__atomic_store_n(&waits, on, __ATOMIC_RELEASE);
}

bool incoming_is_foreign(void)
{
	return __atomic_load_n(&foreign, __ATOMIC_ACQUIRE);
}

static void set_foreign(bool on)
{
	__atomic_store_n(&foreign, on, __ATOMIC_RELEASE);
}

/* A source waits for this thread to say whether the machine can come. */
static __thread bool asked;

void incoming_refuse(const struct sentence *why)
{
	if (asked)
		vmx_incoming_refuse(incoming, why->text);
}

/* What the user expects. */
static void judge(const struct options *options, const struct vmx_saved_config *saved)
{
	const struct vmx_machine_config *wanted = &options->machine;

	if (options->memory_given && saved->memory != wanted->memory)
		fail("--memory: the machine that comes has %lluK of memory, not %lluK",
		     (unsigned long long)saved->memory >> 10,
		     (unsigned long long)wanted->memory >> 10);
	if (options->cpus_given && saved->cpus != wanted->cpus)
		fail("--cpus: the machine that comes has %u, not %u", saved->cpus, wanted->cpus);
}

/* Who connects may be anybody, and is let go if it is no vmxrun. */
static void hear_offer(struct options *options)
{
	struct vmx_saved_config saved;
	struct sentence why;
	const struct vmx_migration_codec *codec = migrate_codec(&why);

	for (;;) {
		line = line_accept(&why);
		if (line >= 0 && !vmx_incoming_open(&incoming, line, codec, &saved))
			break;
		if (line >= 0) {
			sentence_is(&why, "%s", vmx_error());
			close(line);
		}
		if (!line_comes_again())
			fail("--incoming: %s", why.text);
		/* Whoever connects could stop it otherwise, when nobody reads the pipe. */
		if (somebody_listens())
			fprintf(stderr, "vmxrun: --incoming: %s; it waits on\n", why.text);
	}
	line_listen_no_more();
	asked = true;
	judge(options, &saved);
	options->machine.memory = saved.memory;
	options->machine.cpus = saved.cpus;
}

/* Whether it has all that the guest needs turns out with a machine that is not used. */
static void check(const struct vmx_machine_config *config)
{
	int ret;

	pthread_mutex_lock(&making);
	machine_make(config);
	ret = vmx_incoming_check(incoming, &machine);
	/* Then it was told. */
	asked = !ret;
	machine_forget();
	if (!ret)
		machine_make(config);
	asked = false;
	pthread_mutex_unlock(&making);
	if (ret)
		fail("--incoming: %s", vmx_error());
}

void incoming_receive(struct options *options)
{
	hear_offer(options);
	pins_check(options->machine.cpus);
	check(&options->machine);
	if (vmx_incoming_receive(incoming, &machine))
		fail("--incoming: %s", vmx_error());
	set_waiting(false);
}

static int take(void *host __attribute__((unused)), char *why)
{
	struct sentence reason;
	int ret = disks_lock(&reason);

	if (!ret) {
		ret = disks_renew(&reason);
		if (ret)
			disks_unlock();
	}
	if (ret)
		snprintf(why, VMX_MIGRATION_WHY, "%s", reason.text);
	return ret;
}

static void give_back(void *host __attribute__((unused)))
{
	disks_unlock();
}

static void *finish(void *arg __attribute__((unused)))
{
	bool paused = false;
	int ret = vmx_incoming_finish(incoming, &machine, take, give_back, NULL, &paused);

	if (!ret && paused)
		control_set_paused();
	if (ret == -EINPROGRESS)
		migrate_set_undecided(vmx_error());
	/* Whoever may do anything with it finds it as it is. */
	if (!ret || ret == -EINPROGRESS)
		set_foreign(false);
	if (!ret) {
		nets_announce();
	} else if (ret != -EINPROGRESS) {
		fprintf(stderr, "vmxrun: --incoming: %s\n", vmx_error());
		pthread_mutex_lock(&making);
		console_stop(STATUS_ERROR);
		pthread_mutex_unlock(&making);
	}
	vmx_incoming_close(incoming);
	close(line);
	machine_release();
	return NULL;
}

void incoming_finish(void)
{
	pthread_t thread;

	machine_hold();
	if (pthread_create(&thread, NULL, finish, NULL))
		fail("--incoming: cannot start a thread");
	pthread_detach(thread);
}

void incoming_begin(const struct options *options)
{
	line_listen(options->incoming, options->tls_creds);
	set_waiting(true);
	set_foreign(true);
}
