/*
 * control.h - the control service as ring 0 sees it: started at boot, started again when it ends.
 */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include "core/types.h"

struct boot_info;
struct vcpu;

/* Keeps what the control service may read of the boot and makes its image; then starts it. Boot CPU, once; between
 * the two promise_open(). */
void control_init(const struct boot_info *boot);
void control_start(void);

/* Starts it again after its end. After three ends within a minute it starts in safe mode. */
void control_restart(void);

/* The control hypercalls; the caller is the control service. Gives the result, or asks for a restart of the call by
 * *again. */
int64_t control_call(struct vcpu *vcpu, uint64_t number, const uint64_t arguments[5], bool *again);

uint32_t control_restarts(void);
bool control_safe_mode(void);

/* What SKEP_CTL_BOOT_READ reads: where it is, and how long. */
uint64_t control_boot_bytes(uint64_t which, const char **bytes);

#endif
