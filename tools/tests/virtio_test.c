// SPDX-License-Identifier: GPL-2.0
/* What all virtio devices have in common, by a device that copies what it reads. */
#include "virtio_echo.h"

FIXTURE(virtio) {
	struct guest guest;
	struct vmx_virtio virtio;
	unsigned char config[6];
};

FIXTURE_SETUP(virtio)
{
	racing = NULL;
	guest_init(&self->guest);
	memcpy(self->config, "\1\2\3\4\5\6", 6);
	ASSERT_EQ(0, vmx_virtio_init(&self->virtio, &kind, &self->guest.machine, 1ull << 40,
				     self->config, sizeof(self->config)));
	guest_probe(&self->guest, &self->virtio);
}

FIXTURE_TEARDOWN(virtio)
{
	vmx_virtio_close(&self->virtio);
	guest_free(&self->guest);
}

#define STATUS_BECOMES(value, expected) do { \
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, value); \
	EXPECT_EQ(expected, status(guest)); \
} while (0)

TEST_F(virtio, identity)
{
	struct guest *guest = &self->guest;

	EXPECT_EQ(0x1af4, config_in(guest, PCI_VENDOR_ID, 2));
	EXPECT_EQ(0x1040 + 42, config_in(guest, PCI_DEVICE_ID, 2));
	EXPECT_LE(1, config_in(guest, PCI_REVISION_ID, 1));
	EXPECT_TRUE(guest->common && guest->isr && guest->config && guest->notify);
	EXPECT_TRUE(guest->window && guest->msix);
	EXPECT_EQ(6, guest->config_size);
	EXPECT_EQ(2, COMMON_IN(VIRTIO_PCI_COMMON_NUMQ, 2));
}

TEST_F(virtio, capabilities)
{
	static const struct {
		unsigned int type, length;
	} all[] = {
		{ VIRTIO_PCI_CAP_COMMON_CFG, 56 }, { VIRTIO_PCI_CAP_ISR_CFG, 1 },
		{ VIRTIO_PCI_CAP_DEVICE_CFG, 6 }, { VIRTIO_PCI_CAP_NOTIFY_CFG, 8 },
		{ VIRTIO_PCI_CAP_PCI_CFG, 0 },
	};
	struct guest *guest = &self->guest;
	unsigned int found = 0;

	EXPECT_EQ(0xff0000, config_in(guest, PCI_CLASS_REVISION, 4) >> 8);
	EXPECT_EQ(0x1af4, config_in(guest, PCI_SUBSYSTEM_VENDOR_ID, 2));
	EXPECT_EQ(1, config_in(guest, PCI_INTERRUPT_PIN, 1));
	EXPECT_EQ(2, config_in(guest, guest->msix + PCI_MSIX_FLAGS, 2) & 0x7ff);
	for (unsigned int at = config_in(guest, PCI_CAPABILITY_LIST, 1); at;
	     at = config_in(guest, at + 1, 1)) {
		unsigned int type = config_in(guest, at + VIRTIO_PCI_CAP_CFG_TYPE, 1);

		if (config_in(guest, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		for (unsigned int n = 0; n < 5; n++) {
			if (type != all[n].type)
				continue;
			EXPECT_EQ(all[n].length, config_in(guest, at + VIRTIO_PCI_CAP_LENGTH, 4));
			EXPECT_EQ(n < 3 ? 16 : 20, config_in(guest, at + 2, 1));
			found++;
		}
	}
	EXPECT_EQ(5, found);
	EXPECT_EQ(4, guest->multiplier);
	/* Between two queues' places nothing is told. */
	guest_start(guest, VERSION_1, SIZE);
	describe(guest, 0, 0, DATA, 4, 0, 0);
	offer(guest, 0, 0);
	for (unsigned int n = 1; n < 12; n++)
		out(guest, guest->notify + n, 1, 0);
	EXPECT_EQ(-1, used(guest, 0, NULL));
}

TEST_F(virtio, registers)
{
	struct guest *guest = &self->guest;

	EXPECT_EQ(1 << 7 | INDIRECT | EVENT_IDX, COMMON_IN(VIRTIO_PCI_COMMON_DF, 4));
	COMMON_OUT(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	EXPECT_EQ(1 << 8 | 1, COMMON_IN(VIRTIO_PCI_COMMON_DF, 4));
	COMMON_OUT(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_DF, 4));
	COMMON_OUT(VIRTIO_PCI_COMMON_GFSELECT, 4, 0xffffffff);
	COMMON_OUT(VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_GF, 4));
	EXPECT_EQ(0, self->virtio.driver_features);

	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	EXPECT_EQ(256, COMMON_IN(VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(1, COMMON_IN(VIRTIO_PCI_COMMON_Q_NOFF, 2));
	EXPECT_EQ(0xffff, COMMON_IN(VIRTIO_PCI_COMMON_Q_MSIX, 2));
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	EXPECT_EQ(2, COMMON_IN(VIRTIO_PCI_COMMON_Q_MSIX, 2));
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_MSIX, 2, 3);
	EXPECT_EQ(0xffff, COMMON_IN(VIRTIO_PCI_COMMON_Q_MSIX, 2));
	COMMON_OUT(VIRTIO_PCI_COMMON_MSIX, 2, 17);
	EXPECT_EQ(0xffff, COMMON_IN(VIRTIO_PCI_COMMON_MSIX, 2));
	/* Addresses by halves or at once, other registers by their own width. */
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x1122334455667788);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x8a0b0c0d);
	EXPECT_EQ(0x8a0b0c0d55667788, COMMON_IN(VIRTIO_PCI_COMMON_Q_DESCLO, 8));
	EXPECT_EQ(0x8a0b0c0d, COMMON_IN(VIRTIO_PCI_COMMON_Q_DESCHI, 4));
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCLO, 2, 0);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCLO + 2, 4, 0);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 4, 0);
	EXPECT_EQ(0x8a0b0c0d55667788, COMMON_IN(VIRTIO_PCI_COMMON_Q_DESCLO, 8));
	/* A queue that is not there. */
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_SIZE, 2));
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCLO, 8, 8);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_DESCLO, 8));
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	EXPECT_EQ(0, status(guest));

	EXPECT_EQ(0x0201, in(guest, guest->config, 2));
	EXPECT_EQ(0x06050403, in(guest, guest->config + 2, 4));
	EXPECT_EQ(0, in(guest, guest->config + 3, 4));
	EXPECT_EQ(0, in(guest, guest->config + 0xff8, 8));
	out(guest, guest->config, 4, 0);
	EXPECT_EQ(1, self->config[0]);
	kick(guest, 77);
}

TEST_F(virtio, negotiation)
{
	struct guest *guest = &self->guest;

	STATUS_BECOMES(3, 3);
	STATUS_BECOMES(0x0b, 3);		/* VERSION_1 is a must */
	accept(guest, VERSION_1 | 1ull << 8);
	STATUS_BECOMES(0x0b, 3);		/* not offered */
	STATUS_BECOMES(0x07, 3);		/* not without features */
	accept(guest, VERSION_1 | 1ull << 40 | 1ull << 7);
	STATUS_BECOMES(0x0b, 0x0b);
	accept(guest, 0);
	EXPECT_TRUE(vmx_virtio_has(&self->virtio, 40));
	STATUS_BECOMES(0x4f, 0x0f);		/* NEEDS_RESET is the device's */
	STATUS_BECOMES(0x80, 0x8f);
	STATUS_BECOMES(0, 0);
	EXPECT_FALSE(vmx_virtio_has(&self->virtio, 40));
}

TEST_F(virtio, reset)
{
	struct guest *guest = &self->guest;

	guest_start(guest, VERSION_1, SIZE);
	EXPECT_EQ(0xf, status(guest));
	EXPECT_EQ(1, COMMON_IN(VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	/* An enabled queue stays where it is. */
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	EXPECT_EQ(SIZE, COMMON_IN(VIRTIO_PCI_COMMON_Q_SIZE, 2));
	EXPECT_EQ(1, COMMON_IN(VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	EXPECT_EQ(ring_address(1), COMMON_IN(VIRTIO_PCI_COMMON_Q_DESCLO, 8));
	vmx_virtio_config_changed(&self->virtio);
	EXPECT_TRUE(guest->line);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_FALSE(guest->line);
	EXPECT_EQ(0, in(guest, guest->isr, 1));
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_ENABLE, 2));
	EXPECT_EQ(256, COMMON_IN(VIRTIO_PCI_COMMON_Q_SIZE, 2));
	/* Each register is as it was in the beginning. */
	guest_start(guest, VERSION_1, SIZE);
	guest_use_msix(guest);
	COMMON_OUT(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	COMMON_OUT(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_DFSELECT, 4));
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_GFSELECT, 4));
	EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_SELECT, 2));
	EXPECT_EQ(0xffff, COMMON_IN(VIRTIO_PCI_COMMON_MSIX, 2));
	for (unsigned int n = 0; n < 2; n++) {
		COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, n);
		EXPECT_EQ(0xffff, COMMON_IN(VIRTIO_PCI_COMMON_Q_MSIX, 2));
		EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_DESCLO, 8));
		EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_AVAILLO, 8));
		EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_Q_USEDLO, 8));
		COMMON_OUT(VIRTIO_PCI_COMMON_GFSELECT, 4, n);
		EXPECT_EQ(0, COMMON_IN(VIRTIO_PCI_COMMON_GF, 4));
	}
	/* The machine's reset is one too. */
	guest_start(guest, VERSION_1, SIZE);
	vmx_pci_host_reset(&guest->host);
	EXPECT_EQ(0, self->virtio.status);
	EXPECT_EQ(0, guest->memory->count);
}

/* One chain there and back. */
#define ROUND_TRIP(queue, head, source, destination, length) do { \
	uint32_t got; \
\
	for (unsigned int n_ = 0; n_ < (length); n_++) { \
		*((char *)at(guest, source) + n_) = 'a' + n_ + guest->queues[queue].offered; \
		*((char *)at(guest, destination) + n_) = 0; \
	} \
	offer(guest, queue, head); \
	kick(guest, queue); \
	ASSERT_EQ(length, used(guest, queue, &got)); \
	EXPECT_EQ(head, got); \
	EXPECT_EQ(0, memcmp(at(guest, source), at(guest, destination), length)); \
} while (0)

TEST_F(virtio, chains)
{
	static const unsigned int sizes[] = { 1, 2, 8, 256 };
	struct guest *guest = &self->guest;
	uint64_t table = ring_address(1) + TABLE;

	for (unsigned int n = 0; n < 4; n++) {
		unsigned int last = sizes[n] - 1;

		guest_start(guest, VERSION_1 | INDIRECT | (n & 1 ? EVENT_IDX : 0), sizes[n]);
		/* Two at least go through a table of their own. */
		describe(guest, 1, last, table, 48, VRING_DESC_F_INDIRECT, 9);
		describe_at(guest, table, 0, DATA, 10, NEXT, 2);
		describe_at(guest, table, 2, DATA + 10, 10, NEXT, 1);
		describe_at(guest, table, 1, DATA + 0x1000, 30, WRITE, 7);
		ROUND_TRIP(1, last, DATA, DATA + 0x1000, 20);
		if (sizes[n] < 2)
			continue;
		describe(guest, 1, last, DATA, 5, NEXT, 0);
		describe(guest, 1, 0, DATA + 0x1000, 5, WRITE, 0);
		ROUND_TRIP(1, last, DATA, DATA + 0x1000, 5);
		/* Descriptors, then a table; its own write flag means nothing. */
		describe(guest, 1, last, DATA, 5, NEXT, 0);
		describe(guest, 1, 0, table, 32, VRING_DESC_F_INDIRECT | WRITE, 0);
		describe_at(guest, table, 0, DATA + 5, 6, NEXT, 1);
		describe_at(guest, table, 1, DATA + 0x1000, 11, WRITE, 0);
		ROUND_TRIP(1, last, DATA, DATA + 0x1000, 11);
		EXPECT_FALSE(needs_reset(guest));
	}
	/* A table may be longer than a queue, and writable memory may come twice. */
	guest_start(guest, VERSION_1 | INDIRECT, 4);
	describe(guest, 1, 3, table, 16 * 256, VRING_DESC_F_INDIRECT, 0);
	for (unsigned int n = 0; n < 256; n++)
		describe_at(guest, table, n, n < 128 ? DATA + n : DATA + 0x1000 + (n - 128) % 100,
			    1, (n < 128 ? 0 : WRITE) | (n < 255 ? NEXT : 0), n + 1);
	offer(guest, 1, 3);
	kick(guest, 1);
	EXPECT_EQ(128, used(guest, 1, NULL));
	/* So many segments in all, and one more. */
	for (unsigned int more = 0; more < 2; more++) {
		guest_start(guest, VERSION_1 | INDIRECT, 4);
		describe(guest, 1, 0, DATA, 1, NEXT, 1);
		describe(guest, 1, 1, table, 16 * (255 + more), VRING_DESC_F_INDIRECT, 0);
		for (unsigned int n = 0; n < 256; n++)
			describe_at(guest, table, n, DATA + 0x1000 + n, 1,
				    WRITE | (n < 254 + more ? NEXT : 0), n + 1);
		offer(guest, 1, 0);
		kick(guest, 1);
		EXPECT_EQ(more, needs_reset(guest));
		EXPECT_EQ(more ? -1 : 1, used(guest, 1, NULL));
	}
	/* What is read and what is written may touch. */
	guest_start(guest, VERSION_1, 4);
	for (unsigned int n = 0; n < 2; n++) {
		describe(guest, 1, 0, DATA + 8 * n, 8, NEXT, 1);
		describe(guest, 1, 1, DATA + 8 * !n, 8, WRITE, 0);
		ROUND_TRIP(1, 0, DATA + 8 * n, DATA + 8 * !n, 8);
	}
	/* One whole queue of descriptors. */
	guest_start(guest, VERSION_1, 256);
	for (unsigned int n = 0; n < 256; n++)
		describe(guest, 1, n, DATA + 0x1000 * (n / 128) + n % 128, 1,
			 (n < 128 ? 0 : WRITE) | (n < 255 ? NEXT : 0), n + 1);
	ROUND_TRIP(1, 0, DATA, DATA + 0x1000, 128);
}

TEST_F(virtio, indices_wrap)
{
	struct guest *guest = &self->guest;

	for (unsigned int event = 0; event < 2; event++) {
		guest_start(guest, VERSION_1 | (event ? EVENT_IDX : 0), 8);
		describe(guest, 0, 5, DATA, 4, NEXT, 6);
		describe(guest, 0, 6, DATA + 64, 4, WRITE, 0);
		for (unsigned int n = 0; n < 70000; n++)
			ROUND_TRIP(0, 5, DATA, DATA + 64, 4);
	}
}

TEST_F(virtio, interrupts_are_suppressed)
{
	struct guest *guest = &self->guest;
	uint16_t *avail = driver_area(guest, 1);

	guest_start(guest, VERSION_1, SIZE);
	guest_use_msix(guest);
	describe(guest, 1, 0, DATA, 4, 0, 0);
	offer(guest, 1, 0);
	kick(guest, 1);
	EXPECT_EQ(1, guest->messages[2]);
	kick(guest, 1);
	EXPECT_EQ(1, guest->messages[2]);
	avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	offer(guest, 1, 0);
	kick(guest, 1);
	EXPECT_EQ(1, guest->messages[2]);
	EXPECT_EQ(0, guest->messages[1]);

	/* By the event index: only when the entry after it is used. */
	guest_start(guest, VERSION_1 | EVENT_IDX, SIZE);
	guest_use_msix(guest);
	describe(guest, 1, 0, DATA, 4, 0, 0);
	avail[2 + SIZE] = 2;
	for (unsigned int n = 0; n < 6; n++) {
		offer(guest, 1, 0);
		kick(guest, 1);
		EXPECT_EQ(n < 2 ? 1 : 2, guest->messages[2]);
		/* And the device wants to hear of the next one. */
		EXPECT_EQ(n + 1, device_area(guest, 1)[2 + 4 * SIZE]);
	}
	avail[2 + SIZE] = 8;
	for (unsigned int n = 0; n < 5; n++)
		offer(guest, 1, 0);
	kick(guest, 1);
	EXPECT_EQ(3, guest->messages[2]);
}

TEST_F(virtio, pin)
{
	struct guest *guest = &self->guest;

	guest_start(guest, VERSION_1, SIZE);
	describe(guest, 0, 0, DATA, 4, 0, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_TRUE(guest->line);
	EXPECT_EQ(0, in(guest, guest->isr, 4));
	EXPECT_EQ(1, in(guest, guest->isr, 1));
	EXPECT_FALSE(guest->line);
	EXPECT_EQ(0, in(guest, guest->isr, 1));
	offer(guest, 0, 0);
	kick(guest, 0);
	vmx_virtio_config_changed(&self->virtio);
	EXPECT_EQ(3, in(guest, guest->isr, 1));
	EXPECT_EQ(0, guest->messages[0] + guest->messages[1]);
}

TEST_F(virtio, configuration_changes)
{
	struct guest *guest = &self->guest;
	uint8_t generation = COMMON_IN(VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	vmx_virtio_config_changed(&self->virtio);	/* nobody there to hear of it */
	EXPECT_FALSE(guest->line);
	guest_start(guest, VERSION_1, SIZE);
	guest_use_msix(guest);
	self->config[1] = 99;
	vmx_virtio_config_changed(&self->virtio);
	EXPECT_NE(generation, COMMON_IN(VIRTIO_PCI_COMMON_CFGGENERATION, 1));
	EXPECT_EQ(99, in(guest, guest->config + 1, 1));
	EXPECT_EQ(1, guest->messages[0]);
	EXPECT_FALSE(guest->line);
}

TEST_F(virtio, masked_vectors_wait)
{
	struct guest *guest = &self->guest;
	uint64_t table = config_in(guest, PCI_BASE_ADDRESS_1, 4);

	guest_start(guest, VERSION_1, SIZE);
	guest_use_msix(guest);
	describe(guest, 0, 0, DATA, 4, 0, 0);
	out(guest, table + 16 + 12, 4, 1);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_EQ(0, guest->messages[1]);
	EXPECT_EQ(2, in(guest, table + 0x800, 8));
	out(guest, table + 16 + 12, 4, 0);
	EXPECT_EQ(1, guest->messages[1]);
	/* A queue without a vector is silent. */
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	COMMON_OUT(VIRTIO_PCI_COMMON_Q_MSIX, 2, 0xffff);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_EQ(0, used(guest, 0, NULL));
	EXPECT_EQ(0, used(guest, 0, NULL));
	EXPECT_EQ(1, guest->messages[1]);
	EXPECT_FALSE(guest->line);
}

TEST_F(virtio, nothing_happens_too_early)
{
	struct guest *guest = &self->guest;

	guest_negotiate(guest, VERSION_1, SIZE);
	describe(guest, 0, 0, DATA, 4, 0, 0);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_EQ(-1, used(guest, 0, NULL));
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	EXPECT_EQ(0, used(guest, 0, NULL));
	/* A device that is no bus master reads and writes nothing. */
	config_out(guest, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_EQ(-1, used(guest, 0, NULL));
	config_out(guest, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	kick(guest, 0);
	EXPECT_EQ(0, used(guest, 0, NULL));
}

TEST_F(virtio, a_racing_guest_keeps_nobody)
{
	struct guest *guest = &self->guest;

	guest_start(guest, VERSION_1 | EVENT_IDX, SIZE);
	describe(guest, 0, 0, DATA, 4, 0, 0);
	racing = guest;
	offer(guest, 0, 0);
	kick(guest, 0);
	EXPECT_EQ(SIZE, device_area(guest, 0)[1]);
	EXPECT_NE(VMX_NEVER, vmx_clock_next(&guest->clock));
	guest->now = 1000;
	vmx_clock_expire(&guest->clock);
	EXPECT_EQ(2 * SIZE, device_area(guest, 0)[1]);
	racing = NULL;
	guest->now = 2000;
	vmx_clock_expire(&guest->clock);
	EXPECT_EQ(2 * SIZE + 1, device_area(guest, 0)[1]);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&guest->clock));
	/* What was left is nothing after a reset. */
	racing = guest;
	offer(guest, 0, 0);
	kick(guest, 0);
	COMMON_OUT(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	EXPECT_EQ(VMX_NEVER, vmx_clock_next(&guest->clock));
}

/* Writes to the rings are noted, each byte of them. */
static unsigned char *noted;

static void note(void *context, const void *memory, size_t length)
{
	struct guest *guest = context;

	memset(noted + ((const unsigned char *)memory - guest->ram), 1, length);
}

TEST_F(virtio, writes_to_rings_are_noted)
{
	struct guest *guest = &self->guest;
	const uint64_t ring = ring_address(1) + DEVICE - RAM;
	unsigned char *before = malloc(RAM_SIZE);

	noted = calloc(1, RAM_SIZE);
	ASSERT_TRUE(before && noted);
	guest_start(guest, VERSION_1 | EVENT_IDX, SIZE);
	self->virtio.machine.noted = note;
	describe(guest, 1, 0, DATA, 4, 0, 0);
	memcpy(before, guest->ram, RAM_SIZE);
	for (unsigned int n = 0; n < SIZE + 1; n++) {
		offer(guest, 1, 0);
		kick(guest, 1);
	}
	EXPECT_EQ(SIZE + 1, device_area(guest, 1)[2 + 4 * SIZE]);
	for (uint64_t n = 0; n < 6 + 8 * SIZE; n++)
		EXPECT_TRUE(noted[ring + n] || before[ring + n] == guest->ram[ring + n]);
	/* A ring's length, and no byte behind it. */
	for (uint64_t n = 0; n < RAM_SIZE; n++)
		ASSERT_TRUE(!noted[n] || (n >= ring && n < ring + 6 + 8 * SIZE));
	free(before);
	free(noted);
}

TEST_F(virtio, window_in_configuration_space)
{
	struct guest *guest = &self->guest;
	unsigned int window = guest->window;

	config_out(guest, PCI_COMMAND, 2, 0);	/* that is what it is for */
	config_out(guest, window + VIRTIO_PCI_CAP_BAR, 1, 0);
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	config_out(guest, window + 16, 1, 3);
	EXPECT_EQ(3, self->virtio.status);
	self->virtio.status = 1;
	EXPECT_EQ(1, config_in(guest, window + 16, 4) & 0xff);
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_NUMQ);
	config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	EXPECT_EQ(2, config_in(guest, window + 16, 2));
	/* Accesses beside the data do nothing. */
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_STATUS);
	config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	config_out(guest, window + 16, 1, 3);
	self->virtio.status = 1;
	config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	config_out(guest, window + 20, 4, 7);
	EXPECT_EQ(1, self->virtio.status);
	config_in(guest, window + 12, 4);
	config_in(guest, window + 20, 4);
	EXPECT_EQ(3, self->virtio.pci.config[window + 16]);
	config_out(guest, window + 17, 1, 7);
	EXPECT_EQ(3, self->virtio.status);
	self->virtio.status = 1;
	/* The first place behind the BAR, an access that is not aligned, one of 8 bytes. */
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, 0x4000);
	config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	config_out(guest, window + 16, 4, 1);
	EXPECT_EQ(0, self->virtio.feature_select);
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, 0x2001);
	EXPECT_EQ(1, config_in(guest, window + 16, 4));
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, VIRTIO_PCI_COMMON_Q_DESCLO);
	config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, 8);
	config_out(guest, window + 16, 4, 0x1000);
	EXPECT_EQ(0, self->virtio.queues[0].descriptors);
	/* No such BAR, no such place, no such width, not aligned. */
	config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, 0);
	for (unsigned int bar = 2; bar < 256; bar++) {
		config_out(guest, window + VIRTIO_PCI_CAP_BAR, 1, bar);
		config_out(guest, window + 16, 4, bar);
		EXPECT_EQ(bar, config_in(guest, window + 16, 4));
	}
	config_out(guest, window + VIRTIO_PCI_CAP_BAR, 1, 0);
	for (unsigned int length = 0; length < 16; length++) {
		for (uint64_t offset = 0x3ffd; offset <= 0xffffffff; offset = offset * 2 + 1) {
			config_out(guest, window + VIRTIO_PCI_CAP_OFFSET, 4, offset);
			config_out(guest, window + VIRTIO_PCI_CAP_LENGTH, 4, length);
			config_in(guest, window + 16, 4);
			config_out(guest, window + 16, 4, 0);
		}
	}
	EXPECT_EQ(1, self->virtio.status);
}

TEST(machines_are_judged)
{
	struct guest guest;
	struct vmx_virtio virtio;
	struct vmx_virtio_kind odd = kind;
	struct vmx_virtio_machine empty = { 0 };

	guest_init(&guest);
	EXPECT_EQ(-EINVAL, vmx_virtio_init(&virtio, &kind, &empty, 0, NULL, 0));
	EXPECT_EQ(-EINVAL, vmx_virtio_init(&virtio, &kind, &guest.machine, 0, "", 4097));
	odd.queues = 5;
	EXPECT_EQ(-EINVAL, vmx_virtio_init(&virtio, &odd, &guest.machine, 0, NULL, 0));
	odd.queues = 1;
	odd.queue_size = 3;
	EXPECT_EQ(-EINVAL, vmx_virtio_init(&virtio, &odd, &guest.machine, 0, NULL, 0));
	odd.queue_size = 0;
	EXPECT_EQ(-EINVAL, vmx_virtio_init(&virtio, &odd, &guest.machine, 0, NULL, 0));
	odd.queue_size = 512;
	EXPECT_EQ(-EINVAL, vmx_virtio_init(&virtio, &odd, &guest.machine, 0, NULL, 0));
	guest_free(&guest);
}

TEST_HARNESS_MAIN
