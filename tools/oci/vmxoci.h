/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces between the parts of vmxoci, the command. */
#ifndef VMXOCI_H
#define VMXOCI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "frame.h"

#define SPEC_VERSION	"1.0.2"

/* What precedes the command; crun gets it, too. */
struct global {
	const char *root;	/* the containers' states */
	const char *log;	/* a file, or NULL */
	bool log_json;
	const char *machine;	/* the folder of what is in the outer container */
	const char *crun;
	bool plain_sandboxes;	/* sandboxes are processes, not machines */
	const char **words;	/* for crun, without its name: room for a few more */
	unsigned int count;
};

extern struct global global;

/* vmxoci.c */

/* Prints the message, and logs it as crun does; exits with 1. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The same, and goes on. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Formatted, in memory that stays. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* words.c: command lines */

/* The words that crun is to get. */
struct words {
	const char *of[1024];
	unsigned int count;
};

void words_add(struct words *words, const char *word);
/* crun and what precedes the command. */
void words_begin(struct words *words);
/* Becomes crun; its descriptor 3 is HANDED if that is not -1, and it has none above. */
void words_become(struct words *words, int handed) __attribute__((noreturn));
/* Starts crun in the same way. Returns its process ID. */
int words_start(struct words *words, int handed);
/* Waits for crun; signals that somebody sends meanwhile are for it. Returns its exit status. */
int words_wait(int pid);

/* What crun prints; exits if it fails, having said why. */
char *words_output(struct words *words);

/* An option of a command: what crun has, and where it is noted here. */
struct option_of {
	const char *name;
	char letter;		/* or 0 */
	bool has_value;
	bool optional;		/* the value */
	const char **value;	/* noted, or NULL; "" for one without a value */
	bool kept;		/* crun gets it */
	struct words *all;	/* each value goes there, or NULL */
};

/* crun does a command as it was given. */
void pass_on(int argc, char **argv);

/* Reads options up to the first word that is none, hands those that are kept to crun's words. */
void words_parse(int *argc, char ***argv, const struct option_of *options, size_t count,
		 struct words *crun);

/* json.c */

/* A file's contents; exits if it is not an object. */
struct json_object *json_read(const char *path);
struct json_object *json_read_fd(int fd, const char *name);
void json_write(struct json_object *value, int folder, const char *name);
/* A member's; NULL, "" or 0 if there is none. Exits if it has another type than it must have. */
struct json_object *json_get(struct json_object *object, const char *name, enum json_type type);
const char *json_text(struct json_object *object, const char *name);
/* The member, which is made if there is none. */
struct json_object *json_make(struct json_object *object, const char *name, enum json_type type);
void json_set_text(struct json_object *object, const char *name, const char *value);
/* An array's; exits if it is not an object. */
struct json_object *json_item(struct json_object *array, size_t n);
struct json_object *json_copy(struct json_object *value);
size_t json_count(struct json_object *array);
bool json_has_text(struct json_object *array, const char *value);

/* state.c: what is kept of a container beside crun's state */

struct state {
	const char *id;
	char path[PATH_MAX];	/* its folder */
	int folder;		/* a descriptor of it, or -1 */
};

#define STATE_OUTER	"outer.json"
#define STATE_CONFIG	"config.json"	/* the bundle's path, and its configuration */
#define STATE_SANDBOX	"sandbox"	/* the container is crun's alone */
#define STATE_ROOT	"root"
#define STATE_BUNDLE	"bundle"
#define STATE_RUN	"run"

/* Exits if it is no name of a file. */
void state_check_id(const char *id);
/* Makes the folder, and holds it until the process ends; exits if the container exists. */
void state_create(struct state *state, const char *id);
/* Opens it; false if the container does not exist. Exits if crun has it, and nothing is here. */
bool state_open(struct state *state, const char *id);
/* Is the container crun's alone? */
bool state_is_sandbox(const struct state *state);
void state_note_sandbox(const struct state *state);
/* Removes all of it, if it is there and nobody makes it just now. */
void state_remove(const char *id);
/* Of a container that this process was about to make. */
void state_abandon(const struct state *state);
/* Likewise, of all containers that crun does not have any more. */
void state_sweep(void);
/* The socket on which the monitor will listen, in the folder STATE_RUN. */
int state_listen(const struct state *state);

/* outer.c, guest.c: the two containers made of the bundle's one */

struct container {
	const struct state *state;
	const char *bundle;		/* absolute */
	struct json_object *config;
};

/* Of a path that may be relative to the bundle. */
const char *container_path(const struct container *container, const char *path);
/* The container's root on this computer. */
const char *container_root(const struct container *container);
struct json_object *container_mounts(const struct container *container);
bool mount_is_bind(struct json_object *mount);
/* The container of the machine's monitor. */
struct json_object *outer_make(const struct container *container);
/* The process of it that starts another one in the machine: DESCRIPTION is the machine's. */
struct json_object *outer_process(struct json_object *description);
/* What the crun in the machine gets. */
struct json_object *guest_make(const struct container *container);
/* Likewise, of a process. */
void guest_process(struct json_object *process);

/* find.c */

/* Exits with crun's message if the process's program is not in the container. */
void find_program(const struct container *container, struct json_object *process);

/* Commands: they get their own name first. */

void command_create(int argc, char **argv);
void command_run(int argc, char **argv);
void command_exec(int argc, char **argv);
void command_delete(int argc, char **argv);
void command_events(int argc, char **argv);
void command_features(int argc, char **argv);

#endif /* VMXOCI_H */
