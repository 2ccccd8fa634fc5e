// SPDX-License-Identifier: LGPL-2.1-or-later
/* Walks the guest's page tables as the CPU does (SDM, "Paging"). */
#include <errno.h>
#include <stdbool.h>

#include <libvmx/emulate.h>

#include "../lib/internal.h"
#include "../lib/x86.h"

#define PTE_P		(1ull << 0)
#define PTE_W		(1ull << 1)
#define PTE_U		(1ull << 2)
#define PTE_A		(1ull << 5)
#define PTE_D		(1ull << 6)
#define PTE_PS		(1ull << 7)
#define PTE_XD		(1ull << 63)

/* Another vCPU that changes tables under the walk makes it start again, but not for ever. */
#define MOST_ATTEMPTS	16
#define MOST_LEVELS	5

/* What differs between the paging modes. Level 1 is the page table. */
struct format {
	unsigned int levels;
	unsigned int index_bits;
	unsigned int entry_size;
	unsigned int largest;		/* the highest level that can map a page */
	uint64_t root;			/* the address bits of CR3 */
};

static const struct format two_levels = { 2, 10, 4, 2, 0xfffff000 };
static const struct format pae = { 3, 9, 8, 2, 0xffffffe0 };
static const struct format four_levels = { 4, 9, 8, 3, 0xffffffffff000 };
static const struct format five_levels = { 5, 9, 8, 3, 0xffffffffff000 };

/* An entry that the walk went through. */
struct step {
	uint64_t gpa;
	uint64_t value;
};

struct walk {
	const struct vmx_paging *paging;
	const struct vmx_guest_memory *memory;
	const struct format *format;
	unsigned int access;
	struct step steps[MOST_LEVELS + 1];	/* by level */
	unsigned int leaf;			/* its level */
	uint64_t all;				/* what all entries allow: W and U */
	uint64_t any;				/* what one entry forbids: XD */
};

static const struct format *format_of(const struct vmx_paging *paging)
{
	if (!(paging->cr4 & CR4_PAE))
		return &two_levels;
	if (!(paging->efer & EFER_LMA))
		return &pae;
	return paging->cr4 & CR4_LA57 ? &five_levels : &four_levels;
}

static unsigned int shift_of(const struct format *format, unsigned int level)
{
	return 12 + (level - 1) * format->index_bits;
}

/* Bits FIRST to LAST; none if there are none between. */
static uint64_t bits(unsigned int first, unsigned int last)
{
	return first > last ? 0 : (UINT64_MAX >> (63 - last)) & (UINT64_MAX << first);
}

static unsigned int phys_bits(const struct vmx_paging *paging)
{
	unsigned int width = paging->phys_bits;

	return width < 32 ? 32 : width > 52 ? 52 : width;
}

static bool is_page(const struct walk *walk, unsigned int level, uint64_t entry)
{
	if (level == 1)
		return true;
	if (level > walk->format->largest || !(entry & PTE_PS))
		return false;
	return walk->format != &two_levels || walk->paging->cr4 & CR4_PSE;
}

/* Bits 39:32 of a 4-MByte page's address are bits 20:13 of its entry; bit 21 has to be 0. */
static uint64_t reserved_in_4m(unsigned int width)
{
	return bits(13 + (width > 40 ? 40 : width) - 32, 21);
}

/* Bits that have to be 0 in a present entry. */
static uint64_t reserved(const struct walk *walk, unsigned int level, bool page)
{
	unsigned int width = phys_bits(walk->paging);
	uint64_t mask;

	if (walk->format == &two_levels)
		return page && level == 2 ? reserved_in_4m(width) : 0;
	mask = bits(width, walk->format == &pae ? 62 : 51);
	if (!(walk->paging->efer & EFER_NXE))
		mask |= PTE_XD;
	if (walk->format == &pae && level == 3)
		return mask | PTE_XD | bits(1, 2) | bits(5, 8);
	if (level > walk->format->largest)
		mask |= PTE_PS;
	if (page && level > 1)
		mask |= bits(13, shift_of(walk->format, level) - 1);
	return mask;
}

static uint64_t page_address(const struct walk *walk, uint64_t linear)
{
	uint64_t entry = walk->steps[walk->leaf].value;
	unsigned int shift = shift_of(walk->format, walk->leaf);
	uint64_t frame = entry & bits(shift, 51);

	if (walk->format == &two_levels && walk->leaf == 2)
		frame |= (entry & bits(13, 20)) << 19;
	return frame | (linear & bits(0, shift - 1));
}

/* The guest may be writing the entry: it is read once, whole. */
static int read_entry(const struct walk *walk, struct step *step)
{
	unsigned int size = walk->format->entry_size;
	void *host = walk->memory->host(walk->memory->machine, step->gpa, size, false);

	if (!host)
		return vmx_fail(ENXIO, "a page-table entry of the guest is at %#llx, "
				"which is not RAM",
				(unsigned long long)step->gpa);
	if (size == 4)
		step->value = __atomic_load_n((uint32_t *)host, __ATOMIC_RELAXED);
	else
		step->value = __atomic_load_n((uint64_t *)host, __ATOMIC_RELAXED);
	return 0;
}

static bool replace(void *host, unsigned int size, uint64_t old, uint64_t new)
{
	uint32_t old32 = old;

	if (size == 4)
		return __atomic_compare_exchange_n((uint32_t *)host, &old32, new, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint64_t *)host, &old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Sets flags in an entry if it still is as the walk saw it. Flags in ROM stay as they are. */
static int set_flags(const struct walk *walk, const struct step *step, uint64_t flags)
{
	unsigned int size = walk->format->entry_size;
	void *host;

	if ((step->value & flags) == flags)
		return 0;
	host = walk->memory->host(walk->memory->machine, step->gpa, size, true);
	if (host && !replace(host, size, step->value, step->value | flags))
		return -EAGAIN;
	return 0;
}

static int set_all_flags(const struct walk *walk)
{
	for (unsigned int level = walk->format->levels; level >= walk->leaf; level--) {
		uint64_t flags = PTE_A;
		int ret;

		/* PDPTEs of PAE paging have no flags. */
		if (walk->format == &pae && level == 3)
			continue;
		if (level == walk->leaf && walk->access & VMX_WALK_WRITE)
			flags |= PTE_D;
		ret = set_flags(walk, &walk->steps[level], flags);
		if (ret)
			return ret;
	}
	return 0;
}

/* SDM, "Determination of Access Rights". */
static bool allowed(const struct walk *walk)
{
	const struct vmx_paging *paging = walk->paging;
	bool user_page = walk->all & PTE_U;
	bool user = walk->access & VMX_WALK_USER;

	if (user && !user_page)
		return false;
	if (walk->access & VMX_WALK_FETCH) {
		if (!user && user_page && paging->cr4 & CR4_SMEP)
			return false;
		return !(walk->any & PTE_XD);
	}
	if (!user && user_page && paging->cr4 & CR4_SMAP && !(paging->rflags & RFLAGS_AC))
		return false;
	if (!(walk->access & VMX_WALK_WRITE) || walk->all & PTE_W)
		return true;
	return !user && !(paging->cr0 & CR0_WP);
}

static int fault(const struct walk *walk, uint32_t *error, uint32_t cause)
{
	const struct vmx_paging *paging = walk->paging;

	*error = cause;
	if (walk->access & VMX_WALK_WRITE)
		*error |= PF_WRITE;
	if (walk->access & VMX_WALK_USER)
		*error |= PF_USER;
	/* SDM, "Page-Fault Exceptions": without SMEP and NXE, fetches are not told apart. */
	if (walk->access & VMX_WALK_FETCH &&
	    (paging->cr4 & CR4_SMEP || (paging->cr4 & CR4_PAE && paging->efer & EFER_NXE)))
		*error |= PF_FETCH;
	return -EFAULT;
}

/* One level down. Returns 1 at a page. */
static int descend(struct walk *walk, unsigned int level, uint64_t table, uint64_t linear,
		   uint32_t *error)
{
	const struct format *format = walk->format;
	uint64_t index = linear >> shift_of(format, level) & bits(0, format->index_bits - 1);
	struct step *step = &walk->steps[level];
	bool registers = format == &pae && level == 3 && walk->paging->pdptes;
	bool page;
	int ret;

	if (registers) {
		step->value = walk->paging->pdptes[index & 3];
	} else {
		step->gpa = table + index * format->entry_size;
		ret = read_entry(walk, step);
		if (ret)
			return ret;
	}
	if (!(step->value & PTE_P))
		return fault(walk, error, 0);
	page = is_page(walk, level, step->value);
	if (step->value & reserved(walk, level, page))
		return fault(walk, error, PF_PRESENT | PF_RESERVED);
	if (format != &pae || level != 3) {
		walk->all &= step->value;
		walk->any |= step->value;
	}
	return page;
}

static int attempt(struct walk *walk, uint64_t linear, uint64_t *gpa, uint32_t *error)
{
	uint64_t table = walk->paging->cr3 & walk->format->root &
			 bits(0, phys_bits(walk->paging) - 1);
	unsigned int level = walk->format->levels;
	int ret;

	walk->all = PTE_W | PTE_U;
	walk->any = 0;
	for (;; level--) {
		ret = descend(walk, level, table, linear, error);
		if (ret < 0)
			return ret;
		if (ret)
			break;
		table = walk->steps[level].value & bits(12, 51);
	}
	walk->leaf = level;
	if (!allowed(walk))
		return fault(walk, error, PF_PRESENT);
	ret = set_all_flags(walk);
	if (ret)
		return ret;
	*gpa = page_address(walk, linear);
	return 0;
}

int vmx_walk(const struct vmx_paging *paging, const struct vmx_guest_memory *memory,
	     uint64_t linear, unsigned int access, uint64_t *gpa, uint32_t *error)
{
	struct walk walk = { .paging = paging, .memory = memory, .access = access };
	int ret = -EAGAIN;

	if (!(paging->efer & EFER_LMA))
		linear &= UINT32_MAX;
	*error = 0;
	if (!(paging->cr0 & CR0_PG)) {
		*gpa = linear;
		return 0;
	}
	walk.format = format_of(paging);
	for (int n = 0; n < MOST_ATTEMPTS && ret == -EAGAIN; n++)
		ret = attempt(&walk, linear, gpa, error);
	if (ret == -EAGAIN)
		return vmx_fail(EAGAIN, "the guest keeps changing its page tables");
	return ret;
}
