/*
 * sched.h - which vCPU runs where: proportional share by weight, preemptive, work-conserving, tickless.
 *
 * All functions but sched_idle_…() take sched_lock; callers hold no lock after guest.lock in the order. `now` is what the
 * caller has just read of the clock.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include <stdatomic.h>

#include "core/cpu.h"
#include "core/share.h"
#include "core/vcpu.h"

/* Whether the values are in range and the affinity has a CPU that exists. */
bool sched_params_valid(const struct sched_params *params);

/* Sets valid parameters, from a guest's creation on and while it runs. 0 or -SKEP_ENOSPC. */
int sched_params_set(struct guest *guest, const struct sched_params *params);
struct sched_params sched_params_get(struct guest *guest);

/* The guest that is the control service goes before all others for so many percent of one CPU. */
void sched_reserve(struct guest *guest, uint32_t percent);

/* The guest goes: nothing of it runs any more. */
void sched_release(struct guest *guest);

/* Boot CPU, once. */
void sched_init(void);

/* 0 when the vCPU is off and its last state has been saved, else -SKEP_EBUSY. */
int sched_prepare(struct vcpu *vcpu);

/* Off -> runnable. False when the vCPU was not off. */
bool sched_start(struct vcpu *vcpu);

/* The vCPU that runs on this CPU blocks until sched_wake(), unless `pending(vcpu)` is true under the lock, when it
 * goes on at once. False: it didn't block. */
bool sched_block(struct vcpu *vcpu, uint64_t now, bool (*pending)(const struct vcpu *));

/* Whether a vCPU runs on this CPU that was woken and has only begun: work for others can wait until it has done what it
 * was woken for. */
bool sched_spares(const struct cpu *cpu);

/* The vCPU that runs on this CPU stops for good. */
void sched_off(struct vcpu *vcpu);

/* Blocked -> runnable, its hypercall's result being `result`. A running vCPU enters ring 0 soon. */
void sched_wake(struct vcpu *vcpu, int64_t result, uint64_t now);

/* The vCPU that runs on this CPU lets others with the same claim go first. */
void sched_pass(struct vcpu *vcpu);

/* Sets or clears reasons for which it may not run. Taking effect on another CPU takes an interrupt. */
void sched_hold(struct vcpu *vcpu, uint32_t reasons);
void sched_unhold(struct vcpu *vcpu, uint32_t reasons);

/* CPU time that the vCPU has had, ns. */
uint64_t sched_run_ns(struct vcpu *vcpu);

/* Time that the vCPU has been ready to run while it didn't, ns. */
uint64_t sched_ready_ns(struct vcpu *vcpu);

/* State, CPU and times of the vCPU; the other fields are the caller's. */
void sched_vcpu_status(struct vcpu *vcpu, struct skep_vcpu_status *status);

/* Sends this CPU's interrupts to those that have to look. True: nothing else is due. Holds no lock. */
bool sched_send(struct cpu *self);

/* Whether this CPU goes on with what it runs: nothing else is due but interrupts, which are sent. Holds no lock. */
static inline bool sched_goes_on(struct cpu *self)
{
    uint32_t due = atomic_load(&self->resched);
    return !due || (due == RESCHED_SEND && sched_send(self));
}

/* Picks and loads what runs next on this CPU; NULL = nothing wants to. */
struct vcpu *sched_next(struct cpu *cpu, uint64_t now);

/* This CPU goes to sleep, or has woken. */
void sched_idle_begin(struct cpu *cpu);
void sched_idle_end(struct cpu *cpu, uint64_t now);

/* How a CPU has spent its time up to now; the three are its whole time. */
void sched_cpu_times(struct cpu *cpu, uint64_t *idle, uint64_t *guest_ns, uint64_t *core_ns);

/* CPU time of guests that are gone. */
uint64_t sched_gone_ns(void);

/* Whether no vCPU of the guest is on a CPU. */
bool sched_guest_idle(struct guest *guest);

#endif
