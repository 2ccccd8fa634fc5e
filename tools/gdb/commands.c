// SPDX-License-Identifier: LGPL-2.1-or-later
/* Carries out packets (gdb's manual, "Packets", "General Query Packets", "Stop Reply Packets"). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "gdb.h"

#define DESCRIPTION	16384
/* Errors have numbers, which gdb shows and does not look at. */
#define FAULT		0x0e
#define INVALID		0x16
/* Of memory that a checksum is asked of at once: the machine stands still meanwhile anyhow. */
#define CRC_MOST	(256 << 20)

static void send_error(struct vmx_gdb *gdb, unsigned int number)
{
	gdb_send_text(gdb, "E%02x", number);
}

static void send_ok_or(struct vmx_gdb *gdb, bool good, unsigned int number)
{
	if (good)
		gdb_send_text(gdb, "OK");
	else
		send_error(gdb, number);
}

/* Threads: numbers from 1; "0" is any, "-1" all. A leading "p1." names the only process. */
static bool get_thread(const char **text, unsigned int cpus, int *cpu)
{
	uint64_t number;

	if (!strncmp(*text, "p1.", 3))
		*text += 3;
	if (!strncmp(*text, "-1", 2)) {
		*text += 2;
		*cpu = -1;
		return true;
	}
	if (!gdb_get_number(text, &number) || number > cpus)
		return false;
	*cpu = number ? number - 1 : 0;
	return true;
}

static void do_set_thread(struct vmx_gdb *gdb, const char *args)
{
	char operation = *args;
	int cpu;

	if (operation)
		args++;
	if (!get_thread(&args, gdb->config.cpus, &cpu)) {
		send_error(gdb, INVALID);
		return;
	}
	if (operation == 'g')
		gdb->general_cpu = cpu < 0 ? 0 : cpu;
	else
		gdb->run_cpu = cpu;
	gdb_send_text(gdb, "OK");
}

static void do_thread_alive(struct vmx_gdb *gdb, const char *args)
{
	int cpu;

	send_ok_or(gdb, get_thread(&args, gdb->config.cpus, &cpu), INVALID);
}

/* Why it stopped */

static void send_stop(struct vmx_gdb *gdb)
{
	static const char *const kinds[] = {
		[VMX_GDB_SOFTWARE] = "swbreak", [VMX_GDB_HARDWARE] = "hwbreak",
		[VMX_GDB_WRITE] = "watch", [VMX_GDB_READ] = "rwatch", [VMX_GDB_ACCESS] = "awatch",
	};
	const struct vmx_gdb_stop *stop = &gdb->stop;
	char why[64] = "";

	if (stop->at_point && stop->point >= VMX_GDB_WRITE)
		snprintf(why, sizeof(why), "%s:%llx;", kinds[stop->point],
			 (unsigned long long)stop->address);
	else if (stop->at_point && gdb->told_kinds)
		snprintf(why, sizeof(why), "%s:;", kinds[stop->point]);
	/* SIGINT or SIGTRAP */
	gdb_send_text(gdb, "T%02xthread:%x;%s", stop->interrupted ? 2 : 5, stop->cpu + 1, why);
}

static void do_reason(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	send_stop(gdb);
}

void vmx_gdb_stopped(struct vmx_gdb *gdb, const struct vmx_gdb_stop *stop)
{
	bool told = gdb->running;

	gdb->running = false;
	gdb->stop = *stop;
	gdb->general_cpu = stop->cpu;
	if (told)
		send_stop(gdb);
}

void vmx_gdb_ended(struct vmx_gdb *gdb, uint8_t status)
{
	if (gdb->running)
		gdb_send_text(gdb, "W%02x", status);
	gdb->running = false;
	gdb->gone = true;
}

/* Registers */

static bool read_registers(struct vmx_gdb *gdb, struct vmx_gdb_registers *registers)
{
	memset(registers, 0, sizeof(*registers));
	return !gdb->config.target->read_registers(gdb->config.context, gdb->general_cpu,
						   registers);
}

static bool write_registers(struct vmx_gdb *gdb, const struct vmx_gdb_registers *registers)
{
	return !gdb->config.target->write_registers(gdb->config.context, gdb->general_cpu,
						    registers);
}

static void do_read_registers(struct vmx_gdb *gdb, const char *args)
{
	bool wide = gdb->config.wide;
	struct vmx_gdb_registers registers;
	char text[2 * sizeof(registers)];
	size_t size, length = 0;
	void *reg;

	(void)args;
	if (!read_registers(gdb, &registers)) {
		send_error(gdb, FAULT);
		return;
	}
	for (unsigned int n = 0; (reg = gdb_register(&registers, wide, n, &size)); n++) {
		gdb_put_hex(text + length, reg, size);
		length += 2 * size;
	}
	gdb_send(gdb, text, length);
}

static void do_write_registers(struct vmx_gdb *gdb, const char *args)
{
	struct vmx_gdb_registers registers;
	bool wide = gdb->config.wide, good = read_registers(gdb, &registers);
	size_t size;
	void *reg;

	for (unsigned int n = 0; (reg = gdb_register(&registers, wide, n, &size)); n++) {
		if (!gdb_get_hex(args, reg, size))
			good = false;
		if (!good)
			break;
		args += 2 * size;
	}
	send_ok_or(gdb, good && write_registers(gdb, &registers), INVALID);
}

static void do_read_register(struct vmx_gdb *gdb, const char *args)
{
	struct vmx_gdb_registers registers;
	char text[2 * sizeof(registers.xmm[0])];
	uint64_t number;
	void *reg = NULL;
	size_t size;

	if (gdb_get_number(&args, &number) && number < gdb_register_count(gdb->config.wide) &&
	    read_registers(gdb, &registers))
		reg = gdb_register(&registers, gdb->config.wide, number, &size);
	if (!reg) {
		send_error(gdb, INVALID);
		return;
	}
	gdb_put_hex(text, reg, size);
	gdb_send(gdb, text, 2 * size);
}

/* What cannot be changed reads back as it was: that is an error for a single register. */
static void do_write_register(struct vmx_gdb *gdb, const char *args)
{
	struct vmx_gdb_registers wanted, got;
	uint64_t number;
	void *reg = NULL;
	size_t size;

	if (gdb_get_number(&args, &number) && *args++ == '=' &&
	    number < gdb_register_count(gdb->config.wide) && read_registers(gdb, &wanted))
		reg = gdb_register(&wanted, gdb->config.wide, number, &size);
	if (!reg || !gdb_get_hex(args, reg, size) || !write_registers(gdb, &wanted) ||
	    !read_registers(gdb, &got)) {
		send_error(gdb, INVALID);
		return;
	}
	send_ok_or(gdb, !memcmp(reg, gdb_register(&got, gdb->config.wide, number, &size), size),
		   INVALID);
}

/* Memory */

/* ADDRESS,LENGTH and, behind it, END */
static bool get_range(const char **args, uint64_t *address, uint64_t *length, char end)
{
	if (!gdb_get_number(args, address) || *(*args)++ != ',' || !gdb_get_number(args, length) ||
	    **args != end)
		return false;
	if (end)
		++*args;
	return true;
}

static void do_read_memory(struct vmx_gdb *gdb, const char *args)
{
	uint8_t bytes[VMX_GDB_PACKET / 2];
	char text[VMX_GDB_PACKET];
	uint64_t address, length;
	size_t got;

	if (!get_range(&args, &address, &length, '\0')) {
		send_error(gdb, INVALID);
		return;
	}
	if (length > sizeof(bytes))
		length = sizeof(bytes);
	got = gdb->config.target->read_memory(gdb->config.context, gdb->general_cpu, address,
					      bytes, length);
	if (!got && length) {
		send_error(gdb, FAULT);
		return;
	}
	gdb_put_hex(text, bytes, got);
	gdb_send(gdb, text, 2 * got);
}

static void write_memory(struct vmx_gdb *gdb, uint64_t address, const void *bytes, size_t length)
{
	send_ok_or(gdb, gdb->config.target->write_memory(gdb->config.context, gdb->general_cpu,
							 address, bytes, length) == length, FAULT);
}

static void do_write_memory(struct vmx_gdb *gdb, const char *args)
{
	uint8_t bytes[VMX_GDB_PACKET / 2];
	uint64_t address, length;

	if (get_range(&args, &address, &length, ':') && length <= sizeof(bytes) &&
	    gdb_get_hex(args, bytes, length))
		write_memory(gdb, address, bytes, length);
	else
		send_error(gdb, INVALID);
}

static void do_write_binary(struct vmx_gdb *gdb, const char *args)
{
	uint64_t address, length;

	if (get_range(&args, &address, &length, ':') &&
	    length == (size_t)(gdb->packet + gdb->length - args))
		write_memory(gdb, address, args, length);
	else
		send_error(gdb, INVALID);
}

/* Is memory what a file has? gdb's compare-sections asks. */
static void do_crc(struct vmx_gdb *gdb, const char *args)
{
	uint64_t address, length;
	uint32_t crc = UINT32_MAX;
	uint8_t bytes[4096];

	if (!get_range(&args, &address, &length, '\0') || length > CRC_MOST) {
		send_error(gdb, INVALID);
		return;
	}
	while (length) {
		size_t wanted = length < sizeof(bytes) ? length : sizeof(bytes);
		size_t got = gdb->config.target->read_memory(gdb->config.context, gdb->general_cpu,
							     address, bytes, wanted);

		if (!got) {
			send_error(gdb, FAULT);
			return;
		}
		crc = gdb_crc32(crc, bytes, got);
		address += got;
		length -= got;
	}
	gdb_send_text(gdb, "C%x", crc);
}

/* Breakpoints and watchpoints: TYPE,ADDRESS,KIND; gdb judges conditions itself */

static void set_point(struct vmx_gdb *gdb, const char *args, bool on)
{
	uint64_t type, address, length;

	if (!gdb_get_number(&args, &type) || *args++ != ',' || !gdb_get_number(&args, &address) ||
	    *args++ != ',' || !gdb_get_number(&args, &length)) {
		send_error(gdb, INVALID);
		return;
	}
	if (type > VMX_GDB_ACCESS) {
		gdb_send_text(gdb, "%s", "");
		return;
	}
	send_ok_or(gdb, !gdb->config.target->set_point(gdb->config.context, gdb->general_cpu, type,
						       address, length, on), FAULT);
}

static void do_insert(struct vmx_gdb *gdb, const char *args)
{
	set_point(gdb, args, true);
}

static void do_remove(struct vmx_gdb *gdb, const char *args)
{
	set_point(gdb, args, false);
}

/* Running */

static void resume(struct vmx_gdb *gdb, const uint8_t *actions)
{
	gdb->running = true;
	gdb->config.target->resume(gdb->config.context, actions);
}

/* c and s with an address, or C and S with a signal, which vCPUs do not have. */
static void resume_all(struct vmx_gdb *gdb, enum vmx_gdb_action action)
{
	uint8_t actions[VMX_GDB_CPUS];

	for (unsigned int cpu = 0; cpu < VMX_GDB_CPUS; cpu++)
		actions[cpu] = gdb->run_cpu < 0 || gdb->run_cpu == (int)cpu ? action :
			       VMX_GDB_HOLD;
	resume(gdb, actions);
}

static void do_continue(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	resume_all(gdb, VMX_GDB_RUN);
}

static void do_step(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	/* Pick one: the vCPU that gdb looks at. */
	if (gdb->run_cpu < 0)
		gdb->run_cpu = gdb->general_cpu;
	resume_all(gdb, VMX_GDB_STEP);
}

static bool get_action(const char **args, enum vmx_gdb_action *action)
{
	char letter = *(*args)++;
	uint64_t signal;

	if (letter == 'C' || letter == 'S') {
		if (!gdb_get_number(args, &signal))
			return false;
	} else if (letter != 'c' && letter != 's') {
		return false;
	}
	*action = letter == 'c' || letter == 'C' ? VMX_GDB_RUN : VMX_GDB_STEP;
	return true;
}

/* ;ACTION:THREAD;ACTION ...: the first that names a thread, or all, is the thread's. */
static bool get_actions(const char *args, unsigned int cpus, uint8_t *actions)
{
	bool decided[VMX_GDB_CPUS] = {}, any = false;
	enum vmx_gdb_action action;
	int wanted;

	while (*args == ';') {
		args++;
		wanted = -1;
		if (!get_action(&args, &action))
			return false;
		if (*args == ':') {
			args++;
			if (!get_thread(&args, cpus, &wanted))
				return false;
		}
		for (unsigned int cpu = 0; cpu < cpus; cpu++) {
			if (decided[cpu] || (wanted >= 0 && wanted != (int)cpu))
				continue;
			decided[cpu] = true;
			any = true;
			actions[cpu] = action;
		}
	}
	return any && !*args;
}

static void do_vcont(struct vmx_gdb *gdb, const char *args)
{
	uint8_t actions[VMX_GDB_CPUS] = { VMX_GDB_HOLD };

	if (get_actions(args, gdb->config.cpus, actions))
		resume(gdb, actions);
	else
		send_error(gdb, INVALID);
}

static void do_vcont_query(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb_send_text(gdb, "vCont;c;C;s;S");
}

static void do_detach(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb_send_text(gdb, "OK");
	gdb->gone = true;
}

static void do_kill(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb->gone = true;
	gdb->config.target->kill(gdb->config.context);
}

static void do_vkill(struct vmx_gdb *gdb, const char *args)
{
	gdb_send_text(gdb, "OK");
	do_kill(gdb, args);
}

/* Queries */

static void do_supported(struct vmx_gdb *gdb, const char *args)
{
	gdb->told_kinds = strstr(args, "swbreak+") && strstr(args, "hwbreak+");
	gdb_send_text(gdb, "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
		      "swbreak+;hwbreak+", VMX_GDB_PACKET);
}

static void do_no_ack(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb_send_text(gdb, "OK");
	gdb->quiet = true;
}

/* OFFSET,LENGTH of the description */
static void do_description(struct vmx_gdb *gdb, const char *args)
{
	char xml[DESCRIPTION], reply[VMX_GDB_PACKET / 2];
	size_t size = gdb_describe(gdb->config.wide, xml, sizeof(xml));
	uint64_t offset, length;

	if (!get_range(&args, &offset, &length, '\0') || offset > size) {
		send_error(gdb, INVALID);
		return;
	}
	if (length > sizeof(reply) - 1)
		length = sizeof(reply) - 1;
	if (length > size - offset)
		length = size - offset;
	reply[0] = offset + length < size ? 'm' : 'l';
	memcpy(reply + 1, xml + offset, length);
	gdb_send(gdb, reply, length + 1);
}

static void do_first_threads(struct vmx_gdb *gdb, const char *args)
{
	char buf[4 * VMX_GDB_CPUS];
	struct text text = { buf, sizeof(buf) };

	(void)args;
	for (unsigned int cpu = 0; cpu < gdb->config.cpus; cpu++)
		vmx_text(&text, "%c%x", cpu ? ',' : 'm', cpu + 1);
	gdb_send(gdb, buf, text.at - buf);
}

static void do_more_threads(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb_send_text(gdb, "l");
}

static void do_thread_info(struct vmx_gdb *gdb, const char *args)
{
	char text[64], hex[2 * sizeof(text)];
	int cpu, length;

	if (!get_thread(&args, gdb->config.cpus, &cpu) || cpu < 0) {
		send_error(gdb, INVALID);
		return;
	}
	length = snprintf(text, sizeof(text), "vCPU %d, %s", cpu,
			  gdb->config.target->state(gdb->config.context, cpu));
	if (length >= (int)sizeof(text))
		length = sizeof(text) - 1;
	gdb_put_hex(hex, text, length);
	gdb_send(gdb, hex, 2 * length);
}

static void do_current_thread(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb_send_text(gdb, "QC%x", gdb->general_cpu + 1);
}

/* It was there before gdb: leaving it is detaching. */
static void do_attached(struct vmx_gdb *gdb, const char *args)
{
	(void)args;
	gdb_send_text(gdb, "1");
}

/* By the packet's name; what is behind it goes to the function. */
static const struct {
	const char *name;
	void (*run)(struct vmx_gdb *gdb, const char *args);
} commands[] = {
	{ "qSupported", do_supported },
	{ "QStartNoAckMode", do_no_ack },
	{ "qXfer:features:read:target.xml:", do_description },
	{ "qfThreadInfo", do_first_threads },
	{ "qsThreadInfo", do_more_threads },
	{ "qThreadExtraInfo,", do_thread_info },
	{ "qAttached", do_attached },
	{ "qC", do_current_thread },
	{ "qCRC:", do_crc },
	{ "vCont?", do_vcont_query },
	{ "vCont", do_vcont },
	{ "vKill", do_vkill },
	{ "?", do_reason },
	{ "c", do_continue },
	{ "C", do_continue },
	{ "D", do_detach },
	{ "g", do_read_registers },
	{ "G", do_write_registers },
	{ "H", do_set_thread },
	{ "k", do_kill },
	{ "m", do_read_memory },
	{ "M", do_write_memory },
	{ "p", do_read_register },
	{ "P", do_write_register },
	{ "s", do_step },
	{ "S", do_step },
	{ "T", do_thread_alive },
	{ "X", do_write_binary },
	{ "z", do_remove },
	{ "Z", do_insert },
};

/*
 * A letter is a name, with anything behind it. A longer name ends where something else than a
 * letter follows: "qC" is not the beginning of "qCRC".
 */
static bool is_called(const char *packet, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(packet, name, length) &&
	       (length == 1 || !isalnum((unsigned char)name[length - 1]) ||
		!isalnum((unsigned char)packet[length]));
}

/* An empty reply is for what is not known here. While vCPUs run, gdb has nothing to ask. */
void gdb_execute(struct vmx_gdb *gdb)
{
	if (gdb->running)
		return;
	for (size_t n = 0; n < COUNT(commands); n++) {
		if (is_called(gdb->packet, commands[n].name)) {
			commands[n].run(gdb, gdb->packet + strlen(commands[n].name));
			return;
		}
	}
	gdb_send(gdb, "", 0);
}
