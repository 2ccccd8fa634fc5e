// SPDX-License-Identifier: GPL-2.0
/* vmxrun --gdb under the packets that gdb sends: the guest stops, shows its state, and goes on. */
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/vmxrun_fixture.h"

#define COUNTER		0x200000
/* Where its instructions are. */
#define LOOP		(KERNEL_AT + 10)
#define PUSHF		(LOOP + 11)
#define OUT		(PUSHF + 2)

/* Counts to 3 in RCX and in memory. */
GUEST64(counting_guest,
	"mov $0x1234, %ebx\n mov $0x300000, %esp\n"
	"1: inc %rcx\n mov %rcx, 0x200000\n pushf\n pop %rax\n out %al, $0x80\n"
	"cmp $3, %rcx\n jne 1b\n mov $5, %al\n out %al, $0xf4\n 2: jmp 2b");
/* In Bochs the host cannot interrupt a guest that has interrupts off: this one exits. */
GUEST64(spinning_guest, "1: inc %rcx\n out %al, $0x80\n jmp 1b");

/* The other end of its socket. */
struct client {
	int fd;
	char reply[8192];
};

static void socket_path(fixture *self, char *option, size_t size)
{
	snprintf(option, size, "unix:%s/gdb", self->folder);
}

static int connect_to(fixture *self, struct client *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timespec tick = { .tv_nsec = 10000000 };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/gdb", self->folder);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (int n = 0; n < PATIENCE * 100; n++) {
		if (!connect(client->fd, (struct sockaddr *)&address, sizeof(address)))
			return 0;
		nanosleep(&tick, NULL);
	}
	return -1;
}

/* The next packet's content; "" also if there is none. */
static const char *listen_to(struct client *client)
{
	struct pollfd input = { .fd = client->fd, .events = POLLIN };
	size_t length = 0;
	bool inside = false;
	char byte;

	while (length < sizeof(client->reply) - 1 && poll(&input, 1, PATIENCE * 1000) > 0 &&
	       read(client->fd, &byte, 1) == 1) {
		if (inside && byte == '#')
			break;
		if (inside)
			client->reply[length++] = byte;
		if (byte == '$')
			inside = true;
	}
	client->reply[length] = '\0';
	/* The checksum */
	if (inside && (read(client->fd, &byte, 1) != 1 || read(client->fd, &byte, 1) != 1))
		return "the end";
	return client->reply;
}

static const char *ask(struct client *client, const char *text)
{
	char packet[300];
	uint8_t sum = 0;
	int length;

	for (const char *at = text; *at; at++)
		sum += *at;
	length = snprintf(packet, sizeof(packet), "$%s#%02x", text, sum);
	if (write(client->fd, packet, length) != length)
		return "cannot be asked";
	return listen_to(client);
}

/* Numbers of registers in its description */
enum { RAX = 0, RBX = 1, RCX = 2, RIP = 16 };

static uint64_t get_register(struct client *client, unsigned int number)
{
	char text[16];

	snprintf(text, sizeof(text), "p%x", number);
	return __builtin_bswap64(strtoull(ask(client, text), NULL, 16));
}

static uint64_t get_memory(struct client *client, uint64_t address)
{
	char text[40];

	snprintf(text, sizeof(text), "m%llx,8", (unsigned long long)address);
	return __builtin_bswap64(strtoull(ask(client, text), NULL, 16));
}

#define EXPECT_REPLY(want, text) EXPECT_STREQ(want, ask(&client, text))

/* It is there, and the guest is before its first instruction. */
#define START_GDB(guest, ...) do {							\
	char option_[64];								\
											\
	socket_path(self, option_, sizeof(option_));					\
	START(guest, OPTIONS("--gdb", option_, ##__VA_ARGS__));				\
	ASSERT_EQ(0, connect_to(self, &client));					\
	ASSERT_STREQ("OK", ask(&client, "QStartNoAckMode"));				\
	ask(&client, "qSupported:swbreak+;hwbreak+");					\
	EXPECT_REPLY("T02thread:1;", "?");						\
} while (0)

TEST_F(vmxrun, breakpoints_and_steps)
{
	struct client client;

	START_GDB(counting_guest);
	EXPECT_EQ(KERNEL_AT, get_register(&client, RIP));
	EXPECT_EQ(0, memcmp(counting_guest, (uint64_t[]){ get_memory(&client, KERNEL_AT) }, 8));
	EXPECT_REPLY("OK", "Z0,10000a,1");
	EXPECT_REPLY("T05thread:1;swbreak:;", "vCont;c");
	EXPECT_EQ(LOOP, get_register(&client, RIP));
	EXPECT_EQ(0x1234, get_register(&client, RBX));
	EXPECT_EQ(0, get_register(&client, RCX));
	/* As gdb does: away with it, a step, there again. */
	EXPECT_REPLY("OK", "z0,10000a,1");
	EXPECT_REPLY("T05thread:1;", "vCont;s:1");
	EXPECT_EQ(LOOP + 3, get_register(&client, RIP));
	EXPECT_EQ(1, get_register(&client, RCX));
	EXPECT_REPLY("OK", "Z0,10000a,1");
	EXPECT_REPLY("T05thread:1;swbreak:;", "vCont;c:1");
	EXPECT_EQ(1, get_memory(&client, COUNTER));
	EXPECT_REPLY("OK", "z0,10000a,1");
	/* The guest sees nothing of a step, not even if it looks; ports are finished elsewhere. */
	while (get_register(&client, RIP) != OUT)
		ASSERT_STREQ("T05thread:1;", ask(&client, "vCont;s:1"));
	EXPECT_EQ(0, get_register(&client, RAX) & 0x100);
	EXPECT_REPLY("T05thread:1;", "vCont;s:1");
	EXPECT_EQ(OUT + 2, get_register(&client, RIP));
	/* It counts on from what it is told, in registers and memory. */
	EXPECT_REPLY("OK", "P2=0300000000000000");
	EXPECT_REPLY("OK", "M200000,1:07");
	EXPECT_EQ(7, get_memory(&client, COUNTER));
	EXPECT_REPLY("W0b", "vCont;c");
	EXPECT_STATUS(11);
	close(client.fd);
}

TEST_F(vmxrun, debug_registers)
{
	struct client client;

	START_GDB(counting_guest);
	EXPECT_REPLY("OK", "Z1,10000a,1");
	EXPECT_REPLY("T05thread:1;hwbreak:;", "c");
	EXPECT_EQ(LOOP, get_register(&client, RIP));
	EXPECT_REPLY("OK", "z1,10000a,1");
	EXPECT_REPLY("OK", "Z2,200000,8");
	EXPECT_REPLY("T05thread:1;watch:200000;", "c");
	/* A trap: it is written. */
	EXPECT_EQ(PUSHF, get_register(&client, RIP));
	EXPECT_EQ(1, get_memory(&client, COUNTER));
	EXPECT_REPLY("OK", "Z2,200008,8");
	EXPECT_REPLY("OK", "Z2,200010,8");
	EXPECT_REPLY("OK", "Z3,200018,4");
	EXPECT_REPLY("E0e", "Z2,200020,1");
	EXPECT_REPLY("E0e", "Z2,200003,4");
	EXPECT_REPLY("OK", "z2,200000,8");
	EXPECT_REPLY("W0b", "c");
	EXPECT_STATUS(11);
	close(client.fd);
}

TEST_F(vmxrun, gdb_comes_and_goes)
{
	struct client client;
	uint64_t count;

	START_GDB(spinning_guest);
	EXPECT_REPLY("OK", "Z0,100003,1");
	EXPECT_REPLY("T05thread:1;swbreak:;", "c");
	/* Another one finds it further on, if not at once, and no breakpoint. */
	do {
		EXPECT_REPLY("OK", "D");
		close(client.fd);
		ASSERT_EQ(0, connect_to(self, &client));
		ask(&client, "QStartNoAckMode");
		EXPECT_REPLY("T02thread:1;", "?");
		EXPECT_EQ(spinning_guest[3], get_memory(&client, KERNEL_AT + 3) & 0xff);
		count = get_register(&client, RCX);
	} while (count == 1);
	EXPECT_LT(1, count);
	/* It runs until it is interrupted. */
	ASSERT_EQ(11, write(client.fd, "$vCont;c#a8", 11));
	ASSERT_EQ(1, write(client.fd, "\3", 1));
	EXPECT_STREQ("T02thread:1;", listen_to(&client));
	EXPECT_LE(count, get_register(&client, RCX));
	/* Gone without a word: the guest runs, and ends as ever. */
	close(client.fd);
	ASSERT_EQ(0, connect_to(self, &client));
	ask(&client, "QStartNoAckMode");
	EXPECT_REPLY("OK", "vKill;1");
	EXPECT_STATUS(130);
	close(client.fd);
}

TEST_F(vmxrun, threads_of_gdb)
{
	struct client client;

	START_GDB(spinning_guest, "--cpus", "2");
	EXPECT_REPLY("m1,2", "qfThreadInfo");
	/* "vCPU 1, waits for a start-up IPI" */
	EXPECT_REPLY("7643505520312c20776169747320666f7220612073746172742d757020495049",
		     "qThreadExtraInfo,2");
	EXPECT_REPLY("OK", "Hg2");
	EXPECT_EQ(0, get_register(&client, RCX));
	ASSERT_EQ(11, write(client.fd, "$vCont;c#a8", 11));
	ASSERT_EQ(1, write(client.fd, "\3", 1));
	EXPECT_STREQ("T02thread:1;", listen_to(&client));
	kill(self->child, SIGTERM);
	EXPECT_STATUS(143);
	close(client.fd);
}

TEST_F(vmxrun, addresses_for_gdb)
{
	START(spinning_guest, OPTIONS("--gdb", "nowhere"));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "--gdb nowhere: not an address (examples: :1234, "));
	START(spinning_guest, OPTIONS("--gdb", "unix:/no/such/folder"));
	EXPECT_STATUS(125);
	EXPECT_TRUE(complained(self, "No such file or directory"));
}

VMX_TEST_MAIN
