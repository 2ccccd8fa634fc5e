// SPDX-License-Identifier: LGPL-2.1-or-later
/* The board: what is wired to what. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <x86intrin.h>

#include "../lib/internal.h"
#include "internal.h"

/* RAM ends here, below where PCI devices and APICs are. */
#define RAM_MAX		0xc0000000ull
#define COM1		0x3f8
#define IRQ_TIMER	0
#define IRQ_KEYBOARD	1
#define IRQ_COM1	4
#define IRQ_RTC		8
#define IRQ_SCI		9
#define IRQ_MOUSE	12
/* Where an I/O APIC has IRQ 0, as the MADT says. */
#define GSI_TIMER	2

void vmx_machine_end(struct vmx_machine *machine, enum vmx_end end)
{
	if (machine->end != VMX_END_NONE)
		return;
	machine->end = end;
	for (unsigned int n = 0; n < machine->config.cpus; n++)
		vmx_cpu_kick(&machine->cpus[n]);
}

void vmx_machine_fail(struct vmx_machine *machine)
{
	if (machine->end == VMX_END_NONE)
		snprintf(machine->why, sizeof(machine->why), "%s", vmx_error());
	vmx_machine_end(machine, VMX_END_ERROR);
}

static void on_power(void *machine, enum vmx_power_event event)
{
	vmx_machine_end(machine, event == VMX_POWER_OFF ? VMX_END_POWER_OFF : VMX_END_RESET);
}

static void on_exit_port(void *board, uint32_t value)
{
	struct vmx_machine *machine = board;

	if (machine->end == VMX_END_NONE)
		machine->status = value;
	vmx_machine_end(machine, VMX_END_EXIT);
}

/* ISA interrupts go to both kinds of controllers; the guest chooses. */
static void set_irq(void *board, unsigned int irq, bool level)
{
	struct vmx_machine *machine = board;

	vmx_pic_set(&machine->pic, irq, level);
	vmx_ioapic_set(&machine->ioapic, irq == IRQ_TIMER ? GSI_TIMER : irq, level);
}

static struct vmx_line line(struct vmx_machine *machine, unsigned int irq)
{
	return (struct vmx_line){ .set = set_irq, .controller = machine, .pin = irq };
}

/* The guest's TSC is the host's, so time goes by it: deadlines convert without an error. */
static uint64_t now(void *source)
{
	struct vmx_machine *machine = source;

	return (unsigned __int128)(__rdtsc() - machine->tsc_start) * 1000000 /
	       machine->vm.caps.tsc_khz;
}

static uint64_t time_of_day(void *source __attribute__((unused)))
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static int add_cpu(struct vmx_machine *machine, unsigned int id)
{
	struct vmx_cpu *cpu = &machine->cpus[id];
	struct vmx_lapic_config config = {
		.bus = &machine->apics,
		.clock = &machine->clock,
		.kick = vmx_cpu_kick,
		.vcpu = cpu,
		.id = id,
		.boot = !id,
		.x2apic = true,
		.physical_bits = machine->vm.caps.phys_bits,
		.tsc_khz = machine->vm.caps.tsc_khz,
	};
	int ret = vmx_vcpu_open(&cpu->vcpu, &machine->vm);

	if (ret)
		return ret;
	cpu->machine = machine;
	cpu->id = id;
	ret = vmx_lapic_init(&cpu->lapic, &config);
	if (ret)
		return ret;
	vmx_lapic_set_tsc(&cpu->lapic, __rdtsc());
	return vmx_cpu_identify(cpu);
}

static int add_legacy_devices(struct vmx_machine *machine)
{
	struct vmx_rtc_config rtc = {
		.clock = &machine->clock, .irq = line(machine, IRQ_RTC), .time = time_of_day,
	};
	struct vmx_i8042_config i8042 = {
		.keyboard = line(machine, IRQ_KEYBOARD), .aux = line(machine, IRQ_MOUSE),
		.event = on_power, .board = machine,
	};
	struct vmx_uart_config com1 = {
		.clock = &machine->clock, .irq = line(machine, IRQ_COM1),
		.send = machine->config.send, .host = machine->config.host,
	};
	struct vmx_pc_config pc = {
		.event = on_power, .exit = on_exit_port, .board = machine,
		.exit_port = VMX_PC_EXIT_PORT,
	};
	int ret;

	vmx_pit_init(&machine->pit, &machine->clock, line(machine, IRQ_TIMER));
	ret = vmx_pit_attach(&machine->pit, &machine->ports);
	vmx_rtc_init(&machine->rtc, &rtc);
	vmx_rtc_set_ram(&machine->rtc, machine->memory.low, 0);
	ret = ret ?: vmx_rtc_attach(&machine->rtc, &machine->ports);
	vmx_i8042_init(&machine->i8042, &i8042);
	ret = ret ?: vmx_i8042_attach(&machine->i8042, &machine->ports);
	vmx_uart_init(&machine->com1, &com1);
	ret = ret ?: vmx_uart_attach(&machine->com1, &machine->ports, COM1);
	vmx_pc_init(&machine->pc, &pc);
	return ret ?: vmx_pc_attach(&machine->pc, &machine->ports);
}

static int add_interrupt_controllers(struct vmx_machine *machine)
{
	struct vmx_line intr = {
		.set = vmx_lapic_set_lint, .controller = &machine->cpus[0].lapic, .pin = 0,
	};
	int ret;

	vmx_pic_init(&machine->pic, intr);
	ret = vmx_pic_attach(&machine->pic, &machine->ports);
	vmx_ioapic_init(&machine->ioapic, &machine->apics, 0);
	return ret ?: vmx_ioapic_attach(&machine->ioapic, &machine->mmio, VMX_IOAPIC_BASE);
}

static int add_firmware(struct vmx_machine *machine, uint64_t *rsdp)
{
	struct vmx_acpi acpi;
	int ret;

	vmx_acpi_init(&acpi, &machine->memory, machine->config.cpus);
	acpi.pci = false;
	acpi.keyboard = true;
	vmx_power_init(&machine->power, &machine->clock, line(machine, acpi.sci), on_power,
		       machine);
	ret = vmx_bus_add(&machine->ports, acpi.power, VMX_POWER_LENGTH, &vmx_power_ops,
			  &machine->power, "ACPI registers");
	ret = ret ?: vmx_bus_add(&machine->ports, VMX_POWER_RESET_PORT, 1, &vmx_power_reset_ops,
				 &machine->power, "reset control");
	return ret ?: vmx_acpi_write(&acpi, &machine->memory, rsdp);
}

static int assemble(struct vmx_machine *machine)
{
	const struct vmx_machine_config *config = &machine->config;
	int ret = vmx_vm_open(&machine->vm, config->memory);

	if (ret)
		return ret;
	if (!machine->vm.caps.tsc_khz)
		return vmx_fail(EOPNOTSUPP, "the kernel does not know this CPU's TSC rate");
	machine->tsc_start = __rdtsc();
	machine->clock = (struct vmx_clock){ .now = now, .source = machine };
	ret = vmx_memory_init(&machine->memory, machine->vm.ram, config->memory, RAM_MAX);
	for (unsigned int n = 0; !ret && n < config->cpus; n++)
		ret = add_cpu(machine, n);
	ret = ret ?: add_interrupt_controllers(machine);
	return ret ?: add_legacy_devices(machine);
}

int vmx_machine_init(struct vmx_machine *machine, const struct vmx_machine_config *config)
{
	int ret;

	if (!config->cpus || config->cpus > VMX_MACHINE_CPUS)
		return vmx_fail(EINVAL, "a machine has 1 to %d CPUs, not %u", VMX_MACHINE_CPUS,
				config->cpus);
	if (config->memory > RAM_MAX)
		return vmx_fail(EINVAL, "a machine has up to %llu MiB of memory", RAM_MAX >> 20);
	memset(machine, 0, sizeof(*machine));
	machine->config = *config;
	machine->vm.fd = -1;
	pthread_mutex_init(&machine->lock, NULL);
	for (unsigned int n = 0; n < VMX_MACHINE_CPUS; n++) {
		pthread_cond_init(&machine->cpus[n].wake, NULL);
		machine->cpus[n].vcpu = (struct vmx_vcpu){ .fd = -1, .vmcs = -1 };
	}
	ret = assemble(machine);
	if (ret)
		vmx_machine_free(machine);
	return ret;
}

int vmx_machine_boot(struct vmx_machine *machine, struct vmx_boot *boot)
{
	struct vmx_start start;
	int ret = add_firmware(machine, &boot->rsdp);

	ret = ret ?: vmx_load_kernel(&machine->memory, boot, &start);
	return ret ?: vmx_cpu_start(&machine->cpus[0], &start);
}

enum vmx_end vmx_machine_run(struct vmx_machine *machine)
{
	unsigned int started = 0;

	while (started < machine->config.cpus &&
	       !pthread_create(&machine->cpus[started].thread, NULL, vmx_cpu_loop,
			       &machine->cpus[started]))
		started++;
	if (started < machine->config.cpus) {
		vmx_fail(EAGAIN, "no thread for vCPU %u", started);
		pthread_mutex_lock(&machine->lock);
		vmx_machine_fail(machine);
		pthread_mutex_unlock(&machine->lock);
	}
	for (unsigned int n = 0; n < started; n++)
		pthread_join(machine->cpus[n].thread, NULL);
	return machine->end;
}

void vmx_machine_stop(struct vmx_machine *machine, enum vmx_end end)
{
	pthread_mutex_lock(&machine->lock);
	vmx_machine_end(machine, end);
	pthread_mutex_unlock(&machine->lock);
}

void vmx_machine_free(struct vmx_machine *machine)
{
	for (unsigned int n = 0; n < VMX_MACHINE_CPUS; n++) {
		vmx_vcpu_close(&machine->cpus[n].vcpu);
		pthread_cond_destroy(&machine->cpus[n].wake);
	}
	if (machine->vm.fd >= 0)
		vmx_vm_close(&machine->vm);
	vmx_bus_free(&machine->ports);
	vmx_bus_free(&machine->mmio);
	pthread_mutex_destroy(&machine->lock);
}
