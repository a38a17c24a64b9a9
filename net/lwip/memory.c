/*
 * memory.c - lwIP's memory: free lists by size, above malloc().
 *
 * The stack takes and gives a dozen small blocks for each packet and connection, most of few sizes. A
 * freed block is kept for the next one of its size, until KEPT_BYTES_MAX are kept in all.
 */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "skep/spinlock.h"

#define STEP_BYTES     64u
#define SIZES          26u /* up to a full packet with its headers */
#define KEPT_BYTES_MAX (64u * 1024u)

struct block {
    size_t steps;       /* its size, this word included, in STEP_BYTES */
    struct block *next; /* while it is kept; else the user's memory begins here */
};
#define HEADER_BYTES offsetof(struct block, next)

static struct skep_spinlock lock; /* guards what follows */
static struct block *kept[SIZES + 1];
static size_t kept_steps;

static struct block *kept_take(size_t steps)
{
    bool were_masked = skep_spin_lock(&lock);
    struct block *block = kept[steps];
    if (block != NULL) {
        kept[steps] = block->next;
        kept_steps -= steps;
    }
    skep_spin_unlock(&lock, were_masked);
    return block;
}

static bool kept_put(struct block *block)
{
    bool were_masked = skep_spin_lock(&lock);
    bool room = kept_steps + block->steps <= KEPT_BYTES_MAX / STEP_BYTES;
    if (room) {
        block->next = kept[block->steps];
        kept[block->steps] = block;
        kept_steps += block->steps;
    }
    skep_spin_unlock(&lock, were_masked);
    return room;
}

void *network_malloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t steps = (HEADER_BYTES + bytes + STEP_BYTES - 1) / STEP_BYTES;
    struct block *block = steps <= SIZES ? kept_take(steps) : NULL;
    if (block == NULL) {
        block = malloc(steps * STEP_BYTES);
        if (block == NULL)
            return NULL;
        block->steps = steps;
    }
    return &block->next;
}

void *network_calloc(size_t count, size_t bytes_each)
{
    size_t bytes;
    void *memory = __builtin_mul_overflow(count, bytes_each, &bytes) ? NULL : network_malloc(bytes);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

void network_free(void *memory)
{
    struct block *block = (struct block *)((char *)memory - HEADER_BYTES);
    if (block->steps > SIZES || !kept_put(block))
        free(block);
}
