/*
 * api.c - finds the handler of a request, checks who calls and whether that one may, and sends what the handler says.
 */
#include "api.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "access.h"
#include "address.h"
#include "audit.h"
#include "counters.h"
#include "events.h"
#include "exposition.h"
#include "guest.h"
#include "json.h"
#include "power.h"
#include "skep_tls.h"
#include "spec.h"
#include "throttle.h"
#include "tokens.h"

#define SECOND       1000000000ull
#define BODY_STEP_NS (15 * SECOND) /* without a byte */
#define JSON_BODY_NS (30 * SECOND)
#define WRITE_NS     (30 * SECOND)
#define DROP_MAX     (64u << 10)
#define DROP_NS      (2 * SECOND)

/* The panic's log is an admin's, for it may have the token that was made at that boot. */
static const struct api_route routes[] = {
    {{""}, HTTP_GET, ACCESS_ANYBODY, api_static, NULL},
    {{"page", "*"}, HTTP_GET, ACCESS_ANYBODY, api_static, NULL},
    {{"openapi.json"}, HTTP_GET, ACCESS_ANYBODY, api_static, NULL},
    {{"healthz"}, HTTP_GET, ACCESS_ANYBODY, api_health, NULL},
    {{"metrics"}, HTTP_GET, ACCESS_VIEWER, api_metrics, ""},
    {{"v1", "host"}, HTTP_GET, ACCESS_VIEWER, api_host, ""},
    {{"v1", "host", "panic"}, HTTP_GET, ACCESS_ADMIN, api_host_panic, ""},
    {{"v1", "host", "reboot"}, HTTP_POST, ACCESS_ADMIN, api_host_reboot, ""},
    {{"v1", "host", "shutdown"}, HTTP_POST, ACCESS_ADMIN, api_host_shutdown, ""},
    {{"v1", "host", "certificate"}, HTTP_GET, ACCESS_VIEWER, api_certificate_get, ""},
    {{"v1", "host", "certificate"}, HTTP_PUT, ACCESS_ADMIN, api_certificate_put, "dry_run"},
    {{"v1", "host", "certificate", "request"},
     HTTP_POST,
     ACCESS_ADMIN,
     api_certificate_request,
     ""},
    {{"v1", "host", "certificate", "renew"}, HTTP_POST, ACCESS_ADMIN, api_certificate_renew, ""},
    {{"v1", "audit"}, HTTP_GET, ACCESS_ADMIN, api_audit, "after, limit"},
    {{"v1", "backup"}, HTTP_GET, ACCESS_ADMIN, api_backup_get, "images"},
    {{"v1", "backup"}, HTTP_PUT, ACCESS_ADMIN, api_backup_put, "dry_run, replace, identity"},
    {{"v1", "caller"}, HTTP_GET, ACCESS_VIEWER, api_caller, ""},
    {{"v1", "tokens"}, HTTP_GET, ACCESS_ADMIN, api_token_list, "after, limit"},
    {{"v1", "tokens", "*"}, HTTP_GET, ACCESS_ADMIN, api_token_get, ""},
    {{"v1", "tokens", "*"}, HTTP_PUT, ACCESS_ADMIN, api_token_put, "dry_run, rotate"},
    {{"v1", "tokens", "*"}, HTTP_DELETE, ACCESS_ADMIN, api_token_delete, ""},
    {{"v1", "client-certificates"}, HTTP_GET, ACCESS_ADMIN, api_client_list, "after, limit"},
    {{"v1", "client-certificates", "*"}, HTTP_GET, ACCESS_ADMIN, api_client_get, ""},
    {{"v1", "client-certificates", "*"}, HTTP_PUT, ACCESS_ADMIN, api_client_put, "dry_run"},
    {{"v1", "client-certificates", "*"}, HTTP_DELETE, ACCESS_ADMIN, api_client_delete, ""},
    {{"v1", "crashes"}, HTTP_GET, ACCESS_VIEWER, api_crash_list, "after, limit"},
    {{"v1", "events"}, HTTP_GET, ACCESS_VIEWER, api_events, "after, kind, name, prefix"},
    {{"v1", "crashes", "*"}, HTTP_GET, ACCESS_VIEWER, api_crash_get, ""},
    {{"v1", "images"}, HTTP_GET, ACCESS_VIEWER, api_image_list, "after, limit, label"},
    {{"v1", "images", "*"}, HTTP_GET, ACCESS_VIEWER, api_image_get, ""},
    {{"v1", "images", "*"}, HTTP_PUT, ACCESS_OPERATOR, api_image_put, "dry_run"},
    {{"v1", "images", "*"}, HTTP_PATCH, ACCESS_OPERATOR, api_image_patch, "dry_run"},
    {{"v1", "images", "*"}, HTTP_DELETE, ACCESS_OPERATOR, api_image_delete, ""},
    {{"v1", "guests"}, HTTP_GET, ACCESS_VIEWER, api_guest_list, "after, limit, label, view"},
    {{"v1", "guests", "*"}, HTTP_GET, ACCESS_VIEWER, api_guest_get, ""},
    {{"v1", "guests", "*"}, HTTP_PUT, ACCESS_OPERATOR, api_guest_put, "dry_run"},
    {{"v1", "guests", "*"}, HTTP_PATCH, ACCESS_OPERATOR, api_guest_patch, "dry_run"},
    {{"v1", "guests", "*"}, HTTP_DELETE, ACCESS_OPERATOR, api_guest_delete, ""},
    {{"v1", "guests", "*", "log"}, HTTP_GET, ACCESS_VIEWER, api_guest_log, "offset, follow"},
    {{"v1", "guests", "*", "console"}, HTTP_GET, ACCESS_VIEWER, api_guest_console, "offset, input"},
    {{"v1", "guests", "*", "vcpus"}, HTTP_GET, ACCESS_VIEWER, api_guest_vcpus, ""},
    {{"v1", "guests", "*", "trace"}, HTTP_GET, ACCESS_VIEWER, api_guest_trace, ""},
    {{"v1", "apps"}, HTTP_GET, ACCESS_VIEWER, api_app_list, "after, limit, label"},
    {{"v1", "apps", "*"}, HTTP_GET, ACCESS_VIEWER, api_app_get, ""},
    {{"v1", "apps", "*"}, HTTP_PUT, ACCESS_OPERATOR, api_app_put, "dry_run"},
    {{"v1", "apps", "*"}, HTTP_DELETE, ACCESS_OPERATOR, api_app_delete, ""},
    {{"v1", "disks"}, HTTP_GET, ACCESS_VIEWER, api_disk_list, ""},
    {{"v1", "disks", "*"}, HTTP_GET, ACCESS_VIEWER, api_disk_get, ""},
    {{"v1", "disks", "*"}, HTTP_PUT, ACCESS_ADMIN, api_disk_put, "dry_run"},
    {{"v1", "volumes"}, HTTP_GET, ACCESS_VIEWER, api_volume_list, "after, limit, label"},
    {{"v1", "volumes", "*"}, HTTP_GET, ACCESS_VIEWER, api_volume_get, ""},
    {{"v1", "volumes", "*"}, HTTP_PUT, ACCESS_OPERATOR, api_volume_put, "dry_run"},
    {{"v1", "volumes", "*"}, HTTP_PATCH, ACCESS_OPERATOR, api_volume_patch, "dry_run"},
    {{"v1", "volumes", "*"}, HTTP_DELETE, ACCESS_OPERATOR, api_volume_delete, ""},
    {{"v1", "volumes", "*", "data"}, HTTP_GET, ACCESS_OPERATOR, api_volume_data_get, ""},
    {{"v1", "volumes", "*", "data"}, HTTP_PUT, ACCESS_OPERATOR, api_volume_data_put, "dry_run"},
    {{"v1", "operations"}, HTTP_GET, ACCESS_VIEWER, api_operation_list, ""},
    {{"v1", "operations", "*"}, HTTP_GET, ACCESS_VIEWER, api_operation_get, "wait"},
    {{"v1", "operations", "*"}, HTTP_DELETE, ACCESS_OPERATOR, api_operation_delete, ""},
#if SKEP_DEBUG
    {{"v1", "debug", "points"}, HTTP_GET, ACCESS_ADMIN, api_debug_points, ""},
    {{"v1", "debug", "crash"}, HTTP_POST, ACCESS_ADMIN, api_debug_crash, ""},
#endif
};
#define ROUTE_COUNT (sizeof(routes) / sizeof(*routes))

const struct api_route *api_route(unsigned index)
{
    return index < ROUTE_COUNT ? &routes[index] : NULL;
}

/* By route, the last one being "none", and class of status, from 1xx on. */
#define CLASSES 5u
static _Atomic uint64_t request_counts[ROUTE_COUNT + 1][CLASSES];

/*
 * Counting
 */

static void count_answer(unsigned route, int status)
{
    unsigned class = (unsigned)status / 100 - 1;

    if (class < CLASSES)
        atomic_fetch_add_explicit(&request_counts[route][class], 1, memory_order_relaxed);
}

/* "/v1/guests/{name}/log" */
static void format_route(const struct api_route *route, char text[AUDIT_PATH_MAX])
{
    size_t bytes = 0;

    for (int i = 0; i < API_SEGMENTS_MAX && route->path[i]; i++)
        bytes += (size_t)snprintf(text + bytes, AUDIT_PATH_MAX - bytes, "/%s",
                                  strcmp(route->path[i], "*") == 0 ? "{name}" : route->path[i]);
}

void api_write_requests(struct exposition *x)
{
    for (unsigned i = 0; i <= ROUTE_COUNT; i++)
        for (unsigned class = 0; class < CLASSES; class ++) {
            uint64_t count = atomic_load_explicit(&request_counts[i][class], memory_order_relaxed);
            char text[AUDIT_PATH_MAX] = "none", code[] = {(char)('1' + class), 'x', 'x', '\0'};
            if (count == 0)
                continue;
            if (i < ROUTE_COUNT)
                format_route(&routes[i], text);
            exposition_label(x, "method",
                             i < ROUTE_COUNT ? llhttp_method_name(routes[i].method) : "none");
            exposition_label(x, "route", text);
            exposition_label(x, "code", code);
            exposition_number(x, count);
        }
}

/*
 * Answers
 */

static bool send_problem(struct http_conn *c, const struct problem *p)
{
    char *text = problem_text(p);
    const char *body = text ? text : "{}";
    int result =
        http_reply(c, p->status, "application/problem+json", p->fields, body, strlen(body));

    free(text);
    return result == 0;
}

static bool send_json(struct http_conn *c, int status, const char *fields, const cJSON *json)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    int result = http_reply(c, status, text ? "application/json" : NULL, fields, text ? text : "",
                            text ? strlen(text) : 0);

    free(text);
    return result == 0;
}

void api_answer_error(struct api_client *client, int error)
{
    struct problem p = {0};
    struct http_conn *c = &client->http;

    c->keep_alive = false;
    c->write_deadline = tls_clock_ns() + WRITE_NS;
    switch (http_error_status(error)) {
    case 400:
        problem_set(&p, 400, "The request is no well-formed HTTP/1.1.");
        break;
    case 408:
        problem_set(&p, 408, "The request took too long.");
        break;
    case 414:
        problem_set(&p, 414, "The path and query have more than %d bytes.", HTTP_URL_MAX);
        break;
    case 417:
        problem_set(&p, 417, "Only \"Expect: 100-continue\" is known.");
        break;
    case 431:
        problem_set(&p, 431, "The header has more than %d bytes or %d fields.", HTTP_HEAD_MAX,
                    HTTP_FIELDS_MAX);
        break;
    case 501:
        problem_set(&p, 501, "The request's method is not known.");
        break;
    case 505:
        problem_set(&p, 505, "The request's version is not HTTP/1.0 or 1.1.");
        break;
    default:
        return;
    }
    send_problem(c, &p);
    count_answer(ROUTE_COUNT, p.status);
}

/*
 * Routing
 */

#define PATH_UNKNOWN   (-1) /* no path of ours: too many segments */
#define PATH_MALFORMED (-2) /* a bad escape */

/* Splits a path in place; "/" has one, which is empty. How many there are, or one of the above. */
static int split(char *path, char *segments[API_SEGMENTS_MAX])
{
    int count = 0;

    if (*path++ != '/')
        return PATH_UNKNOWN;
    segments[0] = path;
    if (!*path)
        return 1;
    for (char *rest = path; rest && *rest;) {
        if (count == API_SEGMENTS_MAX)
            return PATH_UNKNOWN;
        segments[count] = rest;
        rest = strchr(rest, '/');
        if (rest)
            *rest++ = '\0';
        if (!http_unescape(segments[count++]))
            return PATH_MALFORMED;
    }
    return count;
}

static bool route_matches(const struct api_route *route, char *const segments[], int count)
{
    for (int i = 0; i < API_SEGMENTS_MAX; i++) {
        if (i >= count || !route->path[i])
            return i >= count && !route->path[i];
        if (strcmp(route->path[i], "*") != 0 && strcmp(route->path[i], segments[i]) != 0)
            return false;
    }
    return true;
}

/* The route, or NULL with the problem: 400, 404, or 405 with the methods that there are. */
static const struct api_route *find_route(struct request *r, char *segments[], int count)
{
    llhttp_method_t method = r->http->method == HTTP_HEAD ? HTTP_GET : r->http->method;
    char allow[64] = "";

    for (unsigned i = 0; count >= 0 && i < ROUTE_COUNT; i++) {
        if (!route_matches(&routes[i], segments, count))
            continue;
        if (routes[i].method == method)
            return &routes[i];
        snprintf(allow + strlen(allow), sizeof(allow) - strlen(allow), "%s%s", *allow ? ", " : "",
                 llhttp_method_name(routes[i].method));
    }
    if (count == PATH_MALFORMED) {
        problem_set(&r->problem, 400,
                    "The path has a %% without two hexadecimal digits behind it, or %%00.");
    } else if (*allow) {
        snprintf(r->problem.fields, sizeof(r->problem.fields), "Allow: %s\r\n", allow);
        problem_set(&r->problem, 405, "There is no such method here; there is %s.", allow);
    } else {
        problem_set(&r->problem, 404, "There is nothing at this path.");
    }
    return NULL;
}

/*
 * Who calls
 */

/* What is said behind "Bearer", NULL if that isn't said exactly once. Or what a WebSocket's request has instead, in room. */
static const char *find_token(const struct http_conn *c, char room[API_TOKEN_MAX])
{
    const char *value = http_field(c, "authorization");
    unsigned count = http_field_count(c, "authorization");

    if (count == 0)
        return api_protocol_token(c, room) ? room : NULL;
    if (count != 1 || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    value += 7;
    return value + strspn(value, " ");
}

/* Browsers show a certificate whichever page asks, so the page must be ours (Fetch, 3.1; Fetch Metadata). */
static bool is_of_another_site(const struct http_conn *c)
{
    const char *origin = http_field(c, "origin"), *host = http_field(c, "host");
    const char *site = http_field(c, "sec-fetch-site");

    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return true;
    return origin &&
           (strncasecmp(origin, "https://", 8) != 0 || !host || strcasecmp(origin + 8, host) != 0);
}

/* A token that is shown counts, right or wrong; else the certificate of the connection. */
static enum token_state identify(struct request *r)
{
    char room[API_TOKEN_MAX];
    const char *token = find_token(r->http, room);

    if (token)
        return tokens_identify(token, &r->client->shown, &r->caller);
    if (r->client->has_certificate && !http_field(r->http, "authorization") &&
        !is_of_another_site(r->http))
        return tokens_identify_certificate(r->client->certificate, &r->caller);
    return TOKEN_UNKNOWN;
}

static int check_token(struct request *r)
{
    enum token_state state = identify(r);

    atomic_store_explicit(&r->client->authenticated, state == TOKEN_GOOD, memory_order_relaxed);
    if (state == TOKEN_GOOD)
        return 0;
    snprintf(r->problem.fields, sizeof(r->problem.fields),
             "WWW-Authenticate: Bearer realm=\"skep\"\r\n");
    if (state == TOKEN_EXPIRED)
        return problem_set(&r->problem, 401, "The token '%s' has expired: ask for a new one.",
                           r->caller.name);
    return problem_set(&r->problem, 401,
                       "Send the right token, once: \"Authorization: Bearer <token>\".");
}

/* Calls without a right token are counted by where they come from, so that these keep out nobody who has one. */
static int check_rate(struct request *r, bool has_right_token)
{
    char address[ADDRESS_TEXT_MAX];
    unsigned seconds;

    if (!has_right_token)
        address_format(address, r->client->address);
    if (throttle_request(has_right_token ? THROTTLE_PRINCIPAL : THROTTLE_ADDRESS,
                         has_right_token ? r->caller.name : address, tls_clock_ns(), &seconds))
        return 0;
    snprintf(r->problem.fields, sizeof(r->problem.fields), "Retry-After: %u\r\n", seconds);
    r->http->keep_alive &= has_right_token;
    return problem_set(&r->problem, 429,
                       "There are too many requests %s: at most %u a second in the long run.",
                       has_right_token ? "of this caller" : "without a right token from here",
                       has_right_token ? THROTTLE_PRINCIPAL_RATE : THROTTLE_ADDRESS_RATE);
}

/* Who has no token learns nothing about what there is. */
static int check_caller(struct request *r)
{
    int result = check_token(r);

    if (check_rate(r, result == 0) != 0)
        return -1;
    return result;
}

bool api_still_allowed(struct request *r)
{
    if (tokens_hold(&r->caller))
        return true;
    r->http->keep_alive = false;
    problem_set(&r->problem, 401,
                "The token was revoked or changed, or has expired, while the request was served.");
    return false;
}

int api_check_role(struct request *r, enum access_role least)
{
    if (r->caller.role <= least)
        return 0;
    return problem_set(&r->problem, 403, "This needs the role %s, and the token '%s' has %s.",
                       access_role_name(least), r->caller.name, access_role_name(r->caller.role));
}

/* Names that the caller doesn't see are as if there were nothing, and can't be made. Images are everybody's to see. */
static int check_scope(struct request *r, const struct api_route *route)
{
    const char *kind = r->name && route->path[1] ? route->path[1] : "";
    bool image = strcmp(kind, "images") == 0;
    bool guest = strcmp(kind, "guests") == 0;
    bool volume = strcmp(kind, "volumes") == 0;
    bool app = strcmp(kind, "apps") == 0;

    if (!(image && route->method != HTTP_GET) && !guest && !volume && !app)
        return 0;
    if (access_sees(r->name))
        return 0;
    if (image || (route->method == HTTP_PUT && !route->path[3]))
        return problem_set(&r->problem, 403, "The token '%s' is for names that begin with '%s'.",
                           r->caller.name, r->caller.prefix);
    return guest ? api_no_guest(r) : volume ? api_no_volume(r) : api_no_app(r);
}

static int check_name(struct request *r, const struct api_route *route, char *segments[])
{
    if (route->handler == api_static)
        r->name = segments[1] ? segments[1] : segments[0];
    if (!route->path[2] || strcmp(route->path[2], "*") != 0)
        return 0;
    if (!name_valid(segments[2]))
        return problem_set(&r->problem, 400,
                           "'%.80s' is no name: 1 to 63 of a-z, 0-9 and -, not beginning with -.",
                           segments[2]);
    r->name = segments[2];
    return 0;
}

/* A machine that is about to end takes no more changes. */
static int check_power(struct request *r)
{
    if (!power_is_ending())
        return 0;
    return problem_set(&r->problem, 503, "The machine is %s: nothing can be changed any more.",
                       power_name());
}

static void describe_caller(const struct request *r, char caller[AUDIT_CALLER_MAX])
{
    char address[ADDRESS_TEXT_MAX];

    address_format(address, r->client->address);
    snprintf(caller, AUDIT_CALLER_MAX, "%s %s", r->caller.name, address);
}

/* Names were checked, so the path is as short and plain as it must be. */
static void describe_path(char *const segments[API_SEGMENTS_MAX], char path[AUDIT_PATH_MAX])
{
    size_t bytes = 0;

    for (int i = 0; i < API_SEGMENTS_MAX && segments[i] && bytes < AUDIT_PATH_MAX; i++)
        bytes += (size_t)snprintf(path + bytes, AUDIT_PATH_MAX - bytes, "/%s", segments[i]);
}

/* What a client gives a name has an ETag. */
static bool has_etag(const struct api_route *route)
{
    static const char *const kinds[] = {
        "apps", "client-certificates", "guests", "images", "tokens", "volumes"};
    bool found = false;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        found |= strcmp(route->path[1], kinds[i]) == 0;
    return found && route->path[2] && !route->path[3];
}

static int call(struct request *r, const struct api_route *route)
{
    if (route->method != HTTP_GET &&
        (check_power(r) != 0 || (!has_etag(route) && api_refuse_match(r) != 0)))
        return -1;
    return route->handler(r);
}

/* Whoever may change something leaves a record of it before the answer. So does who takes all secrets away, behind it. */
static int handle_audited(struct request *r, const struct api_route *route, char *const segments[])
{
    struct audit_call record = {.method = llhttp_method_name(route->method)};
    int status;

    describe_caller(r, record.caller);
    describe_path(segments, record.path);
    audit_begin(&record);
    status = call(r, route);
    audit_end(&record, status < 0 ? r->problem.status : status ? status : 200);
    return status;
}

/* What is read from here on has all changes up to this event. */
static void note_event(struct request *r)
{
    char id[EVENT_ID_MAX];

    events_id_text(events_last(), id);
    stpcpy(stpcpy(stpcpy(r->fields, "Skep-Event-Id: "), id), "\r\n");
}

static int handle(struct request *r)
{
    char *segments[API_SEGMENTS_MAX] = {NULL};
    int count = split(r->http->path, segments);
    const struct api_route *route = find_route(r, segments, count);

    r->route = route ? (unsigned)(route - routes) : ROUTE_COUNT;
    if ((!route || route->least != ACCESS_ANYBODY) && check_caller(r) != 0)
        return -1;
    if (!route || check_name(r, route, segments) != 0)
        return -1;
    /* Before the audit: who may change nothing can't fill its trail. */
    if (api_check_role(r, route->least) != 0 || check_scope(r, route) != 0 ||
        api_check_query(r, route->query) != 0)
        return -1;
    if (route->method == HTTP_GET && route->least != ACCESS_ANYBODY)
        note_event(r);
    if (route->method == HTTP_GET && route->handler != api_backup_get)
        return call(r, route);
    if (api_query_bool(r, "dry_run", &r->dry_run) != 0)
        return -1;
    if (r->dry_run)
        return call(r, route);
    return handle_audited(r, route, segments);
}

bool api_serve(struct api_client *client)
{
    struct request r = {
        .client = client, .http = &client->http, .caller = {.role = ACCESS_ANYBODY}};
    struct http_conn *c = r.http;
    uint64_t began_ns = tls_clock_ns();
    bool sent = true;
    int status;

    access_begin(&r.caller);
    status = handle(&r);
    access_end();
    c->write_deadline = tls_clock_ns() + WRITE_NS;
    /* Too much of an unread body: better a new connection than to read it. */
    if (!c->body_done && (c->chunked || c->content_length > DROP_MAX || c->expects_continue))
        c->keep_alive = false;
    if (*r.etag)
        snprintf(r.fields + strlen(r.fields), sizeof(r.fields) - strlen(r.fields), "ETag: %s\r\n",
                 r.etag);
    if (status < 0)
        sent = send_problem(c, &r.problem);
    else if (status > 0)
        sent = send_json(c, status, r.fields, r.json);
    cJSON_Delete(r.json);
    count_answer(r.route, c->reply_status);
    if (!r.is_stream)
        latency_add(tls_clock_ns() - began_ns);
    if (!sent || !http_drop_body(c, DROP_MAX, tls_clock_ns() + DROP_NS))
        return false;
    return c->keep_alive;
}

/*
 * Help for handlers
 */

static int check_json_type(struct request *r)
{
    const char *type = http_field(r->http, "content-type");
    size_t bytes = type ? strcspn(type, "; \t") : 0;

    if (!type || (bytes == 16 && strncasecmp(type, "application/json", bytes) == 0) ||
        (bytes == 28 && strncasecmp(type, "application/merge-patch+json", bytes) == 0))
        return 0;
    return problem_set(&r->problem, 415,
                       "The body must be JSON, said so by \"Content-Type: application/json\".");
}

static int check_json_length(struct request *r)
{
    if (!r->http->has_length && !r->http->chunked)
        return problem_set(&r->problem, 411, "A JSON body is needed, with Content-Length.");
    if (r->http->content_length > API_JSON_MAX)
        return problem_set(&r->problem, 413, "The body has more than %u bytes.", API_JSON_MAX);
    return 0;
}

/* Bytes of the body, or -1 and the problem. */
static int read_body(struct request *r, char *body, size_t room)
{
    uint64_t end = tls_clock_ns() + JSON_BODY_NS;
    size_t bytes = 0;
    int n;

    do {
        uint64_t step = tls_clock_ns() + BODY_STEP_NS;
        n = http_read_body(r->http, body + bytes, room - bytes, step < end ? step : end);
        if (n < 0) {
            r->http->keep_alive = false;
            return problem_set(&r->problem, n == HTTP_E_TIMEOUT ? 408 : 400,
                               "The body didn't come in full.");
        }
        bytes += (size_t)n;
        if (bytes == room)
            return problem_set(&r->problem, 413, "The body has more than %u bytes.", API_JSON_MAX);
    } while (n > 0);
    return (int)bytes;
}

cJSON *api_read_json(struct request *r)
{
    cJSON *json = NULL;
    char *body;
    int bytes;

    if (check_json_type(r) != 0 || check_json_length(r) != 0)
        return NULL;
    body = malloc(API_JSON_MAX + 1);
    if (!body) {
        problem_set(&r->problem, 503, "There is no memory for the request now; try again.");
        return NULL;
    }
    if ((bytes = read_body(r, body, API_JSON_MAX + 1)) >= 0 && api_still_allowed(r))
        json = json_parse(body, (size_t)bytes, &r->problem);
    free(body);
    return json;
}

int api_change_model(struct request *r, int (*change)(struct request *r, const cJSON *body))
{
    cJSON *body = api_read_json(r);
    int status;

    if (!body)
        return -1;
    model_lock();
    status = change(r, body);
    model_unlock();
    cJSON_Delete(body);
    return status;
}

bool api_has_body(const struct request *r)
{
    return r->http->chunked || r->http->content_length > 0;
}

cJSON *api_new_list(struct request *r)
{
    r->json = cJSON_CreateObject();
    return cJSON_AddArrayToObject(r->json, "items");
}

bool api_client_stirs(struct request *r, int ms)
{
    struct pollfd p = {.fd = r->client->fd, .events = POLLIN};
    return poll(&p, 1, ms) != 0;
}
