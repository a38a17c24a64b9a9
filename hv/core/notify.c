/*
 * notify.c - a bounded ring of notifications with an overflow flag.
 */
#include "core/notify.h"

#include "core/event.h"
#include "core/lock.h"

#define ENTRIES 256u

static struct spinlock notify_lock = {.kind = LOCK_NOTIFY};
static struct skep_notification ring[ENTRIES];
static uint32_t head, count;
static bool overflowed;
static struct vcpu *target;

void notify_target_set(struct vcpu *vcpu)
{
    spin_lock(&notify_lock);
    target = vcpu;
    if (target && (count || overflowed)) {
        event_raise(target, SKEP_EVENT_NOTIFY); /* of what came while there was nobody */
    }
    spin_unlock(&notify_lock);
}

static void put(uint64_t handle, enum skep_notify_reason reason)
{
    if (count == ENTRIES) {
        overflowed = true;
        return;
    }
    ring[(head + count++) % ENTRIES] =
        (struct skep_notification){.handle = handle, .reason = reason};
}

void notify_push(uint64_t handle, enum skep_notify_reason reason)
{
    spin_lock(&notify_lock);
    put(handle, reason);
    if (target) {
        event_raise(target, SKEP_EVENT_NOTIFY);
    }
    spin_unlock(&notify_lock);
}

uint32_t notify_take(struct skep_notification *entries, uint32_t capacity)
{
    uint32_t taken = 0;
    spin_lock(&notify_lock);
    if (overflowed && capacity) {
        entries[taken++] = (struct skep_notification){.reason = SKEP_NOTIFY_OVERFLOW};
        overflowed = false;
    }
    while (taken < capacity && count) {
        entries[taken++] = ring[head];
        head = (head + 1) % ENTRIES;
        count--;
    }
    spin_unlock(&notify_lock);
    return taken;
}
