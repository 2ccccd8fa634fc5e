// SPDX-License-Identifier: GPL-2.0
/* Device accesses in the run page: ports decoded, memory by address and kind. */
#include "lib/vm_fixture.h"

GUEST64(ports_guest,
	"mov	$0x3f8, %edx\n"
	"mov	$0xaabbccdd11223344, %rax\n"
	"out	%al, %dx\n"
	"out	%ax, %dx\n"
	"out	%eax, %dx\n"
	"in	%dx, %al\n"
	"in	%dx, %ax\n"
	"in	%dx, %eax\n"
	"out	%al, $0x80\n"
	"in	$0xff, %al\n"
	"hlt");

GUEST64(strings_guest,
	"mov	$0x70, %edx\n"
	"mov	$0x20010, %esi\n"
	"mov	$0x20020, %edi\n"
	"mov	$3, %ecx\n"
	"outsl\n"
	"insw\n"
	"rep insb\n"
	"rep outsb\n"
	"hlt");

GUEST64(memory_guest,
	"mov	$0xd0001234, %ebx\n"
	"movl	$42, (%rbx)\n"
	"mov	(%rbx), %eax\n"
	"lock incl 4(%rbx)\n"
	"mov	$0xd0002000, %ecx\n"
	"jmp	*%rcx\n");

TEST_F(vm, ports_are_decoded)
{
	static const struct {
		uint16_t port;
		uint8_t size, flags;
	} want[] = {
		{ 0x3f8, 1, 0 }, { 0x3f8, 2, 0 }, { 0x3f8, 4, 0 },
		{ 0x3f8, 1, VMX_IO_IN }, { 0x3f8, 2, VMX_IO_IN }, { 0x3f8, 4, VMX_IO_IN },
		{ 0x80, 1, 0 }, { 0xff, 1, VMX_IO_IN },
	};

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, ports_guest));
	for (size_t n = 0; n < TEST_COUNT(want); n++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_IO);
		EXPECT_TRUE(self->run->valid & VMX_VALID_IO);
		EXPECT_EQ(want[n].port, self->run->io_port);
		EXPECT_EQ(want[n].size, self->run->io_size);
		EXPECT_EQ(want[n].flags, self->run->io_flags);
		EXPECT_EQ(0x11223344, (uint32_t)self->run->regs[VMX_RAX]);
		self->run->retire = 1;
	}
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_FALSE(self->run->valid & VMX_VALID_IO);
	/* The user put nothing there, so the INs read what was there. */
	EXPECT_EQ(0xaabbccdd11223344, self->run->regs[VMX_RAX]);
}

/* What the user puts into RAX is what IN gives. */
TEST_F(vm, in_gives_what_the_user_puts)
{
	GUEST64(in_guest, "in $0x42, %eax\n hlt");

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, in_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_IO);
	self->run->regs[VMX_RAX] = 0x87654321;
	ASSERT_NEXT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0x87654321, self->run->regs[VMX_RAX]);
}

TEST_F(vm, string_ports_are_decoded)
{
	static const struct {
		uint8_t size, flags;
		uint64_t linear;
	} want[] = {
		{ 4, VMX_IO_STRING, TEST_DATA + 0x10 },
		{ 2, VMX_IO_STRING | VMX_IO_IN, TEST_DATA + 0x20 },
		{ 1, VMX_IO_STRING | VMX_IO_REP | VMX_IO_IN, TEST_DATA + 0x20 },
		{ 1, VMX_IO_STRING | VMX_IO_REP, TEST_DATA + 0x10 },
	};

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, strings_guest));
	for (size_t n = 0; n < TEST_COUNT(want); n++) {
		ASSERT_EXIT(&self->vcpu, VMX_REASON_IO);
		EXPECT_EQ(0x70, self->run->io_port);
		EXPECT_EQ(want[n].size, self->run->io_size);
		EXPECT_EQ(want[n].flags, self->run->io_flags);
		EXPECT_TRUE(self->run->valid & VMX_VALID_LINEAR);
		EXPECT_EQ(want[n].linear, self->run->linear);
		self->run->retire = 1;
	}
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

TEST_F(vm, memory_accesses_are_described)
{
	static const struct {
		uint64_t physical;
		uint64_t kind;
		uint64_t skip;
	} want[] = {
		{ 0xd0001234, VMX_VIOLATION_WRITE, 6 },
		{ 0xd0001234, VMX_VIOLATION_READ, 2 },
		{ 0xd0001238, VMX_VIOLATION_WRITE, 4 },
		{ 0xd0002000, VMX_VIOLATION_FETCH, 0 },
	};
	const uint64_t kinds = VMX_VIOLATION_READ | VMX_VIOLATION_WRITE | VMX_VIOLATION_FETCH;
	uint64_t rip = TEST_CODE + 5;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, memory_guest));
	for (size_t n = 0; n < TEST_COUNT(want); n++) {
		uint64_t kind;

		ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
		kind = self->run->qualification & kinds;
		EXPECT_TRUE(self->run->valid & VMX_VALID_PHYSICAL);
		EXPECT_EQ(want[n].physical, self->run->physical);
		EXPECT_TRUE(self->run->valid & VMX_VALID_LINEAR);
		EXPECT_EQ(want[n].physical, self->run->linear);
		/* A read-modify-write is told as a write, by some CPUs as a read too. */
		EXPECT_EQ(want[n].kind, kind & want[n].kind) { TH_LOG("access %zu", n); }
		EXPECT_EQ(VMX_VIOLATION_LINEAR_VALID | VMX_VIOLATION_TRANSLATED,
			  self->run->qualification &
			  (VMX_VIOLATION_LINEAR_VALID | VMX_VIOLATION_TRANSLATED));
		if (want[n].kind == VMX_VIOLATION_FETCH)
			break;
		EXPECT_EQ(rip, self->run->rip);
		rip += want[n].skip;
		self->run->rip = rip;
		self->run->dirty |= VMX_STATE_RIP;
	}
}

/* An address with RAM put under it works on: the access is done again. */
TEST_F(vm, memory_appears)
{
	GUEST64(load_guest, "mov $0xd0001234, %ebx\n mov (%rbx), %eax\n hlt");
	uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	page[0x234 / 4] = 0xfeedbeef;
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, load_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_EPT_VIOLATION);
	ASSERT_VMX(vmx_vm_map(&self->vm, 0xd0001000, page, 4096, VMX_MMU_READ));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0xfeedbeef, self->run->regs[VMX_RAX]);
}

/* Memory that the map promises and the process does not have. */
TEST_F(vm, memory_without_backing_is_efault)
{
	GUEST64(load_guest2, "mov $0xd0001234, %ebx\n mov (%rbx), %eax\n hlt");
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_VMX(vmx_vm_map(&self->vm, 0xd0001000, page, 4096, VMX_MMU_READ));
	ASSERT_EQ(0, munmap(page, 4096));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, load_guest2));
	ASSERT_EQ(-EFAULT, vmx_run(&self->vcpu));
	EXPECT_EQ((uint32_t)VMX_REASON_EPT_VIOLATION, self->run->reason);
	EXPECT_EQ(0xd0001234, self->run->physical);
	EXPECT_TRUE(self->run->qualification & VMX_VIOLATION_READ);
	ASSERT_EQ(page, mmap(page, 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	EXPECT_EQ(0, self->run->regs[VMX_RAX]);
}

/* An instruction that userspace did is done in every respect. */
TEST_F(vm, retiring_ends_the_shadow_of_sti)
{
	GUEST64(sti_guest, "sti\n out %al, $0x10\n hlt");
	uint64_t rip;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, sti_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_IO);
	rip = self->run->rip;
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_INTERRUPTIBILITY, 0,
				    VMX_BLOCKING_BY_STI));
	self->run->retire = 1;
	self->run->immediate_exit = 1;
	ASSERT_EQ(-EINTR, vmx_run(&self->vcpu));
	EXPECT_EQ(rip + 2, self->run->rip);
	EXPECT_EQ(0, self->run->interruptibility & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS));
	EXPECT_EQ(0, self->run->retire);
}

VMX_TEST_MAIN
