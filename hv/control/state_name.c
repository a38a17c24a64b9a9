/* state_name.c - names of values: where they are, and lists of them. */
#include "state_name.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/abi.h"

void state_folder(enum state_layout layout, unsigned shard, char path[STATE_FOLDER_BYTES])
{
    snprintf(path, STATE_FOLDER_BYTES, layout == STATE_DEEP ? "%x/%x" : "%x%x", shard / 16 % 16,
             shard % 16);
}

int state_path(enum state_layout layout, const char *name, char path[STATE_PATH_BYTES])
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    size_t bytes = strlen(name);
    char *file;

    if (bytes == 0 || bytes >= STATE_NAME_MAX)
        return -SKEP_EINVAL;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    state_folder(layout, (hash ^ hash >> 16) % STATE_SHARDS, path);
    file = path + strlen(path);
    *file++ = '/';
    for (size_t i = 0; i <= bytes; i++)
        file[i] = (char)(name[i] == '/' ? '~' : name[i]);
    return 0;
}

int state_add_name(struct state_names *names, const char *name)
{
    size_t bytes = strlen(name) + 1;

    if (names->bytes + bytes + 1 > names->room) {
        size_t room = 2 * names->room + 1024;
        char *text = realloc(names->text, room);
        if (!text)
            return -SKEP_ENOMEM;
        names->text = text;
        names->room = room;
    }
    memcpy(names->text + names->bytes, name, bytes);
    names->bytes += bytes;
    names->text[names->bytes] = '\0';
    return 0;
}
