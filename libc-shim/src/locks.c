/*
 * locks.c - newlib's own locks ("retargetable locking"), and streams' within the guest. All are recursive; that costs a
 * comparison.
 */
#include <stdlib.h>
#include <sys/lock.h>

#include "locks.h"
#include "shim.h"

_Thread_local unsigned skep_posix_streams_locked, skep_posix_locks_held;
_Thread_local bool skep_posix_ends_later;

static _Thread_local struct __lock *newest;     /* that the thread has */
static _Thread_local unsigned long last_number; /* of its locks */
static _Thread_local unsigned kept_count;       /* of them that flockfile() has */

/* newlib's static locks, under its names. */
struct __lock __lock___sfp_recursive_mutex;
struct __lock __lock___atexit_recursive_mutex;
struct __lock __lock___at_quick_exit_mutex;
struct __lock __lock___malloc_recursive_mutex;
struct __lock __lock___env_recursive_mutex;
struct __lock __lock___tz_mutex;
struct __lock __lock___dd_hash_mutex;
struct __lock __lock___arc4random_mutex;

void __retarget_lock_init(_LOCK_T *lock)
{
    *lock = calloc(1, sizeof(**lock));
    if (*lock == NULL)
        skep_abort("no memory for a lock of the C library");
}

void __retarget_lock_init_recursive(_LOCK_T *lock)
{
    __retarget_lock_init(lock);
    (*lock)->is_stream = true;
}

void __retarget_lock_close(_LOCK_T lock)
{
    free(lock);
}

/* Only the owner itself can find itself there. */
static bool is_mine(_LOCK_T lock)
{
    return atomic_load_explicit(&lock->owner, memory_order_relaxed) == skep_thread_self();
}

static void set_owner(_LOCK_T lock, struct skep_thread *owner)
{
    atomic_store_explicit(&lock->owner, owner, memory_order_relaxed);
}

static unsigned *held_of_kind(_LOCK_T lock)
{
    return lock->is_stream ? &skep_posix_streams_locked : &skep_posix_locks_held;
}

static void took(_LOCK_T lock)
{
    set_owner(lock, skep_thread_self());
    lock->number = ++last_number;
    lock->older = newest;
    newest = lock;
    ++*held_of_kind(lock);
}

/* Mostly the newest, but flockfile() has no order, and another thread may be who unlocks. */
static void leave_list(_LOCK_T lock)
{
    struct __lock **at = &newest;
    while (*at != NULL && *at != lock)
        at = &(*at)->older;
    if (*at != NULL)
        *at = lock->older;
}

static void give(_LOCK_T lock)
{
    set_owner(lock, NULL);
    leave_list(lock);
    --*held_of_kind(lock);
    skep_mutex_unlock(&lock->mutex);
}

/* fclose() has it. */
void __retarget_lock_close_recursive(_LOCK_T lock)
{
    if (is_mine(lock)) {
        kept_count -= lock->kept != 0;
        give(lock);
    }
    free(lock);
}

/* What is due since a wait ended because the thread is to. */
static void may_end_now(void)
{
    skep_posix_ends_later = false;
    skep_posix_may_end();
}

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
    if (!is_mine(lock)) {
        skep_mutex_lock(&lock->mutex);
        took(lock);
    }
    lock->depth++;
}

int __retarget_lock_try_acquire_recursive(_LOCK_T lock)
{
    if (!is_mine(lock)) {
        if (!skep_mutex_try(&lock->mutex))
            return 0;
        took(lock);
    }
    lock->depth++;
    return 1;
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
    if (--lock->depth != 0)
        return;
    give(lock);
    if (skep_posix_ends_later && skep_posix_streams_locked + skep_posix_locks_held == 0)
        may_end_now();
}

void skep_posix_lock_keep(_LOCK_T lock)
{
    __retarget_lock_acquire_recursive(lock);
    kept_count += lock->kept++ == 0;
}

bool skep_posix_lock_try_to_keep(_LOCK_T lock)
{
    if (!__retarget_lock_try_acquire_recursive(lock))
        return false;
    kept_count += lock->kept++ == 0;
    return true;
}

void skep_posix_lock_let_go(_LOCK_T lock)
{
    kept_count -= --lock->kept == 0;
    __retarget_lock_release_recursive(lock);
}

struct skep_posix_locks skep_posix_locks_now(void)
{
    return (struct skep_posix_locks){last_number, kept_count};
}

/* What was taken since is released. Of a stream that flockfile() has, whenever that took it, what functions that have been
 * left had taken beside. */
void skep_posix_locks_abandon(unsigned long before)
{
    for (struct __lock *lock = newest, *older; lock != NULL; lock = older) {
        older = lock->older;
        if (lock->number > before || lock->kept != 0)
            lock->depth = lock->kept;
        if (lock->depth == 0)
            give(lock);
    }
    skep_posix_ends_later = false;
}

void __retarget_lock_acquire(_LOCK_T lock)
{
    __retarget_lock_acquire_recursive(lock);
}

int __retarget_lock_try_acquire(_LOCK_T lock)
{
    return __retarget_lock_try_acquire_recursive(lock);
}

void __retarget_lock_release(_LOCK_T lock)
{
    __retarget_lock_release_recursive(lock);
}
