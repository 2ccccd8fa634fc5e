/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The benchmarks: the same guest code on two hypervisors. What is measured and
 * how is in vmx_bench.c; kvm.c and vmx.c are the sides; guests.S is the code.
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
 * @counts: out, vmx only
 */
struct bench_run {
	struct bench_code code;
	unsigned char *ram;
	unsigned char *pages;
	uint64_t sum;
	uint64_t counts[BENCH_COUNTS];
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
 * @map_vcpu: maps what RUN shares with userspace
 * @return_at_once: makes RUN return before it enters the guest
 * @destroy: the VM and its vCPU, if it has one
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

/* ioctl() without the C library's argument list: the same few instructions for both sides. */
static inline long bench_ioctl(long fd, long cmd)
{
	long ret = SYS_ioctl;

	asm volatile("syscall" : "+a" (ret) : "D" (fd), "S" (cmd), "d" (0)
		     : "rcx", "r11", "memory");
	return ret;
}

/* Prints a message and errno's, and ends the program. */
void __attribute__((format(printf, 1, 2), noreturn)) bench_fail(const char *format, ...);

#endif /* BENCH_H */
