/*
 * sched.h - what the scheduler shares with detours and errands: its state, and what is short.
 */
#ifndef GUESTLIB_SCHED_H
#define GUESTLIB_SCHED_H

#include "internal.h"

/* Waiters for a word, by its address. */
#define BUCKETS 64u

/* As the result of a wait: the thread runs the errand, and then waits on. */
#define ERRAND 1

struct skep_sched {
    struct skep_spinlock lock;
    struct list urgent; /* runnable, made so by an event handler */
    struct list normal; /* runnable */
    uint32_t runnable;  /* in both */
    struct list waiters[BUCKETS];
    struct list interruptible; /* of them, in skep_wait_while(); the latest first */

    struct skep_sleepers sleepers;
    struct vcpu *keeper; /* looks at the sleepers by look_ns */
    uint64_t look_ns;    /* SKEP_FOREVER: there is no keeper */

    /* Sets of vCPUs, by struct vcpu's bit. */
    uint32_t online; /* run, or are about to */
    uint32_t idle;   /* wait in ring 0, or are about to, and have not been told to look */
    uint32_t told;   /* were idle, have been told, and have not looked yet */
    uint32_t told_count;
};
extern struct skep_sched skep_sched;

/* Those that run or may be told, for a look at their turns; guarded by the lock. */
extern struct vcpu *skep_sched_vcpu_at[VCPUS_MAX];

/*
 * Lists
 */

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_before(struct list *where, struct list *node)
{
    node->next = where;
    node->prev = where->prev;
    where->prev->next = node;
    where->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static inline struct skep_thread *thread_of_interruptible(struct list *node)
{
    return (struct skep_thread *)((char *)node - offsetof(struct skep_thread, interruptibles));
}

/*
 * sched.c, with the lock held
 */

/* Takes a waiting thread off all queues and makes it runnable. */
void skep_sched_end_wait(const struct vcpu *vcpu, struct skep_thread *thread, int result);

/* Releases the lock when something waits, or may. */
void skep_sched_release_to_others(struct vcpu *vcpu);

static inline uint64_t first_deadline(void)
{
    return skep_sched.sleepers.first == NULL ? SKEP_FOREVER
                                             : skep_sched.sleepers.first->deadline_ns;
}

/* Threads wait that no vCPU comes for. */
static inline bool anyone_waits(void)
{
    return skep_sched.runnable > skep_sched.told_count;
}

/* Releases the lock, and sees to it that all that waits is waited for. The vCPU goes on with its current
 * thread. */
static inline void release(struct vcpu *vcpu)
{
    if (anyone_waits() || first_deadline() < skep_sched.look_ns || vcpu->to_tell != 0)
        skep_sched_release_to_others(vcpu);
    else
        spin_drop(&skep_sched.lock);
}

/*
 * errand.c
 */

/* Runs what skep_errand_set() has set. */
void skep_errand_run(void);

/*
 * detour.c
 */

/* As a call from where the thread was interrupted. */
void skep_detour_call(const struct skep_thread *thread, struct skep_context *context,
                      skep_detour *function);

/* NULL: the thread, whose FS is loaded, is to make none, now. */
static inline skep_detour *ask(struct skep_thread *thread)
{
    skep_detour *(*asked)(void) = atomic_load_explicit(&thread->ask, memory_order_relaxed);
    if (asked == NULL)
        return NULL;
    atomic_store_explicit(&thread->is_to_ask, false, memory_order_relaxed);
    if (skep_detours.held == 0)
        return asked();
    skep_detours.due = true;
    return NULL;
}

/* Of a thread that was interrupted and is about to go on. */
static inline void divert(struct skep_thread *thread, struct skep_context *context)
{
    skep_detour *function = ask(thread);
    if (function != NULL)
        skep_detour_call(thread, context, function);
}

static inline void make_detour(struct skep_thread *self)
{
    skep_detour *function = ask(self);
    if (function != NULL)
        function(NULL);
}

#endif
