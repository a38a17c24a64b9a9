/*
 * event.h - events: bits that wake a vCPU.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/vcpu.h"

/* Sets the event's bit in the vCPU's page and wakes it, or interrupts it with an upcall, unless the guest masks the
 * event. Any context that holds no lock after guest.lock in the lock order. */
void event_raise(struct vcpu *vcpu, uint32_t event);

#endif
