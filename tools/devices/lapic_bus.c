// SPDX-License-Identifier: LGPL-2.1-or-later
/* Delivers interrupt messages to local APICs. SDM, "Determining IPI Destination". */
#include <errno.h>

#include "../lib/internal.h"
#include "lapic_internal.h"

/* The SDM's "Message Address Register Format" and "Message Data Register Format". */
#define MSI_ADDRESS		0xfee00000u
#define MSI_ADDRESS_MASK	(~0ull << 20)
#define MSI_DESTINATION_SHIFT	12
#define MSI_REDIRECTION_HINT	(1u << 3)
#define MSI_LOGICAL		(1u << 2)
#define MSI_ASSERT		(1u << 14)
#define MSI_LEVEL		(1u << 15)

/* Destination-format register: its upper four bits. */
#define DFR_FLAT		0xf
#define DFR_CLUSTER		0x0

int vmx_lapic_join(struct vmx_lapic *lapic)
{
	struct vmx_lapic **at = &lapic->config.bus->lapics;

	if (lapic->config.id == 0xff || lapic->config.id == VMX_APIC_EVERYONE)
		return vmx_fail(EINVAL, "local APIC ID %#x is the broadcast ID; choose another",
				lapic->config.id);
	for (; *at; at = &(*at)->next)
		if ((*at)->config.id == lapic->config.id)
			return vmx_fail(EEXIST, "two vCPUs have local APIC ID %#x; choose another",
					lapic->config.id);
	*at = lapic;
	return 0;
}

void vmx_apic_bus_listen(struct vmx_apic_bus *bus, struct vmx_apic_listener *listener)
{
	listener->next = bus->listeners;
	bus->listeners = listener;
}

void vmx_apic_bus_eoi(struct vmx_apic_bus *bus, uint8_t vector)
{
	for (struct vmx_apic_listener *at = bus->listeners; at; at = at->next)
		at->eoi(at->controller, vector);
}

uint32_t vmx_apic_widen(uint8_t destination)
{
	return destination == 0xff ? VMX_APIC_EVERYONE : destination;
}

/* SDM, "Deriving Logical x2APIC ID from the Local x2APIC ID". */
uint32_t vmx_lapic_ldr(const struct vmx_lapic *lapic)
{
	uint32_t id = lapic->config.id;

	if (vmx_lapic_mode(lapic) != LAPIC_X2APIC)
		return lapic->ldr;
	return id >> 4 << 16 | 1u << (id & 15);
}

static bool has_logical_xapic(const struct vmx_lapic *lapic, uint32_t destination)
{
	uint8_t id = lapic->ldr >> 24;

	if (destination > 0xff)
		return false;
	switch (lapic->dfr >> 28) {
	case DFR_FLAT:
		return id & destination;
	case DFR_CLUSTER:
		return id >> 4 == destination >> 4 && id & destination & 0xf;
	default:
		return false;
	}
}

static bool has_logical(const struct vmx_lapic *lapic, uint32_t destination)
{
	uint32_t id = vmx_lapic_ldr(lapic);

	if (vmx_lapic_mode(lapic) == LAPIC_XAPIC)
		return has_logical_xapic(lapic, destination);
	return id >> 16 == destination >> 16 && id & destination & 0xffff;
}

static bool has_physical(const struct vmx_lapic *lapic, uint32_t destination)
{
	uint32_t id = lapic->config.id;

	return destination == (vmx_lapic_mode(lapic) == LAPIC_XAPIC ? id & 0xff : id);
}

static bool is_destination(const struct vmx_lapic *lapic, const struct vmx_apic_message *message)
{
	if (vmx_lapic_mode(lapic) == LAPIC_OFF)
		return false;
	if (message->destination == VMX_APIC_EVERYONE)
		return true;
	return message->logical ? has_logical(lapic, message->destination) :
				  has_physical(lapic, message->destination);
}

static struct vmx_lapic *after(const struct vmx_apic_bus *bus, const struct vmx_lapic *lapic)
{
	return lapic && lapic->next ? lapic->next : bus->lapics;
}

/*
 * Of those that run at the same priority each in turn: the search begins after who was last. One
 * that is disabled by software would not take it.
 */
static bool send_lowest(struct vmx_apic_bus *bus, const struct vmx_apic_message *message,
			const struct vmx_lapic *except)
{
	struct vmx_lapic *first = after(bus, bus->turn), *at = first, *best = NULL;

	if (!first)
		return false;
	do {
		if (at != except && at->svr & SVR_ENABLE && is_destination(at, message) &&
		    (!best || vmx_lapic_ppr(at) < vmx_lapic_ppr(best)))
			best = at;
		at = after(bus, at);
	} while (at != first);
	if (!best)
		return false;
	bus->turn = best;
	return vmx_lapic_receive(best, VMX_APIC_LOWEST, message->vector, message->level);
}

bool vmx_apic_bus_send_but(struct vmx_apic_bus *bus, const struct vmx_apic_message *message,
			   const struct vmx_lapic *except)
{
	bool accepted = false;

	if (message->delivery == VMX_APIC_LOWEST)
		return send_lowest(bus, message, except);
	for (struct vmx_lapic *at = bus->lapics; at; at = at->next)
		if (at != except && is_destination(at, message))
			accepted |= vmx_lapic_receive(at, message->delivery, message->vector,
						      message->level);
	return accepted;
}

bool vmx_apic_bus_send(struct vmx_apic_bus *bus, const struct vmx_apic_message *message)
{
	return vmx_apic_bus_send_but(bus, message, NULL);
}

bool vmx_apic_bus_msi(struct vmx_apic_bus *bus, uint64_t address, uint32_t data)
{
	struct vmx_apic_message message = {
		.destination = vmx_apic_widen(address >> MSI_DESTINATION_SHIFT & 0xff),
		.delivery = vmx_lvt_delivery(data),
		.vector = data & LVT_VECTOR,
		.logical = address & MSI_LOGICAL,
		.level = data & MSI_LEVEL,
	};

	if ((address & MSI_ADDRESS_MASK) != MSI_ADDRESS)
		return false;
	/* A deassert message delivers nothing. */
	if (message.level && !(data & MSI_ASSERT))
		return false;
	if (address & MSI_REDIRECTION_HINT && message.delivery == VMX_APIC_FIXED)
		message.delivery = VMX_APIC_LOWEST;
	return vmx_apic_bus_send(bus, &message);
}
