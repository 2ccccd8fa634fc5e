// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The dirty log of a machine is the union of two: the module's, of what vCPUs write, and a bitmap
 * of what this process writes for the guest. Marks are taken before a page is read, so that what is
 * written later is marked again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/internal.h"
#include "dirty.h"

#define BITS	64

static uint64_t words(const struct dirty_log *log)
{
	return (log->pages + BITS - 1) / BITS;
}

/* The cheapest that the CPU has where a guest writes few of its pages between two looks. */
static enum vmx_dirty_method method(const struct vmx_machine *machine)
{
	uint64_t has = machine->vm.shadow ? 0 : machine->vm.caps.features;

	if (has & VMX_HAS_PML)
		return VMX_DIRTY_PML;
	return has & VMX_HAS_EPT_AD ? VMX_DIRTY_BITS : VMX_DIRTY_WRITE_PROTECT;
}

static void set_own(struct dirty_log *log, uint64_t *bitmap)
{
	pthread_mutex_lock(&log->machine->lock);
	log->machine->memory.written = bitmap;
	pthread_mutex_unlock(&log->machine->lock);
}

int dirty_begin(struct dirty_log *log, struct vmx_machine *machine)
{
	int ret;

	*log = (struct dirty_log){
		.machine = machine, .pages = machine->memory.size / DIRTY_PAGE,
	};
	log->bits = malloc(words(log) * sizeof(*log->bits));
	log->guest = calloc(words(log), sizeof(*log->guest));
	log->own = calloc(words(log), sizeof(*log->own));
	if (!log->bits || !log->guest || !log->own) {
		dirty_end(log);
		return vmx_fail(ENOMEM, "no memory to note what the guest writes");
	}
	set_own(log, log->own);
	ret = vmx_vm_log(&machine->vm, method(machine));
	if (ret) {
		dirty_end(log);
		return ret;
	}
	memset(log->bits, 0xff, words(log) * sizeof(*log->bits));
	if (log->pages % BITS)
		log->bits[words(log) - 1] = (1ull << log->pages % BITS) - 1;
	return 0;
}

int dirty_collect(struct dirty_log *log)
{
	struct vmx_machine *machine = log->machine;
	const struct vmx_memory *memory = &machine->memory;
	uint64_t high = memory->size - memory->low;
	int ret;

	/* RAM goes on at 4 GiB only where what is below ends with a word. */
	ret = vmx_vm_dirty(&machine->vm, 0, memory->low, log->guest);
	if (!ret && high)
		ret = vmx_vm_dirty(&machine->vm, VMX_MEMORY_HIGH, high,
				   &log->guest[memory->low / DIRTY_PAGE / BITS]);
	if (ret)
		return ret;
	pthread_mutex_lock(&machine->lock);
	for (uint64_t n = 0; n < words(log); n++) {
		log->bits[n] |= log->guest[n] | log->own[n];
		log->own[n] = 0;
	}
	pthread_mutex_unlock(&machine->lock);
	return 0;
}

bool dirty_is_written(struct dirty_log *log)
{
	uint64_t any = 0;

	pthread_mutex_lock(&log->machine->lock);
	for (uint64_t n = 0; n < words(log); n++)
		any |= log->own[n];
	pthread_mutex_unlock(&log->machine->lock);
	return any;
}

uint64_t dirty_count(const struct dirty_log *log)
{
	uint64_t count = 0;

	for (uint64_t n = 0; n < words(log); n++)
		count += __builtin_popcountll(log->bits[n]);
	return count;
}

uint64_t dirty_take(struct dirty_log *log, uint64_t from)
{
	uint64_t word = from / BITS, mask = ~0ull << from % BITS;

	for (; word < words(log); word++, mask = ~0ull) {
		uint64_t left = log->bits[word] & mask;

		if (!left)
			continue;
		log->bits[word] &= ~(left & -left);
		return word * BITS + __builtin_ctzll(left);
	}
	return log->pages;
}

void dirty_end(struct dirty_log *log)
{
	if (log->own) {
		set_own(log, NULL);
		/* Whether it was on or not. */
		vmx_vm_log(&log->machine->vm, VMX_DIRTY_OFF);
	}
	free(log->bits);
	free(log->guest);
	free(log->own);
	*log = (struct dirty_log){ .pages = 0 };
}
