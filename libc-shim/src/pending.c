/*
 * pending.c - signals that are pending (see pending.h): one queue for all receivers, in the order in which they were sent.
 */
#include "pending.h"

#include <limits.h>
#include <stdlib.h>

#include "shim.h"
#include "timers.h"

struct entry {
    siginfo_t info;
    _Atomic uint64_t *receiver;
    struct entry *next;
};

static struct {
    struct skep_mutex lock; /* guards the rest, and the receivers' sets but for looks at them */
    struct entry *entries;  /* SIGQUEUE_MAX, on the heap: few programs have any pending */
    unsigned used;          /* of the entries: they have been in the queue */
    struct entry *free;     /* and are no more */
    struct entry *first;    /* in the queue */
    struct entry **last;    /* where the next one goes, NULL = there was none */
} pending;

/* NULL: all are in use, or there is no memory. */
static struct entry *take_entry(void)
{
    if (pending.entries == NULL)
        pending.entries = calloc(SIGQUEUE_MAX, sizeof(*pending.entries));
    if (pending.entries == NULL)
        return NULL;
    struct entry *entry = pending.free;
    if (entry != NULL)
        pending.free = entry->next;
    else if (pending.used < SIGQUEUE_MAX)
        entry = &pending.entries[pending.used++];
    return entry;
}

/* Takes the entry out that *at points to. */
static void remove_at(struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    if (entry->next == NULL)
        pending.last = at;
    entry->next = pending.free;
    pending.free = entry;
}

/* Where the first entry from *at on is that is of a signal for a receiver. */
static struct entry **find(struct entry **at, const _Atomic uint64_t *receiver, int signal)
{
    while (*at != NULL && ((*at)->receiver != receiver || (*at)->info.si_signo != signal))
        at = &(*at)->next;
    return at;
}

static uint64_t bit(int signal)
{
    return 1ull << signal;
}

/* Whether the signal has to be put into the queue: a timer has at most one there. */
static bool is_to_queue(_Atomic uint64_t *receiver, const siginfo_t *info)
{
    struct skep_timer *timer = info->__timer;
    bool is_known = info->si_signo < SIGRTMIN &&
                    (atomic_load_explicit(receiver, memory_order_relaxed) & bit(info->si_signo));
    if (timer == NULL)
        return !is_known;
    timer->missed += (uint32_t)info->si_overrun + (timer->is_pending || is_known);
    return !timer->is_pending && !is_known;
}

static int add(_Atomic uint64_t *receiver, const siginfo_t *info)
{
    if (!is_to_queue(receiver, info))
        return 0;
    struct entry *entry = take_entry();
    if (entry == NULL && info->si_code == SI_QUEUE)
        return -EAGAIN;
    if (entry != NULL) {
        *entry = (struct entry){*info, receiver, NULL};
        *(pending.last != NULL ? pending.last : &pending.first) = entry;
        pending.last = &entry->next;
        if (info->__timer != NULL)
            ((struct skep_timer *)info->__timer)->is_pending = true;
    }
    atomic_fetch_or_explicit(receiver, bit(info->si_signo), memory_order_seq_cst);
    return 0;
}

int skep_posix_pending_add(_Atomic uint64_t *receiver, const siginfo_t *info)
{
    skep_mutex_lock(&pending.lock);
    int result = add(receiver, info);
    skep_mutex_unlock(&pending.lock);
    return result;
}

/* The program has got a timer's signal. */
static void taken(siginfo_t *info)
{
    struct skep_timer *timer = info->__timer;
    if (timer == NULL)
        return;
    info->si_overrun = (int)(timer->missed < DELAYTIMER_MAX ? timer->missed : DELAYTIMER_MAX);
    atomic_store_explicit(&timer->overruns, (uint32_t)info->si_overrun, memory_order_relaxed);
    timer->missed = 0;
    timer->is_pending = false;
}

static int take(_Atomic uint64_t *receiver, uint64_t wanted, siginfo_t *info)
{
    uint64_t some = atomic_load_explicit(receiver, memory_order_seq_cst) & wanted;
    if (some == 0)
        return 0;
    int signal = __builtin_ctzll(some);
    struct entry **at = find(&pending.first, receiver, signal);
    *info = (siginfo_t){.si_signo = signal, .si_code = SI_USER};
    if (*at != NULL) {
        *info = (*at)->info;
        remove_at(at);
        taken(info);
    }
    if (*find(at, receiver, signal) == NULL)
        atomic_fetch_and_explicit(receiver, ~bit(signal), memory_order_relaxed);
    return signal;
}

int skep_posix_pending_take(_Atomic uint64_t *receiver, uint64_t wanted, siginfo_t *info)
{
    if ((atomic_load_explicit(receiver, memory_order_seq_cst) & wanted) == 0)
        return 0;
    skep_mutex_lock(&pending.lock);
    int signal = take(receiver, wanted, info);
    skep_mutex_unlock(&pending.lock);
    return signal;
}

void skep_posix_pending_forget(_Atomic uint64_t *receiver)
{
    skep_mutex_lock(&pending.lock);
    for (struct entry **at = &pending.first; *at != NULL;) {
        if ((*at)->receiver == receiver)
            remove_at(at);
        else
            at = &(*at)->next;
    }
    atomic_store_explicit(receiver, 0, memory_order_relaxed);
    skep_mutex_unlock(&pending.lock);
}

void skep_posix_pending_disown(struct skep_timer *timer)
{
    skep_mutex_lock(&pending.lock);
    for (struct entry *entry = pending.first; entry != NULL; entry = entry->next)
        if (entry->info.__timer == timer)
            entry->info.__timer = NULL;
    timer->is_pending = false;
    timer->missed = 0;
    skep_mutex_unlock(&pending.lock);
}
