/*
 * test_signal_faults.c - what libc-shim makes of faults that QEMU doesn't emulate: alignment and SIMD. This machine's CPU
 * makes them, Linux says what it thinks of them, and the shim must say the same of the same state.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#define LIBC_SHIM_SHIM_H /* newlib's part of it */

#include "skep/fault.h"

static skep_fault_ask *asked;

void skep_faults_ask(skep_fault_ask *ask)
{
    asked = ask;
}

#include "../../libc-shim/src/fault.c" /* NOLINT(bugprone-suspicious-include): it has no header for the host */

static int handled_signal, handler_flags; /* of the handler that the program has */
static siginfo_t told;

bool skep_posix_takes_fault(int signal, int *flags)
{
    *flags = handler_flags;
    return signal == handled_signal;
}

void skep_posix_handle_fault(siginfo_t *info, const struct skep_fault *fault,
                             struct skep_context *interrupted)
{
    (void)fault;
    (void)interrupted;
    told = *info;
}

static char other_stack[64];

struct skep_stack skep_posix_alternate(uint64_t rsp)
{
    return (struct skep_stack){other_stack, rsp};
}

/*
 * What Linux says
 */

#define ALIGNMENT_CHECK 0x40000

static sigjmp_buf back;
static siginfo_t linux_told;
static greg_t linux_registers[NGREG];
static uint8_t linux_extended[sizeof(struct _libc_fpstate)];

static void note(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *state = context;
    __asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq"
                     :
                     : "i"(~ALIGNMENT_CHECK)
                     : "cc", "memory");
    linux_told = *info;
    memcpy(linux_registers, state->uc_mcontext.gregs, sizeof(linux_registers));
    memcpy(linux_extended, state->uc_mcontext.fpregs, sizeof(linux_extended));
    siglongjmp(back, signal);
}

static void load_misaligned(double unused, double unused_too, uint32_t mxcsr)
{
    static _Alignas(8) char bytes[16];
    (void)unused, (void)unused_too, (void)mxcsr;
    __asm__ volatile(
        "subq $128, %%rsp\n\t" /* what may lie below it stays */
        "pushfq\n\t"
        "orq %[set], (%%rsp)\n\t"
        "popfq\n\t"
        "movl (%[at]), %%eax\n\t"
        "pushfq\n\t"
        "andq %[clear], (%%rsp)\n\t"
        "popfq\n\t"
        "addq $128, %%rsp"
        :
        : [at] "r"(bytes + 1), [set] "i"(ALIGNMENT_CHECK), [clear] "i"(~ALIGNMENT_CHECK)
        : "rax", "cc", "memory");
}

static void divide(double x, double y, uint32_t mxcsr)
{
    static const uint32_t usual = 0x1f80;
    __asm__ volatile("ldmxcsr %[mxcsr]\n\t"
                     "divsd %[y], %[x]\n\t"
                     "ldmxcsr %[usual]"
                     : [x] "+x"(x)
                     : [y] "x"(y), [mxcsr] "m"(mxcsr), [usual] "m"(usual));
}

/* The same signal, code, address and machine state from Linux and, for the reason that ring 0 tells, from the shim. */
static void compare(int signal, enum skep_crash_reason reason,
                    void (*fault)(double, double, uint32_t), double x, double y, uint32_t mxcsr)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO}, old;
    assert_int_equal(sigaction(signal, &action, &old), 0);
    int came = sigsetjmp(back, 1);
    if (came == 0) {
        fault(x, y, mxcsr);
        fail_msg("nothing happened");
    }
    assert_int_equal(sigaction(signal, &old, NULL), 0);
    assert_int_equal(came, signal);

    struct skep_stack stack = {0};
    const struct skep_fault same = {.reason = reason,
                                    .address = (uint64_t)linux_registers[REG_RIP],
                                    .error = (uint64_t)linux_registers[REG_ERR],
                                    .extended = linux_extended};
    handled_signal = signal;
    handler_flags = 0;
    skep_posix_faults_wanted(signal);
    skep_fault_handler *handler = asked(&same, 0, &stack);
    assert_non_null(handler);
    assert_null(stack.base);
    handler(&same, NULL);
    assert_int_equal(told.si_signo, linux_told.si_signo);
    assert_int_equal(told.si_code, linux_told.si_code);
    assert_ptr_equal(told.si_addr, linux_told.si_addr);
    ucontext_t context;
    skep_posix_tell_fault(&same, &context);
    assert_int_equal(context.uc_mcontext.gregs[REG_TRAPNO], linux_registers[REG_TRAPNO]);
    assert_int_equal(context.uc_mcontext.gregs[REG_ERR], linux_registers[REG_ERR]);
    assert_int_equal(context.uc_mcontext.gregs[REG_CR2], 0);
}

static void test_alignment(void **state)
{
    compare(SIGBUS, SKEP_CRASH_ALIGNMENT, load_misaligned, 0, 0, 0);
}

/* Each exception with its mask alone cleared; and all of them at once, of which one is told. */
static void test_simd(void **state)
{
    static const struct {
        double x, y;
        uint32_t mxcsr;
    } divisions[] = {
        {0, 0, 0x1f80 & ~0x80},           /* invalid */
        {5e-324, 1, 0x1f80 & ~0x100},     /* denormal */
        {1, 0, 0x1f80 & ~0x200},          /* division by zero */
        {1e308, 1e-308, 0x1f80 & ~0x400}, /* overflow */
        {1e-308, 1e10, 0x1f80 & ~0x800},  /* underflow */
        {1, 3, 0x1f80 & ~0x1000},         /* not exact */
        {1e308, 1e-308, 0},
        {1e-308, 1e10, 0},
        {0, 0, 0},
        {1, 0, 0},
        {1e308, 1e-308, 0x1f80 & ~0x1000}, /* not exact, after an overflow that is masked */
        {1, 3, (0x1f80 & ~0x1000) | 4},    /* with a flag of earlier, which is masked */
    };
    for (size_t i = 0; i < sizeof(divisions) / sizeof(divisions[0]); i++)
        compare(SIGFPE, SKEP_CRASH_SIMD, divide, divisions[i].x, divisions[i].y,
                divisions[i].mxcsr);
}

static void test_who_asks(void **state)
{
    struct skep_stack stack = {0};
    const struct skep_fault fault = {.reason = SKEP_CRASH_ALIGNMENT};
    asked = NULL;
    skep_posix_faults_wanted(SIGUSR1);
    assert_null(asked);
    skep_posix_faults_wanted(SIGFPE);
    assert_non_null(asked);
    handled_signal = SIGFPE; /* and this is SIGBUS */
    assert_null(asked(&fault, 0, &stack));
    handled_signal = SIGBUS;
    handler_flags = SA_ONSTACK;
    assert_non_null(asked(&fault, 40, &stack));
    assert_ptr_equal(stack.base, other_stack);
    assert_int_equal(stack.bytes, 40);
    const struct skep_fault other = {.reason = SKEP_CRASH_HYPERCALL};
    assert_null(asked(&other, 0, &stack));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_simd),
        cmocka_unit_test(test_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
