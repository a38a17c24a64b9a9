/*
 * locks.h - a lock of the kind that newlib has, for what copies from or to the program's memory while it is locked: a
 * siglongjmp() out of a fault's handler unlocks it. Zero-initialised; taken and released by newlib's own functions.
 */
#ifndef LIBC_SHIM_LOCKS_H
#define LIBC_SHIM_LOCKS_H

#include <stdbool.h>
#include <sys/lock.h>

#include "skep/thread.h"

struct __lock {
    struct skep_mutex mutex;
    struct skep_thread *_Atomic owner;
    unsigned depth;       /* guarded by mutex */
    unsigned kept;        /* of the depth: by flockfile() */
    unsigned long number; /* a later one is a higher one of the same thread's */
    bool is_stream;       /* newlib makes recursive ones for nothing else */
    struct __lock *older; /* that the same thread has */
};

#endif
