// SPDX-License-Identifier: GPL-2.0
/*
 * Machines that were saved on each of four CPU models run here, or are refused by the name of a
 * feature that this CPU lacks. models/ has what was saved there: the part of a file before the
 * image of memory, which is that of a guest that boots here.
 * limit: 12G
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/vmx_test.h"

#include "../../tools/machine/internal.h"
#include "../../tools/machine/vcpu_state.h"
#include "../../tools/state/stream.h"

#define MEMORY		(4u << 20)
#define CODE_AT		0x100000
#define READY		0x1ff008
#define DONE		7

/*
 * Says that it is there, waits for a byte, and ends with DONE. While it waits it leaves each time:
 * a CPU without a VMX-preemption timer comes out of such a loop in Bochs by nothing else.
 */
GUEST64(waiter, "movb $1, 0x1ff008\n mov $0x3fd, %edx\n"
	"1: in %dx, %al\n cmpb $0, 0x1ff000\n jz 1b\n"
	"2: mov $7, %al\n out %al, $0xf4\n jmp 2b");
#define GO		0x1ff000

struct model {
	const char *name;
	uint32_t signature;		/* CPUID.01H:EAX */
	const unsigned char *stream, *end;
};

/* What was saved there. */
#define STREAM(name)								\
	asm(".pushsection .rodata\n"						\
	    "model_" #name ": .incbin \"moving/models/" #name ".stream\"\n"	\
	    "model_" #name "_end: .popsection");					\
	extern const unsigned char model_##name[], model_##name##_end[]
STREAM(penryn);
STREAM(lynnfield);
STREAM(haswell);
STREAM(tigerlake);

#define MODEL(name, signature) { #name, signature, model_##name, model_##name##_end }

enum { PENRYN, LYNNFIELD, HASWELL, TIGERLAKE, MODELS };

static const struct model models[MODELS] = {
	[PENRYN] = MODEL(penryn, 0x1067a), [LYNNFIELD] = MODEL(lynnfield, 0x106e5),
	[HASWELL] = MODEL(haswell, 0x306c3), [TIGERLAKE] = MODEL(tigerlake, 0x806c1),
};

/* Features of which guests of a model may use one that another model does not have. */
enum { PCLMULQDQ, FMA, SSE4_2, XSAVE, RDSEED, NONE };

static const struct feature {
	const char *name;
	uint32_t leaf;
	bool ecx;			/* or EBX */
	unsigned int bit;
	bool by_kernel;			/* which has to have set CR4.OSXSAVE */
} features[NONE] = {
	[PCLMULQDQ] = { "PCLMULQDQ", 1, true, 1, false }, [FMA] = { "FMA", 1, true, 12, true },
	[SSE4_2] = { "SSE4.2", 1, true, 20, false }, [XSAVE] = { "XSAVE", 1, true, 26, true },
	[RDSEED] = { "RDSEED", 7, false, 18, false },
};

/* The first that is missing is named. */
static const unsigned int needs[MODELS][3] = {
	[PENRYN] = { XSAVE, NONE }, [LYNNFIELD] = { SSE4_2, NONE },
	[HASWELL] = { PCLMULQDQ, FMA, NONE }, [TIGERLAKE] = { PCLMULQDQ, RDSEED, NONE },
};

static bool has(const struct feature *feature)
{
	uint32_t eax, ebx, ecx, edx, kernel;

	__cpuid(1, eax, ebx, kernel, edx);
	if (feature->by_kernel && !(kernel >> 27 & 1))
		return false;
	if (__get_cpuid_max(0, NULL) < feature->leaf)
		return false;
	__cpuid_count(feature->leaf, 0, eax, ebx, ecx, edx);
	return (feature->ecx ? ecx : ebx) >> feature->bit & 1;
}

/* What a guest of a model misses here; NULL: nothing. */
static const char *missing(unsigned int model)
{
	const unsigned int *need = needs[model];

	while (*need != NONE && has(&features[*need]))
		need++;
	return *need == NONE ? NULL : features[*need].name;
}

FIXTURE(models) {
	struct vmx_machine *machine;
	pthread_t thread;
	bool runs;
	unsigned char ram[MEMORY];	/* of the guest that boots here */
	struct vmx_saved *saved;	/* and its stream */
	int fd;
};

typedef FIXTURE_DATA(models) fixture;

static void *run_machine(void *machine)
{
	vmx_machine_run(machine);
	return NULL;
}

static int start(fixture *self)
{
	self->runs = !pthread_create(&self->thread, NULL, run_machine, self->machine);
	return self->runs ? 0 : -EAGAIN;
}

static void finish(fixture *self)
{
	vmx_machine_stop(self->machine, VMX_END_STOPPED);
	if (self->runs)
		pthread_join(self->thread, NULL);
	self->runs = false;
	vmx_machine_free(self->machine);
}

static int boot(fixture *self)
{
	struct vmx_machine_config config = { .memory = MEMORY, .cpus = 1 };
	struct vmx_boot boot = {
		.protocol = VMX_BOOT_FLAT, .kernel = waiter, .kernel_size = waiter_end - waiter,
		.flat_address = CODE_AT, .flat_mode = VMX_MODE_LONG,
	};
	int ret = vmx_machine_init(self->machine, &config);

	ret = ret ?: vmx_machine_boot(self->machine, &boot);
	return ret ?: start(self);
}

static bool is_ready(fixture *self)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (!*(volatile char *)(self->machine->memory.ram + READY)) {
		if (self->machine->end != VMX_END_NONE)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

FIXTURE_SETUP(models)
{
	struct vmx_saved_config config;

	self->machine = calloc(1, sizeof(*self->machine));
	ASSERT_NE(NULL, self->machine);
	ASSERT_VMX(boot(self));
	ASSERT_TRUE(is_ready(self)) { TH_LOG("%s", self->machine->why); }
	ASSERT_VMX(vmx_machine_pause(self->machine));
	self->fd = memfd_create("saved", 0);
	ASSERT_VMX(vmx_machine_save(self->machine, self->fd));
	ASSERT_VMX(vmx_saved_open(&self->saved, self->fd, &config));
	memcpy(self->ram, self->machine->memory.ram, MEMORY);
	self->ram[GO] = 1;
	vmx_machine_resume(self->machine);
	finish(self);
}

FIXTURE_TEARDOWN(models)
{
	vmx_saved_close(self->saved);
	free(self->machine);
	close(self->fd);
}

/*
 * The rate of the TSC is what the kernel found out that time, and a target whose rate differs is
 * another test's.
 */
static void set_rate(unsigned char *stream, size_t length, uint32_t khz)
{
	struct state_header header;

	for (size_t at = sizeof(struct state_head); at < length;
	     at += sizeof(header) + header.length) {
		unsigned char *payload = stream + at + sizeof(header);

		memcpy(&header, stream + at, sizeof(header));
		if (strcmp(header.name, "machine"))
			continue;
		/* Behind the size of its memory and the number of its CPUs. */
		memcpy(payload + 12, &khz, sizeof(khz));
		header.checksum = XXH3_64bits(&header, offsetof(struct state_header, checksum));
		header.checksum = XXH3_64bits_withSeed(payload, header.length, header.checksum);
		memcpy(stream + at, &header, sizeof(header));
	}
}

/* A file of a stream, and this guest's memory. */
static int write_file(fixture *self, const unsigned char *recorded, size_t length)
{
	int fd = memfd_create("model", 0);
	unsigned char *stream = malloc(length);

	memcpy(stream, recorded, length);
	set_rate(stream, length, self->machine->tsc_khz);
	if (ftruncate(fd, self->saved->image.offset + MEMORY) ||
	    pwrite(fd, stream, length, 0) != (ssize_t)length ||
	    pwrite(fd, self->ram, MEMORY, self->saved->image.offset) != MEMORY)
		abort();
	free(stream);
	return fd;
}

/* Goes on with it to its end: 0, or why not. */
static int go_on(fixture *self, const unsigned char *stream, size_t length)
{
	struct vmx_machine_config config = { .cpus = 1, .memory = MEMORY };
	struct vmx_saved_config found;
	struct vmx_saved *saved;
	int fd = write_file(self, stream, length);
	int ret = vmx_saved_open(&saved, fd, &found);

	ret = ret ?: vmx_machine_init(self->machine, &config);
	if (ret)
		return ret;
	ret = vmx_machine_restore(self->machine, saved);
	vmx_saved_close(saved);
	if (!ret) {
		vmx_machine_resume(self->machine);
		ret = start(self);
	}
	if (!ret) {
		pthread_join(self->thread, NULL);
		self->runs = false;
		ret = self->machine->end == VMX_END_EXIT && self->machine->status == DONE ? 0 :
		      vmx_fail(EIO, "the guest ended in another way: %s", self->machine->why);
	}
	finish(self);
	close(fd);
	return ret;
}

TEST_F(models, its_own)
{
	ASSERT_VMX(go_on(self, self->saved->bytes, self->saved->length));
}

static uint32_t signature(void)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	return eax;
}

static bool is_known(void)
{
	for (unsigned int n = 0; n < MODELS; n++)
		if (models[n].signature == signature())
			return true;
	return false;
}

/* A CPU that is not in the table says yes, or names a feature. */
TEST_F(models, of_each_model)
{
	for (unsigned int n = 0; n < MODELS; n++) {
		const struct model *model = &models[n];
		const char *lacks = missing(n);
		char text[64];
		int ret = go_on(self, model->stream, model->end - model->stream);

		printf("# %s: %s\n", model->name, ret ? vmx_error() : "goes on");
		if (!is_known()) {
			EXPECT_TRUE(!ret || ret == -EOPNOTSUPP) { TH_LOG("%s", vmx_error()); }
			continue;
		}
		snprintf(text, sizeof(text), "may use %s,", lacks ?: "");
		EXPECT_EQ(lacks ? -EOPNOTSUPP : 0, ret) {
			TH_LOG("%s: %s", model->name, vmx_error());
		}
		EXPECT_TRUE(!lacks || strstr(vmx_error(), text)) {
			TH_LOG("%s: %s", model->name, vmx_error());
		}
	}
}

VMX_TEST_MAIN
