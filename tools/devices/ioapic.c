// SPDX-License-Identifier: LGPL-2.1-or-later
/* The I/O APIC, after Intel's data sheet "82093AA", with the EOI register of later chipsets. */
#include <libvmx/ioapic.h>

/* Memory-mapped registers */
#define IOREGSEL	0x00
#define IOWIN		0x10
#define IOEOI		0x40

/* Registers behind the window */
#define IOAPICID	0x00
#define IOAPICVER	0x01
#define IOAPICARB	0x02
#define IOREDTBL	0x10

#define ID_BITS		0x0f000000u
#define VERSION		(0x20 | (VMX_IOAPIC_PINS - 1) << 16)

/* Redirection entry */
#define ENTRY_VECTOR		0xffull
#define ENTRY_DELIVERY(entry)	((entry) >> 8 & 7)
#define ENTRY_LOGICAL		(1ull << 11)
#define ENTRY_STATUS		(1ull << 12)
#define ENTRY_ACTIVE_LOW	(1ull << 13)
#define ENTRY_REMOTE_IRR	(1ull << 14)
#define ENTRY_LEVEL		(1ull << 15)
#define ENTRY_MASKED		(1ull << 16)
#define ENTRY_WRITABLE		(0xff0000000001ffffull & ~(ENTRY_STATUS | ENTRY_REMOTE_IRR))

/* NMI, INIT, SMI and ExtINT are edge-triggered, whatever the entry says. */
static bool level_triggered(uint64_t entry)
{
	return entry & ENTRY_LEVEL && ENTRY_DELIVERY(entry) <= VMX_APIC_LOWEST;
}

static bool asserted(const struct vmx_ioapic *ioapic, unsigned int pin)
{
	bool high = ioapic->pins & 1u << pin;

	return high != !!(ioapic->entries[pin] & ENTRY_ACTIVE_LOW);
}

static bool send(struct vmx_ioapic *ioapic, unsigned int pin)
{
	uint64_t entry = ioapic->entries[pin];
	struct vmx_apic_message message = {
		.destination = entry >> 56 == 0xff ? VMX_APIC_EVERYONE : entry >> 56,
		.delivery = ENTRY_DELIVERY(entry),
		.vector = entry & ENTRY_VECTOR,
		.logical = entry & ENTRY_LOGICAL,
		.level = level_triggered(entry),
	};

	return vmx_apic_bus_send(ioapic->apics, &message);
}

/* A level that nobody accepted is sent again at the next occasion, as hardware retries. */
static void judge_level(struct vmx_ioapic *ioapic, unsigned int pin)
{
	uint64_t *entry = &ioapic->entries[pin];

	if (!level_triggered(*entry) || *entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR))
		return;
	if (asserted(ioapic, pin) && send(ioapic, pin))
		*entry |= ENTRY_REMOTE_IRR;
}

void vmx_ioapic_set(void *data, unsigned int pin, bool level)
{
	struct vmx_ioapic *ioapic = data;
	uint32_t bit;
	bool was;

	if (pin >= VMX_IOAPIC_PINS)
		return;
	bit = 1u << pin;
	was = asserted(ioapic, pin);
	if (level != !!(ioapic->active_low & bit))
		ioapic->pins |= bit;
	else
		ioapic->pins &= ~bit;
	if (level_triggered(ioapic->entries[pin]))
		judge_level(ioapic, pin);
	else if (asserted(ioapic, pin) && !was && !(ioapic->entries[pin] & ENTRY_MASKED))
		/* An edge at a masked pin is lost, says the data sheet. */
		send(ioapic, pin);
}

static void eoi(void *data, uint8_t vector)
{
	struct vmx_ioapic *ioapic = data;

	for (unsigned int pin = 0; pin < VMX_IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entries[pin];

		if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		judge_level(ioapic, pin);
	}
}

/* The window */

static uint32_t read_register(const struct vmx_ioapic *ioapic, uint32_t n)
{
	uint32_t at = n - IOREDTBL;

	if (at < 2 * VMX_IOAPIC_PINS)
		return ioapic->entries[at / 2] >> 32 * (at % 2);
	switch (n) {
	case IOAPICID:
	case IOAPICARB:
		return ioapic->id;
	case IOAPICVER:
		return VERSION;
	default:
		return 0;
	}
}

/*
 * To make an entry edge-triggered is how software ends a level-triggered interrupt where there is
 * no EOI register; Linux does so where it is in doubt.
 */
static void write_entry(struct vmx_ioapic *ioapic, unsigned int pin, bool upper, uint32_t value)
{
	uint64_t *entry = &ioapic->entries[pin];
	uint64_t half = upper ? ~0ull << 32 : UINT32_MAX;
	uint64_t changed = ENTRY_WRITABLE & half;

	*entry = (*entry & ~changed) | ((uint64_t)value << (upper ? 32 : 0) & changed);
	if (!level_triggered(*entry))
		*entry &= ~ENTRY_REMOTE_IRR;
	judge_level(ioapic, pin);
}

static void write_register(struct vmx_ioapic *ioapic, uint32_t n, uint32_t value)
{
	uint32_t at = n - IOREDTBL;

	if (at < 2 * VMX_IOAPIC_PINS)
		write_entry(ioapic, at / 2, at % 2, value);
	else if (n == IOAPICID)
		ioapic->id = value & ID_BITS;
}

/* All registers are 32 bits; wider and narrower accesses to the window are undefined. */

static uint64_t ioapic_read(void *device, uint64_t offset, unsigned int size)
{
	struct vmx_ioapic *ioapic = device;

	(void)size;
	switch (offset) {
	case IOREGSEL:
		return ioapic->select;
	case IOWIN:
		return read_register(ioapic, ioapic->select);
	default:
		return 0;
	}
}

static void ioapic_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vmx_ioapic *ioapic = device;

	switch (offset) {
	case IOREGSEL:
		ioapic->select = value & 0xff;
		break;
	case IOWIN:
		if (size == 4)
			write_register(ioapic, ioapic->select, value);
		break;
	case IOEOI:
		eoi(ioapic, value & 0xff);
		break;
	}
}

static const struct vmx_range_ops ioapic_ops = { ioapic_read, ioapic_write };

int vmx_ioapic_attach(struct vmx_ioapic *ioapic, struct vmx_bus *bus, uint64_t base)
{
	return vmx_bus_add(bus, base, VMX_IOAPIC_LENGTH, &ioapic_ops, ioapic, "I/O APIC");
}

void vmx_ioapic_reset(struct vmx_ioapic *ioapic)
{
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned int pin = 0; pin < VMX_IOAPIC_PINS; pin++)
		ioapic->entries[pin] = ENTRY_MASKED;
}

void vmx_ioapic_init(struct vmx_ioapic *ioapic, struct vmx_apic_bus *apics, uint32_t active_low)
{
	*ioapic = (struct vmx_ioapic){
		.apics = apics,
		.listener = { .eoi = eoi, .controller = ioapic },
		.active_low = active_low,
		/* Nobody asserts anything yet. */
		.pins = active_low,
	};
	vmx_ioapic_reset(ioapic);
	vmx_apic_bus_listen(apics, &ioapic->listener);
}
