/*
 * context.c - <ucontext.h>: places to go on from, each with registers, a stack and blocked signals. context.S has the registers.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

#include "pending.h"
#include "shim.h"

#define REGISTERS_OF_ARGUMENTS 6

_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R8]) == 32, "context.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R12]) == 64, "context.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RDI]) == 96, "context.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RBX]) == 120, "context.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RDX]) == 128, "context.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RCX]) == 144, "context.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) == 160, "context.S");
_Static_assert(offsetof(ucontext_t, __mxcsr) == 224, "context.S");
_Static_assert(offsetof(ucontext_t, __fcw) == 228, "context.S");

_Noreturn void skep_posix_context_load(const ucontext_t *context);
void skep_posix_context_end(void);

int skep_posix_context_tell(ucontext_t *context);
int skep_posix_context_swap(ucontext_t *old, const ucontext_t *next);
_Noreturn void skep_posix_context_ended(const ucontext_t *next);

/* What getcontext() ends with. */
int skep_posix_context_tell(ucontext_t *context)
{
    skep_posix_tell_place(&context->__place);
    return pthread_sigmask(SIG_BLOCK, NULL, &context->uc_sigmask);
}

static void check(const ucontext_t *context)
{
    if (context->__fcw == 0) /* which no CPU has */
        skep_abort("a context that getcontext() hasn't made can't be gone on with");
}

/* What swapcontext() ends with. What is locked stays so: who called it comes back. */
int skep_posix_context_swap(ucontext_t *old, const ucontext_t *next)
{
    check(next);
    skep_posix_context_tell(old);
    skep_errands_refuse(next->__place.__refuses);
    pthread_sigmask(SIG_SETMASK, &next->uc_sigmask, NULL);
    skep_posix_context_load(next);
}

int setcontext(const ucontext_t *context)
{
    check(context);
    skep_posix_go_to_place(&context->__place, &context->uc_sigmask);
    skep_posix_context_load(context);
}

/* As System V's ABI for x86-64 passes arguments (3.2.3): six in registers, the others above the return address, which is 8
 * below a multiple of 16. */
void makecontext(ucontext_t *context, void (*function)(void), int count, ...)
{
    static const int in_registers[REGISTERS_OF_ARGUMENTS] = {REG_RDI, REG_RSI, REG_RDX,
                                                             REG_RCX, REG_R8,  REG_R9};
    greg_t *registers = context->uc_mcontext.gregs;
    int on_stack = count > REGISTERS_OF_ARGUMENTS ? count - REGISTERS_OF_ARGUMENTS : 0;
    uintptr_t end = (uintptr_t)context->uc_stack.ss_sp + context->uc_stack.ss_size;
    greg_t *top = (greg_t *)((end - (uintptr_t)on_stack * sizeof(*top)) & ~15ull) - 1;
    va_list arguments;
    va_start(arguments, count);
    for (int i = 0; i < count; i++) {
        greg_t *to = i < REGISTERS_OF_ARGUMENTS ? &registers[in_registers[i]]
                                                : &top[1 + i - REGISTERS_OF_ARGUMENTS];
        *to = va_arg(arguments, greg_t); /* of an int the upper half is anything */
    }
    va_end(arguments);
    *top = (greg_t)skep_posix_context_end;
    registers[REG_RSP] = (greg_t)top;
    registers[REG_RBP] = 0; /* ends backtraces */
    registers[REG_RBX] = (greg_t)context->uc_link;
    registers[REG_RIP] = (greg_t)function;
    context->__place.__refuses = true; /* nobody knows how much of that stack is left */
}

_Noreturn void skep_posix_context_ended(const ucontext_t *next)
{
    if (next != NULL)
        setcontext(next);
    pthread_exit(NULL);
}
