/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: local APIC
 *
 * The local APIC of a vCPU, after the SDM's chapter "Advanced Programmable
 * Interrupt Controller (APIC)": xAPIC by memory, x2APIC by MSRs, the timer in
 * its three modes, interprocessor interrupts. All local APICs of a machine are
 * on one struct vmx_apic_bus, over which messages reach them: from each other,
 * from I/O APICs, and from devices (MSI).
 *
 * A vCPU's loop, with the machine's lock held, asks vmx_lapic_events() which events
 * are pending, and takes them; gives exits for memory to vmx_lapic_read()
 * and vmx_lapic_write() before any bus, and those for MSRs of
 * vmx_lapic_has_msr() and for CR8 to the functions named after them; and has
 * RUN return at vmx_lapic_deadline(), to call vmx_clock_expire(). In between,
 * @kick tells it about new events.
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
 * @VMX_APIC_SMI: system management; nothing comes of it
 * @VMX_APIC_RESERVED: nothing comes of it either
 * @VMX_APIC_NMI: a non-maskable interrupt
 * @VMX_APIC_INIT: an INIT
 * @VMX_APIC_STARTUP: a start-up IPI (SIPI)
 * @VMX_APIC_EXTINT: the vector is the 8259's
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

/* The destination of a message to everyone; what 8 bits of ones stand for too. */
#define VMX_APIC_EVERYONE UINT32_MAX

/**
 * struct vmx_apic_message - an interrupt message
 * @destination: an APIC ID, or logical IDs, or %VMX_APIC_EVERYONE
 * @delivery: an enum vmx_apic_delivery
 * @vector: the vector, of those modes that have one
 * @logical: @destination means logical IDs
 * @level: level-triggered: the end of interrupt is broadcast
 */
struct vmx_apic_message {
	uint32_t destination;
	uint8_t delivery;
	uint8_t vector;
	bool logical;
	bool level;
};

/**
 * struct vmx_apic_listener - somebody who wants to know of ends of interrupts
 * @eoi: a level-triggered interrupt ended
 * @controller: what @eoi is called with
 * @next: the next on the bus
 */
struct vmx_apic_listener {
	void (*eoi)(void *controller, uint8_t vector);
	void *controller;
	struct vmx_apic_listener *next;
};

/**
 * struct vmx_apic_bus - the local APICs of a machine, and who listens to them
 * @lapics: the local APICs, in the order of their vmx_lapic_init()
 * @listeners: I/O APICs
 * @turn: who got the last lowest-priority interrupt
 *
 * Starts as zeroes.
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
 * Return: whether a local APIC accepted it.
 */
bool vmx_apic_bus_send(struct vmx_apic_bus *bus,
		       const struct vmx_apic_message *message);

/**
 * vmx_apic_bus_msi() - deliver a message-signalled interrupt
 * @bus: the bus
 * @address: where the device writes; the SDM's "Message Address Register
 *	Format"
 * @data: what it writes; "Message Data Register Format"
 *
 * Return: whether a local APIC accepted it; false too for an address that is
 * none of the local APICs'.
 */
bool vmx_apic_bus_msi(struct vmx_apic_bus *bus, uint64_t address,
		      uint32_t data);

/**
 * vmx_apic_bus_listen() - have somebody told of ends of interrupts
 * @bus: the bus
 * @listener: who; stays the caller's and in place
 */
void vmx_apic_bus_listen(struct vmx_apic_bus *bus,
			 struct vmx_apic_listener *listener);

/* The local APIC */

/* Where the registers are after reset, and how many bytes they are. */
#define VMX_LAPIC_BASE		0xfee00000
#define VMX_LAPIC_LENGTH	0x1000

/*
 * What the timer counts at divisor 1. A CPUID leaf 15H that enumerates a core
 * crystal clock says so too: it is the same clock.
 */
#define VMX_LAPIC_TIMER_HZ	1000000000

/*
 * The least time between two interrupts of the periodic timer: a guest that
 * asks for more of them gets some of them.
 */
#define VMX_LAPIC_PERIOD_MIN	100000

/**
 * enum vmx_lvt - entries of the local vector table
 * @VMX_LVT_TIMER: timer
 * @VMX_LVT_THERMAL: thermal monitor
 * @VMX_LVT_PERF: performance counters
 * @VMX_LVT_LINT0: pin LINT0, where the 8259 is
 * @VMX_LVT_LINT1: pin LINT1, where NMIs come in
 * @VMX_LVT_ERROR: errors of the APIC's own
 * @VMX_LVT_COUNT: how many
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
 * struct vmx_lapic_config - what a local APIC is told once
 * @bus: the machine's
 * @clock: the machine's
 * @kick: called when an event becomes pending that was not, by whatever it came
 *	(the vCPU's own accesses too); may be NULL
 * @vcpu: what @kick is called with
 * @id: APIC ID; the one that CPUID has
 * @boot: this is the bootstrap processor's; others wait for a SIPI
 * @x2apic: there is an x2APIC mode; CPUID.01H:ECX\[21]
 * @physical_bits: width of physical addresses; CPUID.80000008H:EAX\[7:0]
 * @tsc_khz: the guest's TSC counts this much in a millisecond of @clock; 0 if
 *	unknown: then there is no TSC-deadline mode (CPUID.01H:ECX\[24]), and no
 *	vmx_lapic_deadline()
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
 * @config: what it was told
 * @base: IA32_APIC_BASE
 * @tpr: task-priority register
 * @ldr: logical-destination register, in xAPIC mode
 * @dfr: destination-format register
 * @svr: spurious-interrupt vector register
 * @esr: error-status register, as it reads
 * @errors: errors since it was last written
 * @icr: interrupt-command register
 * @irr: vectors that wait for the vCPU
 * @isr: vectors in service
 * @tmr: vectors that are level-triggered
 * @lvt: local vector table
 * @initial: the timer's initial count
 * @divide: its divide-configuration register
 * @started: when it began to count, on the clock
 * @tsc_deadline: IA32_TSC_DEADLINE
 * @tsc_zero: the guest's TSC when the clock was 0
 * @timer: expires when the timer does
 * @lint: levels of the pins LINT0 and LINT1
 * @nmi: an NMI waits for the vCPU
 * @init: an INIT does
 * @sipi: a SIPI does
 * @sipi_vector: its vector
 * @extint: an interrupt whose vector is the 8259's does, by message
 * @waiting: the vCPU waits for a SIPI, and for nothing else
 * @next: the next on the bus
 *
 * All of it may be read; it is changed by the functions below.
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
 * vmx_lapic_init() - put a local APIC, as after power-up, on its bus
 * @lapic: filled in; stays in place as long as the bus and the clock are used
 * @config: what it is told; copied
 *
 * The guest's TSC is taken to be 0 when the clock is; vmx_lapic_set_tsc() is
 * for when that is not so.
 *
 * Return: 0, -EINVAL (an ID that means everyone, or physical addresses of less
 * than 32 or more than 52 bits), -EEXIST (another has that ID).
 */
int vmx_lapic_init(struct vmx_lapic *lapic,
		   const struct vmx_lapic_config *config);

/**
 * vmx_lapic_reset() - as after power-up; the levels of the pins remain
 * @lapic: the local APIC
 */
void vmx_lapic_reset(struct vmx_lapic *lapic);

/* What the vCPU is to take */

/*
 * Events, in the order in which they are to be taken. All but the last two are
 * taken whatever RFLAGS.IF says.
 */
#define VMX_LAPIC_INIT		0x01
#define VMX_LAPIC_SIPI		0x02
#define VMX_LAPIC_NMI		0x04
#define VMX_LAPIC_EXTINT	0x08
#define VMX_LAPIC_INTR		0x10

/**
 * vmx_lapic_events() - what there is for the vCPU to take
 * @lapic: the local APIC
 *
 * Return: VMX_LAPIC_* bits; none but INIT and SIPI while @lapic->waiting.
 */
unsigned int vmx_lapic_events(const struct vmx_lapic *lapic);

/**
 * vmx_lapic_pending() - the interrupt to inject next
 * @lapic: the local APIC
 *
 * Return: the vector, 16 to 255, or -1 if none may interrupt the task at its
 * priority.
 */
int vmx_lapic_pending(const struct vmx_lapic *lapic);

/**
 * vmx_lapic_accept() - the vCPU takes an interrupt: it is in service now
 * @lapic: the local APIC
 * @vector: what vmx_lapic_pending() said, nothing having happened since;
 *	anything else does nothing
 */
void vmx_lapic_accept(struct vmx_lapic *lapic, int vector);

/**
 * vmx_lapic_take_extint() - the vCPU takes an interrupt from the 8259
 * @lapic: the local APIC
 *
 * Return: whether there was one: its vector is what the 8259 says at its
 * acknowledgment.
 */
bool vmx_lapic_take_extint(struct vmx_lapic *lapic);

/**
 * vmx_lapic_take_nmi() - the vCPU takes an NMI
 * @lapic: the local APIC
 *
 * Return: whether there was one.
 */
bool vmx_lapic_take_nmi(struct vmx_lapic *lapic);

/**
 * vmx_lapic_take_init() - the vCPU takes an INIT
 * @lapic: the local APIC: reset, but for its mode and IDs
 *
 * A bootstrap processor goes on at the reset vector; others are
 * @lapic->waiting then.
 *
 * Return: whether there was one.
 */
bool vmx_lapic_take_init(struct vmx_lapic *lapic);

/**
 * vmx_lapic_take_sipi() - the vCPU takes a SIPI, and waits no more
 * @lapic: the local APIC
 *
 * Return: its vector, which is bits 19:12 of where the vCPU begins; -1 if there
 * was none.
 */
int vmx_lapic_take_sipi(struct vmx_lapic *lapic);

/* What the vCPU accesses */

/**
 * vmx_lapic_read() - an access by this vCPU to memory
 * @lapic: the local APIC
 * @address: guest-physical address
 * @size: 1, 2, 4 or 8
 * @value: the result, zero-extended
 *
 * Return: whether it was to the local APIC; if not, nothing happened.
 */
bool vmx_lapic_read(struct vmx_lapic *lapic, uint64_t address,
		    unsigned int size, uint64_t *value);

/**
 * vmx_lapic_write() - an access by this vCPU to memory
 * @lapic: the local APIC
 * @address: guest-physical address
 * @size: 1, 2, 4 or 8
 * @value: what; bits beyond @size are ignored
 *
 * Return: whether it was to the local APIC; if not, nothing happened.
 */
bool vmx_lapic_write(struct vmx_lapic *lapic, uint64_t address,
		     unsigned int size, uint64_t value);

#define VMX_MSR_APIC_BASE	0x1b
#define VMX_MSR_TSC_DEADLINE	0x6e0
#define VMX_MSR_X2APIC		0x800
#define VMX_MSR_X2APIC_LAST	0xbff

/**
 * vmx_lapic_has_msr() - whether an MSR is the local APIC's
 * @msr: which
 *
 * Return: true if it is, also where an access is #GP.
 */
static inline bool vmx_lapic_has_msr(uint32_t msr)
{
	return msr == VMX_MSR_APIC_BASE || msr == VMX_MSR_TSC_DEADLINE ||
	       (msr >= VMX_MSR_X2APIC && msr <= VMX_MSR_X2APIC_LAST);
}

/**
 * vmx_lapic_rdmsr() - RDMSR by this vCPU
 * @lapic: the local APIC
 * @msr: which
 * @value: the result
 *
 * Return: false if the guest gets #GP(0) instead.
 */
bool vmx_lapic_rdmsr(struct vmx_lapic *lapic, uint32_t msr, uint64_t *value);

/**
 * vmx_lapic_wrmsr() - WRMSR by this vCPU
 * @lapic: the local APIC
 * @msr: which
 * @value: what
 *
 * Return: false if the guest gets #GP(0) instead; then nothing happened.
 */
bool vmx_lapic_wrmsr(struct vmx_lapic *lapic, uint32_t msr, uint64_t value);

/**
 * vmx_lapic_cr8() - MOV from CR8 by this vCPU
 * @lapic: the local APIC
 *
 * Return: the task's priority class.
 */
uint64_t vmx_lapic_cr8(const struct vmx_lapic *lapic);

/**
 * vmx_lapic_set_cr8() - MOV to CR8 by this vCPU
 * @lapic: the local APIC
 * @value: what
 *
 * Return: false if the guest gets #GP(0) instead; then nothing happened.
 */
bool vmx_lapic_set_cr8(struct vmx_lapic *lapic, uint64_t value);

/* What comes in beside messages */

/**
 * vmx_lapic_set_lint() - drive a pin, as struct vmx_line.set
 * @lapic: a struct vmx_lapic
 * @pin: 0 for LINT0, 1 for LINT1; there are no others
 * @level: high or low
 *
 * While the local APIC is off by IA32_APIC_BASE, the pins are the CPU's INTR
 * and NMI.
 */
void vmx_lapic_set_lint(void *lapic, unsigned int pin, bool level);

/**
 * vmx_lapic_raise() - something happened that the local vector table is for
 * @lapic: the local APIC
 * @entry: which; that of the performance counters is masked by it
 */
void vmx_lapic_raise(struct vmx_lapic *lapic, enum vmx_lvt entry);

/* Time */

/**
 * vmx_lapic_set_tsc() - the guest's TSC jumped
 * @lapic: the local APIC
 * @tsc: what it is now
 */
void vmx_lapic_set_tsc(struct vmx_lapic *lapic, uint64_t tsc);

/**
 * vmx_lapic_tsc() - what will the guest's TSC be?
 * @lapic: the local APIC
 * @when: a time on the clock
 *
 * The clock is at @when, or past it, when the TSC is at what is returned, if
 * the two go at the rate that was given.
 *
 * Return: the TSC, in the form that RUN takes as a deadline: 0 for %VMX_NEVER
 * (and at an unknown rate), all ones if it is beyond 64 bits.
 */
uint64_t vmx_lapic_tsc(const struct vmx_lapic *lapic, uint64_t when);

/**
 * vmx_lapic_deadline() - when will the timer expire?
 * @lapic: the local APIC
 *
 * Return: the guest's TSC then, as vmx_lapic_tsc().
 */
uint64_t vmx_lapic_deadline(const struct vmx_lapic *lapic);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_LAPIC_H */
