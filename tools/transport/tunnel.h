/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread between a line with TLS and a socket in the clear. */
#ifndef VMXRUN_TUNNEL_H
#define VMXRUN_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "transport.h"

/* As much as a record of TLS has. */
#define TUNNEL_RECORD	16384

struct tunnel {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	gnutls_typed_vdata_st expected[2];
	char host[256];
	int plain, line;
	struct bytes {
		size_t at, count;
		char bytes[TUNNEL_RECORD];
	} out, in;		/* to the line, and from there */
	bool busy;		/* it has bytes for the line, or is about to */
	bool plain_ended;	/* nothing more comes from this side */
	bool line_ended;	/* nor from the other */
	bool line_deaf;		/* which takes nothing any more */
	int64_t deadline;	/* of what is left to tell when this side is gone; 0: it is there */
	struct tunnel *next;
};

/* How long a side that is gone waits for the other one to take its words. A test has less. */
extern unsigned int tunnel_patience_ms;

/* In ms of CLOCK_MONOTONIC. */
int64_t tunnel_now_ms(void);
/* Takes LINE over; NULL without memory. */
struct tunnel *tunnel_new(int line);
/* Carries on in a thread: the socket in the clear, or -errno. */
int tunnel_start(struct tunnel *tunnel);
/* Of one that was not started. */
void tunnel_free(struct tunnel *tunnel);

#endif /* VMXRUN_TUNNEL_H */
