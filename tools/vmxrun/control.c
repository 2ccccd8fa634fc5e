// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the HTTP API can do to the machine, and where it comes from: a shared object. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libvmx/debugger.h>

#include "../api/api.h"
#include "../api/runtime.h"
#include "vmxrun.h"

_Static_assert(VMX_MACHINE_CPUS <= API_CPUS, "All vCPUs fit");
_Static_assert(DISKS + NETS <= API_DEVICES, "All devices fit");

static const struct api_ops *ops;
static void *server;
static int listener = -1;
static const char *machine_name;

/* Pauses of the user's do not nest. */
static pthread_mutex_t pausing = PTHREAD_MUTEX_INITIALIZER;
static bool paused;
static bool given_up;

/* What is told */

static uint64_t ns_of(uint64_t ticks)
{
	return (__uint128_t)ticks * 1000000 / machine.vm.caps.tsc_khz;
}

static enum api_state state_now(void)
{
	if (incoming_waits())
		return API_INCOMING;
	if (machine.end != VMX_END_NONE)
		return API_ENDING;
	if (incoming_is_foreign())
		return API_INCOMING;
	if (migrate_is_undecided())
		return API_UNDECIDED;
	if (vmx_machine_is_paused(&machine))
		return API_PAUSED;
	return machine.debugger && machine.debugger->stopping ? API_DEBUGGED : API_RUNNING;
}

static const char *cpu_state(const struct vmx_cpu *cpu)
{
	if (cpu->lapic.waiting)
		return "waits for start";
	return cpu->halted ? "halted" : "active";
}

static void read_machine(struct api_info *info)
{
	info->state = state_now();
	info->memory = machine.config.memory;
	info->mmu = machine.vm.shadow ? "shadow" : "ept";
	info->restarts = machine_restarts();
	info->cpu_count = machine.config.cpus;
	for (unsigned int n = 0; n < info->cpu_count; n++) {
		info->cpus[n].state = cpu_state(&machine.cpus[n]);
		info->cpus[n].thread = machine.cpus[n].tid;
	}
	for (unsigned int n = 0; n < disks_count(); n++)
		disks_describe(n, &info->devices[info->device_count++]);
	for (unsigned int n = 0; n < nets_count(); n++)
		nets_describe(n, &info->devices[info->device_count++]);
}

static void convert(const struct stats *stats, struct api_info *info)
{
	for (unsigned int n = 0; n < VMX_STATS_REASONS; n++)
		info->exits[n] = (struct api_exit){
			.reason = vmx_reason_name(n),
			.monitor = stats->exits[n].count,
			.monitor_ns = ns_of(stats->exits[n].ticks),
			.module = stats->exits[n].in_module,
		};
	for (unsigned int n = 0; n < info->cpu_count; n++) {
		info->cpus[n].running_ns = ns_of(stats->cpus[n].ran);
		info->cpus[n].monitor_ns = ns_of(stats->cpus[n].spent);
		info->cpus[n].asleep_ns = ns_of(stats->cpus[n].slept);
	}
	info->vm_stats = stats->vm;
	info->mmu_stats = stats->mmu;
}

/* What vmx_error() has becomes the answer. */
static int explain(int ret, char *why)
{
	if (ret)
		snprintf(why, API_WHY, "%s", vmx_error());
	return ret;
}

static int read_made(struct api_info *info, char *why)
{
	struct stats stats;
	int ret;

	pthread_mutex_lock(&machine.lock);
	read_machine(info);
	pthread_mutex_unlock(&machine.lock);
	ret = explain(stats_read(&stats), why);
	/* By the TSC's rate, which a machine that is made anew does not have at first. */
	convert(&stats, info);
	return ret;
}

static int read_info(void *context __attribute__((unused)), struct api_info *info, char *why)
{
	int ret = 0;

	pthread_mutex_lock(&making);
	info->name = machine_name;
	info->mmu = "none";
	info->state = API_INCOMING;
	if (machine_is_made())
		ret = read_made(info, why);
	pthread_mutex_unlock(&making);
	return ret;
}

/* What is done */

/* 0; or -EBUSY if there is no guest that anything can be done with. */
static int check_here(char *why)
{
	if (incoming_is_foreign())
		snprintf(why, API_WHY, "the machine has not come yet; power-off ends the waiting");
	else if (migrate_is_undecided())
		snprintf(why, API_WHY,
			 "nobody knows whether the guest is here or on the other side: end that one, and resume it here");
	else
		return 0;
	return -EBUSY;
}

static const char moved_away[] = "the machine is being moved; ask the other side";

/* With @pausing held. */
static int check_given_up(char *why)
{
	if (!given_up)
		return 0;
	snprintf(why, API_WHY, "%s", moved_away);
	return -EBUSY;
}

static int pause_machine(void *context __attribute__((unused)), char *why)
{
	int ret = check_here(why);

	if (ret)
		return ret;
	machine_hold();
	pthread_mutex_lock(&pausing);
	ret = check_given_up(why);
	if (!ret && !paused && vmx_machine_pause(&machine)) {
		snprintf(why, API_WHY, "the machine is ending or starting anew; try again");
		ret = -ESHUTDOWN;
	}
	if (!ret)
		paused = true;
	pthread_mutex_unlock(&pausing);
	machine_release();
	return ret;
}

static int resume_machine(void *context __attribute__((unused)), char *why)
{
	int ret = check_here(why);

	if (ret)
		return ret;
	machine_hold();
	pthread_mutex_lock(&pausing);
	ret = check_given_up(why);
	if (!ret && paused)
		vmx_machine_resume(&machine);
	if (!ret)
		paused = false;
	pthread_mutex_unlock(&pausing);
	machine_release();
	return ret;
}

bool control_give_up(void)
{
	bool is;

	pthread_mutex_lock(&pausing);
	given_up = true;
	is = paused;
	pthread_mutex_unlock(&pausing);
	return is;
}

void control_take_back(void)
{
	pthread_mutex_lock(&pausing);
	given_up = false;
	pthread_mutex_unlock(&pausing);
}

void control_set_paused(void)
{
	pthread_mutex_lock(&pausing);
	paused = true;
	pthread_mutex_unlock(&pausing);
}

static int press_button(void *context __attribute__((unused)), char *why)
{
	bool leaving, heard;
	int ret = check_here(why);

	if (ret)
		return ret;
	pthread_mutex_lock(&making);
	pthread_mutex_lock(&machine.lock);
	leaving = migrate_is_leaving();
	heard = !leaving && vmx_power_button(&machine.power);
	pthread_mutex_unlock(&machine.lock);
	pthread_mutex_unlock(&making);
	if (heard)
		return 0;
	if (leaving) {
		snprintf(why, API_WHY, "%s", moved_away);
		return -EBUSY;
	}
	snprintf(why, API_WHY,
		 "the guest does not listen to the power button; power it off if it is to end");
	return -EBUSY;
}

static int power_off(void *context __attribute__((unused)), char *why __attribute__((unused)))
{
	pthread_mutex_lock(&making);
	console_stop(STATUS_STOPPED);
	pthread_mutex_unlock(&making);
	return 0;
}

static int set_affinity(void *context __attribute__((unused)), unsigned int cpu,
			const unsigned int *host_cpus, size_t count, char *why)
{
	unsigned int cpus;
	int ret = check_here(why);

	if (ret)
		return ret;
	ret = -ENOENT;
	pthread_mutex_lock(&making);
	pthread_mutex_lock(&machine.lock);
	cpus = machine.config.cpus;
	if (cpu < cpus)
		ret = pins_set(&machine.cpus[cpu], host_cpus, count);
	pthread_mutex_unlock(&machine.lock);
	pthread_mutex_unlock(&making);
	if (cpu >= cpus)
		snprintf(why, API_WHY, "there is no virtual CPU %u: the machine has %u", cpu, cpus);
	else if (ret == -EINVAL)
		snprintf(why, API_WHY, "this computer lets it run on none of these CPUs");
	else if (ret)
		snprintf(why, API_WHY, "virtual CPU %u cannot be moved: %s", cpu, strerror(-ret));
	return ret;
}

/* It has a pause of its own, so that the user's begin and end meanwhile. */
static int take_snapshot(void *context __attribute__((unused)), const char *path, char *why)
{
	int ret = check_here(why);

	if (ret)
		return ret;
	machine_hold();
	ret = snapshot_save(path, why, API_WHY);
	machine_release();
	return ret;
}

/* A sentence becomes the answer. */
static int answer(int ret, const struct sentence *sentence, char *why)
{
	if (ret)
		snprintf(why, API_WHY, "%s", sentence->text);
	return ret;
}

static int migrate(void *context __attribute__((unused)), const struct api_migrate *how,
		   struct vmx_migration_status *report, char *why)
{
	struct sentence sentence = { "" };
	int ret = check_here(why);

	if (ret)
		return ret;
	machine_hold();
	ret = answer(migrate_machine(how, report, &sentence), &sentence, why);
	machine_release();
	return ret;
}

static int read_migration(void *context __attribute__((unused)),
			  struct vmx_migration_status *status,
			  char *why __attribute__((unused)))
{
	migrate_read(status);
	return 0;
}

static int cancel(void *context __attribute__((unused)), char *why)
{
	struct sentence sentence;

	return answer(migrate_cancel(&sentence), &sentence, why);
}

static int resume_here(void *context __attribute__((unused)), char *why)
{
	struct sentence sentence;
	int ret;

	machine_hold();
	ret = answer(migrate_resume_here(&sentence), &sentence, why);
	machine_release();
	return ret;
}

static const struct api_target target = {
	.read = read_info,
	.pause = pause_machine,
	.resume = resume_machine,
	.power_button = press_button,
	.power_off = power_off,
	.set_affinity = set_affinity,
	.snapshot = take_snapshot,
	.migrate = migrate,
	.migration = read_migration,
	.cancel = cancel,
	.resume_here = resume_here,
};

/* Starting */

/* The socket of a machine with this name. */
static void place(const char *name, char *path, size_t size)
{
	char folder[PATH_MAX];
	struct stat stat;

	if (!runtime_folder(folder, sizeof(folder)))
		fail("--name %s: XDG_RUNTIME_DIR is no folder of yours; give --api unix:PATH, too",
		     name);
	if (mkdir(folder, 0700) && errno != EEXIST)
		fail("--name %s: %s: %s", name, folder, strerror(errno));
	if (lstat(folder, &stat) || !S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() ||
	    stat.st_mode & 0022)
		fail("--name %s: %s is not a folder that you alone can write to; "
		     "remove it, or give --api unix:PATH, too", name, folder);
	if ((size_t)snprintf(path, size, "%s/%s%s", folder, name, RUNTIME_SUFFIX) >= size)
		fail("--name %s: the path of its socket is too long", name);
}

void control_listen(const char *address, const char *name)
{
	struct sentence why;
	char path[PATH_MAX];

	if (name && !runtime_is_name(name))
		fail("--name %s: give up to 64 letters, digits, dots, dashes and underscores",
		     name);
	if (address && strncmp(address, "unix:", 5))
		fail("--api %s: give unix:PATH", address);
	if (address)
		snprintf(path, sizeof(path), "%s", address + 5);
	else
		place(name, path, sizeof(path));
	machine_name = name;
	ops = load_symbol("vmxrun-api.so", "api_server", &why);
	if (!ops)
		fail("the API cannot be loaded: %s", why.text);
	listener = socket_listen_unix(address ? "--api" : "--name", path);
	if (listener < 0)
		fail("%s: %s%s", path, strerror(errno),
		     errno == EADDRINUSE ? "; another machine uses it" : "");
}

void control_start(void)
{
	struct api_config config = { .target = &target, .listener = listener, .uid = geteuid() };

	server = ops->start(&config);
	if (!server)
		fail("the API cannot be started");
}

void control_end(void)
{
	ops->stop(server);
}
