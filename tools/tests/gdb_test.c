// SPDX-License-Identifier: GPL-2.0
/* The stub as gdb meets it: packets, what they ask for, and what is none. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "gdb_stub.h"

FIXTURE(gdb) {
	struct stub stub;
	struct vmx_gdb *gdb;
};

FIXTURE_SETUP(gdb)
{
	stub_init(&self->stub, true);
	self->gdb = &self->stub.gdb;
}

FIXTURE_TEARDOWN(gdb)
{
}

static void clear(struct stub *stub)
{
	stub->sent_length = 0;
	stub->sent[0] = '\0';
}

/* Sends DATA as a packet. Returns the reply's, without acknowledgment, '$' and checksum. */
static const char *ask_bytes(struct stub *stub, const char *data, size_t length)
{
	char packet[2 * VMX_GDB_PACKET];
	static char reply[2 * VMX_GDB_PACKET];
	uint8_t sum = 0;
	char *start, *end;
	int size;

	for (size_t n = 0; n < length; n++)
		sum += data[n];
	packet[0] = '$';
	memcpy(packet + 1, data, length);
	size = 1 + length + sprintf(packet + 1 + length, "#%02x", sum);
	clear(stub);
	vmx_gdb_receive(&stub->gdb, packet, size);
	start = strchr(stub->sent, '$');
	end = start ? strrchr(start, '#') : NULL;
	if (!end)
		return start ? "no end" : "none";
	snprintf(reply, sizeof(reply), "%.*s", (int)(end - start - 1), start + 1);
	return reply;
}

static const char *ask(struct stub *stub, const char *text)
{
	return ask_bytes(stub, text, strlen(text));
}

#define ASK(text) ask(&self->stub, text)

static void send_text(struct stub *stub, const char *text)
{
	clear(stub);
	vmx_gdb_receive(&stub->gdb, text, strlen(text));
}

TEST_F(gdb, packets_are_acknowledged)
{
	send_text(&self->stub, "$qC#b4");
	EXPECT_STREQ("+$QC1#c5", self->stub.sent);
	/* Again, for it did not arrive; then a wrong sum, no sum, one packet within another. */
	send_text(&self->stub, "-");
	EXPECT_STREQ("$QC1#c5", self->stub.sent);
	send_text(&self->stub, "$qC#b5");
	EXPECT_STREQ("-", self->stub.sent);
	send_text(&self->stub, "$qC#zz");
	EXPECT_STREQ("-", self->stub.sent);
	send_text(&self->stub, "++garbage$qfThr$qC#b4");
	EXPECT_STREQ("+$QC1#c5", self->stub.sent);
	EXPECT_STREQ("OK", ASK("QStartNoAckMode"));
	send_text(&self->stub, "$qC#b4");
	EXPECT_STREQ("$QC1#c5", self->stub.sent);
}

TEST_F(gdb, packets_come_in_pieces)
{
	const char *packet = "$m1000,4#8e";

	memcpy(self->stub.memory, "\x12\x34\x56\x78", 4);
	clear(&self->stub);
	for (const char *at = packet; *at; at++)
		vmx_gdb_receive(self->gdb, at, 1);
	EXPECT_STREQ("+$12345678#a4", self->stub.sent);
}

TEST_F(gdb, what_is_not_known_has_an_empty_answer)
{
	char long_packet[VMX_GDB_PACKET + 100];

	EXPECT_STREQ("", ASK("vMustReplyEmpty"));
	EXPECT_STREQ("", ASK(""));
	EXPECT_STREQ("", ASK("Z5,1000,1"));
	/* Nor is what begins like something known. */
	EXPECT_STREQ("", ASK("qCRX:1000,1"));
	EXPECT_STREQ("", ASK("qSupportedX"));
	EXPECT_STREQ("", ASK("qfThreadInfoX"));
	EXPECT_STREQ("", ASK("QStartNoAckModeX"));
	EXPECT_STREQ("", ASK("vContX"));
	EXPECT_STREQ("", ASK("vKillX"));
	EXPECT_EQ('\0', self->stub.diary[0]);
	memset(long_packet, 'm', sizeof(long_packet));
	EXPECT_STREQ("", ask_bytes(&self->stub, long_packet, sizeof(long_packet)));
}

TEST_F(gdb, registers)
{
	struct vmx_gdb_registers *registers = &self->stub.registers[0];
	const char *reply;

	for (unsigned int n = 0; n < 16; n++)
		registers->general[n] = 0x1111111111111111u * n;
	registers->rip = 0xffffffff81000000;
	registers->eflags = 0x246;
	registers->segments[0] = 0x10;
	reply = ASK("g");
	/* gdb's order: RAX, RBX, RCX, RDX; and behind R15 RIP, EFLAGS, CS. */
	EXPECT_EQ(0, strncmp(reply, "000000000000000033333333333333331111111111111111", 48));
	EXPECT_EQ(0, strncmp(reply + 2 * 128, "00000081ffffffff4602000010000000", 32));
	EXPECT_STREQ("00000081ffffffff", ASK("p10"));
	EXPECT_STREQ("OK", ASK("P10=0000008000000000"));
	EXPECT_EQ(0x80000000, registers->rip);
	EXPECT_STREQ("E16", ASK("P10=00000080000000"));
	EXPECT_STREQ("E16", ASK("P10"));
	EXPECT_STREQ("E16", ASK("pffff"));
	EXPECT_STREQ("E16", ASK("p"));
	EXPECT_STREQ("E16", ASK("G00"));
}

TEST_F(gdb, all_registers_go_there_and_back)
{
	struct vmx_gdb_registers before;
	char packet[VMX_GDB_PACKET];

	for (size_t n = 0; n < sizeof(before); n++)
		((uint8_t *)&self->stub.registers[0])[n] = n * 7;
	before = self->stub.registers[0];
	snprintf(packet, sizeof(packet), "G%s", ASK("g"));
	memset(&self->stub.registers[0], 0, sizeof(before));
	self->stub.registers[0].cr0 = before.cr0;
	EXPECT_STREQ("OK", ASK(packet));
	EXPECT_EQ(0, memcmp(&before, &self->stub.registers[0],
			    offsetof(struct vmx_gdb_registers, st)));
	EXPECT_EQ(0, memcmp(before.xmm, self->stub.registers[0].xmm, sizeof(before.xmm)));
	EXPECT_EQ(before.efer, self->stub.registers[0].efer);
}

/* What cannot be changed is an error, and no silence. */
TEST_F(gdb, a_register_that_stays_as_it_is)
{
	/* CR0: the fifth from the end of 64 */
	self->stub.registers[0].cr0 = 0x80000011;
	EXPECT_STREQ("1100008000000000", ASK("p3b"));
	EXPECT_STREQ("OK", ASK("P3b=1100008000000000"));
	EXPECT_STREQ("E16", ASK("P3b=1000008000000000"));
	EXPECT_STREQ("E16", ASK("p40"));
}

TEST_F(gdb, memory)
{
	EXPECT_STREQ("OK", ASK("M1ffe,4:01020304"));
	EXPECT_STREQ("01020304", ASK("m1ffe,4"));
	EXPECT_STREQ("OK", ask_bytes(&self->stub, "X1000,3:\0}\x03z", 12));
	EXPECT_EQ(0, memcmp(self->stub.memory, "\0#z", 3));
	EXPECT_STREQ("OK", ASK("X1000,0:"));
	/* What is there, up to the first that is not. */
	EXPECT_STREQ("0000", ASK("m2ffe,10"));
	EXPECT_STREQ("E0e", ASK("m3000,1"));
	EXPECT_STREQ("E0e", ASK("M2fff,2:0102"));
	EXPECT_STREQ("E16", ASK("M1000,2:01"));
	EXPECT_STREQ("E16", ASK("X1000,2:a"));
	EXPECT_STREQ("E16", ASK("m1000"));
	EXPECT_STREQ("E16", ASK("m,1"));
	EXPECT_STREQ("E16", ASK("m10000000000000000,1"));
	EXPECT_STREQ("E0e", ASK("mffffffffffffffff,ffffffffffffffff"));
	/* More than a packet holds: some of it. */
	EXPECT_EQ(VMX_GDB_PACKET, strlen(ASK("m1000,1fff")));
}

/* The check value of CRC-32/MPEG-2, which gdb's is. */
TEST_F(gdb, checksum_of_memory)
{
	memcpy(self->stub.memory, "123456789", 9);
	EXPECT_STREQ("C376e6e7", ASK("qCRC:1000,9"));
	EXPECT_STREQ("Cffffffff", ASK("qCRC:1000,0"));
	EXPECT_STREQ("E0e", ASK("qCRC:2fff,2"));
	EXPECT_STREQ("E16", ASK("qCRC:1000,10000001"));
	EXPECT_STREQ("E16", ASK("qCRC:1000"));
	EXPECT_STREQ("QC1", ASK("qC"));
}

TEST_F(gdb, points)
{
	EXPECT_STREQ("OK", ASK("Z0,1234,1"));
	EXPECT_STREQ("set 0 at 0x1234, 1, vCPU 0", self->stub.diary);
	EXPECT_STREQ("OK", ASK("z2,1238,8"));
	EXPECT_STREQ("remove 2 at 0x1238, 8, vCPU 0", self->stub.diary);
	EXPECT_STREQ("OK", ASK("Z1,1000,1;X3,220027"));
	EXPECT_STREQ("E0e", ASK("Z0,9999,1"));
	EXPECT_STREQ("E16", ASK("Z0,1000"));
	EXPECT_STREQ("E16", ASK("Z"));
}

TEST_F(gdb, threads)
{
	EXPECT_STREQ("m1,2", ASK("qfThreadInfo"));
	EXPECT_STREQ("l", ASK("qsThreadInfo"));
	/* "vCPU 1, halted" */
	EXPECT_STREQ("7643505520312c2068616c746564", ASK("qThreadExtraInfo,2"));
	EXPECT_STREQ("OK", ASK("T2"));
	EXPECT_STREQ("E16", ASK("T3"));
	EXPECT_STREQ("E16", ASK("Hg3"));
	EXPECT_STREQ("E16", ASK("H"));
	self->stub.registers[1].rip = 0x42;
	EXPECT_STREQ("OK", ASK("Hg2"));
	EXPECT_STREQ("4200000000000000", ASK("p10"));
	EXPECT_STREQ("QC2", ASK("qC"));
	EXPECT_STREQ("OK", ASK("Hg-1"));
	EXPECT_STREQ("OK", ASK("Hg0"));
	EXPECT_STREQ("1", ASK("qAttached"));
}

TEST_F(gdb, running_and_stopping)
{
	struct vmx_gdb_stop stop = { .cpu = 1, .at_point = true, .point = VMX_GDB_SOFTWARE };

	EXPECT_STREQ("T02thread:1;", ASK("?"));
	EXPECT_STREQ("vCont;c;C;s;S", ASK("vCont?"));
	EXPECT_STREQ("none", ASK("vCont;s:2"));
	EXPECT_STREQ("hold step", self->stub.diary);
	clear(&self->stub);
	vmx_gdb_stopped(self->gdb, &stop);
	EXPECT_STREQ("$T05thread:2;#d8", self->stub.sent);
	ASK("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386");
	EXPECT_STREQ("T05thread:2;swbreak:;", ASK("?"));
	EXPECT_STREQ("none", ASK("vCont;s:1;c"));
	EXPECT_STREQ("step run", self->stub.diary);
	stop = (struct vmx_gdb_stop){ .at_point = true, .point = VMX_GDB_WRITE, .address = 0x1008 };
	vmx_gdb_stopped(self->gdb, &stop);
	EXPECT_STREQ("T05thread:1;watch:1008;", ASK("?"));
	EXPECT_STREQ("none", ASK("c"));
	EXPECT_STREQ("run run", self->stub.diary);
	/* Whatever comes now waits for nothing, but for the interrupt. */
	EXPECT_STREQ("none", ASK("g"));
	send_text(&self->stub, "\3");
	EXPECT_STREQ("interrupt", self->stub.diary);
	vmx_gdb_stopped(self->gdb, &(struct vmx_gdb_stop){ .interrupted = true });
	EXPECT_STREQ("T02thread:1;", ASK("?"));
	EXPECT_STREQ("OK", ASK("Hc2"));
	EXPECT_STREQ("none", ASK("s"));
	EXPECT_STREQ("hold step", self->stub.diary);
	vmx_gdb_stopped(self->gdb, &stop);
	EXPECT_STREQ("E16", ASK("vCont"));
	EXPECT_STREQ("E16", ASK("vCont;x"));
	EXPECT_STREQ("E16", ASK("vCont;c:3"));
	EXPECT_STREQ("E16", ASK("vCont;C"));
	EXPECT_STREQ("none", ASK("vCont;C05:p1.1"));
	EXPECT_STREQ("run hold", self->stub.diary);
}

TEST_F(gdb, ends)
{
	EXPECT_STREQ("none", ASK("vCont;c"));
	clear(&self->stub);
	vmx_gdb_ended(self->gdb, 11);
	EXPECT_STREQ("$W0b#e9", self->stub.sent);
	EXPECT_FALSE(vmx_gdb_receive(self->gdb, "+", 1));
	stub_init(&self->stub, true);
	EXPECT_STREQ("OK", ASK("D"));
	EXPECT_FALSE(vmx_gdb_receive(self->gdb, "$g#67", 5));
	stub_init(&self->stub, true);
	EXPECT_STREQ("OK", ASK("vKill;1"));
	EXPECT_STREQ("kill", self->stub.diary);
}

/* Reads the description in pieces, as gdb does; returns it. */
static char *describe(struct stub *stub, unsigned int piece)
{
	static char xml[20000];
	size_t length = 0;
	const char *reply;
	char text[64];

	do {
		snprintf(text, sizeof(text), "qXfer:features:read:target.xml:%zx,%x", length,
			 piece);
		reply = ask(stub, text);
		for (const char *at = reply + 1; *reply && *at; at++)
			xml[length++] = *at == '}' ? *++at ^ 0x20 : *at;
	} while (*reply == 'm' && length < sizeof(xml) - VMX_GDB_PACKET);
	xml[length] = '\0';
	return *reply == 'l' ? xml : "no end";
}

TEST_F(gdb, description)
{
	static char whole[20000];
	unsigned int count = 0;
	const char *at;

	snprintf(whole, sizeof(whole), "%s", describe(&self->stub, 0xfff));
	EXPECT_STREQ(whole, describe(&self->stub, 100));
	EXPECT_NE(NULL, strstr(whole, "<architecture>i386:x86-64</architecture>"));
	EXPECT_NE(NULL, strstr(whole, "<field name=\"PG\" start=\"31\" end=\"31\"/>"));
	EXPECT_EQ(0, strcmp(whole + strlen(whole) - 9, "</target>"));
	for (at = whole; (at = strstr(at, "<reg ")); at++)
		count++;
	EXPECT_EQ(16 + 2 + 6 + 16 + 17 + 2 + 5, count);
	EXPECT_STREQ("E16", ASK("qXfer:features:read:target.xml:9999,1"));
	EXPECT_STREQ("E16", ASK("qXfer:features:read:target.xml:0"));
	stub_init(&self->stub, false);
	snprintf(whole, sizeof(whole), "%s", describe(&self->stub, 0xfff));
	EXPECT_NE(NULL, strstr(whole, "<architecture>i386</architecture>"));
	EXPECT_EQ(NULL, strstr(whole, "name=\"rax\""));
	/* Half as wide. */
	self->stub.registers[0].general[VMX_RCX] = 0x1122334455667788;
	EXPECT_STREQ("88776655", ASK("p1"));
}

/* gdb itself: it takes the description, and makes of it what is meant. */

static void serve(struct stub *stub, int listener)
{
	int connection = accept(listener, NULL, NULL);
	char bytes[1024];
	ssize_t got;

	while ((got = read(connection, bytes, sizeof(bytes))) > 0) {
		stub->sent_length = 0;
		vmx_gdb_receive(&stub->gdb, bytes, got);
		if (stub->gdb.running) {
			stub->registers[0].rip++;
			vmx_gdb_stopped(&stub->gdb, &(struct vmx_gdb_stop){});
		}
		if (write(connection, stub->sent, stub->sent_length) < 0)
			break;
	}
	close(connection);
}

/* Runs gdb's commands against the stub; what it says is in OUTPUT. */
static int run_gdb(struct stub *stub, const char *commands, char *output, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char command[1000], folder[] = "/tmp/gdb_test-XXXXXX";
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t got;
	FILE *gdb;

	if (!mkdtemp(folder))
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		return -1;
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'target remote %s' %s 2>&1",
		 address.sun_path, commands);
	gdb = popen(command, "r");
	serve(stub, listener);
	got = fread(output, 1, size - 1, gdb);
	output[got] = '\0';
	close(listener);
	unlink(address.sun_path);
	rmdir(folder);
	return pclose(gdb);
}

/* gdb compares memory with a file: what it wrote there itself, and what was changed since. */
TEST_F(gdb, gdb_compares_sections)
{
	char commands[200], path[] = "/tmp/gdb_test-XXXXXX";
	static char output[20000];

	if (system("command -v gdb > /dev/null"))
		SKIP(return, "gdb is not installed");
	close(mkstemp(path));
	memset(self->stub.memory, 0x5a, 0x1000);
	snprintf(commands, sizeof(commands),
		 "-ex 'dump srec memory %s 0x1000 0x2000' -ex 'file %s' "
		 "-ex compare-sections -ex 'set *(char *)0x1ffe = 9' -ex compare-sections "
		 "-ex 'detach'", path, path);
	ASSERT_EQ(0, run_gdb(&self->stub, commands, output, sizeof(output)))
		TH_LOG("%s", output);
	EXPECT_NE(NULL, strstr(output, "matched.")) TH_LOG("%s", output);
	EXPECT_NE(NULL, strstr(output, "MIS-MATCHED!"));
	EXPECT_LT(strstr(output, "matched."), strstr(output, "MIS-MATCHED!"));
	unlink(path);
}

TEST_F(gdb, gdb_itself)
{
	struct vmx_gdb_registers *registers = &self->stub.registers[0];
	static char output[20000];

	if (system("command -v gdb > /dev/null"))
		SKIP(return, "gdb is not installed");
	memcpy(self->stub.memory, "\x90\x90\x48\xff\xc1", 5);
	registers->rip = MEMORY_AT;
	registers->eflags = 0x246;
	registers->cr0 = 0x80000011;
	registers->xmm[0][0] = 7;
	ASSERT_EQ(0, run_gdb(&self->stub, "-ex 'info threads' -ex 'info registers rip eflags cr0' "
			     "-ex 'p $xmm0.uint128' -ex 'stepi' -ex 'x/2i $pc' -ex 'set $rcx = 5' "
			     "-ex 'set *(char *)0x1fff = 9' -ex 'detach'", output, sizeof(output)))
		TH_LOG("%s", output);
	EXPECT_NE(NULL, strstr(output, "Thread 1 (vCPU 0, active)"));
	EXPECT_NE(NULL, strstr(output, "Thread 2 (vCPU 1, halted)"));
	EXPECT_NE(NULL, strstr(output, "[ PF ZF IF ]"));
	EXPECT_NE(NULL, strstr(output, "[ PE ET PG ]"));
	EXPECT_NE(NULL, strstr(output, "$1 = 7"));
	EXPECT_NE(NULL, strstr(output, "=> 0x1001:	nop"));
	EXPECT_NE(NULL, strstr(output, "inc    %rcx")) TH_LOG("%s", output);
	EXPECT_EQ(5, registers->general[VMX_RCX]);
	EXPECT_EQ(9, self->stub.memory[0xfff]);
	/* The same bytes, to a 32-bit one */
	stub_init(&self->stub, false);
	memcpy(self->stub.memory, "\x90\x90\x48\xff\xc1", 5);
	registers->rip = MEMORY_AT;
	ASSERT_EQ(0, run_gdb(&self->stub, "-ex 'x/3i $eip' -ex 'p/x $esp' -ex 'detach'", output,
			     sizeof(output)));
	EXPECT_NE(NULL, strstr(output, "dec    %eax")) TH_LOG("%s", output);
	EXPECT_NE(NULL, strstr(output, "$1 = 0x0"));
}

TEST_HARNESS_MAIN
