/* SPDX-License-Identifier: GPL-2.0 */
/* The part of the tests' helpers that does not need the harness. */
#ifndef VMX_TEST_LIB_H
#define VMX_TEST_LIB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libvmx.h>

/* Where things lie in a test guest's RAM. Above TEST_RAM nothing is mapped. */
#define TEST_CODE	0x08000
#define TEST_STUBS	0x10000
#define TEST_IDT	0x12000
#define TEST_DATA	0x20000
#define TEST_STACK	0x40000
#define TEST_RAM	0x200000
#define TEST_MMIO	0xd0000000u

/* Bytes from one entry of lib/idt64.S to the next. */
#define TEST_STUB_SIZE	16

/* Puts a guest at the first instruction of its code. Returns 0 or -errno. */
#define test_start(vcpu, mode, name)					\
	test_start_code(vcpu, mode, name, name##_end - name)
int test_start_code(struct vmx_vcpu *vcpu, enum vmx_mode mode, const void *code, size_t size);

/* Puts a guest that has run back at an instruction of its code, at an offset of TEST_CODE. */
void test_goto(struct vmx_vcpu *vcpu, uint64_t offset);

/* VMX_SET_CPUID, VMX_SET_MSRS and VMX_GET_MSRS: 0 or -errno, *bad is the index if refused. */
int test_set_cpuid(struct vmx_vcpu *vcpu, const struct vmx_cpuid_entry *entries, size_t count);
int test_set_msrs(struct vmx_vcpu *vcpu, const struct vmx_msr *msrs, size_t count, uint32_t *bad);
int test_get_msrs(struct vmx_vcpu *vcpu, struct vmx_msr *msrs, size_t count, uint32_t *bad);

/*
 * Gives a 64-bit guest an IDT. An event whose handler starts is a VMCALL exit
 * with its vector in RDI and its error code (or 0) in RSI; the next run goes
 * on to the handler's IRETQ. The guest's RIP to return to is at RSP + 32.
 */
int test_set_idt(struct vmx_vcpu *vcpu);
#define TEST_EVENT_RIP	32

/* The guest's memory at a guest-physical address. */
static inline void *test_at(struct vmx_vm *vm, uint64_t gpa)
{
	return vm->ram + gpa;
}

/* The reason to skip a test that needs these features, NULL if they are there. */
const char *test_missing(uint64_t features);

/* The last exit in words, for failure messages. */
const char *test_describe(const struct vmx_vcpu *vcpu);

/* A pseudo-random sequence that VMX_SEED makes the same again. */
uint64_t test_seed(void);
uint64_t test_random(uint64_t *state);

/*
 * Lets a guest that does not exit by itself be interrupted. Any VMX CPU would
 * do that whatever the guest's RFLAGS.IF, with external-interrupt exiting on;
 * Bochs does not if the flag is 0 before and after the entry.
 */
int test_enable_interrupts(struct vmx_vcpu *vcpu);

/*
 * Whether random values of a field can undo that: on Bochs, and where no
 * preemption timer ends a guest that does not exit by itself.
 */
bool test_keeps_interrupts_out(const struct vmx_vcpu *vcpu, uint32_t field);

/*
 * A thread that runs a vCPU. test_spin() starts it with a guest that counts at
 * TEST_DATA for ever and returns when it does; test_spin_stop() kicks it out and
 * returns what its vmx_run() returned (-EINTR if all is well).
 */
struct test_spinner {
	struct vmx_vcpu *vcpu;
	pthread_t thread;
	int cpu;
	int ret;
};

int test_spin(struct test_spinner *spinner, struct vmx_vcpu *vcpu, int cpu);
int test_spin_stop(struct test_spinner *spinner);

/* Waits until the guest of test_spin() has counted on. */
void test_spin_progress(struct vmx_vm *vm);

/*
 * Lays down what comes after this kernel, when it crashes or by the reboot system call. It says
 * that PROGRAM ended and that its only TEST passed, if it can start another CPU, or failed, and
 * switches the machine off. 0 or -errno; needs a machine of the runner's.
 */
int test_take_over(const char *program, const char *test, bool crash);

/* Whether the CPU is Bochs's, whose deviations from the SDM are in Documentation/emulator.rst. */
bool test_on_bochs(void);
/* Whether it is that of version 3, which has others. */
bool test_on_bochs_3(void);

/* How many CPUs are online; pins the calling thread to one. */
int test_cpus(void);
int test_pin(int cpu);

/* A file's first line as a number, or -1. */
long long test_read_number(const char *path);

/* Writes a text to a file; 0 or -errno. */
int test_write_file(const char *path, const char *text);

/*
 * End the program with code 4, or 1 under VMX_REQUIRED=1, if there is no
 * /dev/vmx, or no VM can be created.
 */
void test_require_device(void);
void test_require_vmx(void);

#endif /* VMX_TEST_LIB_H */
