/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: local APIC
 *
 * The local APIC of a vCPU, after the SDM's chapter "Advanced Programmable
 * Interrupt Controller (APIC)": xAPIC in memory, x2APIC in MSRs, the timer in
 * its three modes, interprocessor interrupts. One struct vmx_apic_bus connects all
 * local APICs of a machine. It carries messages between them, and from I/O APICs and
 * devices (MSI).
 *
 * The loop of a vCPU holds the machine's lock and does the following:
 *
 * - It asks vmx_lapic_events() for pending events, and takes them.
 * - It passes exits for memory to vmx_lapic_read() and vmx_lapic_write() before it
 *   tries a bus.
 * - It passes exits for the MSRs of vmx_lapic_has_msr() to vmx_lapic_rdmsr() and
 *   vmx_lapic_wrmsr(), and exits for CR8 to vmx_lapic_cr8() and vmx_lapic_set_cr8().
 * - It has RUN return at vmx_lapic_deadline(), and calls vmx_clock_expire() then.
 *
 * While the vCPU runs, @kick tells the loop of new events.
 *
 * Not implemented: SMM (it accepts and ignores SMIs), CMCI, and changing an
 * APIC's ID.
 */
#ifndef LIBVMX_LAPIC_H
#define LIBVMX_LAPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libvmx/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Interrupt messages */

/**
 * enum vmx_apic_delivery - delivery modes, as the hardware encodes them
 * @VMX_APIC_FIXED: to every destination
 * @VMX_APIC_LOWEST: to the destination that runs at the lowest priority
 * @VMX_APIC_SMI: system-management interrupt; ignored
 * @VMX_APIC_RESERVED: ignored
 * @VMX_APIC_NMI: a non-maskable interrupt
 * @VMX_APIC_INIT: an INIT
 * @VMX_APIC_STARTUP: a start-up IPI (SIPI)
 * @VMX_APIC_EXTINT: an interrupt whose vector comes from the 8259
 */
enum vmx_apic_delivery {
	VMX_APIC_FIXED,
	VMX_APIC_LOWEST,
	VMX_APIC_SMI,
	VMX_APIC_RESERVED,
	VMX_APIC_NMI,
	VMX_APIC_INIT,
	VMX_APIC_STARTUP,
	VMX_APIC_EXTINT,
};

/* Destination of a broadcast. 8 bits of ones mean the same. */
#define VMX_APIC_EVERYONE UINT32_MAX

/**
 * struct vmx_apic_message - an interrupt message
 * @destination: an APIC ID, or logical IDs, or %VMX_APIC_EVERYONE
 * @delivery: an enum vmx_apic_delivery
 * @vector: the vector, for modes that have one
 * @logical: @destination has logical IDs
 * @level: the interrupt is level-triggered; I/O APICs hear of its end
 */
struct vmx_apic_message {
	uint32_t destination;
	uint8_t delivery;
	uint8_t vector;
	bool logical;
	bool level;
};

/**
 * struct vmx_apic_listener - a controller that needs to know of ends of interrupts
 * @eoi: called when a level-triggered interrupt ends
 * @controller: argument for @eoi
 * @next: the next on the bus
 */
struct vmx_apic_listener {
	void (*eoi)(void *controller, uint8_t vector);
	void *controller;
	struct vmx_apic_listener *next;
};

/**
 * struct vmx_apic_bus - the local APICs of a machine and their listeners
 * @lapics: the local APICs, in the order of their vmx_lapic_init()
 * @listeners: I/O APICs
 * @turn: the local APIC that got the last lowest-priority interrupt
 *
 * Initialize it with zeroes.
 */
struct vmx_apic_bus {
	struct vmx_lapic *lapics;
	struct vmx_apic_listener *listeners;
	struct vmx_lapic *turn;
};

/**
 * vmx_apic_bus_send() - deliver a message
 * @bus: the bus
 * @message: the message
 *
 * Return: true if a local APIC accepted it.
 */
bool vmx_apic_bus_send(struct vmx_apic_bus *bus,
		       const struct vmx_apic_message *message);

/**
 * vmx_apic_bus_msi() - deliver a message-signalled interrupt
 * @bus: the bus
 * @address: address that the device writes to (SDM, "Message Address Register
 *	Format")
 * @data: value that it writes (SDM, "Message Data Register Format")
 *
 * Return: true if a local APIC accepted it; false also if the address belongs to no
 * local APIC.
 */
bool vmx_apic_bus_msi(struct vmx_apic_bus *bus, uint64_t address,
		      uint32_t data);

/**
 * vmx_apic_bus_listen() - add a listener for ends of interrupts
 * @bus: the bus
 * @listener: the listener; not copied
 */
void vmx_apic_bus_listen(struct vmx_apic_bus *bus,
			 struct vmx_apic_listener *listener);

/* The local APIC */

/* Address of the registers after reset, and their size in bytes */
#define VMX_LAPIC_BASE		0xfee00000
#define VMX_LAPIC_LENGTH	0x1000

/*
 * Frequency of the timer at divisor 1. The core crystal clock of CPUID leaf 15H, if it
 * is enumerated, has to have the same frequency.
 */
#define VMX_LAPIC_TIMER_HZ	1000000000

/*
 * Shortest time in ns between two interrupts of the periodic timer. A guest that asks
 * for more interrupts loses some.
 */
#define VMX_LAPIC_PERIOD_MIN	100000

/**
 * enum vmx_lvt - entries of the local vector table
 * @VMX_LVT_TIMER: timer
 * @VMX_LVT_THERMAL: thermal monitor
 * @VMX_LVT_PERF: performance counters
 * @VMX_LVT_LINT0: pin LINT0, connected to the 8259
 * @VMX_LVT_LINT1: pin LINT1, for NMIs
 * @VMX_LVT_ERROR: errors that the APIC detects
 * @VMX_LVT_COUNT: number of entries
 */
enum vmx_lvt {
	VMX_LVT_TIMER,
	VMX_LVT_THERMAL,
	VMX_LVT_PERF,
	VMX_LVT_LINT0,
	VMX_LVT_LINT1,
	VMX_LVT_ERROR,
	VMX_LVT_COUNT,
};

/**
 * struct vmx_lapic_config - configuration of a local APIC
 * @bus: the machine's bus of local APICs
 * @clock: the machine's clock
 * @kick: called when an event becomes pending, also if the vCPU itself caused it;
 *	may be NULL
 * @vcpu: argument for @kick
 * @id: APIC ID, the same as in CPUID
 * @boot: the vCPU is the bootstrap processor; others wait for a SIPI
 * @x2apic: the APIC has x2APIC mode; CPUID.01H:ECX\[21]
 * @physical_bits: width of physical addresses; CPUID.80000008H:EAX\[7:0]
 * @tsc_khz: ticks of the guest's TSC in a millisecond of @clock; 0 if unknown. Without
 *	it the APIC has no TSC-deadline mode (CPUID.01H:ECX\[24]), and
 *	vmx_lapic_deadline() returns 0.
 */
struct vmx_lapic_config {
	struct vmx_apic_bus *bus;
	struct vmx_clock *clock;
	void (*kick)(void *vcpu);
	void *vcpu;
	uint32_t id;
	bool boot;
	bool x2apic;
	uint8_t physical_bits;
	uint32_t tsc_khz;
};

/**
 * struct vmx_lapic - a local APIC
 * @config: its configuration
 * @base: IA32_APIC_BASE
 * @tpr: task-priority register
 * @ldr: logical-destination register, in xAPIC mode
 * @dfr: destination-format register
 * @svr: spurious-interrupt vector register
 * @esr: error-status register, as the guest reads it
 * @errors: errors since the guest last wrote the register
 * @icr: interrupt-command register
 * @irr: pending vectors
 * @isr: vectors in service
 * @tmr: level-triggered vectors
 * @lvt: local vector table
 * @initial: the timer's initial count
 * @divide: divide-configuration register
 * @started: time on the clock when the timer began to count
 * @tsc_deadline: IA32_TSC_DEADLINE
 * @tsc_zero: the guest's TSC when the clock was 0
 * @timer: expires with the APIC's timer
 * @lint: levels of the pins LINT0 and LINT1
 * @nmi: an NMI is pending
 * @init: an INIT is pending
 * @sipi: a SIPI is pending
 * @sipi_vector: vector of the SIPI
 * @extint: an ExtINT message is pending; the vector comes from the 8259
 * @waiting: the vCPU is in the wait-for-SIPI state
 * @next: the next on the bus
 *
 * You may read all members. Only the functions below change them.
 */
struct vmx_lapic {
	struct vmx_lapic_config config;
	uint64_t base;
	uint32_t tpr;
	uint32_t ldr;
	uint32_t dfr;
	uint32_t svr;
	uint32_t esr;
	uint32_t errors;
	uint64_t icr;
	uint32_t irr[8];
	uint32_t isr[8];
	uint32_t tmr[8];
	uint32_t lvt[VMX_LVT_COUNT];
	uint32_t initial;
	uint32_t divide;
	uint64_t started;
	uint64_t tsc_deadline;
	uint64_t tsc_zero;
	struct vmx_timer timer;
	bool lint[2];
	bool nmi;
	bool init;
	bool sipi;
	uint8_t sipi_vector;
	bool extint;
	bool waiting;
	struct vmx_lapic *next;
};

/**
 * vmx_lapic_init() - put a local APIC on its bus, in its state after power-up
 * @lapic: filled in; has to stay in place while the bus and the clock are used
 * @config: its configuration; copied
 *
 * The function assumes that the guest's TSC is 0 when the clock is 0. Otherwise call
 * vmx_lapic_set_tsc().
 *
 * Return: 0, -EINVAL (an ID that means everyone, or physical addresses of less
 * than 32 or more than 52 bits), -EEXIST (another has that ID).
 */
int vmx_lapic_init(struct vmx_lapic *lapic,
		   const struct vmx_lapic_config *config);

/**
 * vmx_lapic_reset() - return to the state after power-up
 * @lapic: the local APIC
 *
 * The levels of the pins remain.
 */
void vmx_lapic_reset(struct vmx_lapic *lapic);

/* Events for the vCPU */

/*
 * Events, in the order in which the vCPU takes them. The last two wait for RFLAGS.IF,
 * the others do not.
 */
#define VMX_LAPIC_INIT		0x01
#define VMX_LAPIC_SIPI		0x02
#define VMX_LAPIC_NMI		0x04
#define VMX_LAPIC_EXTINT	0x08
#define VMX_LAPIC_INTR		0x10

/**
 * vmx_lapic_events() - pending events
 * @lapic: the local APIC
 *
 * Return: VMX_LAPIC_* bits; while @lapic->waiting, only those of INIT and SIPI.
 */
unsigned int vmx_lapic_events(const struct vmx_lapic *lapic);

/**
 * vmx_lapic_pending() - the interrupt to inject next
 * @lapic: the local APIC
 *
 * Return: the vector, 16 to 255, or -1 if no interrupt is pending above the processor
 * priority.
 */
int vmx_lapic_pending(const struct vmx_lapic *lapic);

/**
 * vmx_lapic_accept() - put an interrupt into service, since the vCPU takes it
 * @lapic: the local APIC
 * @vector: the result of vmx_lapic_pending(), with no other call in between; any other
 *	vector has no effect
 */
void vmx_lapic_accept(struct vmx_lapic *lapic, int vector);

/**
 * vmx_lapic_take_extint() - the vCPU takes an interrupt from the 8259
 * @lapic: the local APIC
 *
 * Return: true if there was one. The 8259 gives its vector when you acknowledge it.
 */
bool vmx_lapic_take_extint(struct vmx_lapic *lapic);

/**
 * vmx_lapic_take_nmi() - the vCPU takes an NMI
 * @lapic: the local APIC
 *
 * Return: true if there was one.
 */
bool vmx_lapic_take_nmi(struct vmx_lapic *lapic);

/**
 * vmx_lapic_take_init() - the vCPU takes an INIT
 * @lapic: the local APIC; the INIT resets it, except for its mode and IDs
 *
 * A bootstrap processor continues at the reset vector. The others are
 * @lapic->waiting then.
 *
 * Return: true if there was one.
 */
bool vmx_lapic_take_init(struct vmx_lapic *lapic);

/**
 * vmx_lapic_take_sipi() - the vCPU takes a SIPI, which ends its wait
 * @lapic: the local APIC
 *
 * Return: its vector, which has bits 19:12 of the address where the vCPU begins; -1 if
 * there was none.
 */
int vmx_lapic_take_sipi(struct vmx_lapic *lapic);

/* Accesses of the vCPU */

/**
 * vmx_lapic_read() - the vCPU reads memory
 * @lapic: the local APIC
 * @address: guest-physical address
 * @size: 1, 2, 4 or 8
 * @value: the result, zero-extended
 *
 * Return: false if the address is not in the local APIC. Nothing happened then.
 */
bool vmx_lapic_read(struct vmx_lapic *lapic, uint64_t address,
		    unsigned int size, uint64_t *value);

/**
 * vmx_lapic_write() - the vCPU writes memory
 * @lapic: the local APIC
 * @address: guest-physical address
 * @size: 1, 2, 4 or 8
 * @value: the value; bits beyond @size are ignored
 *
 * Return: false if the address is not in the local APIC. Nothing happened then.
 */
bool vmx_lapic_write(struct vmx_lapic *lapic, uint64_t address,
		     unsigned int size, uint64_t value);

#define VMX_MSR_APIC_BASE	0x1b
#define VMX_MSR_TSC_DEADLINE	0x6e0
#define VMX_MSR_X2APIC		0x800
#define VMX_MSR_X2APIC_LAST	0xbff

/**
 * vmx_lapic_has_msr() - does an MSR belong to the local APIC?
 * @msr: number of the MSR
 *
 * Return: true if it does, even if an access raises #GP.
 */
static inline bool vmx_lapic_has_msr(uint32_t msr)
{
	return msr == VMX_MSR_APIC_BASE || msr == VMX_MSR_TSC_DEADLINE ||
	       (msr >= VMX_MSR_X2APIC && msr <= VMX_MSR_X2APIC_LAST);
}

/**
 * vmx_lapic_rdmsr() - the vCPU executes RDMSR
 * @lapic: the local APIC
 * @msr: number of the MSR
 * @value: the result
 *
 * Return: false if the guest gets #GP(0) instead.
 */
bool vmx_lapic_rdmsr(struct vmx_lapic *lapic, uint32_t msr, uint64_t *value);

/**
 * vmx_lapic_wrmsr() - the vCPU executes WRMSR
 * @lapic: the local APIC
 * @msr: number of the MSR
 * @value: the value
 *
 * Return: false if the guest gets #GP(0) instead. Nothing happened then.
 */
bool vmx_lapic_wrmsr(struct vmx_lapic *lapic, uint32_t msr, uint64_t value);

/**
 * vmx_lapic_cr8() - the vCPU reads CR8
 * @lapic: the local APIC
 *
 * Return: the task's priority class.
 */
uint64_t vmx_lapic_cr8(const struct vmx_lapic *lapic);

/**
 * vmx_lapic_set_cr8() - the vCPU writes CR8
 * @lapic: the local APIC
 * @value: the value
 *
 * Return: false if the guest gets #GP(0) instead. Nothing happened then.
 */
bool vmx_lapic_set_cr8(struct vmx_lapic *lapic, uint64_t value);

/* Inputs besides messages */

/**
 * vmx_lapic_set_lint() - drive a pin, as struct vmx_line.set
 * @lapic: a struct vmx_lapic
 * @pin: 0 for LINT0, 1 for LINT1
 * @level: high or low
 *
 * While IA32_APIC_BASE disables the local APIC, the pins are the CPU's INTR and NMI.
 */
void vmx_lapic_set_lint(void *lapic, unsigned int pin, bool level);

/**
 * vmx_lapic_raise() - deliver the interrupt of an entry of the local vector table
 * @lapic: the local APIC
 * @entry: the entry; delivery masks that of the performance counters
 */
void vmx_lapic_raise(struct vmx_lapic *lapic, enum vmx_lvt entry);

/* Time */

/**
 * vmx_lapic_set_tsc() - follow a jump of the guest's TSC
 * @lapic: the local APIC
 * @tsc: its new value
 */
void vmx_lapic_set_tsc(struct vmx_lapic *lapic, uint64_t tsc);

/**
 * vmx_lapic_tsc() - convert a time to the guest's TSC
 * @lapic: the local APIC
 * @when: a time on the clock
 *
 * When the TSC has the value returned, the clock has reached @when, provided that the
 * configured rate is right.
 *
 * Return: the TSC, as a deadline for RUN: 0 for %VMX_NEVER or an unknown rate, all ones
 * if it exceeds 64 bits.
 */
uint64_t vmx_lapic_tsc(const struct vmx_lapic *lapic, uint64_t when);

/**
 * vmx_lapic_deadline() - when the timer expires next
 * @lapic: the local APIC
 *
 * Return: the guest's TSC at that time, as vmx_lapic_tsc().
 */
uint64_t vmx_lapic_deadline(const struct vmx_lapic *lapic);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_LAPIC_H */
