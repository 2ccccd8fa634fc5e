/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: gdb
 *
 * The remote serial protocol of gdb ("Remote Protocol" in gdb's manual), as a
 * stub speaks it: bytes in, bytes out. The debugged machine is behind struct
 * vmx_gdb_target; struct vmx_debugger makes one of a machine. Each vCPU is a
 * thread of gdb's, whose number is the vCPU's and 1. When one stops, all do.
 *
 * The stub trusts no input from the other end, and keeps nothing of
 * it beyond struct vmx_gdb.
 */
#ifndef LIBVMX_GDB_H
#define LIBVMX_GDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a packet, in either direction. */
#define VMX_GDB_PACKET	4096
#define VMX_GDB_CPUS	16

/**
 * struct vmx_gdb_registers - what gdb sees of a vCPU
 * @general: by enum vmx_reg
 * @rip: RIP
 * @eflags: RFLAGS
 * @segments: selectors of CS, SS, DS, ES, FS, GS
 * @st: ST0 to ST7
 * @fpu: the FPU's control, status and tag word; selector and offset of the
 *	instruction, of the operand; the opcode
 * @xmm: XMM0 to XMM15
 * @mxcsr: MXCSR
 * @fs_base: base of FS
 * @gs_base: base of GS
 * @cr0: CR0
 * @cr2: CR2
 * @cr3: CR3
 * @cr4: CR4
 * @efer: EFER
 */
struct vmx_gdb_registers {
	uint64_t general[16];
	uint64_t rip;
	uint32_t eflags;
	uint32_t segments[6];
	uint8_t st[8][10];
	uint32_t fpu[8];
	uint8_t xmm[16][16];
	uint32_t mxcsr;
	uint64_t fs_base;
	uint64_t gs_base;
	uint64_t cr0;
	uint64_t cr2;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
};

/**
 * enum vmx_gdb_point - kinds of breakpoints and watchpoints, by gdb's numbers
 * @VMX_GDB_SOFTWARE: execution, by an instruction in memory
 * @VMX_GDB_HARDWARE: execution, by a debug register
 * @VMX_GDB_WRITE: a write of data
 * @VMX_GDB_READ: a read of data; debug registers report writes as well
 * @VMX_GDB_ACCESS: either
 */
enum vmx_gdb_point {
	VMX_GDB_SOFTWARE,
	VMX_GDB_HARDWARE,
	VMX_GDB_WRITE,
	VMX_GDB_READ,
	VMX_GDB_ACCESS,
};

/**
 * enum vmx_gdb_action - what a vCPU is to do
 * @VMX_GDB_HOLD: nothing
 * @VMX_GDB_RUN: run
 * @VMX_GDB_STEP: execute one instruction
 */
enum vmx_gdb_action {
	VMX_GDB_HOLD,
	VMX_GDB_RUN,
	VMX_GDB_STEP,
};

/**
 * struct vmx_gdb_stop - why all vCPUs stopped
 * @cpu: the one that is the reason
 * @at_point: it came to a breakpoint or watchpoint; otherwise it did its step,
 *	or was interrupted
 * @interrupted: gdb wanted it to stop
 * @point: the kind
 * @address: of watchpoints
 */
struct vmx_gdb_stop {
	unsigned int cpu;
	bool at_point;
	bool interrupted;
	enum vmx_gdb_point point;
	uint64_t address;
};

/**
 * struct vmx_gdb_target - what is being debugged
 * @read_registers: 0 or -errno
 * @write_registers: what can be changed; 0 or -errno
 * @read_memory: at a linear address of the vCPU's; returns how many bytes
 *	could be read, from the first on
 * @write_memory: likewise
 * @set_point: sets or removes a breakpoint or watchpoint, for all vCPUs; 0 or
 *	-errno. What is set is removed as it was set.
 * @state: a word or two on what the vCPU is about
 * @resume: starts vCPUs, an enum vmx_gdb_action for each; vmx_gdb_stopped() is
 *	to follow
 * @interrupt: stops them; vmx_gdb_stopped() is to follow
 * @kill: gdb wants the machine to end
 *
 * All but @interrupt are called while vCPUs are stopped.
 */
struct vmx_gdb_target {
	int (*read_registers)(void *context, unsigned int cpu,
			      struct vmx_gdb_registers *registers);
	int (*write_registers)(void *context, unsigned int cpu,
			       const struct vmx_gdb_registers *registers);
	size_t (*read_memory)(void *context, unsigned int cpu, uint64_t address,
			      void *bytes, size_t length);
	size_t (*write_memory)(void *context, unsigned int cpu, uint64_t address,
			       const void *bytes, size_t length);
	int (*set_point)(void *context, unsigned int cpu,
			 enum vmx_gdb_point point, uint64_t address,
			 uint64_t length, bool on);
	const char *(*state)(void *context, unsigned int cpu);
	void (*resume)(void *context, const uint8_t *actions);
	void (*interrupt)(void *context);
	void (*kill)(void *context);
};

/**
 * struct vmx_gdb_config - a stub's surroundings
 * @target: what is being debugged
 * @context: what @target is called with
 * @cpus: how many vCPUs, up to %VMX_GDB_CPUS
 * @wide: gdb is told that registers have 64 bits; otherwise they have 32, and
 *	gdb disassembles 32-bit code
 * @send: sends bytes to gdb
 * @host: what @send is called with
 */
struct vmx_gdb_config {
	const struct vmx_gdb_target *target;
	void *context;
	unsigned int cpus;
	bool wide;
	void (*send)(void *host, const void *bytes, size_t length);
	void *host;
};

/**
 * struct vmx_gdb - a stub, for one connection
 * @config: its surroundings
 * @running: vCPUs run
 * @gone: gdb detached, or killed the machine
 * @quiet: packets are not acknowledged
 * @told_kinds: gdb knows the reasons "swbreak" and "hwbreak"
 * @general_cpu: the vCPU that commands are about
 * @run_cpu: the one that old commands run: a number, or -1 for all
 * @stop: why they stopped last
 * @parser: where in a packet the next byte is
 * @escaped: the next byte is escaped
 * @too_long: the packet has more bytes than there is room
 * @sum: of the packet's bytes
 * @wanted_sum: what it claims
 * @length: bytes in @packet
 * @packet: what is received, '\0' behind it
 * @reply_length: bytes in @reply
 * @reply: the last packet sent, as it went out
 */
struct vmx_gdb {
	struct vmx_gdb_config config;
	bool running;
	bool gone;
	bool quiet;
	bool told_kinds;
	unsigned int general_cpu;
	int run_cpu;
	struct vmx_gdb_stop stop;
	unsigned int parser;
	bool escaped;
	bool too_long;
	uint8_t sum;
	uint8_t wanted_sum;
	size_t length;
	char packet[VMX_GDB_PACKET + 1];
	size_t reply_length;
	char reply[2 * VMX_GDB_PACKET + 4];
};

/**
 * vmx_gdb_init() - make a stub for a connection; all vCPUs are stopped
 * @gdb: filled in
 * @config: its surroundings; copied
 */
void vmx_gdb_init(struct vmx_gdb *gdb, const struct vmx_gdb_config *config);

/**
 * vmx_gdb_receive() - take bytes from gdb
 * @gdb: the stub
 * @bytes: the bytes
 * @length: how many
 *
 * Return: false if the connection is over: gdb detached or killed the machine.
 */
bool vmx_gdb_receive(struct vmx_gdb *gdb, const void *bytes, size_t length);

/**
 * vmx_gdb_stopped() - all vCPUs have stopped
 * @gdb: the stub
 * @stop: why
 */
void vmx_gdb_stopped(struct vmx_gdb *gdb, const struct vmx_gdb_stop *stop);

/**
 * vmx_gdb_ended() - the machine has ended
 * @gdb: the stub
 * @status: with which exit status
 */
void vmx_gdb_ended(struct vmx_gdb *gdb, uint8_t status);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_GDB_H */
