// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ACPI's fixed registers ("PM1 Event Grouping", "PM1 Control Grouping", "Power
 * Management Timer", "General-Purpose Event Registers" in the ACPI
 * specification), and the reset control register of the PIIX3.
 */
#include <libvmx/firmware.h>

#define STS_GBL		0x0020
#define STS_PWRBTN	0x0100
#define STS_RTC		0x0400
#define STS_WAK		0x8000
#define STS_ALL		(STS_GBL | STS_PWRBTN | STS_RTC | STS_WAK)

#define EN_TMR		0x0001
#define EN_ALL		(EN_TMR | STS_GBL | STS_PWRBTN | STS_RTC)

#define CNT_SCI_EN	0x0001
#define CNT_BM_RLD	0x0002
#define CNT_SLP_TYP	0x1c00
#define CNT_SLP_EN	0x2000

#define SLP_TYP_SHIFT	10

#define RST_SYS		0x02	/* a hard reset, when RST_CPU says so */
#define RST_CPU		0x04	/* the change from 0 to 1 resets */

/* Offsets into the block. */
#define PM1_STS		0
#define PM1_EN		2
#define PM1_CNT		4
#define PM_TMR		8
#define GPE0_STS	12
#define GPE0_EN		13

#define TMR_HZ		3579545ull
#define NSEC_PER_SEC	1000000000ull

static void update_sci(const struct vmx_power *power)
{
	vmx_line_set(&power->sci, power->status & power->enable ||
				  power->gpe_status & power->gpe_enable);
}

static void tell(const struct vmx_power *power, enum vmx_power_event event)
{
	if (power->event)
		power->event(power->board, event);
}

static uint32_t timer_ticks(const struct vmx_power *power)
{
	uint64_t now = vmx_clock_now(power->clock);

	/* Whole seconds apart, so that nothing overflows for some thousand years. */
	return now / NSEC_PER_SEC * TMR_HZ + now % NSEC_PER_SEC * TMR_HZ / NSEC_PER_SEC;
}

static uint64_t power_read(void *device, uint64_t offset, unsigned int size)
{
	const struct vmx_power *power = device;

	(void)size;
	if (offset >= GPE0_STS)
		return (power->gpe_status | power->gpe_enable << 8) >> (offset - GPE0_STS) * 8;
	if (offset >= PM_TMR)
		return timer_ticks(power) >> (offset - PM_TMR) * 8;
	return ((uint64_t)power->status << PM1_STS * 8 | (uint64_t)power->enable << PM1_EN * 8 |
		(uint64_t)power->control << PM1_CNT * 8) >> offset * 8;
}

static void write_control(struct vmx_power *power, uint16_t value)
{
	/* GBL_RLS and SLP_EN are write-only; SCI_EN is the hardware's where there is no SMI. */
	power->control = (value & (CNT_BM_RLD | CNT_SLP_TYP)) | CNT_SCI_EN;
	if (value & CNT_SLP_EN && (value & CNT_SLP_TYP) >> SLP_TYP_SHIFT == VMX_POWER_SLP_TYP_S5)
		tell(power, VMX_POWER_OFF);
}

/* A status bit is cleared by writing 1 to it. */
static void write_gpe(struct vmx_power *power, uint64_t offset, unsigned int size, uint64_t value)
{
	if (offset == GPE0_STS)
		power->gpe_status &= ~value;
	if (offset == GPE0_STS && size > 1)
		power->gpe_enable = value >> 8;
	if (offset == GPE0_EN)
		power->gpe_enable = value;
	update_sci(power);
}

static void power_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vmx_power *power = device;
	uint64_t mask;

	if (offset >= GPE0_STS)
		write_gpe(power, offset, size, value);
	if (offset >= PM_TMR)
		return;
	mask = (size < 8 ? (1ull << size * 8) - 1 : UINT64_MAX) << offset * 8;
	value = value << offset * 8 & mask;
	/* A status bit is cleared by writing 1 to it. */
	power->status &= ~(value >> PM1_STS * 8);
	power->enable = (power->enable & ~(mask >> PM1_EN * 8)) |
			(value >> PM1_EN * 8 & EN_ALL);
	update_sci(power);
	if (mask >> PM1_CNT * 8 & 0xffff)
		write_control(power, (power->control & ~(mask >> PM1_CNT * 8)) |
				     value >> PM1_CNT * 8);
}

const struct vmx_range_ops vmx_power_ops = { power_read, power_write };

static uint64_t reset_read(void *device, uint64_t offset, unsigned int size)
{
	const struct vmx_power *power = device;

	(void)offset;
	(void)size;
	return power->reset;
}

static void reset_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vmx_power *power = device;
	bool rises = value & RST_CPU && !(power->reset & RST_CPU);

	(void)offset;
	(void)size;
	power->reset = value & (RST_SYS | RST_CPU);
	if (rises)
		tell(power, VMX_POWER_RESET);
}

const struct vmx_range_ops vmx_power_reset_ops = { reset_read, reset_write };

void vmx_power_init(struct vmx_power *power, const struct vmx_clock *clock, struct vmx_line sci,
		    void (*event)(void *board, enum vmx_power_event event), void *board)
{
	*power = (struct vmx_power){ .clock = clock, .sci = sci, .event = event, .board = board,
				     .control = CNT_SCI_EN };
	update_sci(power);
}

void vmx_power_raise(struct vmx_power *power, unsigned int event)
{
	power->gpe_status |= 1u << (event & 7);
	update_sci(power);
}

bool vmx_power_button(struct vmx_power *power)
{
	power->status |= STS_PWRBTN;
	update_sci(power);
	return power->enable & STS_PWRBTN;
}
