/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The benchmarks: the same guest code on two hypervisors. What is measured and
 * how is in vmx_bench.c; kvm.c and vmx.c are the sides; guests.c is the code.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The guest's memory. Numbers, since guest code uses them too. RAM is from 0;
 * its start has the tables of libvmx's 64-bit mode, which map 4 GiB to itself.
 */
#define BENCH_CODE	0x10000
#define BENCH_TIMES	0x20000
#define BENCH_SUM	0x30000
#define BENCH_RAM	0x100000
#define BENCH_PAGES	0x1000000
#define BENCH_MMIO	0xd0000000
#define BENCH_PORT	0x42
#define BENCH_MSR	0x1a0		/* IA32_MISC_ENABLE: KVM intercepts it */
#define BENCH_MSR_VALUE	0x1800

/* A guest reads the TSC before and after each of so many batches of operations. */
#define BENCH_BATCHES	64
#define BENCH_BATCH	8
#define BENCH_OPS	(BENCH_BATCHES * BENCH_BATCH)

/* Bytes of the instruction that writes to BENCH_MMIO. */
#define BENCH_MMIO_INSN	2

/* Guest code: with the operation, and without, to know the loop's own cost. */
struct bench_code {
	const unsigned char *start;
	const unsigned char *end;
};

struct bench_guest {
	const char *operation;
	struct bench_code full;
	struct bench_code empty;
};

extern const struct bench_guest bench_guests[];

/* What an operation costs on vmx beside instructions. */
struct bench_counts {
	uint64_t vmreads;
	uint64_t vmwrites;
	uint64_t msr_writes;
	uint64_t invalidations;
	uint64_t fpu_swaps;
	uint64_t ipis;
};

/**
 * struct bench_run - one run of a guest, from its first instruction to its HLT
 * @code: guest code, copied to BENCH_CODE
 * @ram: BENCH_RAM bytes, at guest-physical 0
 * @pages: BENCH_OPS pages of 4 KiB, present in the host, at BENCH_PAGES
 * @sum: out: what userspace saw of the guest's accesses, added up
 * @counts: out, vmx only
 */
struct bench_run {
	struct bench_code code;
	unsigned char *ram;
	unsigned char *pages;
	uint64_t sum;
	struct bench_counts counts;
};

/* A VM with one vCPU that is there but never runs; descriptors or -1. */
struct bench_idle {
	int vm;
	int mmu;
	int vmcs;
	int vcpu;
};

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
 * @run: one run of a guest in a VM of its own
 * @create_vm: a VM without vCPU
 * @create_vcpu: its vCPU
 * @destroy: both of them
 * @map_vcpu: maps what RUN shares with userspace
 * @floor: sets a vCPU up so that RUN returns at once; returns its descriptor
 * @run_cmd: the ioctl that is RUN
 */
struct bench_side {
	const char *name;
	void (*open)(void);
	void (*run)(struct bench_run *run);
	void (*create_vm)(struct bench_idle *idle);
	void (*create_vcpu)(struct bench_idle *idle);
	void *(*map_vcpu)(const struct bench_idle *idle, size_t *size);
	void (*return_at_once)(void *map);
	void (*destroy)(struct bench_idle *idle);
	unsigned long run_cmd;
};

extern const struct bench_side bench_kvm, bench_vmx;

/* Prints a message and errno's, and ends the program. */
void __attribute__((format(printf, 1, 2), noreturn)) bench_fail(const char *format, ...);

#endif /* BENCH_H */
