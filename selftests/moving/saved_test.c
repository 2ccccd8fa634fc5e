// SPDX-License-Identifier: GPL-2.0
/*
 * A machine is saved while its guest works, and goes on in another machine, with the same page
 * tables or with others. The guest stamps pages, and ends with the number of what it finds changed.
 * limit: 12G
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/stamper.h"
#include "lib/vmx_test.h"

#include "../../tools/lib/x86.h"
#include "../../tools/machine/internal.h"
#include "../../tools/machine/vcpu_state.h"

#define MEMORY		(16u << 20)
#define CODE_AT		0x100000
/* Sleeps by its timer for 200 ms of its clock; ends with 0 if its TSC counted that and no more. */
GUEST64(sleeper,
	"mov $0x180000, %esp\n mov $0x190000, %edi\n"
	"lea 3f(%rip), %rax\n mov %ax, 0x200(%rdi)\n movl $0x8e000010, 0x202(%rdi)\n"
	"shr $16, %rax\n mov %ax, 0x206(%rdi)\n"
	"sub $16, %rsp\n movw $0x20f, (%rsp)\n mov %rdi, 2(%rsp)\n lidt (%rsp)\n"
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0xb, 0x3e0(%rbx)\n"
	"movl $0x20, 0x320(%rbx)\n movl $200000000, 0x380(%rbx)\n"
	"incq 0x1ff008\n sti\n hlt\n 2: mov $9, %eax\n out %al, $0xf4\n jmp 2b\n"
	"3: mov 0x390(%rbx), %eax\n out %al, $0xf4\n jmp 3b");

struct runner {
	struct vmx_machine machine;
	pthread_t thread;
	bool runs;
};

static void *run_machine(void *runner)
{
	vmx_machine_run(&((struct runner *)runner)->machine);
	return NULL;
}

static int start_thread(struct runner *runner)
{
	runner->runs = true;
	return -pthread_create(&runner->thread, NULL, run_machine, runner);
}

static enum vmx_end join(struct runner *runner)
{
	pthread_join(runner->thread, NULL);
	runner->runs = false;
	return runner->machine.end;
}

static volatile uint64_t *variable(struct runner *runner, uint64_t gpa)
{
	return (volatile uint64_t *)(runner->machine.memory.ram + gpa);
}

/* Until a variable of the guest is past a value, or the machine has ended. */
static bool passes(struct runner *runner, uint64_t gpa, uint64_t value)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (*variable(runner, gpa) <= value) {
		if (runner->machine.end != VMX_END_NONE)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

static int boot(struct runner *runner, enum vmx_mmu_kind mmu, const void *code, size_t size)
{
	struct vmx_machine_config config = { .memory = MEMORY, .cpus = 1, .mmu = mmu };
	struct vmx_boot boot = {
		.protocol = VMX_BOOT_FLAT, .kernel = code, .kernel_size = size,
		.flat_address = CODE_AT, .flat_mode = VMX_MODE_LONG,
	};
	int ret = vmx_machine_init(&runner->machine, &config);

	ret = ret ?: vmx_machine_boot(&runner->machine, &boot);
	return ret ?: start_thread(runner);
}

#define BOOT(runner, mmu, guest) boot(runner, mmu, guest, guest##_end - guest)

/* Paused; the caller resumes it. */
static int restore(struct runner *runner, enum vmx_mmu_kind mmu, int fd)
{
	struct vmx_machine_config config = { .mmu = mmu };
	struct vmx_saved_config saved_config;
	struct vmx_saved *saved;
	int ret = vmx_saved_open(&saved, fd, &saved_config);

	if (ret)
		return ret;
	config.memory = saved_config.memory;
	config.cpus = saved_config.cpus;
	ret = vmx_machine_init(&runner->machine, &config);
	ret = ret ?: vmx_machine_restore(&runner->machine, saved);
	vmx_saved_close(saved);
	return ret ?: start_thread(runner);
}

/* Ends a machine that did not end, and frees it. */
static void finish(struct runner *runner)
{
	if (runner->runs) {
		vmx_machine_stop(&runner->machine, VMX_END_STOPPED);
		join(runner);
	}
	vmx_machine_free(&runner->machine);
}

/* Into a new file; the machine stays paused. */
static int save(struct runner *runner, int *fd)
{
	int ret = vmx_machine_pause(&runner->machine);

	*fd = memfd_create("saved", 0);
	return ret ?: vmx_machine_save(&runner->machine, *fd);
}

#define ASSERT_END(runner, number) do {							\
	ASSERT_EQ(VMX_END_EXIT, join(runner)) { TH_LOG("%s", (runner)->machine.why); }	\
	ASSERT_EQ(number, (runner)->machine.status);					\
} while (0)

#define ASSERT_PASSES(runner, gpa, value)						\
	ASSERT_TRUE(passes(runner, gpa, value)) {					\
		TH_LOG("ended: %d, status %u, %s", (runner)->machine.end,		\
		       (runner)->machine.status, (runner)->machine.why);		\
	}

FIXTURE(saved) {
	struct runner *first;
	struct runner *second;
	struct runner *third;
	int fd;
};

FIXTURE_VARIANT(saved) {
	enum vmx_mmu_kind from;
	enum vmx_mmu_kind to;
	uint64_t needs;
};

#define WAY(name, mmu_from, mmu_to, features)						\
	FIXTURE_VARIANT_ADD(saved, name) {						\
		.from = mmu_from, .to = mmu_to, .needs = features,			\
	}

WAY(ept, VMX_MMU_EPT, VMX_MMU_EPT, VMX_HAS_EPT);
WAY(shadow, VMX_MMU_SHADOW, VMX_MMU_SHADOW, 0);
WAY(ept_to_shadow, VMX_MMU_EPT, VMX_MMU_SHADOW, VMX_HAS_EPT);
WAY(shadow_to_ept, VMX_MMU_SHADOW, VMX_MMU_EPT, VMX_HAS_EPT);

FIXTURE_SETUP(saved)
{
	NEED(variant->needs);
	self->first = calloc(1, sizeof(*self->first));
	self->second = calloc(1, sizeof(*self->second));
	self->third = calloc(1, sizeof(*self->third));
	ASSERT_NE(NULL, self->third);
	self->fd = -1;
}

FIXTURE_TEARDOWN(saved)
{
	free(self->first);
	free(self->second);
	free(self->third);
	close(self->fd);
}

TEST_F(saved, a_guest_goes_on)
{
	uint64_t rounds, ticks;

	ASSERT_VMX(BOOT(self->first, variant->from, stamper));
	ASSERT_PASSES(self->first, ROUNDS, 5);
	ASSERT_PASSES(self->first, TICKS, 3);
	ASSERT_VMX(save(self->first, &self->fd));
	rounds = *variable(self->first, ROUNDS);
	ticks = *variable(self->first, TICKS);
	finish(self->first);

	for (unsigned int n = 0; n < 3; n++) {
		ASSERT_VMX(restore(self->second, variant->to, self->fd));
		EXPECT_EQ(rounds, *variable(self->second, ROUNDS));
		EXPECT_EQ(ticks, *variable(self->second, TICKS));
		vmx_machine_resume(&self->second->machine);
		ASSERT_PASSES(self->second, ROUNDS, rounds + 5);
		ASSERT_PASSES(self->second, TICKS, ticks + 3);
		close(self->fd);
		ASSERT_VMX(save(self->second, &self->fd));
		rounds = *variable(self->second, ROUNDS);
		ticks = *variable(self->second, TICKS);
		/* The one that was saved can go on, too. */
		vmx_machine_resume(&self->second->machine);
		*variable(self->second, STOP) = 1;
		ASSERT_END(self->second, 0);
		finish(self->second);
	}
}

TEST_F(saved, clones_share_a_file_and_nothing_else)
{
	struct vmx_saved_config config;
	struct vmx_saved *saved;
	uint64_t rounds;

	ASSERT_VMX(BOOT(self->first, variant->from, stamper));
	ASSERT_PASSES(self->first, ROUNDS, 2);
	ASSERT_VMX(save(self->first, &self->fd));
	rounds = *variable(self->first, ROUNDS);
	vmx_machine_resume(&self->first->machine);
	ASSERT_VMX(restore(self->second, variant->to, self->fd));
	ASSERT_VMX(restore(self->third, variant->to, self->fd));
	vmx_machine_resume(&self->second->machine);
	ASSERT_PASSES(self->second, ROUNDS, rounds + 3);
	EXPECT_EQ(rounds, *variable(self->third, ROUNDS));
	/* Each is told that it is another one: by its ID, and by event 0. */
	EXPECT_NE(*variable(self->second, VMX_ACPI_GENERATION),
		  *variable(self->third, VMX_ACPI_GENERATION));
	EXPECT_NE(*variable(self->first, VMX_ACPI_GENERATION),
		  *variable(self->third, VMX_ACPI_GENERATION));
	EXPECT_EQ(0, self->first->machine.power.gpe_status);
	EXPECT_EQ(1, self->third->machine.power.gpe_status);
	vmx_machine_resume(&self->third->machine);
	ASSERT_PASSES(self->third, ROUNDS, rounds + 3);
	*variable(self->first, STOP) = 1;
	*variable(self->second, STOP) = 1;
	*variable(self->third, STOP) = 1;
	ASSERT_END(self->first, 0);
	ASSERT_END(self->second, 0);
	ASSERT_END(self->third, 0);
	/* And the file is as it was. */
	ASSERT_VMX(vmx_saved_open(&saved, self->fd, &config));
	EXPECT_EQ(MEMORY, config.memory);
	ASSERT_VMX(vmx_saved_check_memory(saved));
	vmx_saved_close(saved);
	finish(self->first);
	finish(self->second);
	finish(self->third);
}

static uint64_t guest_tsc(struct runner *runner)
{
	return vmx_machine_host_tsc(&runner->machine) + runner->machine.tsc_offset;
}

/* A sleep is as long as it was to be, however long the machine lay in the file. */
TEST_F(saved, a_sleeper_sleeps_on)
{
	const struct timespec lie = { .tv_nsec = 400000000 };
	uint64_t then, now;

	ASSERT_VMX(BOOT(self->first, variant->from, sleeper));
	ASSERT_PASSES(self->first, ROUNDS, 0);
	ASSERT_VMX(save(self->first, &self->fd));
	then = guest_tsc(self->first);
	finish(self->first);
	nanosleep(&lie, NULL);
	ASSERT_VMX(restore(self->second, variant->to, self->fd));
	EXPECT_EQ(then, guest_tsc(self->second));
	vmx_machine_resume(&self->second->machine);
	ASSERT_END(self->second, 0);
	now = guest_tsc(self->second);
	EXPECT_LT(then, now);
	/* 200 ms, and what an emulator adds. */
	EXPECT_GT(300ull * self->second->machine.tsc_khz, now - then);
	finish(self->second);
}

/* Runs vmxrun from PATH; its exit status. What it wrote to stderr goes to WHY. */
static int run_vmxrun(char *const *argv, char *why, size_t size)
{
	int pipes[2], status = 0;
	size_t length = 0;
	pid_t child;
	ssize_t got;

	if (pipe(pipes))
		return -1;
	child = fork();
	if (!child) {
		dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(pipes[1]);
	while (length < size - 1 && (got = read(pipes[0], why + length, size - 1 - length)) > 0)
		length += got;
	why[length] = '\0';
	waitpid(child, &status, 0);
	close(pipes[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define VMXRUN(why, ...) \
	run_vmxrun((char *[]){ "vmxrun", "--restore", __VA_ARGS__, NULL }, why, sizeof(why))

/* The command goes on with what a program saved; the guest says that it slept as it wanted. */
TEST_F(saved, vmxrun_goes_on)
{
	char path[] = "/tmp/saved-XXXXXX", why[300];
	char *const mmu = variant->to == VMX_MMU_EPT ? "ept" : "shadow";

	ASSERT_VMX(BOOT(self->first, variant->from, sleeper));
	ASSERT_PASSES(self->first, ROUNDS, 0);
	ASSERT_VMX(vmx_machine_pause(&self->first->machine));
	self->fd = mkstemp(path);
	ASSERT_VMX(vmx_machine_save(&self->first->machine, self->fd));
	finish(self->first);
	EXPECT_EQ(1, VMXRUN(why, path, "--mmu", mmu)) { TH_LOG("%s", why); }
	/* Again, from the same file; and not with a device that the guest never had. */
	EXPECT_EQ(1, VMXRUN(why, path, "--mmu", mmu)) { TH_LOG("%s", why); }
	EXPECT_EQ(125, VMXRUN(why, path, "--disk", path));
	EXPECT_NE(NULL, strstr(why, "'pci-device' 1: the saved machine has no such part")) {
		TH_LOG("%s", why);
	}
	EXPECT_EQ(125, VMXRUN(why, path, "--memory", "16M"));
	EXPECT_NE(NULL, strstr(why, "leave out --memory"));
	ASSERT_EQ(0, ftruncate(self->fd, 1000));
	EXPECT_EQ(125, VMXRUN(why, path));
	EXPECT_NE(NULL, strstr(why, "cut off")) { TH_LOG("%s", why); }
	unlink(path);
}

/* With the page tables that the CPU has; it makes no difference to these. */
FIXTURE(refused) {
	struct runner *first;
	struct runner *second;
	int fd;
};

FIXTURE_SETUP(refused)
{
	self->first = calloc(1, sizeof(*self->first));
	self->second = calloc(1, sizeof(*self->second));
	ASSERT_NE(NULL, self->second);
	self->fd = -1;
	ASSERT_VMX(BOOT(self->first, VMX_MMU_AUTO, stamper));
}

FIXTURE_TEARDOWN(refused)
{
	finish(self->first);
	free(self->first);
	free(self->second);
	close(self->fd);
}

TEST_F(refused, a_machine_that_runs)
{
	self->fd = memfd_create("saved", 0);
	EXPECT_EQ(-EBUSY, vmx_machine_save(&self->first->machine, self->fd));
	EXPECT_NE(NULL, strstr(vmx_error(), "pause it first"));
}

TEST_F(refused, a_file_that_takes_no_pages)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, vmx_machine_pause(&self->first->machine));
	EXPECT_EQ(-EINVAL, vmx_machine_save(&self->first->machine, pipes[1]));
	vmx_machine_resume(&self->first->machine);
	ASSERT_PASSES(self->first, ROUNDS, 2);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(refused, another_machine)
{
	struct vmx_machine_config config = { .memory = 2 * MEMORY, .cpus = 1 };
	struct vmx_machine *machine = &self->second->machine;
	struct vmx_saved_config saved_config;
	struct vmx_saved *saved;

	ASSERT_VMX(save(self->first, &self->fd));
	ASSERT_VMX(vmx_saved_open(&saved, self->fd, &saved_config));
	ASSERT_VMX(vmx_machine_init(machine, &config));
	EXPECT_EQ(-EINVAL, vmx_machine_restore(machine, saved));
	EXPECT_NE(NULL, strstr(vmx_error(), "bytes of RAM"));
	vmx_machine_free(machine);
	config.memory = MEMORY;
	config.cpus = 2;
	ASSERT_VMX(vmx_machine_init(machine, &config));
	EXPECT_EQ(-EINVAL, vmx_machine_restore(machine, saved));
	EXPECT_NE(NULL, strstr(vmx_error(), "1 CPUs"));
	vmx_machine_free(machine);
	vmx_saved_close(saved);
	ASSERT_EQ(0, ftruncate(self->fd, (2 << 20) + 4096));
	EXPECT_EQ(-EINVAL, vmx_saved_open(&saved, self->fd, &saved_config));
	EXPECT_NE(NULL, strstr(vmx_error(), "cut off"));
}

/* A CPU that lacks what the guest was promised is told which feature that is. */
TEST_F(refused, a_feature_that_is_missing)
{
	struct vmx_cpu *cpu = &self->first->machine.cpus[0];
	struct state_cpuid *saved = calloc(1, sizeof(*saved));
	struct vmx_cpuid_entry *leaf = NULL;

	ASSERT_VMX(vmx_machine_pause(&self->first->machine));
	saved->count = cpu->cpuid_count;
	memcpy(saved->entries, cpu->cpuid, sizeof(cpu->cpuid));
	EXPECT_EQ(0, vmx_cpu_check_cpuid(cpu, saved));
	for (unsigned int n = 0; n < saved->count; n++)
		if (saved->entries[n].leaf == 7)
			leaf = &saved->entries[n];
	ASSERT_NE(NULL, leaf);
	/* A richer one is no offence. */
	leaf->ebx = 0;
	EXPECT_EQ(0, vmx_cpu_check_cpuid(cpu, saved));
	leaf->ebx = 1u << 30;
	EXPECT_EQ(-EOPNOTSUPP, vmx_cpu_check_cpuid(cpu, saved));
	EXPECT_NE(NULL, strstr(vmx_error(), "AVX512BW"));
	leaf->ebx = 0;
	leaf->edx = 1u << 31;
	EXPECT_EQ(-EOPNOTSUPP, vmx_cpu_check_cpuid(cpu, saved));
	EXPECT_NE(NULL, strstr(vmx_error(), "CPUID.7H.0:EDX[31]"));
	free(saved);
	vmx_machine_resume(&self->first->machine);
}

VMX_TEST_MAIN
