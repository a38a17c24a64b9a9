/*
 * share.h - what a guest is due: weight, cap, affinity, the virtual time that it has had, and the run queues of guests.
 *
 * The scheduler's half that knows guests; sched.c knows vCPUs and CPUs. All functions hold sched_lock.
 */
#ifndef CORE_SHARE_H
#define CORE_SHARE_H

#include "arch/arch.h"
#include "core/heap.h"
#include "core/types.h"

struct vcpu;
struct runqueue;

#define WEIGHT_DEFAULT 100u
#define WEIGHT_MAX     10000u
#define CAP_MAX        (100u * CPUS_MAX)

/* What decides about a guest's part of the machine. */
struct sched_params {
    uint32_t weight;   /* 1 to WEIGHT_MAX */
    uint32_t cap;      /* percent of one CPU for all vCPUs together, at most CAP_MAX; 0 = none */
    uint64_t affinity; /* bit n = may run on CPU n; 0 = on any */
};

/* CPU time that comes at a rate, and is saved up only so far. */
struct budget {
    uint32_t rate;           /* percent of one CPU, 0 = there is no budget */
    bool spent;              /* used up, and not yet worth while again */
    int64_t level_ns;        /* < 0 = a debt */
    uint64_t filled_ns;      /* when it was filled up last */
    struct heap_node refill; /* while spent, key = when it won't be any more */
};

/* The scheduler's part of struct guest. Guarded by sched_lock. */
struct share {
    struct sched_params params;
    struct runqueue *runqueue; /* of all guests with this affinity */
    struct heap_node node;     /* in it while vCPUs wait that may run, key = vtime */
    uint64_t vtime;            /* CPU time divided by weight, ns at WEIGHT_DEFAULT */
    uint64_t vtime_rest;       /* of that division */
    struct vcpu *first, *last; /* vCPUs that wait */
    uint32_t queued, running;  /* vCPUs that wait, and on a CPU */
    bool competing;            /* has such a vCPU, and isn't stopped by its cap */
    bool reserved;             /* the budget is a reservation, not a cap */
    struct budget budget;
};

void share_init(void);

/* Sets valid parameters; the first time the share becomes one of a guest. -SKEP_ENOSPC: too many affinities. */
int share_params_set(struct share *share, const struct sched_params *params, uint64_t now);

/* Gives it a reservation: percent of one CPU for which it goes before all others. One guest at a time has one. */
void share_reserve(struct share *share, uint32_t percent, uint64_t now);

/* The guest goes; nothing of it waits or runs. */
void share_release(struct share *share);

/* Charges CPU time that ended now. */
void share_charge(struct share *share, uint64_t ran_ns, uint64_t now);

/* Puts things right after `queued` or `running` has changed. */
void share_update(struct share *share);

/* Whether its cap keeps it from running now. */
static inline bool share_capped(const struct share *share)
{
    return share->budget.spent && !share->reserved;
}

/* Whether it goes before all others now. */
static inline bool share_urgent(const struct share *share)
{
    return share->reserved && !share->budget.spent;
}

/* CPUs that it may run on. */
uint32_t share_cpus(const struct share *share);

/* By how much virtual time `a` is ahead of `b`, in whichever queues they are. */
int64_t share_lead(const struct share *a, const struct share *b);

/* Virtual time that CPU time comes to. */
uint64_t share_weighed(const struct share *share, uint64_t ns);

/* How long a turn is while others wait. */
uint64_t share_turn_ns(const struct share *share);

/* For the functions below, which mostly find that there is nothing: run queues in which somebody waits, a bit each; the
 * spent budgets; whose reservation it is, NULL = nobody's. */
extern uint64_t share_waiting;
extern struct heap share_refills;
extern struct share *share_reserved;

/* The waiting guest that a CPU should serve next, NULL = none that may run there. */
struct share *share_best_waiting(uint32_t cpu_index);
static inline struct share *share_best(uint32_t cpu_index)
{
    return share_waiting ? share_best_waiting(cpu_index) : NULL;
}

/* CPUs of `cpus` on which some waiting guest may run. */
uint32_t share_wanted_waiting(uint32_t cpus);
static inline uint32_t share_wanted(uint32_t cpus)
{
    return share_waiting && cpus ? share_wanted_waiting(cpus) : 0;
}

/* It has been chosen, anew or to go on. */
void share_chosen(struct share *share);

/* It lets all others go first that wait for this CPU. */
void share_pass(struct share *share, uint32_t cpu_index);

/* When its budget is used up if all of its vCPUs run on; TIME_NEVER without one. */
uint64_t share_spent_at(struct share *share, uint64_t now);

/* A spent budget that is filled up again by now, taken out; NULL = none. The earliest other one is at
 * share_refill_next(). */
struct share *share_refilled(uint64_t now);
static inline uint64_t share_refill_next(void)
{
    const struct heap_node *node = heap_min(&share_refills);
    return node ? node->key : TIME_NEVER;
}

/* Looks whether the reservation is worth while again. */
void share_reserve_fill(uint64_t now);
static inline void share_reserve_refill(uint64_t now)
{
    if (share_reserved && share_reserved->budget.spent) {
        share_reserve_fill(now);
    }
}

/* Keeps the distances between run queues that don't compete bounded; now and then. */
void share_levels_close(void);

#endif
