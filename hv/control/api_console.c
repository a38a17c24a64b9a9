/*
 * api_console.c - the handler for guests' consoles: a WebSocket, whose binary messages are bytes as they are.
 *
 * Any number may look on, and one may write. A client that is overtaken by the guest's output is told by a text message
 * how much it has lost; one that takes nothing any more is dropped, as is a writer whose guest doesn't read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "guest.h"
#include "guest_log.h"
#include "hex.h"
#include "skep_tls.h"
#include "websocket.h"

#define MS           1000000ull
#define LIVELY_MS    5            /* between looks while somebody types */
#define QUIET_MS     50           /* else */
#define LIVELY_NS    (1000 * MS)  /* after the latest input */
#define WRITE_NS     (10000 * MS) /* for a client to take output */
#define STUCK_NS     (30000 * MS) /* that input may wait for the guest */
#define GOODBYE_NS   (2000 * MS)
#define OUTPUT_BYTES 2048u

#define PROTOCOL       "skep.console"
#define TOKEN_PROTOCOL "skep.token."

struct console {
    const char *name;     /* of the guest */
    struct console *next; /* among those that write, under the model's lock */
    struct websocket ws;
    uint64_t offset;
    uint64_t input_ns;   /* when the guest took some the last time, or there was none */
    uint64_t goodbye_ns; /* until when the client may answer the close; 0 = not closed */
    bool writes;
};

static struct console *writers;

static struct console **find_writer(const char *name)
{
    struct console **link = &writers;

    while (*link && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static int writer_enter(struct console *console, struct problem *p)
{
    struct console **link;
    bool entered;

    model_lock();
    link = find_writer(console->name);
    if (!*link)
        *link = console;
    entered = *link == console;
    model_unlock();
    return entered ? 0
                   : problem_set(p, 409,
                                 "Somebody else writes to this console: look on without "
                                 "input=true, or try again when they have left.");
}

static void writer_leave(const struct console *console)
{
    struct console **link;

    model_lock();
    link = find_writer(console->name);
    *link = console->next;
    model_unlock();
}

static void say_goodbye(struct console *console, unsigned code, const char *reason)
{
    if (console->goodbye_ns)
        return;
    websocket_close(&console->ws, code, reason);
    console->goodbye_ns = tls_clock_ns() + GOODBYE_NS;
}

static bool tell_lost(struct console *console, uint64_t lost)
{
    char text[48];

    snprintf(text, sizeof(text), "{\"lost_bytes\":%" PRIu64 "}", lost);
    return websocket_tell(&console->ws, text);
}

/* Whether the guest printed something. */
static bool put_output(struct console *console)
{
    char data[OUTPUT_BYTES];
    uint64_t lost = 0;
    int n = guest_log_read(console->name, &console->offset, data, sizeof(data), &lost);

    if (n == GUEST_LOG_OVER) {
        say_goodbye(console, WEBSOCKET_NORMAL, "the guest has ended");
    } else if ((lost && !tell_lost(console, lost)) ||
               (n > 0 && !websocket_send(&console->ws, data, (size_t)n))) {
        say_goodbye(console, WEBSOCKET_FAILED, "no memory");
    }
    return n > 0;
}

static int64_t write_to_guest(const struct console *console)
{
    const struct guest *g;
    int64_t n = 0;

    model_lock();
    g = guest_find(console->name);
    if (g && g->handle)
        n = core_console_write(g->handle, console->ws.input, console->ws.input_bytes);
    model_unlock();
    return n;
}

/* Whether the guest took something. */
static bool get_input(struct console *console)
{
    uint64_t now = tls_clock_ns();
    int64_t n;

    if (!console->ws.input_bytes) {
        console->input_ns = now;
        return false;
    }
    if (!console->writes) {
        say_goodbye(console, WEBSOCKET_REFUSED, "this console is for reading: ask for input=true");
        return false;
    }
    n = write_to_guest(console);
    if (n > 0) {
        websocket_take(&console->ws, (size_t)n);
        console->input_ns = now;
    } else if (now - console->input_ns > STUCK_NS) {
        say_goodbye(console, WEBSOCKET_REFUSED, "the guest doesn't read its input");
    }
    return n > 0;
}

/* Until the client stirs, the guest may have printed, or may take the input that waits. */
static void pause_for(struct request *r, const struct console *console, int ms)
{
    const struct timespec pause = {.tv_nsec = LIVELY_MS * MS};

    if (console->ws.input_bytes)
        nanosleep(&pause, NULL);
    else
        api_client_stirs(r, ms);
}

static void serve(struct request *r, struct console *console)
{
    uint64_t lively_until = 0;

    for (;;) {
        bool printed = !console->goodbye_ns && put_output(console);
        bool took = !console->goodbye_ns && get_input(console);
        uint64_t now = tls_clock_ns();
        int heard;

        if (console->goodbye_ns)
            websocket_take(&console->ws, console->ws.input_bytes);
        r->http->write_deadline = now + WRITE_NS;
        heard = websocket_turn(&console->ws);
        if (heard < 0 && !console->goodbye_ns)
            (void)get_input(console); /* what came right before the client's close */
        if (heard < 0 || (console->goodbye_ns && now > console->goodbye_ns))
            return;
        lively_until = took || heard ? now + LIVELY_NS : lively_until;
        if (!printed && !took && !heard)
            pause_for(r, console, now < lively_until ? LIVELY_MS : QUIET_MS);
        if (!api_still_allowed(r))
            say_goodbye(console, WEBSOCKET_REFUSED, "the token has ended");
    }
}

static int refuse(struct request *r)
{
    snprintf(r->problem.fields, sizeof(r->problem.fields),
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    return problem_set(&r->problem, 426, "A console is a WebSocket (RFC 6455) of version 13.");
}

/* The next of the protocols that the client offers (RFC 6455, 4.1), its bytes in *bytes; NULL = no more. */
static const char *next_protocol(const char *at, size_t *bytes)
{
    at += strspn(at, ", \t");
    *bytes = strcspn(at, ", \t");
    return *at ? at : NULL;
}

static bool read_token(const char *at, size_t bytes, char token[API_TOKEN_MAX])
{
    char digits[2 * API_TOKEN_MAX];

    if (bytes >= sizeof(digits) - 1)
        return false;
    memcpy(digits, at, bytes);
    digits[bytes] = '\0';
    token[bytes / 2] = '\0';
    return hex_parse(digits, token, bytes / 2);
}

bool api_protocol_token(const struct http_conn *c, char token[API_TOKEN_MAX])
{
    const char *at = c->upgrade ? http_field(c, "sec-websocket-protocol") : NULL;
    size_t bytes, start = strlen(TOKEN_PROTOCOL);

    for (; at && (at = next_protocol(at, &bytes)) != NULL; at += bytes)
        if (bytes > start && memcmp(at, TOKEN_PROTOCOL, start) == 0 &&
            read_token(at + start, bytes - start, token))
            return true;
    return false;
}

static bool offers_protocol(const struct http_conn *c)
{
    const char *at = http_field(c, "sec-websocket-protocol");
    size_t bytes;

    for (; at && (at = next_protocol(at, &bytes)) != NULL; at += bytes)
        if (bytes == strlen(PROTOCOL) && memcmp(at, PROTOCOL, bytes) == 0)
            return true;
    return false;
}

static void run(struct request *r, struct console *console, const char *accept)
{
    char fields[128];

    snprintf(fields, sizeof(fields), "Skep-Log-Offset: %" PRIu64 "\r\n%s", console->offset,
             offers_protocol(r->http) ? "Sec-WebSocket-Protocol: " PROTOCOL "\r\n" : "");
    r->http->write_deadline = tls_clock_ns() + WRITE_NS;
    if (websocket_open(&console->ws, r->http, accept, fields, tls_clock_ns) == 0)
        serve(r, console);
    websocket_free(&console->ws);
    r->http->keep_alive = false;
}

int api_guest_console(struct request *r)
{
    struct console console = {.name = r->name, .offset = GUEST_LOG_OLDEST};
    char accept[WEBSOCKET_ACCEPT_MAX];
    uint64_t end;
    int status;

    if (api_query_number(r, "offset", 0, GUEST_LOG_OLDEST - 1, &console.offset) != 0 ||
        api_query_bool(r, "input", &console.writes) != 0 ||
        (console.writes && api_check_role(r, ACCESS_OPERATOR) != 0) ||
        guest_log_begin(r->name, &console.offset, &end, &r->problem) != 0)
        return -1;
    if (!websocket_accepts(r->http, accept))
        return refuse(r);
    if (api_stream_begin(r) != 0)
        return -1;
    status = console.writes ? writer_enter(&console, &r->problem) : 0;
    if (status == 0)
        run(r, &console, accept);
    if (status == 0 && console.writes)
        writer_leave(&console);
    api_stream_end(r);
    return status;
}
