/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces between the parts of vmxrun. */
#ifndef VMXRUN_H
#define VMXRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <libvmx/machine.h>

/* Exit statuses. A guest that writes to the exit port has the odd ones up to 121. */
enum {
	STATUS_OFF = 0,
	STATUS_PORT_LAST = 60,	/* the value; 2 * value + 1 is the status */
	STATUS_MOVED = 120,
	STATUS_PORT_OTHER = 122,
	STATUS_RESET = 123,
	STATUS_TRIPLE_FAULT = 124,
	STATUS_ERROR = 125,
	STATUS_SIGNAL = 128,	/* and its number */
	STATUS_STOPPED = 130,	/* as by Ctrl-C */
};

extern struct vmx_machine machine;
/* Protects the machine while it is made anew, against threads outside of it. */
extern pthread_mutex_t making;

/* Prints the message and exits. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Why something is not done. */
struct sentence {
	char text[300];
};

void sentence_is(struct sentence *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Has it been made? One that is to come from elsewhere has not, at first. With @making held. */
bool machine_is_made(void);
/* Makes it without a kernel, or forgets it again. With @making held. */
void machine_make(const struct vmx_machine_config *config);
void machine_forget(void);
/* The machine stays in place, even if it ends, until as many calls of machine_release(). */
void machine_hold(void);
void machine_release(void);
/* How often the guest was reset. With @making held. */
unsigned int machine_restarts(void);

/* Can standard error take a message? A pipe full of a trace that nobody reads cannot. */
bool somebody_listens(void);

/* options.c */

struct options {
	struct vmx_machine_config machine;
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *restore;
	const char *check;
	const char *incoming;
	const char *tls_creds;	/* for that */
	bool memory_given;
	bool cpus_given;
	bool virtio_console;
	bool no_reboot;
	bool stats;
	bool trace;
	const char *trace_file;
	const char *gdb;
	const char *api;
	const char *name;
};

void options_parse(struct options *options, int argc, char **argv);
/* Digits alone: no sign, no space, nothing that goes past 64 bits. Moves *TEXT behind them. */
bool get_number(const char **text, uint64_t *number);

/* disks.c */

#define DISKS	(VMX_PCI_SLOTS - 1)	/* the bridge has a slot, too */

/* FILE or FILE,ro */
void disks_add(char *argument);
/* So that nobody else writes to those that the machine does: 0, or -errno and no locks. */
int disks_lock(struct sentence *why);
void disks_unlock(void);
/* After another computer may have written to them: 0 or -errno. */
int disks_renew(struct sentence *why);
/* Plugs the disks into the machine, in the order they were added. */
void disks_plug(void);
/* Waits for pending requests; then the machine may be freed. */
void disks_unplug(void);
/* Flushes all writes to the host's disks; prints a message and returns false if that fails. */
bool disks_flush(void);

/* How many there are; what is to be told of one, with the machine's lock held. */
struct api_device;
unsigned int disks_count(void);
void disks_describe(unsigned int n, struct api_device *device);

/* net.c */

#define NETS	8

/* tap=NAME or tap=NAME,mac=ADDRESS */
void nets_add(char *argument);
/* Plugs the cards into the machine, behind the disks. */
void nets_plug(void);
/* Afterwards no thread touches the machine for them. */
void nets_unplug(void);

/* Tells the network where the machine is now. */
void nets_announce(void);

unsigned int nets_count(void);
void nets_describe(unsigned int n, struct api_device *device);

/* terminal.c */

/* Makes the terminal raw, and restores it whichever way the process ends. */
void terminal_make_raw(void);
/* Signal handlers may call it. */
void terminal_restore(void);
/* Restores it while the process is stopped. */
void terminal_suspend(void);

/* outlet.c */

/* Output of the machine to a reader that may be slow. */
struct outlet;

/* Reports the first error; drops bytes that cannot be written. */
struct outlet *outlet_open(int fd, void (*failed)(int error));
/* Takes as many bytes as fit, which is all unless the outlet is full, and returns the number. */
size_t outlet_put(struct outlet *outlet, const void *bytes, size_t length);
bool outlet_is_full(const struct outlet *outlet);
/* Is any outlet full? For hold() in struct vmx_machine_config. */
bool outlets_are_full(void *host);
/* Stops waiting for readers. */
void outlets_give_up(void);
/* Waits until all is written. Returns 0, or the error that lost some of it. */
int outlet_close(struct outlet *outlet);

/* console.c */

/* Call before starting threads: only the console's thread takes signals. */
void console_init(struct vmx_machine_config *config);
/* Input goes to the virtio console instead of the serial port. */
void console_plug_virtio(void);
/* Starts to take input and signals. */
void console_start(void);
/* Tells consoles that output has room again. */
void console_resume(void);
/* Waits until the guest's output is written. */
void console_end(void);
/* Ends the machine, with @making held: the process then has this exit status. */
void console_stop(int status);
/* Did the user or a signal stop the machine? With @making held. */
bool console_stopped(void);
/* The exit status for that. */
int console_status(void);

/* stats.c */

/* Sums since vmxrun started, times in ticks of the TSC. */
struct stats {
	struct {
		uint64_t count;		/* that came here */
		uint64_t ticks;		/* until the guest ran again */
		uint64_t in_module;	/* exits that never came here */
	} exits[VMX_STATS_REASONS];
	struct {
		uint64_t exits;
		uint64_t spent;
		uint64_t ran;
		uint64_t slept;
	} cpus[VMX_MACHINE_CPUS];
	/* Of the last machine: a reset has these start anew. */
	struct vmx_vm_stats vm;
	struct vmx_mmu_stats mmu;
};

/* Counts until now. With @making held. Returns 0 or -errno. */
int stats_read(struct stats *stats);
/* Adds the counts of a machine that has ended to those to come. */
void stats_add(void);
void stats_print(void);

/* trace.c */

/* Prints to a file instead of to standard error. Waits for a reader if it is a FIFO. */
void trace_open(const char *path);
/* Prints a line for each exit. */
void trace_start(struct vmx_machine_config *config);
/* Ends the trace; prints a message if part of it is missing. */
void trace_end(void);

/* sockets.c */

/* Returns a descriptor, or -1 with errno. */
int socket_listen(int family, const void *address, socklen_t length);
/* Takes the place of a socket whose process is gone. OPTION is for messages. */
int socket_listen_unix(const char *option, const char *path);
/* Of one that listens; its name goes, too. */
void socket_close(int fd);

/* pin.c */

/* VCPU=CPU[-CPU],... */
void pins_parse(const char *text);
/* Exits if a vCPU that the machine does not have is pinned. */
void pins_check(unsigned int cpus);
/* With the machine's lock held; of a vCPU whose thread begins. */
void pins_apply(const struct vmx_cpu *cpu);
/* Likewise, of any vCPU: 0 or -errno. */
int pins_set(const struct vmx_cpu *cpu, const unsigned int *host_cpus, size_t count);

/* load.c */

/* Of a shared object that comes with vmxrun; NULL if it is not there. */
void *load_symbol(const char *object, const char *symbol, struct sentence *why);

/* line.c */

/* Where a line leads, and by whose certificates it is protected. */
struct line_config {
	const char *address;
	const char *tls_creds;		/* their folder; NULL: in the clear */
	const char *tls_hostname;	/* whom the target's names; NULL: the address does */
};

/*
 * A line to the other side of a migration: a descriptor, or -errno; -ECANCELED when CANCELLED says
 * so, which is asked now and then; -ETIMEDOUT.
 */
int line_connect(const struct line_config *to, bool (*cancelled)(void), struct sentence *why);
/* Waits for one at an address from here on; exits if that cannot be. */
void line_listen(const char *address, const char *tls_creds);
/* The next one; -errno if it is none that can be talked to. */
int line_accept(struct sentence *why);
/* Can there be another one? */
bool line_comes_again(void);
/* Nobody else can connect. */
void line_listen_no_more(void);

/* migrate.c */

struct api_migrate;
struct vmx_migration_codec;
struct vmx_migration_status;

/* Moves the machine, and returns when that is done or not: 0, and then it ends; or -errno. */
int migrate_machine(const struct api_migrate *how, struct vmx_migration_status *report,
		    struct sentence *why);
void migrate_read(struct vmx_migration_status *status);
/* 0, or -EBUSY if there is nothing to cancel, or it is too late. */
int migrate_cancel(struct sentence *why);
/* NULL: nobody packs pages here. */
const struct vmx_migration_codec *migrate_codec(struct sentence *why);
/* The machine is paused, and nobody knows on which side it is to go on. */
bool migrate_is_undecided(void);
void migrate_set_undecided(const char *why);
/* Has its state gone? With the machine's lock held: what changes it still goes along if not. */
bool migrate_is_leaving(void);
/* It goes on here, a person says: 0 or -errno. */
int migrate_resume_here(struct sentence *why);

/* incoming.c */

/* A machine is to come to an address; exits if nobody can wait there. */
void incoming_begin(const struct options *options);
/* Waits for it. Its memory and CPUs are the machine's then. */
void incoming_receive(struct options *options);
/* The caller's thread ends the process: if a source waits for this side's answer, it hears why. */
void incoming_refuse(const struct sentence *why);
/* In a thread: has it go on when the other side gives it up. */
void incoming_finish(void);
/* Is it on its way? */
bool incoming_waits(void);
/* Does the other side have the guest still? */
bool incoming_is_foreign(void);

/* control.c */

/* By a user. */
void control_set_paused(void);
/* Is it paused? Until it is taken back users cannot change that: the other side is told. */
bool control_give_up(void);
void control_take_back(void);

/* Listens, and loads what serves. NAME has a socket where vmxctl finds it. */
void control_listen(const char *address, const char *name);
void control_start(void);
void control_end(void);

/* snapshot.c */

/* Opens a saved machine, whose memory and CPUs are the machine's. */
void snapshot_open(const char *path, struct vmx_machine_config *config);
/* Compares all that is in it with its checksums; prints what it is, or exits. */
void snapshot_check(const char *path);
/* Puts it into the machine, which goes on; false if there is none, or it was done before. */
bool snapshot_restore(void);
/* The machine has failed: says so if that may be for what became of the file. */
void snapshot_explain(void);
/* Saves the machine, which goes on then: 0, or -errno with a sentence in WHY. */
int snapshot_save(const char *path, char *why, size_t size);

/* gdb.c */

/* Listens for gdb at :PORT, HOST:PORT or unix:PATH. */
void gdb_listen(const char *address);
/* Keeps the machine from running until gdb connects. WIDE: the kernel is a 64-bit one. */
void gdb_start(const char *address, bool wide_kernel);
/* Tells gdb that the machine has ended. */
void gdb_end(int status);

#endif /* VMXRUN_H */
