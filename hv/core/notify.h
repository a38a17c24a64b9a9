/*
 * notify.h - the notification ring: what happened to guests, for the control service.
 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include "core/types.h"

struct vcpu;

/* Who is told; NULL = nobody now, entries are kept. When it returns, the one before is not touched any more. */
void notify_target_set(struct vcpu *vcpu);

/* Adds an entry; when the ring is full, the reader will find SKEP_NOTIFY_OVERFLOW. */
void notify_push(uint64_t handle, enum skep_notify_reason reason);

/* Takes up to `count` entries. */
uint32_t notify_take(struct skep_notification *entries, uint32_t count);

#endif
