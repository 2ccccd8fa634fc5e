/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: machine
 *
 * A PC made of the library's parts: RAM, vCPUs with local APICs, an I/O APIC,
 * two 8259A, a PIT, a clock, a serial port, a PCI bus, ACPI. It runs each vCPU
 * in a separate thread. It has one lock, which it holds whenever it touches a device and
 * never while a guest runs.
 */
#ifndef LIBVMX_MACHINE_H
#define LIBVMX_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libvmx.h>
#include <libvmx/device.h>
#include <libvmx/emulate.h>
#include <libvmx/firmware.h>
#include <libvmx/i8042.h>
#include <libvmx/ioapic.h>
#include <libvmx/lapic.h>
#include <libvmx/load.h>
#include <libvmx/pc.h>
#include <libvmx/pci.h>
#include <libvmx/pic.h>
#include <libvmx/pit.h>
#include <libvmx/rtc.h>
#include <libvmx/saved.h>
#include <libvmx/uart.h>
#include <libvmx/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vmx_end - how a machine ended
 * @VMX_END_NONE: it has not
 * @VMX_END_POWER_OFF: the guest switched it off
 * @VMX_END_RESET: the guest asked for a reset: free the machine and create it again
 * @VMX_END_EXIT: the guest ended it through the exit port, with a value
 * @VMX_END_TRIPLE_FAULT: the guest shut a CPU down
 * @VMX_END_STOPPED: vmx_machine_stop()
 * @VMX_END_ERROR: the program failed; struct vmx_machine.why has the reason
 */
enum vmx_end {
	VMX_END_NONE,
	VMX_END_POWER_OFF,
	VMX_END_RESET,
	VMX_END_EXIT,
	VMX_END_TRIPLE_FAULT,
	VMX_END_STOPPED,
	VMX_END_ERROR,
};

struct vmx_machine;
struct vmx_cpu;
struct vmx_debugger;

/**
 * struct vmx_machine_config - the configuration of a machine
 * @memory: RAM in bytes, a multiple of 4 KiB; what is more than 3 GiB of it is
 *	at 4 GiB
 * @cpus: number of vCPUs, up to %VMX_MACHINE_CPUS
 * @mmu: what maps its memory
 * @short_stays: for machines that run in the emulator Bochs, where interrupts of
 *	the host do not end a guest's stay while it has its own off: end the stay
 *	of each of several vCPUs after 10 ms, or at PAUSE
 * @send: takes a byte that the guest sends by its serial port
 * @room: told that the serial port takes bytes again, as in struct
 *	vmx_uart_config, and when a pause ends; may be NULL
 * @report: takes a sentence about a mistake of the guest with a PCI device,
 *	or about a failed request, once for each cause; NULL for none
 * @begin: called in a vCPU's thread before it runs anything; NULL for nobody
 * @exit: called for each exit to userspace before the machine handles it, and again when it
 *	is @done; may be NULL
 * @hold: asked before a vCPU enters the guest: true has it wait until
 *	vmx_machine_wake(), and is asked again; NULL for never
 * @host: argument for these callbacks
 *
 * The machine calls all of them with its lock held, so they must not wait. Output
 * for a slow reader has to go into a buffer, and @hold keeps the buffer from
 * growing.
 */
struct vmx_machine_config {
	uint64_t memory;
	unsigned int cpus;
	enum vmx_mmu_kind mmu;
	bool short_stays;
	void (*send)(void *host, uint8_t byte);
	void (*room)(void *host);
	void (*report)(void *host, const char *sentence);
	void (*begin)(void *host, const struct vmx_cpu *cpu);
	void (*exit)(void *host, const struct vmx_cpu *cpu, bool done);
	bool (*hold)(void *host);
	void *host;
};

#define VMX_MACHINE_CPUS	16
#define VMX_MACHINE_IRQS	16

/**
 * struct vmx_cpu - a vCPU of a machine, with its local APIC and thread
 * @machine: the machine
 * @id: its number and APIC ID
 * @vcpu: the vCPU
 * @lapic: its local APIC
 * @emulator: finishes what the CPU left to userspace
 * @thread: runs it
 * @tid: the kernel's number of that thread, 0 if there is none
 * @wake: wakes it from HLT
 * @in_guest: it is in vmx_run()
 * @parked: its thread waits outside the guest, and all of its state is in its VMCS,
 *	its run page and here
 * @halted: it waits for an interrupt
 * @reported: that the emulator could not do an instruction of a program's was
 *	reported
 * @unpaged: the guest switched paging off, which the CPU does not allow
 * @cr3: what the guest has in CR3 then
 * @efer: and in EFER
 * @tsc_adjust: what the guest added to the TSC
 * @cpuid: what CPUID returns to the guest
 * @cpuid_count: how many leaves and subleaves that has
 * @noted: time of the event that its sleep or its stay in the guest is planned for; 0 while it
 *	does neither
 * @exits: exits to userspace, by basic reason
 * @spent: TSC ticks from them until the guest ran again, sleep not counted
 * @account: the one of @spent that time goes to now, or NULL
 * @left: TSC when the guest was left, moved on by sleep
 * @ran: TSC ticks in vmx_run()
 * @slept: TSC ticks asleep or parked
 */
struct vmx_cpu {
	struct vmx_machine *machine;
	unsigned int id;
	struct vmx_vcpu vcpu;
	struct vmx_lapic lapic;
	struct vmx_emulator emulator;
	pthread_t thread;
	pid_t tid;
	pthread_cond_t wake;
	bool in_guest;
	bool parked;
	bool halted;
	bool reported;
	bool unpaged;
	uint64_t cr3;
	uint64_t efer;
	uint64_t tsc_adjust;
	struct vmx_cpuid_entry cpuid[VMX_CPUID_MAX];
	unsigned int cpuid_count;
	uint64_t noted;
	uint64_t exits[VMX_STATS_REASONS];
	uint64_t spent[VMX_STATS_REASONS];
	uint64_t *account;
	uint64_t left;
	uint64_t ran;
	uint64_t slept;
};

/**
 * struct vmx_machine - a machine
 * @config: its configuration
 * @lock: held whenever any of the rest is touched
 * @vm: the VM
 * @memory: its RAM
 * @ports: bus of ports
 * @mmio: bus of memory that is not RAM
 * @quiet: who wants it paused, and which devices' threads are at work
 * @clock: nanoseconds since the machine was made, by the TSC, without pauses
 * @tsc_khz: what the guest's TSC counts in a millisecond of @clock: what the CPU's
 *	does, or did where the machine was saved
 * @tsc_start: the TSC when it was made, moved on by pauses
 * @tsc_offset: what is added to the host's TSC for all vCPUs
 * @still: time stands still
 * @tsc_still: the host's TSC since then
 * @apics: what connects the local APICs
 * @ioapic: the I/O APIC
 * @pic: the 8259As
 * @gsis: which input of the I/O APIC has what an input of theirs has
 * @pit: the 8254
 * @rtc: the real-time clock
 * @i8042: the keyboard controller
 * @com1: the serial port
 * @power: ACPI's registers
 * @pci: the PCI host bridge
 * @pc: single ports
 * @cpus: the vCPUs
 * @restored: its state is a saved one
 * @mailbox: if so, whether ACPI's mailbox starts vCPUs
 * @braked: vCPUs wait before they enter the guest, for a migration that the guest outruns
 * @debugger: what stops its vCPUs, or NULL
 * @end: how it ended
 * @status: the value of %VMX_END_EXIT
 * @why: a sentence, for %VMX_END_ERROR and %VMX_END_TRIPLE_FAULT
 */
struct vmx_machine {
	struct vmx_machine_config config;
	pthread_mutex_t lock;
	struct vmx_vm vm;
	struct vmx_memory memory;
	struct vmx_bus ports;
	struct vmx_bus mmio;
	struct vmx_quiet quiet;
	struct vmx_clock clock;
	uint32_t tsc_khz;
	uint64_t tsc_start;
	uint64_t tsc_offset;
	bool still;
	uint64_t tsc_still;
	struct vmx_apic_bus apics;
	struct vmx_ioapic ioapic;
	struct vmx_pic pic;
	uint8_t gsis[VMX_MACHINE_IRQS];
	struct vmx_pit pit;
	struct vmx_rtc rtc;
	struct vmx_i8042 i8042;
	struct vmx_uart com1;
	struct vmx_power power;
	struct vmx_pci_host pci;
	struct vmx_pc pc;
	struct vmx_cpu cpus[VMX_MACHINE_CPUS];
	bool restored;
	bool mailbox;
	bool braked;
	struct vmx_debugger *debugger;
	enum vmx_end end;
	uint32_t status;
	char why[512];
};

/**
 * vmx_machine_init() - make a machine
 * @machine: filled in; stays in place until vmx_machine_free()
 * @config: its configuration; copied
 *
 * Return: 0 or -errno; on an error there is nothing to free.
 */
int vmx_machine_init(struct vmx_machine *machine,
		     const struct vmx_machine_config *config);

/**
 * vmx_machine_add() - plug a PCI device into a machine, before it runs
 * @machine: the machine
 * @device: the device; not copied, has to stay in place while the machine runs
 *
 * It gets the next slot, its BARs places, and its pin one of GSIs 16 to 19 and
 * one of IRQs 5, 10, 11, 15, which the ACPI tables tell the guest. The register
 * Interrupt Line has the IRQ.
 *
 * Return: its slot; -ENOSPC (no slot is left, or no place for its BARs),
 * -EINVAL (it is in a slot).
 */
int vmx_machine_add(struct vmx_machine *machine, struct vmx_pci_device *device);

/**
 * vmx_machine_virtio() - describe a machine to its virtio devices
 * @machine: the machine
 *
 * For vmx_virtio_blk_init() and its like; vmx_machine_add() then takes the
 * device's PCI part.
 *
 * Return: it.
 */
struct vmx_virtio_machine vmx_machine_virtio(struct vmx_machine *machine);

/**
 * vmx_machine_boot() - put a kernel into a machine
 * @machine: the machine
 * @boot: the kernel; @boot->rsdp is filled in
 *
 * Return: 0 or -errno, as vmx_load_kernel().
 */
int vmx_machine_boot(struct vmx_machine *machine, struct vmx_boot *boot);

/**
 * vmx_machine_run() - run a machine to its end
 * @machine: the machine
 *
 * Return: how it ended.
 */
enum vmx_end vmx_machine_run(struct vmx_machine *machine);

/**
 * vmx_machine_stop() - end a machine from another thread
 * @machine: the machine
 * @end: how; what it ended by before stays
 */
void vmx_machine_stop(struct vmx_machine *machine, enum vmx_end end);

/**
 * vmx_machine_wake() - make vCPUs ask struct vmx_machine_config.hold again
 * @machine: the machine
 *
 * Call it with the machine's lock held.
 */
void vmx_machine_wake(struct vmx_machine *machine);

/**
 * vmx_machine_pause() - stop a machine for a while
 * @machine: the machine; runs, or is about to: the first instruction then waits
 *
 * Waits until every vCPU is between two instructions and no device's thread is at
 * work. From then on nobody but the caller touches the guest's memory, no
 * timer expires, and nothing is lost: interrupts and input that come meanwhile
 * are pending, requests stay in their queues. All of a vCPU's state is in its
 * VMCS, its run page (an event that waits to be injected, too) and struct
 * vmx_cpu.
 *
 * Pauses nest: each ends with its own vmx_machine_resume().
 *
 * The guest's TSC stands still, and so does the machine's clock with
 * all that counts by it: local APIC timers and their deadlines, the PIT, ACPI's
 * timer, the RTC's periodic interrupt. After the pause they go on from
 * where they stood, so that no watchdog of the guest sees a gap. The
 * RTC's time of day goes on: from it, as after a suspend to RAM, a guest can learn
 * how long the pause was. Otherwise its time of day lags by that.
 *
 * Return: 0; -ESHUTDOWN if the machine has ended, and then there is nothing to
 * resume.
 */
int vmx_machine_pause(struct vmx_machine *machine);

/**
 * vmx_machine_resume() - end a pause
 * @machine: the machine
 *
 * The last one has it run again.
 */
void vmx_machine_resume(struct vmx_machine *machine);

/**
 * vmx_machine_is_paused() - has a machine come to rest?
 * @machine: the machine
 *
 * Call it with the machine's lock held.
 *
 * Return: whether a vmx_machine_pause() has succeeded that was not resumed.
 */
bool vmx_machine_is_paused(const struct vmx_machine *machine);

/**
 * vmx_machine_wait_running() - wait for the end of a pause
 * @machine: the machine
 *
 * For threads that bring input to devices. To be called with its lock held, which
 * it drops to wait.
 *
 * Return: false if the machine has ended.
 */
bool vmx_machine_wait_running(struct vmx_machine *machine);

/**
 * vmx_machine_free() - undo vmx_machine_init()
 * @machine: the machine; not running
 */
void vmx_machine_free(struct vmx_machine *machine);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_MACHINE_H */
