// SPDX-License-Identifier: LGPL-2.1-or-later
/* Plans where things go in a guest's RAM, and carries the plan out once nothing can fail. */
#include <errno.h>
#include <string.h>

#include "load.h"

/*
 * Linux puts a trampoline right below the end of conventional memory while it still runs on the
 * page tables that a loader gave it ("paging_prepare" there): stay away from that.
 */
#define LOW_END		0x90000ull

static const struct piece *find_overlap(const struct plan *plan, uint64_t base, uint64_t size)
{
	for (unsigned int n = 0; n < plan->count; n++) {
		const struct piece *piece = &plan->pieces[n];

		if (base < piece->base + piece->size && piece->base < base + size)
			return piece;
	}
	return NULL;
}

/* The range of RAM that has it all, or NULL. */
static const struct vmx_memory_range *find_ram(const struct vmx_memory *memory, uint64_t base,
					       uint64_t size)
{
	for (unsigned int n = 0; n < memory->count; n++) {
		const struct vmx_memory_range *range = &memory->map[n];

		if (range->type == VMX_RANGE_RAM && base >= range->base &&
		    inside(range->size, base - range->base, size) &&
		    vmx_memory_at(memory, base, size))
			return range;
	}
	return NULL;
}

static int add(struct plan *plan, const struct piece *piece)
{
	if (plan->count == PIECES)
		return vmx_fail(E2BIG,
				"The kernel, its modules and its tables have more than %d pieces",
				PIECES);
	plan->pieces[plan->count++] = *piece;
	return 0;
}

/* Would a guest of more memory have more below END? */
static bool could_be_more(const struct vmx_memory *memory, uint64_t end)
{
	return end > memory->low && memory->low < memory->hole;
}

/* What there is to be done about RAM that is missing somewhere in [BASE, END). */
static const char *way_out(const struct vmx_memory *memory, uint64_t base, uint64_t end)
{
	if (end <= memory->low || end < base)
		return "link the kernel elsewhere";
	if (end > memory->hole && base < VMX_MEMORY_HIGH)
		return "devices are there in every guest; link the kernel elsewhere";
	return "give the guest more memory";
}

static int add_at(struct plan *plan, const struct piece *piece)
{
	const struct piece *other;
	const char *what = piece->what;
	uint64_t base = piece->base, size = piece->size;

	if (!size)
		return 0;
	if (!find_ram(plan->memory, base, size))
		return vmx_fail(ENOSPC,
				"The %s needs %#llx bytes at %#llx, which are not all free RAM: %s",
				what, (unsigned long long)size, (unsigned long long)base,
				way_out(plan->memory, base, base + size));
	other = find_overlap(plan, base, size);
	if (other)
		return vmx_fail(ENOEXEC, "The %s at %#llx to %#llx overlaps the %s at %#llx", what,
				(unsigned long long)base, (unsigned long long)(base + size),
				other->what, (unsigned long long)other->base);
	return add(plan, piece);
}

int plan_at(struct plan *plan, uint64_t base, uint64_t size, const void *data, uint64_t data_size,
	    const char *what)
{
	struct piece piece = { base, size, data, data_size, false, what };

	return add_at(plan, &piece);
}

int plan_reserved(struct plan *plan, uint64_t base, uint64_t size, const char *what)
{
	struct piece piece = { base, size, NULL, 0, true, what };

	return add_at(plan, &piece);
}

/* The highest aligned base in [LOWEST, END) that no piece is in the way of. */
static bool find_gap(const struct plan *plan, uint64_t lowest, uint64_t end, uint64_t alignment,
		     uint64_t size, uint64_t *base)
{
	const struct piece *other;

	while (inside(end, lowest, size)) {
		*base = (end - size) & ~(alignment - 1);
		if (*base < lowest)
			return false;
		other = find_overlap(plan, *base, size);
		if (!other)
			return true;
		end = other->base;
	}
	return false;
}

int plan_below(struct plan *plan, uint64_t lowest, uint64_t end, uint64_t alignment,
	       uint64_t size, const void *data, uint64_t data_size, const char *what,
	       uint64_t *base)
{
	struct piece piece = { 0, size, data, data_size, false, what };

	*base = lowest;
	if (!size)
		return 0;
	for (unsigned int n = plan->memory->count; n--;) {
		const struct vmx_memory_range *range = &plan->memory->map[n];
		uint64_t first = range->base > lowest ? range->base : lowest;
		uint64_t last = range->base + range->size < end ? range->base + range->size : end;

		if (range->type != VMX_RANGE_RAM || first >= last ||
		    !find_gap(plan, first, last, alignment, size, &piece.base) ||
		    !vmx_memory_at(plan->memory, piece.base, size))
			continue;
		*base = piece.base;
		return add(plan, &piece);
	}
	return vmx_fail(ENOSPC,
			"The %s needs %#llx bytes of RAM between %#llx and %#llx that the kernel leaves free%s",
			what, (unsigned long long)size, (unsigned long long)lowest,
			(unsigned long long)end, could_be_more(plan->memory, end) ?
			": give the guest more memory" : "");
}

int plan_low(struct plan *plan, uint64_t size, const void *data, uint64_t data_size,
	     const char *what, uint64_t *base)
{
	return plan_below(plan, VMX_LOAD_LOWEST, LOW_END, PAGE, size, data, data_size, what, base);
}

static int plan_string(struct plan *plan, const char *string, const char *what, uint64_t *base)
{
	*base = 0;
	return string ? plan_low(plan, strlen(string) + 1, string, strlen(string), what, base) : 0;
}

int plan_extras(struct plan *plan, const struct vmx_boot *boot, struct extras *extras)
{
	int error = plan_string(plan, boot->command_line, "command line", &extras->command_line);

	for (unsigned int n = 0; !error && n < boot->module_count; n++) {
		const struct vmx_module *module = &boot->modules[n];

		error = plan_below(plan, MIB, GIB_4, PAGE, module->size, module->data,
				   module->size, "module", &extras->modules[n].base);
		if (!error)
			error = plan_string(plan, module->string, "module's string",
					    &extras->modules[n].string);
	}
	return error;
}

void plan_carry_out(const struct plan *plan)
{
	for (unsigned int n = 0; n < plan->count; n++) {
		const struct piece *piece = &plan->pieces[n];
		unsigned char *at = vmx_memory_to_write(plan->memory, piece->base, piece->size);

		if (piece->untouched)
			continue;
		if (piece->data_size)
			memcpy(at, piece->data, piece->data_size);
		memset(at + piece->data_size, 0, piece->size - piece->data_size);
	}
}
