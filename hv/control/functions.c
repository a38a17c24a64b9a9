/* functions.c - reads function names, of which each says only how it differs from the one before. */
#include "functions.h"

#include <stdbool.h>
#include <string.h>

void functions_begin(struct functions *f, const uint8_t *contents, uint64_t bytes)
{
    *f = (struct functions){.at = contents, .end = contents + bytes};
}

/* LEB128: seven bits a byte, the lowest first; the highest bit says that more follow. */
static bool take_number(struct functions *f, uint32_t *number)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 35 && f->at < f->end; shift += 7) {
        uint8_t byte = *f->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *number = (uint32_t)value;
            return value <= UINT32_MAX;
        }
    }
    return false;
}

/* The former name's first `shared` characters, and what follows up to a 0. */
static bool take_name(struct functions *f, uint32_t shared)
{
    const uint8_t *end = memchr(f->at, 0, (size_t)(f->end - f->at));

    if (!end || shared > strlen(f->name) || (size_t)(end - f->at) >= FUNCTION_NAME_MAX - shared)
        return false;
    memcpy(f->name + shared, f->at, (size_t)(end - f->at) + 1);
    f->at = end + 1;
    return true;
}

enum functions_found functions_next(struct functions *f)
{
    uint32_t distance, shared;

    if (f->at == f->end)
        return FUNCTIONS_NONE;
    if (!take_number(f, &distance) || !take_number(f, &f->bytes) || !take_number(f, &shared) ||
        distance > UINT32_MAX - f->offset || !take_name(f, shared))
        return FUNCTIONS_DAMAGED;
    f->offset += distance;
    return FUNCTIONS_ONE;
}
