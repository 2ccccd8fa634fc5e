#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a 32-bit guest that prints through a serial port, with the ioctls of /dev/vmx alone.

Python's standard library is enough. What is named vmx_ or VMX_ here is as in linux/vmx.h, which explains
it; a program needs no more of that header than it uses.
"""

import ctypes
import fcntl
import mmap
import os
import sys

u8, u16, u32, u64, s32 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32


def _IO(kind, number):
    return kind << 8 | number


VMX_CREATE_VM = _IO(0xBD, 0x01)
VMX_CREATE_VMCS = _IO(0xBD, 0x10)
VMX_CREATE_EPT = _IO(0xBD, 0x11)
VMX_CREATE_VCPU = _IO(0xBD, 0x13)
VMX_VMCS_READ = _IO(0xBD, 0x21)
VMX_VMCS_WRITE = _IO(0xBD, 0x22)
VMX_MMU_MAP = _IO(0xBD, 0x30)
VMX_RUN = _IO(0xBD, 0x40)

VMX_MMU_READ, VMX_MMU_EXEC, VMX_MEMTYPE_WB = 1, 4, 6
VMX_F_CPU_CONTROLS, VMX_F_CPU2_CONTROLS = 0x4002, 0x401E
VMX_F_GUEST_CR0, VMX_F_GUEST_RIP = 0x6800, 0x681E
VMX_CPU_HLT_EXITING, VMX_CPU2_UNRESTRICTED_GUEST = 1 << 7, 1 << 7
VMX_REASON_HLT, VMX_REASON_IO = 12, 30
CR0_PG = 1 << 31


class Sized(ctypes.Structure):
    """The first member of what an ioctl takes is its size."""

    def __init__(self, **members):
        super().__init__(size=ctypes.sizeof(self), **members)


class vmx_create(Sized):
    _fields_ = [("size", u32), ("flags", u32)]


class vmx_create_vcpu(Sized):
    _fields_ = [("size", u32), ("flags", u32), ("vmcs_fd", s32), ("mmu_fd", s32)]


class vmx_mmu_map(Sized):
    _fields_ = [("size", u32), ("flags", u32), ("gpa", u64), ("uaddr", u64), ("length", u64), ("prot", u32),
                ("memtype", u32)]


class vmx_field(ctypes.Structure):
    _fields_ = [("field", u32), ("reserved", u32), ("value", u64), ("forced", u64)]


class vmx_vmcs_io(Sized):
    _fields_ = [("size", u32), ("flags", u32), ("fields", u64), ("count", u32), ("bad_index", u32),
                ("bad_reason", u32), ("reserved", u32), ("bad_bits", u64)]


class vmx_failure(ctypes.Structure):
    _fields_ = [("check", u32), ("error", u32), ("field", u32), ("field2", u32), ("value", u64),
                ("value2", u64), ("bits", u64)]


class vmx_run_page(ctypes.Structure):
    _fields_ = [
        # for the kernel to read
        ("immediate_exit", u8), ("window", u8), ("retire", u8), ("pad", u8), ("dirty", u32),
        ("inject_info", u32), ("inject_error", u32), ("inject_length", u32), ("pad2", u32), ("deadline", u64),
        # the exit
        ("reason", u32), ("valid", u32), ("qualification", u64), ("linear", u64), ("physical", u64),
        ("length", u32), ("insn_info", u32), ("intr_info", u32), ("intr_error", u32), ("idt_info", u32),
        ("idt_error", u32), ("io_port", u16), ("io_size", u8), ("io_flags", u8), ("pad3", u32),
        ("failure", vmx_failure),
        # the guest's state, both ways
        ("regs", u64 * 16), ("rip", u64), ("rflags", u64), ("cr0", u64), ("cr3", u64), ("cr4", u64),
        ("efer", u64), ("interruptibility", u32), ("activity", u32), ("cs_base", u64), ("cs_access", u32),
        ("ss_access", u32), ("cr2", u64)]


RAX, RCX, RDX, RSI = 0, 1, 2, 6     # in regs, as the SDM numbers them

CODE = bytes([0x2E, 0xAC,           # next: lodsb %cs:(%esi), %al
              0xEE,                 #       out   %al, (%dx)
              0xE2, 0xFB,           #       loop  next
              0xF4])                #       hlt
TEXT = b"Hello from a guest of Python!\n"
SERIAL = 0x3F8


def set_up(vmcs):
    """A new VMCS has flat 32-bit code and stack, and no data segment. This one does without paging, starts at 0, and exits at HLT."""
    fields = (vmx_field * 4)(*((name,) for name in (VMX_F_CPU_CONTROLS, VMX_F_CPU2_CONTROLS,
                                                   VMX_F_GUEST_CR0, VMX_F_GUEST_RIP)))
    batch = vmx_vmcs_io(fields=ctypes.addressof(fields), count=len(fields))
    fcntl.ioctl(vmcs, VMX_VMCS_READ, batch)
    fields[0].value |= VMX_CPU_HLT_EXITING
    fields[1].value |= VMX_CPU2_UNRESTRICTED_GUEST
    fields[2].value &= ~CR0_PG
    fields[3].value = 0
    try:
        fcntl.ioctl(vmcs, VMX_VMCS_WRITE, batch)
    except PermissionError:
        sys.exit(f"VMCS field {fields[batch.bad_index].field:#x} is refused: reason {batch.bad_reason}, "
                 f"bits {batch.bad_bits:#x}")


def main():
    device = os.open("/dev/vmx", os.O_RDWR | os.O_CLOEXEC)
    vm = fcntl.ioctl(device, VMX_CREATE_VM, vmx_create())
    vmcs = fcntl.ioctl(vm, VMX_CREATE_VMCS, vmx_create())
    ept = fcntl.ioctl(vm, VMX_CREATE_EPT, vmx_create())
    vcpu = fcntl.ioctl(vm, VMX_CREATE_VCPU, vmx_create_vcpu(vmcs_fd=vmcs, mmu_fd=ept))
    run = vmx_run_page.from_buffer(mmap.mmap(vcpu, mmap.PAGESIZE))

    # A page of this process is the guest's first page.
    ram = mmap.mmap(-1, mmap.PAGESIZE)
    ram.write(CODE + TEXT)
    fcntl.ioctl(ept, VMX_MMU_MAP, vmx_mmu_map(uaddr=ctypes.addressof(u8.from_buffer(ram)), length=mmap.PAGESIZE,
                                              prot=VMX_MMU_READ | VMX_MMU_EXEC, memtype=VMX_MEMTYPE_WB))
    set_up(vmcs)
    run.regs[RSI], run.regs[RCX], run.regs[RDX] = len(CODE), len(TEXT), SERIAL

    while True:
        fcntl.ioctl(vcpu, VMX_RUN)
        if run.reason != VMX_REASON_IO or run.io_port != SERIAL:
            break
        print(chr(run.regs[RAX] & 0xFF), end="")
        run.retire = 1              # OUT is done: go on after it
    if run.reason != VMX_REASON_HLT:
        sys.exit(f"exit reason {run.reason:#x}, check {run.failure.check}")


if __name__ == "__main__":
    main()
