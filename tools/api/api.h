/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface between vmxrun and its HTTP API. The API is a shared object of its own, so that
 * only who asks for it loads the libraries that it needs. It knows a machine by what struct
 * api_target tells and does.
 */
#ifndef VMXRUN_API_H
#define VMXRUN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/vmx.h>

#include <libvmx/migrate.h>

#define API_CPUS	16
#define API_DEVICES	48
#define API_COUNTERS	4
#define API_WHY		300

enum api_state {
	API_RUNNING,
	API_PAUSED,
	API_DEBUGGED,	/* stopped by gdb */
	API_ENDING,	/* it has ended, or starts anew */
	API_INCOMING,	/* it is to come from elsewhere */
	API_UNDECIDED,	/* paused, and here or where it was to go to */
	API_STATES,
};

/* Exits for one reason. */
struct api_exit {
	const char *reason;	/* NULL: there is no such exit */
	uint64_t monitor;	/* that vmxrun handled */
	uint64_t monitor_ns;	/* and the time until the guest ran again */
	uint64_t module;	/* that the module finished by itself */
};

struct api_cpu {
	const char *state;
	pid_t thread;		/* 0: none now */
	uint64_t running_ns;	/* in the guest and the module */
	uint64_t monitor_ns;	/* in vmxrun, for exits */
	uint64_t asleep_ns;
};

struct api_counter {
	const char *name;	/* NULL after the last */
	uint64_t value;
};

struct api_device {
	const char *kind;
	const char *name;	/* the file, the TAP device ... */
	bool read_only;
	struct api_counter counters[API_COUNTERS];
};

/* What is told of a machine, as it is at one moment. Strings live as long as the process. */
struct api_info {
	const char *name;	/* NULL: it has none */
	enum api_state state;
	uint64_t memory;
	const char *mmu;
	uint64_t restarts;
	unsigned int cpu_count;
	struct api_cpu cpus[API_CPUS];
	struct api_exit exits[VMX_STATS_REASONS];
	unsigned int device_count;
	struct api_device devices[API_DEVICES];
	struct vmx_vm_stats vm_stats;
	struct vmx_mmu_stats mmu_stats;
};

/* How a machine is to be moved. */
struct api_migrate {
	const char *address;
	uint64_t bandwidth;	/* bytes in a second, 0: no limit */
	uint32_t downtime_ms;	/* 0: the default */
	bool throttle;
	bool compress;
	const char *tls_creds;	/* a folder; NULL: in the clear */
	const char *tls_hostname;	/* NULL: the address's */
};

/*
 * What can be done. Each returns 0, or -errno with a sentence in WHY and nothing changed; any
 * thread may call it. -EINVAL: the request makes no sense; -ENOENT: there is no such part; -EBUSY:
 * not in this state; -ECANCELED: somebody else gave it up; -EINPROGRESS: it is not known whether it
 * is done; -ESHUTDOWN: the machine has ended or starts anew; others: it failed.
 */
struct api_target {
	int (*read)(void *context, struct api_info *info, char *why);
	int (*pause)(void *context, char *why);
	int (*resume)(void *context, char *why);
	int (*power_button)(void *context, char *why);
	int (*power_off)(void *context, char *why);
	int (*set_affinity)(void *context, unsigned int cpu, const unsigned int *host_cpus,
			    size_t count, char *why);
	int (*snapshot)(void *context, const char *path, char *why);
	int (*migrate)(void *context, const struct api_migrate *how,
		       struct vmx_migration_status *report, char *why);
	int (*migration)(void *context, struct vmx_migration_status *status, char *why);
	int (*cancel)(void *context, char *why);
	int (*resume_here)(void *context, char *why);
};

struct api_config {
	const struct api_target *target;
	void *context;
	int listener;		/* a socket that listens */
	uid_t uid;		/* who may connect, beside root */
};

/* The one that vmxrun looks for is api_server. */
struct api_ops {
	/* Serves in threads of its own. Returns NULL if it cannot. */
	void *(*start)(const struct api_config *config);
	/* Waits for requests that are being served, and closes the listener. */
	void (*stop)(void *server);
};

extern const struct api_ops api_server;

/* Between the parts of the API */

struct json_object;

/* answers.c: what GET answers; NULL without memory. */
struct json_object *api_describe(const struct api_info *info);
struct json_object *api_statistics(const struct api_info *info);
struct json_object *api_migration(const struct vmx_migration_status *status);
extern const char *const api_state_names[API_STATES];

/* A number that the module counts. */
struct api_figure {
	const char *name;
	const char *help;
	bool counter;		/* it only grows */
	size_t at;		/* where struct api_info has it */
};

extern const struct api_figure api_figures[];
extern const size_t api_figure_count;

static inline uint64_t api_figure(const struct api_info *info, const struct api_figure *figure)
{
	return *(const uint64_t *)((const char *)info + figure->at);
}

/* metrics.c: Prometheus's text format; to be freed. NULL without memory. */
char *api_metrics(const struct api_info *info, size_t *length);

#endif /* VMXRUN_API_H */
