/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: emulation
 *
 * Finishes instructions that the CPU left to userspace: accesses to MMIO, which
 * exit as EPT violations, and string I/O. A guest-linear address is translated
 * through the guest's own page tables, the instruction is fetched from guest
 * memory, decoded by Zydis and carried out; the outcome is in the run page.
 *
 * The guest may change its memory at any time, so the emulator reads data once, and judges and
 * uses the copy. Nothing here locks, see libvmx/device.h.
 *
 * Programs that use this link with Zydis (-lZydis -lZycore).
 */
#ifndef LIBVMX_EMULATE_H
#define LIBVMX_EMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vmx.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The guest's paging */

/**
 * struct vmx_guest_memory - access to guest memory
 * @host: where @length bytes from guest-physical address @gpa on are in this
 *	process, or NULL if they are not RAM: then they are MMIO. @write: they
 *	are to be written (ROM is RAM for reads and MMIO for writes). The bytes
 *	do not leave a page of 4 KiB, and what is aligned in the guest has to be
 *	in this process.
 * @machine: what it is called with
 */
struct vmx_guest_memory {
	void *(*host)(void *machine, uint64_t gpa, size_t length, bool write);
	void *machine;
};

/**
 * struct vmx_paging - registers that translation depends on
 * @cr0: CR0: PG, WP
 * @cr3: CR3
 * @cr4: CR4: PSE, PAE, LA57, SMEP, SMAP
 * @efer: EFER: LMA, NXE
 * @rflags: RFLAGS: AC
 * @pdptes: the four PDPTE registers of PAE paging; NULL to read them from
 *	memory, at CR3
 * @phys_bits: width of physical addresses
 */
struct vmx_paging {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t rflags;
	const uint64_t *pdptes;
	unsigned int phys_bits;
};

/**
 * define VMX_WALK_WRITE - the access writes
 */
#define VMX_WALK_WRITE 0x1
/**
 * define VMX_WALK_FETCH - the access fetches an instruction
 */
#define VMX_WALK_FETCH 0x2
/**
 * define VMX_WALK_USER - the access is made at CPL 3
 */
#define VMX_WALK_USER 0x4

/**
 * vmx_walk() - translate a guest-linear address as an access would
 * @paging: the mode
 * @memory: the guest's memory
 * @linear: the address; only the low 32 bits count outside IA-32e mode.
 *	Whether it is canonical is not judged here.
 * @access: VMX_WALK_* bits; none for a read by the supervisor
 * @gpa: the guest-physical address
 * @error: the error code of the page fault that the access would be
 *
 * Sets accessed and dirty flags like the CPU, atomically. Protection keys and
 * shadow stacks are not known here.
 *
 * Return: 0; -EFAULT for a page fault; -ENXIO if a table is not in RAM; -EAGAIN
 * if other vCPUs keep changing the tables.
 */
int vmx_walk(const struct vmx_paging *paging, const struct vmx_guest_memory *memory,
	     uint64_t linear, unsigned int access, uint64_t *gpa,
	     uint32_t *error);

/* Instructions */

/**
 * struct vmx_emulator_ops - the machine around the instruction
 * @host: as in struct vmx_guest_memory
 * @written: told of bytes that @host found, within a page, when an instruction wrote
 *	them; may be NULL. With shadow page tables it has to call
 *	vmx_vm_invalidate(); with EPT nobody has to know.
 * @read: MMIO: @size is 1, 2, 4 or 8; bits of the result beyond @size are
 *	ignored
 * @write: writes, likewise; bits of @value beyond @size are 0
 * @in: a port is read; @size is 1, 2 or 4
 * @out: a port is written
 * @field: reads a VMCS field of the vCPU; 0 or -errno. Segments are read by it
 *	when they matter.
 * @xmm: reads (or with @write, writes) XMM register @n; 0 or -errno. NULL:
 *	instructions that need it cannot be emulated.
 */
struct vmx_emulator_ops {
	void *(*host)(void *machine, uint64_t gpa, size_t length, bool write);
	void (*written)(void *machine, uint64_t gpa, size_t length);
	uint64_t (*read)(void *machine, uint64_t gpa, unsigned int size);
	void (*write)(void *machine, uint64_t gpa, unsigned int size,
		      uint64_t value);
	uint64_t (*in)(void *machine, uint16_t port, unsigned int size);
	void (*out)(void *machine, uint16_t port, unsigned int size,
		    uint64_t value);
	int (*field)(void *machine, uint32_t field, uint64_t *value);
	int (*xmm)(void *machine, unsigned int n, uint8_t bytes[16], bool write);
};

/**
 * struct vmx_exception - an exception that an instruction raised
 * @vector: which
 * @error: its error code, 0 for vectors without
 * @cr2: #PF: the address, for CR2
 */
struct vmx_exception {
	uint8_t vector;
	uint32_t error;
	uint64_t cr2;
};

/**
 * struct vmx_emulator - the emulator of a vCPU
 * @ops: the machine
 * @machine: argument for @ops
 * @phys_bits: width of the guest's physical addresses
 * @burst: how many times a repeated string instruction goes round before the
 *	guest gets a chance to take interrupts
 * @exception: the last exception injected
 */
struct vmx_emulator {
	const struct vmx_emulator_ops *ops;
	void *machine;
	unsigned int phys_bits;
	unsigned int burst;
	struct vmx_exception exception;
};

/**
 * define VMX_EMULATE_INJECT - an exception is in the run page's inject slot
 */
#define VMX_EMULATE_INJECT 1

/**
 * vmx_emulator_init() - make an emulator
 * @emulator: filled in
 * @ops: the machine; not copied
 * @machine: argument for @ops
 * @phys_bits: width of the guest's physical addresses, see struct vmx_caps
 */
void vmx_emulator_init(struct vmx_emulator *emulator,
		       const struct vmx_emulator_ops *ops, void *machine,
		       unsigned int phys_bits);

/**
 * vmx_emulate() - carry out the instruction at CS:RIP
 * @emulator: the emulator
 * @run: the run page after an exit for an access to memory that is not there,
 *	before anything else is queued in its inject slot. Registers, RFLAGS and
 *	what retires the instruction are changed in it.
 *
 * Return: 0 or %VMX_EMULATE_INJECT if the guest can go on: the next vmx_run()
 * finishes. An instruction that was not finished (a long string, say) is not
 * retired; the guest executes it again. After %VMX_EMULATE_INJECT of a page
 * fault, @emulator->exception.cr2 belongs in CR2. -EOPNOTSUPP if the
 * instruction cannot be emulated; vmx_error() says which it is and why not,
 * and nothing has changed. Another -errno is that of an operation.
 */
int vmx_emulate(struct vmx_emulator *emulator, struct vmx_run_page *run);

/**
 * vmx_emulate_io() - carry out INS or OUTS after an exit for it
 * @emulator: the emulator
 * @run: the run page; @run->io_flags has %VMX_IO_STRING
 *
 * Return: as vmx_emulate(). If another instruction is at CS:RIP by now, the
 * guest goes on with that one.
 */
int vmx_emulate_io(struct vmx_emulator *emulator, struct vmx_run_page *run);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_EMULATE_H */
