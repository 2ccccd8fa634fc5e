// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Split virtqueues (virtio 1.2, Split Virtqueues), from the device's side. The guest writes the
 * rings at the same time, so the device reads everything once and checks its copy.
 */
#include <stdint.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "internal.h"

/* The three parts: where, how long, how aligned (virtio 1.2, Split Virtqueues). */
struct part {
	const char *name;
	uint64_t address;
	uint64_t length;
	unsigned int alignment;
};

static struct part descriptor_table(const struct vmx_virtqueue *queue)
{
	return (struct part){ "descriptor table", queue->descriptors, 16ull * queue->size, 16 };
}

static struct part available_ring(const struct vmx_virtqueue *queue)
{
	return (struct part){ "available ring", queue->driver, 6 + 2ull * queue->size, 2 };
}

static struct part used_ring(const struct vmx_virtqueue *queue)
{
	return (struct part){ "used ring", queue->device, 6 + 8ull * queue->size, 4 };
}

/* The guest's memory in this process, or NULL. */
static void *guest_memory(struct vmx_virtio *virtio, uint64_t address, uint64_t length)
{
	if (!length || address + length < address)
		return NULL;
	return virtio->machine.memory(virtio->machine.context, address, length);
}

/* A part of a queue, or NULL and a broken device. */
static void *part_memory(struct vmx_virtio *virtio, const struct part *part)
{
	void *memory = NULL;

	if (!(part->address & (part->alignment - 1)))
		memory = guest_memory(virtio, part->address, part->length);
	if (!memory || (uintptr_t)memory & (part->alignment - 1)) {
		vmx_virtio_break(virtio, "a %s of %llu bytes cannot be at %#llx", part->name,
				 (unsigned long long)part->length,
				 (unsigned long long)part->address);
		return NULL;
	}
	return memory;
}

static bool parts_overlap(const struct part *a, const struct part *b)
{
	return a->address < b->address + b->length && b->address < a->address + a->length;
}

bool virtqueue_is_placed(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	struct part parts[] = {
		descriptor_table(queue), available_ring(queue), used_ring(queue),
	};

	for (unsigned int n = 0; n < 3; n++) {
		if (!part_memory(virtio, &parts[n]))
			return false;
	}
	for (unsigned int n = 0; n < 3; n++) {
		const struct part *other = &parts[(n + 1) % 3];

		if (parts_overlap(&parts[n], other)) {
			vmx_virtio_break(virtio, "a queue's %s and %s overlap", parts[n].name,
					 other->name);
			return false;
		}
	}
	return true;
}

static bool is_ready(const struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	return queue->enabled && virtio->status & STATUS_DRIVER_OK &&
	       !(virtio->status & STATUS_NEEDS_RESET) && vmx_pci_bus_master(&virtio->pci);
}

/* Descriptor chains */

static bool copy_descriptor(struct vmx_virtio *virtio, uint64_t table, unsigned int index,
			    struct vring_desc *copy)
{
	const void *memory = guest_memory(virtio, table + index * sizeof(*copy), sizeof(*copy));

	if (!memory) {
		vmx_virtio_break(virtio, "descriptor table at %#llx is not in memory",
				 (unsigned long long)table);
		return false;
	}
	memcpy(copy, memory, sizeof(*copy));
	return true;
}

static bool add_segment(struct vmx_virtio *virtio, const struct vring_desc *descriptor)
{
	struct vmx_virtio_chain *chain = &virtio->chain;
	bool writable = descriptor->flags & VRING_DESC_F_WRITE;
	void *memory = guest_memory(virtio, descriptor->addr, descriptor->len);

	if (!memory) {
		vmx_virtio_break(virtio, "a descriptor's %u bytes at %#llx are not in memory",
				 descriptor->len, (unsigned long long)descriptor->addr);
		return false;
	}
	if (!writable && chain->writable) {
		vmx_virtio_break(virtio, "a readable descriptor follows a writable one");
		return false;
	}
	chain->segments[chain->readable + chain->writable] = (struct iovec){
		.iov_base = memory, .iov_len = descriptor->len,
	};
	*(writable ? &chain->writable : &chain->readable) += 1;
	*(writable ? &chain->writable_bytes : &chain->readable_bytes) += descriptor->len;
	return true;
}

/*
 * Follows a chain through a table of COUNT descriptors. A chain that is longer than its table goes
 * in circles. *INDIRECT is the descriptor that ended it by referring to another table, if one did.
 */
static bool walk(struct vmx_virtio *virtio, uint64_t table, unsigned int count,
		 unsigned int index, struct vring_desc *indirect)
{
	struct vmx_virtio_chain *chain = &virtio->chain;

	for (unsigned int n = 0; n < count; n++) {
		struct vring_desc descriptor;

		if (index >= count) {
			vmx_virtio_break(virtio, "descriptor %u of %u", index, count);
			return false;
		}
		if (!copy_descriptor(virtio, table, index, &descriptor))
			return false;
		if (descriptor.flags & VRING_DESC_F_INDIRECT) {
			if (indirect)
				*indirect = descriptor;
			else
				vmx_virtio_break(virtio, "an indirect descriptor within a table");
			return indirect;
		}
		if (chain->readable + chain->writable == VMX_VIRTQUEUE_MAX) {
			vmx_virtio_break(virtio, "a chain of more than %u descriptors",
					 VMX_VIRTQUEUE_MAX);
			return false;
		}
		if (!add_segment(virtio, &descriptor))
			return false;
		if (!(descriptor.flags & VRING_DESC_F_NEXT))
			return true;
		index = descriptor.next;
	}
	vmx_virtio_break(virtio, "a chain of descriptors with a cycle");
	return false;
}

/* A table elsewhere in memory. Its size is not the queue's: Linux' may be larger than a queue. */
static bool walk_indirect(struct vmx_virtio *virtio, const struct vring_desc *indirect)
{
	if (!vmx_virtio_has(virtio, VIRTIO_RING_F_INDIRECT_DESC)) {
		vmx_virtio_break(virtio, "an indirect descriptor, which was not negotiated");
		return false;
	}
	if (indirect->flags & VRING_DESC_F_NEXT) {
		vmx_virtio_break(virtio, "an indirect descriptor with a next one");
		return false;
	}
	if (!indirect->len || indirect->len % sizeof(*indirect) ||
	    indirect->len / sizeof(*indirect) > VMX_VIRTQUEUE_MAX ||
	    !guest_memory(virtio, indirect->addr, indirect->len)) {
		vmx_virtio_break(virtio, "a table of descriptors cannot have %u bytes at %#llx",
				 indirect->len, (unsigned long long)indirect->addr);
		return false;
	}
	return walk(virtio, indirect->addr, indirect->len / sizeof(*indirect), 0, NULL);
}

static bool segments_overlap(const struct iovec *a, const struct iovec *b)
{
	uintptr_t first = (uintptr_t)a->iov_base, second = (uintptr_t)b->iov_base;

	return first < second + b->iov_len && second < first + a->iov_len;
}

/*
 * What is to be read must not be what is written. (Several segments to be written may well be one:
 * a program in the guest can ask for a direct read into the same page twice.)
 */
static bool judge_overlaps(struct vmx_virtio *virtio)
{
	const struct vmx_virtio_chain *chain = &virtio->chain;

	for (unsigned int r = 0; r < chain->readable; r++) {
		for (unsigned int w = 0; w < chain->writable; w++) {
			if (segments_overlap(&chain->segments[r],
					     &chain->segments[chain->readable + w])) {
				vmx_virtio_break(virtio, "readable and writable memory overlap");
				return false;
			}
		}
	}
	return true;
}

static bool collect(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue, uint16_t head)
{
	struct vmx_virtio_chain *chain = &virtio->chain;
	struct vring_desc indirect = { 0 };

	chain->head = head;
	chain->readable = 0;
	chain->writable = 0;
	chain->readable_bytes = 0;
	chain->writable_bytes = 0;
	if (!walk(virtio, queue->descriptors, queue->size, head, &indirect))
		return false;
	if (indirect.flags && !walk_indirect(virtio, &indirect))
		return false;
	/* virtio 1.2, The Virtqueue Descriptor Table: at most 2^32 bytes in all */
	if (chain->readable_bytes + chain->writable_bytes > 1ull << 32) {
		vmx_virtio_break(virtio, "a chain of more than 4 GiB");
		return false;
	}
	return judge_overlaps(virtio);
}

/* Rings */

/* Pairs with the guest's barrier between an entry and the index that makes it known. */
static uint16_t load_index(const uint16_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store_index(uint16_t *index, uint16_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* Both rings: flags, an index, entries, and the other side's event index behind them. */
#define RING_FLAGS	0
#define RING_INDEX	1
#define RING_ENTRIES	2

static uint16_t *avail_memory(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	struct part part = available_ring(queue);

	return part_memory(virtio, &part);
}

static uint16_t *used_memory(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	struct part part = used_ring(queue);

	return part_memory(virtio, &part);
}

static void note(const struct vmx_virtio *virtio, const void *memory, size_t length)
{
	if (virtio->machine.noted)
		virtio->machine.noted(virtio->machine.context, memory, length);
}

/*
 * Asks to be notified of the next entry, for the queue is empty: then the driver either sees this
 * before it decides whether to notify, or its entry is seen here.
 */
static bool ask_for_notification(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	uint16_t *used;

	if (!vmx_virtio_has(virtio, VIRTIO_RING_F_EVENT_IDX))
		return true;
	used = used_memory(virtio, queue);
	if (!used)
		return false;
	store_index(&used[RING_ENTRIES + 4 * queue->size], queue->taken);
	note(virtio, &used[RING_ENTRIES + 4 * queue->size], sizeof(*used));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return true;
}

/* The available ring and its index; NULL if nothing is new: then the driver tells of the next. */
static const uint16_t *look(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue,
			    uint16_t *index)
{
	const uint16_t *avail = is_ready(virtio, queue) ? avail_memory(virtio, queue) : NULL;

	if (!avail)
		return NULL;
	*index = load_index(&avail[RING_INDEX]);
	if (*index == queue->taken && ask_for_notification(virtio, queue))
		*index = load_index(&avail[RING_INDEX]);
	return *index == queue->taken ? NULL : avail;
}

bool vmx_virtqueue_available(struct vmx_virtio *virtio, const struct vmx_virtqueue *queue)
{
	uint16_t index;

	return look(virtio, queue, &index);
}

bool vmx_virtqueue_next(struct vmx_virtio *virtio, struct vmx_virtqueue *queue)
{
	uint16_t index;
	const uint16_t *avail = look(virtio, queue, &index);

	if (!avail)
		return false;
	if ((uint16_t)(index - queue->taken) > queue->size) {
		vmx_virtio_break(virtio, "%u entries available in a queue of %u",
				 (uint16_t)(index - queue->taken), queue->size);
		return false;
	}
	if (!queue->budget) {
		queue->more = true;
		return false;
	}
	queue->budget--;
	if (!collect(virtio, queue,
		     avail[RING_ENTRIES + (queue->taken & (queue->size - 1))]))
		return false;
	queue->taken++;
	return true;
}

void vmx_virtqueue_return_all(struct vmx_virtio *virtio, struct vmx_virtqueue *queue,
			      const struct vmx_virtio_used *chains, unsigned int count)
{
	uint16_t *used = used_memory(virtio, queue);

	if (!used)
		return;
	for (unsigned int n = 0; n < count; n++) {
		struct vring_used_elem element = { .id = chains[n].head, .len = chains[n].length };
		unsigned int place = queue->returned++ & (queue->size - 1);

		memcpy(&used[RING_ENTRIES + 4 * place], &element, sizeof(element));
	}
	store_index(&used[RING_INDEX], queue->returned);
	note(virtio, used, used_ring(queue).length);
}

void vmx_virtqueue_return(struct vmx_virtio *virtio, struct vmx_virtqueue *queue, uint16_t head,
			  uint32_t length)
{
	const struct vmx_virtio_used chain = { .head = head, .length = length };

	vmx_virtqueue_return_all(virtio, queue, &chain, 1);
}

bool virtqueue_wants_signal(struct vmx_virtio *virtio, struct vmx_virtqueue *queue)
{
	uint16_t was = queue->signalled;
	const uint16_t *avail;
	uint16_t event;

	if (queue->returned == was)
		return false;
	avail = avail_memory(virtio, queue);
	if (!avail)
		return false;
	queue->signalled = queue->returned;
	/* The driver sets the event, then reads the used ring. The device writes the ring first. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vmx_virtio_has(virtio, VIRTIO_RING_F_EVENT_IDX))
		return !(load_index(&avail[RING_FLAGS]) & VRING_AVAIL_F_NO_INTERRUPT);
	event = load_index(&avail[RING_ENTRIES + queue->size]);
	return vring_need_event(event, queue->returned, was);
}

/* Bytes of chains */

/*
 * The used ring and its event index are not told of. What is in them counts when the index does,
 * which the driver may be looking at all the time: no word to the machine could come in between.
 * And of entries that a device changes when it likes, nobody makes page tables.
 */
void vmx_virtio_written(const struct vmx_virtio *virtio, const struct iovec *segments,
			unsigned int count)
{
	const struct vmx_virtio_machine *machine = &virtio->machine;

	for (unsigned int n = 0; machine->written && n < count; n++)
		machine->written(machine->context, segments[n].iov_base, segments[n].iov_len);
}

unsigned int vmx_virtio_slice(const struct iovec *segments, unsigned int count, uint64_t offset,
			      uint64_t length, struct iovec *slice)
{
	unsigned int found = 0;

	for (unsigned int n = 0; n < count && length; n++) {
		uint64_t size = segments[n].iov_len;

		if (offset >= size) {
			offset -= size;
			continue;
		}
		size -= offset;
		if (size > length)
			size = length;
		slice[found++] = (struct iovec){
			.iov_base = (char *)segments[n].iov_base + offset, .iov_len = size,
		};
		length -= size;
		offset = 0;
	}
	return found;
}

size_t vmx_virtio_read(const struct vmx_virtio_chain *chain, uint64_t offset, void *buffer,
		       size_t length)
{
	struct iovec slice[VMX_VIRTQUEUE_MAX];
	unsigned int count = vmx_virtio_slice(chain->segments, chain->readable, offset, length,
					      slice);
	size_t done = 0;

	for (unsigned int n = 0; n < count; n++) {
		memcpy((char *)buffer + done, slice[n].iov_base, slice[n].iov_len);
		done += slice[n].iov_len;
	}
	return done;
}

size_t vmx_virtio_write(const struct vmx_virtio_chain *chain, uint64_t offset, const void *buffer,
			size_t length)
{
	struct iovec slice[VMX_VIRTQUEUE_MAX];
	unsigned int count = vmx_virtio_slice(&chain->segments[chain->readable], chain->writable,
					      offset, length, slice);
	size_t done = 0;

	for (unsigned int n = 0; n < count; n++) {
		memcpy(slice[n].iov_base, (const char *)buffer + done, slice[n].iov_len);
		done += slice[n].iov_len;
	}
	return done;
}
