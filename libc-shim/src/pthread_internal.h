/*
 * pthread_internal.h - a thread, as the files about threads see it.
 */
#ifndef LIBC_SHIM_PTHREAD_INTERNAL_H
#define LIBC_SHIM_PTHREAD_INTERNAL_H

#include <pthread.h>

#include "shim.h"

#define NAME_BYTES 16

struct skep_pthread {
    _Atomic uint32_t ended; /* joiners wait on it */
    _Atomic uint32_t references;
    _Atomic bool detached;
    void *(*function)(void *);
    void *value;                        /* the argument, then the result */
    struct skep_stack stack;            /* not of the first thread */
    bool stack_is_given;                /* its creator's memory */
    _Atomic uint32_t gone;              /* it is off that; who joins or detaches it waits on this */
    struct skep_posix_signals *signals; /* the next, but of the first thread */
    struct skep_posix_signals own_signals;
    struct _pthread_cleanup_context *cleanups;
    _Atomic bool is_to_end;
    bool cancel_disabled; /* the thread's own, as the next one is */
    int cancel_type;
    char name[NAME_BYTES];
    pid_t id;                  /* gettid()'s */
    _Atomic uint64_t affinity; /* a bit for each CPU that was chosen; 0: none was */
};

/* pthread.c: the thread of gettid()'s result, 0: the calling one; NULL: it is neither that nor the first. */
struct skep_pthread *skep_posix_thread_find(pid_t id);

#endif
