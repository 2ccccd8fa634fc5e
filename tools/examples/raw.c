/* SPDX-License-Identifier: MIT */
/* Runs a 32-bit guest that adds two numbers, with the ioctls of /dev/vmx alone. */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/vmx.h>

#define CR0_PG 0x80000000u

/* add %ebx, %eax; out %al, $0x10; hlt */
static const unsigned char guest[] = { 0x01, 0xd8, 0xe6, 0x10, 0xf4 };

static int call(int fd, unsigned long request, void *arg, const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", what);
	return ret;
}

/* No paging, and HLT exits. */
static void set_up(int vmcs)
{
	struct vmx_field fields[] = {
		{ .field = VMX_F_CPU_CONTROLS },
		{ .field = VMX_F_CPU2_CONTROLS },
		{ .field = VMX_F_GUEST_CR0 },
		{ .field = VMX_F_GUEST_RIP },
	};
	struct vmx_vmcs_io io = { .size = sizeof(io), .fields = (uintptr_t)fields, .count = 4 };

	call(vmcs, VMX_VMCS_READ, &io, "VMX_VMCS_READ");
	fields[0].value |= VMX_CPU_HLT_EXITING;
	fields[1].value |= VMX_CPU2_UNRESTRICTED_GUEST;
	fields[2].value &= ~(uint64_t)CR0_PG;
	fields[3].value = 0;
	if (ioctl(vmcs, VMX_VMCS_WRITE, &io))
		err(1, "VMX_VMCS_WRITE: field %#x, reason %u, bits %#llx",
		    fields[io.bad_index].field, io.bad_reason, io.bad_bits);
}

int main(void)
{
	struct vmx_create create = { .size = sizeof(create) };
	struct vmx_create_vcpu parts = { .size = sizeof(parts) };
	struct vmx_mmu_map map = {
		.size = sizeof(map), .gpa = 0, .length = 4096,
		.prot = VMX_MMU_READ | VMX_MMU_EXEC, .memtype = VMX_MEMTYPE_WB,
	};
	void *ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int dev = open("/dev/vmx", O_RDWR | O_CLOEXEC);
	struct vmx_run_page *run;
	int vm, vcpu;

	if (ram == MAP_FAILED || dev < 0)
		err(1, "/dev/vmx");
	vm = call(dev, VMX_CREATE_VM, &create, "VMX_CREATE_VM");
	parts.vmcs_fd = call(vm, VMX_CREATE_VMCS, &create, "VMX_CREATE_VMCS");
	parts.mmu_fd = call(vm, VMX_CREATE_EPT, &create, "VMX_CREATE_EPT");
	vcpu = call(vm, VMX_CREATE_VCPU, &parts, "VMX_CREATE_VCPU");
	run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "the run page");

	memcpy(ram, guest, sizeof(guest));
	map.uaddr = (uintptr_t)ram;
	call(parts.mmu_fd, VMX_MMU_MAP, &map, "VMX_MMU_MAP");
	set_up(parts.vmcs_fd);

	run->regs[0] = 40;	/* EAX */
	run->regs[3] = 2;	/* EBX */
	for (;;) {
		call(vcpu, VMX_RUN, NULL, "VMX_RUN");
		if (run->reason != VMX_REASON_IO)
			break;
		printf("port %#x: %llu\n", run->io_port, run->regs[0] & 0xff);
		run->retire = 1;	/* OUT is done: go on after it */
	}
	if (run->reason != VMX_REASON_HLT)
		errx(1, "exit reason %#x, check %u", run->reason, run->failure.check);
}
