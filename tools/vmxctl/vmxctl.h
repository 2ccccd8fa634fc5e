/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces between the parts of vmxctl. */
#ifndef VMXCTL_H
#define VMXCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <json-c/json.h>

/* Exit statuses. */
enum {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
};

/* Prints the message and exits. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* http.c */

/* An answer of a machine's. */
struct answer {
	unsigned int status;	/* 0: none came */
	char *text;		/* its body, and where that ends */
	char *end;
	char why[300];		/* for 0 */
	pid_t pid;		/* the process that answers */
	char *bytes;		/* all of it; to be freed */
};

/*
 * Asks the socket at PATH; BODY may be NULL. Gives up after SECONDS without a byte. Returns whether
 * it succeeded: an answer with a status from 200 to 299.
 */
bool ask(const char *path, const char *method, const char *resource, const char *body,
	 unsigned int seconds, struct answer *answer);
/* The body; NULL if it is no JSON. */
struct json_object *json_of(const struct answer *answer);
/* The sentence of an answer that is none of success. */
const char *reason_of(struct answer *answer);

/* show.c */

void show_machine(struct json_object *vm);
void show_statistics(struct json_object *statistics);
/* A line of the list; NULL: the heading. */
void show_line(struct json_object *vm);
/* What is known of a migration: on one line of the terminal, or after its end. */
void show_migration_progress(struct json_object *status);
void show_migration(struct json_object *status);

/* migrate.c */

/* Moves the machine whose socket is at PATH, as BODY says. Returns an exit status. */
int migrate(const char *vm, const char *path, const char *body, bool json);

#endif /* VMXCTL_H */
