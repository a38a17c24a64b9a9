/*
 * api.h - the REST API: from a request whose head has been read to its answer. docs/api.md is the
 * reference.
 */
#ifndef CONTROL_API_H
#define CONTROL_API_H

#include <stdatomic.h>
#include <stdbool.h>

#include <cJSON.h>

#include "access.h"
#include "http.h"
#include "problem.h"
#include "skep/control.h"
#include "tokens.h"

#define API_JSON_MAX 65536u
#define ETAG_MAX     35

/* One client's connection. */
struct api_client {
    struct http_conn http;
    int fd;
    uint32_t address; /* where it comes from, IPv4 in network order */
    atomic_bool authenticated;
    bool has_certificate; /* shown in the handshake: */
    uint8_t certificate[32];
    struct token_shown shown;
};

struct request {
    struct api_client *client;
    struct http_conn *http;
    struct principal caller; /* as of the head's coming */
    const char *name;        /* the path's variable segment, checked; NULL if it has none */
    struct problem problem;
    unsigned route; /* in the table of routes, or their number: none */
    bool is_stream;
    char fields[128];    /* header lines of an answer that isn't a problem */
    cJSON *json;         /* the answer's body; the dispatcher frees it */
    char etag[ETAG_MAX]; /* of the answer, "" = none */
    bool dry_run;        /* tells what would be, and changes nothing */
};

/* Serves the request; whether the connection can go on. */
bool api_serve(struct api_client *client);

/* Answers a request that couldn't be read. */
void api_answer_error(struct api_client *client, int http_error);

/*
 * Handlers. They return a status, whose body is request.json; or -1 with request.problem set; or 0
 * when they answered themselves.
 */
typedef int api_handler(struct request *r);

api_handler api_static, api_health, api_host, api_host_panic, api_host_reboot, api_host_shutdown;
api_handler api_certificate_get, api_certificate_put, api_certificate_request,
    api_certificate_renew;
api_handler api_client_list, api_client_get, api_client_put, api_client_delete;
api_handler api_image_list, api_image_get, api_image_put, api_image_patch, api_image_delete;
api_handler api_guest_list, api_guest_get, api_guest_put, api_guest_patch, api_guest_delete;
api_handler api_guest_log, api_guest_console, api_guest_vcpus, api_guest_trace;
api_handler api_app_list, api_app_get, api_app_put, api_app_delete;
api_handler api_disk_list, api_disk_get, api_disk_put;
api_handler api_volume_list, api_volume_get, api_volume_put, api_volume_patch, api_volume_delete;
api_handler api_volume_data_get, api_volume_data_put;
api_handler api_operation_list, api_operation_get, api_operation_delete;
api_handler api_audit, api_backup_get, api_backup_put, api_events, api_metrics;
api_handler api_caller;
api_handler api_token_list, api_token_get, api_token_put, api_token_delete;
api_handler api_crash_list, api_crash_get;
api_handler api_debug_points, api_debug_crash;

/* What there is to call: paths of up to API_SEGMENTS_MAX segments, "*" = a name. A HEAD is a GET. */
#define API_SEGMENTS_MAX 4
struct api_route {
    const char *path[API_SEGMENTS_MAX];
    llhttp_method_t method;
    enum access_role least; /* who may call it, and those above */
    api_handler *handler;
    const char *query; /* the words that it knows there, "a, b"; NULL = it doesn't look */
};
const struct api_route *api_route(unsigned index); /* NULL = there are no more */

/* 0, or -1 and the problem: the caller hasn't this role, nor one above. The route's is checked already. */
int api_check_role(struct request *r, enum access_role least);

/* Whether the caller's token still permits what it did; else the problem is set, and the connection is to end. Whoever
 * serves a request for longer asks after each wait, and waits for a bounded time. */
bool api_still_allowed(struct request *r);

/* The token that a WebSocket's request has among its protocols, since browsers let no page send a header with one; false if
 * it has none. */
#define API_TOKEN_MAX 129u
bool api_protocol_token(const struct http_conn *c, char token[API_TOKEN_MAX]);

/* Reads a JSON body; NULL with the problem set. */
cJSON *api_read_json(struct request *r);

/* Reads it, and makes the change with the model's lock held; a handler's result. */
int api_change_model(struct request *r, int (*change)(struct request *r, const cJSON *body));

/*
 * Entity tags (api_match.c)
 */

/* One, in quotes, of a SHA-256; of these bytes; or of a JSON object without its status, which changes by itself. */
void api_format_etag(char etag[ETAG_MAX], const uint8_t digest[32]);
void api_make_etag(char etag[ETAG_MAX], const void *data, size_t bytes);
void api_tag_json(char etag[ETAG_MAX], const cJSON *json);

/* Whether there is a condition at all: making a tag takes long in comparison. */
bool api_has_match(const struct request *r);

/* Whether If-Match and If-None-Match let a change be made of what has this tag, or NULL: of what isn't there; else -1
 * and the problem. Under the lock of what is changed. */
int api_check_match(struct request *r, const char *etag);

/* For calls that don't look at them: -1 and the problem if there are any, as they are to prevent changes. */
int api_refuse_match(struct request *r);

/*
 * Queries (api_query.c): 0, or -1 and the problem
 */

/* Refuses words that aren't known, as fields of bodies are: who mistypes dry_run must not get the change. And words that
 * come twice, but labels. */
int api_check_query(struct request *r, const char *known);

/* A number, left as it is when it isn't there; it must be from min to max. */
int api_query_number(struct request *r, const char *name, uint64_t min, uint64_t max,
                     uint64_t *value);

/* "true" or "false", likewise. */
int api_query_bool(struct request *r, const char *name, bool *value);

/* "after" and "limit" of a list, likewise. */
int api_query_page(struct request *r, char after[SKEP_NAME_MAX], uint64_t *limit);

/* Each "label" of a list must be NAME=value. */
int api_check_labels(struct request *r);

/* Whether the request has a body at all. */
bool api_has_body(const struct request *r);

/* One at a time of those that hold whole files in memory; -1 and the problem if others take too long. */
int api_take_turn(struct request *r);
void api_end_turn(void);

/* Begins a full copy of a volume, under the storage's lock: 202 with its operation; 200 for a dry run. */
struct storage_wish;
int api_operation_copy(struct request *r, const struct storage_wish *wish);

/* The problem that there is none of the path's name. */
int api_no_guest(struct request *r);
int api_no_volume(struct request *r);
int api_no_app(struct request *r);

/* {"items": […]} */
cJSON *api_new_list(struct request *r);

/*
 * Answers that have no end: each holds one of the connections, so that there are API_STREAMS_MAX of them at most. -1 and
 * the problem when there are as many; else api_stream_end() comes after it.
 */
#define API_STREAMS_MAX 16u
int api_stream_begin(struct request *r);
void api_stream_end(const struct request *r);
unsigned api_stream_count(void);

/* Metrics: how many requests there were of each route, by the class of the answer's status. */
struct exposition;
void api_write_requests(struct exposition *x);

/* Waits for the client to speak or leave, at most ms; whether it did. */
bool api_client_stirs(struct request *r, int ms);

#endif
