// SPDX-License-Identifier: GPL-2.0
/* State of the process and of the CPU that VM exits do not restore by themselves. */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/io.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");

#define ROUNDS 10

/* An LDT entry for data, which DS, ES, FS and GS can hold. */
static int make_ldt_segment(void)
{
	struct user_desc desc = {
		.entry_number = 3, .base_addr = 0x12345000, .limit = 0xfffff, .seg_32bit = 1,
		.limit_in_pages = 1, .useable = 1,
	};

	return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) ? -1 : 3 << 3 | 7;
}

struct selectors {
	uint16_t ds, es, gs;
};

static void read_selectors(struct selectors *s)
{
	asm volatile("mov %%ds, %0" : "=rm" (s->ds));
	asm volatile("mov %%es, %0" : "=rm" (s->es));
	asm volatile("mov %%gs, %0" : "=rm" (s->gs));
}

TEST_F(vm, segment_selectors_and_ldt)
{
	struct selectors before, after;
	int selector = make_ldt_segment();
	uint32_t value;

	if (selector < 0)
		SKIP(return, "this kernel has no modify_ldt");
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	asm volatile("mov %0, %%ds\n mov %0, %%es\n mov %0, %%gs" : : "r" (selector));
	read_selectors(&before);
	EXPECT_EQ(selector, before.gs);
	for (int n = 0; n < ROUNDS; n++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		read_selectors(&after);
		ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)));
		/* The LDT itself is still loaded. */
		asm volatile("lsl %1, %0" : "=r" (value) : "r" (selector));
		ASSERT_EQ(0xffffffff, value);
	}
	asm volatile("mov %0, %%ds\n mov %0, %%es\n mov %0, %%gs" : : "r" (0));
}

TEST_F(vm, gs_base)
{
	unsigned long base = 0;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7654321000));
	for (int n = 0; n < ROUNDS; n++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
		ASSERT_EQ(0x7654321000, base);
	}
}

/* FS holds the C library's thread data: errno tells if it is another's. */
TEST_F(vm, fs_base)
{
	unsigned long before, after;

	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_FS, &before));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (int n = 0; n < ROUNDS; n++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_FS, &after));
		ASSERT_EQ(before, after);
	}
}

/* The I/O permission bitmap lies behind the TSS's end as VM exit leaves it. */
TEST_F(vm, io_permissions)
{
	if (ioperm(0x80, 1, 1))
		SKIP(return, "this kernel has no ioperm");
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (int n = 0; n < ROUNDS; n++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		outb(0, 0x80);
	}
	ASSERT_EQ(0, ioperm(0x80, 1, 0));
}

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* VM exit sets both limits to 64 KiB. */
TEST_F(vm, descriptor_tables)
{
	struct table gdt[2] = { 0 }, idt[2] = { 0 };

	ASSERT_EQ(0, test_pin(0));
	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt[0]), "=m" (idt[0]));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt[1]), "=m" (idt[1]));
	EXPECT_EQ(0, memcmp(&gdt[0], &gdt[1], sizeof(gdt[0])));
	/*
	 * The limit of the IDT is 0xffff from a CPU's first VM exit on (SDM, "Loading Host Segment
	 * and Descriptor-Table Registers"): no interrupt can tell that from 256 entries.
	 */
	EXPECT_EQ(idt[0].base, idt[1].base);
}

static sigjmp_buf faulted;

static void on_fault(int number)
{
	siglongjmp(faulted, 1);
}

static bool can_read_tsc(void)
{
	if (sigsetjmp(faulted, 1))
		return false;
	asm volatile("rdtsc" : : : "eax", "edx");
	return true;
}

/* Bits of CR4 that are this thread's own: VM exit brings back those of when RUN began. */
TEST_F(vm, own_bits_of_cr4)
{
	signal(SIGSEGV, on_fault);
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	for (int n = 0; n < ROUNDS; n++) {
		const bool may = n % 2;

		ASSERT_EQ(0, prctl(PR_SET_TSC, may ? PR_TSC_ENABLE : PR_TSC_SIGSEGV));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		EXPECT_EQ(may, can_read_tsc()) { TH_LOG("round %d", n); }
	}
}

/* The guest's flags stay the guest's: an alignment check would kill this process. */
TEST_F(vm, flags)
{
	GUEST64(flags_guest, "pushf\n orl $0x47cd5, (%rsp)\n popf\n hlt");
	unsigned long flags;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, flags_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	asm volatile("pushf\n pop %0" : "=r" (flags));
	EXPECT_EQ(0, flags & 0x47400);
}

VMX_TEST_MAIN
