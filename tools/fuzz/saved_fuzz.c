// SPDX-License-Identifier: GPL-2.0
/*
 * The reader of saved state. The input changes bytes of a good stream and has its checksums made
 * right again, so that the values get to the devices. Or it is a stream by itself. A machine that
 * takes it has to survive a guest and the passing of time.
 */
#include "../tests/saved_board.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NOW	5000000000ull

/* As a guest leaves it that uses everything. */
static void use(struct board *board)
{
	static const uint8_t writes[][2] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0 },
		{ 0x43, 0x34 }, { 0x40, 0x9c }, { 0x40, 0x2e }, { 0x43, 0xb6 }, { 0x42, 0x11 },
		{ 0x42, 0x01 }, { 0x61, 0x01 }, { 0x70, 0x0b }, { 0x71, 0x72 },
	};
	struct guest *guest = &board->guest;

	for (size_t n = 0; n < COUNT(writes); n++)
		vmx_bus_write(&board->machine.ports, writes[n][0], 1, writes[n][1]);
	vmx_bus_write(&board->machine.ports, 0x3f8 + 2, 1, 0xc1);
	vmx_uart_receive(&board->machine.com1, "abc", 3);
	vmx_lapic_write(&board->machine.cpus[0].lapic, VMX_LAPIC_BASE + 0xf0, 4, 0x1ff);
	vmx_lapic_write(&board->machine.cpus[0].lapic, VMX_LAPIC_BASE + 0x320, 4, 0x20040);
	vmx_lapic_write(&board->machine.cpus[0].lapic, VMX_LAPIC_BASE + 0x380, 4, 3000000);
	guest_find(guest);
	guest_start(guest, VERSION_1, 16);
	guest_use_msix(guest);
	board->parts.cpus[0].msr_count = 2;
	board->parts.cpus[0].fpu_length = 64;
	board->parts.cpuid[0].count = 2;
}

static void mend_checksums(unsigned char *bytes, size_t length)
{
	struct state_header header;

	for (size_t at = sizeof(struct state_head); at + sizeof(header) <= length;
	     at += sizeof(header) + header.length) {
		uint64_t seed;

		memcpy(&header, bytes + at, sizeof(header));
		if (header.length > length - at - sizeof(header))
			return;
		seed = XXH3_64bits(&header, offsetof(struct state_header, checksum));
		header.checksum = XXH3_64bits_withSeed(bytes + at + sizeof(header), header.length,
						       seed);
		memcpy(bytes + at, &header, sizeof(header));
	}
}

/* A guest, and time, in whatever state the devices are. */
static void go_on(struct board *board)
{
	struct vmx_machine *machine = &board->machine;
	uint64_t value;

	for (unsigned int slot = 0; slot < VMX_PCI_SLOTS; slot++) {
		struct vmx_pci_device *device = machine->pci.devices[slot];

		if (device && device->ops && device->ops->resume)
			device->ops->resume(device);
	}
	for (unsigned int n = 0; n < 20; n++) {
		board->guest.now += 1000000ull << n % 4;
		board->time += 1000000000ull;
		vmx_clock_expire(&machine->clock);
		for (unsigned int cpu = 0; cpu < BOARD_CPUS; cpu++) {
			struct vmx_lapic *lapic = &machine->cpus[cpu].lapic;

			vmx_lapic_accept(lapic, vmx_lapic_pending(lapic));
			vmx_lapic_read(lapic, VMX_LAPIC_BASE + 0x390, 4, &value);
			vmx_lapic_write(lapic, VMX_LAPIC_BASE + 0xb0, 4, 0);
		}
		if (vmx_pic_pending(&machine->pic))
			vmx_pic_ack(&machine->pic);
	}
	for (uint16_t port = 0x20; port < 0x400; port++)
		if (port != VMX_PC_EXIT_PORT)
			vmx_bus_read(&machine->ports, port, 1, &value);
	for (unsigned int reg = 0; reg < 64; reg++)
		config_in(&board->guest, 4 * reg, 4);
}

static void try_stream(const unsigned char *bytes, size_t length)
{
	struct board *board = board_make(NOW);

	if (!board_load(board, bytes, length))
		go_on(board);
	board_free(board);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each three bytes are a place, and a byte that goes there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state_writer good;
	unsigned char *bytes;

	if (!good.bytes) {
		struct board *board = board_make(NOW);

		use(board);
		board_save(board, &good);
		board_free(board);
	}
	if (size && data[0] == 'v') {
		try_stream(data, size);
		return 0;
	}
	bytes = malloc(good.count);
	memcpy(bytes, good.bytes, good.count);
	for (; size >= 3; data += 3, size -= 3)
		bytes[(data[0] | data[1] << 8) % good.count] = data[2];
	mend_checksums(bytes, good.count);
	try_stream(bytes, good.count);
	free(bytes);
	return 0;
}
