/*
 * console.c - a guest's console, both ways: what it prints goes to standard output, and standard input to it.
 *
 * On a terminal each key goes to the guest at once, but for those that leave it. Guests echo only what they wish to.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "commands.h"
#include "interrupt.h"
#include "terminal.h"
#include "websocket.h"

#define KEYS_MAX        8
#define INPUT_MAX       1024
#define GOODBYE_SECONDS 2 /* for the last input to go, and the close to be answered */

struct console {
    struct websocket ws;
    int input;                                    /* the descriptor that is read, or -1 */
    bool raw, left;                               /* each key counts; they said that it is enough */
    int output_error;                             /* errno; 0 = none */
    unsigned char keys[KEYS_MAX], held[KEYS_MAX]; /* what leaves it, and what of that has come */
    size_t key_count, held_count;
};

/*
 * Detach keys
 */

/* "a" or "ctrl-a": a key's byte, or -1. */
static int read_key(const char *text, size_t bytes)
{
    char last = bytes ? text[bytes - 1] : '\0';

    if (bytes == 1 && last > ' ')
        return (unsigned char)last;
    if (bytes != 6 || strncmp(text, "ctrl-", 5) != 0)
        return -1;
    if (last >= 'a' && last <= 'z')
        return last - 'a' + 1;
    return last >= '@' && last <= '_' && !(last >= 'A' && last <= 'Z') ? last - '@' : -1;
}

static int read_keys(struct console *c, const char *text)
{
    const char *at = text;

    for (;; at++) {
        size_t bytes = strcspn(at, ",");
        int key = read_key(at, bytes);
        if (key < 0 || c->key_count == KEYS_MAX)
            return fail(EXIT_USAGE,
                        "--detach-keys '%s': say up to %d keys with commas in between, each a "
                        "character or ctrl- and one of a-z, @, [, \\, ], ^ and _",
                        text, KEYS_MAX);
        c->keys[c->key_count++] = (unsigned char)key;
        at += bytes;
        if (!*at)
            return EXIT_OK;
    }
}

/* Holds back what may become the detach keys, and moves what won't to `out`. How many bytes these are. */
static size_t filter(struct console *c, const unsigned char *data, size_t bytes, unsigned char *out)
{
    size_t count = 0;

    for (size_t i = 0; i < bytes && !c->left; i++) {
        c->held[c->held_count++] = data[i];
        while (memcmp(c->held, c->keys, c->held_count) != 0) {
            out[count++] = c->held[0];
            memmove(c->held, c->held + 1, --c->held_count);
        }
        c->left = c->held_count == c->key_count;
    }
    return count;
}

/*
 * Both ways
 */

static void tell_lost(const char *text)
{
    cJSON *json = cJSON_Parse(text);

    note("the guest printed faster than this went: %.0f bytes are lost",
         value_number(json, "lost_bytes"));
    cJSON_Delete(json);
}

static void put_output(void *arg, bool text, const void *data, size_t bytes)
{
    struct console *c = arg;

    if (c->left || c->output_error)
        return;
    if (text) {
        char *copy = text_format("%.*s", (int)bytes, (const char *)data);
        tell_lost(copy);
        free(copy);
    } else if (fwrite(data, 1, bytes, stdout) != bytes || fflush(stdout) != 0) {
        c->output_error = errno;
    }
}

static void send_input(struct console *c)
{
    unsigned char data[INPUT_MAX], rest[INPUT_MAX + KEYS_MAX];
    ssize_t bytes = read(c->input, data, sizeof(data));

    if (bytes < 0 && errno == EINTR)
        return;
    if (bytes <= 0) {
        c->input = -1; /* its end: what the guest prints is still shown */
        c->left = c->raw;
    } else if (!c->raw) {
        websocket_send(&c->ws, data, (size_t)bytes);
    } else {
        size_t count = filter(c, data, (size_t)bytes, rest);
        if (count)
            websocket_send(&c->ws, rest, count);
    }
}

/* Whether it was the caller who ended it, and not the guest or the connection. Input waits until the last has gone. */
static bool serve(struct console *c)
{
    bool readable;

    while (!c->left && !c->output_error) {
        bool sent = websocket_has_sent(&c->ws);
        if (!websocket_turn(&c->ws, sent ? c->input : -1, &readable))
            return interrupt_came();
        if (readable)
            send_input(c);
    }
    return true;
}

/* wslay would send the close before the input that waits. */
static void say_goodbye(struct console *c)
{
    time_t end = time(NULL) + GOODBYE_SECONDS;
    bool readable, closed = false;

    while (time(NULL) <= end) {
        if (!closed && websocket_has_sent(&c->ws)) {
            websocket_close(&c->ws);
            closed = true;
        }
        if (!websocket_turn(&c->ws, -1, &readable))
            break;
    }
}

static int explain(const struct console *c, const char *name, bool ended_here)
{
    if (c->output_error == EPIPE) { /* as if it hadn't been kept away */
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    if (c->output_error)
        return fail(EXIT_LOCAL, "standard output: %s", strerror(c->output_error));
    if (ended_here && c->raw)
        note("left the console of %s", name);
    if (ended_here)
        return EXIT_OK;
    if (c->ws.closed_with == WEBSOCKET_NORMAL) {
        note("%s", c->ws.reason);
        return EXIT_OK;
    }
    if (c->ws.closed_with)
        return fail(c->ws.closed_with == WEBSOCKET_REFUSED ? EXIT_REFUSED : EXIT_SERVER, "%s",
                    *c->ws.reason ? c->ws.reason : "Skep ended the console without a reason");
    return fail(EXIT_CONNECTION, "the connection to the console of %s is lost", name);
}

/* The input, unless it is to be left alone, and what it is like. */
static void open_input(struct console *c, const struct call *call, const char *keys)
{
    if (call_value(call, "no-stdin"))
        return;
    c->input = STDIN_FILENO;
    c->raw = !call_value(call, "line") && terminal_raw();
    if (c->raw)
        note("at the console of %s; %s leaves it", call->operands[0], keys);
}

static int attach(struct console *c, const struct call *call, const char *path, const char *keys)
{
    bool ended_here = false;
    int result = websocket_begin(&c->ws, path);

    if (result == EXIT_OK) {
        open_input(c, call, keys);
        ended_here = serve(c);
        if (ended_here)
            say_goodbye(c);
        terminal_restore();
    }
    websocket_end(&c->ws);
    return result == EXIT_OK ? explain(c, call->operands[0], ended_here) : result;
}

int guest_console(const struct call *call)
{
    const char *given = call_value(call, "detach-keys"), *keys = given ? given : "ctrl-p,ctrl-q";
    struct console c = {.ws = {.take = put_output, .arg = &c}, .input = -1};
    unsigned long offset = 0;
    int result = call_number(call, "offset", 0, ULONG_MAX - 1, &offset);
    char *path;

    if (result == EXIT_OK)
        result = read_keys(&c, keys);
    if (result != EXIT_OK)
        return result;
    path = api_path("guests", call->operands[0], "/console");
    path = text_extend(path, "?input=%s", call_value(call, "no-stdin") ? "false" : "true");
    if (call_value(call, "offset"))
        path = text_extend(path, "&offset=%lu", offset);
    interrupt_catch();
    signal(SIGPIPE, SIG_IGN);
    result = attach(&c, call, path, keys);
    free(path);
    return result;
}
