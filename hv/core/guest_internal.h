/*
 * guest_internal.h - what guest.c, guest_create.c and reap.c share.
 */
#ifndef CORE_GUEST_INTERNAL_H
#define CORE_GUEST_INTERNAL_H

#include "core/guest.h"

uint32_t guest_index(const struct guest *guest);

/* Gives the guest an index and a handle; -SKEP_ENOSPC. guest_find() finds it after _publish(). */
int guest_table_insert(struct guest *guest);
void guest_table_publish(struct guest *guest);
void guest_table_remove(struct guest *guest);

/* The one place where a state changes. Holds guest.lock. */
void guest_set_state(struct guest *guest, enum skep_guest_state state);

/* Neither ended nor dying. Holds guest.lock. */
static inline bool guest_is_live(const struct guest *guest)
{
    return guest->state < SKEP_GUEST_EXITED;
}

/* sched_hold() for the vCPUs from `first` on, sched_unhold() for those before `end`. Holds guest.lock. */
void guest_hold(struct guest *guest, uint32_t first, uint32_t reason);
void guest_unhold(struct guest *guest, uint32_t end, uint32_t reason);

/* Takes a reaped guest out of the table and drops the table's reference. No locks. */
void guest_forget(struct guest *guest);

/* Gives back every frame that a guest holds, but the struct's; used by the reaper and by a creation that failed.
 * No CPU runs it, no port is attached. Holds guest.lock. False: call again. */
bool guest_free_memory(struct guest *guest);

/* vCPUs are paid for before they are made: guest_vcpus_reserve() puts the frames of the first `count` into fixed_frames,
 * -SKEP_ENOMEM or -SKEP_ENOSPC and nothing changed; _unreserve() takes back what hasn't been made. _make() makes what
 * is reserved, GUEST_VCPUS_AT_ONCE at a call: -SKEP_EAGAIN when more are left. Hold guest.lock. */
#define GUEST_VCPUS_AT_ONCE 4u
int guest_vcpus_reserve(struct guest *guest, uint32_t count);
void guest_vcpus_unreserve(struct guest *guest, uint32_t count);
int guest_vcpus_make(struct guest *guest);

/* Changes the promise: -SKEP_EBUSY (less than is committed), -SKEP_ENOMEM. Holds guest.lock. */
int guest_promise_set(struct guest *guest, uint64_t frames);

/* What the guest reads of itself; it has not been reaped. */
struct skep_start_info *guest_start_info(struct guest *guest);

/* Gives back the console's ring. Holds guest.lock, or is alone with the guest. */
void console_destroy(struct guest *guest);

/* A line or two in the log about a crash. */
void crash_log(const struct guest *guest);

#endif
