// SPDX-License-Identifier: LGPL-2.1-or-later
/* Creates and ends a machine: its VM, its vCPUs, their kernel. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

#include "../lib/internal.h"
#include "internal.h"

/* From here to 4 GiB there are PCI devices and APICs; RAM goes on behind. */
#define HOLE		0xc0000000ull

void vmx_machine_end(struct vmx_machine *machine, enum vmx_end end)
{
	if (machine->end != VMX_END_NONE)
		return;
	machine->end = end;
	vmx_machine_wake(machine);
	pthread_cond_broadcast(&machine->quiet.changed);
	vmx_debugger_on_end(machine);
}

void vmx_machine_fail(struct vmx_machine *machine)
{
	if (machine->end == VMX_END_NONE)
		snprintf(machine->why, sizeof(machine->why), "%s", vmx_error());
	vmx_machine_end(machine, VMX_END_ERROR);
}

void *vmx_machine_memory(void *context, uint64_t gpa, size_t length, bool write)
{
	const struct vmx_memory *memory = &((struct vmx_machine *)context)->memory;

	return write ? vmx_memory_to_write(memory, gpa, length) :
		       (void *)vmx_memory_at(memory, gpa, length);
}

void vmx_machine_wrote(struct vmx_machine *machine, uint64_t gpa, uint64_t length)
{
	if (vmx_vm_invalidate(&machine->vm, gpa, length))
		vmx_machine_fail(machine);
}

/* The guest's TSC is the host's, so time goes by it: deadlines convert without an error. */
typedef unsigned __int128 ticks_t;

static uint64_t now(void *source)
{
	struct vmx_machine *machine = source;

	return (ticks_t)(vmx_machine_host_tsc(machine) - machine->tsc_start) * 1000000 /
	       machine->tsc_khz;
}

/* A thread that is no vCPU's sets timers, too: of a byte that is typed, of a frame that arrives. */
static void sooner(void *source)
{
	struct vmx_machine *machine = source;
	struct vmx_cpu *first = &machine->cpus[0];

	if (vmx_clock_next(&machine->clock) < first->noted)
		vmx_cpu_kick(first);
}

static int add_cpu(struct vmx_machine *machine, unsigned int id)
{
	struct vmx_cpu *cpu = &machine->cpus[id];
	struct vmx_lapic_config config = {
		.bus = &machine->apics,
		.clock = &machine->clock,
		.kick = vmx_cpu_kick,
		.vcpu = cpu,
		.id = id,
		.boot = !id,
		.x2apic = true,
		.physical_bits = machine->vm.caps.phys_bits,
		.tsc_khz = machine->tsc_khz,
	};
	int ret = vmx_vcpu_open(&cpu->vcpu, &machine->vm);

	if (ret)
		return ret;
	cpu->machine = machine;
	cpu->id = id;
	ret = vmx_lapic_init(&cpu->lapic, &config);
	if (ret)
		return ret;
	vmx_lapic_set_tsc(&cpu->lapic, __rdtsc());
	return vmx_cpu_identify(cpu);
}

static int assemble(struct vmx_machine *machine)
{
	const struct vmx_machine_config *config = &machine->config;
	struct vmx_memory *memory = &machine->memory;
	int ret = vmx_memory_init(memory, NULL, config->memory, HOLE);

	ret = ret ?: vmx_vm_open_split(&machine->vm, config->memory, memory->low, config->mmu);
	if (ret)
		return ret;
	memory->ram = machine->vm.ram;
	if (!machine->vm.caps.tsc_khz)
		return vmx_fail(EOPNOTSUPP, "the kernel does not know this CPU's TSC rate");
	machine->tsc_khz = machine->vm.caps.tsc_khz;
	machine->tsc_start = __rdtsc();
	machine->clock = (struct vmx_clock){ .now = now, .sooner = sooner, .source = machine };
	/* Fewer faults and shorter page walks. An error is a kernel without huge pages. */
	madvise(machine->vm.ram, config->memory, MADV_HUGEPAGE);
	/* Who starts a program has no page of the guest copied for it. */
	madvise(machine->vm.ram, config->memory, MADV_DONTFORK);
	for (unsigned int n = 0; !ret && n < config->cpus; n++)
		ret = add_cpu(machine, n);
	return ret ?: vmx_board_init(machine);
}

static void init_locks(struct vmx_machine *machine)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&machine->lock, NULL);
	pthread_cond_init(&machine->quiet.changed, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, WAKE_CLOCK);
	for (unsigned int n = 0; n < VMX_MACHINE_CPUS; n++)
		pthread_cond_init(&machine->cpus[n].wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

int vmx_machine_init(struct vmx_machine *machine, const struct vmx_machine_config *config)
{
	int ret;

	if (!config->cpus || config->cpus > VMX_MACHINE_CPUS)
		return vmx_fail(EINVAL, "a machine takes 1 to %d CPUs, not %u", VMX_MACHINE_CPUS,
				config->cpus);
	memset(machine, 0, sizeof(*machine));
	machine->config = *config;
	machine->vm.fd = -1;
	init_locks(machine);
	for (unsigned int n = 0; n < VMX_MACHINE_CPUS; n++)
		machine->cpus[n].vcpu = (struct vmx_vcpu){ .fd = -1, .vmcs = -1 };
	ret = assemble(machine);
	if (ret)
		vmx_machine_free(machine);
	return ret;
}

int vmx_machine_boot(struct vmx_machine *machine, struct vmx_boot *boot)
{
	struct vmx_start start;
	int ret = vmx_board_describe(machine, &boot->rsdp);

	ret = ret ?: vmx_load_kernel(&machine->memory, boot, &start);
	return ret ?: vmx_cpu_start(&machine->cpus[0], &start);
}

enum vmx_end vmx_machine_run(struct vmx_machine *machine)
{
	unsigned int started = 0;

	while (started < machine->config.cpus &&
	       !pthread_create(&machine->cpus[started].thread, NULL, vmx_cpu_loop,
			       &machine->cpus[started]))
		started++;
	if (started < machine->config.cpus) {
		vmx_fail(EAGAIN, "cannot start a thread for vCPU %u", started);
		pthread_mutex_lock(&machine->lock);
		vmx_machine_fail(machine);
		pthread_mutex_unlock(&machine->lock);
	}
	for (unsigned int n = 0; n < started; n++)
		pthread_join(machine->cpus[n].thread, NULL);
	return machine->end;
}

void vmx_machine_stop(struct vmx_machine *machine, enum vmx_end end)
{
	pthread_mutex_lock(&machine->lock);
	vmx_machine_end(machine, end);
	pthread_mutex_unlock(&machine->lock);
}

void vmx_machine_wake(struct vmx_machine *machine)
{
	for (unsigned int n = 0; n < machine->config.cpus; n++)
		vmx_cpu_kick(&machine->cpus[n]);
}

void vmx_machine_free(struct vmx_machine *machine)
{
	for (unsigned int n = 0; n < VMX_MACHINE_CPUS; n++) {
		vmx_vcpu_close(&machine->cpus[n].vcpu);
		pthread_cond_destroy(&machine->cpus[n].wake);
	}
	if (machine->vm.fd >= 0)
		vmx_vm_close(&machine->vm);
	vmx_bus_free(&machine->ports);
	vmx_bus_free(&machine->mmio);
	pthread_cond_destroy(&machine->quiet.changed);
	pthread_mutex_destroy(&machine->lock);
}
