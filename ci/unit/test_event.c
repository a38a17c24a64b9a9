/*
 * test_event.c - events, waits, timers and upcalls.
 */
#include "test.h"

#include "core/event.h"
#include "core/timer.h"

#define MIB (1ull << 20)

static struct baseline before;

static void pending_event_ends_a_wait_at_once(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    event_raise(vcpu, 9);
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0), 0);
    vcpu->page->mask = 1u << 9;
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_WAIT, 0, 0, 0), -SKEP_ETIMEDOUT);
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0), INT64_MIN);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    event_raise(vcpu, 9);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    event_raise(vcpu, 10);
    assert_int_equal(vcpu->state, VCPU_RUNNABLE);
    assert_int_equal(vcpu->arch.context.rax, 0);
    guest_gone(guest);
    baseline_check(&before);
}

/* A vCPU that runs isn't held up by an event that it will look for itself. */
static void event_of_a_trap_interrupts_who_has_upcalls_open(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    assert_int_equal(vcpu->state, VCPU_RUNNING);
    atomic_store(&fake_cpu->resched, 0);
    vcpu->page->upcall_masked = 1;
    event_raise(vcpu, 9);
    assert_int_equal(atomic_load(&fake_cpu->resched), 0);
    assert_true(vcpu->page->pending & 1u << 9);
    vcpu->page->upcall_masked = 0;
    event_raise(vcpu, 10);
    assert_int_equal(atomic_load(&fake_cpu->resched), 1);
    guest_gone(guest);
    baseline_check(&before);
}

static void wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    uint64_t deadline = arch_clock_ns() + 5000000;
    fake_hypercall(vcpu, SKEP_HC_WAIT, deadline, 0, 0);
    fake_resume();
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    fake_clock_advance(4999999);
    fake_interrupts();
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    fake_clock_advance(1);
    run_until(vcpu);
    assert_int_equal((int64_t)vcpu->arch.context.rax, -SKEP_ETIMEDOUT);
    guest_gone(guest);
    baseline_check(&before);
}

static void other_cpu_expires(void)
{
    fake_clock_advance(5000000);
    timer_expire();
}

/* The deadline passes on another CPU after it was set and before the vCPU blocks. */
static void wait_whose_deadline_passes_meanwhile_ends(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    fake_meanwhile = other_cpu_expires;
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_WAIT, arch_clock_ns() + 5000000, 0, 0),
                     -SKEP_ETIMEDOUT);
    assert_int_equal(vcpu->state, VCPU_RUNNING);
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0), INT64_MIN);
    assert_int_equal(vcpu->state, VCPU_BLOCKED);
    guest_gone(guest);
    baseline_check(&before);
}

static void timer_event_comes_once(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    fake_hypercall(vcpu, SKEP_HC_TIMER_SET, arch_clock_ns() + 1000, 0, 0);
    fake_clock_advance(1000);
    fake_interrupts();
    assert_int_equal(vcpu->page->pending, 1u << SKEP_EVENT_TIMER);
    vcpu->page->pending = 0;
    fake_clock_advance(1000000);
    fake_interrupts();
    assert_int_equal(vcpu->page->pending, 0);
    guest_gone(guest);
    baseline_check(&before);
}

static void upcall_saves_and_resume_restores(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    vcpu->page->upcall_entry = guest->image_base + 64;
    vcpu->page->upcall_stack = 0x7000000;
    vcpu->arch.context.rip = guest->image_base + 8;
    vcpu->arch.context.rbx = 42;
    event_raise(vcpu, 20);
    run_until(vcpu);
    assert_int_equal(vcpu->arch.context.rip, guest->image_base + 64);
    assert_int_equal(vcpu->arch.context.rsp, 0x7000000);
    assert_int_equal(vcpu->page->context.rip, guest->image_base + 8);
    assert_int_equal(vcpu->page->upcall_masked, 1);
    uint64_t vcpu_page = 0;
    for (uint32_t i = 0; i < guest->aspace.ranges.count; i++) {
        struct range range = guest->aspace.ranges.at[i];
        if (range.kind == RANGE_FIXED && (range.prot & SKEP_PROT_WRITE)) {
            vcpu_page = range.start;
        }
    }
    vcpu->page->pending = 0;
    uint64_t slot = vcpu_page + offsetof(struct skep_vcpu_page, context);
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_RESUME, slot, 0, 0), INT64_MIN);
    assert_int_equal(vcpu->arch.context.rip, guest->image_base + 8);
    assert_int_equal(vcpu->arch.context.rbx, 42);
    assert_int_equal(vcpu->page->upcall_masked, 0);
    vcpu->page->context.rip = 0xffff800000000000ull;
    fake_hypercall(vcpu, SKEP_HC_RESUME, slot, 0, 0);
    assert_int_equal(guest->crash.reason, SKEP_CRASH_HYPERCALL);
    guest_gone(guest);
    baseline_check(&before);
}

static void bad_upcall_entry_ends_the_guest(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    vcpu->page->upcall_entry = UINT64_MAX;
    event_raise(vcpu, 20);
    for (int i = 0; i < 500 && guest->state == SKEP_GUEST_RUNNING; i++) {
        fake_clock_advance(10000000);
        assert_ptr_not_equal(fake_interrupts(), vcpu);
    }
    assert_int_equal(guest->crash.reason, SKEP_CRASH_HYPERCALL);
    guest_gone(guest);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(96 << 20, 1);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pending_event_ends_a_wait_at_once),
        cmocka_unit_test(event_of_a_trap_interrupts_who_has_upcalls_open),
        cmocka_unit_test(wait_ends_at_its_deadline),
        cmocka_unit_test(wait_whose_deadline_passes_meanwhile_ends),
        cmocka_unit_test(timer_event_comes_once),
        cmocka_unit_test(upcall_saves_and_resume_restores),
        cmocka_unit_test(bad_upcall_entry_ends_the_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
