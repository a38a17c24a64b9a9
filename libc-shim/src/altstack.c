/*
 * altstack.c - calls of signals' handlers, and the stacks that they may have of their own.
 */
#include <signal.h>

#include "pending.h"
#include "shim.h"

static _Thread_local stack_t alternate; /* of no bytes: there is none */

static bool is_on_alternate(void)
{
    uint64_t here = (uint64_t)__builtin_frame_address(0), base = (uint64_t)alternate.ss_sp;
    return here > base && here <= base + alternate.ss_size;
}

int sigaltstack(const stack_t *restrict stack, stack_t *restrict old)
{
    bool is_used = is_on_alternate();
    int result = 0;
    stack_t former = alternate;
    if (stack != NULL) {
        bool is_one = stack->ss_flags == 0;
        result = is_used                                    ? -EPERM
                 : !is_one && stack->ss_flags != SS_DISABLE ? -EINVAL
                 : is_one && stack->ss_size < MINSIGSTKSZ   ? -ENOMEM
                                                            : 0;
        if (result == 0)
            alternate = is_one ? *stack : (stack_t){0};
    }
    if (result == 0 && old != NULL) {
        *old = former;
        old->ss_flags = is_used ? SS_ONSTACK : former.ss_size == 0 ? SS_DISABLE : 0;
    }
    return (int)skep_posix_result(result);
}

struct handling {
    int signal;
    const struct sigaction *action;
    siginfo_t *info;
};

static void call_handler(const struct handling *handling)
{
    if (handling->action->sa_flags & SA_SIGINFO)
        handling->action->sa_sigaction(handling->signal, handling->info, NULL);
    else
        handling->action->sa_handler(handling->signal);
}

/* RBX, which a callee saves, has the way back. */
static void call_on_alternate(const struct handling *handling)
{
    void (*function)(const struct handling *) = call_handler;
    uint64_t top = ((uint64_t)alternate.ss_sp + alternate.ss_size) & ~15ull;
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "call *%[function]\n\t"
                     "movq %%rbx, %%rsp"
                     : "+D"(handling), [function] "+a"(function), [top] "+c"(top)
                     :
                     : "rbx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory", "st", "st(1)",
                       "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15");
}

void skep_posix_call_handler(int signal, const struct sigaction *action, siginfo_t *info)
{
    const struct handling handling = {signal, action, info};
    bool has_own = (action->sa_flags & SA_ONSTACK) && alternate.ss_size != 0;
    if (has_own && !is_on_alternate())
        call_on_alternate(&handling);
    else
        call_handler(&handling);
}
