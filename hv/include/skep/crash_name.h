/*
 * crash_name.h - the names of crash reasons, as the serial log and the API say them.
 */
#ifndef SKEP_CRASH_NAME_H
#define SKEP_CRASH_NAME_H

#include "skep/control.h"

/* The name of an enum skep_crash_reason; "unknown" for any other number. */
static inline const char *skep_crash_name(uint32_t reason)
{
    static const char *const names[SKEP_CRASH_REASONS] = {
        [SKEP_CRASH_NONE] = "none",
        [SKEP_CRASH_DIVIDE] = "divide-error",
        [SKEP_CRASH_DEBUG] = "debug",
        [SKEP_CRASH_BREAKPOINT] = "breakpoint",
        [SKEP_CRASH_OVERFLOW] = "overflow",
        [SKEP_CRASH_BOUND] = "bound",
        [SKEP_CRASH_INVALID_OPCODE] = "invalid-opcode",
        [SKEP_CRASH_PROTECTION] = "general-protection",
        [SKEP_CRASH_PAGE_FAULT] = "page-fault",
        [SKEP_CRASH_GUARD_PAGE] = "guard-page",
        [SKEP_CRASH_STACK_FAULT] = "stack-fault",
        [SKEP_CRASH_ALIGNMENT] = "alignment-check",
        [SKEP_CRASH_FPU] = "fpu-error",
        [SKEP_CRASH_SIMD] = "simd-error",
        [SKEP_CRASH_HYPERCALL] = "bad-hypercall",
        [SKEP_CRASH_RING] = "bad-ring",
        [SKEP_CRASH_OUT_OF_MEMORY] = "out-of-memory",
        [SKEP_CRASH_ABORT] = "abort",
        [SKEP_CRASH_MACHINE_CHECK] = "machine-check",
        [SKEP_CRASH_KILLED] = "killed",
    };
    return reason < SKEP_CRASH_REASONS ? names[reason] : "unknown";
}

#endif
