// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes VMCS fields for userspace. fields.c judges values; this file
 * applies them to a VMCS.
 */
#include <linux/cpu.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "../paging/paging.h"
#include "caps.h"
#include "fields.h"
#include "host.h"
#include "ops.h"
#include "paging.h"
#include "vmcs.h"
#include "vmx.h"

/**
 * vmx_vmcs_read() - what userspace has in a field
 * @vmcs: the VMCS, locked and current
 * @field: its encoding
 *
 * RUN switches some bits of the controls by itself; these are not the user's to
 * see, or to write back.
 *
 * Context: preemption off.
 * Return: the value.
 */
u64 vmx_vmcs_read(const struct vmx_vmcs *vmcs, u32 field)
{
	u64 value;

	if (vmcs->paging && vmx_paging_read(vmcs, field, &value))
		return value;
	switch (field) {
	case VMX_F_PIN_CONTROLS:
		return vmcs->pin_ctls;
	case VMX_F_CPU_CONTROLS:
		return vmcs->cpu_ctls;
	case VMX_F_EXCEPTION_BITMAP:
		return vmcs->exceptions;
	case VMX_F_GUEST_DEBUGCTL:
		return vmx_insn_vmread(field) & ~(u64)vmcs->debugctl_must;
	default:
		return vmx_insn_vmread(field);
	}
}

static struct vmx_field_ctx field_ctx(const struct vmx_vmcs *vmcs)
{
	return (struct vmx_field_ctx) {
		.caps = &vmx_caps,
		.cpu2_must = vmcs->cpu2_must,
		.host_cr4 = vmx_host_cr4(),
	};
}

/**
 * vmx_vmcs_get() - make a VMCS current, whatever CPU this is
 * @vmcs: the VMCS, locked
 *
 * Waits for the scheduler to move the caller away from a CPU that is going
 * offline.
 *
 * Context: may sleep. On success preemption is off until vmx_vmcs_unget().
 * Return: 0, or -EIO if VMX was switched off.
 */
int vmx_vmcs_get(struct vmx_vmcs *vmcs)
{
	int r;

	for (;;) {
		preempt_disable();
		r = vmx_region_load(&vmcs->region);
		if (r > 0)
			r = vmx_host_write_cpu(vmcs);
		if (!r)
			return 0;
		preempt_enable();
		if (r != -EAGAIN)
			return r;
		schedule_timeout_uninterruptible(1);
	}
}

void vmx_vmcs_unget(void)
{
	preempt_enable();
}

static bool syscall_possible(const struct vmx_vmcs *vmcs)
{
	if (!(vmcs->entry_ctls & VMX_ENTRY_CTL_LOAD_EFER))
		return true;
	return vmcs->efer & EFER_SCE &&
	       (vmcs->entry_ctls & VMX_ENTRY_CTL_IA32E_MODE_GUEST ||
		vmcs->efer & (EFER_LME | EFER_LMA));
}

/**
 * vmx_vmcs_note() - keep what RUN wants to know of a field without a VMREAD
 * @vmcs: the VMCS, locked and current
 * @field: its encoding
 * @value: what was written
 * @asked: what was asked for
 *
 * Context: preemption off.
 */
void vmx_vmcs_note(struct vmx_vmcs *vmcs, u32 field, u64 value, u64 asked)
{
	switch (field) {
	case VMX_F_PIN_CONTROLS:
		vmcs->pin_ctls = value;
		vmcs->region.pin_in_force = value;
		break;
	case VMX_F_CPU_CONTROLS:
		vmcs->cpu_ctls = value;
		vmcs->region.cpu_in_force = value;
		break;
	case VMX_F_CPU2_CONTROLS:
		vmcs->mode_exec = value & VMX_CPU2_MODE_BASED_EXEC;
		vmcs->rdtscp = value & VMX_CPU2_RDTSCP;
		break;
	case VMX_F_ENTRY_CONTROLS:
		vmcs->entry_ctls = value;
		vmcs->syscall = syscall_possible(vmcs);
		break;
	case VMX_F_TSC_OFFSET:
		vmcs->tsc_offset = value;
		break;
	case VMX_F_GUEST_EFER:
		vmcs->efer = value;
		vmcs->syscall = syscall_possible(vmcs);
		fallthrough;
	case VMX_F_GUEST_CR0:
	case VMX_F_GUEST_CR3:
	case VMX_F_GUEST_CR4:
	case VMX_F_GUEST_PDPTE0:
	case VMX_F_GUEST_PDPTE1:
	case VMX_F_GUEST_PDPTE2:
	case VMX_F_GUEST_PDPTE3:
		if (vmcs->vcpu)
			vmx_vpid_forget(vmcs->vcpu);
		break;
	case VMX_F_EXCEPTION_BITMAP:
		vmcs->exceptions = asked;
		break;
	case VMX_F_GUEST_DR7:
		/* L0 to G3 enable breakpoints (SDM, "Debug Control Register (DR7)") */
		vmcs->debug = value & 0xff;
		break;
	}
}

/**
 * vmx_vmcs_write() - write a field whose value was judged
 * @vmcs: the VMCS, locked and current
 * @field: its encoding
 * @value: what to write
 * @asked: what userspace asked for
 *
 * Context: preemption off.
 */
void vmx_vmcs_write(struct vmx_vmcs *vmcs, u32 field, u64 value, u64 asked)
{
	if (!vmcs->paging || !vmx_paging_write(vmcs, field, value))
		vmx_insn_vmwrite(field, value |
				 (field == VMX_F_CPU_CONTROLS ? vmcs->cpu_must :
				  field == VMX_F_GUEST_DEBUGCTL ? vmcs->debugctl_must : 0));
	vmx_vmcs_note(vmcs, field, value, asked);
}

/**
 * vmx_vmcs_judge() - may userspace write this?
 * @vmcs: the VMCS, locked and current
 * @field: its encoding
 * @value: in, what is asked for; out, with the forced bits
 *
 * Context: preemption off.
 * Return: %VMX_REFUSED_NOT, or why not.
 */
enum vmx_refusal vmx_vmcs_judge(struct vmx_vmcs *vmcs, u32 field, u64 *value)
{
	struct vmx_field_ctx ctx = field_ctx(vmcs);
	u64 forced, bad;

	/* The module keeps it, whether or not the CPU has a field for it. */
	if (vmcs->paging && field == VMX_F_GUEST_EFER)
		return *value & ~paging_efer_bits() ? VMX_REFUSED_BITS : VMX_REFUSED_NOT;
	return vmx_field_judge(vmx_field_find(field), &ctx, value, &forced, &bad);
}

/**
 * vmx_vmcs_set() - write a field for userspace, as VMCS_WRITE would
 * @vmcs: the VMCS, locked and current
 * @field: its encoding
 * @value: what is asked for; forced bits are added
 *
 * Context: preemption off.
 * Return: %VMX_REFUSED_NOT, or why nothing was written.
 */
enum vmx_refusal vmx_vmcs_set(struct vmx_vmcs *vmcs, u32 field, u64 value)
{
	u64 asked = value;
	enum vmx_refusal refusal = vmx_vmcs_judge(vmcs, field, &value);

	if (!refusal)
		vmx_vmcs_write(vmcs, field, value, asked);
	return refusal;
}

/**
 * vmx_vmcs_init_fields() - give a new VMCS its first values
 * @vmcs: the VMCS, not yet visible to anyone
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int vmx_vmcs_init_fields(struct vmx_vmcs *vmcs)
{
	struct vmx_field_ctx ctx;
	unsigned int i;
	int err;

	err = vmx_vmcs_get(vmcs);
	if (err)
		return err;
	ctx = field_ctx(vmcs);
	for (i = 0; i < vmx_field_count; i++) {
		const struct vmx_field_desc *desc = vmx_field_at(i);

		if (desc->owner != VMX_OWNER_CPU &&
		    vmx_field_exists(desc, &vmx_caps))
			vmx_vmcs_write(vmcs, desc->field,
				       vmx_field_default(desc, &ctx), 0);
	}
	vmx_host_write_constant(vmcs);
	vmx_host_write_cpu(vmcs);
	vmx_vmcs_unget();
	return 0;
}

/* Only 64-bit fields have a high half. */
static bool is_high(u32 field)
{
	const struct vmx_field_desc *desc = vmx_field_find(field & ~VMX_F_HIGH);

	return field & VMX_F_HIGH &&
	       (field & VMX_F_WIDTH_MASK) == VMX_F_WIDTH_64 &&
	       desc && vmx_field_exists(desc, &vmx_caps);
}

static enum vmx_refusal judge_read(u32 field)
{
	const struct vmx_field_desc *desc = vmx_field_find(field);

	if (is_high(field))
		return VMX_REFUSED_HIGH;
	if (!desc || !vmx_field_exists(desc, &vmx_caps))
		return VMX_REFUSED_UNKNOWN;
	return desc->owner == VMX_OWNER_MODULE ? VMX_REFUSED_MODULE :
						 VMX_REFUSED_NOT;
}

static void refuse_field(struct vmx_vmcs_io *io, unsigned int index,
			 enum vmx_refusal reason)
{
	io->bad_index = index;
	io->bad_reason = reason;
}

static int read_batch(struct vmx_vmcs *vmcs, struct vmx_vmcs_io *io,
		      struct vmx_field *fields)
{
	enum vmx_refusal reason;
	unsigned int i;
	int err;

	for (i = 0; i < io->count; i++) {
		reason = judge_read(fields[i].field);
		if (reason) {
			refuse_field(io, i, reason);
			return -EACCES;
		}
	}
	err = vmx_vmcs_get(vmcs);
	if (err)
		return err;
	for (i = 0; i < io->count; i++) {
		fields[i].value = vmx_vmcs_read(vmcs, fields[i].field);
		fields[i].forced = 0;
	}
	vmx_vmcs_unget();
	return 0;
}

/* Leaves in each entry what is to be written, and how that differs. */
static int judge_loaded(struct vmx_vmcs *vmcs, struct vmx_vmcs_io *io,
			struct vmx_field *fields)
{
	struct vmx_field_ctx ctx = field_ctx(vmcs);
	enum vmx_refusal reason;
	unsigned int i;

	for (i = 0; i < io->count; i++) {
		struct vmx_field *f = &fields[i];

		reason = vmx_field_judge(vmx_field_find(f->field), &ctx,
					 &f->value, &f->forced, &io->bad_bits);
		if (reason == VMX_REFUSED_UNKNOWN)
			reason = judge_read(f->field);
		if (reason) {
			refuse_field(io, i, reason);
			return -EACCES;
		}
	}
	return 0;
}

static int judge_batch(struct vmx_vmcs *vmcs, struct vmx_vmcs_io *io,
		       struct vmx_field *fields)
{
	int err = vmx_vmcs_get(vmcs);

	if (err)
		return err;
	err = judge_loaded(vmcs, io, fields);
	vmx_vmcs_unget();
	return err;
}

/* What the fields were judged for must be as it was, or others used the VMCS since. */
static int write_batch(struct vmx_vmcs *vmcs, const struct vmx_field *fields,
		       unsigned int count, u32 cpu2_must)
{
	unsigned int i;
	int err;

	if (vmcs->cpu2_must != cpu2_must)
		return -EBUSY;
	err = vmx_vmcs_get(vmcs);
	if (err)
		return err;
	for (i = 0; i < count; i++)
		vmx_vmcs_write(vmcs, fields[i].field, fields[i].value,
			       fields[i].value ^ fields[i].forced);
	vmx_vmcs_unget();
	return 0;
}

static int check_batch(const struct vmx_field *fields, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (fields[i].reserved)
			return -EINVAL;
	return 0;
}

/*
 * The answer goes out first, so that a caller who cannot be answered has changed
 * nothing, and without the lock, so that nobody waits for the caller's memory.
 */
static int io_locked(struct vmx_vmcs *vmcs, struct vmx_vmcs_io *io,
		     struct vmx_field *fields, void __user *arg, bool write)
{
	u32 cpu2_must;
	int err;

	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	cpu2_must = vmcs->cpu2_must;
	err = write ? judge_batch(vmcs, io, fields) : read_batch(vmcs, io, fields);
	vmx_vmcs_unlock(vmcs);
	if (!err)
		err = base_to_user(u64_to_user_ptr(io->fields), fields,
				   io->count * sizeof(*fields));
	if (!err || err == -EACCES)
		err = base_copy_out(arg, io, sizeof(*io)) ?: err;
	if (err || !write)
		return err;
	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	err = write_batch(vmcs, fields, io->count, cpu2_must);
	vmx_vmcs_unlock(vmcs);
	return err;
}

static long ioctl_io(struct vmx_vmcs *vmcs, void __user *arg, bool write)
{
	struct vmx_vmcs_io io;
	struct vmx_field *fields;
	long err;

	err = base_copy_in(&io, sizeof(io), arg, sizeof(io));
	if (err)
		return err;
	if (io.flags)
		return -EOPNOTSUPP;
	if (io.reserved || !io.count || io.count > VMX_VMCS_BATCH_MAX)
		return -EINVAL;
	io.bad_index = 0;
	io.bad_reason = VMX_REFUSED_NOT;
	io.bad_bits = 0;
	fields = base_dup_user(u64_to_user_ptr(io.fields), io.count * sizeof(*fields));
	if (IS_ERR(fields))
		return PTR_ERR(fields);
	err = check_batch(fields, io.count);
	if (!err)
		err = io_locked(vmcs, &io, fields, arg, write);
	kvfree(fields);
	return err;
}

static void describe_field(struct vmx_vmcs *vmcs, const struct vmx_field_desc *desc,
			   const struct vmx_field_ctx *ctx,
			   struct vmx_field_info *info)
{
	*info = (struct vmx_field_info) {
		.field = desc->field,
		.owner = desc->owner,
		.masked = desc->owner == VMX_OWNER_MODULE,
	};
	if (vmx_field_rule(desc, ctx, &info->must, &info->may)) {
		info->must = 0;
		info->may = 0;
	}
	if (!info->masked)
		info->value = vmx_vmcs_read(vmcs, desc->field);
}

/* Returns how many fields there are; fills at most @room of them. */
static unsigned int dump_loaded(struct vmx_vmcs *vmcs,
				struct vmx_field_info *infos, unsigned int room)
{
	struct vmx_field_ctx ctx = field_ctx(vmcs);
	unsigned int i, n = 0;

	for (i = 0; i < vmx_field_count; i++) {
		const struct vmx_field_desc *desc = vmx_field_at(i);

		if (!vmx_field_exists(desc, &vmx_caps))
			continue;
		if (n < room)
			describe_field(vmcs, desc, &ctx, &infos[n]);
		n++;
	}
	return n;
}

static int dump_locked(struct vmx_vmcs *vmcs, struct vmx_field_info *infos,
		       unsigned int room, u32 *count)
{
	int err;

	if (!vmx_vmcs_trylock(vmcs))
		return -EBUSY;
	err = vmx_vmcs_get(vmcs);
	if (!err) {
		*count = dump_loaded(vmcs, infos, room);
		vmx_vmcs_unget();
	}
	vmx_vmcs_unlock(vmcs);
	return err;
}

static long ioctl_dump(struct vmx_vmcs *vmcs, void __user *arg)
{
	struct vmx_vmcs_dump dump;
	struct vmx_field_info *infos;
	unsigned int room;
	long err;

	err = base_copy_in(&dump, sizeof(dump), arg, sizeof(dump));
	if (err)
		return err;
	if (dump.flags)
		return -EOPNOTSUPP;
	if (dump.reserved)
		return -EINVAL;
	room = min(dump.count, vmx_field_count);
	infos = kcalloc(vmx_field_count, sizeof(*infos), GFP_KERNEL_ACCOUNT);
	if (!infos)
		return -ENOMEM;
	err = dump_locked(vmcs, infos, room, &dump.count);
	if (!err)
		err = base_to_user(u64_to_user_ptr(dump.fields), infos,
				   min(room, dump.count) * sizeof(*infos));
	if (!err)
		err = base_copy_out(arg, &dump, sizeof(dump));
	kfree(infos);
	return err;
}

/**
 * vmx_vmcs_fields_ioctl() - the ioctls that look into a VMCS
 * @vmcs: the VMCS; each locks it for as long as it does not touch user memory
 * @cmd: ioctl number
 * @arg: the caller's struct
 *
 * Context: may sleep.
 * Return: what the ioctl returns.
 */
long vmx_vmcs_fields_ioctl(struct vmx_vmcs *vmcs, unsigned int cmd,
			   void __user *arg)
{
	switch (cmd) {
	case VMX_VMCS_READ:
		return ioctl_io(vmcs, arg, false);
	case VMX_VMCS_WRITE:
		return ioctl_io(vmcs, arg, true);
	case VMX_VMCS_DUMP:
		return ioctl_dump(vmcs, arg);
	case VMX_VMCS_CHECK:
		return vmx_vmcs_check(vmcs, arg);
	default:
		return -ENOTTY;
	}
}
