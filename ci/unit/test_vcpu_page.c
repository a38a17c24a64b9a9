/*
 * test_vcpu_page.c - guestlib sets up a vCPU's page while ring 0 may look at it: looked at after each instruction, by
 * the processor's single step.
 */
#define _GNU_SOURCE /* REG_EFL */

/* clang-format off: cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <signal.h>
#include <ucontext.h>

#include "../../guestlib/src/internal.h"

#define INDEX  1u
#define CANARY 0x1122334455667700ull
#define TRAP   0x100ull /* the flag of single steps */

static _Alignas(SKEP_PAGE_SIZE) uint8_t pages[2 * SKEP_PAGE_SIZE];
static struct skep_vcpu_page *const page = (void *)(pages + INDEX * SKEP_PAGE_SIZE);
static struct skep_start_info info;
const struct skep_start_info *skep_info = &info;

static volatile unsigned steps, upcalls;

/* What the piece under test needs of others, and doesn't use here. */
void skep_upcall_entry(void)
{
}

void skep_fault_entry(void)
{
}

_Noreturn void skep_sched_run(struct vcpu *vcpu)
{
    (void)vcpu;
    __builtin_trap();
}

bool skep_sched_vcpu_on(struct vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

void skep_sched_vcpu_off(struct vcpu *vcpu)
{
    (void)vcpu;
}

void skep_sched_vcpu_failed(struct vcpu *vcpu)
{
    (void)vcpu;
}

/* As ring 0 decides (hv/include/skep/abi.h), with an event pending all the time. */
static void on_step(int signal, siginfo_t *what, void *context)
{
    (void)signal, (void)what, (void)context;
    steps++;
    if (page->upcall_entry != 0 && !atomic_load(&page->upcall_masked) &&
        atomic_load(&page->pending) & ~atomic_load(&page->mask)) {
        upcalls++;
    }
}

static void no_upcall_before_all_is_set(void **state)
{
    (void)state;
    static struct vcpu vcpu;
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    info.vcpu_pages = (uint64_t)pages;
    atomic_store(&page->pending, ~0ull);
    assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);

    __asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : : "i"(TRAP) : "memory", "cc");
    skep_vcpu_init(&vcpu, INDEX, 0x10000, CANARY);
    __asm__ volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~TRAP) : "memory", "cc");

    assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
    assert_int_equal(upcalls, 0);
    assert_true(steps > 10);
    assert_int_equal(page->upcall_entry, (uint64_t)skep_upcall_entry);
    assert_int_equal(page->upcall_stack, 0x10000);
    assert_int_equal(atomic_load(&page->upcall_masked), 1);
    assert_ptr_equal((void *)page->guest_private[0], &vcpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_upcall_before_all_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
