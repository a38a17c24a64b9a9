/*
 * api_events.c - the handler for events, a stream of server-sent events (WHATWG HTML, "Server-sent events").
 *
 * A reader's place in the ring is a number of its own; nothing is kept of it elsewhere. One that is too slow for the ring,
 * or takes nothing for a while, is dropped: its connection ends, and it comes again with the last id that it has.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "events.h"
#include "skep_tls.h"

#define SECOND   1000000000ull
#define WRITE_NS (10 * SECOND) /* without a byte's being taken */
/* After which something is sent, for proxies, and to notice that nobody is there. */
#define QUIET_NS (15 * SECOND)
#define LOOK_MS  1000u /* between looks at whether the client has left */
#define RETRY_MS 1000u /* what clients are told to wait before they come again */
/* Others can't keep admins out, nor one the rest of them. */
#define STREAMS_FOR_ADMINS 4u
#define STREAMS_A_CALLER   4u
#define EVENT_ROOM         1024u /* for one event's text */

static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct request *streams[API_STREAMS_MAX];

/* Of one caller, or of all for NULL. Holds the lock. */
static unsigned count_streams(const char *caller)
{
    unsigned count = 0;

    for (unsigned i = 0; i < API_STREAMS_MAX; i++)
        count += streams[i] && (!caller || strcmp(streams[i]->caller.name, caller) == 0);
    return count;
}

/* 0, or -1 and the problem: this caller may have no more. Holds the lock. */
static int check_streams(struct request *r)
{
    unsigned all = count_streams(NULL), own = count_streams(r->caller.name);
    bool admin = r->caller.role == ACCESS_ADMIN;

    if (admin ? all < API_STREAMS_MAX
              : all < API_STREAMS_MAX - STREAMS_FOR_ADMINS && own < STREAMS_A_CALLER)
        return 0;
    strcpy(r->problem.fields, "Retry-After: 5\r\n");
    return problem_set(&r->problem, 503,
                       "There are %u streams, of events, logs and consoles, and %u of them are "
                       "this caller's: end one first.",
                       all, own);
}

int api_stream_begin(struct request *r)
{
    unsigned i = 0;
    int result;

    r->is_stream = true;
    pthread_mutex_lock(&streams_lock);
    result = check_streams(r);
    while (result == 0 && streams[i])
        i++;
    if (result == 0)
        streams[i] = r;
    pthread_mutex_unlock(&streams_lock);
    return result;
}

void api_stream_end(const struct request *r)
{
    pthread_mutex_lock(&streams_lock);
    for (unsigned i = 0; i < API_STREAMS_MAX; i++)
        if (streams[i] == r)
            streams[i] = NULL;
    pthread_mutex_unlock(&streams_lock);
}

unsigned api_stream_count(void)
{
    unsigned count;

    pthread_mutex_lock(&streams_lock);
    count = count_streams(NULL);
    pthread_mutex_unlock(&streams_lock);
    return count;
}

/*
 * What the client wants
 */

struct follow {
    uint64_t at;   /* the last event that was looked at */
    uint64_t told; /* the last whose id the client has */
    bool lost;     /* there was something between what it has and `at` */
    int kind;      /* enum event_kind, -1 = any */
    char name[SKEP_NAME_MAX], prefix[SKEP_NAME_MAX]; /* "" = any */
};

/* 16 hexadecimal digits, a hyphen, digits. */
static bool is_id(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef");

    return digits == 16 && text[16] == '-' && isdigit((unsigned char)text[17]) &&
           text[17 + strspn(text + 17, "0123456789")] == '\0';
}

/* The header goes before the query: a client that comes again has a newer one there. */
static int read_place(struct request *r, struct follow *f)
{
    const char *id = http_field(r->http, "last-event-id");
    char text[EVENT_ID_MAX];
    struct event event;
    int found = id ? 1 : http_query_value(r->http->query, "after", text, sizeof(text));

    if (!id)
        id = text;
    f->at = events_last();
    if (found == 0)
        return 0;
    if (found < 0 || !is_id(id))
        return problem_set(&r->problem, 400,
                           "after and Last-Event-ID must be an event's id, as in Skep-Event-Id.");
    f->lost = !events_id_read(id, &f->told) || events_read(f->told, &event) < 0;
    if (!f->lost)
        f->at = f->told;
    return 0;
}

static int read_kind(struct request *r, int *kind)
{
    char text[24];
    int found = http_query_value(r->http->query, "kind", text, sizeof(text));

    *kind = -1;
    for (int k = 0; found > 0 && k < EVENT_KINDS; k++)
        if (strcmp(text, event_kind_name((enum event_kind)k)) == 0)
            *kind = k;
    if (found == 0 || *kind >= 0)
        return 0;
    return problem_set(&r->problem, 400,
                       "kind must be guests, images, volumes, disks, apps, tokens, "
                       "client-certificates or host.");
}

static int read_name(struct request *r, const char *field, char name[SKEP_NAME_MAX])
{
    int found = http_query_value(r->http->query, field, name, SKEP_NAME_MAX);

    if (found == 0)
        name[0] = '\0';
    if (found == 0 || (found > 0 && name[0]))
        return 0;
    return problem_set(&r->problem, 400, "%s must have 1 to %u characters.", field,
                       SKEP_NAME_MAX - 1);
}

/* As the calls that show it: who has tokens is an admin's to know, and guests, volumes and apps are somebody's. */
static bool is_seen(const struct request *r, const struct event *e)
{
    switch (e->kind) {
    case EVENT_GUESTS:
    case EVENT_VOLUMES:
    case EVENT_APPS:
        return access_sees(e->name);
    case EVENT_TOKENS:
    case EVENT_CLIENT_CERTIFICATES:
        return r->caller.role == ACCESS_ADMIN;
    default:
        return true;
    }
}

static bool passes(const struct request *r, const struct follow *f, const struct event *e)
{
    return is_seen(r, e) && (f->kind < 0 || f->kind == (int)e->kind) &&
           (!f->name[0] || strcmp(f->name, e->name) == 0) &&
           strncmp(f->prefix, e->name, strlen(f->prefix)) == 0;
}

/*
 * What it gets
 */

/* Bytes, 0 without memory. */
static size_t format_event(char *text, const struct event *event)
{
    cJSON *json = event_to_json(event, !*access_prefix());
    char *data = cJSON_PrintUnformatted(json);
    char id[EVENT_ID_MAX];
    int n = 0;

    events_id_text(event->number, id);
    if (data)
        n = snprintf(text, EVENT_ROOM, "id: %s\nevent: %s\ndata: %s\n\n", id, event->type, data);
    free(data);
    cJSON_Delete(json);
    return n < (int)EVENT_ROOM ? (size_t)n : 0;
}

static bool send_text(struct request *r, struct follow *f, const char *text, size_t bytes)
{
    f->told = f->at;
    r->http->write_deadline = tls_clock_ns() + WRITE_NS;
    return http_reply_chunk(r->http, text, bytes) == 0 && http_reply_flush(r->http) == 0;
}

/* An id without data isn't an event, but the client keeps it. */
static bool send_place(struct request *r, struct follow *f)
{
    char id[EVENT_ID_MAX], text[EVENT_ROOM];
    int n;

    events_id_text(f->at, id);
    if (f->lost)
        n = snprintf(text, sizeof(text),
                     "retry: %u\nid: %s\nevent: lost\ndata: {\"id\":\"%s\",\"type\":\"lost\"}\n\n",
                     RETRY_MS, id, id);
    else
        n = snprintf(text, sizeof(text), "retry: %u\nid: %s\n\n", RETRY_MS, id);
    f->lost = false;
    return send_text(r, f, text, (size_t)n);
}

/* So that a client of few events doesn't lose its place when others have many. */
static bool send_sign(struct request *r, struct follow *f)
{
    static const char comment[] = ": \n\n";

    return f->at != f->told ? send_place(r, f) : send_text(r, f, comment, sizeof(comment) - 1);
}

/* Those that are there; false: the reader is dropped, or has left. *sent tells whether there were any for it. */
static bool send_events(struct request *r, struct follow *f, bool *sent)
{
    char text[4 * EVENT_ROOM];
    struct event event;
    size_t bytes = 0;
    int found = 0;

    while (bytes <= sizeof(text) - EVENT_ROOM && (found = events_read(f->at, &event)) > 0) {
        bool wanted = passes(r, f, &event);
        size_t n = wanted ? format_event(text + bytes, &event) : 0;
        if (n == 0 && wanted)
            return false;
        f->at = event.number;
        bytes += n;
    }
    *sent = bytes > 0;
    return found >= 0 && (bytes == 0 || send_text(r, f, text, bytes));
}

static void stream_events(struct request *r, struct follow *f)
{
    uint64_t quiet_since = tls_clock_ns();
    bool sent, goes_on = send_place(r, f);

    while (goes_on && api_still_allowed(r) && send_events(r, f, &sent) && !api_client_stirs(r, 0)) {
        bool quiet = tls_clock_ns() - quiet_since >= QUIET_NS;
        goes_on = !quiet || send_sign(r, f);
        if (sent || quiet)
            quiet_since = tls_clock_ns();
        events_wait(f->at, LOOK_MS);
    }
    r->http->keep_alive = false;
    if (api_still_allowed(r))
        http_reply_end(r->http);
}

int api_events(struct request *r)
{
    char fields[128];
    struct follow f = {0};

    if (read_place(r, &f) != 0 || read_kind(r, &f.kind) != 0 || read_name(r, "name", f.name) != 0 ||
        read_name(r, "prefix", f.prefix) != 0 || api_stream_begin(r) != 0)
        return -1;
    snprintf(fields, sizeof(fields), "Cache-Control: no-store\r\n%s", r->fields);
    r->http->write_deadline = tls_clock_ns() + WRITE_NS;
    if (http_reply_begin(r->http, 200, "text/event-stream", fields) == 0 &&
        r->http->method != HTTP_HEAD)
        stream_events(r, &f);
    api_stream_end(r);
    return 0;
}
