/* state_name.h - names of values, for state.c. */
#ifndef CONTROL_STATE_NAME_H
#define CONTROL_STATE_NAME_H

#include <stddef.h>

#include "state.h"

#define STATE_SHARDS       256u
#define STATE_FOLDER_BYTES 4 /* of its path */
#define STATE_PATH_BYTES   (STATE_FOLDER_BYTES + STATE_NAME_MAX)

/* Where the folders are. */
enum state_layout {
    STATE_FLAT, /* "HH", all in one: as Skep's first version made them */
    STATE_DEEP, /* "H/H", sixteen in each of sixteen */
};

void state_folder(enum state_layout layout, unsigned shard, char path[STATE_FOLDER_BYTES]);

/* The path of a value's file: its folder, '/', and its name with '~' for '/'. -SKEP_EINVAL: it is no name. */
int state_path(enum state_layout layout, const char *name, char path[STATE_PATH_BYTES]);

/* Names that are each ended by a NUL, and an empty one last. */
struct state_names {
    char *text;
    size_t bytes, room;
};
int state_add_name(struct state_names *names, const char *name);

#endif
