/*
 * fault.h - faults that a program handles itself: page faults, divide errors and the like, of which a guest ends else.
 *
 * A handler is called amid what the thread did, as if by it. libc-shim makes signals of this.
 */
#ifndef SKEP_FAULT_H
#define SKEP_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/thread.h"

struct skep_fault {
    uint32_t reason;         /* enum skep_crash_reason (skep/abi.h), DIVIDE to SIMD */
    bool mapped;             /* of a page fault: it is the right that is missing there */
    uint64_t address;        /* that a page fault is about; of other faults, of the instruction */
    uint64_t error;          /* of page faults SKEP_FAULT_…, else what the CPU says of it */
    const uint8_t *extended; /* FPU and vector registers, as XSAVE or FXSAVE stores them */
};

/* Handles a fault of the calling thread, whose other registers are in *interrupted and may be changed: it goes on with them
 * when this returns, mostly with the instruction that has faulted. Or it leaves for good, as by longjmp(). What the thread
 * holds, such as a lock of malloc()'s, it goes on holding meanwhile. */
typedef void skep_fault_handler(const struct skep_fault *fault, struct skep_context *interrupted);

/* Says what handles a fault of the calling thread, and where: *stack is the memory to be used, base NULL (as it comes) =
 * below rsp, where the thread was. It is called with the thread's thread-local storage, but on another stack and with
 * upcalls masked: it may look, but not wait. NULL: nothing does, and the guest ends with a crash record of the fault. So it
 * does if there is no room for the call where it is to be. */
typedef skep_fault_handler *skep_fault_ask(const struct skep_fault *fault, uint64_t rsp,
                                           struct skep_stack *stack);

/* Has ask() asked for each fault from now on; always the same one. Threads may call it. Not asked for are: what happens with
 * upcalls masked, as in event handlers and in this library; pages for which there is no memory; bad arguments of hypercalls. */
void skep_faults_ask(skep_fault_ask *ask);

#endif
