// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * HTTP over a Unix socket: openapi.yaml says what can be asked. A thread serves each connection,
 * so a request that waits for the machine holds up no other. No request changes anything before
 * it is complete and found good, and what it began is finished whether or not its client is there.
 */
#define _GNU_SOURCE	/* struct ucred */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api.h"

/* Beyond these a client is refused or dropped. */
#define CONNECTIONS	16
#define IDLE_SECONDS	10
#define HEADERS		(16u << 10)
#define BODY		8192
#define DISCARDED	(1u << 20)
#define STACK		(256u << 10)
#define DEPTH		4		/* of JSON */
#define HOST_CPUS	1024
/* How long the end of the machine waits for clients to take their answers. */
#define LAST_ANSWERS	2

struct server {
	struct api_config config;
	struct MHD_Daemon *daemon;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	unsigned int answering;	/* requests that are being carried out, or whose answer is sent */
};

/* One that is being received, then answered. */
struct request {
	struct server *server;
	struct MHD_Connection *connection;
	bool counts;		/* in @answering */
	unsigned int number;	/* in the path */
	size_t action;		/* of its route */
	size_t length;
	char body[BODY];
	char why[API_WHY];
};

/* Answers */

static enum MHD_Result send_text(struct request *request, unsigned int status, const char *type,
				 char *text, size_t length, const char *allow)
{
	struct MHD_Response *response;
	enum MHD_Result ret;

	response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	if (length)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	ret = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

/* Takes the object. */
static enum MHD_Result send_json(struct request *request, unsigned int status,
				 struct json_object *object, const char *allow)
{
	const char *words = object ? json_object_to_json_string_ext(object,
			JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
	char *text = NULL;
	int length = words ? asprintf(&text, "%s\n", words) : -1;

	json_object_put(object);
	if (length < 0)
		return MHD_NO;
	return send_text(request, status, "application/json", text, length, allow);
}

static enum MHD_Result refuse_but(struct request *request, unsigned int status, const char *allow,
				  const char *sentence)
{
	struct json_object *object = json_object_new_object();

	if (object)
		json_object_object_add(object, "error", json_object_new_string(sentence));
	return send_json(request, status, object, allow);
}

static enum MHD_Result refuse(struct request *request, unsigned int status, const char *sentence)
{
	return refuse_but(request, status, NULL, sentence);
}

/* By what the target returned; 204 has no content. */
static enum MHD_Result answer(struct request *request, int ret)
{
	static const struct {
		int error;
		unsigned int status;
	} statuses[] = {
		{ -EINVAL, MHD_HTTP_BAD_REQUEST }, { -ENOENT, MHD_HTTP_NOT_FOUND },
		{ -EBUSY, MHD_HTTP_CONFLICT }, { -ECANCELED, MHD_HTTP_CONFLICT },
		{ -ESHUTDOWN, MHD_HTTP_SERVICE_UNAVAILABLE },
		{ -EINPROGRESS, MHD_HTTP_GATEWAY_TIMEOUT },
	};

	if (!ret)
		return send_text(request, MHD_HTTP_NO_CONTENT, NULL, NULL, 0, NULL);
	for (size_t n = 0; n < sizeof(statuses) / sizeof(statuses[0]); n++)
		if (statuses[n].error == ret)
			return refuse(request, statuses[n].status, request->why);
	return refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, request->why);
}

/* Handlers */

static int read_info(struct request *request, struct api_info *info)
{
	const struct api_config *config = &request->server->config;

	memset(info, 0, sizeof(*info));
	return config->target->read(config->context, info, request->why);
}

static enum MHD_Result get_vm(struct request *request)
{
	struct api_info info;
	int ret = read_info(request, &info);

	return ret ? answer(request, ret) :
		     send_json(request, MHD_HTTP_OK, api_describe(&info), NULL);
}

static enum MHD_Result get_statistics(struct request *request)
{
	struct api_info info;
	int ret = read_info(request, &info);

	return ret ? answer(request, ret) :
		     send_json(request, MHD_HTTP_OK, api_statistics(&info), NULL);
}

static enum MHD_Result get_metrics(struct request *request)
{
	struct api_info info;
	int ret = read_info(request, &info);
	size_t length;
	char *text;

	if (ret)
		return answer(request, ret);
	text = api_metrics(&info, &length);
	return text ? send_text(request, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
				text, length, NULL) : MHD_NO;
}

/* What has no arguments. */
static enum MHD_Result put_action(struct request *request)
{
	const struct api_config *config = &request->server->config;
	const char *at = (const char *)config->target + request->action;
	int (*action)(void *context, char *why);

	memcpy(&action, at, sizeof(action));
	return answer(request, action(config->context, request->why));
}

/* {"cpus": [2, 3]}; NULL, or what is wrong. */
static const char *parse_cpus(struct json_object *object, unsigned int *cpus, size_t *count)
{
	struct json_object *list;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, "cpus", &list) ||
	    json_object_object_length(object) != 1 ||
	    !json_object_is_type(list, json_type_array))
		return "the body must be an object with the member cpus alone, an array of numbers";
	*count = json_object_array_length(list);
	if (!*count || *count > HOST_CPUS)
		return "cpus must name at least one CPU of the host";
	for (size_t n = 0; n < *count; n++) {
		struct json_object *item = json_object_array_get_idx(list, n);
		int64_t number = json_object_get_int64(item);

		if (!json_object_is_type(item, json_type_int) || number < 0 || number >= HOST_CPUS)
			return "cpus must be numbers of CPUs of the host, from 0 to 1023";
		cpus[n] = number;
	}
	return NULL;
}

static struct json_object *parse_body(struct request *request)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH);
	struct json_object *object;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, request->body, request->length);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != request->length) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

static enum MHD_Result put_affinity(struct request *request)
{
	const struct api_config *config = &request->server->config;
	struct json_object *object = parse_body(request);
	unsigned int cpus[HOST_CPUS];
	const char *wrong;
	size_t count;

	if (!object)
		return refuse(request, MHD_HTTP_BAD_REQUEST, "the body is not JSON");
	wrong = parse_cpus(object, cpus, &count);
	json_object_put(object);
	if (wrong)
		return refuse(request, MHD_HTTP_BAD_REQUEST, wrong);
	return answer(request, config->target->set_affinity(config->context, request->number, cpus,
							    count, request->why));
}

/* {"path": "/..."}; NULL, or what is wrong. */
static const char *parse_path(struct json_object *object, char *path, size_t size)
{
	struct json_object *member;
	const char *text;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, "path", &member) ||
	    json_object_object_length(object) != 1 ||
	    !json_object_is_type(member, json_type_string))
		return "the body must be an object with the member path alone, a string";
	text = json_object_get_string(member);
	if (*text != '/' || strlen(text) != (size_t)json_object_get_string_len(member) ||
	    strlen(text) >= size)
		return "path must begin with a slash, have no zero byte, and not be too long";
	snprintf(path, size, "%s", text);
	return NULL;
}

static enum MHD_Result put_snapshot(struct request *request)
{
	const struct api_config *config = &request->server->config;
	struct json_object *object = parse_body(request);
	char path[PATH_MAX];
	const char *wrong;

	if (!object)
		return refuse(request, MHD_HTTP_BAD_REQUEST, "the body is not JSON");
	wrong = parse_path(object, path, sizeof(path));
	json_object_put(object);
	if (wrong)
		return refuse(request, MHD_HTTP_BAD_REQUEST, wrong);
	return answer(request, config->target->snapshot(config->context, path, request->why));
}

static enum MHD_Result get_migration(struct request *request)
{
	const struct api_config *config = &request->server->config;
	struct vmx_migration_status status = { .phase = VMX_MIGRATION_NONE };
	int ret = config->target->migration(config->context, &status, request->why);

	return ret ? answer(request, ret) :
		     send_json(request, MHD_HTTP_OK, api_migration(&status), NULL);
}

/* From 0 on, and not more than MOST. */
static bool take_number(struct json_object *member, uint64_t most, uint64_t *number)
{
	*number = json_object_get_uint64(member);
	return json_object_is_type(member, json_type_int) && *number <= most &&
	       json_object_get_int64(member) >= 0;
}

static bool take_flag(struct json_object *member, bool *flag)
{
	*flag = json_object_get_boolean(member);
	return json_object_is_type(member, json_type_boolean);
}

static bool take_text(struct json_object *member, const char **text)
{
	*text = json_object_get_string(member);
	return json_object_is_type(member, json_type_string) &&
	       strlen(*text) == (size_t)json_object_get_string_len(member);
}

/* {"address": "...", ...}; NULL, or what is wrong. */
static const char *parse_migrate(struct json_object *object, struct api_migrate *how)
{
	uint64_t number = 0;

	if (!json_object_is_type(object, json_type_object))
		return "the body must be an object";
	json_object_object_foreach(object, key, member) {
		bool good = false;

		if (!strcmp(key, "address"))
			good = take_text(member, &how->address);
		else if (!strcmp(key, "bandwidth"))
			good = take_number(member, INT64_MAX, &how->bandwidth);
		else if (!strcmp(key, "downtime_ms"))
			good = take_number(member, UINT32_MAX, &number);
		else if (!strcmp(key, "throttle"))
			good = take_flag(member, &how->throttle);
		else if (!strcmp(key, "compress"))
			good = take_flag(member, &how->compress);
		else if (!strcmp(key, "tls_creds"))
			good = take_text(member, &how->tls_creds) && *how->tls_creds == '/';
		else if (!strcmp(key, "tls_hostname"))
			good = take_text(member, &how->tls_hostname) && *how->tls_hostname;
		if (!good)
			return "a member is not known, or has an impossible value";
	}
	how->downtime_ms = number;
	return how->address ? NULL : "the member address is missing";
}

/* Answers when the machine has moved, or not; meanwhile others can ask how far it is. */
static enum MHD_Result put_migrate(struct request *request)
{
	const struct api_config *config = &request->server->config;
	struct vmx_migration_status report = { .phase = VMX_MIGRATION_NONE };
	struct json_object *object = parse_body(request);
	struct api_migrate how = { .address = NULL };
	const char *wrong = object ? parse_migrate(object, &how) : "the body is not JSON";
	int ret;

	if (wrong) {
		json_object_put(object);
		return refuse(request, MHD_HTTP_BAD_REQUEST, wrong);
	}
	ret = config->target->migrate(config->context, &how, &report, request->why);
	json_object_put(object);
	return ret ? answer(request, ret) :
		     send_json(request, MHD_HTTP_OK, api_migration(&report), NULL);
}

/* A # in a path stands for a number. */
static const struct route {
	const char *method;
	const char *path;
	bool body;
	enum MHD_Result (*handle)(struct request *request);
	size_t action;		/* in struct api_target, for put_action() */
} routes[] = {
	{ MHD_HTTP_METHOD_GET, "/vm", false, get_vm, 0 },
	{ MHD_HTTP_METHOD_GET, "/vm/statistics", false, get_statistics, 0 },
	{ MHD_HTTP_METHOD_PUT, "/vm/pause", false, put_action, offsetof(struct api_target, pause) },
	{ MHD_HTTP_METHOD_PUT, "/vm/resume", false, put_action,
	  offsetof(struct api_target, resume) },
	{ MHD_HTTP_METHOD_PUT, "/vm/power-button", false, put_action,
	  offsetof(struct api_target, power_button) },
	{ MHD_HTTP_METHOD_PUT, "/vm/power-off", false, put_action,
	  offsetof(struct api_target, power_off) },
	{ MHD_HTTP_METHOD_PUT, "/vm/cpus/#/affinity", true, put_affinity, 0 },
	{ MHD_HTTP_METHOD_PUT, "/vm/snapshot", true, put_snapshot, 0 },
	{ MHD_HTTP_METHOD_PUT, "/vm/migrate", true, put_migrate, 0 },
	{ MHD_HTTP_METHOD_GET, "/vm/migration", false, get_migration, 0 },
	{ MHD_HTTP_METHOD_PUT, "/vm/migration/cancel", false, put_action,
	  offsetof(struct api_target, cancel) },
	{ MHD_HTTP_METHOD_PUT, "/vm/resume-here", false, put_action,
	  offsetof(struct api_target, resume_here) },
	{ MHD_HTTP_METHOD_GET, "/metrics", false, get_metrics, 0 },
};

static bool matches(const char *pattern, const char *path, unsigned int *number)
{
	for (; *pattern && *path; pattern++) {
		if (*pattern != '#') {
			if (*pattern != *path++)
				return false;
			continue;
		}
		if (*path < '0' || *path > '9')
			return false;
		for (*number = 0; *path >= '0' && *path <= '9'; path++)
			*number = *number < 100000 ? *number * 10 + (*path - '0') : *number;
	}
	return !*pattern && !*path;
}

static enum MHD_Result dispatch(struct request *request, const char *path, const char *method)
{
	const char *allow = NULL;

	for (size_t n = 0; n < sizeof(routes) / sizeof(routes[0]); n++) {
		const struct route *route = &routes[n];

		if (!matches(route->path, path, &request->number))
			continue;
		allow = route->method;
		if (strcmp(route->method, method))
			continue;
		if (request->length > BODY)
			return refuse(request, MHD_HTTP_CONTENT_TOO_LARGE,
				      "the body is longer than 8192 bytes");
		if (request->length && !route->body)
			return refuse(request, MHD_HTTP_BAD_REQUEST,
				      "this request takes no body");
		request->action = route->action;
		return route->handle(request);
	}
	if (!allow)
		return refuse(request, MHD_HTTP_NOT_FOUND,
			      "there is nothing at this path; openapi.yaml lists all");
	return refuse_but(request, MHD_HTTP_METHOD_NOT_ALLOWED, allow,
			  "this path does not take this method; the header Allow has the one");
}

/* The file's mode decides who can connect; this is the second look. */
static bool may_ask(struct request *request)
{
	const union MHD_ConnectionInfo *info;
	struct ucred peer;
	socklen_t length = sizeof(peer);

	info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	return info && !getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
	       (!peer.uid || peer.uid == request->server->config.uid);
}

static void begin_answer(struct request *request)
{
	pthread_mutex_lock(&request->server->lock);
	request->server->answering++;
	pthread_mutex_unlock(&request->server->lock);
	request->counts = true;
}

/* Called with the head of a request, then with each piece of its body, then at its end. */
static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *path,
			     const char *method, const char *version __attribute__((unused)),
			     const char *data, size_t *size, void **state)
{
	struct request *request = *state;
	size_t fits;

	if (!request) {
		request = calloc(1, sizeof(*request));
		if (!request)
			return MHD_NO;
		request->server = context;
		request->connection = connection;
		*state = request;
		return MHD_YES;
	}
	if (!*size) {
		begin_answer(request);
		return may_ask(request) ? dispatch(request, path, method) :
		       refuse(request, MHD_HTTP_FORBIDDEN,
			      "only the user who runs vmxrun, and root, may ask");
	}
	if (request->length < BODY) {
		fits = BODY - request->length;
		memcpy(request->body + request->length, data, *size < fits ? *size : fits);
	}
	request->length += *size;
	*size = 0;
	return request->length <= DISCARDED ? MHD_YES : MHD_NO;
}

static void complete(void *context, struct MHD_Connection *connection __attribute__((unused)),
		     void **state, enum MHD_RequestTerminationCode how __attribute__((unused)))
{
	struct request *request = *state;
	struct server *server = context;

	if (!request)
		return;
	pthread_mutex_lock(&server->lock);
	if (request->counts && !--server->answering)
		pthread_cond_signal(&server->answered);
	pthread_mutex_unlock(&server->lock);
	free(request);
	*state = NULL;
}

/* The server */

static void *start(const struct api_config *config)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->config = *config;
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->answered, NULL);
	server->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
					  MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC, 0,
		NULL, NULL, serve, server,
		MHD_OPTION_LISTEN_SOCKET, config->listener,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK,
		MHD_OPTION_NOTIFY_COMPLETED, complete, server, MHD_OPTION_END);
	if (server->daemon)
		return server;
	free(server);
	return NULL;
}

static void stop(void *stopped)
{
	struct server *server = stopped;
	struct timespec until;
	int late = 0;

	/* A request may have ended the machine: its client is to have the answer. */
	MHD_quiesce_daemon(server->daemon);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LAST_ANSWERS;
	pthread_mutex_lock(&server->lock);
	while (server->answering && !late)
		late = pthread_cond_clockwait(&server->answered, &server->lock, CLOCK_MONOTONIC,
					      &until);
	pthread_mutex_unlock(&server->lock);
	MHD_stop_daemon(server->daemon);
	close(server->config.listener);
	free(server);
}

const struct api_ops __attribute__((visibility("default"))) api_server = { start, stop };
