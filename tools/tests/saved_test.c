// SPDX-License-Identifier: GPL-2.0
/* Streams of a board: what is saved goes on elsewhere, and what is damaged is refused. */
#include "saved_board.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "../state/stream.h"

#define VECTOR		0x41
#define NOW		5000000123ull
#define EOI		0x0b0
#define SVR		0x0f0
#define LVT_TIMER	0x320
#define INITIAL		0x380
#define CURRENT		0x390
#define DIVIDE		0x3e0
#define HEADER		DATA
#define SECTOR		(DATA + 0x1000)
#define STATUS		(DATA + 0x2000)

FIXTURE(saved) {
	struct board *a;
	struct board *b;
	struct state_writer stream;
};

static void port(struct board *board, uint16_t at, uint8_t value)
{
	vmx_bus_write(&board->machine.ports, at, 1, value);
}

static void lapic(struct board *board, unsigned int cpu, unsigned int reg, uint32_t value)
{
	vmx_lapic_write(&board->machine.cpus[cpu].lapic, VMX_LAPIC_BASE + reg, 4, value);
}

static uint32_t lapic_get(struct board *board, unsigned int cpu, unsigned int reg)
{
	uint64_t value;

	vmx_lapic_read(&board->machine.cpus[cpu].lapic, VMX_LAPIC_BASE + reg, 4, &value);
	return value;
}

static void offer_read(struct board *board, unsigned int sector)
{
	struct virtio_blk_outhdr { uint32_t type, prio; uint64_t sector; } header = {
		.sector = sector,
	};
	struct guest *guest = &board->guest;

	memcpy(at(guest, HEADER), &header, sizeof(header));
	describe(guest, 0, 0, HEADER, sizeof(header), NEXT, 1);
	describe(guest, 0, 1, SECTOR, 512, NEXT | WRITE, 2);
	describe(guest, 0, 2, STATUS, 1, WRITE, 0);
	offer(guest, 0, 0);
}

/* Every device is in the middle of something. */
static void use(struct board *board)
{
	static const uint8_t start_up[][2] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0xee },
		{ 0xa0, 0x11 }, { 0xa1, 0x28 },		/* ICW3 is still to come. */
		{ 0x43, 0x34 }, { 0x40, 0x9c }, { 0x40, 0x2e },
		{ 0x43, 0xb6 }, { 0x42, 0x11 },		/* The high byte is still to come. */
		{ 0x61, 0x01 }, { 0x70, 0x0b }, { 0x71, 0x42 }, { 0x70, 0x40 }, { 0x71, 0xab },
		{ 0x64, 0xd3 }, { 0x92, 0x02 }, { 0x80, 0x55 },
	};
	struct guest *guest = &board->guest;

	for (size_t n = 0; n < COUNT(start_up); n++)
		port(board, start_up[n][0], start_up[n][1]);
	port(board, 0x3f8 + 2, 0xc1);
	port(board, 0x3f8 + 1, 0x07);
	vmx_uart_receive(&board->machine.com1, "abc", 3);
	lapic(board, 0, SVR, 0x1ff);
	lapic(board, 0, DIVIDE, 0xb);
	lapic(board, 0, LVT_TIMER, VECTOR | 1 << 17);
	lapic(board, 0, INITIAL, 3000000);
	vmx_apic_bus_send(&board->machine.apics, &(struct vmx_apic_message){
		.destination = 0, .delivery = VMX_APIC_FIXED, .vector = 0x77 });
	vmx_bus_write(&board->machine.mmio, VMX_IOAPIC_BASE, 4, 0x12);
	vmx_bus_write(&board->machine.mmio, VMX_IOAPIC_BASE + 0x10, 4, 0x8041);
	vmx_power_button(&board->machine.power);
	guest_find(guest);
	guest_start(guest, VERSION_1, 16);
	guest_use_msix(guest);
	offer_read(board, 3);
	kick(guest, 0);
	used(guest, 0, NULL);
	offer_read(board, 4);
	board->machine.cpus[1].lapic.init = true;
	board->parts.cpus[0].rip = 0x1234;
	board->parts.cpus[0].msr_count = 1;
	board->parts.cpus[0].msrs[0] = (struct state_msr){ 0xc0000082, 0xffff };
	board->parts.cpus[0].fpu_length = 512;
	board->parts.cpuid[0].count = 1;
	board->parts.cpuid[0].entries[0].leaf = 7;
}

FIXTURE_SETUP(saved)
{
	self->a = board_make(NOW);
	self->b = board_make(NOW);
	use(self->a);
	vmx_clock_expire(&self->a->machine.clock);
	board_save(self->a, &self->stream);
}

FIXTURE_TEARDOWN(saved)
{
	free(self->stream.bytes);
	board_free(self->a);
	board_free(self->b);
}

TEST_F(saved, what_was_saved_is_saved_again)
{
	struct state_writer again;

	ASSERT_EQ(0, board_load(self->b, self->stream.bytes, self->stream.count)) {
		TH_LOG("%s", vmx_error());
	}
	board_save(self->b, &again);
	ASSERT_EQ(self->stream.count, again.count);
	EXPECT_EQ(0, memcmp(self->stream.bytes, again.bytes, again.count));
	EXPECT_EQ(0x1234, self->b->parts.cpus[0].rip);
	EXPECT_EQ(0xffff, self->b->parts.cpus[0].msrs[0].value);
	free(again.bytes);
}

/* As if nothing had been: the same timers, at the same time, with the same effects. */
TEST_F(saved, devices_go_on)
{
	struct vmx_clock *a = &self->a->machine.clock, *b = &self->b->machine.clock;

	ASSERT_EQ(0, board_load(self->b, self->stream.bytes, self->stream.count));
	for (unsigned int n = 0; n < 200; n++) {
		uint64_t next = vmx_clock_next(a);

		ASSERT_EQ(next, vmx_clock_next(b));
		self->a->guest.now = next;
		self->b->guest.now = next;
		vmx_clock_expire(a);
		vmx_clock_expire(b);
		EXPECT_EQ(lapic_get(self->a, 0, CURRENT), lapic_get(self->b, 0, CURRENT));
		EXPECT_EQ(vmx_pic_pending(&self->a->machine.pic),
			  vmx_pic_pending(&self->b->machine.pic));
		ASSERT_EQ(vmx_lapic_pending(&self->a->machine.cpus[0].lapic),
			  vmx_lapic_pending(&self->b->machine.cpus[0].lapic));
	}
	EXPECT_EQ(0x77, vmx_lapic_pending(&self->b->machine.cpus[0].lapic));
	vmx_lapic_accept(&self->b->machine.cpus[0].lapic, 0x77);
	lapic(self->b, 0, EOI, 0);
	EXPECT_EQ(VECTOR, vmx_lapic_pending(&self->b->machine.cpus[0].lapic));
	EXPECT_EQ(VMX_LAPIC_INIT, vmx_lapic_events(&self->b->machine.cpus[1].lapic));
}

/* A request that was in the queue is done. */
TEST_F(saved, a_disk_goes_on)
{
	struct guest *a = &self->a->guest, *b = &self->b->guest;
	struct vmx_pci_device *disk = &self->b->blk.virtio.pci;

	memcpy(self->b->ram, self->a->ram, BOARD_MEMORY);
	ASSERT_EQ(0, board_load(self->b, self->stream.bytes, self->stream.count));
	memcpy(b->queues, a->queues, sizeof(b->queues));
	disk->ops->resume(disk);
	EXPECT_EQ(513, used(b, 0, NULL));
	EXPECT_EQ('E', *(char *)at(b, SECTOR));
	guest_find(b);
	offer_read(self->b, 5);
	kick(b, 0);
	EXPECT_EQ(513, used(b, 0, NULL));
	EXPECT_EQ('F', *(char *)at(b, SECTOR));
}

TEST_F(saved, the_rest_of_an_initialization_is_awaited)
{
	ASSERT_EQ(0, board_load(self->b, self->stream.bytes, self->stream.count));
	EXPECT_EQ(3, self->b->machine.pic.chips[1].next_icw);
	port(self->b, 0x42, 0x22);
	EXPECT_EQ(0x2211, self->b->machine.pit.channels[2].count);
	EXPECT_EQ(3, self->b->machine.com1.count);
}

/* Damage */

TEST_F(saved, whatever_is_cut_off_is_missed)
{
	for (size_t length = 0; length < self->stream.count; length += 1 + length / 64)
		EXPECT_EQ(-EINVAL, board_load(self->b, self->stream.bytes, length));
	EXPECT_EQ(-EINVAL, board_load(self->b, self->stream.bytes, self->stream.count - 1));
	EXPECT_NE(NULL, strstr(vmx_error(), "cut off"));
}

static int scan(const struct state_writer *stream)
{
	struct vmx_saved *saved = calloc(1, sizeof(*saved));
	int ret;

	saved->bytes = stream->bytes;
	ret = state_scan(saved, stream->count);
	free(saved);
	return ret;
}

TEST_F(saved, every_bit_counts)
{
	for (size_t bit = 0; bit < 8 * self->stream.count; bit++) {
		self->stream.bytes[bit / 8] ^= 1 << bit % 8;
		ASSERT_EQ(-EINVAL, scan(&self->stream)) {
			TH_LOG("byte %zu, bit %zu", bit / 8, bit % 8);
		}
		self->stream.bytes[bit / 8] ^= 1 << bit % 8;
	}
	EXPECT_EQ(0, scan(&self->stream));
}

TEST_F(saved, heads_are_refused_for_what_they_have)
{
	static const struct {
		uint32_t format, reserved;
		const char *text;
	} cases[] = {
		{ STATE_FORMAT + 1, 0, "use a newer one" },
		{ STATE_FORMAT + 1, 1, "use a newer one" },
		{ 0, 0, "the head of the file is damaged" },
		{ STATE_FORMAT, 1, "the head of the file is damaged" },
	};
	struct state_head head;

	for (size_t n = 0; n < COUNT(cases); n++) {
		memcpy(&head, self->stream.bytes, sizeof(head));
		head.format = cases[n].format;
		head.reserved = cases[n].reserved;
		EXPECT_EQ(-EINVAL, state_check_head(&head, self->stream.count));
		EXPECT_NE(NULL, strstr(vmx_error(), cases[n].text)) {
			TH_LOG("%s", vmx_error());
		}
	}
}

/* What a file has for a name can be anything, and does not reach a terminal. */
TEST_F(saved, names_are_names)
{
	static const char *const names[] = { "", "\033[2J", "a b", "A", "0123456789abcdef" };
	struct state_header header;

	for (size_t n = 0; n < COUNT(names); n++) {
		memset(header.name, 0, sizeof(header.name));
		memcpy(header.name, names[n], strlen(names[n]));
		memcpy(self->stream.bytes + sizeof(struct state_head), header.name,
		       sizeof(header.name));
		EXPECT_EQ(-EINVAL, scan(&self->stream));
		EXPECT_STREQ("saved state: section 0 has no name: the file is damaged",
			     vmx_error());
	}
}

/* Sections that are whole, and wrong */

struct extra {
	uint32_t value;
};

static const struct vmx_saved_field extra_rows[] = {
	NUMBER(struct extra, value, 1, ""),
};

static const struct vmx_saved_table strange = SAVED_TABLE("strange", 1, extra_rows);
static const struct vmx_saved_table newer = SAVED_TABLE("pit", 2, extra_rows);

/* With a section LEFT out, and another put in. */
static void compose(struct board *board, struct state_writer *writer, const char *left,
		    const struct vmx_saved_table *table)
{
	struct extra extra = { 5 };
	const struct vmx_saved_part part = { .table = table, .object = &extra };

	board_list(board);
	state_begin(writer);
	for (unsigned int n = 0; n < board->parts.count; n++)
		if (strcmp(board->parts.list[n].table->name, left))
			state_add(writer, &board->parts.list[n]);
	if (table)
		state_add(writer, &part);
	state_end(writer);
}

TEST_F(saved, sections_are_refused_by_name)
{
	static const struct {
		const char *left;
		const struct vmx_saved_table *put;
		const char *text;
	} cases[] = {
		{ "pit", NULL, "section 'pit' 0: the saved machine has no such part" },
		{ "", &strange, "section 'strange' 0: this machine has no such part" },
		{ "pit", &newer, "section 'pit' 0: version 2; this program reads up to version 1" },
		{ "", &newer, "section 'pit' 0: it comes twice" },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		struct board *board = board_make(NOW);
		struct state_writer writer;

		compose(self->a, &writer, cases[n].left, cases[n].put);
		EXPECT_EQ(-EINVAL, board_load(board, writer.bytes, writer.count));
		EXPECT_NE(NULL, strstr(vmx_error(), cases[n].text)) {
			TH_LOG("%s", vmx_error());
		}
		free(writer.bytes);
		board_free(board);
	}
}

/* States that no guest can bring about, with checksums that are right. */

static void spoil_pit(struct board *board)
{
	board->machine.pit.channels[0].start = UINT64_MAX / 2;
}

static void spoil_pit_count(struct board *board)
{
	board->machine.pit.channels[0].count = 0;
}

static void spoil_rtc(struct board *board)
{
	board->machine.rtc.offset = INT64_MAX;
}

static void spoil_uart(struct board *board)
{
	board->machine.com1.fcr = 0;
}

static void spoil_lapic_mode(struct board *board)
{
	board->machine.cpus[0].lapic.base = 0xfee00000 | 1 << 10;
}

static void spoil_lapic_timer(struct board *board)
{
	board->machine.cpus[0].lapic.initial = 0;
}

static void spoil_lapic_start(struct board *board)
{
	board->machine.cpus[0].lapic.started = NOW + 1;
}

static void spoil_lapic_vector(struct board *board)
{
	board->machine.cpus[1].lapic.irr[0] |= 1 << 15;
}

static void spoil_config_vector(struct board *board)
{
	board->blk.virtio.config_vector = board->blk.virtio.pci.msix.count;
}

static void spoil_queue_vector(struct board *board)
{
	board->blk.virtio.queues[0].vector = 0xfffe;
}

static void spoil_features(struct board *board)
{
	board->blk.virtio.driver_features |= 1ull << 60;
}

static void spoil_queue_size(struct board *board)
{
	board->blk.virtio.queues[0].size = 3;
}

static void spoil_queue_place(struct board *board)
{
	board->blk.virtio.queues[0].device = 0x7000000000;
}

static void spoil_capacity(struct board *board)
{
	board->blk.capacity++;
}

static void spoil_slot(struct board *board)
{
	board->blk.virtio.pci.config[0]++;
}

TEST_F(saved, impossible_states_are_refused)
{
	static const struct {
		void (*spoil)(struct board *board);
		const char *text;
	} cases[] = {
		{ spoil_pit, "no 8254 counts like channel 0" },
		{ spoil_pit_count, "no 8254 counts like channel 0" },
		{ spoil_rtc, "the clock's time is impossible" },
		{ spoil_uart, "3 bytes, and room for 1" },
		{ spoil_lapic_mode, "local APIC 0 is in an impossible mode" },
		{ spoil_lapic_timer, "the timer of local APIC 0 counts nothing" },
		{ spoil_lapic_start, "the timer of local APIC 0 began at an impossible time" },
		{ spoil_lapic_vector, "local APIC 1 has an interrupt below 16" },
		{ spoil_config_vector, "PCI slot 1: there is no MSI-X vector 2" },
		{ spoil_queue_vector, "PCI slot 1: queue 0 is impossible" },
		{ spoil_features, "the driver uses features that virtio-blk does not have" },
		{ spoil_queue_size, "PCI slot 1: queue 0 is impossible" },
		{ spoil_queue_place, "PCI slot 1: queue 0 is impossible" },
		{ spoil_capacity, "section 'virtio-blk' 1: capacity is 0x9, and here 0x8" },
		{ spoil_slot, "another device is in this slot" },
	};

	for (size_t n = 0; n < COUNT(cases); n++) {
		struct board *bad = board_make(NOW), *board = board_make(NOW);
		struct state_writer writer;

		use(bad);
		cases[n].spoil(bad);
		board_save(bad, &writer);
		EXPECT_EQ(-EINVAL, board_load(board, writer.bytes, writer.count)) {
			TH_LOG("case %zu", n);
		}
		EXPECT_NE(NULL, strstr(vmx_error(), cases[n].text)) {
			TH_LOG("%s", vmx_error());
		}
		free(writer.bytes);
		board_free(bad);
		board_free(board);
	}
}

/* A queue may be anywhere after its device broke. */
TEST_F(saved, queue_of_a_broken_device)
{
	struct vmx_virtio *virtio = &self->a->blk.virtio;
	struct state_writer writer;

	use(self->a);
	spoil_queue_place(self->a);
	virtio->status |= 0x40;	/* DEVICE_NEEDS_RESET */
	board_save(self->a, &writer);
	EXPECT_EQ(0, board_load(self->b, writer.bytes, writer.count));
	free(writer.bytes);
}

TEST_F(saved, a_device_without_a_description_is_named)
{
	static const struct vmx_pci_id id = { .vendor = 0x1af4, .device = 1 };
	struct vmx_pci_device mute;

	vmx_pci_device_init(&mute, "mute", &id, NULL);
	ASSERT_LT(0, vmx_machine_add(&self->a->machine, &mute));
	self->a->parts.count = 0;
	EXPECT_EQ(-EOPNOTSUPP, state_list_pci(&self->a->parts, &self->a->machine));
	EXPECT_NE(NULL, strstr(vmx_error(), "mute"));
}

/* What is in it would be the guest's memory where that has zeroes. */
TEST_F(saved, a_file_with_contents_is_refused)
{
	int fd = memfd_create("full", 0);

	ASSERT_EQ(1, write(fd, "x", 1));
	self->a->machine.still = true;
	EXPECT_EQ(-EINVAL, vmx_machine_save(&self->a->machine, fd));
	EXPECT_NE(NULL, strstr(vmx_error(), "empty"));
	EXPECT_EQ(1, lseek(fd, 0, SEEK_END));
	close(fd);
}

/*
 * The streams of each version of a section, for ever. What this program writes is the last of them:
 * whatever changes that needs a new version, and a new file: SAVED_STREAM=FILE has it written.
 */
static const char *const kept[] = { "1.stream" };

static unsigned char *read_kept(const char *name, size_t *length)
{
	char path[300];
	unsigned char *bytes = malloc(1 << 20);
	FILE *file;

	/* Beside this source, wherever the test runs. */
	snprintf(path, sizeof(path), "%.*ssaved/%s", (int)(strrchr(__FILE__, '/') + 1 - __FILE__),
		 __FILE__, name);
	file = fopen(path, "r");
	*length = file ? fread(bytes, 1, 1 << 20, file) : 0;
	if (file)
		fclose(file);
	return bytes;
}

TEST_F(saved, streams_of_all_versions_are_read)
{
	const char *path = getenv("SAVED_STREAM");
	struct state_writer again;
	unsigned char *bytes;
	size_t length = 0;

	if (path) {
		FILE *file = fopen(path, "w");

		ASSERT_NE(NULL, file);
		ASSERT_EQ(1, fwrite(self->stream.bytes, self->stream.count, 1, file));
		ASSERT_EQ(0, fclose(file));
	}
	for (size_t n = 0; n < COUNT(kept); n++) {
		struct board *board = board_make(NOW);

		bytes = read_kept(kept[n], &length);
		ASSERT_NE(0, length);
		ASSERT_EQ(0, board_load(board, bytes, length)) {
			TH_LOG("%s: %s", kept[n], vmx_error());
		}
		board_save(board, &again);
		EXPECT_EQ(self->stream.count, again.count);
		EXPECT_EQ(0, memcmp(self->stream.bytes, again.bytes, again.count));
		free(again.bytes);
		board_free(board);
		if (n + 1 < COUNT(kept))
			free(bytes);
	}
	ASSERT_EQ(self->stream.count, length);
	EXPECT_EQ(0, memcmp(self->stream.bytes, bytes, length));
	free(bytes);
}

/* The image */

#define PAGES	40
#define PAGE	4096

static int go_on(void *arg)
{
	return 0;
}

/* Signals come when they like: the library's calls of pread() come here. */
static unsigned int interruptions;

ssize_t pread(int fd, void *bytes, size_t count, off_t offset)
{
	if (!interruptions)
		return syscall(SYS_pread64, fd, bytes, count, offset);
	interruptions--;
	errno = EINTR;
	return -1;
}

TEST(zero_pages_are_holes)
{
	struct state_image image = { .size = PAGES * PAGE, .offset = STATE_ALIGNMENT };
	unsigned char *memory = calloc(PAGES, PAGE), *mapped;
	int fd = memfd_create("image", 0);
	off_t data;

	ASSERT_LE(0, fd);
	memory[3 * PAGE + 5] = 1;
	memory[4 * PAGE + PAGE - 1] = 2;
	memory[30 * PAGE] = 3;
	ASSERT_EQ(0, state_write_image(fd, memory, &image, NULL, go_on, NULL));
	EXPECT_EQ(3, image.pages);
	EXPECT_EQ(STATE_ALIGNMENT + PAGES * PAGE, lseek(fd, 0, SEEK_END));
	data = lseek(fd, 0, SEEK_DATA);
	EXPECT_EQ(STATE_ALIGNMENT + 3 * PAGE, data);
	EXPECT_EQ(STATE_ALIGNMENT + 5 * PAGE, lseek(fd, data, SEEK_HOLE));
	mapped = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, image.offset);
	EXPECT_EQ(0, memcmp(memory, mapped, PAGES * PAGE));
	EXPECT_EQ(0, state_check_image(fd, &image));
	interruptions = 2;
	EXPECT_EQ(0, state_check_image(fd, &image));
	EXPECT_EQ(0, interruptions);
	/* A bit, or a page that moved. */
	ASSERT_EQ(1, pwrite(fd, "\x03", 1, image.offset + 3 * PAGE + 5));
	EXPECT_EQ(-EINVAL, state_check_image(fd, &image));
	ASSERT_EQ(1, pwrite(fd, "\x00", 1, image.offset + 3 * PAGE + 5));
	ASSERT_EQ(1, pwrite(fd, "\x01", 1, image.offset + 2 * PAGE + 5));
	EXPECT_EQ(-EINVAL, state_check_image(fd, &image));
	ASSERT_EQ(0, ftruncate(fd, image.offset + PAGE));
	EXPECT_EQ(-EINVAL, state_check_image(fd, &image));
	EXPECT_NE(NULL, strstr(vmx_error(), "cut off"));
	munmap(mapped, PAGES * PAGE);
	free(memory);
	close(fd);
}

TEST_HARNESS_MAIN
