/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of vmxrun know of each other. */
#ifndef VMXRUN_H
#define VMXRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/machine.h>

/* What tells how the guest ended; with the exit port it is the guest's own. */
enum {
	STATUS_OFF = 0,
	STATUS_RESET = 123,
	STATUS_TRIPLE_FAULT = 124,
	STATUS_ERROR = 125,
	STATUS_SIGNAL = 128,	/* and its number */
	STATUS_STOPPED = 130,	/* as by Ctrl-C */
};

extern struct vmx_machine machine;
/* Held by who makes the machine, and by who does something to it from outside. */
extern pthread_mutex_t making;

/* Says what is wrong, and ends. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Is standard error no pipe that is full of a trace that nobody reads? */
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
/* Into the machine, in the order they were added. */
void disks_plug(void);
/* What they do for the guest is done, and the machine may go. */
void disks_unplug(void);
/* What guests wrote is on the host's disk afterwards; false, and a message, if it is not. */
bool disks_flush(void);

/* net.c */

#define NETS	8

/* tap=NAME or tap=NAME,mac=ADDRESS */
void nets_add(char *argument);
/* Into the machine, behind the disks. */
void nets_plug(void);
/* Nobody looks at the machine for them any more. */
void nets_unplug(void);

/* terminal.c */

/* Makes the terminal raw; whichever way the process ends, it is restored. */
void terminal_make_raw(void);
/* Restores it for the time that the process is stopped. */
void terminal_suspend(void);

/* outlet.c */

/* What comes out of the machine, for somebody who may be slow. */
struct outlet;

/* Errors are told once; bytes that cannot be written are lost. */
struct outlet *outlet_open(int fd, void (*failed)(int error));
/* Takes what there is room for, all unless the outlet is full; returns how much that is. */
size_t outlet_put(struct outlet *outlet, const void *bytes, size_t length);
bool outlet_is_full(const struct outlet *outlet);
/* Is any? A struct vmx_machine_config.hold. */
bool outlets_are_full(void *host);
/* Nobody is to wait for those who read. */
void outlets_give_up(void);
/* Waits until all is written; 0, or an error because of which something is missing. */
int outlet_close(struct outlet *outlet);

/* console.c */

/* Before there are threads: signals come to the console's. */
void console_init(struct vmx_machine_config *config);
/* The virtio console gets what is typed, instead of the serial port. */
void console_plug_virtio(void);
/* From here on there are input and signals. */
void console_start(void);
/* Output is taken again, after there was too much. */
void console_resume(void);
/* What the guest wrote is written. */
void console_end(void);
/* Was the machine stopped here? With @making held. */
bool console_stopped(void);
/* And with which status? */
int console_status(void);

/* stats.c */

/* Counts what there was in a machine that has ended. */
void stats_add(void);
void stats_print(void);

/* trace.c */

/* A line for each exit, to a file or, if PATH is NULL, to standard error. */
void trace_start(struct vmx_machine_config *config, const char *path);
/* Nothing more comes; says so if there is something missing. */
void trace_end(void);

/* gdb.c */

/* Where gdb is to come: :PORT, HOST:PORT or unix:PATH. */
void gdb_listen(const char *address);
/* The machine does not run before gdb has been there. Is its kernel a 64-bit one? */
void gdb_start(const char *address, bool wide_kernel);
/* The machine has ended. */
void gdb_end(int status);

#endif /* VMXRUN_H */
