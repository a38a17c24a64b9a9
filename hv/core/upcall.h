/*
 * upcall.h - how a vCPU is continued elsewhere than where it was interrupted. It is the one loaded on this CPU.
 */
#ifndef CORE_UPCALL_H
#define CORE_UPCALL_H

#include "core/vcpu.h"

/* Continues it at `entry`, upcalls masked, with what was interrupted in its page. -SKEP_EINVAL: that is no address of a
 * guest's, and only its page has changed. */
int upcall_enter(struct vcpu *vcpu, uint64_t entry);

/* A fault in ring 3 that nothing can be supplied for: the guest is told of it where it has asked for that, or ends. */
void upcall_fault(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address,
                  uint64_t error);

#endif
