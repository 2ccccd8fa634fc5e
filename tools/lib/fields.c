// SPDX-License-Identifier: LGPL-2.1-or-later
/* VMCS fields: batches, single fields, and the reasons of refusals. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <libvmx.h>

#include "internal.h"

static const char *const refusals[] = {
	[VMX_REFUSED_NOT] = "for no reason given",
	[VMX_REFUSED_UNKNOWN] = "this CPU has no such field",
	[VMX_REFUSED_MODULE] = "the field belongs to the module",
	[VMX_REFUSED_READ_ONLY] = "the CPU writes it at VM exits",
	[VMX_REFUSED_BITS] = "bits of the value are not allowed",
	[VMX_REFUSED_HIGH] = "it is the high half of a 64-bit field; use the full field",
};

/* EACCES: names the field, the reason and the bits. */
static int fail_refused(const char *verb, const struct vmx_vmcs_io *io,
			const struct vmx_field *fields)
{
	const struct vmx_field *bad = &fields[io->bad_index];
	const char *name = vmx_field_name(bad->field);
	const char *reason = "for a reason this library does not know";
	char bits[64] = "";

	if (io->bad_reason < COUNT(refusals))
		reason = refusals[io->bad_reason];
	if (io->bad_reason == VMX_REFUSED_BITS)
		snprintf(bits, sizeof(bits), " (%#llx of %#llx)", (unsigned long long)io->bad_bits,
			 (unsigned long long)bad->value);
	return vmx_fail(EACCES, "cannot %s VMCS field %#06x (%s): %s%s", verb, bad->field,
			name ? name : "unknown", reason, bits);
}

static int fields_io(int vmcs, unsigned long request, const char *verb, struct vmx_field *fields,
		     size_t count)
{
	struct vmx_vmcs_io io = {
		.size = sizeof(io),
		.fields = (uintptr_t)fields,
		.count = count,
	};
	int error;

	if (!ioctl(vmcs, request, &io))
		return 0;
	error = errno;
	if (error == EACCES)
		return fail_refused(verb, &io, fields);
	return vmx_fail(error, "cannot %s VMCS fields: %s", verb, strerror(error));
}

int vmx_fields_set(int vmcs, struct vmx_field *fields, size_t count)
{
	return fields_io(vmcs, VMX_VMCS_WRITE, "write", fields, count);
}

int vmx_fields_get(int vmcs, struct vmx_field *fields, size_t count)
{
	return fields_io(vmcs, VMX_VMCS_READ, "read", fields, count);
}

int vmx_field_set(int vmcs, uint32_t field, uint64_t value)
{
	struct vmx_field one = { .field = field, .value = value };

	return vmx_fields_set(vmcs, &one, 1);
}

int vmx_field_get(int vmcs, uint32_t field, uint64_t *value)
{
	struct vmx_field one = { .field = field };
	int ret = vmx_fields_get(vmcs, &one, 1);

	if (!ret)
		*value = one.value;
	return ret;
}

int vmx_field_change(int vmcs, uint32_t field, uint64_t clear, uint64_t set)
{
	uint64_t value;
	int ret = vmx_field_get(vmcs, field, &value);

	return ret ? ret : vmx_field_set(vmcs, field, (value & ~clear) | set);
}

int vmx_vmcs_check(int vmcs, struct vmx_failure *failure)
{
	struct vmx_vmcs_check check = { .size = sizeof(check) };
	int error;

	if (!ioctl(vmcs, VMX_VMCS_CHECK, &check)) {
		*failure = check.failure;
		return 0;
	}
	error = errno;
	return vmx_fail(error, "cannot check the VMCS: %s", strerror(error));
}
