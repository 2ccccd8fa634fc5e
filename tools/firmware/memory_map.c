// SPDX-License-Identifier: LGPL-2.1-or-later
/* A guest's RAM, and the memory map that the guest gets. */
#include <errno.h>
#include <string.h>

#include <libvmx/firmware.h>

#include "../lib/internal.h"

#define PAGE		0x1000ull

/* The first MiB of a PC. Firmware keeps the last KiB of conventional memory to itself. */
#define CONVENTIONAL	0x9fc00ull
#define VGA		0xa0000ull
#define FIRMWARE	0xe0000ull
#define MIB		0x100000ull

static int add(struct vmx_memory *memory, uint64_t base, uint64_t end, enum vmx_range_type type)
{
	if (end > memory->low && base < VMX_MEMORY_HIGH)
		end = memory->low;
	return base < end ? vmx_memory_set(memory, base, end - base, type) : 0;
}

int vmx_memory_init(struct vmx_memory *memory, void *ram, uint64_t size, uint64_t hole)
{
	if (!size || size % PAGE || size >> 46)
		return vmx_fail(EINVAL, "%#llx bytes of RAM are no multiple of 4 KiB up to 64 TiB",
				(unsigned long long)size);
	if (hole < MIB || hole > VMX_MEMORY_HIGH || hole % PAGE)
		return vmx_fail(EINVAL,
				"The hole below 4 GiB cannot begin at %#llx: on a page from 1 MiB on",
				(unsigned long long)hole);
	*memory = (struct vmx_memory){ .ram = ram, .size = size,
				       .low = size < hole ? size : hole, .hole = hole };
	add(memory, 0, CONVENTIONAL, VMX_RANGE_RAM);
	add(memory, CONVENTIONAL, VGA, VMX_RANGE_RESERVED);
	add(memory, FIRMWARE, MIB, VMX_RANGE_RESERVED);
	add(memory, MIB, memory->low, VMX_RANGE_RAM);
	return add(memory, VMX_MEMORY_HIGH, VMX_MEMORY_HIGH + size - memory->low, VMX_RANGE_RAM);
}

/* "BIOS Data Area": words of segment 40H */
#define BDA			0x400
#define BDA_SIZE		0x100
#define BDA_EBDA_SEGMENT	0x0e
#define BDA_MEMORY_KIB		0x13

void vmx_bios_data_write(const struct vmx_memory *memory)
{
	uint64_t end = memory->low < CONVENTIONAL ? memory->low : CONVENTIONAL;
	uint16_t segment = CONVENTIONAL >> 4, kib = end >> 10;
	unsigned char *ebda = vmx_memory_to_write(memory, CONVENTIONAL, 1);
	unsigned char *area = vmx_memory_to_write(memory, BDA, BDA_SIZE);

	if (!area)
		return;
	memcpy(area + BDA_MEMORY_KIB, &kib, sizeof(kib));
	if (!ebda)
		return;
	memcpy(area + BDA_EBDA_SEGMENT, &segment, sizeof(segment));
	*ebda = (VGA - CONVENTIONAL) >> 10;
}

/* A map in the making; it may turn out too long. */
struct draft {
	struct vmx_memory_range map[2 * VMX_MEMORY_RANGES + 1];
	unsigned int count;
};

/* Appends a range, or makes the last one longer. */
static void append(struct draft *draft, uint64_t base, uint64_t size, enum vmx_range_type type)
{
	struct vmx_memory_range *last = draft->count ? &draft->map[draft->count - 1] : NULL;

	if (!size)
		return;
	if (last && last->type == type && last->base + last->size == base)
		last->size += size;
	else
		draft->map[draft->count++] = (struct vmx_memory_range){ base, size, type };
}

int vmx_memory_set(struct vmx_memory *memory, uint64_t base, uint64_t size,
		   enum vmx_range_type type)
{
	struct draft draft = { .count = 0 };
	uint64_t end = base + size;
	bool done = false;

	if (!size || end < base)
		return vmx_fail(EINVAL, "The memory map cannot have %#llx bytes at %#llx",
				(unsigned long long)size, (unsigned long long)base);
	for (unsigned int n = 0; n < memory->count; n++) {
		const struct vmx_memory_range *old = &memory->map[n];
		uint64_t old_end = old->base + old->size;

		if (old->base < base)
			append(&draft, old->base, (old_end < base ? old_end : base) - old->base,
			       old->type);
		if (!done && old_end > base) {
			append(&draft, base, size, type);
			done = true;
		}
		if (old_end > end) {
			uint64_t rest = old->base > end ? old->base : end;

			append(&draft, rest, old_end - rest, old->type);
		}
	}
	if (!done)
		append(&draft, base, size, type);
	if (draft.count > VMX_MEMORY_RANGES)
		return vmx_fail(ENOSPC, "The memory map has no room for the range at %#llx",
				(unsigned long long)base);
	memcpy(memory->map, draft.map, sizeof(memory->map));
	memory->count = draft.count;
	return 0;
}

static unsigned char *find(const struct vmx_memory *memory, uint64_t base, uint64_t size)
{
	uint64_t high = memory->size - memory->low;

	if (base <= memory->low && size <= memory->low - base)
		return memory->ram + base;
	if (base < VMX_MEMORY_HIGH || base - VMX_MEMORY_HIGH > high ||
	    size > high - (base - VMX_MEMORY_HIGH))
		return NULL;
	return memory->ram + memory->low + (base - VMX_MEMORY_HIGH);
}

const void *vmx_memory_at(const struct vmx_memory *memory, uint64_t base, uint64_t size)
{
	return find(memory, base, size);
}

void *vmx_memory_to_write(const struct vmx_memory *memory, uint64_t base, uint64_t size)
{
	unsigned char *at = find(memory, base, size);

	if (at)
		vmx_memory_wrote(memory, at, size);
	return at;
}

void vmx_memory_wrote(const struct vmx_memory *memory, const void *at, uint64_t size)
{
	uint64_t offset = (const unsigned char *)at - memory->ram;

	if (!memory->written || !size)
		return;
	for (uint64_t page = offset / PAGE; page <= (offset + size - 1) / PAGE; page++)
		memory->written[page / 64] |= 1ull << page % 64;
}
