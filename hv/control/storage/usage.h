/*
 * usage.h - which chunks, or metadata blocks, of a disk are in use: counted in memory, from all maps, when the disk is
 * opened. Each has a count of references (maps that name it), and may be taken: given to somebody, but named by no map
 * yet. It is free when it is neither.
 */
#ifndef CONTROL_STORAGE_USAGE_H
#define CONTROL_STORAGE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#define USAGE_NONE UINT32_MAX
#define USAGE_REFS_MAX \
    60000u /* more than there can be volumes: only what makes no sense reaches it */

struct usage {
    uint32_t count, free_count, taken_count;
    uint32_t next;  /* where the search for a free one goes on */
    uint16_t *refs; /* 2 bytes each: 16 MiB for a disk of 1 TiB */
    uint8_t *taken; /* bits */
};

/* False: no memory. */
bool usage_init(struct usage *u, uint32_t count);
void usage_free(struct usage *u);

uint32_t usage_refs(const struct usage *u, uint32_t n);
bool usage_is_taken(const struct usage *u, uint32_t n);

/* A free one, which is taken now; USAGE_NONE if there is none. */
uint32_t usage_take(struct usage *u);
void usage_mark_taken(struct usage *u, uint32_t n);
void usage_put_back(struct usage *u, uint32_t n); /* is no longer taken */

void usage_ref(struct usage *u, uint32_t n);
void usage_unref(struct usage *u, uint32_t n);

#endif
