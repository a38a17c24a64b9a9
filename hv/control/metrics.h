/*
 * metrics.h - what GET /metrics tells, by what it is about.
 *
 * A family has all its samples together, so what is told of guests and volumes is taken first, one look at each, and then
 * written family by family.
 */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "exposition.h"

/* A number within a structure; what a family is made of is its name and where its number is. */
static inline uint64_t metrics_value(const void *structure, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)structure + offset, sizeof(value));
    return value;
}

/* What was seen of all guests, or volumes. */
struct metrics_guests;
struct metrics_volumes;

/* NULL = no memory. A guest that comes meanwhile may be left out. */
struct metrics_guests *metrics_take_guests(void);
struct metrics_volumes *metrics_take_volumes(void);
void metrics_free_guests(struct metrics_guests *guests);
void metrics_free_volumes(struct metrics_volumes *volumes);

void metrics_write_guests(struct exposition *x, const struct metrics_guests *guests);
void metrics_write_stats(struct exposition *x); /* what guests say of themselves */
void metrics_write_volumes(struct exposition *x, const struct metrics_volumes *volumes);
void metrics_write_disks(struct exposition *x);
void metrics_write_host(struct exposition *x);
void metrics_write_service(struct exposition *x);

#endif
