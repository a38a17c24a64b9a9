/*
 * test_guest.c - a guest's life: creation and its limits, states, crashes, the control service's restart.
 */
#include "test.h"

#include "core/control.h"
#include "core/gmem.h"
#include "core/notify.h"
#include "core/trap.h"
#include "core/wall.h"

#define MIB (1ull << 20)

static struct baseline before;

static void thousand_rounds_leak_nothing(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    struct baseline with_image;
    fake_settle();
    baseline_take(&with_image);
    for (int i = 0; i < 1000; i++) {
        struct guest *guest = fake_find(fake_guest(image, 2 * MIB, 1 + i % 4));
        assert_non_null(guest);
        assert_int_equal(guest_start(guest), 0);
        fake_clock_advance(1000000);
        fake_resume();
        guest_destroy(guest);
        for (int j = 0; j < 20; j++) {
            fake_interrupts();
        }
    }
    baseline_check(&with_image);
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

static void small_promises_fail_cleanly(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    struct baseline with_image;
    baseline_take(&with_image);
    uint64_t smallest = 0;
    for (uint64_t bytes = 0; bytes < MIB; bytes += PAGE_SIZE) {
        uint64_t handle = fake_guest(image, bytes, 2);
        if (handle) {
            smallest = smallest ? smallest : bytes;
            guest_destroy(fake_find(handle));
            fake_settle();
        }
        baseline_check(&with_image);
    }
    assert_in_range(smallest, 64 << 10, 512 << 10);
    assert_int_equal(fake_guest(image, 1ull << 39, 1), 0);
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

static void guests_are_listed_in_order(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    uint64_t handles[3];
    for (int i = 0; i < 3; i++) {
        handles[i] = fake_guest(image, MIB, 1);
    }
    for (int round = 0; round < 2; round++) {
        uint32_t seen = 0;
        for (uint64_t at = 0; (at = guest_next(at));) {
            seen += at == handles[0] || at == handles[1] || at == handles[2];
        }
        assert_int_equal(seen, 3 - round);
        guest_destroy(fake_find(handles[1 + round]));
        fake_settle();
    }
    assert_int_equal(guest_next(handles[0]), 0);
    assert_int_equal(guest_next(UINT64_MAX), 0);
    guest_gone(fake_find(handles[0]));
    baseline_check(&before);
}

/* Guests that another CPU still has hold up only themselves, however many they are. */
static void stuck_guests_do_not_stop_the_reaper(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    struct guest *stuck[20];
    for (uint32_t i = 0; i < ARRAY_COUNT(stuck); i++) {
        stuck[i] = fake_find(fake_guest(image, 640 << 10, 1));
    }
    struct guest *other = fake_find(fake_guest(image, 640 << 10, 1));
    fake_settle();
    for (uint32_t i = 0; i < ARRAY_COUNT(stuck); i++) {
        aspace_enter(stuck[i], 31);
        guest_destroy(stuck[i]);
    }
    guest_end(other, 0);
    fake_resume();
    for (int i = 0; i < 100 && fake_cpu->arch.timer_ns <= arch_clock_ns() + MIB; i++) {
        fake_clock_advance(MIB);
        fake_interrupts();
    }
    assert_int_equal(other->state, SKEP_GUEST_EXITED);
    assert_int_equal(fake_cpu->arch.timer_ns, TIME_NEVER); /* the stuck ones cost nothing */
    for (uint32_t i = 0; i < ARRAY_COUNT(stuck); i++) {
        assert_int_equal(stuck[i]->state, SKEP_GUEST_DYING);
        aspace_leave(stuck[i], 31);
    }
    guest_destroy(other);
    fake_settle();
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

/* Who ends by itself, and who is ended. */
static void killed_guests_are_told_apart(void **state)
{
    (void)state;
    struct skep_guest_status status;
    struct guest *guest = guest_running(2 * MIB);
    guest_kill(guest);
    guest_end(guest, 3);
    fake_settle();
    guest_status(guest, &status);
    assert_int_equal(status.state, SKEP_GUEST_EXITED);
    assert_int_equal(status.crash.reason, SKEP_CRASH_KILLED);
    assert_int_equal(status.exit_code, 0);
    guest_gone(guest);
    guest = guest_running(2 * MIB);
    guest_end(guest, 3);
    guest_kill(guest);
    fake_settle();
    guest_status(guest, &status);
    assert_int_equal(status.state, SKEP_GUEST_EXITED);
    assert_int_equal(status.crash.reason, SKEP_CRASH_NONE);
    assert_int_equal(status.exit_code, 3);
    guest_gone(guest);
    baseline_check(&before);
}

/* Ring 0's own memory: the struct, the root, the ranges, the start-info, the console, and two frames a vCPU. */
static void objects_of_ring_0_are_few(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    for (uint32_t vcpus = 1; vcpus <= 32; vcpus *= 2) {
        struct guest *guest = fake_find(fake_guest(image, MIB, vcpus));
        assert_non_null(guest);
        assert_int_equal(guest->fixed_frames, 5 + VCPU_FRAMES * vcpus);
        guest_destroy(guest);
        fake_settle();
    }
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

/* What was promised is there in whatever pieces the memory is. */
static void fragmented_memory_will_do(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    pfn_t kept = PFN_NONE;
    pfn_t given = PFN_NONE;
    pfn_t pfn;
    while ((pfn = frame_alloc_raw(SKEP_FRAME_CORE, OWNER_CORE))) {
        pfn_t *list = pfn & 1 ? &kept : &given;
        frame_link_set(pfn, *list);
        *list = pfn;
    }
    for (; given; given = pfn) {
        pfn = frame_link(given);
        frame_free(given, 0);
    }
    assert_int_equal(frame_alloc(1, SKEP_FRAME_CORE, OWNER_CORE), PFN_NONE);
    struct guest *guest = fake_find(fake_guest(image, MIB, 32));
    assert_non_null(guest);
    int error;
    while ((error = guest_start(guest)) == -SKEP_EAGAIN) {
    }
    assert_int_equal(error, 0);
    guest_destroy(guest);
    fake_settle();
    for (; kept; kept = pfn) {
        pfn = frame_link(kept);
        frame_free(kept, 0);
    }
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

static void states_change_by_the_rules(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(fake_image(), 2 * MIB, 1));
    assert_int_equal(guest_pause(guest), -SKEP_EBUSY);
    assert_int_equal(guest_shutdown(guest), -SKEP_EBUSY);
    assert_int_equal(guest_start(guest), 0);
    assert_int_equal(guest_start(guest), -SKEP_EBUSY);
    assert_int_equal(guest_pause(guest), 0);
    assert_int_equal(guest->state, SKEP_GUEST_PAUSED);
    fake_clock_advance(10000000);
    assert_ptr_not_equal(fake_interrupts(), guest->vcpus[0]);
    assert_int_equal(guest_start(guest), 0);
    fake_clock_advance(10000000);
    assert_ptr_equal(fake_interrupts(), guest->vcpus[0]);
    assert_int_equal(guest_shutdown(guest), 0);
    assert_int_equal(guest->state, SKEP_GUEST_STOPPING);
    assert_int_equal(guest->vcpus[0]->page->pending, 1u << SKEP_EVENT_SHUTDOWN);
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_HC_EXIT, 7, 0, 0), INT64_MIN);
    fake_settle();
    assert_int_equal(guest->state, SKEP_GUEST_EXITED);
    assert_int_equal(guest->exit_code, 7);
    assert_int_equal(guest_start(guest), -SKEP_EBUSY);
    assert_int_equal(guest->charged_frames, 2);
    guest_gone(guest);
    baseline_check(&before);
}

static void crash_tells_what_happened(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    guest->vcpus[0]->arch.context.rip = guest->image_base + 4;
    trap_fault(guest->vcpus[0], SKEP_CRASH_DIVIDE, 0, 0);
    assert_int_equal(guest->state, SKEP_GUEST_DYING);
    fake_settle();
    struct skep_guest_status status;
    guest_status(guest, &status);
    assert_int_equal(status.state, SKEP_GUEST_CRASHED);
    assert_int_equal(status.crash.reason, SKEP_CRASH_DIVIDE);
    assert_int_equal(status.crash.context.rip, status.image_base + 4);
    assert_int_equal(status.crash.backtrace_count, 1);
    guest_gone(guest);
    baseline_check(&before);
}

static void notifications_tell_and_overflow(void **state)
{
    (void)state;
    struct skep_notification entries[16];
    while (notify_take(entries, 16)) {
    }
    for (int i = 0; i < 300; i++) {
        notify_push((uint64_t)i, SKEP_NOTIFY_STATE);
    }
    assert_int_equal(notify_take(entries, 2), 2);
    assert_int_equal(entries[0].reason, SKEP_NOTIFY_OVERFLOW);
    assert_int_equal(entries[1].handle, 0);
    while (notify_take(entries, 16)) {
    }
}

static struct guest *control_now(void);

/* Its vCPU goes away: nobody may raise events there. The next instance hears of what came meanwhile. */
static void ended_control_service_is_not_notified(void **state)
{
    (void)state;
    struct guest *control = control_now();
    struct skep_vcpu_page *page = control->vcpus[0]->page;
    trap_fault(control->vcpus[0], SKEP_CRASH_INVALID_OPCODE, 0, 0);
    assert_int_equal(control->state, SKEP_GUEST_DYING);
    page->pending = 0;
    notify_push(1, SKEP_NOTIFY_STATE);
    assert_int_equal(page->pending, 0);
    fake_settle();
    control = control_now();
    assert_non_null(control);
    assert_true(control->vcpus[0]->page->pending & 1u << SKEP_EVENT_NOTIFY);
    gmem_copy_out(control, gva(control->aspace.ranges.at[control->aspace.ranges.count - 1].start),
                  "", 1);
    baseline_check(&before);
}

static struct guest *control_now(void)
{
    for (uint64_t index = 1; index < 8; index++) {
        for (uint64_t generation = 1; generation < 2000; generation++) {
            struct guest *found = fake_find(generation << 32 | index);
            if (found && found->is_control && found->state == SKEP_GUEST_RUNNING) {
                return found;
            }
        }
    }
    return NULL;
}

static void control_service_is_started_again(void **state)
{
    (void)state;
    struct guest *control = NULL;
    struct guest *bystander = fake_find(fake_guest(fake_image(), 2 * MIB, 1));
    for (uint32_t i = 1; i <= 4; i++) {
        control = control_now();
        assert_non_null(control);
        trap_fault(control->vcpus[0], SKEP_CRASH_INVALID_OPCODE, 0, 0);
        fake_settle();
        assert_int_equal(control_restarts(), i);
        assert_int_equal(control_safe_mode(), i >= 3);
    }
    assert_int_equal(bystander->state, SKEP_GUEST_CREATED);
    control = control_now();
    gmem_copy_out(control, gva(control->aspace.ranges.at[control->aspace.ranges.count - 1].start),
                  "", 1);
    guest_gone(bystander);
    baseline_check(&before);
}

/* UNIX time reaches a guest that runs by an interrupt, one that doesn't before it runs. */
static void wall_time_follows(void **state)
{
    (void)state;
    struct guest *control = fake_find(1ull << 32 | 1);
    struct guest *guest = fake_find(fake_guest(fake_image(), 2 * MIB, 1));
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    assert_int_equal(guest_start(guest), 0);
    wall_set(0);
    run_until(guest->vcpus[0]);
    assert_int_equal(info->wall_ns, 0);
    bool again;
    const uint64_t set[5] = {SKEP_HOST_WALL, 1700000000123456789};
    assert_int_equal(control_call(control->vcpus[0], SKEP_CTL_HOST_SET, set, &again), 0);
    assert_ptr_equal(fake_resume(), guest->vcpus[0]);
    assert_int_equal(info->wall_ns, 1700000000123456789);
    /* Set on another CPU: this one is interrupted. */
    fake_cpu_set(1);
    wall_set(5);
    fake_cpu_set(0);
    assert_int_equal(fake_cpu->arch.ipis, 1);
    assert_ptr_equal(fake_interrupts(), guest->vcpus[0]);
    assert_int_equal(info->wall_ns, 5);
    /* One that doesn't run. */
    assert_int_equal(guest_pause(guest), 0);
    fake_interrupts();
    wall_set(6);
    fake_settle();
    assert_int_equal(info->wall_ns, 5);
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    assert_int_equal(info->wall_ns, 6);
    guest_gone(guest);
    baseline_check(&before);
}

/* Whoever lets go of a port wakes the reaper, and the port may be of a guest whose creation fails: it is freed by that
 * alone, so it must not come into the reaper's list. */
static void only_ended_guests_are_reaped(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(fake_image(), MIB, 1));
    assert_non_null(guest);
    reap_wake(guest);
    assert_int_equal(guest->reap_state, REAP_LIVE);
    fake_settle();
    assert_non_null(guest->image);
    assert_int_equal(guest->state, SKEP_GUEST_CREATED);
    assert_int_equal(guest_start(guest), 0);
    guest_gone(guest);
    baseline_check(&before);
}

/* A CPU stays on the tables of a guest that waits, comes back without loading them, and leaves them when it ends. */
static void waiting_guest_keeps_its_tables(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(fake_image(), 2 * MIB, 1));
    struct vcpu *vcpu = guest->vcpus[0];
    assert_int_equal(guest_start(guest), 0);
    struct cpu *cpu = fake_cpu_set(1);
    while (fake_interrupts() != vcpu) {
        fake_clock_advance(10000000);
    }
    fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0);
    assert_null(fake_resume());
    assert_ptr_equal(cpu->space, guest);
    assert_null(cpu->loaded);
    cpu->arch.ipis = 0;
    fake_cpu_set(0);
    guest_kill(guest);
    assert_int_equal(cpu->arch.ipis, 1);
    for (int i = 0; i < 100; i++) {
        fake_interrupts();
    }
    assert_int_equal(guest->state, SKEP_GUEST_DYING);
    fake_cpu_set(1);
    assert_null(fake_interrupts());
    assert_null(cpu->space);
    fake_settle();
    assert_int_equal(guest->state, SKEP_GUEST_EXITED);
    fake_cpu_set(0);
    guest_gone(guest);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(96 << 20, 2);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_follows),
        cmocka_unit_test(thousand_rounds_leak_nothing),
        cmocka_unit_test(small_promises_fail_cleanly),
        cmocka_unit_test(guests_are_listed_in_order),
        cmocka_unit_test(stuck_guests_do_not_stop_the_reaper),
        cmocka_unit_test(only_ended_guests_are_reaped),
        cmocka_unit_test(waiting_guest_keeps_its_tables),
        cmocka_unit_test(killed_guests_are_told_apart),
        cmocka_unit_test(objects_of_ring_0_are_few),
        cmocka_unit_test(fragmented_memory_will_do),
        cmocka_unit_test(states_change_by_the_rules),
        cmocka_unit_test(crash_tells_what_happened),
        cmocka_unit_test(notifications_tell_and_overflow),
        cmocka_unit_test(control_service_is_started_again),
        cmocka_unit_test(ended_control_service_is_not_notified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
