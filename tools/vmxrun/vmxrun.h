/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces between the parts of vmxrun. */
#ifndef VMXRUN_H
#define VMXRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/machine.h>

/* Exit statuses. A guest that writes to the exit port has the odd ones up to 121. */
enum {
	STATUS_OFF = 0,
	STATUS_PORT_LAST = 60,	/* the value; 2 * value + 1 is the status */
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

/* Can standard error take a message? A pipe full of a trace that nobody reads cannot. */
bool somebody_listens(void);

/* options.c */

struct options {
	struct vmx_machine_config machine;
	const char *kernel;
	const char *initrd;
	const char *append;
	bool virtio_console;
	bool no_reboot;
	bool stats;
	bool trace;
	const char *trace_file;
	const char *gdb;
};

void options_parse(struct options *options, int argc, char **argv);

/* disks.c */

#define DISKS	(VMX_PCI_SLOTS - 1)	/* the bridge has a slot, too */

/* FILE or FILE,ro */
void disks_add(char *argument);
/* Plugs the disks into the machine, in the order they were added. */
void disks_plug(void);
/* Waits for pending requests; then the machine may be freed. */
void disks_unplug(void);
/* Flushes all writes to the host's disks; prints a message and returns false if that fails. */
bool disks_flush(void);

/* net.c */

#define NETS	8

/* tap=NAME or tap=NAME,mac=ADDRESS */
void nets_add(char *argument);
/* Plugs the cards into the machine, behind the disks. */
void nets_plug(void);
/* Afterwards no thread touches the machine for them. */
void nets_unplug(void);

/* terminal.c */

/* Makes the terminal raw, and restores it whichever way the process ends. */
void terminal_make_raw(void);
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
/* Did the user or a signal stop the machine? With @making held. */
bool console_stopped(void);
/* The exit status for that. */
int console_status(void);

/* stats.c */

/* Adds the counts of a machine that has ended. */
void stats_add(void);
void stats_print(void);

/* trace.c */

/* Prints a line for each exit to a file or, if PATH is NULL, to standard error. */
void trace_start(struct vmx_machine_config *config, const char *path);
/* Ends the trace; prints a message if part of it is missing. */
void trace_end(void);

/* gdb.c */

/* Listens for gdb at :PORT, HOST:PORT or unix:PATH. */
void gdb_listen(const char *address);
/* Keeps the machine from running until gdb connects. WIDE: the kernel is a 64-bit one. */
void gdb_start(const char *address, bool wide_kernel);
/* Tells gdb that the machine has ended. */
void gdb_end(int status);

#endif /* VMXRUN_H */
