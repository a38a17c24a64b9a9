/*
 * script.h - bytes with lengths among them, made from the input so that a length goes on being right when what it counts
 * changes.
 *
 * The input is operations, a byte each:
 *
 *   0nnnnnnn   n bytes follow, which are taken as they are
 *   1000..kk   begins what has its length before it, in k bytes, the highest first
 *   1001....   ends the latest such
 *
 * All others are the harness's own.
 */
#ifndef FUZZ_SCRIPT_H
#define FUZZ_SCRIPT_H

#include "harness.h"

#define SCRIPT_MAX        (64u << 10)
#define SCRIPT_FIELDS_MAX 16u

struct script {
    uint8_t bytes[SCRIPT_MAX];
    size_t count;
    struct {
        size_t at;
        unsigned bytes;
    } open[SCRIPT_FIELDS_MAX];
    unsigned open_count;
};

void script_begin(struct script *s);
void script_end(struct script *s);

/* Takes operations until one of the harness's own, which is returned, or the end of the input, which is 0. */
uint8_t script_take(struct script *s, struct input *input);

/* What doesn't fit is left out. */
void script_put(struct script *s, const void *bytes, size_t count);
void script_put_number(struct script *s, uint32_t number, unsigned bytes);

#endif
