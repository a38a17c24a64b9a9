/*
 * test_hypercall.c - hypercall arguments: wild pointers end the caller, all else is an error; random calls break
 * nothing.
 */
#include "test.h"

#include <stdlib.h>

#include "core/trap.h"

#define MIB (1ull << 20)

static struct baseline before;

static const uint64_t wild[] = {
    8,
    0x1000,
    0xfffff,
    0x7fffffffe000ull,
    0x7fffffffffffull,
    0x800000000000ull,
    0xffff800000000000ull,
    0xffffffff80000000ull,
    UINT64_MAX - 8,
    UINT64_MAX,
};

static void wild_pointers_end_the_caller(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        unsigned pointer;
    } calls[] = {
        {SKEP_HC_CONSOLE_WRITE, 0}, {SKEP_HC_ABORT, 0},       {SKEP_HC_RESUME, 0},
        {SKEP_HC_VCPU_START, 1},    {SKEP_HC_QUEUE_SETUP, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(wild); j++) {
            struct guest *guest = guest_running(MIB);
            uint64_t a[2] = {0, 64};
            a[calls[i].pointer] = wild[j];
            fake_hypercall(guest->vcpus[0], calls[i].number, a[0], a[1], 0);
            assert_int_equal(guest->crash.reason, SKEP_CRASH_HYPERCALL);
            assert_int_equal(guest->crash.address, wild[j]);
            assert_int_equal(guest->crash.error, calls[i].number);
            guest_gone(guest);
        }
    }
    baseline_check(&before);
}

static void groups_have_devices(void **state)
{
    (void)state;
    const uint64_t mac = 0x01005e000001ull;
    struct vcpu *vcpu = guest_running(MIB)->vcpus[0];
    for (uint64_t join = 0; join < 2; join++) {
        assert_int_equal(fake_hypercall(vcpu, SKEP_HC_NET_GROUP, 3, mac, join), -SKEP_ENODEV);
        assert_int_equal(fake_hypercall(vcpu, SKEP_HC_NET_GROUP, 4, mac, join), -SKEP_EINVAL);
        assert_int_equal(fake_hypercall(vcpu, SKEP_HC_NET_GROUP, 1ull << 32, mac, join),
                         -SKEP_EINVAL);
        assert_int_equal(fake_hypercall(vcpu, SKEP_HC_NET_GROUP, 0, 1ull << 48, join),
                         -SKEP_EINVAL);
    }
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_NET_GROUP, 0, mac, 2), -SKEP_EINVAL);
    guest_gone(vcpu->guest);
}

static void unknown_numbers_are_told(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_HC_GUEST_COUNT, 0, 0, 0), -SKEP_ENOSYS);
    assert_int_equal(fake_hypercall(guest->vcpus[0], UINT64_MAX, 0, 0, 0), -SKEP_ENOSYS);
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_CTL_END, 0, 0, 0), -SKEP_ENOSYS);
    for (uint64_t n = SKEP_HC_CONTROL_FIRST; n < SKEP_CTL_END; n++) {
        assert_int_equal(fake_hypercall(guest->vcpus[0], n, 1, 1, 1), -SKEP_EPERM);
    }
    assert_int_equal(guest->state, SKEP_GUEST_RUNNING);
    guest_gone(guest);
    baseline_check(&before);
}

/* A call that is restarted is one call. */
static void calls_are_counted_for_the_cpu(void **state)
{
    (void)state;
    struct guest *guest = guest_running(4 * MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    uint64_t count = fake_cpu->hypercalls;
    uint64_t bytes = 2 * MIB;
    uint64_t at = (uint64_t)fake_hypercall(vcpu, SKEP_HC_MEM_MAP, 0, bytes, SKEP_PROT_WRITE);
    for (uint64_t i = 0; i < bytes; i += PAGE_SIZE) {
        assert_true(fake_touch(vcpu, at + i, SKEP_FAULT_WRITE));
    }
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_MEM_UNMAP, at, bytes, 0), 0);
    fake_hypercall(vcpu, SKEP_HC_CLOCK_READ, 0, 0, 0);
    assert_int_equal(fake_cpu->hypercalls - count, 3);
    assert_int_equal(vcpu_hypercalls(vcpu), 3);
    guest_gone(guest);
    baseline_check(&before);
}

/* The guest's compiler relies on its arguments being as before, however often a call is restarted. */
static void long_calls_leave_the_arguments_alone(void **state)
{
    (void)state;
    struct guest *guest = guest_running(4 * MIB);
    struct vcpu *vcpu = guest->vcpus[0];
    struct skep_context *context = &vcpu->arch.context;
    uint64_t bytes = 2 * MIB;
    uint64_t at = (uint64_t)fake_hypercall(vcpu, SKEP_HC_MEM_MAP, 0, bytes, SKEP_PROT_WRITE);
    for (uint64_t i = 0; i < bytes; i += PAGE_SIZE) {
        assert_true(fake_touch(vcpu, at + i, SKEP_FAULT_WRITE));
    }
    uint64_t arguments[5] = {context->rdi = at, context->rsi = bytes};
    uint64_t rip = context->rip;
    uint64_t rounds = 0;
    context->rax = SKEP_HC_MEM_UNMAP;
    while (!hypercall_entry(vcpu, context->rax, arguments) && context->rip != rip) {
        assert_int_equal(context->rax & 0xffff, SKEP_HC_MEM_UNMAP);
        context->rip = rip;
        rounds++;
    }
    assert_true(rounds >= 4);
    assert_int_equal(context->rax, 0);
    assert_int_equal(context->rdi, at);
    assert_int_equal(context->rsi, bytes);
    assert_null(fake_at(guest, at + bytes - PAGE_SIZE));
    /* Progress that a guest makes up. */
    uint64_t made_up = (bytes / PAGE_SIZE + 1) << 16 | SKEP_HC_MEM_UNMAP;
    assert_int_equal(fake_hypercall(vcpu, made_up, at, bytes, 0), -SKEP_ENOSYS);
    assert_true(fake_hypercall(vcpu, 1ull << 16 | SKEP_HC_MEM_UNMAP, at, bytes, 0) < 0);
    assert_int_equal(fake_hypercall(vcpu, 1ull << 16 | SKEP_HC_EXIT, 0, bytes, 0), -SKEP_ENOSYS);
    assert_int_equal(
        fake_hypercall(vcpu, 1ull << 16 | SKEP_HC_MEM_PROTECT, UINT64_MAX - 4095, bytes, 1),
        -SKEP_EINVAL);
    guest_gone(guest);
    baseline_check(&before);
}

static void message_of_abort_is_kept(void **state)
{
    (void)state;
    struct guest *guest = guest_running(MIB);
    fake_hypercall(guest->vcpus[0], SKEP_HC_ABORT, guest->image_base, 1000, 0);
    assert_int_equal(guest->crash.reason, SKEP_CRASH_ABORT);
    assert_int_equal(guest->crash.message_bytes, 127);
    assert_memory_equal(guest->crash.message, "aaaa", 4);
    guest_gone(guest);
    baseline_check(&before);
}

static uint64_t argument(const struct guest *guest)
{
    uint64_t value = (uint64_t)rand() << 32 ^ (uint64_t)rand();
    switch (rand() % 8) {
    case 0:
        return (uint64_t)rand() % 70;
    case 1:
        return wild[(size_t)rand() % ARRAY_COUNT(wild)];
    case 2:
        return guest->image_base + value % 0x5000;
    case 3:
        return page_align_down(guest->aspace.heap_base + value % (4 * MIB));
    case 4:
        return page_align_down(value % (2 * MIB));
    case 5:
        return guest->aspace.ranges.count
                   ? guest->aspace.ranges.at[value % guest->aspace.ranges.count].start
                   : 0;
    case 6:
        return value >> (rand() % 64);
    default:
        return value;
    }
}

/* Whatever a guest calls costs itself alone: the machine's accounts are exact after each life. */
static void random_calls_break_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 150; seed++) {
        srand(seed);
        struct guest *guest = guest_running(2 * MIB);
        struct vcpu *vcpu = guest->vcpus[0];
        for (int i = 0; i < 300 && guest->state == SKEP_GUEST_RUNNING; i++) {
            uint64_t number = (uint64_t)rand() % 22;
            bool ends = number == SKEP_HC_EXIT || number == SKEP_HC_ABORT ||
                        number == SKEP_HC_RESUME || number == SKEP_HC_VCPU_STOP;
            if (ends && rand() % 50) {
                continue;
            }
            fake_hypercall(vcpu, number, argument(guest), argument(guest), argument(guest));
            for (int j = 0; j < 20 && fake_cpu->current != vcpu; j++) {
                fake_clock_advance(1000000);
                fake_interrupts();
                if (guest->state != SKEP_GUEST_RUNNING || vcpu->state == VCPU_BLOCKED) {
                    break;
                }
            }
            if (fake_cpu->current != vcpu) {
                break;
            }
            fake_touch(vcpu, argument(guest), rand() % 2 ? SKEP_FAULT_WRITE : 0);
            if (guest->state != SKEP_GUEST_RUNNING) {
                break;
            }
        }
        guest_gone(guest);
        baseline_check(&before);
    }
}

int main(void)
{
    fake_boot(96 << 20, 1);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wild_pointers_end_the_caller),
        cmocka_unit_test(groups_have_devices),
        cmocka_unit_test(unknown_numbers_are_told),
        cmocka_unit_test(calls_are_counted_for_the_cpu),
        cmocka_unit_test(long_calls_leave_the_arguments_alone),
        cmocka_unit_test(message_of_abort_is_kept),
        cmocka_unit_test(random_calls_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
