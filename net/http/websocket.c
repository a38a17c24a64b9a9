/* websocket.c - WebSockets by wslay. */
#include "websocket.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <wslay/wslay.h>

#define SECOND       1000000000ull
#define ASK_NS       (25 * SECOND) /* of silence, until the client is asked for a sign */
#define SILENCE_NS   (60 * SECOND) /* until it is given up */
#define TURN_BYTES   8192u         /* that one turn reads: what pings cost is bounded, too */
#define MESSAGE_MAX  65536u
#define FIELDS_MAX   512
#define KEY_BYTES    16u
#define KEY_CHARS    24u
#define DIGEST_BYTES 20u
#define VERSION      "13"

/*
 * The handshake
 */

static bool is_key(const char *text)
{
    uint8_t key[KEY_BYTES + 1];
    size_t bytes = 0;

    return text && strlen(text) == KEY_CHARS &&
           mbedtls_base64_decode(key, sizeof(key), &bytes, (const uint8_t *)text, KEY_CHARS) == 0 &&
           bytes == KEY_BYTES;
}

bool websocket_accepts(const struct http_conn *c, char accept[WEBSOCKET_ACCEPT_MAX])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    const char *protocol = http_field(c, "upgrade"), *key = http_field(c, "sec-websocket-key");
    const char *version = http_field(c, "sec-websocket-version");
    char text[KEY_CHARS + sizeof(guid)];
    uint8_t digest[DIGEST_BYTES];
    size_t bytes;

    if (c->method != HTTP_GET || !c->upgrade || !protocol ||
        strcasecmp(protocol, "websocket") != 0 || !version || strcmp(version, VERSION) != 0 ||
        !is_key(key))
        return false;
    snprintf(text, sizeof(text), "%s%s", key, guid);
    return mbedtls_sha1((const uint8_t *)text, strlen(text), digest) == 0 &&
           mbedtls_base64_encode((uint8_t *)accept, WEBSOCKET_ACCEPT_MAX, &bytes, digest,
                                 sizeof(digest)) == 0;
}

/*
 * What wslay calls
 */

static ssize_t receive(wslay_event_context_ptr events, uint8_t *data, size_t bytes, int flags,
                       void *user)
{
    struct websocket *ws = user;
    int n;

    (void)flags;
    bytes = bytes < ws->budget ? bytes : ws->budget;
    n = ws->input_bytes || bytes == 0 ? HTTP_E_TIMEOUT
                                      : http_raw_read(ws->http, data, bytes, ws->clock());
    if (n > 0) {
        ws->heard_ns = ws->clock();
        ws->budget -= (size_t)n;
        return n;
    }
    wslay_event_set_error(events,
                          n == HTTP_E_TIMEOUT ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t transmit(wslay_event_context_ptr events, const uint8_t *data, size_t bytes,
                        int flags, void *user)
{
    struct websocket *ws = user;

    (void)flags;
    if (http_raw_write(ws->http, data, bytes) == 0)
        return (ssize_t)bytes;
    wslay_event_set_error(events, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void begin_frame(wslay_event_context_ptr events,
                        const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
    struct websocket *ws = user;

    (void)events;
    ws->in_data = !wslay_is_ctrl_frame(frame->opcode);
}

/* Parts of what one read has brought, which fit, since nothing is read while there is input. */
static void keep_input(wslay_event_context_ptr events,
                       const struct wslay_event_on_frame_recv_chunk_arg *part, void *user)
{
    struct websocket *ws = user;

    (void)events;
    if (!ws->in_data || part->data_length > sizeof(ws->input) - ws->input_bytes)
        return;
    memcpy(ws->input + ws->input_bytes, part->data, part->data_length);
    ws->input_bytes += part->data_length;
}

/*
 * What the owner calls
 */

int websocket_open(struct websocket *ws, struct http_conn *c, const char *accept,
                   const char *fields, uint64_t (*clock)(void))
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = receive,
        .send_callback = transmit,
        .on_frame_recv_start_callback = begin_frame,
        .on_frame_recv_chunk_callback = keep_input,
    };
    char lines[FIELDS_MAX];
    int n = snprintf(lines, sizeof(lines),
                     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s",
                     accept, fields);

    memset(ws, 0, sizeof(*ws));
    ws->http = c;
    ws->clock = clock;
    ws->heard_ns = clock();
    if (n >= FIELDS_MAX || wslay_event_context_server_init(&ws->events, &callbacks, ws) != 0)
        return HTTP_E_TRANSPORT;
    wslay_event_config_set_no_buffering(ws->events, 1);
    wslay_event_config_set_max_recv_msg_length(ws->events, MESSAGE_MAX);
    return http_upgrade(c, lines);
}

/* Whoever hasn't been heard for long is asked; false when there was no answer either. */
static bool is_there(struct websocket *ws)
{
    static const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    uint64_t now = ws->clock();

    if (now - ws->heard_ns < ASK_NS || ws->input_bytes)
        return true;
    if (ws->asked_ns < ws->heard_ns) {
        ws->asked_ns = now;
        wslay_event_queue_msg(ws->events, &ping);
    }
    return now - ws->heard_ns < SILENCE_NS;
}

int websocket_turn(struct websocket *ws)
{
    ws->budget = TURN_BYTES;
    if (!is_there(ws) || wslay_event_recv(ws->events) != 0 || wslay_event_send(ws->events) != 0 ||
        (wslay_event_get_close_sent(ws->events) && !wslay_event_get_read_enabled(ws->events)))
        return -1;
    return ws->budget < TURN_BYTES;
}

void websocket_take(struct websocket *ws, size_t bytes)
{
    ws->input_bytes -= bytes;
    memmove(ws->input, ws->input + bytes, ws->input_bytes);
}

static bool queue(struct websocket *ws, uint8_t opcode, const void *data, size_t bytes)
{
    struct wslay_event_msg message = {.opcode = opcode, .msg = data, .msg_length = bytes};

    return wslay_event_queue_msg(ws->events, &message) == 0;
}

bool websocket_send(struct websocket *ws, const void *data, size_t bytes)
{
    return queue(ws, WSLAY_BINARY_FRAME, data, bytes);
}

bool websocket_tell(struct websocket *ws, const char *text)
{
    return queue(ws, WSLAY_TEXT_FRAME, text, strlen(text));
}

void websocket_close(struct websocket *ws, unsigned code, const char *reason)
{
    wslay_event_queue_close(ws->events, (uint16_t)code, (const uint8_t *)reason, strlen(reason));
}

void websocket_free(struct websocket *ws)
{
    wslay_event_context_free(ws->events);
}
