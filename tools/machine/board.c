// SPDX-License-Identifier: LGPL-2.1-or-later
/* The board wires the devices to each other. It needs RAM, a clock and local APICs, but no VMX. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "../lib/internal.h"
#include "internal.h"

#define COM1		0x3f8
#define EDGE_LEVEL	0x4d0	/* the 8259As' registers for it */
#define IRQ_TIMER	0
#define IRQ_KEYBOARD	1
#define IRQ_COM1	4
#define IRQ_RTC		8
#define IRQ_MOUSE	12
/* Where an I/O APIC has IRQ 0, as the MADT says. */
#define GSI_TIMER	2
/* Ports of PCI devices: beyond those of old, and of the ACPI registers. */
#define PCI_PORTS	0xc000
#define PCI_PORTS_END	0x10000

/* The machine as its ACPI tables have it. Who wires or places what they mention asks this, too. */
static void describe(const struct vmx_machine *machine, struct vmx_acpi *acpi)
{
	vmx_acpi_init(acpi, &machine->memory, machine->config.cpus);
	acpi->keyboard = true;
	acpi->mailbox = vmx_machine_mailbox(machine);
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

/* Interrupts go to both kinds of controllers; the guest chooses. */
static void set_irq(void *board, unsigned int irq, bool level)
{
	struct vmx_machine *machine = board;

	vmx_pic_set(&machine->pic, irq, level);
	vmx_ioapic_set(&machine->ioapic, machine->gsis[irq], level);
}

static struct vmx_line line(struct vmx_machine *machine, unsigned int irq)
{
	return (struct vmx_line){ .set = set_irq, .controller = machine, .pin = irq };
}

static uint64_t time_of_day(void *source __attribute__((unused)))
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
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
		.send = machine->config.send, .room = machine->config.room,
		.host = machine->config.host,
	};
	struct vmx_pc_config pc = {
		.event = on_power, .exit = on_exit_port, .board = machine,
		.exit_port = VMX_PC_EXIT_PORT,
	};
	int ret;

	vmx_pit_init(&machine->pit, &machine->clock, line(machine, IRQ_TIMER));
	ret = vmx_pit_attach(&machine->pit, &machine->ports);
	vmx_rtc_init(&machine->rtc, &rtc);
	vmx_rtc_set_ram(&machine->rtc, machine->memory.low,
			machine->memory.size - machine->memory.low);
	ret = ret ?: vmx_rtc_attach(&machine->rtc, &machine->ports);
	vmx_i8042_init(&machine->i8042, &i8042);
	ret = ret ?: vmx_i8042_attach(&machine->i8042, &machine->ports);
	vmx_uart_init(&machine->com1, &com1);
	ret = ret ?: vmx_uart_attach(&machine->com1, &machine->ports, COM1);
	vmx_pc_init(&machine->pc, &pc);
	return ret ?: vmx_pc_attach(&machine->pc, &machine->ports);
}

static int add_interrupt_controllers(struct vmx_machine *machine, const struct vmx_acpi *acpi)
{
	struct vmx_line intr = {
		.set = vmx_lapic_set_lint, .controller = &machine->cpus[0].lapic, .pin = 0,
	};
	uint32_t active_low = 0, levels = 0;
	int ret;

	for (unsigned int irq = 0; irq < VMX_MACHINE_IRQS; irq++)
		machine->gsis[irq] = irq == IRQ_TIMER ? GSI_TIMER : irq;
	for (unsigned int n = 0; n < VMX_PCI_LINES; n++) {
		machine->gsis[acpi->irqs[n]] = acpi->intx[n];
		active_low |= 1u << acpi->intx[n];
		levels |= 1u << acpi->irqs[n];
	}
	vmx_pic_init(&machine->pic, intr);
	ret = vmx_pic_attach(&machine->pic, &machine->ports);
	/* As firmware does. */
	vmx_bus_write(&machine->ports, EDGE_LEVEL, 1, levels & 0xff);
	vmx_bus_write(&machine->ports, EDGE_LEVEL + 1, 1, levels >> 8);
	vmx_ioapic_init(&machine->ioapic, &machine->apics, active_low);
	return ret ?: vmx_ioapic_attach(&machine->ioapic, &machine->mmio, VMX_IOAPIC_BASE);
}

static int add_power(struct vmx_machine *machine, const struct vmx_acpi *acpi)
{
	vmx_power_init(&machine->power, &machine->clock, line(machine, acpi->sci), on_power,
		       machine);
	return vmx_bus_add(&machine->ports, acpi->power, VMX_POWER_LENGTH, &vmx_power_ops,
			   &machine->power, "ACPI registers");
}

/* PCI */

static void send_message(void *context, uint64_t address, uint32_t data)
{
	struct vmx_machine *machine = context;

	vmx_apic_bus_msi(&machine->apics, address, data);
}

static void report(void *context, const char *sentence)
{
	const struct vmx_machine_config *config = &((struct vmx_machine *)context)->config;

	if (config->report)
		config->report(config->host, sentence);
}

static int add_pci(struct vmx_machine *machine, const struct vmx_acpi *acpi)
{
	struct vmx_pci_wiring wiring = {
		.ports = &machine->ports, .memory = &machine->mmio,
		.message = send_message, .report = report, .context = machine,
		.reset_control = &vmx_power_reset_ops, .reset_device = &machine->power,
	};

	for (unsigned int n = 0; n < VMX_PCI_LINES; n++)
		wiring.lines[n] = line(machine, acpi->irqs[n]);
	return vmx_pci_host_init(&machine->pci, &wiring);
}

/* As firmware does: devices are where the tables say that there is room. */
static int place_devices(struct vmx_machine *machine)
{
	struct vmx_acpi acpi;

	describe(machine, &acpi);
	return vmx_pci_assign(&machine->pci, &(struct vmx_pci_windows){
		.io = PCI_PORTS, .io_end = PCI_PORTS_END,
		.memory = acpi.pci_base, .memory_end = acpi.pci_base + (uint64_t)acpi.pci_size,
	});
}

int vmx_machine_add(struct vmx_machine *machine, struct vmx_pci_device *device)
{
	int slot, ret = 0;

	pthread_mutex_lock(&machine->lock);
	slot = vmx_pci_add(&machine->pci, device, VMX_PCI_ANY);
	if (slot > 0)
		ret = place_devices(machine);
	if (ret) {
		vmx_pci_remove(device);
		/* Undo: the others return to their old places. */
		place_devices(machine);
	}
	pthread_mutex_unlock(&machine->lock);
	return ret ?: slot;
}

/* Devices tell of what they wrote. */
static void *find_memory(void *context, uint64_t address, uint64_t length)
{
	return vmx_machine_memory(context, address, length, false);
}

static void on_noted(void *context, const void *memory, size_t length)
{
	vmx_memory_wrote(&((struct vmx_machine *)context)->memory, memory, length);
}

/* The way back from what was found. */
static void on_written(void *context, const void *memory, size_t length)
{
	struct vmx_machine *machine = context;
	uint64_t address = (const unsigned char *)memory - machine->memory.ram;

	vmx_memory_wrote(&machine->memory, memory, length);
	if (!machine->vm.shadow)
		return;
	if (address >= machine->memory.low)
		address += VMX_MEMORY_HIGH - machine->memory.low;
	vmx_machine_wrote(machine, address, length);
}

struct vmx_virtio_machine vmx_machine_virtio(struct vmx_machine *machine)
{
	return (struct vmx_virtio_machine){
		.memory = find_memory, .context = machine, .clock = &machine->clock,
		.written = on_written, .noted = on_noted, .quiet = &machine->quiet,
	};
}

int vmx_board_init(struct vmx_machine *machine)
{
	struct vmx_acpi acpi;
	int ret;

	describe(machine, &acpi);
	ret = add_interrupt_controllers(machine, &acpi);
	ret = ret ?: add_legacy_devices(machine);
	ret = ret ?: add_power(machine, &acpi);
	return ret ?: add_pci(machine, &acpi);
}

int vmx_board_new_generation(struct vmx_machine *machine)
{
	void *id = vmx_memory_to_write(&machine->memory, VMX_ACPI_GENERATION,
				       VMX_ACPI_GENERATION_LENGTH);
	uint8_t random[VMX_ACPI_GENERATION_LENGTH];

	if (!id)
		return 0;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return vmx_fail(errno, "no random numbers for the generation ID: %s",
				strerror(errno));
	memcpy(id, random, sizeof(random));
	return 0;
}

int vmx_board_describe(struct vmx_machine *machine, uint64_t *rsdp)
{
	struct vmx_acpi acpi;
	int ret;

	describe(machine, &acpi);
	vmx_bios_data_write(&machine->memory);
	ret = vmx_acpi_write(&acpi, &machine->memory, rsdp);
	return ret ?: vmx_board_new_generation(machine);
}
