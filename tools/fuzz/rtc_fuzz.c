// SPDX-License-Identifier: GPL-2.0
#include <libvmx/rtc.h>

#include "ports.h"

/* The host's time of day, which may be set at any time. */
static uint64_t time_of_day;

static uint64_t read_time(void *source)
{
	return test_now(source) + time_of_day;
}

static void happen(void *device, uint8_t what, uint8_t value)
{
	if (what < 0xf0)
		time_of_day += (int8_t)value * (1ll << (what & 31));
	else if (!value)
		vmx_rtc_reset(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t ports[] = { 0x70, 0x71, 0x71, 0 };
	struct test_line irq = { 0 };
	struct test_machine machine;
	struct vmx_rtc rtc;

	time_of_day = 1700000000 * NS_PER_SECOND;
	test_machine_init(&machine);
	vmx_rtc_init(&rtc, &(struct vmx_rtc_config){
		.clock = &machine.clock, .irq = test_wire(&irq),
		.time = read_time, .source = &machine.now });
	vmx_rtc_attach(&rtc, &machine.ports);
	fuzz_ports(&machine, ports, happen, &rtc, data, size);
	return 0;
}
