/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: gdb
 *
 * A stub that speaks gdb's remote serial protocol ("Remote Protocol" in gdb's
 * manual): it takes bytes and sends bytes. struct vmx_gdb_target stands for the
 * debugged machine; struct vmx_debugger makes a target of a struct vmx_machine. gdb
 * sees each vCPU as a thread; vCPU 0 is thread 1. When one vCPU stops, all stop.
 *
 * The stub trusts no input from gdb. All its state is in struct vmx_gdb.
 */
#ifndef LIBVMX_GDB_H
#define LIBVMX_GDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest packet in bytes, in either direction */
#define VMX_GDB_PACKET	4096
#define VMX_GDB_CPUS	16

/**
 * struct vmx_gdb_registers - the registers that gdb sees
 * @general: general-purpose registers, in the order of enum vmx_reg
 * @rip: RIP
 * @eflags: RFLAGS
 * @segments: selectors of CS, SS, DS, ES, FS, GS
 * @st: ST0 to ST7
 * @fpu: the FPU's control, status and tag word, the instruction's selector and
 *	offset, the operand's selector and offset, the opcode
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
 * enum vmx_gdb_point - kinds of breakpoints and watchpoints, with gdb's numbers
 * @VMX_GDB_SOFTWARE: breakpoint: an instruction in memory
 * @VMX_GDB_HARDWARE: breakpoint: a debug register
 * @VMX_GDB_WRITE: watchpoint for writes
 * @VMX_GDB_READ: watchpoint for reads; debug registers report writes as well
 * @VMX_GDB_ACCESS: watchpoint for reads and writes
 */
enum vmx_gdb_point {
	VMX_GDB_SOFTWARE,
	VMX_GDB_HARDWARE,
	VMX_GDB_WRITE,
	VMX_GDB_READ,
	VMX_GDB_ACCESS,
};

/**
 * enum vmx_gdb_action - the next action of a vCPU
 * @VMX_GDB_HOLD: stay stopped
 * @VMX_GDB_RUN: run
 * @VMX_GDB_STEP: execute one instruction
 */
enum vmx_gdb_action {
	VMX_GDB_HOLD,
	VMX_GDB_RUN,
	VMX_GDB_STEP,
};

/**
 * struct vmx_gdb_stop - the reason why all vCPUs stopped
 * @cpu: the vCPU that caused the stop
 * @at_point: the vCPU reached a breakpoint or watchpoint; otherwise it finished a
 *	step or was interrupted
 * @interrupted: gdb asked for the stop
 * @point: kind of the breakpoint or watchpoint
 * @address: address of the watchpoint
 */
struct vmx_gdb_stop {
	unsigned int cpu;
	bool at_point;
	bool interrupted;
	enum vmx_gdb_point point;
	uint64_t address;
};

/**
 * struct vmx_gdb_target - operations on the debugged machine
 * @read_registers: reads a vCPU's registers; returns 0 or -errno
 * @write_registers: writes the registers that can be changed; returns 0 or -errno
 * @read_memory: reads at a linear address of the vCPU; returns the number of bytes
 *	that could be read, counted from the first
 * @write_memory: writes, likewise
 * @set_point: sets or removes a breakpoint or watchpoint for all vCPUs; returns 0 or
 *	-errno. The stub removes a point with the arguments that set it.
 * @state: describes the vCPU's activity in a word or two
 * @resume: starts vCPUs with an enum vmx_gdb_action for each. The target calls
 *	vmx_gdb_stopped() later.
 * @interrupt: stops all vCPUs. The target calls vmx_gdb_stopped() later.
 * @kill: ends the machine
 *
 * The stub calls all but @interrupt only while the vCPUs are stopped.
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
 * struct vmx_gdb_config - connections of a stub
 * @target: operations on the debugged machine
 * @context: argument for @target
 * @cpus: number of vCPUs, up to %VMX_GDB_CPUS
 * @wide: gdb sees registers of 64 bits; otherwise it sees 32 bits, and disassembles
 *	32-bit code
 * @send: sends bytes to gdb
 * @host: argument for @send
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
 * @config: its connections
 * @running: vCPUs run
 * @gone: gdb detached, or killed the machine
 * @quiet: gdb and the stub acknowledge no packets
 * @told_kinds: gdb knows the reasons "swbreak" and "hwbreak"
 * @general_cpu: the vCPU that commands refer to
 * @run_cpu: the vCPU that the old commands c and s run, or -1 for all
 * @stop: the last stop
 * @parser: the part of a packet that the next byte belongs to
 * @escaped: the next byte is escaped
 * @too_long: the packet does not fit into @packet
 * @sum: checksum of the bytes received
 * @wanted_sum: checksum in the packet
 * @length: bytes in @packet
 * @packet: the packet received, with '\0' at its end
 * @reply_length: bytes in @reply
 * @reply: the last packet sent, with its framing
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
 * vmx_gdb_init() - make a stub for a connection
 * @gdb: filled in
 * @config: its connections; copied
 *
 * All vCPUs have to be stopped.
 */
void vmx_gdb_init(struct vmx_gdb *gdb, const struct vmx_gdb_config *config);

/**
 * vmx_gdb_receive() - take bytes from gdb
 * @gdb: the stub
 * @bytes: the bytes
 * @length: their number
 *
 * Return: false if gdb detached or killed the machine. The connection is over then.
 */
bool vmx_gdb_receive(struct vmx_gdb *gdb, const void *bytes, size_t length);

/**
 * vmx_gdb_stopped() - tell gdb that all vCPUs have stopped
 * @gdb: the stub
 * @stop: the reason
 */
void vmx_gdb_stopped(struct vmx_gdb *gdb, const struct vmx_gdb_stop *stop);

/**
 * vmx_gdb_ended() - tell gdb that the machine has ended
 * @gdb: the stub
 * @status: its exit status
 */
void vmx_gdb_ended(struct vmx_gdb *gdb, uint8_t status);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_GDB_H */
