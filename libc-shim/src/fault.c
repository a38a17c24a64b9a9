/*
 * fault.c - faults as signals, as Linux has them on x86-64.
 *
 * Ring 0 tells of faults from the first handler on that a program installs for one of their signals. A fault whose signal
 * has no handler, or is blocked, goes back to ring 0, which ends the guest for it as if nobody had been told.
 */
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "pending.h"
#include "shim.h"
#include "skep/abi.h"
#include "skep/fault.h"

/* In an area of XSAVE's (Intel SDM volume 1, 10.5.1). */
#define X87_CONTROL 0u
#define X87_STATUS  2u
#define MXCSR       24u

/* Of a page fault's error word, beside SKEP_FAULT_…: it was made in ring 3. */
#define OF_USER 4

#define MXCSR_MASKS 7u /* of exceptions, above their flags */

static const struct kind {
    uint8_t signal;
    uint8_t vector;   /* REG_TRAPNO */
    uint8_t code;     /* 0: it depends */
    bool has_address; /* in si_addr */
} kinds[] = {
    [SKEP_CRASH_DIVIDE] = {SIGFPE, 0, FPE_INTDIV, true},
    [SKEP_CRASH_DEBUG] = {SIGTRAP, 1, TRAP_TRACE, true},
    [SKEP_CRASH_BREAKPOINT] = {SIGTRAP, 3, SI_KERNEL, false},
    [SKEP_CRASH_OVERFLOW] = {SIGSEGV, 4, SI_KERNEL, false},
    [SKEP_CRASH_BOUND] = {SIGSEGV, 5, SI_KERNEL, false},
    [SKEP_CRASH_INVALID_OPCODE] = {SIGILL, 6, ILL_ILLOPN, true},
    [SKEP_CRASH_PROTECTION] = {SIGSEGV, 13, SI_KERNEL, false},
    [SKEP_CRASH_PAGE_FAULT] = {SIGSEGV, 14, 0, true},
    [SKEP_CRASH_GUARD_PAGE] = {SIGSEGV, 14, 0, true},
    [SKEP_CRASH_STACK_FAULT] = {SIGBUS, 12, SI_KERNEL, false},
    [SKEP_CRASH_ALIGNMENT] = {SIGBUS, 17, BUS_ADRALN, false},
    [SKEP_CRASH_FPU] = {SIGFPE, 16, 0, true},
    [SKEP_CRASH_SIMD] = {SIGFPE, 19, 0, true},
};

static uint32_t word_at(const uint8_t *extended, unsigned offset, size_t bytes)
{
    uint32_t word = 0;
    memcpy(&word, extended + offset, bytes);
    return word;
}

/* The exceptions that are on and not masked. */
static uint32_t exceptions_of(const struct skep_fault *fault)
{
    uint32_t mxcsr = word_at(fault->extended, MXCSR, 4);
    return fault->reason == SKEP_CRASH_SIMD ? mxcsr & ~(mxcsr >> MXCSR_MASKS)
                                            : word_at(fault->extended, X87_STATUS, 2) &
                                                  ~word_at(fault->extended, X87_CONTROL, 2);
}

static int float_code(const struct skep_fault *fault)
{
    static const struct {
        uint32_t exceptions;
        int code;
    } codes[] = {
        {1, FPE_FLTINV}, {4, FPE_FLTDIV}, {8, FPE_FLTOVF}, {2 | 16, FPE_FLTUND}, {32, FPE_FLTRES},
    };
    uint32_t exceptions = exceptions_of(fault);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (exceptions & codes[i].exceptions)
            return codes[i].code;
    return SI_KERNEL;
}

static bool is_of_page(const struct skep_fault *fault)
{
    return fault->reason == SKEP_CRASH_PAGE_FAULT || fault->reason == SKEP_CRASH_GUARD_PAGE;
}

static int code_of(const struct skep_fault *fault)
{
    int code = kinds[fault->reason].code;
    if (code != 0)
        return code;
    return !is_of_page(fault) ? float_code(fault) : fault->mapped ? SEGV_ACCERR : SEGV_MAPERR;
}

static void handle(const struct skep_fault *fault, struct skep_context *interrupted)
{
    const struct kind *kind = &kinds[fault->reason];
    siginfo_t info = {
        .si_signo = kind->signal,
        .si_code = code_of(fault),
        .si_addr = kind->has_address ? (void *)fault->address : NULL,
    };
    skep_posix_handle_fault(&info, fault, interrupted);
}

static skep_fault_handler *ask(const struct skep_fault *fault, uint64_t rsp,
                               struct skep_stack *stack)
{
    int flags;
    if (fault->reason >= sizeof(kinds) / sizeof(kinds[0]) ||
        !skep_posix_takes_fault(kinds[fault->reason].signal, &flags))
        return NULL;
    if (flags & SA_ONSTACK)
        *stack = skep_posix_alternate(rsp);
    return handle;
}

void skep_posix_faults_wanted(int signal)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].signal == signal) {
            skep_faults_ask(ask);
            return;
        }
    }
}

void skep_posix_tell_fault(const struct skep_fault *fault, ucontext_t *out)
{
    greg_t *registers = out->uc_mcontext.gregs;
    registers[REG_TRAPNO] = kinds[fault->reason].vector;
    registers[REG_ERR] = (greg_t)fault->error | (is_of_page(fault) ? OF_USER : 0);
    registers[REG_CR2] = is_of_page(fault) ? (greg_t)fault->address : 0;
}
