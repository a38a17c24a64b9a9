/*
 * test_change.c - settings that change while a guest runs: all or nothing, vCPUs made, held and let go.
 */
#include "test.h"

#include "core/sched.h"

#define MIB (1ull << 20)

static struct baseline before;
static uint64_t image;

/* A running guest that may have up to `max` vCPUs. */
static struct guest *guest_of(uint64_t memory_bytes, uint32_t count, uint32_t max)
{
    struct skep_guest_spec spec = {
        .image = image,
        .memory_bytes = memory_bytes,
        .stack_bytes = 16384,
        .vcpu_count = count,
        .vcpu_max = max,
        .weight = 100,
        .console_bytes = 4096,
        .name = "guest",
    };
    int64_t handle = guest_create(fake_find(1ull << 32 | 1), &spec);
    assert_true(handle > 0);
    struct guest *guest = fake_find((uint64_t)handle);
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    return guest;
}

static void end(struct guest *guest)
{
    guest_destroy(guest);
    fake_settle();
}

static struct skep_start_info *info_of(struct guest *guest)
{
    return frame_data(guest->start_info[0]);
}

/* Starts a sibling as the guest would, with its context at the end of the first stack. */
static int64_t start_sibling(struct guest *guest, uint32_t index)
{
    uint64_t at = info_of(guest)->stack_base;
    struct vcpu *vcpu = guest->vcpus[0];
    run_until(vcpu);
    assert_true(fake_touch(vcpu, at, SKEP_FAULT_WRITE));
    return fake_hypercall(vcpu, SKEP_HC_VCPU_START, index, at, 0);
}

static int set_vcpus(struct guest *guest, uint32_t count, bool force)
{
    struct skep_guest_change change = {
        .changes = SKEP_CHANGE_VCPUS | (force ? SKEP_CHANGE_FORCE : 0),
        .vcpu_count = count,
    };
    return guest_change(guest, &change);
}

static bool change_was_told(struct guest *guest)
{
    uint64_t bit = 1ull << SKEP_EVENT_CHANGE;
    return atomic_fetch_and(&guest->vcpus[0]->page->pending, ~bit) & bit;
}

static enum skep_vcpu_state state_of(struct guest *guest, uint32_t index)
{
    struct skep_vcpu_status status;
    assert_int_equal(guest_vcpu_status(guest, index, &status), 0);
    return status.state;
}

static void bad_values_change_nothing(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 4);
    static const struct skep_guest_change bad[] = {
        {.changes = SKEP_CHANGE_WEIGHT, .weight = 0},
        {.changes = SKEP_CHANGE_WEIGHT, .weight = WEIGHT_MAX + 1},
        {.changes = SKEP_CHANGE_CAP, .cpu_cap = CAP_MAX + 1},
        {.changes = SKEP_CHANGE_AFFINITY, .cpu_affinity = 1ull << 2},
        {.changes = SKEP_CHANGE_AFFINITY, .cpu_affinity = 1ull << 63},
        {.changes = SKEP_CHANGE_VCPUS, .vcpu_count = 0},
        {.changes = SKEP_CHANGE_VCPUS, .vcpu_count = 5},
        {.changes = SKEP_CHANGE_FORCE},
        {.changes = 1u << 6},
        {.changes = SKEP_CHANGE_WEIGHT | SKEP_CHANGE_VCPUS, .weight = 7, .vcpu_count = 5},
        {.changes = SKEP_CHANGE_WEIGHT | SKEP_CHANGE_CAP, .weight = 7, .cpu_cap = CAP_MAX + 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(guest_change(guest, &bad[i]), -SKEP_EINVAL);
    }
    struct skep_guest_status status;
    guest_status(guest, &status);
    assert_int_equal(status.weight, 100);
    assert_int_equal(status.cpu_cap, 0);
    assert_int_equal(status.cpu_affinity, 0);
    assert_int_equal(status.vcpu_count, 1);
    assert_int_equal(status.vcpu_max, 4);
    end(guest);
}

static void good_values_are_shown(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 1);
    struct skep_guest_change change = {
        .changes = SKEP_CHANGE_WEIGHT | SKEP_CHANGE_CAP | SKEP_CHANGE_AFFINITY,
        .weight = WEIGHT_MAX,
        .cpu_cap = 150,
        .cpu_affinity = 2,
        .vcpu_count = 99, /* not looked at */
    };
    assert_int_equal(guest_change(guest, &change), 0);
    struct skep_guest_status status;
    guest_status(guest, &status);
    assert_int_equal(status.weight, WEIGHT_MAX);
    assert_int_equal(status.cpu_cap, 150);
    assert_int_equal(status.cpu_affinity, 2);
    guest_destroy(guest);
    assert_int_equal(guest_change(guest, &change), -SKEP_EBUSY);
    fake_settle();
}

static void further_vcpus_are_paid_for_when_allowed(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 32);
    assert_null(guest->vcpus[1]);
    assert_int_equal(state_of(guest, 1), SKEP_VCPU_OFF);
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_HC_EVENT_SEND, 1, 0, 0), -SKEP_EINVAL);
    assert_int_equal(start_sibling(guest, 1), -SKEP_EINVAL);
    uint64_t charged = guest->charged_frames;
    assert_int_equal(set_vcpus(guest, 3, false), 0);
    assert_int_equal(guest->charged_frames, charged + 2 * VCPU_FRAMES);
    assert_int_equal(info_of(guest)->vcpu_count, 3);
    assert_true(change_was_told(guest));
    assert_int_equal(start_sibling(guest, 2), 0);
    assert_int_equal(start_sibling(guest, 3), -SKEP_EINVAL);
    /* Once paid for it stays. */
    assert_int_equal(set_vcpus(guest, 2, false), 0);
    assert_int_equal(set_vcpus(guest, 3, false), 0);
    assert_int_equal(guest->charged_frames, charged + 2 * VCPU_FRAMES);
    end(guest);
}

static void vcpus_beyond_the_promise_are_refused(void **state)
{
    (void)state;
    struct guest *guest = guest_of(160 << 10, 1, 32);
    struct skep_guest_change change = {
        .changes = SKEP_CHANGE_WEIGHT | SKEP_CHANGE_VCPUS, .weight = 7, .vcpu_count = 32};
    assert_int_equal(guest_change(guest, &change), -SKEP_ENOMEM);
    assert_int_equal(guest->vcpu_count, 1);
    assert_int_equal(guest->share.params.weight, 100);
    assert_false(change_was_told(guest));
    end(guest);
}

static void untouched_vcpu_page_is_no_memory(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 2);
    assert_true(fake_touch(guest->vcpus[0], info_of(guest)->vcpu_pages, SKEP_FAULT_WRITE));
    assert_false(
        fake_touch(guest->vcpus[0], info_of(guest)->vcpu_pages + PAGE_SIZE, SKEP_FAULT_WRITE));
    assert_int_equal(guest->crash.reason, SKEP_CRASH_PAGE_FAULT);
    end(guest);
}

static void surplus_vcpus_are_asked_then_held(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 2, 2);
    assert_int_equal(start_sibling(guest, 1), 0);
    run_until(guest->vcpus[1]);
    assert_int_equal(set_vcpus(guest, 1, false), 0);
    assert_true(change_was_told(guest));
    assert_int_equal(state_of(guest, 1), SKEP_VCPU_RUNNING);
    /* Its siblings may still speak to it. */
    run_until(guest->vcpus[0]);
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_HC_EVENT_SEND, 1, SKEP_EVENT_IPI, 0), 0);
    assert_int_equal(set_vcpus(guest, 1, true), 0);
    assert_false(change_was_told(guest));
    for (int i = 0; i < 20; i++) {
        fake_clock_advance(10000000);
        assert_ptr_not_equal(fake_interrupts(), guest->vcpus[1]);
    }
    assert_int_equal(state_of(guest, 1), SKEP_VCPU_HELD);
    assert_int_equal(set_vcpus(guest, 2, false), 0);
    run_until(guest->vcpus[1]);
    /* A stopped one can't come back while it is beyond. */
    fake_hypercall(guest->vcpus[1], SKEP_HC_VCPU_STOP, 0, 0, 0);
    fake_resume();
    assert_int_equal(set_vcpus(guest, 1, false), 0);
    assert_int_equal(start_sibling(guest, 1), -SKEP_EINVAL);
    end(guest);
}

static void vcpus_made_in_a_pause_wait_for_its_end(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 2);
    assert_int_equal(guest_pause(guest), 0);
    assert_int_equal(state_of(guest, 0), SKEP_VCPU_HELD);
    assert_int_equal(set_vcpus(guest, 2, false), 0);
    assert_int_equal(guest->vcpus[1]->hold, VCPU_HOLD_PAUSED);
    assert_int_equal(guest_start(guest), 0);
    assert_int_equal(guest->vcpus[1]->hold, 0);
    assert_int_equal(start_sibling(guest, 1), 0);
    run_until(guest->vcpus[1]);
    end(guest);
}

static void calls_are_counted_by_number(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 1);
    struct vcpu *vcpu = guest->vcpus[0];
    for (int i = 0; i < 5; i++) {
        fake_hypercall(vcpu, SKEP_HC_CLOCK_READ, 0, 0, 0);
    }
    fake_hypercall(vcpu, 1000, 0, 0, 0);
    fake_hypercall(vcpu, SKEP_HC_CONTROL_FIRST, 0, 0, 0);
    fake_hypercall(vcpu, SKEP_HC_EVENT_SEND, 0, SKEP_EVENT_IPI, 0);
    struct skep_vcpu_status status;
    assert_int_equal(guest_vcpu_status(guest, 0, &status), 0);
    assert_int_equal(status.hypercalls[SKEP_HC_CLOCK_READ], 5);
    assert_int_equal(status.hypercalls[SKEP_HC_EVENT_SEND], 1);
    assert_int_equal(status.hypercalls[SKEP_HC_GUEST_COUNT], 2);
    assert_int_equal(status.events, 1);
    assert_int_equal(guest_vcpu_status(guest, 1, &status), -SKEP_EINVAL);
    end(guest);
}

static void stats_are_copied(void **state)
{
    (void)state;
    struct guest *guest = guest_of(MIB, 1, 1);
    struct skep_stat *told =
        (struct skep_stat *)(void *)((uint8_t *)guest->vcpus[0]->page + SKEP_STATS_OFFSET);
    struct skep_stat stats[SKEP_STATS_MAX];
    assert_int_equal(guest_stats(guest, stats), 0);
    assert_int_equal(stats[0].name[0], 0);
    memset(told, 0xa5, sizeof(stats)); /* whatever it is */
    assert_int_equal(guest_stats(guest, stats), 0);
    assert_memory_equal(stats, told, sizeof(stats));
    end(guest);
}

static void all_is_given_back(void **state)
{
    (void)state;
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

/* Many vCPUs are made some at a time; what they need was reserved before, or nothing changes. */
static void many_vcpus_come_in_parts(void **state)
{
    (void)state;
    struct skep_guest_change change = {
        .changes = SKEP_CHANGE_VCPUS | SKEP_CHANGE_MEMORY | SKEP_CHANGE_WEIGHT,
        .weight = 7,
        .vcpu_count = 32,
        .memory_bytes = 640 << 10,
    };
    struct guest *guest = guest_of(512 << 10, 1, 32);
    uint64_t promised = promise_taken();
    uint64_t committed = guest_frames_committed(guest);
    change.memory_bytes = (committed + 31 * VCPU_FRAMES - 1) * PAGE_SIZE;
    assert_int_equal(guest_change(guest, &change), -SKEP_EBUSY); /* the vCPUs fit only without */
    assert_int_equal(promise_taken(), promised);
    assert_int_equal(guest_frames_committed(guest), committed);
    assert_int_equal(info_of(guest)->memory_bytes, 512 << 10);
    change.memory_bytes += PAGE_SIZE;
    uint32_t parts = 1;
    int error;
    while ((error = guest_change(guest, &change)) == -SKEP_EAGAIN) {
        assert_int_equal(guest->vcpu_count, 1);
        parts++;
    }
    assert_int_equal(error, 0);
    assert_int_equal(parts, 8);
    assert_int_equal(guest->vcpu_count, 32);
    assert_int_equal(info_of(guest)->memory_bytes, change.memory_bytes);
    assert_int_equal(guest_frames_committed(guest), guest->promise_frames);
    assert_true(change_was_told(guest));
    assert_int_equal(guest_change(guest, &change), 0);
    assert_false(change_was_told(guest));
    assert_int_equal(start_sibling(guest, 31), 0);
    end(guest);
}

/* A guest that begins with many: the first are made with it, the others when it is started. */
static void many_vcpus_are_made_at_the_start(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(image, 640 << 10, 32));
    uint64_t committed = guest_frames_committed(guest);
    assert_null(guest->vcpus[31]);
    uint32_t parts = 1;
    while (guest_start(guest) == -SKEP_EAGAIN) {
        assert_int_equal(guest->state, SKEP_GUEST_CREATED);
        parts++;
    }
    assert_int_equal(parts, 7);
    assert_int_equal(guest->state, SKEP_GUEST_RUNNING);
    assert_non_null(guest->vcpus[31]);
    assert_int_equal(guest_frames_committed(guest), committed);
    end(guest);
}

int main(void)
{
    fake_boot(64 << 20, 2);
    baseline_take(&before);
    image = fake_image();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_values_change_nothing),
        cmocka_unit_test(good_values_are_shown),
        cmocka_unit_test(further_vcpus_are_paid_for_when_allowed),
        cmocka_unit_test(vcpus_beyond_the_promise_are_refused),
        cmocka_unit_test(untouched_vcpu_page_is_no_memory),
        cmocka_unit_test(surplus_vcpus_are_asked_then_held),
        cmocka_unit_test(vcpus_made_in_a_pause_wait_for_its_end),
        cmocka_unit_test(calls_are_counted_by_number),
        cmocka_unit_test(many_vcpus_come_in_parts),
        cmocka_unit_test(many_vcpus_are_made_at_the_start),
        cmocka_unit_test(stats_are_copied),
        cmocka_unit_test(all_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
