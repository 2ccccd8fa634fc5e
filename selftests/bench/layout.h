/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers that guest code shares with the program that runs it. */
#ifndef BENCH_LAYOUT_H
#define BENCH_LAYOUT_H

/*
 * The guest's memory. RAM is from 0; its start has the tables of libvmx's
 * 64-bit mode, which map 4 GiB to itself.
 */
#define BENCH_CODE	0x10000
#define BENCH_TIMES	0x20000
#define BENCH_SUM	0x30000
#define BENCH_RAM	0x100000
#define BENCH_PAGES	0x1000000
#define BENCH_MMIO	0xd0000000

/* Memory of its own, for what is done to much of it at once. */
#define BENCH_AREA	0x10000000
#define BENCH_AREA_SIZE	0x4000000
/* What the guest that writes there takes: the first address, the distance, how many. */
#define BENCH_PARAMETERS 0x30800

#define BENCH_PORT	0x42
/* IA32_MISC_ENABLE: KVM has RDMSR exit and answers it. The value is its default. */
#define BENCH_MSR	0x1a0
#define BENCH_MSR_VALUE	0x1800

/* A guest reads the TSC before and after each of so many batches of operations. */
#define BENCH_BATCHES	64
#define BENCH_BATCH	8
#define BENCH_OPS	(BENCH_BATCHES * BENCH_BATCH)

/* Bytes of the instruction that writes to BENCH_MMIO. */
#define BENCH_MMIO_INSN	2
/* Where in a page the guest writes its address. */
#define BENCH_TOUCHED	8

#endif /* BENCH_LAYOUT_H */
