/*
 * websocket.h - the server side of WebSockets (RFC 6455) on connections that HTTP began. Frames are wslay's.
 *
 * One thread does it all, in turns: what the client sends is kept, in a buffer of fixed size, until the caller has
 * taken it, and nothing more is read until then; pings are answered; a silent client is asked whether it is still there.
 */
#ifndef SKEP_WEBSOCKET_H
#define SKEP_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"

#define WEBSOCKET_INPUT_MAX 4096u

/* Why a WebSocket is closed (RFC 6455, 7.4.1). */
#define WEBSOCKET_NORMAL     1000u
#define WEBSOCKET_GOING_AWAY 1001u
#define WEBSOCKET_REFUSED    1008u /* the client did what it may not do here */
#define WEBSOCKET_FAILED     1011u

#define WEBSOCKET_ACCEPT_MAX 29u /* base64 of a SHA-1, and a NUL */

struct websocket {
    struct http_conn *http;
    struct wslay_event_context *events;
    uint64_t (*clock)(void);
    uint64_t heard_ns, asked_ns; /* when the client was heard last, and asked for a sign */
    size_t budget;               /* bytes that this turn may still read */
    bool in_data;                /* a data frame has begun, not a control frame */
    size_t input_bytes;
    uint8_t input[WEBSOCKET_INPUT_MAX];
};

/* What answers the request's Sec-WebSocket-Key; false unless that is one, and the request asks for a WebSocket of
 * version 13 (4.2.1). */
bool websocket_accepts(const struct http_conn *c, char accept[WEBSOCKET_ACCEPT_MAX]);

/* Answers 101 with these further header lines, or ""; 0, or an HTTP_E_… code. `clock` tells the transport's time. */
int websocket_open(struct websocket *ws, struct http_conn *c, const char *accept,
                   const char *fields, uint64_t (*clock)(void));

/* Reads what has come, unless input waits, and writes what is queued: 1, or 0 if nothing has come, or -1 when the
 * connection is over. The caller sets http->write_deadline. */
int websocket_turn(struct websocket *ws);

/* The next `bytes` of input have been taken. */
void websocket_take(struct websocket *ws, size_t bytes);

/* Queue a message for the next turn, of bytes or of text; false without memory. */
bool websocket_send(struct websocket *ws, const void *data, size_t bytes);
bool websocket_tell(struct websocket *ws, const char *text);

/* Queues the end, with a reason of at most 123 bytes. The connection is over when the client has answered. */
void websocket_close(struct websocket *ws, unsigned code, const char *reason);

void websocket_free(struct websocket *ws);

#endif
