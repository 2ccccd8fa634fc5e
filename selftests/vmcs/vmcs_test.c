// SPDX-License-Identifier: GPL-2.0
/* VMCS objects: the policy of every field, batches, dumps, checks, states. */
#include "lib/vmx_test.h"

#define FIELDS_MAX 512

FIXTURE(vmcs) {
	struct vmx_vm vm;
	int fd;
	struct vmx_field_info info[FIELDS_MAX];
	uint32_t count;
};

static int dump(int fd, struct vmx_field_info *info, uint32_t *count)
{
	struct vmx_vmcs_dump dump = {
		.size = sizeof(dump), .fields = (uintptr_t)info, .count = *count,
	};

	if (ioctl(fd, VMX_VMCS_DUMP, &dump))
		return -errno;
	*count = dump.count;
	return 0;
}

FIXTURE_SETUP(vmcs)
{
	ASSERT_VMX(vmx_vm_open(&self->vm, 0));
	self->fd = vmx_vmcs_open(&self->vm);
	ASSERT_LE(0, self->fd) { TH_LOG("%s", vmx_error()); }
	self->count = FIELDS_MAX;
	ASSERT_EQ(0, dump(self->fd, self->info, &self->count));
	ASSERT_GT(FIELDS_MAX, self->count);
}

FIXTURE_TEARDOWN(vmcs)
{
	close(self->fd);
	vmx_vm_close(&self->vm);
}

/* Bits that a field's width has. */
static uint64_t width_mask(uint32_t field)
{
	switch (field & VMX_F_WIDTH_MASK) {
	case VMX_F_WIDTH_16:
		return 0xffff;
	case VMX_F_WIDTH_32:
		return 0xffffffff;
	default:
		return ~0ull;
	}
}

/* One field, raw: returns the refusal, or VMX_REFUSED_NOT, or -errno. */
static int field_io(int fd, unsigned long request, struct vmx_field *field, uint64_t *bad_bits)
{
	struct vmx_vmcs_io io = { .size = sizeof(io), .fields = (uintptr_t)field, .count = 1 };

	if (!ioctl(fd, request, &io))
		return VMX_REFUSED_NOT;
	if (errno != EACCES)
		return -errno;
	if (bad_bits)
		*bad_bits = io.bad_bits;
	return io.bad_reason;
}

static int write_field(int fd, uint32_t encoding, uint64_t value, struct vmx_field *field,
		       uint64_t *bad_bits)
{
	*field = (struct vmx_field){ .field = encoding, .value = value };
	return field_io(fd, VMX_VMCS_WRITE, field, bad_bits);
}

static bool writable(const struct vmx_field_info *info)
{
	return info->owner == VMX_OWNER_USER || info->owner == VMX_OWNER_SHARED;
}

TEST_F(vmcs, dump_is_complete_and_consistent)
{
	/* One of each kind that every CPU with VMX has. */
	static const uint32_t some[] = {
		VMX_F_GUEST_ES_SELECTOR, VMX_F_HOST_ES_SELECTOR, VMX_F_EXIT_MSR_STORE_ADDR,
		VMX_F_VMCS_LINK_POINTER, VMX_F_PIN_CONTROLS, VMX_F_EXIT_REASON,
		VMX_F_GUEST_ES_LIMIT, VMX_F_HOST_SYSENTER_CS, VMX_F_CR0_MASK,
		VMX_F_EXIT_QUALIFICATION, VMX_F_GUEST_CR0, VMX_F_HOST_RIP,
	};
	struct vmx_field_info *info = self->info;

	for (size_t n = 0; n < TEST_COUNT(some); n++) {
		uint32_t i = 0;

		while (i < self->count && info[i].field != some[n])
			i++;
		EXPECT_LT(i, self->count) { TH_LOG("no field %#x", some[n]); }
	}
	for (uint32_t n = 0; n < self->count; n++) {
		uint64_t width = width_mask(info[n].field);

		EXPECT_LE(info[n].owner, VMX_OWNER_MODULE);
		EXPECT_EQ(0, info[n].field & VMX_F_HIGH);
		EXPECT_EQ(0, info[n].value & ~width);
		EXPECT_EQ(0, info[n].may & ~width);
		EXPECT_EQ(0, info[n].must & ~info[n].may && writable(&info[n]));
		if (info[n].masked) {
			EXPECT_EQ(0, info[n].value);
		}
		if (!writable(&info[n])) {
			EXPECT_EQ(0, info[n].may);
		}
		for (uint32_t i = 0; i < n; i++) {
			EXPECT_NE(info[i].field, info[n].field);
		}
	}
}

TEST_F(vmcs, dump_never_shows_host_state)
{
	for (uint32_t n = 0; n < self->count; n++) {
		if ((self->info[n].field & VMX_F_TYPE_MASK) != VMX_F_TYPE_HOST)
			continue;
		EXPECT_EQ((uint32_t)VMX_OWNER_MODULE, self->info[n].owner);
		EXPECT_EQ(1, self->info[n].masked) { TH_LOG("field %#x", self->info[n].field); }
	}
}

TEST_F(vmcs, dump_fills_what_fits)
{
	struct vmx_field_info info[4] = { 0 };
	uint32_t count = 3;

	ASSERT_EQ(0, dump(self->fd, info, &count));
	EXPECT_EQ(self->count, count);
	EXPECT_EQ(self->info[2].field, info[2].field);
	EXPECT_EQ(0, info[3].field);
	count = 0;
	ASSERT_EQ(0, dump(self->fd, NULL, &count));
	EXPECT_EQ(self->count, count);
}

/* Every bit of every field: what may be 1 can be written, what may not is refused by name. */
TEST_F(vmcs, policy_bit_by_bit)
{
	for (uint32_t n = 0; n < self->count; n++) {
		const struct vmx_field_info *info = &self->info[n];
		struct vmx_field field;
		uint64_t bad;

		if (!writable(info))
			continue;
		for (unsigned int bit = 0; bit < 64; bit++) {
			uint64_t value = 1ull << bit;
			int refusal = write_field(self->fd, info->field, value, &field, &bad);

			if (info->may & value) {
				EXPECT_EQ(VMX_REFUSED_NOT, refusal) {
					TH_LOG("field %#x bit %u", info->field, bit);
				}
				continue;
			}
			/* Not even the module's own bits are changed silently. */
			if (refusal == VMX_REFUSED_NOT) {
				EXPECT_EQ(value, field.forced & value) {
					TH_LOG("field %#x bit %u", info->field, bit);
				}
				continue;
			}
			EXPECT_EQ(VMX_REFUSED_BITS, refusal) {
				TH_LOG("field %#x bit %u", info->field, bit);
			}
			if (refusal == VMX_REFUSED_BITS) {
				EXPECT_EQ(value, bad) { TH_LOG("field %#x", info->field); }
			}
		}
	}
}

/*
 * What a read finds after a write. Exceptions that the module intercepts for
 * itself are not the user's: it hands them back to the guest.
 */
static uint64_t reads_as(const struct vmx_field *written)
{
	if (written->field == VMX_F_EXCEPTION_BITMAP)
		return written->value ^ written->forced;
	return written->value;
}

/* The bits that the module holds are told, and what is told is what a read finds. */
TEST_F(vmcs, forced_bits)
{
	uint64_t seed = test_seed();

	for (uint32_t n = 0; n < self->count; n++) {
		const struct vmx_field_info *info = &self->info[n];
		uint64_t values[] = { 0, info->must, info->may, test_random(&seed) & info->may };
		struct vmx_field written, read;

		if (!writable(info))
			continue;
		for (size_t i = 0; i < TEST_COUNT(values); i++) {
			if (write_field(self->fd, info->field, values[i], &written, NULL))
				continue;
			EXPECT_EQ(info->must, written.value & info->must) {
				TH_LOG("field %#x, wrote %#llx", info->field,
				       (unsigned long long)values[i]);
			}
			EXPECT_EQ(values[i] ^ written.value, written.forced);
			read = (struct vmx_field){ .field = info->field };
			EXPECT_EQ(0, field_io(self->fd, VMX_VMCS_READ, &read, NULL));
			EXPECT_EQ(reads_as(&written), read.value) {
				TH_LOG("field %#x", info->field);
			}
			EXPECT_EQ(0, read.forced);
		}
	}
}

/* Fields do not run into each other: each keeps its value while the others are written. */
TEST_F(vmcs, fields_are_independent)
{
	uint64_t seed = test_seed(), values[FIELDS_MAX] = { 0 };
	struct vmx_field field;

	for (uint32_t n = 0; n < self->count; n++) {
		const struct vmx_field_info *info = &self->info[n];

		if (!writable(info))
			continue;
		if (write_field(self->fd, info->field, test_random(&seed) & info->may, &field,
				NULL))
			write_field(self->fd, info->field, info->must, &field, NULL);
		values[n] = reads_as(&field);
	}
	for (uint32_t n = 0; n < self->count; n++) {
		if (!writable(&self->info[n]))
			continue;
		field = (struct vmx_field){ .field = self->info[n].field };
		ASSERT_EQ(0, field_io(self->fd, VMX_VMCS_READ, &field, NULL));
		EXPECT_EQ(values[n], field.value) { TH_LOG("field %#x", field.field); }
	}
}

TEST_F(vmcs, other_owners_refuse)
{
	for (uint32_t n = 0; n < self->count; n++) {
		const struct vmx_field_info *info = &self->info[n];
		struct vmx_field field = { .field = info->field };

		if (writable(info))
			continue;
		if (info->owner == VMX_OWNER_CPU) {
			EXPECT_EQ(VMX_REFUSED_READ_ONLY,
				  write_field(self->fd, info->field, 0, &field, NULL));
			EXPECT_EQ(0, field_io(self->fd, VMX_VMCS_READ, &field, NULL));
			continue;
		}
		EXPECT_EQ(VMX_REFUSED_MODULE, field_io(self->fd, VMX_VMCS_READ, &field, NULL)) {
			TH_LOG("field %#x", info->field);
		}
		EXPECT_EQ(VMX_REFUSED_MODULE, write_field(self->fd, info->field, 0, &field, NULL)) {
			TH_LOG("field %#x", info->field);
		}
	}
}

/* All 32,768 encodings, and some that no CPU will ever have: only what the dump lists is there. */
TEST_F_TIMEOUT(vmcs, unknown_encodings, 300)
{
	bool known[0x8000] = { false };
	static const uint32_t wide[] = { 0x8000, 0x10000, 0x16800, 0x80000000, 0xffffffff };
	struct vmx_field field;
	int got;

	for (uint32_t n = 0; n < self->count; n++)
		known[self->info[n].field] = true;
	for (uint32_t e = 0; e < 0x8000; e++) {
		bool high = e & VMX_F_HIGH && known[e & ~VMX_F_HIGH] &&
			    (e & VMX_F_WIDTH_MASK) == VMX_F_WIDTH_64;

		if (!(e & 0xfff))
			TH_LOG("%#x of 0x8000", e);
		if (known[e])
			continue;
		field = (struct vmx_field){ .field = e };
		got = field_io(self->fd, VMX_VMCS_READ, &field, NULL);
		EXPECT_EQ(high ? VMX_REFUSED_HIGH : VMX_REFUSED_UNKNOWN, got) {
			TH_LOG("read of %#x", e);
		}
		got = write_field(self->fd, e, 0, &field, NULL);
		EXPECT_EQ(high ? VMX_REFUSED_HIGH : VMX_REFUSED_UNKNOWN, got) {
			TH_LOG("write of %#x", e);
		}
	}
	for (size_t n = 0; n < TEST_COUNT(wide); n++) {
		field = (struct vmx_field){ .field = wide[n] };
		EXPECT_EQ(VMX_REFUSED_UNKNOWN, field_io(self->fd, VMX_VMCS_READ, &field, NULL));
	}
}

TEST_F(vmcs, batch_is_all_or_nothing)
{
	struct vmx_field batch[] = {
		{ .field = VMX_F_GUEST_RIP, .value = 0x1111 },
		{ .field = VMX_F_GUEST_RSP, .value = 0x2222 },
		{ .field = VMX_F_HOST_RIP, .value = 0x3333 },
		{ .field = VMX_F_GUEST_CR3, .value = 0x4000 },
	};
	struct vmx_vmcs_io io = {
		.size = sizeof(io), .fields = (uintptr_t)batch, .count = TEST_COUNT(batch),
	};
	uint64_t rip, rsp;

	ASSERT_VMX(vmx_field_set(self->fd, VMX_F_GUEST_RIP, 0xaaaa));
	ASSERT_VMX(vmx_field_set(self->fd, VMX_F_GUEST_RSP, 0xbbbb));
	ASSERT_ERRNO(EACCES, ioctl(self->fd, VMX_VMCS_WRITE, &io));
	EXPECT_EQ(2, io.bad_index);
	EXPECT_EQ(VMX_REFUSED_MODULE, io.bad_reason);
	ASSERT_VMX(vmx_field_get(self->fd, VMX_F_GUEST_RIP, &rip));
	ASSERT_VMX(vmx_field_get(self->fd, VMX_F_GUEST_RSP, &rsp));
	EXPECT_EQ(0xaaaa, rip);
	EXPECT_EQ(0xbbbb, rsp);

	batch[2].field = VMX_F_GUEST_RIP;
	EXPECT_EQ(0, ioctl(self->fd, VMX_VMCS_WRITE, &io));
	ASSERT_VMX(vmx_field_get(self->fd, VMX_F_GUEST_RIP, &rip));
	EXPECT_EQ(0x3333, rip);
}

TEST_F(vmcs, batch_limits)
{
	struct vmx_field batch[VMX_VMCS_BATCH_MAX + 1];
	struct vmx_vmcs_io io = { .size = sizeof(io), .fields = (uintptr_t)batch };

	for (size_t n = 0; n < TEST_COUNT(batch); n++)
		batch[n] = (struct vmx_field){ .field = VMX_F_GUEST_RIP };
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, VMX_VMCS_READ, &io));
	io.count = VMX_VMCS_BATCH_MAX;
	EXPECT_EQ(0, ioctl(self->fd, VMX_VMCS_READ, &io));
	io.count++;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, VMX_VMCS_READ, &io));
	io.count = 1;
	batch[0].reserved = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, VMX_VMCS_READ, &io));
	batch[0].reserved = 0;
	io.fields = 8;
	EXPECT_ERRNO(EFAULT, ioctl(self->fd, VMX_VMCS_READ, &io));
}

TEST_F(vmcs, library_says_which_field)
{
	EXPECT_EQ(-EACCES, vmx_field_set(self->fd, VMX_F_HOST_CR3, 0));
	EXPECT_NE(NULL, strstr(vmx_error(), "0x6c02")) { TH_LOG("%s", vmx_error()); }
	EXPECT_NE(NULL, strstr(vmx_error(), "module")) { TH_LOG("%s", vmx_error()); }
}

/* What VM entry would say, without entering; the check changes nothing. */
TEST_F(vmcs, check_finds_what_is_wrong)
{
	static const struct {
		uint32_t field;
		uint64_t clear, set;
		uint32_t check;
	} wrong[] = {
		{ VMX_F_GUEST_RFLAGS, 1 << 1, 0, VMX_CHECK_RFLAGS_RESERVED },
		{ VMX_F_GUEST_CR0, 1 << 0, 0, VMX_CHECK_GUEST_CR0 },
		{ VMX_F_GUEST_CR4, 1 << 5, 0, VMX_CHECK_GUEST_IA32E_PAE },
		{ VMX_F_GUEST_CR3, 0, 1ull << 52, VMX_CHECK_GUEST_CR3 },
		{ VMX_F_GUEST_CS_ACCESS, 0, VMX_ACCESS_DB, VMX_CHECK_CS_DB },
		{ VMX_F_GUEST_SS_ACCESS, 0xf, 0x9, VMX_CHECK_SS_TYPE },
		{ VMX_F_GUEST_TR_ACCESS, 0, VMX_ACCESS_UNUSABLE, VMX_CHECK_TR_UNUSABLE },
		{ VMX_F_GUEST_RIP, 0, 1ull << 62, VMX_CHECK_RIP_CANONICAL },
		{ VMX_F_GUEST_GDTR_BASE, 0, 1ull << 62, VMX_CHECK_TABLE_BASE },
		{ VMX_F_GUEST_INTERRUPTIBILITY, 0, 3, VMX_CHECK_BLOCKING_BOTH },
		{ VMX_F_GUEST_DS_ACCESS, 0, 0xf00, VMX_CHECK_SEGMENT_RESERVED },
	};
	struct vmx_failure failure;
	uint64_t before, after;

	ASSERT_VMX(vmx_set_mode(&self->vm, self->fd, VMX_MODE_LONG, TEST_CODE, TEST_STACK));
	for (size_t n = 0; n < TEST_COUNT(wrong); n++) {
		ASSERT_VMX(vmx_vmcs_check(self->fd, &failure));
		ASSERT_EQ((uint32_t)VMX_CHECK_NONE, failure.check) {
			char text[512];

			TH_LOG("%s", vmx_explain_failure(&failure, text, sizeof(text)));
		}
		ASSERT_VMX(vmx_field_get(self->fd, wrong[n].field, &before));
		if (vmx_field_change(self->fd, wrong[n].field, wrong[n].clear, wrong[n].set)) {
			TH_LOG("step %zu: %s", n, vmx_error());
			continue;
		}
		ASSERT_VMX(vmx_field_get(self->fd, wrong[n].field, &after));
		EXPECT_EQ((before & ~wrong[n].clear) | wrong[n].set, after);
		ASSERT_VMX(vmx_vmcs_check(self->fd, &failure));
		EXPECT_EQ(wrong[n].check, failure.check) { TH_LOG("step %zu", n); }
		EXPECT_EQ(wrong[n].field, failure.field) { TH_LOG("step %zu", n); }
		EXPECT_EQ(after, failure.value);
		EXPECT_EQ(0, failure.error);
		ASSERT_VMX(vmx_field_set(self->fd, wrong[n].field, before));
	}
}

TEST_F(vmcs, clear_keeps_fields)
{
	struct vmx_vmcs_state state = { .size = sizeof(state) };
	struct vmx_vmcs_clear clear = { .size = sizeof(clear) };
	uint64_t rip;

	ASSERT_VMX(vmx_field_set(self->fd, VMX_F_GUEST_RIP, 0x123456));
	ASSERT_EQ(0, ioctl(self->fd, VMX_VMCS_CLEAR, &clear));
	ASSERT_EQ(0, ioctl(self->fd, VMX_VMCS_STATE, &state));
	EXPECT_EQ(0, state.active);
	EXPECT_EQ(-1, state.cpu);
	EXPECT_EQ(0, state.launched);
	EXPECT_EQ(0, state.attached);
	ASSERT_VMX(vmx_field_get(self->fd, VMX_F_GUEST_RIP, &rip));
	EXPECT_EQ(0x123456, rip);
	ASSERT_EQ(0, ioctl(self->fd, VMX_VMCS_CLEAR, &clear));
	ASSERT_EQ(0, ioctl(self->fd, VMX_VMCS_CLEAR, &clear));
}

VMX_TEST_MAIN
