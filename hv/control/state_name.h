/* state_name.h - names of values, for state.c. */
#ifndef CONTROL_STATE_NAME_H
#define CONTROL_STATE_NAME_H

#include <stddef.h>

#include "state.h"

#define STATE_SHARDS     256u
#define STATE_PATH_BYTES (STATE_NAME_MAX + 4)

/* The path of a value's file: "HH/NAME", with '~' for '/'. -SKEP_EINVAL: it is no name. */
int state_path(const char *name, char path[STATE_PATH_BYTES]);

/* Names that are each ended by a NUL, and an empty one last. */
struct state_names {
    char *text;
    size_t bytes, room;
};
int state_add_name(struct state_names *names, const char *name);

#endif
