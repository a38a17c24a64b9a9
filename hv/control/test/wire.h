/* wire.h - a client of the API without a network: its request is a text, and so is the whole answer. */
#ifndef CONTROL_WIRE_H
#define CONTROL_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "api.h"

#define WIRE_ANSWER_MAX 262144u

extern struct wire {
    /* Called at each write to the client; when it says false, or there is none, the client leaves. */
    bool (*on_write)(void);
    int writes_left; /* after which writing fails, -1 = never */

    struct api_client client;
    char in[1024], answer[WIRE_ANSWER_MAX];
    size_t in_bytes, in_at, answer_bytes;
    int peer;
} wire;

/* Its token is the service's from now on. */
void wire_setup(void);

/* Has the API serve a GET with these header lines; the answer, head and all, as it was written. */
const char *wire_get(const char *path, const char *fields);

/* How often a word is in a text. */
unsigned wire_count(const char *text, const char *word);

#endif
