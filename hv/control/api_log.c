/* api_log.c - the handler for guests' logs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "guest.h"
#include "skep_tls.h"

#define MS           1000000ull
#define FOLLOW_MS    100 /* between looks at a followed console */
#define LOG_WRITE_NS (30000 * MS)

#define OVERTAKEN_MAX 16 /* reads in a row that a guest's output may overtake */

/* "follow" and "offset" of the query; *has_offset tells whether there was one. */
static int read_query(struct request *r, uint64_t *offset, bool *has_offset, bool *follow)
{
    char text[32], *end;
    int found = http_query_value(r->http->query, "offset", text, sizeof(text));

    *has_offset = found != 0;
    if (found != 0) {
        errno = 0;
        *offset = found > 0 && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10)
                                                                : (end = text, 0);
        if (found < 0 || end == text || *end || errno)
            return problem_set(&r->problem, 400, "offset must be a byte's number, 0 or more.");
    }
    found = http_query_value(r->http->query, "follow", text, sizeof(text));
    *follow = found > 0 && strcmp(text, "true") == 0;
    if (found < 0 || (found > 0 && !*follow && strcmp(text, "false") != 0))
        return problem_set(&r->problem, 400, "follow must be true or false.");
    return 0;
}

static int check_offset(struct request *r, const struct guest *g, uint64_t *offset, bool given)
{
    uint64_t first = g->log_base + g->view.console_first;
    uint64_t end = g->log_base + g->view.console_end;

    if (!given)
        *offset = first;
    if (*offset > end)
        return problem_set(&r->problem, 400, "offset is beyond the log's end, %" PRIu64 ".", end);
    if (*offset >= first)
        return 0;
    r->problem.has_oldest = true;
    r->problem.oldest_offset = first;
    return problem_set(&r->problem, 410, "The log's bytes before offset %" PRIu64 " are gone.",
                       first);
}

/* Reads from ring 0's console. A guest can print a whole ring between a look at it and the read: then on from the
 * newest bytes, which stay longest. */
static int64_t read_console(struct guest *g, uint64_t *offset, void *data, size_t room)
{
    int64_t n = core_console_read(g->handle, *offset - g->log_base, data, room);

    for (int tries = 0; n == -SKEP_ERANGE && tries < OVERTAKEN_MAX; tries++) {
        uint64_t end, kept;
        guest_refresh(g);
        if (!g->handle)
            return 0;
        end = g->view.console_end;
        kept = end - g->view.console_first;
        *offset = g->log_base + end - (kept < room ? kept : room);
        n = core_console_read(g->handle, *offset - g->log_base, data, room);
    }
    return n;
}

/* Reads on from *offset. Bytes, 0 = none now, -1 = none will come. */
static int read_log(const char *name, uint64_t *offset, void *data, size_t room)
{
    struct guest *g;
    uint64_t first;
    int64_t n = 0;
    bool over = true;

    model_lock();
    g = guest_find(name);
    if (g) {
        guest_refresh(g);
        first = g->log_base + g->view.console_first;
        if (*offset < first) /* a reader too slow for the ring */
            *offset = first;
        if (g->handle)
            n = read_console(g, offset, data, room);
        over = guest_has_ended(g);
    }
    model_unlock();
    if (n > 0)
        *offset += (uint64_t)n;
    return n > 0 ? (int)n : over ? -1 : 0;
}

/* At most `left` bytes, so that the answer ends however much the guest prints meanwhile; when following, until the
 * guest's end or the client's. With the token's end it is broken off, and doesn't look whole. */
static void stream_log(struct request *r, uint64_t offset, uint64_t left, bool follow)
{
    char data[2048];

    while (follow || left > 0) {
        size_t room = follow || left > sizeof(data) ? sizeof(data) : (size_t)left;
        int n;
        if (!api_still_allowed(r))
            return;
        n = read_log(r->name, &offset, data, room);
        r->http->write_deadline = tls_clock_ns() + LOG_WRITE_NS;
        if (n > 0 && http_reply_chunk(r->http, data, (size_t)n) != 0)
            return;
        if (n < 0 || (n == 0 && !follow))
            break;
        if (n == 0 && api_client_stirs(r, FOLLOW_MS)) {
            r->http->keep_alive = false;
            break;
        }
        left -= follow ? 0 : (uint64_t)n;
    }
    http_reply_end(r->http);
}

int api_guest_log(struct request *r)
{
    uint64_t offset = 0, left = 0;
    bool given = false, follow = false;
    char fields[64];
    struct guest *g;
    int result;

    if (read_query(r, &offset, &given, &follow) != 0)
        return -1;
    model_lock();
    g = guest_find(r->name);
    if (g)
        guest_refresh(g);
    result = g ? check_offset(r, g, &offset, given) : api_no_guest(r);
    if (g && result == 0)
        left = g->log_base + g->view.console_end - offset;
    model_unlock();
    if (result != 0)
        return -1;
    r->http->write_deadline = tls_clock_ns() + LOG_WRITE_NS;
    snprintf(fields, sizeof(fields), "Skep-Log-Offset: %" PRIu64 "\r\n", offset);
    if (http_reply_begin(r->http, 200, "text/plain; charset=utf-8", fields) == 0 &&
        r->http->method != HTTP_HEAD)
        stream_log(r, offset, left, follow);
    return 0;
}
