/* websocket.c - WebSockets by wslay, on a connection of http.c's. */
#include "websocket.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <wslay/wslay.h>

#include "api.h"
#include "interrupt.h"

#define TURN_BYTES      65536u /* that one turn reads, so that a flood doesn't keep from anything else */
#define MESSAGE_MAX     (1u << 20)
#define ASK_SECONDS     25 /* of silence, until the far end is asked for a sign */
#define SILENCE_SECONDS 60 /* until it is given up */
#define KEY_BYTES       16u
#define BASE64_MAX      32u /* of a key or a SHA-1 */

static time_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

/*
 * The handshake
 */

static void make_key(char key[BASE64_MAX])
{
    uint8_t bytes[KEY_BYTES];
    size_t length;

    if (getentropy(bytes, sizeof(bytes)) != 0)
        exit(fail(EXIT_LOCAL, "there is no randomness"));
    mbedtls_base64_encode((uint8_t *)key, BASE64_MAX, &length, bytes, sizeof(bytes));
}

/* What answers a key (RFC 6455, 4.2.2). */
static void make_accept(const char *key, char accept[BASE64_MAX])
{
    char *text = text_format("%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    uint8_t digest[20];
    size_t length;

    mbedtls_sha1((const uint8_t *)text, strlen(text), digest);
    mbedtls_base64_encode((uint8_t *)accept, BASE64_MAX, &length, digest, sizeof(digest));
    free(text);
}

static int ask(const char *path)
{
    char key[BASE64_MAX], expected[BASE64_MAX], accept[BASE64_MAX] = "";
    struct answer a = {.json = NULL};
    char *fields;
    int result;

    make_key(key);
    make_accept(key, expected);
    fields = text_format(
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", key);
    result = http_upgrade(path, fields, "Sec-WebSocket-Accept", accept, sizeof(accept), &a.http);
    if (result == EXIT_OK && a.http.status != 101) {
        a.json = cJSON_Parse(a.http.body);
        result = api_check(&a);
    }
    if (result == EXIT_OK && strcmp(accept, expected) != 0)
        result = fail(EXIT_SERVER, "the answer is no WebSocket's: is this a Skep?");
    free(fields);
    answer_end(&a);
    return result;
}

/*
 * What wslay calls
 */

/* What one of http.h's functions says, as wslay wants to hear it. */
static ssize_t told(struct websocket *ws, ssize_t n)
{
    if (n > 0)
        return n;
    ws->over = n == 0;
    wslay_event_set_error(ws->events, ws->over ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t receive(wslay_event_context_ptr events, uint8_t *data, size_t bytes, int flags,
                       void *user)
{
    struct websocket *ws = user;
    ssize_t n;

    bytes = bytes < ws->budget ? bytes : ws->budget;
    n = bytes ? http_read(data, bytes) : HTTP_NOT_NOW;
    if (n > 0) {
        ws->budget -= (size_t)n;
        ws->heard = now();
    }
    return told(ws, n);
}

static ssize_t transmit(wslay_event_context_ptr events, const uint8_t *data, size_t bytes,
                        int flags, void *user)
{
    return told(user, http_write(data, bytes));
}

static int make_mask(wslay_event_context_ptr events, uint8_t *mask, size_t bytes, void *user)
{
    return getentropy(mask, bytes);
}

static void take_message(wslay_event_context_ptr events,
                         const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct websocket *ws = user;

    if (message->opcode == WSLAY_CONNECTION_CLOSE) {
        ws->closed_with = message->status_code ? message->status_code : 1005; /* 7.4.1: none */
        if (message->msg_length > 2)
            snprintf(ws->reason, sizeof(ws->reason), "%.*s", (int)message->msg_length - 2,
                     (const char *)message->msg + 2);
    } else if (!wslay_is_ctrl_frame(message->opcode)) {
        ws->take(ws->arg, message->opcode == WSLAY_TEXT_FRAME, message->msg, message->msg_length);
    }
}

/*
 * What the owner calls
 */

int websocket_begin(struct websocket *ws, const char *path)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = receive,
        .send_callback = transmit,
        .genmask_callback = make_mask,
        .on_msg_recv_callback = take_message,
    };

    if (wslay_event_context_client_init(&ws->events, &callbacks, ws) != 0)
        exit(fail(EXIT_LOCAL, "there is no memory for the connection"));
    wslay_event_config_set_max_recv_msg_length(ws->events, MESSAGE_MAX);
    ws->heard = now();
    return ask(path);
}

void websocket_end(struct websocket *ws)
{
    wslay_event_context_free(ws->events);
}

void websocket_send(struct websocket *ws, const void *data, size_t bytes)
{
    const struct wslay_event_msg message = {WSLAY_BINARY_FRAME, data, bytes};
    wslay_event_queue_msg(ws->events, &message);
}

bool websocket_has_sent(const struct websocket *ws)
{
    return !wslay_event_want_write(ws->events);
}

void websocket_close(struct websocket *ws)
{
    wslay_event_queue_close(ws->events, WEBSOCKET_NORMAL, NULL, 0);
    wslay_event_send(ws->events);
}

/* False when the far end doesn't answer. */
static bool is_there(struct websocket *ws)
{
    static const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    time_t silent = now() - ws->heard;

    if (silent >= ASK_SECONDS && ws->asked <= ws->heard) {
        ws->asked = now();
        wslay_event_queue_msg(ws->events, &ping);
    }
    return silent < SILENCE_SECONDS;
}

bool websocket_turn(struct websocket *ws, int input, bool *readable)
{
    bool more = ws->budget == 0; /* there may be what libcurl has taken from the socket already */
    struct pollfd p[] = {{.fd = http_socket(), .events = POLLIN}, {.fd = input, .events = POLLIN}};

    if (!websocket_has_sent(ws))
        p[0].events |= POLLOUT;
    if (!interrupt_poll(p, 2, more ? 0 : 1000) || !is_there(ws))
        return false;
    *readable = p[1].revents != 0;
    ws->budget = TURN_BYTES;
    return wslay_event_recv(ws->events) == 0 && wslay_event_send(ws->events) == 0 && !ws->over &&
           !(wslay_event_get_close_sent(ws->events) && !wslay_event_get_read_enabled(ws->events));
}
