/*
 * memory.c - lwIP's memory: free lists by size, above malloc().
 *
 * The stack takes and gives a dozen small blocks for each packet and connection, most of few sizes. A
 * freed block is kept for the next one of its size, until KEPT_BYTES_MAX are kept in all. While data is sent, the last
 * longer blocks, of segments that an interface cuts, are kept beside those.
 */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "skep/spinlock.h"

#define STEP_BYTES     64u
#define SIZES          26u /* up to a full packet with its headers */
#define KEPT_BYTES_MAX (64u * 1024u)
#define LONG_KEPT      2u
#define LONG_STEPS_MAX 1024u /* up to 64 KiB */

struct block {
    size_t steps;       /* its size, this word included, in STEP_BYTES */
    struct block *next; /* while it is kept; else the user's memory begins here */
};
#define HEADER_BYTES offsetof(struct block, next)

static struct skep_spinlock lock; /* guards what follows */
static struct block *kept[SIZES + 1];
static size_t kept_steps;
static struct block *kept_long[LONG_KEPT]; /* NULL: room for one */

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

/* One that is long enough, and not twice as long. */
static struct block *long_take(size_t steps)
{
    struct block *block = NULL;
    bool were_masked = skep_spin_lock(&lock);
    for (size_t i = 0; block == NULL && i < LONG_KEPT; i++) {
        struct block *one = kept_long[i];
        if (one != NULL && one->steps >= steps && one->steps < 2 * steps) {
            block = one;
            kept_long[i] = NULL;
        }
    }
    skep_spin_unlock(&lock, were_masked);
    return block;
}

/* Keeps the longest. Which block is not kept, NULL = there was room. */
static struct block *long_put(struct block *block)
{
    bool were_masked = skep_spin_lock(&lock);
    for (size_t i = 0; block != NULL && i < LONG_KEPT; i++) {
        struct block *other = kept_long[i];
        if (other == NULL || other->steps < block->steps) {
            kept_long[i] = block;
            block = other;
        }
    }
    skep_spin_unlock(&lock, were_masked);
    return block;
}

void network_memory_trim(void)
{
    for (size_t i = 0; i < LONG_KEPT; i++) {
        bool were_masked = skep_spin_lock(&lock);
        struct block *block = kept_long[i];
        kept_long[i] = NULL;
        skep_spin_unlock(&lock, were_masked);
        free(block);
    }
}

static struct block *block_make(size_t steps)
{
    struct block *block = malloc(steps * STEP_BYTES);
    if (block == NULL) {
        network_memory_trim();
        block = malloc(steps * STEP_BYTES);
    }
    if (block != NULL)
        block->steps = steps;
    return block;
}

void *network_malloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t steps = (HEADER_BYTES + bytes + STEP_BYTES - 1) / STEP_BYTES;
    struct block *block = steps <= SIZES ? kept_take(steps) : long_take(steps);
    if (block == NULL)
        block = block_make(steps);
    return block != NULL ? &block->next : NULL;
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
    if (block->steps <= SIZES && kept_put(block))
        return;
    if (block->steps > SIZES && block->steps <= LONG_STEPS_MAX)
        block = long_put(block);
    free(block);
}
