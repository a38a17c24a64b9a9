/*
 * peers.h - guests whose queues and pages a harness writes as the input says, between ring 0's looks at them: what
 * fuzz_block.c and fuzz_queue.c share. Where a lock has been given back another CPU may act.
 */
#ifndef FUZZ_PEERS_H
#define FUZZ_PEERS_H

#include "core/guest.h"
#include "harness.h"

#define PEERS_MAX  3u
#define PEER_PAGES 12u

/* Where the rings are in a queue's page, behind the descriptors. */
#define AVAIL_AT 0x400u
#define USED_AT  0x800u

struct operation {
    uint8_t code, peer, queue, flags;
    uint16_t at, length;
    uint32_t value;
};
_Static_assert(sizeof(struct operation) == 12, "seeds are made of these");

struct peer {
    uint64_t handle, base;
    uint8_t *page[PEER_PAGES]; /* on its stack */
};

struct run {
    struct input input;
    struct peer peers[PEERS_MAX];
    uint32_t releases, depth;
    uint64_t way;
};
extern struct run run;

/* ---- the harness' own ---- */

void operate(const struct operation *op);

/* ---- guests ---- */

/* Creates and starts it. Of the spec it needs memory and devices only. */
struct guest *peer_create(struct peer *peer, struct skep_guest_spec *spec);

/* The guest while it lives, or NULL. Looks without letting another CPU act, which could end the guest before the caller
 * has used it. */
struct guest *peer_guest(const struct peer *peer);

/* Sets a queue up whose rings are in that page. */
void peer_queue_start(const struct peer *peer, struct guest *guest, uint32_t queue, uint32_t page,
                      uint32_t size, uint32_t flags);

struct skep_vring_avail *peer_avail(const struct peer *peer, uint32_t page);

/* Makes a chain available, without a kick. */
void peer_offer(const struct peer *peer, uint32_t page, uint32_t size, uint32_t head);

void peer_kick(const struct peer *peer, uint32_t queue);

/* Any bytes anywhere in the guest's pages. */
void peer_poke(const struct peer *peer, const struct operation *op);

/* ---- operations ---- */

/* Begins a run with this input. */
void run_begin(const uint8_t *data, size_t bytes);

/* All operations of the input. */
void run_operations(void);

/* A CPU takes its interrupts, or, where another one is amid something, works. */
void run_work(uint32_t cpu);

/* The next operation happens within the one behind it, when a lock is given back. */
void run_between(const struct operation *op);

#endif
