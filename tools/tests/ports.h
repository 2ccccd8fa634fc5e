/* SPDX-License-Identifier: GPL-2.0 */
/* What a driver of a PC device sees of the machine: ports, interrupt lines, and time. */
#ifndef TESTS_PORTS_H
#define TESTS_PORTS_H

#include <libvmx/device.h>

#define NS_PER_US	1000ull
#define NS_PER_MS	1000000ull
#define NS_PER_SECOND	1000000000ull

/* An input of an interrupt controller that counts what arrives. */
struct test_line {
	bool level;
	unsigned int rises;
};

static inline void test_line_set(void *controller, unsigned int pin, bool level)
{
	struct test_line *line = (struct test_line *)controller + pin;

	line->rises += level && !line->level;
	line->level = level;
}

static inline struct vmx_line test_wire(struct test_line *line)
{
	return (struct vmx_line){ .set = test_line_set, .controller = line };
}

/* A clock's source: a number that the test winds. */
static inline uint64_t test_now(void *source)
{
	return *(uint64_t *)source;
}

/* Ports, and time. */
struct test_machine {
	struct vmx_bus ports;
	struct vmx_clock clock;
	uint64_t now;
};

static inline void test_machine_init(struct test_machine *machine)
{
	*machine = (struct test_machine){
		.clock = { .now = test_now, .source = &machine->now },
		.now = 123456789,
	};
}

/* Lets time pass, stopping wherever something is due. */
static inline void test_pass(struct test_machine *machine, uint64_t ns)
{
	uint64_t end = machine->now + ns;

	while (vmx_clock_next(&machine->clock) <= end) {
		if (machine->now < vmx_clock_next(&machine->clock))
			machine->now = vmx_clock_next(&machine->clock);
		vmx_clock_expire(&machine->clock);
	}
	machine->now = end;
}

static inline uint8_t test_in(struct test_machine *machine, uint16_t port)
{
	uint64_t value;

	vmx_bus_read(&machine->ports, port, 1, &value);
	return value;
}

static inline void test_out(struct test_machine *machine, uint16_t port, uint8_t value)
{
	vmx_bus_write(&machine->ports, port, 1, value);
}

#endif /* TESTS_PORTS_H */
