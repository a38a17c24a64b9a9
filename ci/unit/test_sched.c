/*
 * test_sched.c - the scheduler on the virtual clock: shares by weight, work conservation, wake-ups, seeded loads.
 */
#include "test.h"

#include <stdlib.h>

#include "core/event.h"
#include "core/sched.h"

#define MIB        (1ull << 20)
#define TICK_NS    100000ull
#define GUESTS_MAX 32

static struct baseline before;
static uint64_t image;

static struct guest *spinner(uint32_t weight)
{
    struct guest *guest = fake_find(fake_guest(image, MIB, 1));
    assert_non_null(guest);
    struct sched_params params = {.weight = weight};
    assert_int_equal(sched_params_set(guest, &params), 0);
    assert_int_equal(guest_start(guest), 0);
    return guest;
}

/* Runs all CPUs for a while; `step` is called for what runs. Counts the ticks in which a CPU idled although
 * something was runnable. */
static uint64_t run(uint64_t ticks, void (*step)(struct vcpu *))
{
    uint64_t idle = 0;
    for (uint64_t t = 0; t < ticks; t++) {
        fake_clock_advance(TICK_NS);
        for (uint32_t i = 0; i < cpu_count(); i++) {
            struct cpu *cpu = fake_cpu_set(i);
            bool due = cpu->resched || cpu->arch.ipis || cpu->arch.timer_ns <= arch_clock_ns();
            struct vcpu *vcpu = due ? fake_interrupts() : cpu->current;
            if (vcpu && step) {
                step(vcpu);
            }
            idle += vcpu == NULL;
        }
    }
    fake_cpu_set(0);
    return idle;
}

static void control_waits(void)
{
    struct guest *control = fake_find(1ull << 32 | 1);
    control->vcpus[0]->page->mask = UINT64_MAX;
    while (control->vcpus[0]->state != VCPU_BLOCKED) {
        if (fake_interrupts() == control->vcpus[0]) {
            fake_hypercall(control->vcpus[0], SKEP_HC_WAIT, TIME_NEVER, 0, 0);
        }
        fake_clock_advance(TICK_NS);
    }
}

static void shares_follow_weights(void **state)
{
    (void)state;
    struct guest *guests[GUESTS_MAX];
    uint32_t total = 0;
    for (uint32_t i = 0; i < 8; i++) {
        guests[i] = spinner(100 * (1 + i % 4));
        total += guests[i]->share.params.weight;
    }
    run(100, NULL);
    uint64_t start[8];
    for (uint32_t i = 0; i < 8; i++) {
        start[i] = sched_run_ns(guests[i]->vcpus[0]);
    }
    uint64_t ticks = 40000;
    assert_int_equal(run(ticks, NULL), 0);
    for (uint32_t i = 0; i < 8; i++) {
        uint64_t got = sched_run_ns(guests[i]->vcpus[0]) - start[i];
        uint64_t due = ticks * TICK_NS * cpu_count() * guests[i]->share.params.weight / total;
        assert_in_range(got, due * 98 / 100, due * 102 / 100);
    }
    for (uint32_t i = 0; i < 8; i++) {
        guest_destroy(guests[i]);
    }
    fake_settle();
}

static void nobody_idles_while_work_waits(void **state)
{
    (void)state;
    struct guest *guests[5];
    for (int i = 0; i < 5; i++) {
        guests[i] = spinner(100);
    }
    run(10, NULL);
    assert_int_equal(run(5000, NULL), 0);
    for (int i = 0; i < 4; i++) {
        guest_destroy(guests[i]);
        run(50, NULL);
        assert_int_equal(run(1000, NULL), i ? 1000u * (unsigned)i : 0);
    }
    guest_destroy(guests[4]);
    fake_settle();
}

/* Sleeps now and then, by the seed. */
static void sleeps_at_random(struct vcpu *vcpu)
{
    if (rand() % 4 == 0) {
        uint64_t until = arch_clock_ns() + (uint64_t)(rand() % 50) * TICK_NS;
        fake_hypercall(vcpu, SKEP_HC_WAIT, until, 0, 0);
        fake_resume();
    }
}

static void seeded_loads_starve_nobody(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct guest *guests[GUESTS_MAX];
        srand(seed);
        for (int i = 0; i < GUESTS_MAX; i++) {
            guests[i] = spinner(1 + (uint32_t)rand() % 1000);
        }
        run(4000, sleeps_at_random);
        for (int i = 0; i < GUESTS_MAX; i++) {
            assert_true(sched_run_ns(guests[i]->vcpus[0]) > 0);
            guest_destroy(guests[i]);
        }
        fake_settle();
    }
}

static void sleeper_wakes_at_once(void **state)
{
    (void)state;
    struct guest *busy[4];
    for (int i = 0; i < 4; i++) {
        busy[i] = spinner(100);
    }
    struct guest *sleeper = spinner(100);
    fake_cpu_set(0);
    while (fake_interrupts() != sleeper->vcpus[0]) {
        fake_clock_advance(TICK_NS);
    }
    fake_hypercall(sleeper->vcpus[0], SKEP_HC_WAIT, arch_clock_ns() + 300000000, 0, 0);
    fake_resume();
    run(3000, NULL);
    uint64_t waited = 0;
    while (sleeper->vcpus[0]->state != VCPU_RUNNING && waited < 100) {
        run(1, NULL);
        waited++;
    }
    assert_true(waited <= 2);
    for (int i = 0; i < 4; i++) {
        guest_destroy(busy[i]);
    }
    guest_destroy(sleeper);
    fake_settle();
}

/* While a CPU looks, or is about to, it is not told again; and nobody holds a lock when it is. */
static void one_interrupt_wakes_a_cpu(void **state)
{
    (void)state;
    struct guest *guests[2] = {spinner(100), spinner(100)};
    const struct sched_params there = {.weight = 100, .affinity = 2};
    struct cpu *other = cpu_at(1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sched_params_set(guests[i], &there), 0);
        guests[i]->vcpus[0]->page->mask = ~1ull;
    }
    run(10, NULL);
    for (int i = 0; i < 2; i++) {
        struct vcpu *vcpu = guests[i]->vcpus[0];
        fake_cpu_set(1);
        while (fake_cpu->current != vcpu) {
            fake_clock_advance(TICK_NS);
            fake_interrupts();
        }
        fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0);
        fake_resume();
    }
    assert_null(other->current);
    fake_cpu_set(0);
    other->arch.ipis = 0;
    event_raise(guests[0]->vcpus[0], 0);
    event_raise(guests[1]->vcpus[0], 0);
    assert_int_equal(other->arch.ipis, 0);
    fake_resume();
    assert_int_equal(other->arch.ipis, 1);
    fake_resume();
    assert_int_equal(other->arch.ipis, 1);
    fake_cpu_set(1);
    assert_non_null(fake_interrupts());
    fake_cpu_set(0);
    for (int i = 0; i < 2; i++) {
        guest_destroy(guests[i]);
    }
    fake_settle();
}

/* It chooses anew neither after a hypercall that wakes somebody elsewhere, */
static void who_tells_another_cpu_goes_on(void **state)
{
    (void)state;
    struct guest *caller = fake_find(fake_guest(image, MIB, 2));
    assert_non_null(caller);
    struct vcpu *first = caller->vcpus[0], *second;
    assert_int_equal(guest_start(caller), 0);
    run(10, NULL);
    fake_cpu_set(first->cpu);
    /* With whatever is at its entry as registers. */
    assert_int_equal(fake_hypercall(first, SKEP_HC_VCPU_START, 1, first->arch.context.rip, 0), 0);
    second = caller->vcpus[1];
    run(10, NULL);
    assert_int_equal(second->state, VCPU_RUNNING);
    struct cpu *other = fake_cpu_set(second->cpu), *self = cpu_at(first->cpu);
    assert_ptr_not_equal(other, self);
    fake_hypercall(second, SKEP_HC_WAIT, TIME_NEVER, 0, 0);
    assert_null(fake_resume());
    other->arch.ipis = 0;
    fake_cpu_set(self->index);
    self->resched = 0;
    assert_int_equal(fake_hypercall(first, SKEP_HC_EVENT_SEND, 1, SKEP_EVENT_IPI, 0), 0);
    assert_int_equal(other->arch.ipis, 1);
    assert_int_equal(self->resched, 0);
    guest_destroy(caller);
    fake_settle();
    fake_cpu_set(0);
}

/* nor after a choice by which somebody is for another CPU. */
static void who_sends_a_vcpu_away_chooses_once(void **state)
{
    (void)state;
    struct guest *anywhere = spinner(100), *here = spinner(100);
    run(10, NULL);
    struct cpu *self = fake_cpu_set(anywhere->vcpus[0]->cpu);
    struct cpu *other = cpu_at(here->vcpus[0]->cpu);
    uint32_t both = 1u << self->index | 1u << other->index;
    const struct sched_params two = {.weight = 100, .affinity = both};
    const struct sched_params one = {.weight = 100, .affinity = 1u << self->index};
    assert_ptr_not_equal(other, self);
    assert_int_equal(sched_params_set(anywhere, &two), 0);
    assert_int_equal(sched_params_set(here, &one), 0);
    fake_cpu_set(other->index);
    assert_null(fake_interrupts());
    fake_cpu_set(self->index);
    assert_int_equal(other->arch.ipis, 0);
    assert_ptr_equal(sched_next(self, arch_clock_ns()), here->vcpus[0]);
    assert_int_equal(other->arch.ipis, 1);
    assert_int_equal(self->resched, 0);
    guest_destroy(anywhere);
    guest_destroy(here);
    fake_settle();
    fake_cpu_set(0);
}

/* As by an interrupt: without a queue, since nobody else waits. It counts as waiting until it runs, and may still be held. */
static void idle_cpu_takes_whom_it_wakes(void **state)
{
    (void)state;
    struct guest *guest = spinner(100);
    struct vcpu *vcpu = guest->vcpus[0];
    run(10, NULL);
    assert_int_equal(vcpu->state, VCPU_RUNNING);
    fake_cpu_set(vcpu->cpu);
    vcpu->page->mask = vcpu->page->pending = 0;
    for (int i = 0; i < 3; i++) {
        bool is_held = i == 1;
        fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0);
        assert_null(fake_resume());
        fake_clock_advance(TICK_NS);
        uint64_t ran = vcpu->run_ns, was_ready = vcpu->ready_ns, switches = vcpu->switches;
        uint64_t saves = vcpu->arch.saves;
        event_raise(vcpu, SKEP_EVENT_QUEUE_0);
        assert_ptr_equal(fake_cpu->current, vcpu);
        assert_false(vcpu->queued);
        fake_clock_advance(TICK_NS);
        assert_int_equal(sched_run_ns(vcpu), ran);
        assert_int_equal(sched_ready_ns(vcpu), was_ready + TICK_NS);
        if (is_held) {
            sched_hold(vcpu, VCPU_HOLD_PAUSED);
            assert_null(fake_resume());
            assert_int_equal(vcpu->state, VCPU_RUNNABLE);
            sched_unhold(vcpu, VCPU_HOLD_PAUSED);
        }
        assert_ptr_equal(fake_resume(), vcpu);
        assert_int_equal(vcpu->run_ns, ran);
        assert_int_equal(vcpu->ready_ns, was_ready + TICK_NS);
        assert_int_equal(vcpu->switches, switches + 1 + is_held);
        assert_int_equal(vcpu->arch.saves, saves);
        vcpu->page->pending = 0;
    }
    guest_destroy(guest);
    fake_settle();
    fake_cpu_set(0);
}

static void idle_machine_has_no_timer(void **state)
{
    (void)state;
    run(100, NULL);
    for (uint32_t i = 0; i < cpu_count(); i++) {
        fake_cpu_set(i);
        assert_null(fake_interrupts());
        assert_int_equal(fake_cpu->arch.timer_ns, TIME_NEVER);
    }
    fake_cpu_set(0);
}

/* What comes together in months must not overflow: the next refill would lie in the past, and be looked for at once
 * and again. */
static void budget_survives_a_long_sleep(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(image, MIB, 1));
    assert_non_null(guest);
    struct sched_params params = {.weight = 100, .cap = CAP_MAX};
    assert_int_equal(sched_params_set(guest, &params), 0);
    fake_clock_advance(UINT64_MAX / CAP_MAX + 2);
    uint64_t now = arch_clock_ns();
    assert_int_equal(share_refill_next(), TIME_NEVER);
    share_charge(&guest->share, 100000000000, now); /* more than it can save up */
    assert_true(share_capped(&guest->share));
    assert_in_range(share_refill_next(), now + 1, now + 100000000000);
    guest_destroy(guest);
    fake_settle();
    assert_int_equal(share_refill_next(), TIME_NEVER);
}

static void all_is_given_back(void **state)
{
    (void)state;
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(128 << 20, 4);
    control_waits();
    baseline_take(&before);
    image = fake_image();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(nobody_idles_while_work_waits),
        cmocka_unit_test(seeded_loads_starve_nobody),
        cmocka_unit_test(sleeper_wakes_at_once),
        cmocka_unit_test(one_interrupt_wakes_a_cpu),
        cmocka_unit_test(who_tells_another_cpu_goes_on),
        cmocka_unit_test(who_sends_a_vcpu_away_chooses_once),
        cmocka_unit_test(idle_cpu_takes_whom_it_wakes),
        cmocka_unit_test(idle_machine_has_no_timer),
        cmocka_unit_test(budget_survives_a_long_sleep),
        cmocka_unit_test(all_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
