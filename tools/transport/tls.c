// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TLS 1.3 for the line of a migration, by GnuTLS. Both sides have certificates of one authority.
 * The files have the names that QEMU gives them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/x509.h>

#include "tunnel.h"

/* Nobody waits longer without a look whether to go on. */
#define SLICE_MS	100
/* Both sides are vmxruns of these days. */
#define PRIORITY	"NORMAL:-VERS-ALL:+VERS-TLS1.3"

struct handshake {
	const struct tls_config *config;
	struct tunnel *tunnel;
	gnutls_certificate_credentials_t own;
	int64_t deadline;	/* in ms of CLOCK_MONOTONIC */
	char *why;
	size_t size;
};

static int refuse(struct handshake *shake, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct handshake *shake, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(shake->why, shake->size, format, args);
	va_end(args);
	return -error;
}

/* Credentials */

struct paths {
	char authority[PATH_MAX], revoked[PATH_MAX], certificate[PATH_MAX], key[PATH_MAX];
};

static bool join(char *path, const char *folder, const char *side, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s%s", folder, side, name) < PATH_MAX;
}

static int find(struct handshake *shake, struct paths *paths)
{
	const char *folder = shake->config->folder;
	const char *side = shake->config->host ? "client-" : "server-";
	const char *const needed[] = { paths->authority, paths->certificate, paths->key };

	if (!join(paths->authority, folder, "", "ca-cert.pem") ||
	    !join(paths->revoked, folder, "", "ca-crl.pem") ||
	    !join(paths->certificate, folder, side, "cert.pem") ||
	    !join(paths->key, folder, side, "key.pem"))
		return refuse(shake, EINVAL, "%s: the path is too long", folder);
	for (size_t n = 0; n < sizeof(needed) / sizeof(needed[0]); n++)
		if (access(needed[n], R_OK))
			return refuse(shake, EINVAL, "%s: %s", needed[n], strerror(errno));
	return 0;
}

/* A list that this side cannot use refuses the line: somebody may be on it. */
static int load_revoked(struct handshake *shake, const char *path)
{
	gnutls_certificate_credentials_t own = shake->own;
	struct stat stat;
	int count;

	if (lstat(path, &stat))
		return errno == ENOENT ? 0 : refuse(shake, EINVAL, "%s: %s", path, strerror(errno));
	/* Otherwise a list that another authority made goes unnoticed, and so does who is on it. */
	gnutls_certificate_set_flags(own, GNUTLS_CERTIFICATE_VERIFY_CRLS);
	count = gnutls_certificate_set_x509_crl_file(own, path, GNUTLS_X509_FMT_PEM);
	if (count > 0)
		return 0;
	if (count == GNUTLS_E_CRL_VERIFICATION_ERROR)
		return refuse(shake, EINVAL, "%s: %s", path,
			      "the authority of ca-cert.pem did not make the list, or it is out of date");
	return refuse(shake, EINVAL, "%s: %s", path,
		      count ? gnutls_strerror(count) : "it has no list");
}

static int load(struct handshake *shake)
{
	gnutls_certificate_credentials_t own = shake->own;
	struct paths paths;
	int ret = find(shake, &paths), count;

	if (ret)
		return ret;
	count = gnutls_certificate_set_x509_trust_file(own, paths.authority, GNUTLS_X509_FMT_PEM);
	if (count <= 0)
		return refuse(shake, EINVAL, "%s: %s", paths.authority,
			      count ? gnutls_strerror(count) : "it has no certificate");
	ret = load_revoked(shake, paths.revoked);
	if (ret)
		return ret;
	ret = gnutls_certificate_set_x509_key_file(own, paths.certificate, paths.key,
						   GNUTLS_X509_FMT_PEM);
	return ret < 0 ? refuse(shake, EINVAL, "%s, %s: %s", paths.certificate, paths.key,
				gnutls_strerror(ret)) : 0;
}

/* Whom this side believes: one whose certificate is for that, and at the source for that host. */
static int expect(struct handshake *shake)
{
	struct tunnel *tunnel = shake->tunnel;
	const char *host = shake->config->host;
	const char *purpose = host ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
	unsigned int count = 0;

	tunnel->expected[count].type = GNUTLS_DT_KEY_PURPOSE_OID;
	tunnel->expected[count++].data = (void *)purpose;
	if (host) {
		if (snprintf(tunnel->host, sizeof(tunnel->host), "%s", host) >=
		    (int)sizeof(tunnel->host))
			return refuse(shake, EINVAL, "TLS: the host's name is too long");
		tunnel->expected[count].type = GNUTLS_DT_DNS_HOSTNAME;
		tunnel->expected[count++].data = (void *)tunnel->host;
	} else {
		gnutls_certificate_server_set_request(tunnel->session, GNUTLS_CERT_REQUIRE);
	}
	gnutls_session_set_verify_cert2(tunnel->session, tunnel->expected, count, 0);
	return 0;
}

/* Handshake */

/* The other side may say something again and again, and never enough. */
static int look(struct handshake *shake)
{
	if (shake->config->cancelled && shake->config->cancelled())
		return refuse(shake, ECANCELED, "the migration was cancelled");
	if (tunnel_now_ms() >= shake->deadline)
		return refuse(shake, ETIMEDOUT, "TLS: the other side does not answer");
	return 0;
}

static int wait_for(struct handshake *shake)
{
	struct pollfd event = {
		.fd = shake->tunnel->line,
		.events = gnutls_record_get_direction(shake->tunnel->session) ? POLLOUT : POLLIN,
	};
	int ret;

	do
		ret = look(shake);
	while (!ret && poll(&event, 1, SLICE_MS) <= 0);
	return ret;
}

static bool is_of_a_certificate(gnutls_alert_description_t alert)
{
	return (alert >= GNUTLS_A_BAD_CERTIFICATE && alert <= GNUTLS_A_CERTIFICATE_UNKNOWN) ||
	       alert == GNUTLS_A_UNKNOWN_CA || alert == GNUTLS_A_ACCESS_DENIED ||
	       alert == GNUTLS_A_CERTIFICATE_REQUIRED;
}

static int explain_alert(struct handshake *shake)
{
	gnutls_alert_description_t alert = gnutls_alert_get(shake->tunnel->session);

	return refuse(shake, EACCES, "TLS: the other side %s: %s", is_of_a_certificate(alert) ?
		      "does not accept this side's certificate" : "gives up",
		      gnutls_alert_get_name(alert));
}

static int explain_certificate(struct handshake *shake)
{
	unsigned int status = gnutls_session_get_verify_cert_status(shake->tunnel->session);
	gnutls_datum_t text = { .data = NULL };
	int ret;

	gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
	ret = refuse(shake, EACCES, "TLS: the other side's certificate%s%s is not accepted: %s",
		     shake->config->host ? " as " : "", shake->config->host ?: "",
		     text.data ? (const char *)text.data : "");
	gnutls_free(text.data);
	return ret;
}

static int explain(struct handshake *shake, int error)
{
	switch (error) {
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
		return explain_certificate(shake);
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return explain_alert(shake);
	case GNUTLS_E_NO_CERTIFICATE_FOUND:
	case GNUTLS_E_CERTIFICATE_REQUIRED:
		return refuse(shake, EACCES, "TLS: the other side has no certificate");
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
		return refuse(shake, EPROTO, "the other side does not speak TLS 1.3: %s",
			      gnutls_strerror(error));
	default:
		return refuse(shake, EPROTO, "TLS: %s", gnutls_strerror(error));
	}
}

/*
 * Until the other side has said its first word. With TLS 1.3 a source is ready before the target
 * has seen the source's certificate, so that the target's judgement comes then.
 */
static int hear_first_word(struct handshake *shake)
{
	struct tunnel *tunnel = shake->tunnel;
	ssize_t got;
	int ret = 0;

	do {
		got = gnutls_record_recv(tunnel->session, tunnel->in.bytes,
					 sizeof(tunnel->in.bytes));
		if (got == GNUTLS_E_AGAIN)
			ret = wait_for(shake);
		else if (got < 0 && !gnutls_error_is_fatal(got))
			ret = look(shake);
	} while (!ret && got < 0 && !gnutls_error_is_fatal(got));
	if (ret)
		return ret;
	if (got <= 0)
		return got ? explain(shake, got) :
			     refuse(shake, EPROTO, "TLS: the other side is gone");
	tunnel->in.count = got;
	return 0;
}

static int shake_hands(struct handshake *shake)
{
	gnutls_session_t session = shake->tunnel->session;
	int error, ret = 0;

	do {
		error = gnutls_handshake(session);
		if (error == GNUTLS_E_AGAIN)
			ret = wait_for(shake);
		else if (error < 0 && !gnutls_error_is_fatal(error))
			ret = look(shake);
	} while (!ret && error < 0 && !gnutls_error_is_fatal(error));
	if (ret)
		return ret;
	if (error) {
		gnutls_alert_send_appropriate(session, error);
		return explain(shake, error);
	}
	return shake->config->host ? hear_first_word(shake) : 0;
}

static int begin(struct handshake *shake)
{
	struct tunnel *tunnel = shake->tunnel;
	const char *host = shake->config->host;
	int error = gnutls_init(&tunnel->session, GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
				(host ? GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT :
				 GNUTLS_SERVER | GNUTLS_NO_TICKETS));

	error = error ?: gnutls_certificate_allocate_credentials(&tunnel->credentials);
	error = error ?: gnutls_priority_set_direct(tunnel->session, PRIORITY, NULL);
	error = error ?: gnutls_credentials_set(tunnel->session, GNUTLS_CRD_CERTIFICATE,
						tunnel->credentials);
	if (error)
		return refuse(shake, EIO, "TLS: %s", gnutls_strerror(error));
	shake->own = tunnel->credentials;
	gnutls_transport_set_int(tunnel->session, tunnel->line);
	if (fcntl(tunnel->line, F_SETFL, O_NONBLOCK))
		return refuse(shake, errno, "TLS: %s", strerror(errno));
	return expect(shake) ?: load(shake) ?: shake_hands(shake);
}

static int protect(const struct tls_config *config, char *why, size_t size)
{
	struct handshake shake = {
		.config = config, .tunnel = tunnel_new(config->fd),
		.deadline = tunnel_now_ms() + config->patience_ms, .why = why, .size = size,
	};
	int ret;

	*why = '\0';
	/*
	 * Never undone: exit() would free what GnuTLS has in common for all lines, while other
	 * threads still use it.
	 */
	gnutls_global_init();
	if (!shake.tunnel) {
		close(config->fd);
		return refuse(&shake, ENOMEM, "TLS: %s", strerror(ENOMEM));
	}
	ret = begin(&shake) ?: tunnel_start(shake.tunnel);
	if (ret < 0) {
		if (!*why)
			refuse(&shake, -ret, "TLS: %s", strerror(-ret));
		tunnel_free(shake.tunnel);
	}
	return ret;
}

static int check(const char *folder, char *why, size_t size)
{
	const struct tls_config config = { .folder = folder };
	struct handshake shake = { .config = &config, .why = why, .size = size };
	int ret = gnutls_certificate_allocate_credentials(&shake.own);

	if (ret)
		return refuse(&shake, EIO, "TLS: %s", gnutls_strerror(ret));
	ret = load(&shake);
	gnutls_certificate_free_credentials(shake.own);
	return ret;
}

__attribute__((visibility("default")))
const struct transport_tls transport_tls = { .protect = protect, .check = check };
