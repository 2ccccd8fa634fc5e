/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: libvmx
 *
 * A thin library over the ioctls of /dev/vmx: it opens things in the right
 * order, sets guests up in the four modes people start with, and turns
 * refusals and failed VM entries into sentences. It hides nothing: every
 * descriptor, the run page and every VMCS field stay in reach, and all of
 * linux/vmx.h works beside it.
 *
 * Functions return 0 or a negative errno; after an error vmx_error() returns a
 * sentence for a person. Objects are plain structs that the caller owns.
 */
#ifndef LIBVMX_H
#define LIBVMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <libvmx/device.h>
#include <linux/vmx.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum vmx_reg - indices of struct vmx_run_page.regs
 * @VMX_RAX: 0
 * @VMX_RCX: 1
 * @VMX_RDX: 2
 * @VMX_RBX: 3
 * @VMX_RSP: 4
 * @VMX_RBP: 5
 * @VMX_RSI: 6
 * @VMX_RDI: 7
 * @VMX_R8: 8
 * @VMX_R9: 9
 * @VMX_R10: 10
 * @VMX_R11: 11
 * @VMX_R12: 12
 * @VMX_R13: 13
 * @VMX_R14: 14
 * @VMX_R15: 15
 *
 * The numbers that the SDM uses in instruction encodings and in exit
 * qualifications.
 */
enum vmx_reg {
	VMX_RAX, VMX_RCX, VMX_RDX, VMX_RBX, VMX_RSP, VMX_RBP, VMX_RSI, VMX_RDI,
	VMX_R8, VMX_R9, VMX_R10, VMX_R11, VMX_R12, VMX_R13, VMX_R14, VMX_R15,
};

/**
 * struct vmx_vm - a VM with RAM from guest-physical address 0
 * @dev: /dev/vmx
 * @fd: the vm
 * @mmu: its mmu, -1 without RAM
 * @shadow: the mmu is one of shadow page tables
 * @caps: what the CPU and the module can do; without %VMX_HAS_UNRESTRICTED if
 *	@shadow, which does without
 * @ram: the RAM in this process, NULL if none was asked for
 * @ram_size: its size in bytes
 */
struct vmx_vm {
	int dev;
	int fd;
	int mmu;
	bool shadow;
	struct vmx_caps caps;
	unsigned char *ram;
	size_t ram_size;
};

/**
 * struct vmx_vcpu - a vCPU, its VMCS and its run page
 * @vm: the VM
 * @vmcs: the VMCS
 * @fd: the vCPU
 * @run: the run page
 */
struct vmx_vcpu {
	struct vmx_vm *vm;
	int vmcs;
	int fd;
	struct vmx_run_page *run;
};

/**
 * vmx_error() - why the last failed call in this thread failed
 *
 * Return: a sentence, valid until the next call that fails in this thread.
 */
const char *vmx_error(void);

/**
 * vmx_open() - open /dev/vmx and read its capabilities
 * @caps: filled in
 *
 * Return: the descriptor, or -errno.
 */
int vmx_open(struct vmx_caps *caps);

/**
 * enum vmx_mmu_kind - the kind of tables that map a guest's memory
 * @VMX_MMU_AUTO: EPT where the CPU has it, shadow page tables elsewhere
 * @VMX_MMU_EPT: EPT
 * @VMX_MMU_SHADOW: shadow page tables
 */
enum vmx_mmu_kind {
	VMX_MMU_AUTO,
	VMX_MMU_EPT,
	VMX_MMU_SHADOW,
};

/**
 * vmx_vm_open() - create a VM with RAM and an mmu that maps it
 * @vm: filled in
 * @ram_size: bytes, a multiple of 4 KiB; 0 for a VM without memory
 *
 * Return: 0 or -errno; on an error there is nothing to close.
 */
int vmx_vm_open(struct vmx_vm *vm, size_t ram_size);

/**
 * vmx_vm_open_mmu() - create a VM with RAM and an mmu of a given kind
 * @vm: filled in
 * @ram_size: bytes, a multiple of 4 KiB; 0 for a VM without memory
 * @kind: the kind of mmu
 *
 * Return: 0 or -errno, -EOPNOTSUPP if the CPU does not have @kind; on an error
 * there is nothing to close.
 */
int vmx_vm_open_mmu(struct vmx_vm *vm, size_t ram_size, enum vmx_mmu_kind kind);

/**
 * vmx_vm_open_split() - the same with a hole in guest-physical memory, as on a PC
 * @vm: filled in
 * @ram_size: bytes, a multiple of 4 KiB; 0 for a VM without memory
 * @low: so many of them begin at guest-physical 0, a multiple of 4 KiB up to
 *	4 GiB; the rest, if there is one, at 4 GiB. @vm->ram has them in one piece.
 * @kind: what maps it
 *
 * Return: 0 or -errno, -EINVAL if RAM goes past the CPU's physical addresses; on
 * an error there is nothing to close.
 */
int vmx_vm_open_split(struct vmx_vm *vm, size_t ram_size, size_t low,
		      enum vmx_mmu_kind kind);

/**
 * vmx_vm_close() - close a VM and free its RAM
 * @vm: the VM; may be closed already. Its vCPUs are closed before it.
 */
void vmx_vm_close(struct vmx_vm *vm);

/**
 * vmx_vm_map() - let the guest see memory of this process
 * @vm: the VM
 * @gpa: where the guest sees it
 * @host: the memory
 * @length: bytes
 * @prot: VMX_MMU_* bits
 *
 * Gaps in guest-physical memory are MMIO: touching them is an exit.
 *
 * Return: 0 or -errno.
 */
int vmx_vm_map(struct vmx_vm *vm, uint64_t gpa, void *host, size_t length,
	       uint32_t prot);

/**
 * vmx_vm_invalidate() - announce that this process wrote guest page tables
 * @vm: the VM
 * @gpa: guest-physical address
 * @length: bytes, not 0
 *
 * When it returns, no vCPU uses a translation of a linear address that the tables
 * had before. Other writes need no announcement. A caller that does not know where
 * the tables are may announce every write, which costs little. With EPT, no
 * announcement is needed if the guest executes INVLPG or the like by itself.
 *
 * Return: 0 or -errno.
 */
int vmx_vm_invalidate(struct vmx_vm *vm, uint64_t gpa, size_t length);

/**
 * vmx_vm_log() - begin or end to log which pages guests write
 * @vm: the VM
 * @method: how; %VMX_DIRTY_OFF ends it
 *
 * Return: 0 or -errno; see struct vmx_mmu_log.
 */
int vmx_vm_log(struct vmx_vm *vm, enum vmx_dirty_method method);

/**
 * vmx_vm_dirty() - read which pages guests wrote, and begin anew for them
 * @vm: the VM
 * @gpa: guest-physical address, on a page
 * @length: bytes, whole pages
 * @bitmap: out: a bit for each page, bit n % 64 of word n / 64
 *
 * Return: 0 or -errno; see struct vmx_mmu_dirty.
 */
int vmx_vm_dirty(struct vmx_vm *vm, uint64_t gpa, uint64_t length,
		 uint64_t *bitmap);

/**
 * vmx_vm_stats() - read the VM's counters
 * @vm: the VM
 * @stats: filled in
 *
 * Return: 0 or -errno.
 */
int vmx_vm_stats(struct vmx_vm *vm, struct vmx_vm_stats *stats);

/**
 * vmx_vm_mmu_stats() - read the counters of the VM's mmu
 * @vm: the VM
 * @stats: filled in
 *
 * Return: 0 or -errno.
 */
int vmx_vm_mmu_stats(struct vmx_vm *vm, struct vmx_mmu_stats *stats);

/**
 * vmx_vmcs_open() - create a VMCS
 * @vm: the VM
 *
 * Return: its descriptor, to be given to close(), or -errno.
 */
int vmx_vmcs_open(struct vmx_vm *vm);

/**
 * vmx_vcpu_open() - create a vCPU with a VMCS of its own and the VM's EPT
 * @vcpu: filled in
 * @vm: a VM with memory
 *
 * Return: 0 or -errno; on an error there is nothing to close.
 */
int vmx_vcpu_open(struct vmx_vcpu *vcpu, struct vmx_vm *vm);

/**
 * vmx_vcpu_close() - close a vCPU and its VMCS
 * @vcpu: the vCPU; may be closed already
 */
void vmx_vcpu_close(struct vmx_vcpu *vcpu);

/**
 * vmx_run() - run the guest to the next exit
 * @vcpu: the vCPU
 *
 * Return: 0 when @vcpu->run describes an exit (a failed VM entry is one, see
 * vmx_entry_failed()), -EINTR after a signal or a kick, or another -errno.
 */
int vmx_run(struct vmx_vcpu *vcpu);

/**
 * vmx_entry_failed() - was the last exit a VM entry that failed?
 * @run: the run page
 *
 * Return: true if so; @run->failure has the reason, vmx_explain_failure() puts it in words.
 */
static inline bool vmx_entry_failed(const struct vmx_run_page *run)
{
	return run->valid & VMX_VALID_FAILURE;
}

/* VMCS fields */

/**
 * vmx_fields_set() - write VMCS fields, all of them or none
 * @vmcs: the VMCS
 * @fields: encodings and values; out: the values with the bits that the module forced
 * @count: number of them, up to %VMX_VMCS_BATCH_MAX
 *
 * Return: 0 or -errno; -EACCES if the module refuses one; vmx_error() says which
 * and why.
 */
int vmx_fields_set(int vmcs, struct vmx_field *fields, size_t count);

/**
 * vmx_fields_get() - read VMCS fields, all of them or none
 * @vmcs: the VMCS
 * @fields: encodings; values come back in them
 * @count: number of them, up to %VMX_VMCS_BATCH_MAX
 *
 * Return: 0 or -errno, as vmx_fields_set().
 */
int vmx_fields_get(int vmcs, struct vmx_field *fields, size_t count);

/**
 * vmx_field_set() - write one VMCS field
 * @vmcs: the VMCS
 * @field: its encoding, a VMX_F_*
 * @value: the value to write
 *
 * Return: 0 or -errno, as vmx_fields_set().
 */
int vmx_field_set(int vmcs, uint32_t field, uint64_t value);

/**
 * vmx_field_get() - read one VMCS field
 * @vmcs: the VMCS
 * @field: its encoding
 * @value: its value
 *
 * Return: 0 or -errno, as vmx_fields_set().
 */
int vmx_field_get(int vmcs, uint32_t field, uint64_t *value);

/**
 * vmx_field_change() - clear and set bits of one VMCS field
 * @vmcs: the VMCS
 * @field: its encoding
 * @clear: bits to clear, first
 * @set: bits to set
 *
 * Return: 0 or -errno, as vmx_fields_set().
 */
int vmx_field_change(int vmcs, uint32_t field, uint64_t clear, uint64_t set);

/**
 * vmx_vmcs_check() - make the checks of VM entry, without entering
 * @vmcs: the VMCS
 * @failure: the first that fails, or %VMX_CHECK_NONE
 *
 * Return: 0, whatever the checks say, or -errno.
 */
int vmx_vmcs_check(int vmcs, struct vmx_failure *failure);

/* Names and explanations (SDM terms) */

/**
 * vmx_feature_name() - name a bit of struct vmx_caps.features
 * @n: 0 for the first
 * @bit: its enum vmx_feature
 *
 * Return: its name, or NULL after the last.
 */
const char *vmx_feature_name(unsigned int n, uint64_t *bit);

/**
 * vmx_field_name() - a VMCS field's name
 * @field: its encoding
 *
 * Return: the name, or NULL if there is no such field.
 */
const char *vmx_field_name(uint32_t field);

/**
 * vmx_reason_name() - an exit reason's name
 * @reason: the exit-reason field; bits above the basic reason do not matter
 *
 * Return: the name, or NULL if there is none.
 */
const char *vmx_reason_name(uint32_t reason);

/**
 * vmx_explain_failure() - say why a VM entry failed
 * @failure: from the run page or from vmx_vmcs_check()
 * @buf: the text, '\0'-terminated
 * @size: its size
 *
 * Return: @buf.
 */
char *vmx_explain_failure(const struct vmx_failure *failure, char *buf,
			  size_t size);

/**
 * vmx_explain_exit() - describe an exit
 * @run: the run page as vmx_run() left it
 * @buf: the text, '\0'-terminated
 * @size: its size
 *
 * The reason's name and the decoded qualification: port, size and value of an
 * I/O instruction, the register of MOV CR, the address and kind of an EPT
 * violation, the vector of an exception, and so on; then the event whose
 * delivery the exit interrupted. If VM entry failed, it is
 * vmx_explain_failure().
 *
 * Return: @buf.
 */
char *vmx_explain_exit(const struct vmx_run_page *run, char *buf, size_t size);

/**
 * vmx_explain_outcome() - describe the result of a handled exit
 * @run: the run page before the next vmx_run()
 * @buf: the text, '\0'-terminated; empty if there is nothing to say
 * @size: its size
 *
 * The event that waits for injection, or else the data that the instruction reads: the
 * value of IN, RDMSR, MOV from CR and DR, or the registers of CPUID.
 *
 * Return: @buf.
 */
char *vmx_explain_outcome(const struct vmx_run_page *run, char *buf,
			  size_t size);

/* Guest modes */

/**
 * enum vmx_mode - the state a guest starts in
 * @VMX_MODE_REAL: real-address mode; needs unrestricted guest
 * @VMX_MODE_PROTECTED: 32-bit protected mode, flat segments. Paging is off
 *	where the CPU has unrestricted guest; elsewhere 4 MiB pages map all
 *	4 GiB to themselves.
 * @VMX_MODE_PAE: 32-bit protected mode with PAE paging: 2 MiB pages map all
 *	4 GiB to themselves
 * @VMX_MODE_LONG: 64-bit mode: 2 MiB pages map the first 4 GiB to themselves
 */
enum vmx_mode {
	VMX_MODE_REAL,
	VMX_MODE_PROTECTED,
	VMX_MODE_PAE,
	VMX_MODE_LONG,
};

/* Where vmx_set_mode() puts a guest's tables, and where RAM is free again. */
#define VMX_GUEST_GDT		0x1000
#define VMX_GUEST_TSS		0x1800
#define VMX_GUEST_PAGE_TABLES	0x2000
#define VMX_GUEST_FREE		0x8000

/* Selectors in that GDT. */
#define VMX_GUEST_CS32		0x08
#define VMX_GUEST_DS		0x10
#define VMX_GUEST_CS64		0x18
#define VMX_GUEST_TR		0x20

/**
 * vmx_set_mode() - prepare a guest to start in one of the modes
 * @vm: the VM; its tables go to the start of its RAM, if it has any
 * @vmcs: the VMCS: its whole guest state and the controls that the mode needs
 * @mode: the mode
 * @rip: first instruction, from %VMX_GUEST_FREE (in real mode CS is 0, so
 *	below 64 KiB)
 * @rsp: stack pointer
 *
 * HLT exits; interrupts are off and there is no IDT; the bits of CR0 and CR4
 * that VMX insists on (NE, VMXE) are hidden behind the guest/host masks.
 *
 * Return: 0 or -errno; -EOPNOTSUPP where the CPU cannot run the mode.
 */
int vmx_set_mode(struct vmx_vm *vm, int vmcs, enum vmx_mode mode, uint64_t rip,
		 uint64_t rsp);

/* Devices */

/**
 * vmx_port_io() - finish an exit if it is an access to a device's ports
 * @bus: the bus of ports
 * @run: the run page
 *
 * INS and OUTS go through guest memory and are left to the caller, as is
 * an access to ports that nobody has.
 *
 * Return: true if it was one: the access is done and the instruction will be
 * retired by the next vmx_run().
 */
bool vmx_port_io(struct vmx_bus *bus, struct vmx_run_page *run);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_H */
