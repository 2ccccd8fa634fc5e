// SPDX-License-Identifier: GPL-2.0
/* Lines with TLS: what goes through, who is refused and with which words, and how they end. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "../transport/tunnel.h"
#include "tls_files.h"

#define PATIENCE_MS	20000

FIXTURE(tls) {
	char folder[32];
	int ends[2];		/* the line; then what protects it */
	char why[2][300];
};

typedef FIXTURE_DATA(tls) fixture;

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		abort();
}

/* Lists of those that are revoked: one that counts, and such as cannot be used. */
static void write_lists(const char *folder, const struct identity *one, const struct identity *two)
{
	time_t now = time(NULL);
	char path[64], client[128];

	snprintf(client, sizeof(client), "%s/good/client-cert.pem", folder);
	snprintf(path, sizeof(path), "%s/revoked", folder);
	write_revoked(path, client, one, now + DAY);
	snprintf(path, sizeof(path), "%s/foreign-list", folder);
	write_revoked(path, client, two, now + DAY);
	snprintf(path, sizeof(path), "%s/old-list", folder);
	write_revoked(path, client, one, now - DAY);
	snprintf(path, sizeof(path), "%s/empty-list/ca-crl.pem", folder);
	write_text(path, "");
	snprintf(path, sizeof(path), "%s/no-list/ca-crl.pem", folder);
	write_text(path, "Nobody is revoked.\n");
	snprintf(path, sizeof(path), "%s/dangling-list/ca-crl.pem", folder);
	if (symlink("nowhere", path))
		abort();
}

/* Of two authorities: which one a side trusts, and which certifies it. */
static void write_folders(const char *folder)
{
	const struct subject names[] = { { "authority" }, { "another" } };
	struct identity one = certify(&names[0], NULL), two = certify(&names[1], NULL);
	static const struct {
		const char *name;
		bool trusts_two, of_two, expired, swapped, by_itself;
	} sides[] = {
		{ "good" }, { "other", true, true }, { "mixed", false, true },
		{ "expired", .expired = true }, { "swapped", .swapped = true }, { "revoked" },
		{ "empty-list" }, { "no-list" }, { "dangling-list" }, { "foreign-list" },
		{ "old-list" }, { "by-itself", .by_itself = true },
	};
	char path[64];

	for (size_t n = 0; n < sizeof(sides) / sizeof(sides[0]); n++) {
		snprintf(path, sizeof(path), "%s/%s", folder, sides[n].name);
		write_side(path, sides[n].trusts_two ? &two : &one,
			   sides[n].by_itself ? NULL : sides[n].of_two ? &two : &one,
			   sides[n].expired, sides[n].swapped);
	}
	write_lists(folder, &one, &two);
	forget(&one);
	forget(&two);
}

FIXTURE_SETUP(tls)
{
	snprintf(self->folder, sizeof(self->folder), "/tmp/tls-XXXXXX");
	ASSERT_TRUE(mkdtemp(self->folder));
	write_folders(self->folder);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends));
}

FIXTURE_TEARDOWN(tls)
{
	char command[64];

	for (unsigned int n = 0; n < 2; n++)
		if (self->ends[n] >= 0)
			close(self->ends[n]);
	snprintf(command, sizeof(command), "rm -rf %s", self->folder);
	EXPECT_EQ(0, system(command));
}

struct side {
	struct tls_config config;
	char folder[64];
	int fd;
	char *why;
	pthread_t thread;
};

static void *protect(void *arg)
{
	struct side *side = arg;

	side->fd = transport_tls.protect(&side->config, side->why, sizeof(((fixture *)0)->why[0]));
	return NULL;
}

static void begin_within(fixture *self, struct side *side, const char *folder, const char *host,
			 unsigned int patience_ms, bool (*cancelled)(void))
{
	*side = (struct side){
		.config = {
			.fd = self->ends[!host], .host = host, .patience_ms = patience_ms,
			.cancelled = cancelled,
		},
		.why = self->why[!host],
	};
	snprintf(side->folder, sizeof(side->folder), "%s/%s", self->folder, folder);
	side->config.folder = side->folder;
	if (pthread_create(&side->thread, NULL, protect, side))
		abort();
}

static void begin(fixture *self, struct side *side, const char *folder, const char *host)
{
	begin_within(self, side, folder, host, PATIENCE_MS, NULL);
}

static void end(fixture *self, struct side *side)
{
	pthread_join(side->thread, NULL);
	self->ends[!side->config.host] = side->fd;
}

/* Source and target; the target says a word, as in a migration, for which the source waits. */
static void connect_as(fixture *self, const char *source, const char *target, const char *host)
{
	struct side sides[2];
	char word = 0;

	begin(self, &sides[0], source, host);
	begin(self, &sides[1], target, NULL);
	end(self, &sides[1]);
	if (sides[1].fd >= 0 && write(sides[1].fd, "w", 1) != 1)
		abort();
	end(self, &sides[0]);
	if (sides[0].fd >= 0 && (read(sides[0].fd, &word, 1) != 1 || word != 'w'))
		abort();
}

#define LONG	(4u << 20)

static void fill(unsigned char *bytes, unsigned int length)
{
	for (unsigned int n = 0; n < length; n++)
		bytes[n] = n * 7 + n / 251;
}

static void *write_long(void *arg)
{
	unsigned char *bytes = malloc(LONG);

	fill(bytes, LONG);
	if (send(*(int *)arg, bytes, LONG, MSG_NOSIGNAL) != LONG)
		perror("a side");
	free(bytes);
	return NULL;
}

static bool read_long(int fd, unsigned int length)
{
	unsigned char bytes[5000];
	unsigned int at = 0;
	ssize_t got;

	while (at < length && (got = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t n = 0; n < got; n++, at++)
			if (bytes[n] != (unsigned char)(at * 7 + at / 251))
				return false;
	return at == length;
}

TEST_F(tls, bytes_go_both_ways_at_once)
{
	pthread_t threads[2];

	connect_as(self, "good", "good", "there");
	ASSERT_LE(0, self->ends[0]) { TH_LOG("%s", self->why[0]); }
	ASSERT_LE(0, self->ends[1]) { TH_LOG("%s", self->why[1]); }
	for (unsigned int n = 0; n < 2; n++)
		ASSERT_EQ(0, pthread_create(&threads[n], NULL, write_long, &self->ends[n]));
	EXPECT_TRUE(read_long(self->ends[0], LONG));
	EXPECT_TRUE(read_long(self->ends[1], LONG));
	for (unsigned int n = 0; n < 2; n++)
		pthread_join(threads[n], NULL);
}

#define LAST	100000

/* As by tcp:127.0.0.1:PORT. */
TEST_F(tls, a_certificate_may_name_an_address)
{
	connect_as(self, "good", "good", "127.0.0.1");
	EXPECT_LE(0, self->ends[0]) { TH_LOG("%s", self->why[0]); }
	EXPECT_LE(0, self->ends[1]) { TH_LOG("%s", self->why[1]); }
}

/* Whatever is on the way arrives, and then the end does. */
TEST_F(tls, an_end_comes_after_all_that_was_said)
{
	unsigned char bytes[LAST], more;

	connect_as(self, "good", "good", "there");
	fill(bytes, LAST);
	ASSERT_EQ(LAST, write(self->ends[1], bytes, LAST));
	close(self->ends[1]);
	EXPECT_TRUE(read_long(self->ends[0], LAST));
	EXPECT_GE(0, read(self->ends[0], &more, 1));
	self->ends[1] = -1;
}

/* As the reason of a refusal, after which vmxrun ends at once. */
TEST_F(tls, the_end_of_a_process_leaves_time_for_what_it_said)
{
	unsigned char bytes[LAST], more;
	struct side side;
	int status;
	pid_t child = fork();

	if (!child) {
		begin(self, &side, "good", NULL);
		end(self, &side);
		fill(bytes, LAST);
		exit(side.fd < 0 || write(side.fd, bytes, LAST) != LAST);
	}
	close(self->ends[1]);
	self->ends[1] = -1;
	begin(self, &side, "good", "there");
	end(self, &side);
	ASSERT_LE(0, side.fd) { TH_LOG("%s", side.why); }
	EXPECT_TRUE(read_long(side.fd, LAST));
	EXPECT_GE(0, read(side.fd, &more, 1));
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* As who cancels does: what comes is not heard any more, and a last word is still said. */
TEST_F(tls, a_side_that_does_not_listen_is_heard)
{
	char got[5] = "";

	connect_as(self, "good", "good", "there");
	ASSERT_EQ(0, shutdown(self->ends[0], SHUT_RD));
	send(self->ends[1], "lost", 4, MSG_NOSIGNAL);
	EXPECT_EQ(4, send(self->ends[0], "word", 4, MSG_NOSIGNAL));
	EXPECT_EQ(4, recv(self->ends[1], got, 4, MSG_WAITALL));
	EXPECT_STREQ("word", got);
}

static const struct {
	const char *source, *target, *host;
	const char *said[2];	/* at the source, at the target */
} refusals[] = {
	{ "other", "good", "there",
	  { "certificate as there is not accepted: The certificate is NOT trusted. "
	    "The certificate issuer is unknown.", "does not accept this side's certificate" } },
	{ "mixed", "good", "there",
	  { "does not accept this side's certificate",
	    "certificate is not accepted: The certificate is NOT trusted. "
	    "The certificate issuer is unknown." } },
	{ "good", "mixed", "there", { "issuer is unknown", "does not accept" } },
	{ "expired", "good", "there", { "does not accept", "expired" } },
	{ "good", "expired", "there", { "expired", "does not accept" } },
	{ "good", "good", "elsewhere",
	  { "as elsewhere is not accepted: The certificate is NOT trusted. "
	    "The name in the certificate does not match the expected.", "does not accept" } },
	{ "swapped", "good", "there", { "does not accept", "purpose" } },
	{ "good", "swapped", "there", { "purpose", "does not accept" } },
	{ "by-itself", "good", "there", { "does not accept", "issuer is unknown" } },
	{ "good", "by-itself", "there", { "issuer is unknown", "does not accept" } },
	{ "good", "good", "127.0.0.2", { "does not match the expected", "does not accept" } },
	{ "good", "revoked", "there", { "does not accept", "revoked" } },
	{ "good", "empty-list", "there", { "TLS: ", "ca-crl.pem: " } },
	{ "good", "no-list", "there", { "TLS: ", "ca-crl.pem: " } },
	{ "good", "dangling-list", "there", { "TLS: ", "ca-crl.pem: " } },
	{ "good", "foreign-list", "there",
	  { "TLS: ", "ca-crl.pem: the authority of ca-cert.pem did not" } },
	{ "good", "old-list", "there",
	  { "TLS: ", "ca-crl.pem: the authority of ca-cert.pem did not" } },
	{ "nowhere", "good", "there", { "ca-cert.pem: No such file", "TLS: " } },
};

TEST_F(tls, who_is_not_certified_is_refused)
{
	for (size_t n = 0; n < sizeof(refusals) / sizeof(refusals[0]); n++) {
		connect_as(self, refusals[n].source, refusals[n].target, refusals[n].host);
		for (unsigned int side = 0; side < 2; side++) {
			EXPECT_GT(0, self->ends[side]);
			EXPECT_NE(NULL, strstr(self->why[side], refusals[n].said[side])) {
				TH_LOG("%s, %s, side %u: %s", refusals[n].source,
				       refusals[n].target, side, self->why[side]);
			}
		}
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends));
	}
}

/* A vmxrun without --tls-creds sends the head of the protocol. */
static void talk_to(struct __test_metadata *_metadata, fixture *self, const char *host)
{
	struct side side;

	ASSERT_EQ(24, write(self->ends[!!host], "vmx migration\0\0\0\1\0\0\0\0\0\0\0", 24));
	begin(self, &side, "good", host);
	end(self, &side);
	EXPECT_EQ(-EPROTO, side.fd);
	EXPECT_NE(NULL, strstr(side.why, "the other side does not speak TLS 1.3")) {
		TH_LOG("%s", side.why);
	}
}

TEST_F(tls, a_source_in_the_clear_is_refused)
{
	talk_to(_metadata, self, NULL);
}

TEST_F(tls, a_target_in_the_clear_is_refused)
{
	talk_to(_metadata, self, "there");
}

static unsigned int looks;

static bool cancelled_later(void)
{
	return ++looks > 2;
}

/* The other side says nothing. */
TEST_F(tls, nobody_waits_without_an_end)
{
	static const char *const hosts[] = { "there", NULL };

	for (unsigned int n = 0; n < 2; n++) {
		struct side side;

		looks = 0;
		begin_within(self, &side, "good", hosts[n], PATIENCE_MS, cancelled_later);
		end(self, &side);
		EXPECT_EQ(-ECANCELED, side.fd);
		close(self->ends[n]);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends));
		begin_within(self, &side, "good", hosts[n], 300, NULL);
		end(self, &side);
		EXPECT_EQ(-ETIMEDOUT, side.fd);
		EXPECT_NE(NULL, strstr(side.why, "does not answer")) { TH_LOG("%s", side.why); }
		close(self->ends[!n]);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends));
	}
}

/* The other side begins a long record, and goes on so slowly that it never ends. */
static void *trickle(void *arg)
{
	static const char head[] = { 0x16, 3, 1, 0x40, 0 };
	int fd = *(int *)arg;

	if (send(fd, head, sizeof(head), MSG_NOSIGNAL) != sizeof(head))
		abort();
	while (send(fd, "", 1, MSG_NOSIGNAL) == 1)
		usleep(1000);
	return NULL;
}

static void hear_trickle(struct __test_metadata *_metadata, fixture *self, const char *host,
			 unsigned int patience_ms, bool (*cancelled)(void), int expected)
{
	struct side side;
	pthread_t thread;

	looks = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, trickle, &self->ends[!!host]));
	begin_within(self, &side, "good", host, patience_ms, cancelled);
	end(self, &side);
	EXPECT_EQ(expected, side.fd) { TH_LOG("%s", side.why); }
	pthread_join(thread, NULL);
	close(self->ends[!!host]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->ends));
}

TEST_F(tls, who_says_a_little_at_a_time_is_not_waited_for_without_an_end)
{
	static const char *const hosts[] = { "there", NULL };

	for (unsigned int n = 0; n < 2; n++) {
		hear_trickle(_metadata, self, hosts[n], 300, NULL, -ETIMEDOUT);
		hear_trickle(_metadata, self, hosts[n], PATIENCE_MS, cancelled_later, -ECANCELED);
	}
}

/* A client that knows TLS and has nothing to show. */
static void *come_with_nothing(void *arg)
{
	gnutls_certificate_credentials_t nothing;
	gnutls_session_t session;
	char byte;

	must(gnutls_certificate_allocate_credentials(&nothing));
	must(gnutls_init(&session, GNUTLS_CLIENT));
	must(gnutls_set_default_priority(session));
	must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nothing));
	gnutls_transport_set_int(session, *(int *)arg);
	if (gnutls_handshake(session) >= 0)
		gnutls_record_recv(session, &byte, 1);
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(nothing);
	return NULL;
}

TEST_F(tls, a_source_without_a_certificate_is_refused)
{
	struct side side;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, come_with_nothing, &self->ends[0]));
	begin(self, &side, "good", NULL);
	end(self, &side);
	EXPECT_GT(0, side.fd);
	EXPECT_NE(NULL, strstr(side.why, "certificate")) { TH_LOG("%s", side.why); }
	printf("# %s\n", side.why);
	pthread_join(thread, NULL);
}

/* Threads of this process. */
static unsigned int count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned int count = 0;

	while (readdir(tasks))
		count++;
	closedir(tasks);
	return count - 2;
}

/* Of the two tunnels one ends. */
static bool one_ends(unsigned int before)
{
	for (unsigned int n = 0; n < PATIENCE_MS; n++) {
		if (count_threads() < before)
			return true;
		usleep(1000);
	}
	return false;
}

/* The other side takes nothing, and goes on with that. */
TEST_F(tls, a_side_that_is_gone_does_not_wait_for_ever_for_its_words_to_be_taken)
{
	struct timeval soon = { .tv_usec = 300000 };
	char bytes[4096] = "";

	connect_as(self, "good", "good", "there");
	ASSERT_LE(0, self->ends[0]);
	ASSERT_EQ(0, setsockopt(self->ends[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)));
	while (send(self->ends[0], bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		;
	ASSERT_EQ(3, count_threads());
	tunnel_patience_ms = 100;
	close(self->ends[0]);
	self->ends[0] = -1;
	EXPECT_TRUE(one_ends(3));
}

TEST_F(tls, a_name_that_is_too_long_is_refused)
{
	char host[300];
	struct side side;

	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	begin(self, &side, "good", host);
	end(self, &side);
	EXPECT_EQ(-EINVAL, side.fd);
	EXPECT_NE(NULL, strstr(side.why, "too long")) { TH_LOG("%s", side.why); }
}

TEST_F(tls, a_target_can_look_at_its_folder_before_anybody_comes)
{
	char folder[64];

	snprintf(folder, sizeof(folder), "%s/good", self->folder);
	EXPECT_EQ(0, transport_tls.check(folder, self->why[1], sizeof(self->why[1])));
	snprintf(folder, sizeof(folder), "%s/nowhere", self->folder);
	EXPECT_EQ(-EINVAL, transport_tls.check(folder, self->why[1], sizeof(self->why[1])));
	EXPECT_NE(NULL, strstr(self->why[1], "No such file"));
}

TEST_HARNESS_MAIN
