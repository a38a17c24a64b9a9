/*
 * pthread.c - creation and end of threads.
 *
 * A struct skep_pthread is shared by the thread and whoever may join it. The last of the two frees
 * it: the thread when it was detached before its end, else pthread_join() or pthread_detach(). On a stack
 * of its creator's, of a context or of signals a thread tells when it is off that, unless it was the last: the other one waits
 * for it.
 */
#include <pthread.h>
#include <reent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pthread_internal.h"
#include "skep/fd.h"

/* The guest ends with its last thread. */
static _Atomic uint32_t running = 1;

/* The first thread's number is the process's. */
static _Atomic pid_t last_id = 1;

static struct skep_pthread first_thread = {
    .references = 2, .signals = &skep_posix_first_signals, .name = "main", .id = 1};

static _Thread_local struct skep_pthread *self = &first_thread;

/* Returns whether it was the last reference. */
static bool drop(struct skep_pthread *thread)
{
    return atomic_fetch_sub_explicit(&thread->references, 1, memory_order_acq_rel) == 1;
}

static void free_thread(struct skep_pthread *thread)
{
    if (thread != &first_thread)
        free(thread);
}

static void wait_until_off_stack(struct skep_pthread *thread)
{
    while (thread->stack_is_given && !atomic_load_explicit(&thread->gone, memory_order_acquire))
        skep_wait(&thread->gone, 0, SKEP_FOREVER);
}

/* What newlib has allocated for this thread. Its clean-up would close the standard streams. */
static void free_reent(void)
{
    _REENT_CLEANUP(_REENT) = NULL;
    _reclaim_reent(_REENT);
}

_Noreturn void pthread_exit(void *result)
{
    struct skep_pthread *thread = self;
    thread->cancel_disabled = true;
    while (thread->cleanups != NULL)
        _pthread_cleanup_pop(thread->cleanups, 1);
    if (skep_posix_keys_end)
        skep_posix_keys_end();
    if (skep_posix_mutexes_end)
        skep_posix_mutexes_end();
    free_reent();
    skep_posix_signals_thread_end();
    thread->value = result;
    thread->stack_is_given |= skep_errands_refuse(true); /* it is on another than its own */
    atomic_store_explicit(&thread->ended, 1, memory_order_release);
    skep_wake(&thread->ended, SKEP_WAKE_ALL);
    _Atomic uint32_t *gone = thread->stack_is_given ? &thread->gone : NULL;
    if (drop(thread)) {
        free_thread(thread);
        gone = NULL;
    }
    if (atomic_fetch_sub_explicit(&running, 1, memory_order_acq_rel) == 1)
        exit(0);
    skep_thread_exit_telling(gone);
}

static void run(void *argument)
{
    self = argument;
    skep_posix_signals_thread_start(self->signals);
    pthread_exit(self->function(self->value));
}

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*function)(void *),
                   void *argument)
{
    struct skep_pthread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return EAGAIN;
    bool detached = attributes && attributes->detachstate == PTHREAD_CREATE_DETACHED;
    thread->function = function;
    thread->value = argument;
    if (attributes != NULL)
        thread->stack = (struct skep_stack){attributes->stackaddr, attributes->stacksize};
    thread->stack_is_given = thread->stack.base != NULL;
    atomic_init(&thread->detached, detached);
    atomic_init(&thread->references, detached ? 1 : 2);
    *out = thread;
    thread->signals = &thread->own_signals;
    thread->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    atomic_init(&thread->affinity, atomic_load_explicit(&self->affinity, memory_order_relaxed));
    skep_posix_signals_thread_new(thread->signals);
    atomic_fetch_add_explicit(&running, 1, memory_order_relaxed);
    int result = skep_thread_create_on(NULL, &thread->stack, run, thread);
    if (result < 0) {
        atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
        skep_posix_signals_thread_gone(thread->signals);
        free(thread);
        return result == -EINVAL ? EINVAL : EAGAIN;
    }
    return 0;
}

/* 0, or ETIMEDOUT. */
static int wait_until_ended(struct skep_pthread *thread, uint64_t deadline_ns)
{
    uint64_t interrupts = skep_interrupts_seen();
    skep_posix_may_end();
    while (!atomic_load_explicit(&thread->ended, memory_order_acquire)) {
        int result = skep_wait_interruptibly(&thread->ended, 0, deadline_ns, &interrupts,
                                             SKEP_ALWAYS_RESTARTS);
        if (result == -ETIMEDOUT)
            return ETIMEDOUT;
        if (result == -EINTR)
            skep_posix_may_end();
    }
    return 0;
}

static int join(pthread_t thread, void **result, uint64_t deadline_ns)
{
    if (thread == self)
        return EDEADLK;
    if (atomic_load_explicit(&thread->detached, memory_order_relaxed))
        return EINVAL;
    if (wait_until_ended(thread, deadline_ns) != 0)
        return ETIMEDOUT;
    if (result != NULL)
        *result = thread->value;
    wait_until_off_stack(thread);
    if (drop(thread))
        free_thread(thread);
    return 0;
}

int pthread_join(pthread_t thread, void **result)
{
    return join(thread, result, SKEP_FOREVER);
}

__attribute__((weak)) int pthread_tryjoin_np(pthread_t thread, void **result)
{
    bool has_ended = atomic_load_explicit(&thread->ended, memory_order_acquire);
    return has_ended ? join(thread, result, SKEP_FOREVER) : EBUSY;
}

static int join_until(pthread_t thread, void **result, clockid_t clock,
                      const struct timespec *until)
{
    uint64_t deadline_ns = SKEP_FOREVER;
    if (until != NULL && !skep_posix_deadline(clock, until, &deadline_ns))
        return EINVAL;
    return join(thread, result, deadline_ns);
}

__attribute__((weak)) int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                                               const struct timespec *until)
{
    return join_until(thread, result, clock, until);
}

__attribute__((weak)) int pthread_timedjoin_np(pthread_t thread, void **result,
                                               const struct timespec *until)
{
    return join_until(thread, result, CLOCK_REALTIME, until);
}

int pthread_detach(pthread_t thread)
{
    if (atomic_exchange_explicit(&thread->detached, true, memory_order_relaxed))
        return EINVAL;
    if (drop(thread)) {
        wait_until_off_stack(thread);
        free_thread(thread);
    }
    return 0;
}

pthread_t pthread_self(void)
{
    return self;
}

int pthread_equal(pthread_t a, pthread_t b)
{
    return a == b;
}

/* The handler runs in that thread. */
int pthread_kill(pthread_t thread, int signal)
{
    if (signal == 0)
        return 0;
    if (atomic_load_explicit(&thread->ended, memory_order_acquire))
        return 0;
    if (thread != self)
        return -skep_posix_raise_in(signal, thread->signals);
    return raise(signal) == 0 ? 0 : EINVAL;
}

int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    pthread_attr_init(attributes);
    const struct skep_start_info *info = skep_start_info();
    attributes->stackaddr = thread == &first_thread ? (void *)info->stack_base : thread->stack.base;
    attributes->stacksize = thread == &first_thread ? info->stack_bytes : thread->stack.bytes;
    if (thread->stack_is_given)
        attributes->guardsize = 0;
    if (atomic_load_explicit(&thread->detached, memory_order_relaxed))
        attributes->detachstate = PTHREAD_CREATE_DETACHED;
    return 0;
}

/* Nobody counts what one thread takes. */
int pthread_getcpuclockid(pthread_t thread, clockid_t *clock)
{
    return ENOENT;
}

__attribute__((weak)) pid_t gettid(void)
{
    return self->id;
}

struct skep_pthread *skep_posix_thread_find(pid_t id)
{
    return id == 0 || id == self->id ? self : id == first_thread.id ? &first_thread : NULL;
}

void pthread_yield(void)
{
    skep_thread_yield();
}

int pthread_setname_np(pthread_t thread, const char *name)
{
    size_t length = strlen(name);
    if (length >= NAME_BYTES)
        return ERANGE;
    memcpy(thread->name, name, length + 1);
    return 0;
}

int pthread_getname_np(pthread_t thread, char *name, size_t bytes)
{
    size_t length = strlen(thread->name);
    if (length >= bytes)
        return ERANGE;
    memcpy(name, thread->name, length + 1);
    return 0;
}

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return 0; /* there is no fork() to act on it */
}

void _pthread_cleanup_push(struct _pthread_cleanup_context *context, void (*routine)(void *),
                           void *argument)
{
    context->_routine = routine;
    context->_arg = argument;
    context->_previous = self->cleanups;
    self->cleanups = context;
}

void _pthread_cleanup_pop(struct _pthread_cleanup_context *context, int execute)
{
    self->cleanups = context->_previous;
    if (execute)
        context->_routine(context->_arg);
}
