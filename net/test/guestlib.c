/*
 * guestlib.c - the part of guestlib that the network uses, on Linux threads.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../lwip/network.h"
#include "guestlib.h"
#include "skep/guest.h"
#include "skep/thread.h"

#define NS_PER_S 1000000000ull

struct skep_start_info host_start_info;

const struct skep_start_info *skep_start_info(void)
{
    return &host_start_info;
}

_Atomic uint64_t *skep_stat(const char *name)
{
    static _Atomic uint64_t sockets;
    (void)name;
    return &sockets;
}

static _Atomic uint64_t ahead_ns;        /* of the host's clock */
static _Atomic uint64_t stopped_ns;      /* 0 = the clock goes */
static _Atomic uint64_t sleeps_until_ns; /* the network's thread; 0 = it runs */
static _Thread_local bool is_network_thread;

static uint64_t host_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t skep_clock_ns(void)
{
    uint64_t stopped = stopped_ns;
    return stopped != 0 ? stopped : host_ns() + ahead_ns;
}

void host_clock_stop(void)
{
    stopped_ns = skep_clock_ns();
    network_wake(); /* what is due now is done */
}

void host_clock_go(void)
{
    if (stopped_ns == 0)
        return;
    ahead_ns = stopped_ns - host_ns();
    stopped_ns = 0;
    network_wake(); /* it sleeps for ever */
}

uint64_t host_clock_due(void)
{
    uint64_t until;
    while ((until = sleeps_until_ns) <= stopped_ns) /* it is about to look */
        sched_yield();
    return until;
}

void host_clock_advance(void)
{
    uint64_t due = host_clock_due();
    if (due == SKEP_FOREVER)
        return;
    stopped_ns = due;
    network_wake();
    host_clock_due();
}

/* While the clock is stopped, no time ends it. */
static int word_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    uint64_t host = deadline_ns - ahead_ns;
    struct timespec at = {(time_t)(host / NS_PER_S), (long)(host % NS_PER_S)};
    bool for_ever = deadline_ns == SKEP_FOREVER || stopped_ns != 0;
    long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                          for_ever ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
    return result == 0 ? 0 : errno == ETIMEDOUT ? -SKEP_ETIMEDOUT : -SKEP_EAGAIN;
}

int skep_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    if (!is_network_thread)
        return word_wait(word, expected, deadline_ns);
    sleeps_until_ns = deadline_ns;
    int result = word_wait(word, expected, deadline_ns);
    sleeps_until_ns = 0;
    return result;
}

/* Nothing interrupts calls here. */
int network_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    return skep_wait(word, expected, deadline_ns);
}

int network_wait_restarting(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    return skep_wait(word, expected, deadline_ns);
}

unsigned skep_wake(_Atomic uint32_t *word, unsigned count)
{
    int most = count == SKEP_WAKE_ALL ? INT32_MAX : (int)count;
    return (unsigned)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

/* Nobody here can be given one: the network's thread does all. */
void skep_errand_set(void (*function)(void))
{
    (void)function;
}

bool skep_errand_give(void)
{
    return false;
}

void skep_wakes_defer(void)
{
}

void skep_wakes_tell(void)
{
}

bool skep_spin_lock(struct skep_spinlock *lock)
{
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0)
        sched_yield();
    return false;
}

void skep_spin_unlock(struct skep_spinlock *lock, bool were_masked)
{
    (void)were_masked;
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

void skep_mutex_lock(struct skep_mutex *mutex)
{
    while (atomic_exchange_explicit(&mutex->state, 2, memory_order_acquire) != 0)
        word_wait(&mutex->state, 2, SKEP_FOREVER);
}

bool skep_mutex_try(struct skep_mutex *mutex)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong(&mutex->state, &free, 2);
}

void skep_mutex_unlock(struct skep_mutex *mutex)
{
    atomic_store_explicit(&mutex->state, 0, memory_order_release);
    skep_wake(&mutex->state, 1);
}

void skep_thread_yield(void)
{
    sched_yield();
}

struct start {
    void (*function)(void *);
    void *argument;
};

static void *thread_main(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    is_network_thread = true; /* there is no other */
    start.function(start.argument);
    return NULL;
}

int skep_thread_create(struct skep_thread **out, size_t stack_bytes, void (*function)(void *),
                       void *argument)
{
    (void)stack_bytes;
    pthread_t thread;
    struct start *start = malloc(sizeof(*start));
    *start = (struct start){function, argument};
    if (pthread_create(&thread, NULL, thread_main, start) != 0)
        return -SKEP_ENOMEM;
    pthread_detach(thread);
    *out = (struct skep_thread *)thread;
    return 0;
}

void skep_random(void *data, size_t bytes)
{
    if (getrandom(data, bytes, 0) != (ssize_t)bytes)
        abort();
}

int64_t skep_mem_map(size_t bytes, unsigned prot)
{
    (void)prot;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -SKEP_ENOMEM : (int64_t)(intptr_t)memory;
}

int skep_mem_unmap(void *address, size_t bytes)
{
    return munmap(address, bytes);
}

static void (*handlers[SKEP_EVENT_COUNT])(unsigned event, void *argument);

int skep_event_handler(unsigned event, void (*function)(unsigned event, void *argument),
                       void *argument)
{
    (void)argument;
    handlers[event] = function;
    return 0;
}

void host_event(unsigned event)
{
    if (handlers[event] != NULL)
        handlers[event](event, NULL);
}

_Noreturn void skep_abort(const char *message)
{
    fprintf(stderr, "%s\n", message);
    abort();
}
