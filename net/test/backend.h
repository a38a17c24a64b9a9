/*
 * backend.h - the device's side of virtqueues, played by a test.
 */
#ifndef TEST_BACKEND_H
#define TEST_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/abi.h"

struct backend_queue {
    struct skep_queue_setup setup;
    uint16_t seen; /* available index up to which chains were taken */
    unsigned kicks, events;
};

extern struct backend_queue backend_queues[SKEP_QUEUE_COUNT];

/* What the next skep_hc_queue_setup() answers; 0 at first. */
extern int64_t backend_setup_result;

/* What a driver has said of groups: MACs, their first bytes lowest, of which 32 fit; backend_groups_full: no more do;
 * backend_group_full: one that is refused. */
#define BACKEND_GROUPS_MAX 32u
extern uint64_t backend_groups[BACKEND_GROUPS_MAX]; /* 0 = none */
extern bool backend_groups_full;
extern uint64_t backend_group_full;
bool backend_has_group(uint64_t mac);

/* Called for an event, after it was counted. */
extern void (*backend_on_event)(unsigned queue);

/* The next available chain's head, or -1. Asks for a kick when there is none. */
int backend_next(unsigned queue);

/* Copies a chain's readable bytes out, or data into its writable ones. Returns the bytes. */
size_t backend_gather(unsigned queue, int head, void *out, size_t limit);
size_t backend_scatter(unsigned queue, int head, const void *data, size_t bytes);

/* How long the first of a queue's descriptors is. */
size_t backend_buffer_bytes(unsigned queue);

/* Gives chains back, all to be seen at once, and sends the event if the driver asked for it. */
void backend_use_all(unsigned queue, const struct skep_vring_used_elem *chains, unsigned count);

/* The same of one. */
void backend_use(unsigned queue, int head, uint32_t bytes);

void backend_reset(void);

#endif
