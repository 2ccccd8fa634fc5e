// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The keyboard controller, after "Keyboard/Auxiliary Device Controller" in IBM's "Personal System/2
 * Hardware Interface Technical Reference". Bytes for a keyboard or a mouse time out, as if
 * the socket were empty. Gate A20 is a bit without effect.
 */
#include <libvmx/i8042.h>

#define PORT_DATA	0x60
#define PORT_STATUS	0x64	/* commands on writes */

#define STATUS_OBF	0x01	/* output buffer full */
#define STATUS_SYS	0x04	/* self test passed */
#define STATUS_CD	0x08	/* the last write was a command */
#define STATUS_UNLOCKED	0x10
#define STATUS_AUX	0x20	/* the output buffer has the mouse's */
#define STATUS_TIMEOUT	0x40

#define BYTE_KEYBOARD_IRQ 0x01
#define BYTE_AUX_IRQ	0x02
#define BYTE_SYS	0x04
#define BYTE_KEYBOARD_OFF 0x10
#define BYTE_AUX_OFF	0x20
#define BYTE_TRANSLATE	0x40

#define OUTPUT_NO_RESET	0x01
#define OUTPUT_A20	0x02
#define OUTPUT_KEYBOARD_IRQ 0x10
#define OUTPUT_AUX_IRQ	0x20
#define OUTPUT_IDLE	0xc0	/* clock and data lines to the keyboard */

#define RESEND		0xfe	/* what the controller says for a device that does not */

enum {
	READ_BYTE = 0x20,
	WRITE_BYTE = 0x60,
	DISABLE_AUX = 0xa7,
	ENABLE_AUX = 0xa8,
	TEST_AUX = 0xa9,
	SELF_TEST = 0xaa,
	TEST_KEYBOARD = 0xab,
	DISABLE_KEYBOARD = 0xad,
	ENABLE_KEYBOARD = 0xae,
	READ_OUTPUT = 0xd0,
	WRITE_OUTPUT = 0xd1,
	WRITE_KEYBOARD_BUFFER = 0xd2,
	WRITE_AUX_BUFFER = 0xd3,
	WRITE_AUX = 0xd4,
	PULSE_OUTPUT = 0xf0,	/* to 0xff: bits that are 0 are pulsed */
};

#define SELF_TEST_PASSED 0x55
#define TEST_PASSED	0x00

static void update_irqs(const struct vmx_i8042 *i8042)
{
	bool full = i8042->status & STATUS_OBF, aux = i8042->status & STATUS_AUX;

	vmx_line_set(&i8042->config.keyboard,
		     full && !aux && (i8042->command_byte & BYTE_KEYBOARD_IRQ));
	vmx_line_set(&i8042->config.aux, full && aux && (i8042->command_byte & BYTE_AUX_IRQ));
}

/* Fills the output buffer; FLAGS say whose it is and whether it is an error. */
static void answer(struct vmx_i8042 *i8042, uint8_t data, uint8_t flags)
{
	i8042->data = data;
	i8042->status &= ~(STATUS_AUX | STATUS_TIMEOUT);
	i8042->status |= STATUS_OBF | flags;
}

static void request_reset(const struct vmx_i8042 *i8042)
{
	if (i8042->config.event)
		i8042->config.event(i8042->config.board, VMX_POWER_RESET);
}

static uint8_t read_output(const struct vmx_i8042 *i8042)
{
	uint8_t value = i8042->output & (OUTPUT_NO_RESET | OUTPUT_A20);

	if (i8042->status & STATUS_OBF)
		value |= i8042->status & STATUS_AUX ? OUTPUT_AUX_IRQ : OUTPUT_KEYBOARD_IRQ;
	return value | OUTPUT_IDLE;
}

static void write_command(struct vmx_i8042 *i8042, uint8_t command)
{
	i8042->status |= STATUS_CD;
	i8042->command = 0;
	switch (command) {
	case READ_BYTE:
		answer(i8042, i8042->command_byte, 0);
		break;
	case DISABLE_AUX:
		i8042->command_byte |= BYTE_AUX_OFF;
		break;
	case ENABLE_AUX:
		i8042->command_byte &= ~BYTE_AUX_OFF;
		break;
	case SELF_TEST:
		i8042->status |= STATUS_SYS;
		answer(i8042, SELF_TEST_PASSED, 0);
		break;
	case TEST_AUX:
	case TEST_KEYBOARD:
		answer(i8042, TEST_PASSED, 0);
		break;
	case DISABLE_KEYBOARD:
		i8042->command_byte |= BYTE_KEYBOARD_OFF;
		break;
	case ENABLE_KEYBOARD:
		i8042->command_byte &= ~BYTE_KEYBOARD_OFF;
		break;
	case READ_OUTPUT:
		answer(i8042, read_output(i8042), 0);
		break;
	case WRITE_BYTE:
	case WRITE_OUTPUT:
	case WRITE_KEYBOARD_BUFFER:
	case WRITE_AUX_BUFFER:
	case WRITE_AUX:
		i8042->command = command;
		break;
	default:
		if (command >= PULSE_OUTPUT && !(command & OUTPUT_NO_RESET))
			request_reset(i8042);
	}
}

static void set_command_byte(struct vmx_i8042 *i8042, uint8_t value)
{
	i8042->command_byte = value;
	i8042->status &= ~STATUS_SYS;
	if (value & BYTE_SYS)
		i8042->status |= STATUS_SYS;
}

static void write_output(struct vmx_i8042 *i8042, uint8_t value)
{
	i8042->output = value | OUTPUT_NO_RESET;
	if (!(value & OUTPUT_NO_RESET))
		request_reset(i8042);
}

/* What a command waited for, or else for the keyboard. */
static void write_data(struct vmx_i8042 *i8042, uint8_t value)
{
	uint8_t command = i8042->command;

	i8042->status &= ~STATUS_CD;
	i8042->command = 0;
	switch (command) {
	case WRITE_BYTE:
		set_command_byte(i8042, value);
		break;
	case WRITE_OUTPUT:
		write_output(i8042, value);
		break;
	case WRITE_KEYBOARD_BUFFER:
		answer(i8042, value, 0);
		break;
	case WRITE_AUX_BUFFER:
		answer(i8042, value, STATUS_AUX);
		break;
	case WRITE_AUX:
		answer(i8042, RESEND, STATUS_AUX | STATUS_TIMEOUT);
		break;
	default:
		answer(i8042, RESEND, STATUS_TIMEOUT);
	}
}

static uint8_t read_port(void *device, uint16_t port)
{
	struct vmx_i8042 *i8042 = device;

	if (port == PORT_STATUS)
		return i8042->status;
	i8042->status &= ~(STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT);
	update_irqs(i8042);
	return i8042->data;
}

static void write_port(void *device, uint16_t port, uint8_t value)
{
	struct vmx_i8042 *i8042 = device;

	if (port == PORT_STATUS)
		write_command(i8042, value);
	else
		write_data(i8042, value);
	update_irqs(i8042);
}

int vmx_i8042_attach(struct vmx_i8042 *i8042, struct vmx_bus *bus)
{
	i8042->ports[0] = (struct vmx_ports){
		PORT_DATA, 1, "keyboard controller's data", read_port, write_port, i8042
	};
	i8042->ports[1] = (struct vmx_ports){
		PORT_STATUS, 1, "keyboard controller", read_port, write_port, i8042
	};
	return vmx_ports_add(bus, i8042->ports, 2);
}

void vmx_i8042_reset(struct vmx_i8042 *i8042)
{
	i8042->status = STATUS_UNLOCKED | STATUS_SYS;
	i8042->data = 0;
	i8042->command = 0;
	i8042->command_byte = BYTE_SYS | BYTE_KEYBOARD_OFF | BYTE_AUX_OFF | BYTE_TRANSLATE;
	i8042->output = OUTPUT_NO_RESET | OUTPUT_A20;
	update_irqs(i8042);
}

void vmx_i8042_init(struct vmx_i8042 *i8042, const struct vmx_i8042_config *config)
{
	*i8042 = (struct vmx_i8042){ .config = *config };
	vmx_i8042_reset(i8042);
}
