/*
 * altstack.c - calls of signals' handlers, and the stacks that they may have of their own.
 */
#include <signal.h>
#include <ucontext.h>

#include "pending.h"
#include "shim.h"
#include "skep/abi.h"

static _Thread_local stack_t alternate; /* of no bytes: there is none */

static bool is_in_alternate(uint64_t rsp)
{
    uint64_t base = (uint64_t)alternate.ss_sp;
    return rsp > base && rsp <= base + alternate.ss_size;
}

static bool is_on_alternate(void)
{
    return is_in_alternate((uint64_t)__builtin_frame_address(0));
}

struct skep_stack skep_posix_alternate(uint64_t rsp)
{
    bool is_free = alternate.ss_size != 0 && !is_in_alternate(rsp);
    return is_free ? (struct skep_stack){alternate.ss_sp, alternate.ss_size}
                   : (struct skep_stack){0};
}

static void tell_stack(stack_t *out)
{
    *out = alternate;
    out->ss_flags = is_on_alternate() ? SS_ONSTACK : alternate.ss_size == 0 ? SS_DISABLE : 0;
}

int sigaltstack(const stack_t *restrict stack, stack_t *restrict old)
{
    bool is_used = is_on_alternate();
    int result = 0;
    stack_t former;
    tell_stack(&former);
    if (stack != NULL) {
        bool is_one = stack->ss_flags == 0;
        result = is_used                                    ? -EPERM
                 : !is_one && stack->ss_flags != SS_DISABLE ? -EINVAL
                 : is_one && stack->ss_size < MINSIGSTKSZ   ? -ENOMEM
                                                            : 0;
        if (result == 0)
            alternate = is_one ? *stack : (stack_t){0};
    }
    if (result == 0 && old != NULL)
        *old = former;
    return (int)skep_posix_result(result);
}

struct handling {
    const struct sigaction *action;
    siginfo_t *info;
    ucontext_t *context;
};

static void call_handler(const struct handling *handling)
{
    int signal = handling->info->si_signo;
    if (handling->action->sa_flags & SA_SIGINFO)
        handling->action->sa_sigaction(signal, handling->info, handling->context);
    else
        handling->action->sa_handler(signal);
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

/* Where <ucontext.h> has each register of struct skep_context. */
static const struct {
    size_t offset;
    int place;
} registers[] = {
#define REGISTER(name, place)                      \
    {                                              \
        offsetof(struct skep_context, name), place \
    }
    REGISTER(rax, REG_RAX), REGISTER(rbx, REG_RBX), REGISTER(rcx, REG_RCX),
    REGISTER(rdx, REG_RDX), REGISTER(rsi, REG_RSI), REGISTER(rdi, REG_RDI),
    REGISTER(rbp, REG_RBP), REGISTER(rsp, REG_RSP), REGISTER(r8, REG_R8),
    REGISTER(r9, REG_R9),   REGISTER(r10, REG_R10), REGISTER(r11, REG_R11),
    REGISTER(r12, REG_R12), REGISTER(r13, REG_R13), REGISTER(r14, REG_R14),
    REGISTER(r15, REG_R15), REGISTER(rip, REG_RIP), REGISTER(rflags, REG_EFL),
#undef REGISTER
};

static uint64_t *register_at(struct skep_context *context, size_t i)
{
    return (uint64_t *)((char *)context + registers[i].offset);
}

static void tell_registers(struct skep_context *context, ucontext_t *out)
{
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        out->uc_mcontext.gregs[registers[i].place] = (greg_t)*register_at(context, i);
}

static void change_registers(struct skep_context *context, const ucontext_t *wanted)
{
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        *register_at(context, i) = (uint64_t)wanted->uc_mcontext.gregs[registers[i].place];
}

/* At a call only its place is known. */
static struct skep_context context_here(void)
{
    return (struct skep_context){.rip = (uint64_t)__builtin_return_address(0),
                                 .rsp = (uint64_t)__builtin_frame_address(0),
                                 .rbp = (uint64_t)__builtin_frame_address(0)};
}

void skep_posix_call_handler(const struct sigaction *action, siginfo_t *info,
                             const struct skep_fault *fault, struct skep_context *interrupted,
                             sigset_t *mask)
{
    ucontext_t context = {.uc_sigmask = *mask};
    const struct handling handling = {action, info, &context};
    struct skep_context here = context_here();
    tell_registers(interrupted != NULL ? interrupted : &here, &context);
    if (fault != NULL)
        skep_posix_tell_fault(fault, &context);
    tell_stack(&context.uc_stack);
    bool has_own = (action->sa_flags & SA_ONSTACK) && alternate.ss_size != 0;
    bool refused = has_own && skep_errands_refuse(true);
    if (has_own && !is_on_alternate())
        call_on_alternate(&handling);
    else
        call_handler(&handling); /* a fault's is there already */
    if (has_own)
        skep_errands_refuse(refused);
    if (!(action->sa_flags & SA_SIGINFO))
        return;
    *mask = context.uc_sigmask;
    if (interrupted != NULL)
        change_registers(interrupted, &context);
}
