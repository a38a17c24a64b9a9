/*
 * test_reserve.c - reserved memory: what it costs before and after it is touched, and who pays when there is no more.
 */
#include "test.h"

#include <stdio.h>

#include "core/gmem.h"

#define RW      (SKEP_PROT_READ | SKEP_PROT_WRITE)
#define RESERVE (RW | SKEP_MAP_RESERVE)
#define STACK   (RESERVE | SKEP_MAP_STACK)
#define MIB     (1ull << 20)

static struct baseline before;

static int64_t map(struct guest *guest, uint64_t address, uint64_t bytes, uint64_t how)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_MAP, address, bytes, how);
}

static int64_t unmap(struct guest *guest, uint64_t address, uint64_t bytes)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_UNMAP, address, bytes, 0);
}

static int64_t protect(struct guest *guest, uint64_t address, uint64_t bytes, uint64_t prot)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_PROTECT, address, bytes, prot);
}

static bool touch(struct guest *guest, uint64_t address)
{
    return fake_touch(guest->vcpus[0], address, SKEP_FAULT_WRITE);
}

static uint64_t room(const struct guest *guest)
{
    return guest->promise_frames - guest_frames_committed(guest);
}

/* Lowers the promise to what is committed and `frames`. */
static void leave_room(struct guest *guest, uint64_t frames)
{
    struct skep_guest_change change = {
        .changes = SKEP_CHANGE_MEMORY,
        .memory_bytes = (guest_frames_committed(guest) + frames) * PAGE_SIZE,
    };
    assert_int_equal(guest_change(guest, &change), 0);
    assert_int_equal(room(guest), frames);
}

/* Eight times the promise: page tables at once, each page when it is touched, once. */
static void pages_count_when_touched(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = guest->aspace.heap_base, committed = guest_frames_committed(guest);
    assert_int_equal(map(guest, at, 16 * MIB, RW), -SKEP_ENOMEM);
    assert_int_equal(map(guest, at, 16 * MIB, RESERVE), at);
    uint64_t tables = guest_frames_committed(guest) - committed;
    assert_in_range(tables, 8 + 1, 8 + 2); /* it may lie in two GiB */
    for (uint64_t i = 0; i < 8; i++) {
        assert_true(touch(guest, at + i * 2 * MIB));
        assert_true(touch(guest, at + i * 2 * MIB + 1));
        assert_true(fake_touch(guest->vcpus[0], at + i * 2 * MIB, 0));
        assert_int_equal(guest_frames_committed(guest), committed + tables + i + 1);
    }
    struct skep_guest_status status;
    guest_status(guest, &status);
    assert_int_equal(status.memory_committed, (committed + tables + 8) * PAGE_SIZE);
    assert_int_equal(unmap(guest, at, 16 * MIB), 0);
    assert_int_equal(guest_frames_committed(guest), committed);
    assert_int_equal(guest->aspace.reserved_frames, 0);
    guest_gone(guest);
    baseline_check(&before);
}

/* However many are there right before. */
static void pages_come_one_by_one(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 64 * PAGE_SIZE, RESERVE);
    uint64_t committed = guest_frames_committed(guest);
    for (uint64_t i = 0; i < 32; i++) {
        assert_true(touch(guest, at + i * PAGE_SIZE));
        assert_int_equal(guest_frames_committed(guest), committed + i + 1);
    }
    guest_gone(guest);
    baseline_check(&before);
}

/* More than page tables for it could ever be promised is refused, as is a promise that would not hold. */
static void tables_are_promised(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t committed = guest_frames_committed(guest);
    assert_int_equal(map(guest, SKEP_GUEST_VA_MIN, 1ull << 39, RESERVE), -SKEP_ENOMEM);
    assert_int_equal(map(guest, 0, MIB << 10, RESERVE), -SKEP_ENOMEM);
    assert_int_equal(guest_frames_committed(guest), committed);
    guest_gone(guest);
    baseline_check(&before);
}

/* The one that touches ends, with a record that says why, and none beside it. */
static void touch_beyond_the_promise_ends_the_guest(void **state)
{
    (void)state;
    struct guest *neighbour = guest_running(2 * MIB);
    struct guest *guest = fake_find(fake_guest(neighbour->image_handle, 2 * MIB, 1));
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    uint64_t at = (uint64_t)map(guest, 0, MIB, RESERVE);
    leave_room(guest, 2);
    assert_true(touch(guest, at));
    assert_true(touch(guest, at + PAGE_SIZE));
    assert_int_equal(room(guest), 0);
    assert_true(touch(guest, at + 8));
    assert_false(touch(guest, at + 2 * PAGE_SIZE + 5));
    const struct skep_crash *crash = &guest->crash;
    assert_int_equal(crash->reason, SKEP_CRASH_OUT_OF_MEMORY);
    assert_int_equal(crash->address, at + 2 * PAGE_SIZE + 5);
    assert_int_equal(crash->error, SKEP_FAULT_WRITE);
    assert_int_equal(crash->mapping.kind, SKEP_MAPPING_MEMORY);
    char message[128];
    snprintf(message, sizeof(message),
             "a reserved page was touched when all of the guest's %u KiB were used",
             (unsigned)(guest->promise_frames * 4));
    assert_string_equal(crash->message, message);
    assert_int_equal(crash->message_bytes, strlen(crash->message));
    assert_int_equal(neighbour->state, SKEP_GUEST_RUNNING);
    guest_destroy(guest);
    fake_settle();
    guest_gone(neighbour);
    baseline_check(&before);
}

/* However much of the reserved is touched, what was promised is there. */
static void promised_pages_are_always_there(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t reserved = (uint64_t)map(guest, 0, MIB, RESERVE);
    uint64_t promised = (uint64_t)map(guest, 0, MIB / 2, RW);
    leave_room(guest, 10);
    for (uint64_t i = 0; i < 10; i++) {
        assert_true(touch(guest, reserved + i * PAGE_SIZE));
    }
    assert_int_equal(map(guest, 0, PAGE_SIZE, RW), -SKEP_ENOMEM);
    assert_int_equal(map(guest, 0, PAGE_SIZE, STACK), -SKEP_ENOMEM);
    for (uint64_t i = 0; i < MIB / 2; i += PAGE_SIZE) {
        assert_true(touch(guest, promised + i));
    }
    /* What is given back can be had again, by either. */
    assert_int_equal(unmap(guest, reserved, 2 * PAGE_SIZE), 0);
    assert_int_equal(room(guest), 2);
    assert_true(touch(guest, reserved + 10 * PAGE_SIZE));
    assert_true(map(guest, 0, PAGE_SIZE, RW) > 0);
    assert_int_equal(room(guest), 0);
    assert_false(touch(guest, reserved + 11 * PAGE_SIZE));
    guest_gone(guest);
    baseline_check(&before);
}

/* One call that goes through all kinds, in parts: each page is taken off the account that it is on. */
static void mixed_spans_are_unmapped_exactly(void **state)
{
    (void)state;
    enum { RUN = 40 };
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = guest->aspace.heap_base, committed = guest_frames_committed(guest);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t start = at + i * RUN * PAGE_SIZE;
        assert_int_equal(map(guest, start, RUN * PAGE_SIZE, i & 1 ? RESERVE : RW), start);
        for (uint64_t j = i; j < RUN; j += 2) {
            assert_true(touch(guest, start + j * PAGE_SIZE));
        }
    }
    uint64_t touched = guest->aspace.reserved_frames;
    assert_int_equal(touched, 20 + 19);
    assert_int_equal(guest_frames_committed(guest), committed + 2 * RUN + touched + 2);
    /* Three pages, of which two were touched, of a reserved run; then from one run's middle to another's. */
    assert_int_equal(unmap(guest, at + (RUN + 1) * PAGE_SIZE, 3 * PAGE_SIZE), 0);
    assert_int_equal(guest->aspace.reserved_frames, touched - 2);
    assert_int_equal(unmap(guest, at, 2 * RUN * PAGE_SIZE), -SKEP_EFAULT);
    assert_int_equal(unmap(guest, at + 60 * PAGE_SIZE, 80 * PAGE_SIZE), 0);
    assert_int_equal(guest->aspace.reserved_frames, 8 + 10);
    assert_int_equal(guest_frames_committed(guest), committed + RUN + 18 + 2);
    assert_int_equal(unmap(guest, at + 140 * PAGE_SIZE, 20 * PAGE_SIZE), 0);
    assert_int_equal(guest->aspace.reserved_frames, 8);
    guest_gone(guest);
    baseline_check(&before);
}

static void rights_change_no_account(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 16 * MIB, RESERVE & ~(uint64_t)RW);
    uint64_t committed = guest_frames_committed(guest);
    assert_int_equal(protect(guest, at, 16 * MIB, RW), 0);
    assert_int_equal(guest_frames_committed(guest), committed);
    assert_true(touch(guest, at + MIB));
    assert_int_equal(protect(guest, at, 16 * MIB, SKEP_PROT_NONE), 0);
    assert_int_equal(protect(guest, at, 2 * MIB, SKEP_PROT_READ), 0);
    assert_int_equal(guest_frames_committed(guest), committed + 1);
    assert_int_equal(protect(guest, at, PAGE_SIZE, SKEP_PROT_READ | SKEP_PROT_EXEC), -SKEP_EPERM);
    assert_int_equal(protect(guest, at, PAGE_SIZE, RESERVE), -SKEP_EINVAL);
    assert_int_equal(unmap(guest, at, 16 * MIB), 0);
    assert_int_equal(guest->aspace.reserved_frames, 0);
    guest_gone(guest);
    baseline_check(&before);
}

static void promise_is_lowered_to_what_was_touched(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    struct skep_guest_change change = {.changes = SKEP_CHANGE_MEMORY};
    uint64_t at = (uint64_t)map(guest, 0, MIB, RESERVE);
    assert_true(touch(guest, at));
    assert_true(touch(guest, at + PAGE_SIZE));
    change.memory_bytes = (guest_frames_committed(guest) - 1) * PAGE_SIZE;
    assert_int_equal(guest_change(guest, &change), -SKEP_EBUSY);
    change.memory_bytes += PAGE_SIZE;
    assert_int_equal(guest_change(guest, &change), 0);
    assert_int_equal(room(guest), 0);
    change.memory_bytes += PAGE_SIZE;
    assert_int_equal(guest_change(guest, &change), 0);
    assert_true(touch(guest, at + 2 * PAGE_SIZE));
    assert_false(touch(guest, at + 3 * PAGE_SIZE));
    guest_gone(guest);
    baseline_check(&before);
}

static void stacks_begin_with_some_pages(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = guest->aspace.heap_base, committed = guest_frames_committed(guest);
    assert_int_equal(map(guest, at, MIB, STACK), at);
    assert_int_equal(guest->aspace.reserved_frames, SKEP_STACK_READY);
    assert_int_equal(guest_frames_committed(guest), committed + 2 + SKEP_STACK_READY);
    assert_null(fake_at(guest, at + MIB - (SKEP_STACK_READY + 1) * PAGE_SIZE));
    for (uint64_t i = 1; i <= SKEP_STACK_READY; i++) {
        assert_non_null(fake_at(guest, at + MIB - i * PAGE_SIZE));
    }
    assert_int_equal(map(guest, at + MIB, PAGE_SIZE, STACK), at + MIB);
    assert_int_equal(guest->aspace.reserved_frames, SKEP_STACK_READY + 1);
    leave_room(guest, SKEP_STACK_READY - 1);
    uint32_t ranges = guest->aspace.ranges.count;
    assert_int_equal(map(guest, at + 2 * MIB - 64 * PAGE_SIZE, 64 * PAGE_SIZE, STACK),
                     -SKEP_ENOMEM);
    assert_int_equal(guest->aspace.ranges.count, ranges);
    assert_int_equal(room(guest), SKEP_STACK_READY - 1);
    guest_gone(guest);
    baseline_check(&before);
}

static void unknown_ways_are_refused(void **state)
{
    (void)state;
    static const uint64_t bad[] = {RW | SKEP_MAP_STACK,
                                   SKEP_PROT_READ | SKEP_MAP_RESERVE | SKEP_MAP_STACK,
                                   SKEP_MAP_RESERVE | SKEP_MAP_STACK,
                                   SKEP_PROT_EXEC | SKEP_MAP_RESERVE,
                                   RESERVE | 0x400,
                                   RESERVE | 0x80,
                                   RESERVE | 1ull << 32};
    struct guest *guest = guest_running(2 * MIB);
    uint32_t ranges = guest->aspace.ranges.count;
    for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(map(guest, 0, PAGE_SIZE, bad[i]), -SKEP_EINVAL);
    }
    assert_int_equal(guest->aspace.ranges.count, ranges);
    guest_gone(guest);
    baseline_check(&before);
}

/* It can't do with less: what it maps is there, whatever it asks for. */
static void control_service_is_promised_all(void **state)
{
    (void)state;
    struct guest *control = fake_find(1ull << 32 | 1);
    run_until(control->vcpus[0]);
    uint64_t committed = guest_frames_committed(control);
    uint64_t at = (uint64_t)map(control, 0, MIB, STACK);
    assert_true(guest_frames_committed(control) >= committed + 256);
    assert_int_equal(control->aspace.reserved_frames, 0);
    assert_int_equal(unmap(control, at, MIB), 0);
    assert_int_equal(guest_frames_committed(control), committed);
    baseline_check(&before);
}

static int64_t create(uint64_t image, uint64_t frames, uint32_t flags)
{
    struct skep_guest_spec spec = {
        .image = image,
        .memory_bytes = frames * PAGE_SIZE,
        .stack_bytes = MIB,
        .vcpu_count = 1,
        .vcpu_max = 1,
        .weight = 100,
        .console_bytes = 4096,
        .flags = flags,
        .name = "guest",
    };
    return guest_create(fake_find(1ull << 32 | 1), &spec);
}

/* The first stack, for an image that asks for it: as a thread's, its first pages included. */
static void first_stack_is_reserved_if_asked(void **state)
{
    (void)state;
    uint64_t image = fake_image();
    assert_int_equal(create(image, 64, 0), -SKEP_ENOMEM);
    assert_int_equal(create(image, 64, 2), -SKEP_EINVAL);
    struct guest *guest = fake_find((uint64_t)create(image, 64, SKEP_GUEST_STACK_RESERVED));
    assert_non_null(guest);
    uint64_t least = guest_frames_committed(guest) + SKEP_STACK_READY;
    guest_destroy(guest);
    fake_settle();
    assert_int_equal(create(image, least - 1, SKEP_GUEST_STACK_RESERVED), -SKEP_ENOMEM);
    guest = fake_find((uint64_t)create(image, least, SKEP_GUEST_STACK_RESERVED));
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    assert_int_equal(info->stack_bytes, MIB);
    uint64_t top = info->stack_base + MIB;
    for (uint64_t i = 1; i <= SKEP_STACK_READY; i++) {
        assert_true(touch(guest, top - i * PAGE_SIZE));
    }
    assert_false(touch(guest, top - (SKEP_STACK_READY + 1) * PAGE_SIZE));
    assert_int_equal(guest->crash.reason, SKEP_CRASH_OUT_OF_MEMORY);
    assert_int_equal(guest->crash.mapping.kind, SKEP_MAPPING_STACK);
    guest_gone(guest);
    baseline_check(&before);
}

/* Ring 0's own need of a page is a touch. */
static void pointers_to_reserved_pages(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, MIB, RESERVE);
    leave_room(guest, 1);
    assert_int_equal(gmem_copy_out(guest, gva(at), "x", 1), 0);
    assert_int_equal(guest->aspace.reserved_frames, 1);
    assert_int_equal(gmem_copy_out(guest, gva(at + PAGE_SIZE), "x", 1), -SKEP_ENOMEM);
    assert_int_equal(guest->state, SKEP_GUEST_RUNNING);
    fake_hypercall(guest->vcpus[0], SKEP_HC_CONSOLE_WRITE, at + PAGE_SIZE, 1, 0);
    fake_settle();
    assert_int_equal(guest->crash.reason, SKEP_CRASH_OUT_OF_MEMORY);
    assert_int_equal(guest->crash.address, at + PAGE_SIZE);
    assert_int_equal(guest->crash.error, SKEP_HC_CONSOLE_WRITE);
    guest_gone(guest);
    baseline_check(&before);
}

/* An unmapped page that a device still has counts until it lets go; then a touch can have it. */
static void touch_takes_what_a_device_lets_go_of(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, MIB, RESERVE);
    paddr_t pinned;
    leave_room(guest, 1);
    assert_int_equal(gmem_pin(guest, gva(at), true, &pinned), 0);
    assert_int_equal(unmap(guest, at, PAGE_SIZE), 0);
    assert_int_equal(guest->aspace.reserved_frames, 0);
    assert_int_equal(room(guest), 0);
    gmem_unpin(pinned);
    assert_int_equal(room(guest), 0); /* nobody has looked */
    assert_true(touch(guest, at + PAGE_SIZE));
    assert_false(touch(guest, at + 2 * PAGE_SIZE));
    guest_gone(guest);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(64 << 20, 2);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_count_when_touched),
        cmocka_unit_test(pages_come_one_by_one),
        cmocka_unit_test(tables_are_promised),
        cmocka_unit_test(touch_beyond_the_promise_ends_the_guest),
        cmocka_unit_test(promised_pages_are_always_there),
        cmocka_unit_test(mixed_spans_are_unmapped_exactly),
        cmocka_unit_test(rights_change_no_account),
        cmocka_unit_test(promise_is_lowered_to_what_was_touched),
        cmocka_unit_test(stacks_begin_with_some_pages),
        cmocka_unit_test(unknown_ways_are_refused),
        cmocka_unit_test(control_service_is_promised_all),
        cmocka_unit_test(first_stack_is_reserved_if_asked),
        cmocka_unit_test(pointers_to_reserved_pages),
        cmocka_unit_test(touch_takes_what_a_device_lets_go_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
