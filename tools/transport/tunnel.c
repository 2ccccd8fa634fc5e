// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Carries bytes between a line with TLS and a socket in the clear, which has all that a migration
 * expects of its line: time limits, and an end that cuts it. What was not taken from that socket
 * whole never arrives whole at the other side.
 */
#define _GNU_SOURCE	/* pthread_cond_clockwait() */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tunnel.h"

/* How long the end of the process waits for its last words to go out. */
#define LAST_WORDS_S	5
unsigned int tunnel_patience_ms = 20000;

/* Those that carry, for the end of the process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static struct tunnel *tunnels;

int64_t tunnel_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

struct tunnel *tunnel_new(int line)
{
	struct tunnel *tunnel = calloc(1, sizeof(*tunnel));

	if (tunnel) {
		tunnel->line = line;
		tunnel->plain = -1;
	}
	return tunnel;
}

void tunnel_free(struct tunnel *tunnel)
{
	if (tunnel->session)
		gnutls_deinit(tunnel->session);
	if (tunnel->credentials)
		gnutls_certificate_free_credentials(tunnel->credentials);
	if (tunnel->plain >= 0)
		close(tunnel->plain);
	close(tunnel->line);
	free(tunnel);
}

static void took(struct bytes *bytes, size_t count)
{
	bytes->at += count;
	bytes->count -= count;
	if (!bytes->count)
		bytes->at = 0;
}

static bool is_for_later(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* From this side to the line */

static void hear_plain(struct tunnel *tunnel)
{
	ssize_t got;

	/* Who waits for last words looks at the socket first. */
	__atomic_store_n(&tunnel->busy, true, __ATOMIC_SEQ_CST);
	got = recv(tunnel->plain, tunnel->out.bytes, sizeof(tunnel->out.bytes), MSG_DONTWAIT);
	if (got > 0)
		tunnel->out.count = got;
	else if (!got || !is_for_later(errno))
		tunnel->plain_ended = true;
}

static void tell_line(struct tunnel *tunnel)
{
	ssize_t sent = gnutls_record_send(tunnel->session, tunnel->out.bytes + tunnel->out.at,
					  tunnel->out.count);

	if (sent >= 0) {
		took(&tunnel->out, sent);
		/* A line that is slow takes it all in the end. */
		if (tunnel->deadline)
			tunnel->deadline = tunnel_now_ms() + tunnel_patience_ms;
	} else if (gnutls_error_is_fatal(sent)) {
		tunnel->line_deaf = true;
		tunnel->out.count = 0;
		/* What the other side said before may still come. This one hears that it is cut. */
		shutdown(tunnel->plain, SHUT_RD);
	}
}

/* From the line to this side */

static void hear_line(struct tunnel *tunnel)
{
	ssize_t got = gnutls_record_recv(tunnel->session, tunnel->in.bytes,
					 sizeof(tunnel->in.bytes));

	if (got > 0)
		tunnel->in.count = got;
	else if (!got || gnutls_error_is_fatal(got))
		tunnel->line_ended = true;
}

static void tell_plain(struct tunnel *tunnel)
{
	ssize_t sent = send(tunnel->plain, tunnel->in.bytes + tunnel->in.at, tunnel->in.count,
			    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent > 0) {
		took(&tunnel->in, sent);
	} else if (!is_for_later(errno)) {
		/* It takes nothing any more. */
		tunnel->in.count = 0;
	}
}

/* One that waits for nothing is not looked at: that its other end is gone is an event, too. */
static struct pollfd watch(int fd, bool in, bool out)
{
	return (struct pollfd){
		.fd = in || out ? fd : -1, .events = (in ? POLLIN : 0) | (out ? POLLOUT : 0),
	};
}

static bool wants_plain(const struct tunnel *tunnel)
{
	return !tunnel->out.count && !tunnel->plain_ended && !tunnel->line_deaf;
}

static bool wants_line(const struct tunnel *tunnel)
{
	return !tunnel->in.count && !tunnel->line_ended;
}

/* That this side is gone is an event even while nothing of it can be taken, once. */
static void watch_end(const struct tunnel *tunnel, struct pollfd *plain)
{
	if (!tunnel->deadline)
		plain->fd = tunnel->plain;
}

/* False when nobody is there for whom the other side could be waited for. */
static bool has_time(struct tunnel *tunnel, const struct pollfd *plain)
{
	if (!tunnel->deadline && plain->revents & POLLHUP)
		tunnel->deadline = tunnel_now_ms() + tunnel_patience_ms;
	return !tunnel->deadline ||
	       (!tunnel->line_deaf && tunnel_now_ms() < tunnel->deadline);
}

/* Of poll(): in ms, or -1 */
static int time_left(const struct tunnel *tunnel)
{
	int64_t left = tunnel->deadline - tunnel_now_ms();

	if (!tunnel->deadline)
		return -1;
	return left > 0 ? left : 0;
}

/* What can be done now; false when one side is gone, and all that it said is told. */
static bool carry(struct tunnel *tunnel)
{
	bool pending = wants_line(tunnel) && gnutls_record_check_pending(tunnel->session);
	struct pollfd events[] = {
		watch(tunnel->plain, wants_plain(tunnel), tunnel->in.count),
		watch(tunnel->line, wants_line(tunnel), tunnel->out.count),
	};

	watch_end(tunnel, &events[0]);
	if (poll(events, 2, pending ? 0 : time_left(tunnel)) < 0 && errno != EINTR)
		return false;
	if (!has_time(tunnel, &events[0]))
		return false;
	if (wants_plain(tunnel) && events[0].revents)
		hear_plain(tunnel);
	if (wants_line(tunnel) && (pending || events[1].revents))
		hear_line(tunnel);
	if (tunnel->out.count)
		tell_line(tunnel);
	if (tunnel->in.count)
		tell_plain(tunnel);
	__atomic_store_n(&tunnel->busy, tunnel->out.count, __ATOMIC_SEQ_CST);
	return !(tunnel->plain_ended && !tunnel->out.count) &&
	       !(tunnel->line_ended && !tunnel->in.count);
}

/* The thread */

static void tell_turn(void)
{
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&turned);
	pthread_mutex_unlock(&lock);
}

static void forget(struct tunnel *tunnel)
{
	struct tunnel **at = &tunnels;

	pthread_mutex_lock(&lock);
	while (*at != tunnel)
		at = &(*at)->next;
	*at = tunnel->next;
	pthread_cond_broadcast(&turned);
	pthread_mutex_unlock(&lock);
}

static void *work(void *arg)
{
	struct tunnel *tunnel = arg;

	while (carry(tunnel))
		tell_turn();
	gnutls_bye(tunnel->session, GNUTLS_SHUT_WR);
	forget(tunnel);
	tunnel_free(tunnel);
	return NULL;
}

static bool has_words(const struct tunnel *tunnel)
{
	int waiting = 0;

	return (!ioctl(tunnel->plain, FIONREAD, &waiting) && waiting) ||
	       __atomic_load_n(&tunnel->busy, __ATOMIC_SEQ_CST);
}

static bool have_words(void)
{
	for (const struct tunnel *tunnel = tunnels; tunnel; tunnel = tunnel->next)
		if (has_words(tunnel))
			return true;
	return false;
}

/* Such as the reason why the process ends. */
static void say_last_words(void)
{
	struct timespec until;
	int late = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LAST_WORDS_S;
	pthread_mutex_lock(&lock);
	while (!late && have_words())
		late = pthread_cond_clockwait(&turned, &lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&lock);
}

static void enlist(struct tunnel *tunnel)
{
	static bool registered;

	pthread_mutex_lock(&lock);
	if (!registered)
		registered = !atexit(say_last_words);
	tunnel->next = tunnels;
	tunnels = tunnel;
	pthread_mutex_unlock(&lock);
}

int tunnel_start(struct tunnel *tunnel)
{
	pthread_t thread;
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	tunnel->plain = ends[1];
	enlist(tunnel);
	error = pthread_create(&thread, NULL, work, tunnel);
	if (error) {
		forget(tunnel);
		close(ends[0]);
		return -error;
	}
	pthread_detach(thread);
	return ends[0];
}
