/*
 * sys/ucontext.h - a thread's registers, as Linux numbers them on x86-64.
 */
#ifndef _SYS_UCONTEXT_H
#define _SYS_UCONTEXT_H

#include <sys/_place.h>
#include <sys/features.h>
#include <sys/signal.h>

typedef long long greg_t;

#define NGREG 23
typedef greg_t gregset_t[NGREG];

#if __GNU_VISIBLE
enum {
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REG_RDI,
    REG_RSI,
    REG_RBP,
    REG_RBX,
    REG_RDX,
    REG_RAX,
    REG_RCX,
    REG_RSP,
    REG_RIP,
    REG_EFL,
    REG_CSGSFS, /* 0 */
    REG_ERR,    /* of faults, as the other two */
    REG_TRAPNO,
    REG_OLDMASK, /* 0 */
    REG_CR2      /* of page faults */
};
#endif

typedef struct {
    gregset_t gregs;
} mcontext_t;

typedef struct ucontext_t {
    struct ucontext_t *uc_link;
    stack_t uc_stack;
    mcontext_t uc_mcontext;
    sigset_t uc_sigmask;
    unsigned __mxcsr, __fcw;     /* modes of floating point; not of handlers' */
    struct __skep_place __place; /* what the thread had locked */
} ucontext_t;

#endif
