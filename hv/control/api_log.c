/* api_log.c - the handler for guests' logs. */
#include <inttypes.h>
#include <stdio.h>

#include "api.h"
#include "guest_log.h"
#include "skep_tls.h"

#define MS           1000000ull
#define FOLLOW_MS    100 /* between looks at a followed console */
#define LOG_WRITE_NS (30000 * MS)

/* At most `left` bytes, so that the answer ends however much the guest prints meanwhile; when following, until the
 * guest's end or the client's. With the token's end it is broken off, and doesn't look whole. */
static void stream_log(struct request *r, uint64_t offset, uint64_t left, bool follow)
{
    uint64_t lost = 0; /* plain text can't tell */
    char data[2048];

    while (follow || left > 0) {
        size_t room = follow || left > sizeof(data) ? sizeof(data) : (size_t)left;
        int n;
        if (!api_still_allowed(r))
            return;
        n = guest_log_read(r->name, &offset, data, room, &lost);
        r->http->write_deadline = tls_clock_ns() + LOG_WRITE_NS;
        if (n > 0 && http_reply_chunk(r->http, data, (size_t)n) != 0)
            return;
        if (n < 0 || (n == 0 && !follow))
            break;
        if (n == 0 && http_reply_flush(r->http) != 0)
            return;
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
    uint64_t offset = GUEST_LOG_OLDEST, end = 0;
    bool follow = false;
    char fields[64];

    if (api_query_number(r, "offset", 0, GUEST_LOG_OLDEST - 1, &offset) != 0 ||
        api_query_bool(r, "follow", &follow) != 0 ||
        guest_log_begin(r->name, &offset, &end, &r->problem) != 0 ||
        (follow && api_stream_begin(r) != 0))
        return -1;
    r->http->write_deadline = tls_clock_ns() + LOG_WRITE_NS;
    snprintf(fields, sizeof(fields), "Skep-Log-Offset: %" PRIu64 "\r\n", offset);
    if (http_reply_begin(r->http, 200, "text/plain; charset=utf-8", fields) == 0 &&
        (!follow || http_reply_flush(r->http) == 0) && r->http->method != HTTP_HEAD)
        stream_log(r, offset, end - offset, follow);
    if (follow)
        api_stream_end(r);
    return 0;
}
