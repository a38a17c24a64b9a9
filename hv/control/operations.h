/*
 * operations.h - work that takes longer than a call should: full copies of volumes. Each is a resource that tells how far it
 * is, and how it ended; the latest ones are kept, in memory.
 *
 * An operation has a thread of its own, and there are OPERATIONS_RUNNING_MAX of them at most. None outlives the service:
 * what one has left is deleted at the next start (storage_copy.h).
 *
 * The lock of operations is taken after the storage's, and nothing is waited for under it.
 */
#ifndef CONTROL_OPERATIONS_H
#define CONTROL_OPERATIONS_H

#include "audit.h"
#include "storage_copy.h"

#define OPERATIONS_KEPT        32u
#define OPERATIONS_RUNNING_MAX 2u
#define OPERATION_ID_MAX       17u

enum operation_state { OPERATION_RUNNING, OPERATION_DONE, OPERATION_FAILED, OPERATION_CANCELLED };

struct operation {
    char id[OPERATION_ID_MAX]; /* random, "" = unused */
    uint64_t number;           /* in the order of their beginnings */
    enum operation_state state;
    bool cancel; /* it is to end */
    char caller[AUDIT_CALLER_MAX];
    char volume[FORMAT_VOLUME_NAME], source[FORMAT_VOLUME_NAME];
    uint64_t total_bytes, done_bytes;
    uint64_t began_ns, ended_ns; /* UNIX time */
    struct problem error;        /* of a failed one */
};

/* With the storage's lock held: 202 and the operation, or -1 and the problem. */
int operations_copy(const struct storage_wish *wish, struct operation *begun, struct problem *p);

/* The one of this id, as it is now; false if there is none. */
bool operations_find(const char *id, struct operation *found);

/* The latest one with a smaller number; false: there are no more. */
bool operations_before(uint64_t number, struct operation *found);

/* Asks it to end; false if it has. */
bool operations_cancel(const char *id);

/* Waits until it has ended, or for so long. */
void operations_wait(const char *id, unsigned ms);

/* Cancels all, waits for their ends and forgets them; for tests. */
void operations_forget(void);

#endif
