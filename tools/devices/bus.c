// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finds the device that an access belongs to, in a sorted table of ranges. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvmx/device.h>

#include "../lib/internal.h"

struct vmx_bus_range {
	uint64_t base;
	uint64_t last;
	const struct vmx_range_ops *ops;
	void *device;
	const char *name;
};

/* The number of ranges that begin at or below an address. */
static size_t upper_bound(const struct vmx_bus *bus, uint64_t address)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (bus->ranges[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has(const struct vmx_bus_range *range, uint64_t first, uint64_t last)
{
	return range->base <= first && last <= range->last;
}

/* Drivers access one device many times in a row. */
static struct vmx_bus_range *find(struct vmx_bus *bus, uint64_t first, unsigned int size)
{
	uint64_t last = first + size - 1;
	size_t n = bus->hint;

	if (last < first)
		return NULL;
	if (n < bus->count && has(&bus->ranges[n], first, last))
		return &bus->ranges[n];
	n = upper_bound(bus, first);
	if (!n || !has(&bus->ranges[n - 1], first, last))
		return NULL;
	bus->hint = n - 1;
	return &bus->ranges[n - 1];
}

static int make_room(struct vmx_bus *bus)
{
	size_t room = bus->room ? 2 * bus->room : 16;
	void *ranges;

	if (bus->count < bus->room)
		return 0;
	ranges = reallocarray(bus->ranges, room, sizeof(*bus->ranges));
	if (!ranges)
		return vmx_fail(ENOMEM, "out of memory for another device");
	bus->ranges = ranges;
	bus->room = room;
	return 0;
}

int vmx_bus_add(struct vmx_bus *bus, uint64_t base, uint64_t length,
		const struct vmx_range_ops *ops, void *device, const char *name)
{
	uint64_t last = base + length - 1;
	const struct vmx_bus_range *other;
	size_t n;
	int ret;

	if (!length || last < base)
		return vmx_fail(EINVAL, "%s: no range of %#llx bytes begins at %#llx", name,
				(unsigned long long)length, (unsigned long long)base);
	n = upper_bound(bus, last);
	other = n ? &bus->ranges[n - 1] : NULL;
	if (other && other->last >= base)
		return vmx_fail(EEXIST, "%s at %#llx would overlap %s at %#llx", name,
				(unsigned long long)base, other->name,
				(unsigned long long)other->base);
	ret = make_room(bus);
	if (ret)
		return ret;
	memmove(&bus->ranges[n + 1], &bus->ranges[n], (bus->count - n) * sizeof(*bus->ranges));
	bus->ranges[n] = (struct vmx_bus_range){ base, last, ops, device, name };
	bus->count++;
	return 0;
}

void vmx_bus_remove(struct vmx_bus *bus, uint64_t base)
{
	size_t n = upper_bound(bus, base);

	if (!n || bus->ranges[n - 1].base != base)
		return;
	bus->count--;
	memmove(&bus->ranges[n - 1], &bus->ranges[n], (bus->count - n + 1) * sizeof(*bus->ranges));
}

void vmx_bus_free(struct vmx_bus *bus)
{
	free(bus->ranges);
	*bus = (struct vmx_bus){ 0 };
}

/* All bits that an access of SIZE bytes has. */
static uint64_t mask(unsigned int size)
{
	return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

bool vmx_bus_read(struct vmx_bus *bus, uint64_t address, unsigned int size, uint64_t *value)
{
	struct vmx_bus_range *range = find(bus, address, size);

	*value = mask(size);
	if (range)
		*value &= range->ops->read(range->device, address - range->base, size);
	return range;
}

bool vmx_bus_write(struct vmx_bus *bus, uint64_t address, unsigned int size, uint64_t value)
{
	struct vmx_bus_range *range = find(bus, address, size);

	if (range)
		range->ops->write(range->device, address - range->base, size, value & mask(size));
	return range;
}
