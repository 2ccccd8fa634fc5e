/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The benchmarks: the same guest code on two hypervisors. vmx_bench.c explains the
 * measurement; kvm.c and vmx.c are the two sides; guests.S is the code.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "layout.h"

/* Guest code: with the operation, and without, to know the loop's own cost. */
struct bench_code {
	const unsigned char *start;
	const unsigned char *end;
};

/* What a run costs on vmx beside instructions, as struct vmx_vm_stats counts it. */
enum bench_count {
	BENCH_VMREADS,
	BENCH_VMWRITES,
	BENCH_MSR_WRITES,
	BENCH_INVALIDATIONS,
	BENCH_FPU_SWAPS,
	BENCH_IPIS,
	BENCH_COUNTS
};

/**
 * struct bench_run - one run of a guest, from its first instruction to its HLT
 * @code: guest code, copied to BENCH_CODE
 * @ram: BENCH_RAM bytes, at guest-physical 0
 * @pages: BENCH_OPS pages of 4 KiB, present in the host, at BENCH_PAGES
 * @sum: out: what userspace saw of the guest's accesses, added up
 */
struct bench_run {
	struct bench_code code;
	unsigned char *ram;
	unsigned char *pages;
	uint64_t sum;
};

/* A VM with one vCPU; descriptors or -1, and what RUN shares with userspace or NULL. */
struct bench_vm {
	int vm;
	int mmu;
	int vmcs;
	int vcpu;
	void *run;
};

#define BENCH_NO_VM	((struct bench_vm){ -1, -1, -1, -1, NULL })

struct bench_cpuid {
	uint32_t leaf, subleaf, has_subleaf;
	uint32_t eax, ebx, ecx, edx;
};

/* The CPUID table that guests get on both sides: what the CPU says, at most max entries. */
size_t bench_cpuid_table(struct bench_cpuid *table, size_t max);

/**
 * struct bench_side - a hypervisor. Whatever fails ends the program.
 * @name: what it is called in results
 * @open: opens its device; before everything else
 * @create_vm: a VM without vCPU
 * @create_vcpu: its vCPU
 * @map_vcpu: maps what RUN shares with userspace
 * @prepare: memory and code of a guest, and all that it needs to run
 * @go: runs the guest from its first instruction to its HLT
 * @counts: what @go costs beside instructions; NULL if the side cannot tell
 * @return_at_once: makes RUN return before it enters the guest
 * @destroy: the VM and its vCPU, if it has one
 * @add_area: BENCH_AREA_SIZE bytes of the host at BENCH_AREA
 * @remove_area: takes them away
 * @populate_area: maps all of it
 * @log_area: begins to log which pages of it are written
 * @dirty_area: tells which were, a bit for each, and begins anew
 * @run_cmd: the ioctl that is RUN
 */
struct bench_side {
	const char *name;
	void (*open)(void);
	void (*create_vm)(struct bench_vm *vm);
	void (*create_vcpu)(struct bench_vm *vm);
	void (*map_vcpu)(struct bench_vm *vm);
	void (*prepare)(struct bench_vm *vm, const struct bench_run *run);
	void (*go)(struct bench_vm *vm, struct bench_run *run);
	void (*counts)(struct bench_vm *vm, uint64_t *counts);
	void (*return_at_once)(struct bench_vm *vm);
	void (*destroy)(struct bench_vm *vm);
	void (*add_area)(struct bench_vm *vm, void *at);
	void (*remove_area)(struct bench_vm *vm);
	void (*populate_area)(struct bench_vm *vm);
	void (*log_area)(struct bench_vm *vm, void *at);
	void (*dirty_area)(struct bench_vm *vm, uint64_t *bitmap);
	unsigned long run_cmd;
};

extern const struct bench_side bench_kvm, bench_vmx;

/* ioctl() without the C library's argument list: the same few instructions for both sides. */
static inline long bench_ioctl(long fd, long cmd)
{
	long ret = SYS_ioctl;

	asm volatile("syscall" : "+a" (ret) : "D" (fd), "S" (cmd), "d" (0)
		     : "rcx", "r11", "memory");
	return ret;
}

#define BENCH_MEASUREMENTS	5

/* The middle one of several; sorts them. */
uint64_t bench_median(uint64_t *values, size_t count);

/* RAM that is there, of small pages. */
void *bench_new_memory(size_t size);
void bench_delete_memory(void *memory, size_t size);

/* What so many operations took beside instructions, for each. */
void bench_print_counts(const uint64_t *with, const uint64_t *without, uint64_t operations);

/* A VM, its vCPU and what RUN shares. */
void bench_create(const struct bench_side *side, struct bench_vm *vm);

/* What is done to 64 MiB of a guest's memory. */
void bench_area(const struct bench_side *side);

/* What an interrupt costs a guest. */
void bench_interrupt(const struct bench_side *side);

/* Prints a message and errno's, and ends the program. */
void __attribute__((format(printf, 1, 2), noreturn)) bench_fail(const char *format, ...);

#endif /* BENCH_H */
