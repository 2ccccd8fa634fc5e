// SPDX-License-Identifier: LGPL-2.1-or-later
/* Saves a machine to a file and restores it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../machine/internal.h"
#include "../machine/vcpu_state.h"
#include "../migrate/dirty.h"
#include "state.h"

/* How far the target's TSC rate may be from the guest's, in millionths. NTP corrects as much. */
#define RATE_TOLERANCE	250

void state_list(struct state_parts *parts, const struct vmx_saved_table *table, void *object,
		uint32_t instance, int (*loaded)(void *object))
{
	parts->list[parts->count++] = (struct vmx_saved_part){
		.table = table, .object = object, .instance = instance, .loaded = loaded,
	};
}

/* Saving */

static void describe(struct state_machine *state, const struct vmx_machine *machine)
{
	const struct vmx_lapic *turn = machine->apics.turn;

	*state = (struct state_machine){
		.memory = machine->memory.size, .cpus = machine->config.cpus,
		.tsc_khz = machine->tsc_khz,
		.tsc = vmx_machine_host_tsc(machine) + machine->tsc_offset,
		.tsc_start = machine->tsc_start + machine->tsc_offset,
		.mailbox = vmx_machine_mailbox(machine),
		.turn = turn ? turn->config.id : STATE_NO_TURN,
	};
}

static int get_cpus(struct state_parts *parts, struct vmx_machine *machine)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < machine->config.cpus; n++) {
		struct vmx_cpu *cpu = &machine->cpus[n];

		parts->cpuid[n].count = cpu->cpuid_count;
		memcpy(parts->cpuid[n].entries, cpu->cpuid, sizeof(cpu->cpuid));
		ret = vmx_cpu_get_state(cpu, &parts->cpus[n]);
	}
	return ret;
}

/* The machine has not ended; 0 or -ESHUTDOWN. */
static int go_on(void *arg)
{
	struct vmx_machine *machine = arg;
	enum vmx_end end;

	pthread_mutex_lock(&machine->lock);
	end = machine->end;
	pthread_mutex_unlock(&machine->lock);
	return end == VMX_END_NONE ? 0 : vmx_fail(ESHUTDOWN, "the machine has ended");
}

/* What a file has of memory: all, or what MAP says, and where the rest is. */
struct extent {
	struct dirty_log *log;
	const uint64_t *map;
	struct state_base base;
	struct state_image image;
};

/* The map, the image, and the sections that tell of them. */
static int write_memory(struct state_writer *writer, struct vmx_machine *machine,
			struct extent *extent, int fd)
{
	struct state_image *image = &extent->image;
	const struct vmx_saved_part memory = { .table = &state_image_table, .object = image };
	const struct vmx_saved_part base = { .table = &state_base_table, .object = &extent->base };
	/* What is still to come of sections is shorter than a page. */
	uint64_t end = writer->count + 4096;
	int ret = 0;

	if (extent->map) {
		extent->base.offset = end;
		extent->base.checksum = state_map_checksum(extent->map, image);
		end += state_map_size(image);
	}
	image->offset = (end + STATE_ALIGNMENT - 1) & -STATE_ALIGNMENT;
	ret = state_write_image(fd, machine->memory.ram, image, extent->map, go_on, machine);
	if (!ret && extent->map)
		ret = state_write_bytes(fd, extent->map, state_map_size(image),
					extent->base.offset);
	if (extent->map)
		state_add(writer, &base);
	state_add(writer, &memory);
	return ret;
}

/* Memory, then the sections, of which WRITER has all others. */
static int write_stream(struct state_writer *writer, struct vmx_machine *machine,
			struct extent *extent, int fd)
{
	int ret = write_memory(writer, machine, extent, fd);

	state_end(writer);
	if (!ret && writer->failed)
		ret = vmx_fail(ENOMEM, "no memory to save the machine");
	ret = ret ?: state_write_bytes(fd, writer->bytes, writer->count, 0);
	/* A host that crashes leaves all of it, or an error. */
	if (!ret && fsync(fd))
		ret = vmx_fail(errno, "cannot write the saved state: %s", strerror(errno));
	return ret;
}

/* What a file has already would show through the holes. */
static int check_empty(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return vmx_fail(errno, "cannot write the saved state: %s", strerror(errno));
	if (!S_ISREG(stat.st_mode) || stat.st_size)
		return vmx_fail(EINVAL,
				"a machine is saved to an empty regular file: make a new one");
	return 0;
}

static int write_parts(struct state_writer *writer, struct state_parts *parts,
		       struct vmx_machine *machine)
{
	int ret;

	parts->count = 0;
	if (machine->end != VMX_END_NONE)
		return vmx_fail(ESHUTDOWN, "the machine has ended");
	if (machine->debugger)
		return vmx_fail(EBUSY, "a debugger has changed the guest: end it first");
	if (!vmx_machine_is_paused(machine))
		return vmx_fail(EBUSY, "the machine runs: pause it first");
	/* A timer that is over has expired, and what comes of it is in the stream. */
	vmx_clock_expire(&machine->clock);
	describe(&parts->machine, machine);
	ret = get_cpus(parts, machine);
	if (ret)
		return ret;
	state_list(parts, &state_machine_table, &parts->machine, 0, NULL);
	state_list_cpus(parts, machine->config.cpus);
	state_list_devices(parts, machine);
	ret = state_list_pci(parts, machine);
	if (ret)
		return ret;
	state_begin(writer);
	for (unsigned int n = 0; n < parts->count; n++)
		state_add(writer, &parts->list[n]);
	return 0;
}

int state_write_machine(struct state_writer *writer, struct vmx_machine *machine)
{
	struct state_parts *parts = calloc(1, sizeof(*parts));
	int ret = parts ? write_parts(writer, parts, machine) :
			  vmx_fail(ENOMEM, "no memory to save the machine");

	free(parts);
	return ret;
}

/* A pause of its own: nobody touches the memory, whoever ends another pause meanwhile. */
static void begin_write(struct vmx_machine *machine)
{
	machine->quiet.wanted++;
	machine->quiet.saving++;
}

static void end_write(struct vmx_machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->quiet.saving--;
	pthread_cond_broadcast(&machine->quiet.changed);
	pthread_mutex_unlock(&machine->lock);
	vmx_machine_resume(machine);
}

/* The host's disk may be slow, so nobody waits for it with the lock. */
static int save(struct state_writer *writer, struct vmx_machine *machine, struct extent *extent,
		int fd)
{
	int ret = check_empty(fd);

	if (!ret && getrandom(&extent->image.id, sizeof(extent->image.id), 0) < 0)
		ret = vmx_fail(errno, "no random number: %s", strerror(errno));
	if (ret)
		return ret;
	pthread_mutex_lock(&machine->lock);
	ret = state_write_machine(writer, machine);
	if (!ret)
		begin_write(machine);
	pthread_mutex_unlock(&machine->lock);
	if (ret)
		return ret;
	/* What the writing of the state wrote, too. */
	ret = extent->log ? dirty_collect(extent->log) : 0;
	ret = ret ?: write_stream(writer, machine, extent, fd);
	end_write(machine);
	return ret;
}

int state_save(struct vmx_machine *machine, int fd, struct dirty_log *log,
	       const struct state_base *base, uint64_t *id)
{
	struct state_writer writer = { .bytes = NULL };
	struct extent extent = { .log = log, .image.size = machine->memory.size };
	int ret;

	if (base) {
		extent.map = log->bits;
		extent.base = *base;
	}
	ret = save(&writer, machine, &extent, fd);
	*id = extent.image.id;
	free(writer.bytes);
	return ret;
}

int vmx_machine_save(struct vmx_machine *machine, int fd)
{
	uint64_t id;

	return state_save(machine, fd, NULL, NULL, &id);
}

/* Reading */

static int read_stream(struct vmx_saved *saved, off_t size)
{
	struct state_head head = { .format = 0 };
	size_t length = size < (off_t)sizeof(head) ? size : (off_t)sizeof(head);
	int ret = state_read_bytes(saved->fd, &head, length, 0, "state");

	ret = ret ?: state_check_head(&head, size);
	if (ret)
		return ret;
	saved->bytes = malloc(head.length);
	if (!saved->bytes)
		return vmx_fail(ENOMEM, "no memory for the saved state");
	ret = state_read_bytes(saved->fd, saved->bytes, head.length, 0, "state");
	return ret ?: state_scan(saved, head.length);
}

static int find_image(struct vmx_saved *saved, off_t size)
{
	const struct vmx_saved_part part = {
		.table = &state_image_table, .object = &saved->image,
	};
	const struct state_image *image = &saved->image;
	int ret = state_take(saved, &part);

	if (ret)
		return ret;
	if (!image->size || image->size % 4096 || image->offset % STATE_ALIGNMENT ||
	    image->offset < saved->length)
		return state_refuse(state_image_table.name, 0, "%llu bytes at %#llx are no memory",
				    (unsigned long long)image->size,
				    (unsigned long long)image->offset);
	if (image->offset > (uint64_t)size || image->size > size - image->offset)
		return state_refuse(state_image_table.name, 0, "the file is cut off");
	return 0;
}

int state_find_config(struct vmx_saved *saved, struct vmx_saved_config *config)
{
	struct state_machine machine;
	const struct vmx_saved_part part = { .table = &state_machine_table, .object = &machine };
	int ret = state_look(saved, &part);

	if (ret)
		return ret;
	if (!machine.memory || machine.memory % 4096 || !machine.cpus ||
	    machine.cpus > VMX_MACHINE_CPUS)
		return state_refuse(state_machine_table.name, 0,
				    "no machine has %u CPUs and %llu bytes", machine.cpus,
				    (unsigned long long)machine.memory);
	*config = (struct vmx_saved_config){ .memory = machine.memory, .cpus = machine.cpus };
	return 0;
}

static int open_saved(struct vmx_saved *saved, struct vmx_saved_config *config)
{
	struct stat stat;
	int ret;

	if (fstat(saved->fd, &stat))
		return vmx_fail(errno, "cannot read the saved state: %s", strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return vmx_fail(EINVAL, "a saved state must be in a regular file");
	ret = read_stream(saved, stat.st_size);
	ret = ret ?: find_image(saved, stat.st_size);
	ret = ret ?: state_find_base(saved, stat.st_size);
	ret = ret ?: state_find_config(saved, config);
	if (ret || config->memory == saved->image.size)
		return ret;
	return state_refuse(state_image_table.name, 0, "%llu bytes are not the machine's %llu",
			    (unsigned long long)saved->image.size,
			    (unsigned long long)config->memory);
}

int vmx_saved_open(struct vmx_saved **saved, int fd, struct vmx_saved_config *config)
{
	int ret;

	*saved = calloc(1, sizeof(**saved));
	if (!*saved)
		return vmx_fail(ENOMEM, "no memory for the saved state");
	(*saved)->fd = fd;
	ret = open_saved(*saved, config);
	if (ret) {
		vmx_saved_close(*saved);
		*saved = NULL;
	}
	return ret;
}

int vmx_saved_check_memory(struct vmx_saved *saved)
{
	int ret = state_check_image(saved->fd, &saved->image);

	return ret || !saved->under ? ret : vmx_saved_check_memory(saved->under);
}

void vmx_saved_close(struct vmx_saved *saved)
{
	while (saved) {
		struct vmx_saved *under = saved->under;

		free(saved->map);
		free(saved->bytes);
		free(saved);
		saved = under;
	}
}

/* Restoring */

/* The file's pages, which come in as they are touched; those that are written are copied. */
static int map_memory(struct vmx_machine *machine, const struct vmx_saved *saved)
{
	struct vmx_memory *memory = &machine->memory;
	int ret;

	if (memory->size != saved->image.size)
		return vmx_fail(EINVAL,
				"the saved machine has %llu bytes of RAM, and this one %llu",
				(unsigned long long)saved->image.size,
				(unsigned long long)memory->size);
	ret = state_map_memory(memory->ram, saved);
	if (ret)
		return ret;
	madvise(memory->ram, memory->size, MADV_DONTFORK);
	memory->image = true;
	return 0;
}

static int check_rate(uint32_t saved, uint32_t own)
{
	uint64_t difference = saved > own ? saved - own : own - saved;

	if (difference * 1000000 <= (uint64_t)own * RATE_TOLERANCE)
		return 0;
	return vmx_fail(EOPNOTSUPP,
			"the guest's TSC has %u kHz, this CPU's %u kHz: more than %u ppm apart",
			saved, own, RATE_TOLERANCE);
}

/* Time stands still until the machine is resumed. */
static int put_machine(struct vmx_machine *machine, const struct state_machine *state)
{
	int ret = check_rate(state->tsc_khz, machine->vm.caps.tsc_khz);

	if (ret)
		return ret;
	if (state->cpus != machine->config.cpus)
		return vmx_fail(EINVAL, "the saved machine has %u CPUs, and this one %u",
				state->cpus, machine->config.cpus);
	if (state->memory != machine->memory.size)
		return vmx_fail(EINVAL,
				"the saved machine has %llu bytes of RAM, and this one %llu",
				(unsigned long long)state->memory,
				(unsigned long long)machine->memory.size);
	if (state->tsc - state->tsc_start > INT64_MAX)
		return state_refuse(state_machine_table.name, 0,
				    "the machine's clock has not begun");
	if (machine->config.cpus > 1 && !state->mailbox &&
	    !(machine->vm.caps.features & VMX_HAS_UNRESTRICTED))
		return vmx_fail(EOPNOTSUPP,
				"the guest starts CPUs in real mode, and this VM has no unrestricted guest");
	machine->restored = true;
	machine->mailbox = state->mailbox;
	machine->tsc_khz = state->tsc_khz;
	vmx_machine_set_tsc(machine, state->tsc, state->tsc_start);
	machine->clock.past = vmx_clock_now(&machine->clock);
	for (unsigned int n = 0; n < machine->config.cpus; n++) {
		machine->cpus[n].lapic.config.tsc_khz = state->tsc_khz;
		if (state->turn == n)
			machine->apics.turn = &machine->cpus[n].lapic;
	}
	return 0;
}

static int put_cpus(struct vmx_machine *machine, struct state_parts *parts)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < machine->config.cpus; n++) {
		struct vmx_cpu *cpu = &machine->cpus[n];
		const struct state_cpuid *cpuid = &parts->cpuid[n];

		ret = vmx_cpu_check_cpuid(cpu, cpuid);
		ret = ret ?: vmx_cpu_set_cpuid(cpu, cpuid->entries, cpuid->count);
		ret = ret ?: vmx_cpu_put_state(cpu, &parts->cpus[n]);
	}
	return ret;
}

static int take_all(struct vmx_saved *saved, const struct state_parts *parts)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < parts->count; n++)
		ret = state_take(saved, &parts->list[n]);
	return ret ?: state_check_taken(saved);
}

static int take_parts(struct state_parts *parts, struct vmx_machine *machine,
		      struct vmx_saved *saved)
{
	const struct vmx_saved_part part = {
		.table = &state_machine_table, .object = &parts->machine,
	};
	int ret;

	parts->count = 0;
	ret = state_take(saved, &part);
	ret = ret ?: put_machine(machine, &parts->machine);
	if (ret)
		return ret;
	state_list_cpus(parts, machine->config.cpus);
	state_list_devices(parts, machine);
	ret = state_list_pci(parts, machine);
	ret = ret ?: take_all(saved, parts);
	return ret ?: put_cpus(machine, parts);
}

int state_read_machine(struct vmx_saved *saved, struct vmx_machine *machine)
{
	/* What no stream has, such as the reserved part of a CPUID entry, is 0. */
	struct state_parts *parts = calloc(1, sizeof(*parts));
	int ret = parts ? take_parts(parts, machine, saved) :
			  vmx_fail(ENOMEM, "no memory to restore the machine");

	free(parts);
	return ret;
}

/* Memory comes before what is in it. */
static int restore(struct vmx_machine *machine, struct vmx_saved *saved)
{
	int ret = map_memory(machine, saved);

	ret = ret ?: state_read_machine(saved, machine);
	/* There may be more machines with this state. */
	ret = ret ?: vmx_board_new_generation(machine);
	vmx_power_raise(&machine->power, VMX_POWER_GPE_GENERATION);
	return ret;
}

int vmx_machine_restore(struct vmx_machine *machine, struct vmx_saved *saved)
{
	int ret;

	pthread_mutex_lock(&machine->lock);
	ret = restore(machine, saved);
	pthread_mutex_unlock(&machine->lock);
	return ret;
}
