/*
 * websocket.h - the client's side of a WebSocket (RFC 6455). Frames are wslay's, the connection is http.h's.
 *
 * One thread does it all, in turns. It answers pings, and asks a silent far end whether it is still there.
 */
#ifndef CLI_WEBSOCKET_H
#define CLI_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define WEBSOCKET_NORMAL     1000u
#define WEBSOCKET_REFUSED    1008u
#define WEBSOCKET_REASON_MAX 124u /* with its NUL */

struct websocket {
    struct wslay_event_context *events;
    void (*take)(void *arg, bool text, const void *data, size_t bytes); /* a message */
    void *arg;
    size_t budget;        /* bytes that this turn may still read */
    time_t heard, asked;  /* in seconds of the monotonic clock */
    bool over;            /* the connection is */
    unsigned closed_with; /* the far end's code; 0 = it hasn't closed */
    char reason[WEBSOCKET_REASON_MAX];
};

/* Asks for it at this path: an exit code. It has to be ended in any case. */
int websocket_begin(struct websocket *ws, const char *path);
void websocket_end(struct websocket *ws);

/* Queues a message of bytes. */
void websocket_send(struct websocket *ws, const void *data, size_t bytes);
bool websocket_has_sent(const struct websocket *ws); /* nothing is queued */

/* Sends the end; the far end's code is there when it has answered. */
void websocket_close(struct websocket *ws);

/* Waits until the connection is ready, or input is (a descriptor, or -1), a second at most, and reads and writes what it
 * can. False when it is over, or the interrupt came. */
bool websocket_turn(struct websocket *ws, int input, bool *readable);

#endif
