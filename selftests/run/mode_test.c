// SPDX-License-Identifier: GPL-2.0
/* Guests in each mode compute a result that only this mode gives, and print it. */
#include <libvmx/uart.h>

#define EVERY_MMU

#include "lib/vm_fixture.h"

#define UART_PORT 0x3f8

/* 0x12345678 + 0x9abcdef0 needs the operand-size prefix; segments shift by 4. */
GUEST16(real_guest,
	"mov	$0x12345678, %eax\n"
	"add	$0x9abcdef0, %eax\n"
	"mov	$0x2000, %bx\n"
	"mov	%bx, %ds\n"
	"mov	%eax, 0x10\n"
	"mov	$0x3f8, %dx\n"
	"mov	$'r', %al\n"
	"out	%al, %dx\n"
	"smsw	%cx\n"
	"hlt");

GUEST32(protected_guest,
	"mov	$0x12345678, %eax\n"
	"add	$0x9abcdef0, %eax\n"
	"mov	%eax, 0x20010\n"
	"mov	$0x3f8, %dx\n"
	"mov	$'p', %al\n"
	"out	%al, %dx\n"
	"mov	%cr0, %ecx\n"
	"mov	%cr4, %ebx\n"
	"hlt");

GUEST64(long_guest,
	"mov	$0x123456789abcdef0, %rax\n"
	"mov	$0x20010, %r8\n"
	"imul	%rax, %rax\n"
	"mov	%rax, (%r8)\n"
	"mov	$0x3f8, %edx\n"
	"mov	$'l', %al\n"
	"out	%al, %dx\n"
	"mov	%cr0, %rcx\n"
	"mov	%cr4, %rbx\n"
	"hlt");

#define CR0_PE	(1ull << 0)
#define CR0_NE	(1ull << 5)
#define CR0_PG	(1ull << 31)
#define CR4_PAE	(1ull << 5)
#define CR4_VMXE (1ull << 13)

/* Runs a guest that prints one character and halts; the character, or -1. */
static int run_and_print(struct vmx_vcpu *vcpu)
{
	char text[8] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct vmx_bus ports = { 0 };
	struct vmx_uart uart;

	vmx_uart_init(&uart, &(struct vmx_uart_config){ .send = vmx_uart_print, .host = out });
	if (vmx_uart_attach(&uart, &ports, UART_PORT))
		return -1;
	do {
		if (vmx_run(vcpu))
			break;
	} while (vmx_port_io(&ports, vcpu->run));
	fclose(out);
	vmx_bus_free(&ports);
	return vcpu->run->reason == VMX_REASON_HLT && !text[1] ? text[0] : -1;
}

static uint64_t result(struct vmx_vm *vm)
{
	uint64_t value;

	memcpy(&value, test_at(vm, TEST_DATA + 0x10), sizeof(value));
	return value;
}

/* Runs where the CPU has unrestricted guest, and elsewhere is refused with that reason. */
TEST_F(vm, real)
{
	if (!(self->vm.caps.features & VMX_HAS_UNRESTRICTED)) {
		EXPECT_EQ(-EOPNOTSUPP, test_start(&self->vcpu, VMX_MODE_REAL, real_guest));
		EXPECT_NE(NULL, strstr(vmx_error(), "unrestricted guest"));
		return;
	}
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_REAL, real_guest));
	ASSERT_EQ('r', run_and_print(&self->vcpu)) { TH_LOG("%s", test_describe(&self->vcpu)); }
	EXPECT_EQ(0xacf13568u, result(&self->vm));
	EXPECT_EQ(0, self->run->regs[VMX_RCX] & CR0_PE);
}

/* The kernel's own answer, to a program that does not ask the library. */
TEST_F(vm, unpaged_entry_fails_without_unrestricted_guest)
{
	/* Shadow page tables need no paging of the guest's, but protection. */
	const uint64_t missing = variant->mmu == VMX_MMU_SHADOW ? CR0_PE : CR0_PG;
	struct vmx_failure failure;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_PAE, protected_guest));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_CPU2_CONTROLS,
				    VMX_CPU2_UNRESTRICTED_GUEST, 0));
	ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, VMX_F_GUEST_CR0, CR0_PG | missing, 0));
	ASSERT_VMX(vmx_vmcs_check(self->vcpu.vmcs, &failure));
	EXPECT_EQ((uint32_t)VMX_CHECK_GUEST_CR0, failure.check);
	EXPECT_EQ((uint32_t)VMX_F_GUEST_CR0, failure.field);
	EXPECT_EQ(missing, failure.bits & missing);
	ASSERT_VMX(vmx_run(&self->vcpu));
	EXPECT_TRUE(vmx_entry_failed(self->run));
	EXPECT_EQ((uint32_t)VMX_CHECK_GUEST_CR0, self->run->failure.check);
}

TEST_F(vm, protected)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_PROTECTED, protected_guest));
	ASSERT_EQ('p', run_and_print(&self->vcpu)) { TH_LOG("%s", test_describe(&self->vcpu)); }
	EXPECT_EQ(0xacf13568u, result(&self->vm));
	EXPECT_EQ(CR0_PE, self->run->regs[VMX_RCX] & (CR0_PE | CR0_NE));
	EXPECT_EQ(0, self->run->regs[VMX_RBX] & CR4_VMXE);
}

TEST_F(vm, pae)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_PAE, protected_guest));
	ASSERT_EQ('p', run_and_print(&self->vcpu)) { TH_LOG("%s", test_describe(&self->vcpu)); }
	EXPECT_EQ(0xacf13568u, result(&self->vm));
	EXPECT_EQ(CR0_PE | CR0_PG, self->run->regs[VMX_RCX] & (CR0_PE | CR0_PG | CR0_NE));
	EXPECT_EQ(CR4_PAE, self->run->regs[VMX_RBX] & (CR4_PAE | CR4_VMXE));
}

TEST_F(vm, long_mode)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, long_guest));
	ASSERT_EQ('l', run_and_print(&self->vcpu)) { TH_LOG("%s", test_describe(&self->vcpu)); }
	EXPECT_EQ(0x123456789abcdef0ull * 0x123456789abcdef0ull, result(&self->vm));
	EXPECT_EQ(CR0_PE | CR0_PG, self->run->regs[VMX_RCX] & (CR0_PE | CR0_PG | CR0_NE));
	EXPECT_EQ(CR4_PAE, self->run->regs[VMX_RBX] & (CR4_PAE | CR4_VMXE));
}

/* An address above RAM, which a table of the test's maps to a page in RAM. */
#define WINDOW		0x200000ull
#define WINDOW_PDE	(VMX_GUEST_PAGE_TABLES + 0x2000 + (WINDOW >> 21) * 8)
#define WINDOW_TABLE	(TEST_DATA + 0x1000)
#define PAGE_IS(n)	(TEST_DATA + 0x2000 + (n) * 0x1000)
#define PRESENT		3ull

GUEST64(window_guest, "1: mov 0x200000, %eax\n hlt\n jmp 1b");

static void put64(struct vmx_vm *vm, uint64_t gpa, uint64_t value)
{
	memcpy(test_at(vm, gpa), &value, sizeof(value));
}

static uint64_t invalidations(struct vmx_vm *vm)
{
	struct vmx_vm_stats stats;

	return vmx_vm_stats(vm, &stats) ? ~0ull : stats.invalidations;
}

/*
 * VM entry keeps what the CPU has translated for a VPID; paging state written by userspace must
 * not, changed or not. The guest's view can only be wrong on a CPU that keeps translations, so
 * what is done is counted too.
 */
TEST_F(vm, paging_state_forgets_translations)
{
	static const struct { uint32_t dirty, field; uint64_t needs; } steps[] = {
		{ .dirty = VMX_STATE_CR3 },
		{ .field = VMX_F_GUEST_CR0 },
		{ .field = VMX_F_GUEST_CR3 },
		{ .field = VMX_F_GUEST_CR4 },
		{ .field = VMX_F_GUEST_EFER, .needs = VMX_HAS_LOAD_EFER },
		{ .field = VMX_F_GUEST_PDPTE0, .needs = VMX_HAS_EPT },
		{ .field = VMX_F_GUEST_PDPTE3, .needs = VMX_HAS_EPT },
		{ .field = VMX_F_GUEST_RSP },
	};
	uint64_t before, page = 0;

	ASSERT_EQ(0, test_pin(0));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, window_guest));
	put64(&self->vm, WINDOW_PDE, WINDOW_TABLE | PRESENT);
	for (size_t n = 0; n <= TEST_COUNT(steps); n++)
		put64(&self->vm, PAGE_IS(n), 100 + n);
	put64(&self->vm, WINDOW_TABLE, PAGE_IS(0) | PRESENT);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	for (size_t n = 0; n < TEST_COUNT(steps); n++) {
		const bool forgets = steps[n].field != VMX_F_GUEST_RSP;

		if (steps[n].needs & ~self->vm.caps.features)
			continue;
		if (forgets)
			put64(&self->vm, WINDOW_TABLE, PAGE_IS(++page) | PRESENT);
		self->run->retire = 1;
		self->run->cr3 = VMX_GUEST_PAGE_TABLES;
		self->run->dirty = steps[n].dirty;
		if (steps[n].field)
			ASSERT_VMX(vmx_field_change(self->vcpu.vmcs, steps[n].field, 0, 0));
		before = invalidations(&self->vm);
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		EXPECT_EQ(100 + page, self->run->regs[VMX_RAX]) { TH_LOG("step %zu", n); }
		if (self->vm.caps.features & VMX_HAS_VPID)
			EXPECT_EQ(before + forgets, invalidations(&self->vm)) {
				TH_LOG("step %zu", n);
			}
	}
}

/* One vCPU through all modes: nothing of the last one is left behind. */
TEST_F(vm, one_after_another)
{
	static const enum vmx_mode modes[] = {
		VMX_MODE_LONG, VMX_MODE_PROTECTED, VMX_MODE_PAE, VMX_MODE_LONG, VMX_MODE_PAE,
		VMX_MODE_PROTECTED, VMX_MODE_LONG,
	};

	for (size_t n = 0; n < TEST_COUNT(modes); n++) {
		bool in64 = modes[n] == VMX_MODE_LONG;

		ASSERT_VMX(in64 ? test_start(&self->vcpu, modes[n], long_guest) :
				  test_start(&self->vcpu, modes[n], protected_guest));
		ASSERT_EQ(in64 ? 'l' : 'p', run_and_print(&self->vcpu)) {
			TH_LOG("step %zu: %s", n, test_describe(&self->vcpu));
		}
	}
}

VMX_TEST_MAIN
