/*
 * fuzz_http.c - requests on one connection: heads, bodies, pipelining, replies.
 *
 * The bytes come in pieces whose lengths go by the first byte.
 */
#include <string.h>

#include "harness.h"
#include "http.h"

#define REQUESTS_MAX 16u

struct peer {
    struct input input;
    uint8_t piece; /* at most so many bytes at once, 0 = as many as are asked for */
    uint64_t written;
};

static int peer_read(void *context, void *buf, size_t bytes, uint64_t deadline)
{
    struct peer *peer = context;
    (void)deadline;
    if (!input_left(&peer->input)) {
        return HTTP_E_CLOSED;
    }
    size_t left = (size_t)(peer->input.end - peer->input.at);
    size_t part = peer->piece && peer->piece < bytes ? peer->piece : bytes;
    part = part < left ? part : left;
    input_take(&peer->input, buf, part);
    return (int)part;
}

static int peer_write(void *context, const void *buf, size_t bytes, uint64_t deadline)
{
    struct peer *peer = context;
    (void)buf;
    (void)deadline;
    FUZZ_CHECK(bytes > 0); /* an empty record of TLS may be taken for the end */
    peer->written += bytes;
    return (int)bytes;
}

static uint64_t no_clock(void)
{
    return 0;
}

static void fields_check(const struct http_conn *conn)
{
    const char *end = conn->text + sizeof(conn->text);
    FUZZ_CHECK(conn->field_count <= HTTP_FIELDS_MAX);
    for (unsigned i = 0; i < conn->field_count; i++) {
        const struct http_field *field = &conn->fields[i];
        FUZZ_CHECK(field->name >= conn->text && field->name < end);
        FUZZ_CHECK(field->value >= conn->text && field->value < end);
        FUZZ_CHECK(memchr(field->value, 0, (size_t)(end - field->value)));
    }
    http_field(conn, "content-type");
}

static uint64_t query_run(struct http_conn *conn)
{
    char value[32];
    int found = http_query_value(conn->query, "follow", value, sizeof(value));
    FUZZ_CHECK(found != 1 || strlen(value) < sizeof(value));
    char path[HTTP_URL_MAX + 1];
    size_t before = strlen(conn->path);
    memcpy(path, conn->path, before + 1);
    bool good = http_unescape(path);
    FUZZ_CHECK(!good || strlen(path) <= before);
    return way_add((uint64_t)found + 2, good);
}

/* One request and its reply; whether the connection can go on. */
static bool request_run(struct http_conn *conn, uint64_t *way)
{
    uint8_t body[64];
    int error = http_read_head(conn, 0, 0, no_clock);
    *way = way_add(*way, (uint64_t)(int64_t)error);
    if (error) {
        http_error_status(error);
        return false;
    }
    fields_check(conn);
    *way = way_add(*way, query_run(conn));
    int count = http_read_body(conn, body, sizeof(body), 0);
    FUZZ_CHECK(count <= (int)sizeof(body));
    *way = way_add(*way, (uint64_t)(int64_t)count);
    if (conn->field_count & 1) {
        http_reply(conn, 200, "text/plain", NULL, "ok", 2);
    } else {
        http_reply_begin(conn, 200, "text/plain", NULL);
        http_reply_chunk(conn, "ok", 2);
        http_reply_end(conn);
    }
    return count >= 0 && http_drop_body(conn, 1024, 0) && conn->keep_alive;
}

void fuzz_start(void)
{
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    static struct http_conn conn;
    struct peer peer = {.input = {data, data + bytes}};
    const struct http_transport transport = {&peer, peer_read, peer_write};
    uint64_t way = 0;
    peer.piece = input_byte(&peer.input);
    http_conn_init(&conn, &transport);
    for (uint32_t i = 0; i < REQUESTS_MAX && request_run(&conn, &way); i++) {
    }
    return way_add(way, peer.written);
}
