/* SPDX-License-Identifier: MIT */
/* A virtual machine in 64-bit mode that prints through its serial port. */
#include <err.h>
#include <string.h>

#include <libvmx.h>
#include <libvmx/uart.h>

asm("guest:		mov	$0x3f8, %dx\n"
    "		mov	$(guest_end - text), %ecx\n"
    "		lea	text(%rip), %rsi\n"
    "next:		lodsb\n"
    "		out	%al, %dx\n"
    "		loop	next\n"
    "		hlt\n"
    "text:		.ascii	\"Hello from 64-bit mode!\\n\"\n"
    "guest_end:\n");
extern const char guest[], guest_end[];

int main(void)
{
	struct vmx_bus ports = { 0 };
	struct vmx_uart uart;
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	vmx_uart_init(&uart, &(struct vmx_uart_config){ .send = vmx_uart_print, .host = stdout });
	if (vmx_uart_attach(&uart, &ports, 0x3f8) || vmx_vm_open(&vm, 1 << 20) ||
	    vmx_vcpu_open(&vcpu, &vm) ||
	    vmx_set_mode(&vm, vcpu.vmcs, VMX_MODE_LONG, VMX_GUEST_FREE, 0))
		errx(1, "%s", vmx_error());
	memcpy(vm.ram + VMX_GUEST_FREE, guest, guest_end - guest);
	do {
		if (vmx_run(&vcpu))
			errx(1, "%s", vmx_error());
	} while (vmx_port_io(&ports, vcpu.run));
	if (vcpu.run->reason != VMX_REASON_HLT)
		errx(1, "unexpected exit: %s", vmx_reason_name(vcpu.run->reason));
	vmx_vcpu_close(&vcpu);
	vmx_vm_close(&vm);
	vmx_bus_free(&ports);
}
