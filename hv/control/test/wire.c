/* wire.c - a client of the API without a network. */
#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "identity.h"
#include "skep_tls.h"
#include "test_control.h"

#define TOKEN "0123456789abcdef"

struct wire wire;

void wire_setup(void)
{
    struct config config;

    config_defaults(&config);
    strcpy(config.token, TOKEN);
    assert_true(token_get(&config, true));
    wire.on_write = NULL;
    wire.writes_left = -1;
}

static int read_wire(void *context, void *buf, size_t bytes, uint64_t deadline)
{
    size_t n = wire.in_bytes - wire.in_at < bytes ? wire.in_bytes - wire.in_at : bytes;

    (void)context;
    (void)deadline;
    memcpy(buf, wire.in + wire.in_at, n);
    wire.in_at += n;
    return n ? (int)n : HTTP_E_CLOSED;
}

static void leave(void)
{
    if (wire.peer >= 0)
        close(wire.peer);
    wire.peer = -1;
}

static int write_wire(void *context, const void *buf, size_t bytes, uint64_t deadline)
{
    (void)context;
    (void)deadline;
    if (wire.writes_left >= 0 && wire.writes_left-- == 0)
        return HTTP_E_TIMEOUT;
    assert_true(bytes < sizeof(wire.answer) - wire.answer_bytes);
    memcpy(wire.answer + wire.answer_bytes, buf, bytes);
    wire.answer_bytes += bytes;
    wire.answer[wire.answer_bytes] = '\0';
    if (!wire.on_write || !wire.on_write())
        leave();
    return (int)bytes;
}

const char *wire_get(const char *path, const char *fields)
{
    const struct http_transport transport = {NULL, read_wire, write_wire};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    wire.client.fd = pair[0];
    wire.peer = pair[1];
    wire.in_at = wire.answer_bytes = 0;
    wire.answer[0] = '\0';
    wire.in_bytes = (size_t)snprintf(
        wire.in, sizeof(wire.in),
        "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN "\r\n%s\r\n", path, fields);
    http_conn_init(&wire.client.http, &transport);
    assert_int_equal(http_read_head(&wire.client.http, UINT64_MAX, UINT64_MAX / 2, tls_clock_ns),
                     0);
    api_serve(&wire.client);
    close(pair[0]);
    leave();
    return wire.answer;
}

unsigned wire_count(const char *text, const char *word)
{
    unsigned n = 0;

    while ((text = strstr(text, word)) != NULL) {
        text += strlen(word);
        n++;
    }
    return n;
}
