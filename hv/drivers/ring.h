/*
 * ring.h - what both ends of a split virtqueue share (Virtio 1.2, section 2.7).
 */
#ifndef DRIVERS_RING_H
#define DRIVERS_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/abi.h"

/* Whether the other end, which asked to be told when index `event` is passed, must be told after the index went
 * from `before` to `now` (section 2.7.7.2). */
static inline bool ring_event_due(uint16_t event, uint16_t now, uint16_t before)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* Where the two event words lie: behind the rings. */
static inline uint16_t *ring_used_event(struct skep_vring_avail *avail, uint32_t size)
{
    return &avail->ring[size];
}

static inline uint16_t *ring_avail_event(struct skep_vring_used *used, uint32_t size)
{
    return (uint16_t *)&used->ring[size];
}

#endif
