/*
 * sleepers.h - who sleeps until when: a pairing heap. Adding costs a comparison, removing a logarithm of
 * the sleepers on average; nothing is allocated. The caller has a lock.
 */
#ifndef GUESTLIB_SLEEPERS_H
#define GUESTLIB_SLEEPERS_H

#include <stddef.h>
#include <stdint.h>

struct skep_sleeper {
    uint64_t deadline_ns;
    struct skep_sleeper *child, *next; /* the first child; the next of the same parent */
    struct skep_sleeper *prev; /* the one before of the same parent; of the first, the parent */
};

/* All zeroes: nobody sleeps. */
struct skep_sleepers {
    struct skep_sleeper *first; /* the earliest */
};

void skep_sleepers_add(struct skep_sleepers *sleepers, struct skep_sleeper *sleeper);

/* sleeper is in there. */
void skep_sleepers_remove(struct skep_sleepers *sleepers, struct skep_sleeper *sleeper);

#endif
