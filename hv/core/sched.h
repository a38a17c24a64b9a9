/*
 * sched.h - which vCPU runs where: proportional share by weight, preemptive, work-conserving, tickless.
 *
 * All functions take sched_lock; callers hold no lock after guest.lock in the order.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "core/cpu.h"
#include "core/vcpu.h"

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

/* Picks and loads what runs next on this CPU; NULL = nothing wants to. */
struct vcpu *sched_next(struct cpu *cpu);

/* Whether no vCPU of the guest is on a CPU. */
bool sched_guest_idle(struct guest *guest);

#endif
