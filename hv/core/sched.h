/*
 * sched.h - which vCPU runs where: proportional share by weight, preemptive, work-conserving, tickless.
 *
 * All functions take sched_lock; callers hold no lock after guest.lock in the order.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "core/cpu.h"
#include "core/vcpu.h"

#define WEIGHT_MAX 10000u
#define CAP_MAX    (100u * CPUS_MAX)

/* What decides about a guest's part of the machine. */
struct sched_params {
    uint32_t weight;   /* 1 to WEIGHT_MAX */
    uint32_t cap;      /* percent of one CPU for all vCPUs together, at most CAP_MAX; 0 = none */
    uint64_t affinity; /* bit n = may run on CPU n; 0 = on any */
};

/* The scheduler's part of struct guest. Guarded by sched_lock. */
struct share {
    struct sched_params params;
    uint32_t running; /* vCPUs on a CPU */
};

/* Whether the values are in range and the affinity has a CPU that exists. */
bool sched_params_valid(const struct sched_params *params);

/* Sets valid parameters, from a guest's creation on and while it runs. 0 or -SKEP_ENOSPC. */
int sched_params_set(struct guest *guest, const struct sched_params *params);
struct sched_params sched_params_get(struct guest *guest);

/* Takes the run queue's memory for `capacity` vCPUs. Boot CPU, once. */
void sched_init(uint32_t capacity);

/* Each vCPU has a place in the run queue and among the timers from its creation on: -SKEP_ENOSPC when all are taken. */
int sched_place_take(void);
void sched_place_give(void);

/* 0 when the vCPU is off and its last state has been saved, else -SKEP_EBUSY. */
int sched_prepare(struct vcpu *vcpu);

/* Off -> runnable. False when the vCPU was not off. */
bool sched_start(struct vcpu *vcpu);

/* The vCPU that runs on this CPU blocks until sched_wake(), unless `pending(vcpu)` is true under the lock, when it
 * goes on at once. False: it didn't block. */
bool sched_block(struct vcpu *vcpu, bool (*pending)(const struct vcpu *));

/* The vCPU that runs on this CPU stops for good. */
void sched_off(struct vcpu *vcpu);

/* Blocked -> runnable, its hypercall's result being `result`. A running vCPU enters ring 0 soon. */
void sched_wake(struct vcpu *vcpu, int64_t result);

/* The vCPU that runs on this CPU lets others with the same claim go first. */
void sched_pass(struct vcpu *vcpu);

/* Sets or clears reasons for which it may not run. Taking effect on another CPU takes an interrupt. */
void sched_hold(struct vcpu *vcpu, uint32_t reasons);
void sched_unhold(struct vcpu *vcpu, uint32_t reasons);

/* CPU time that the vCPU has had, ns. */
uint64_t sched_run_ns(struct vcpu *vcpu);

/* State, CPU and times of the vCPU; the other fields are the caller's. */
void sched_vcpu_status(struct vcpu *vcpu, struct skep_vcpu_status *status);

/* Picks and loads what runs next on this CPU; NULL = nothing wants to. */
struct vcpu *sched_next(struct cpu *cpu);

/* Whether no vCPU of the guest is on a CPU. */
bool sched_guest_idle(struct guest *guest);

#endif
