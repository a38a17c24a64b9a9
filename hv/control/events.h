/*
 * events.h - what changes, told to those who follow: a ring of the latest events, in memory.
 *
 * Whoever changes something adds the event when the change is made, under the lock that guards it; so a list that is made
 * after events_last() has all changes up to that event. Adding takes one short lock, allocates nothing and waits for
 * nobody: readers copy events out one at a time, and one that is overtaken by the ring is told so.
 *
 * An event's id is the service's epoch, random at each start, and a number that counts from 1; so ids of different starts
 * can't be taken for each other. Any thread may call any function.
 */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "audit.h"
#include "skep/control.h"

#define EVENTS_KEPT      1024u
#define EVENT_CHANGE_MAX 160u
#define EVENT_ID_MAX     40u

/* Named as the collections of the API are. */
enum event_kind {
    EVENT_GUESTS,
    EVENT_IMAGES,
    EVENT_VOLUMES,
    EVENT_DISKS,
    EVENT_APPS,
    EVENT_TOKENS,
    EVENT_CLIENT_CERTIFICATES,
    EVENT_HOST,
    EVENT_KINDS
};

struct event {
    uint64_t number;
    uint64_t wall_ns; /* 0 = unknown */
    enum event_kind kind;
    const char *type; /* a literal */
    char name[SKEP_NAME_MAX];
    char caller[AUDIT_CALLER_MAX]; /* "" = no call did it */
    char change[EVENT_CHANGE_MAX]; /* a JSON object */
};

const char *event_kind_name(enum event_kind kind);

/* From now on there are events; what is added before, while the service starts, is not kept. */
void events_start(void);
void events_stop(void); /* and forgets them; for tests of restarts */

/* `name` is the object's, NULL for the host itself; `caller` whose call did it, NULL = nobody's; the rest makes the members
 * of a JSON object, whose strings need no escapes. */
__attribute__((format(printf, 5, 6))) void events_add(enum event_kind kind, const char *type,
                                                      const char *name, const char *caller,
                                                      const char *format, ...);

/* The number of the latest, 0 = none yet. */
uint64_t events_last(void);

void events_id_text(uint64_t number, char text[EVENT_ID_MAX]);

/* The number of an id of this start; false for any other text. */
bool events_id_read(const char *text, uint64_t *number);

/* Copies the one behind number `after`: 1, or 0 = there is none yet, or -1 = it isn't kept any more. */
int events_read(uint64_t after, struct event *event);

/* Waits until there is one behind `after`, or for so long. */
void events_wait(uint64_t after, unsigned ms);

/* As clients see it; whose call did it is told to who sees all. */
cJSON *event_to_json(const struct event *event, bool with_caller);

#endif
