// SPDX-License-Identifier: MIT
//! Runs a 32-bit guest that computes Fibonacci numbers, with the ioctls of /dev/vmx alone.
//!
//! Rust's standard library is enough. bindgen generates the structs and constants from linux/vmx.h:
//!
//!     bindgen --with-derive-default --no-prepend-enum-name --no-layout-tests uapi/linux/vmx.h -- -Iuapi > abi.rs
//!     VMX_ABI=$PWD/abi.rs rustc tools/examples/fibonacci.rs

use std::fs::OpenOptions;
use std::io::Error;
use std::mem::size_of;
use std::os::raw::{c_int, c_long, c_ulong, c_void};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};
use std::process::exit;
use std::ptr::null_mut;

#[allow(dead_code, non_camel_case_types)]
mod abi {
    include!(env!("VMX_ABI"));
}
use abi::*;

/// The header makes these with _IO(), a macro that bindgen does not follow.
mod request {
    const fn io(number: u32) -> u32 {
        super::VMX_IOC_TYPE << 8 | number
    }
    pub const CREATE_VM: u32 = io(0x01);
    pub const CREATE_VMCS: u32 = io(0x10);
    pub const CREATE_EPT: u32 = io(0x11);
    pub const CREATE_VCPU: u32 = io(0x13);
    pub const VMCS_READ: u32 = io(0x21);
    pub const VMCS_WRITE: u32 = io(0x22);
    pub const MMU_MAP: u32 = io(0x30);
    pub const RUN: u32 = io(0x40);
}

extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn mmap(at: *mut c_void, length: usize, prot: c_int, flags: c_int, fd: c_int, offset: c_long) -> *mut c_void;
}
const PROT_READ_WRITE: c_int = 0x1 | 0x2;
const MAP_SHARED: c_int = 0x1;
const MAP_PRIVATE_ANONYMOUS: c_int = 0x2 | 0x20;

const PAGE: usize = 4096;
const CR0_PG: u64 = 1 << 31;
const EAX: usize = 0;
const ECX: usize = 1;
const EBX: usize = 3;

const GUEST: [u8; 8] = [
    0x0f, 0xc1, 0xd8, // next: xadd %ebx, %eax
    0xe7, 0x10, //             out %eax, $0x10
    0xe2, 0xf9, //             loop next
    0xf4, //                   hlt
];

/// A struct of the ABI: the first member is its size, and what is not named is 0.
macro_rules! sized {
    ($name:ident { $($member:ident: $value:expr),* }) => {
        $name { size: size_of::<$name>() as u32, $($member: $value,)* ..Default::default() }
    };
}

type Result<T> = std::result::Result<T, String>;

fn call<T>(object: &OwnedFd, request: u32, what: &str, argument: *mut T) -> Result<c_int> {
    // SAFETY: every caller passes the struct that the request takes.
    let result = unsafe { ioctl(object.as_raw_fd(), request.into(), argument) };
    if result < 0 {
        return Err(format!("{what}: {}", Error::last_os_error()));
    }
    Ok(result)
}

fn create<T>(from: &OwnedFd, request: u32, what: &str, argument: &mut T) -> Result<OwnedFd> {
    let fd = call(from, request, what, argument)?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn map(flags: c_int, fd: c_int) -> Result<*mut c_void> {
    // SAFETY: the kernel chooses where, so nothing is replaced.
    let page = unsafe { mmap(null_mut(), PAGE, PROT_READ_WRITE, flags, fd, 0) };
    if page as isize == -1 {
        return Err(format!("mmap: {}", Error::last_os_error()));
    }
    Ok(page)
}

/// A new VMCS has flat 32-bit code and stack. This one does without paging, starts at 0, and exits at HLT.
fn set_up(vmcs: &OwnedFd) -> Result<()> {
    let field = |number| vmx_field { field: number, ..Default::default() };
    let mut fields = [VMX_F_CPU_CONTROLS, VMX_F_CPU2_CONTROLS, VMX_F_GUEST_CR0, VMX_F_GUEST_RIP].map(field);
    let mut batch = sized!(vmx_vmcs_io { fields: fields.as_mut_ptr() as u64, count: fields.len() as u32 });

    call(vmcs, request::VMCS_READ, "VMX_VMCS_READ", &mut batch)?;
    fields[0].value |= u64::from(VMX_CPU_HLT_EXITING);
    fields[1].value |= u64::from(VMX_CPU2_UNRESTRICTED_GUEST);
    fields[2].value &= !CR0_PG;
    fields[3].value = 0;
    call(vmcs, request::VMCS_WRITE, "VMX_VMCS_WRITE", &mut batch).map_err(|error| {
        format!("{error}: field {:#x}, reason {}", fields[batch.bad_index as usize].field, batch.bad_reason)
    })?;
    Ok(())
}

fn run_guest() -> Result<()> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/vmx");
    let device = OwnedFd::from(device.map_err(|error| format!("/dev/vmx: {error}"))?);
    let vm = create(&device, request::CREATE_VM, "VMX_CREATE_VM", &mut sized!(vmx_create {}))?;
    let vmcs = create(&vm, request::CREATE_VMCS, "VMX_CREATE_VMCS", &mut sized!(vmx_create {}))?;
    let ept = create(&vm, request::CREATE_EPT, "VMX_CREATE_EPT", &mut sized!(vmx_create {}))?;
    let mut parts = sized!(vmx_create_vcpu { vmcs_fd: vmcs.as_raw_fd(), mmu_fd: ept.as_raw_fd() });
    let vcpu = create(&vm, request::CREATE_VCPU, "VMX_CREATE_VCPU", &mut parts)?;
    let run = map(MAP_SHARED, vcpu.as_raw_fd())? as *mut vmx_run_page;

    // A page of this process is the guest's first page.
    let ram = map(MAP_PRIVATE_ANONYMOUS, -1)?;
    // SAFETY: it is a page, it is ours, and the guest is shorter.
    unsafe { ram.copy_from_nonoverlapping(GUEST.as_ptr().cast(), GUEST.len()) };
    let prot = VMX_MMU_READ | VMX_MMU_EXEC;
    let mut range = sized!(vmx_mmu_map { uaddr: ram as u64, length: PAGE as u64, prot: prot, memtype: VMX_MEMTYPE_WB });
    call(&ept, request::MMU_MAP, "VMX_MMU_MAP", &mut range)?;
    set_up(&vmcs)?;

    // SAFETY: the run page is the kernel's while RUN is in progress, and ours otherwise.
    unsafe {
        (*run).regs[EBX] = 1;
        (*run).regs[ECX] = 12;
        loop {
            call(&vcpu, request::RUN, "VMX_RUN", null_mut::<c_void>())?;
            match (*run).reason {
                VMX_REASON_IO => print!("{} ", (*run).regs[EAX] as u32),
                VMX_REASON_HLT => break,
                reason => return Err(format!("exit reason {reason:#x}, check {}", (*run).failure.check)),
            }
            (*run).retire = 1; // OUT is done: go on after it
        }
    }
    println!();
    Ok(())
}

fn main() {
    if let Err(reason) = run_guest() {
        eprintln!("{reason}");
        exit(1);
    }
}
