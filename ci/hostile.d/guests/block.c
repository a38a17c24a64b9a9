/*
 * block.c - see block.h.
 */
#include "block.h"

struct skep_block_header headers[SKEP_QUEUE_SIZE_MAX];
struct skep_block_range ranges[SKEP_QUEUE_SIZE_MAX];
uint8_t statuses[SKEP_QUEUE_SIZE_MAX];

void request_set(struct ring *ring, uint16_t n, uint32_t type, uint64_t sector, const void *at,
                 uint32_t bytes)
{
    uint16_t first = 3 * n, flags = SKEP_VRING_DESC_NEXT | (type == IN ? SKEP_VRING_DESC_WRITE : 0);
    headers[n] = (struct skep_block_header){.type = type, .sector = sector};
    statuses[n] = UNANSWERED;
    ring_set(ring, first, (uint64_t)&headers[n], sizeof(headers[n]), SKEP_VRING_DESC_NEXT,
             bytes ? first + 1 : first + 2);
    ring_set(ring, first + 1, (uint64_t)at, bytes, flags, first + 2);
    ring_set(ring, first + 2, (uint64_t)&statuses[n], 1, SKEP_VRING_DESC_WRITE, 0);
}

void range_set(struct ring *ring, uint16_t n, uint32_t type, struct skep_block_range range)
{
    ranges[n] = range;
    request_set(ring, n, type, 0, &ranges[n], sizeof(ranges[n]));
}
