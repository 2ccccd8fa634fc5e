/* SPDX-License-Identifier: GPL-2.0 */
/* Authorities, and folders with the certificates of a side. */
#ifndef TLS_FILES_H
#define TLS_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define DAY	(24 * 3600)

struct identity {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
};

/* What is said of whom. */
struct subject {
	const char *name;	/* of an authority, or a host */
	const char *purpose;	/* NULL: an authority */
	bool expired;
};

static void must(int error)
{
	if (error >= 0)
		return;
	printf("# %s\n", gnutls_strerror(error));
	abort();
}

static struct identity certify(const struct subject *subject, const struct identity *issuer)
{
	static unsigned char serial;
	struct identity found;
	time_t now = time(NULL);

	must(gnutls_x509_privkey_init(&found.key));
	must(gnutls_x509_privkey_generate(found.key, GNUTLS_PK_ECDSA,
					  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
	must(gnutls_x509_crt_init(&found.certificate));
	must(gnutls_x509_crt_set_version(found.certificate, 3));
	must(gnutls_x509_crt_set_serial(found.certificate, (serial++, &serial), 1));
	must(gnutls_x509_crt_set_dn_by_oid(found.certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
					   subject->name, strlen(subject->name)));
	must(gnutls_x509_crt_set_activation_time(found.certificate, now - 2 * DAY));
	must(gnutls_x509_crt_set_expiration_time(found.certificate,
						 subject->expired ? now - DAY : now + DAY));
	must(gnutls_x509_crt_set_key(found.certificate, found.key));
	must(gnutls_x509_crt_set_ca_status(found.certificate, !subject->purpose));
	if (subject->purpose) {
		must(gnutls_x509_crt_set_subject_alt_name(found.certificate, GNUTLS_SAN_DNSNAME,
							  subject->name, strlen(subject->name), 0));
		must(gnutls_x509_crt_set_subject_alt_name(found.certificate, GNUTLS_SAN_IPADDRESS,
							  "\177\0\0\1", 4, GNUTLS_FSAN_APPEND));
		must(gnutls_x509_crt_set_key_purpose_oid(found.certificate, subject->purpose, 0));
		must(gnutls_x509_crt_set_key_usage(found.certificate,
						   GNUTLS_KEY_DIGITAL_SIGNATURE));
	} else {
		must(gnutls_x509_crt_set_key_usage(found.certificate, GNUTLS_KEY_KEY_CERT_SIGN |
						   GNUTLS_KEY_CRL_SIGN));
	}
	if (!issuer)
		issuer = &found;
	must(gnutls_x509_crt_sign2(found.certificate, issuer->certificate, issuer->key,
				   GNUTLS_DIG_SHA256, 0));
	return found;
}

static void forget(struct identity *identity)
{
	gnutls_x509_crt_deinit(identity->certificate);
	gnutls_x509_privkey_deinit(identity->key);
}

static void write_file(const char *folder, const char *side, const char *name,
		       gnutls_datum_t *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s%s", folder, side, name);
	file = fopen(path, "w");
	if (!file || fwrite(text->data, 1, text->size, file) != text->size || fclose(file))
		abort();
	gnutls_free(text->data);
}

static void write_certificate(const char *folder, const char *side, const struct identity *of)
{
	gnutls_datum_t text;

	must(gnutls_x509_crt_export2(of->certificate, GNUTLS_X509_FMT_PEM, &text));
	write_file(folder, side, "cert.pem", &text);
}

static void write_key(const char *folder, const char *side, const struct identity *of)
{
	gnutls_datum_t text;

	must(gnutls_x509_privkey_export2(of->key, GNUTLS_X509_FMT_PEM, &text));
	write_file(folder, side, "key.pem", &text);
}

/* A folder whose side trusts an authority, and has certificates of another, the same, or none. */
static void write_side(const char *folder, const struct identity *trusted,
		       const struct identity *own, bool expired, bool swapped)
{
	struct subject client = { "here", GNUTLS_KP_TLS_WWW_CLIENT, expired };
	struct subject server = { "there", GNUTLS_KP_TLS_WWW_SERVER, expired };
	struct identity found;

	if (swapped) {
		client.purpose = GNUTLS_KP_TLS_WWW_SERVER;
		server.purpose = GNUTLS_KP_TLS_WWW_CLIENT;
	}
	if (mkdir(folder, 0700))
		abort();
	write_certificate(folder, "ca-", trusted);
	found = certify(&client, own);
	write_certificate(folder, "client-", &found);
	write_key(folder, "client-", &found);
	forget(&found);
	found = certify(&server, own);
	write_certificate(folder, "server-", &found);
	write_key(folder, "server-", &found);
	forget(&found);
}

/* The certificate of a file, in a list of FOLDER's of those that count no more, until then. */
static inline void write_revoked(const char *folder, const char *path,
				 const struct identity *issuer, time_t until)
{
	gnutls_x509_crt_t certificate;
	gnutls_x509_crl_t list;
	gnutls_datum_t text;

	must(gnutls_load_file(path, &text));
	must(gnutls_x509_crt_init(&certificate));
	must(gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM));
	gnutls_free(text.data);
	must(gnutls_x509_crl_init(&list));
	must(gnutls_x509_crl_set_version(list, 2));
	must(gnutls_x509_crl_set_crt(list, certificate, time(NULL) - DAY));
	must(gnutls_x509_crl_set_this_update(list, time(NULL) - 2 * DAY));
	must(gnutls_x509_crl_set_next_update(list, until));
	must(gnutls_x509_crl_set_number(list, "\1", 1));
	must(gnutls_x509_crl_sign2(list, issuer->certificate, issuer->key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crl_export2(list, GNUTLS_X509_FMT_PEM, &text));
	write_file(folder, "ca-", "crl.pem", &text);
	gnutls_x509_crl_deinit(list);
	gnutls_x509_crt_deinit(certificate);
}

#endif /* TLS_FILES_H */
