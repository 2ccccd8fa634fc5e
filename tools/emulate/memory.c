// SPDX-License-Identifier: LGPL-2.1-or-later
/* Operands in memory: segments, pages, RAM and MMIO. */
#include <string.h>

#include "emulator.h"

#define PAGE 4096ull

/* Type bits of access rights (SDM, "Code- and Data-Segment Descriptor Types"). */
#define TYPE_WRITABLE	0x2	/* of data; of code: readable */
#define TYPE_DOWN	0x4	/* data: expands down */
#define TYPE_CODE	0x8

static int read_field(struct emulation *em, uint32_t field, uint64_t *value)
{
	return em->emulator->ops->field(em->emulator->machine, field, value);
}

int vmx_em_read_segment(struct emulation *em, unsigned int n, struct segment **segment)
{
	struct segment *s = &em->segments[n];
	uint64_t limit, access;
	int ret;

	*segment = s;
	if (s->known)
		return 0;
	/* The fields of the segment registers follow each other. */
	ret = read_field(em, VMX_F_GUEST_ES_BASE + 2 * n, &s->base);
	if (ret || em->mode == 64)
		goto out;
	ret = read_field(em, VMX_F_GUEST_ES_LIMIT + 2 * n, &limit);
	if (!ret)
		ret = read_field(em, VMX_F_GUEST_ES_ACCESS + 2 * n, &access);
	if (ret)
		return ret;
	s->limit = limit;
	s->access = access;
out:
	s->known = !ret;
	return ret;
}

/* SDM, "Limit Checking" and "Type Checking". */
static bool segment_allows(const struct emulation *em, const struct segment *s, uint64_t offset,
			   unsigned int size, unsigned int access)
{
	uint64_t last = offset + size - 1;
	bool code = s->access & TYPE_CODE;

	if (s->access & VMX_ACCESS_UNUSABLE)
		return false;
	if (em->run->cr0 & CR0_PE && !(em->rflags & RFLAGS_VM)) {
		if (access & VMX_WALK_WRITE && (code || !(s->access & TYPE_WRITABLE)))
			return false;
		if (code && !(s->access & TYPE_WRITABLE))
			return false;
	}
	if (code || !(s->access & TYPE_DOWN))
		return last <= s->limit;
	return offset > s->limit && last <= (s->access & VMX_ACCESS_DB ? 0xffffffff : 0xffff);
}

static bool canonical(const struct emulation *em, uint64_t linear)
{
	unsigned int unused = em->paging.cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

/* The linear address of an operand, or an exception. */
static int linear_address(struct emulation *em, unsigned int n, uint64_t offset, unsigned int size,
			  unsigned int access, uint64_t *linear)
{
	uint8_t vector = n == SEG_SS ? VECTOR_SS : VECTOR_GP;
	struct segment *segment;
	int ret;

	if (em->mode == 64 && n != SEG_FS && n != SEG_GS) {
		*linear = offset;
	} else {
		ret = vmx_em_read_segment(em, n, &segment);
		if (ret)
			return ret;
		*linear = segment->base + offset;
		if (em->mode != 64 && !segment_allows(em, segment, offset, size, access))
			return vmx_em_raise_exception(em, vector, 0);
	}
	if (em->mode != 64)
		*linear &= UINT32_MAX;
	else if (!canonical(em, *linear) || !canonical(em, *linear + size - 1))
		return vmx_em_raise_exception(em, vector, 0);
	if (em->user && em->run->cr0 & CR0_AM && em->rflags & RFLAGS_AC && size <= 8 &&
	    *linear & (size - 1))
		return vmx_em_raise_exception(em, VECTOR_AC, 0);
	return 0;
}

/* With EPT, PAE paging uses PDPTEs that were loaded with CR3; the VMCS has them. */
static void find_pdptes(struct emulation *em)
{
	if (em->paging.pdptes || !(em->paging.cr0 & CR0_PG) || !(em->paging.cr4 & CR4_PAE) ||
	    em->paging.efer & EFER_LMA)
		return;
	for (unsigned int n = 0; n < 4; n++)
		if (read_field(em, VMX_F_GUEST_PDPTE0 + 2 * n, &em->pdptes[n]))
			return;
	em->paging.pdptes = em->pdptes;
}

int vmx_em_translate(struct emulation *em, uint64_t linear, unsigned int access, uint64_t *gpa)
{
	struct vmx_guest_memory memory = { em->emulator->ops->host, em->emulator->machine };
	uint32_t error;
	int ret;

	find_pdptes(em);
	if (em->user)
		access |= VMX_WALK_USER;
	ret = vmx_walk(&em->paging, &memory, linear, access, gpa, &error);
	if (ret == -EFAULT)
		return vmx_em_raise_page_fault(em, error, linear);
	return ret;
}

/* Strings go through the same page again and again. */
static int translate_data(struct emulation *em, uint64_t linear, unsigned int access, uint64_t *gpa)
{
	struct translation *last = &em->translations[access & VMX_WALK_WRITE];
	int ret;

	if (!last->known || last->linear != linear / PAGE) {
		last->known = false;
		ret = vmx_em_translate(em, linear, access, gpa);
		if (ret)
			return ret;
		last->known = true;
		last->linear = linear / PAGE;
		last->gpa = *gpa / PAGE;
	}
	*gpa = last->gpa * PAGE + linear % PAGE;
	return 0;
}

static int find_piece(struct emulation *em, uint64_t linear, unsigned int length,
		      unsigned int access, struct piece *piece)
{
	const struct vmx_emulator_ops *ops = em->emulator->ops;
	void *machine = em->emulator->machine;
	int ret;

	*piece = (struct piece){ .length = length };
	ret = translate_data(em, linear, access, &piece->gpa);
	if (ret)
		return ret;
	piece->from = ops->host(machine, piece->gpa, length, false);
	if (access & VMX_WALK_WRITE)
		piece->to = ops->host(machine, piece->gpa, length, true);
	return 0;
}

int vmx_em_find_place(struct emulation *em, unsigned int segment, uint64_t offset,
		      unsigned int size, unsigned int access, struct place *place)
{
	unsigned int first;
	uint64_t linear;
	int ret;

	ret = linear_address(em, segment, offset, size, access, &linear);
	if (ret)
		return ret;
	first = PAGE - linear % PAGE;
	if (first > size)
		first = size;
	place->size = size;
	place->count = first < size ? 2 : 1;
	ret = find_piece(em, linear, first, access, &place->pieces[0]);
	if (ret || place->count == 1)
		return ret;
	linear += first;
	if (em->mode != 64)
		linear &= UINT32_MAX;
	return find_piece(em, linear, size - first, access, &place->pieces[1]);
}

/* Bytes on their way; aligned for all that copy() does. */
union buffer {
	uint64_t whole;
	unsigned char bytes[WIDEST];
};

#define COPY(type, to, from) \
	__atomic_store_n((type *)(to), __atomic_load_n((type *)(from), __ATOMIC_ACQUIRE), \
			 __ATOMIC_RELEASE)

/* Other vCPUs, and what shares memory with them, see aligned accesses whole. */
static void copy(void *to, void *from, unsigned int length)
{
	bool aligned = !(((uintptr_t)to | (uintptr_t)from) & (length - 1));

	if (aligned && length == 2)
		COPY(uint16_t, to, from);
	else if (aligned && length == 4)
		COPY(uint32_t, to, from);
	else if (aligned && length == 8)
		COPY(uint64_t, to, from);
	else
		memcpy(to, from, length);
}

/* Devices take 1, 2, 4 or 8 bytes: the most that is left. */
static unsigned int part(unsigned int left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void read_mmio(struct emulation *em, const struct piece *piece, unsigned char *bytes)
{
	unsigned int size;

	for (unsigned int n = 0; n < piece->length; n += size) {
		uint64_t value;

		size = part(piece->length - n);
		value = em->emulator->ops->read(em->emulator->machine, piece->gpa + n, size);
		memcpy(bytes + n, &value, size);
	}
}

/* Not of accessed and dirty flags, which walks set: they take no translation away. */
static void write_ram(struct emulation *em, const struct piece *piece, union buffer *buffer)
{
	const struct vmx_emulator_ops *ops = em->emulator->ops;

	copy(piece->to, buffer, piece->length);
	if (ops->written)
		ops->written(em->emulator->machine, piece->gpa, piece->length);
}

static void write_mmio(struct emulation *em, const struct piece *piece, const unsigned char *bytes)
{
	unsigned int size;

	for (unsigned int n = 0; n < piece->length; n += size) {
		uint64_t value = 0;

		size = part(piece->length - n);
		memcpy(&value, bytes + n, size);
		em->emulator->ops->write(em->emulator->machine, piece->gpa + n, size, value);
	}
}

void vmx_em_read_place(struct emulation *em, const struct place *place, void *bytes)
{
	unsigned char *at = bytes;

	for (unsigned int n = 0; n < place->count; n++) {
		const struct piece *piece = &place->pieces[n];
		union buffer buffer;

		if (piece->from)
			copy(&buffer, piece->from, piece->length);
		else
			read_mmio(em, piece, buffer.bytes);
		memcpy(at, &buffer, piece->length);
		at += piece->length;
	}
}

void vmx_em_write_place(struct emulation *em, const struct place *place, const void *bytes)
{
	const unsigned char *at = bytes;

	for (unsigned int n = 0; n < place->count; n++) {
		const struct piece *piece = &place->pieces[n];
		union buffer buffer;

		memcpy(&buffer, at, piece->length);
		if (piece->to)
			write_ram(em, piece, &buffer);
		else
			write_mmio(em, piece, buffer.bytes);
		at += piece->length;
	}
}

uint64_t vmx_em_read_value(struct emulation *em, const struct place *place)
{
	uint64_t value = 0;

	vmx_em_read_place(em, place, &value);
	return value;
}

void vmx_em_write_value(struct emulation *em, const struct place *place, uint64_t value)
{
	vmx_em_write_place(em, place, &value);
}
