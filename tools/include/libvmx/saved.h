/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: saved state
 *
 * The state of a machine as a stream of bytes. Documentation/saved-state.rst has the
 * rules. A table describes each struct whose members are saved: it writes them, reads
 * and judges them, and the reference in the manual is made of it.
 *
 * vmx_machine_save() writes a stream into a file. To go on with it, open it with
 * vmx_saved_open(), make a machine with the memory and CPUs that it tells, plug in
 * the same devices, and call vmx_machine_restore() in place of vmx_machine_boot().
 */
#ifndef LIBVMX_SAVED_H
#define LIBVMX_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmx_machine;
struct vmx_saved;
struct vmx_saved_table;

/**
 * struct vmx_saved_field - a member of a struct, as it is in a stream
 * @name: its name, also in messages
 * @text: what it is, for the manual
 * @table: of the structs that it has; NULL for numbers of 1, 2, 4 or 8 bytes
 * @offset: its offset in the struct
 * @stride: bytes of an element in memory
 * @count: elements
 * @counted: of these, as many are in the stream as the field before says
 * @same: the machine must have the same value
 * @within: the machine must have all bits of the value that are 1
 * @since: the section's version that brought it
 * @until: the last version that had it; 0 if it still is
 * @initial: its value where a stream does not have it
 * @most: the largest value
 * @bits: the bits that can be 1
 */
struct vmx_saved_field {
	const char *name;
	const char *text;
	const struct vmx_saved_table *table;
	uint32_t offset;
	uint32_t stride;
	uint32_t count;
	bool counted;
	bool same;
	bool within;
	uint16_t since;
	uint16_t until;
	uint64_t initial;
	uint64_t most;
	uint64_t bits;
};

#define VMX_SAVED_NAME	16	/* bytes of a section's name, the zero at the end among them */

/**
 * struct vmx_saved_table - a struct, as it is in a stream
 * @name: the section's name, shorter than %VMX_SAVED_NAME
 * @version: the section's version that is written; older ones are read. 0 for a struct
 *	that is an element of a section: the section has the version
 * @count: how many fields
 * @fields: its fields, in the stream's order
 */
struct vmx_saved_table {
	const char *name;
	uint16_t version;
	unsigned int count;
	const struct vmx_saved_field *fields;
};

/**
 * struct vmx_saved_part - an object that has a section in the stream
 * @table: describes it
 * @object: the struct
 * @instance: tells it from others of its kind
 * @loaded: judges what was read into @object, and sets the timers that follow from it:
 *	0 or -errno with vmx_error() set; NULL for nothing
 */
struct vmx_saved_part {
	const struct vmx_saved_table *table;
	void *object;
	uint32_t instance;
	int (*loaded)(void *object);
};

/* Parts that a PCI device can have beside that of PCI itself. */
#define VMX_SAVED_PARTS	2

/**
 * struct vmx_saved_config - what a machine has to have for a stream
 * @memory: RAM in bytes
 * @cpus: how many vCPUs
 */
struct vmx_saved_config {
	uint64_t memory;
	unsigned int cpus;
};

/**
 * vmx_saved_open() - read a stream and check that it is whole
 * @saved: out: it
 * @fd: a file; stays the caller's, and open until vmx_saved_close()
 * @config: filled in
 *
 * All of it is read and checked but the guest's memory, which is left in the file.
 *
 * Return: 0, -EINVAL (it is none, is damaged, or has a version that is not known),
 * or another -errno; vmx_error() says which section is at fault.
 */
int vmx_saved_open(struct vmx_saved **saved, int fd,
		   struct vmx_saved_config *config);

/**
 * vmx_saved_check_memory() - compare the guest's memory with its checksum
 * @saved: the stream
 *
 * This reads all of it, which vmx_machine_restore() does not.
 *
 * Return: 0 or -errno.
 */
int vmx_saved_check_memory(struct vmx_saved *saved);

/**
 * vmx_saved_base() - where is the rest of its memory?
 * @saved: a stream
 *
 * Return: for what vmx_changes_save() wrote, the name of the file in the same folder that has
 * the pages which it lacks; NULL if it lacks none, or has a base already.
 */
const char *vmx_saved_base(const struct vmx_saved *saved);

/**
 * vmx_saved_set_base() - give a stream the rest of its memory
 * @saved: the stream
 * @base: that of the file which vmx_saved_base() names, which may need a base as well. It is
 *	closed with @saved, and its file stays open until then
 *
 * Return: 0, -EINVAL (it is another file than the one that was there).
 */
int vmx_saved_set_base(struct vmx_saved *saved, struct vmx_saved *base);

struct vmx_changes;

/**
 * vmx_changes_begin() - note what is written to memory from now on
 * @changes: out
 * @machine: the machine; it cannot be migrated meanwhile
 *
 * It costs what the module's dirty log costs; see VMX_MMU_LOG.
 *
 * Return: 0 or -errno.
 */
int vmx_changes_begin(struct vmx_changes **changes, struct vmx_machine *machine);

/**
 * vmx_changes_save() - save a machine, or what changed since the last time
 * @changes: what was written since
 * @fd: an empty regular file; stays the caller's
 * @base: the name of the file that the last vmx_changes_keep() was about, which will be in the
 *	same folder; NULL to save all
 *
 * Return: as vmx_machine_save().
 */
int vmx_changes_save(struct vmx_changes *changes, int fd, const char *base);

/**
 * vmx_changes_keep() - the next file has what changes from here on
 * @changes: what vmx_changes_save() succeeded for; the machine is paused still
 */
void vmx_changes_keep(struct vmx_changes *changes);

/**
 * vmx_changes_end() - note nothing any more
 * @changes: it, or NULL
 */
void vmx_changes_end(struct vmx_changes *changes);

/**
 * vmx_machine_save() - write a machine's state into a file
 * @machine: the machine; paused, and stays so
 * @fd: an empty regular file; stays the caller's
 *
 * The contents of disks are not in it. Zero pages of memory become holes of the file.
 *
 * The machine's lock is free while memory is written, and vmx_machine_stop() ends the
 * writing soon. vmx_machine_free() has to wait for the return.
 *
 * Return: 0, and then all of it is on the host's disk; -ESHUTDOWN (the machine has
 * ended), -EBUSY (the machine runs, or a debugger has it), -EINVAL (the file is not
 * empty, or is not a regular one), -EOPNOTSUPP (a device cannot be saved; vmx_error()
 * names it), or another -errno.
 */
int vmx_machine_save(struct vmx_machine *machine, int fd);

/**
 * vmx_machine_restore() - put a saved state into a machine, in place of a kernel
 * @machine: the machine; new, with the devices that the saved one had, in their order
 * @saved: the stream
 *
 * Memory is mapped from the file: pages come in as they are touched, and those that the
 * guest writes are copied. Machines that are restored from a file at the same time share
 * the others. Nobody may change the file meanwhile.
 *
 * The machine is paused: vmx_machine_resume() lets the guest go on, before or after
 * vmx_machine_run().
 *
 * Return: 0; -EINVAL (the stream is not of such a machine), -EOPNOTSUPP (the guest uses
 * what this CPU does not have), or another -errno. vmx_error() says what is missing.
 * After an error the machine can only be freed.
 */
int vmx_machine_restore(struct vmx_machine *machine, struct vmx_saved *saved);

/**
 * vmx_saved_close() - forget a stream
 * @saved: the stream, or NULL; a machine that it was restored to goes on
 */
void vmx_saved_close(struct vmx_saved *saved);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_SAVED_H */
