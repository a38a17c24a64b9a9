/*
 * test_trace.c - the trace: what it tells of a guest, what it doesn't tell of another, and a reader that is overtaken.
 */
#include "test.h"

#include <pthread.h>

#include "core/trace.h"
#include "core/trap.h"

#define MIB (1ull << 20)

static struct baseline before;
static struct skep_trace_record records[SKEP_TRACE_CPU_MAX];

static uint32_t read_all(const struct guest *guest, uint32_t cpu)
{
    uint64_t next = 0;
    return trace_read(guest, cpu, &next, records, SKEP_TRACE_CPU_MAX);
}

/* A guest, created after whatever was recorded before. */
static struct guest *guest_later(void)
{
    fake_clock_advance(1000);
    struct guest *guest = fake_find(fake_guest(fake_image(), 2 * MIB, 2));
    fake_clock_advance(1000);
    return guest;
}

static void a_guests_doings_are_told_in_order(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind;
        uint64_t a;
    } expected[] = {
        {SKEP_TRACE_STATE, SKEP_GUEST_RUNNING},  {SKEP_TRACE_RUN, 0},
        {SKEP_TRACE_HYPERCALL, SKEP_HC_MEM_MAP}, {SKEP_TRACE_FAULT, 0},
        {SKEP_TRACE_EVENT, SKEP_EVENT_IPI},      {SKEP_TRACE_LEAVE, SKEP_VCPU_OFF},
    };
    struct guest *guest = guest_later();
    assert_int_equal(guest_start(guest), 0);
    struct vcpu *vcpu = guest->vcpus[0];
    run_until(vcpu);
    int64_t address = fake_hypercall(vcpu, SKEP_HC_MEM_MAP, 0, 4096, SKEP_PROT_WRITE);
    assert_true(fake_touch(vcpu, (uint64_t)address, SKEP_FAULT_WRITE));
    assert_int_equal(fake_hypercall(vcpu, SKEP_HC_EVENT_SEND, 0, SKEP_EVENT_IPI, 0), 0);
    fake_hypercall(vcpu, SKEP_HC_CLOCK_READ, 0, 0, 0); /* a short one: not recorded */
    fake_clock_advance(500);
    fake_hypercall(vcpu, SKEP_HC_VCPU_STOP, 0, 0, 0);
    assert_int_equal(read_all(guest, 0), ARRAY_COUNT(expected));
    for (uint32_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(records[i].kind, expected[i].kind);
        assert_int_equal(records[i].guest, (uint32_t)guest->handle);
        assert_int_equal(records[i].cpu, 0);
        assert_int_equal(records[i].vcpu, 0);
        assert_true(i == 0 || records[i].clock_ns >= records[i - 1].clock_ns);
        if (expected[i].kind != SKEP_TRACE_RUN && expected[i].kind != SKEP_TRACE_FAULT) {
            assert_int_equal(records[i].a, expected[i].a);
        }
    }
    assert_int_equal(records[2].b, address);
    assert_int_equal(records[3].a, address);
    assert_int_equal(records[5].b, 500 + records[4].clock_ns - records[1].clock_ns);
    guest_gone(guest);
    baseline_check(&before);
}

static void nothing_of_another_guest_is_told(void **state)
{
    (void)state;
    struct guest *first = guest_later();
    struct guest *second = guest_later();
    for (uint64_t i = 0; i < 20; i++) {
        trace_vcpu(first->vcpus[1], arch_clock_ns(), SKEP_TRACE_EVENT, i, 1);
        trace_vcpu(second->vcpus[0], arch_clock_ns(), SKEP_TRACE_EVENT, i, 2);
    }
    assert_int_equal(read_all(first, 0), 20);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(records[i].vcpu, 1);
        assert_int_equal(records[i].a, i);
        assert_int_equal(records[i].b, 1);
    }
    /* Its successor has the same number, but not the same history. */
    uint32_t number = (uint32_t)first->handle;
    guest_gone(first);
    struct guest *next = guest_later();
    assert_int_equal((uint32_t)next->handle, number);
    assert_int_equal(read_all(next, 0), 0);
    assert_int_equal(trace_latest(next, records, 16), 0);
    assert_int_equal(read_all(second, 0), 20);
    guest_gone(second);
    guest_gone(next);
    baseline_check(&before);
}

static void the_control_service_leaves_no_records(void **state)
{
    (void)state;
    struct guest *control = fake_find(1ull << 32 | 1);
    assert_true(control->is_control);
    trace_vcpu(control->vcpus[0], arch_clock_ns(), SKEP_TRACE_EVENT, 1, 1);
    for (uint32_t i = 0; i < cpu_count(); i++) {
        assert_int_equal(read_all(control, i), 0);
    }
}

static void a_full_ring_keeps_the_latest(void **state)
{
    (void)state;
    struct guest *guest = guest_later();
    for (uint64_t i = 0; i < 3 * SKEP_TRACE_CPU_MAX; i++) {
        trace_vcpu(guest->vcpus[0], arch_clock_ns(), SKEP_TRACE_EVENT, i, 0);
    }
    uint32_t count = read_all(guest, 0);
    assert_int_equal(count, SKEP_TRACE_CPU_MAX - 1); /* the writer's slot is no record */
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(records[i].a, 3 * SKEP_TRACE_CPU_MAX - count + i);
    }
    guest_gone(guest);
    baseline_check(&before);
}

static void a_crash_record_has_the_latest_of_all_cpus(void **state)
{
    (void)state;
    struct guest *guest = guest_later();
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    for (uint64_t i = 0; i < 40; i++) {
        fake_clock_advance(10);
        fake_cpu_set(i % 3 == 0);
        trace_vcpu(guest->vcpus[1], arch_clock_ns(), SKEP_TRACE_EVENT, i, 0);
    }
    fake_cpu_set(0);
    fake_clock_advance(10);
    assert_false(fake_touch(guest->vcpus[0], 0x100000, SKEP_FAULT_WRITE));
    const struct skep_crash *crash = &guest->crash;
    assert_int_equal(crash->trace_count, SKEP_CRASH_TRACE_MAX);
    for (uint32_t i = 0; i < SKEP_CRASH_TRACE_MAX - 1; i++) {
        uint64_t number = 40 - (SKEP_CRASH_TRACE_MAX - 1) + i;
        assert_int_equal(crash->trace[i].a, number);
        assert_int_equal(crash->trace[i].cpu, number % 3 == 0);
    }
    assert_int_equal(crash->trace[SKEP_CRASH_TRACE_MAX - 1].kind, SKEP_TRACE_FAULT);
    assert_int_equal(crash->trace[SKEP_CRASH_TRACE_MAX - 1].a, 0x100000);
    assert_int_equal(crash->mapping.kind, SKEP_MAPPING_NONE);
    assert_true(crash->mapping.start <= 0x100000);
    assert_true(crash->mapping.start + crash->mapping.bytes > 0x100000);
    guest_gone(guest);
    baseline_check(&before);
}

/* ---- a writer that overtakes the reader ---- */

#define OVERTAKEN_RECORDS 3000000u

static _Atomic bool written;

static void *write_many(void *argument)
{
    const struct vcpu *vcpu = argument;
    uint64_t now = arch_clock_ns();
    for (uint64_t i = 1; i <= OVERTAKEN_RECORDS; i++) {
        trace_vcpu(vcpu, now + i, SKEP_TRACE_EVENT, now + i, ~(now + i));
    }
    atomic_store(&written, true);
    return NULL;
}

static void an_overtaken_reader_gets_whole_records(void **state)
{
    (void)state;
    struct guest *guest = guest_later();
    pthread_t writer;
    uint64_t next = 0, last = 0, seen = 0;
    assert_int_equal(pthread_create(&writer, NULL, write_many, guest->vcpus[0]), 0);
    bool end = false;
    do {
        end = atomic_load(&written); /* before the reading, so that the last one reads all */
        uint32_t got = trace_read(guest, 0, &next, records, 64);
        for (uint32_t i = 0; i < got; i++) {
            assert_int_equal(records[i].a, records[i].clock_ns);
            assert_int_equal(records[i].b, ~records[i].clock_ns);
            assert_true(records[i].clock_ns > last);
            last = records[i].clock_ns;
        }
        seen += got;
        end = end && !got;
    } while (!end);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_true(seen >= SKEP_TRACE_CPU_MAX - 1);
    assert_int_equal(read_all(guest, 0), SKEP_TRACE_CPU_MAX - 1);
    assert_int_equal(records[SKEP_TRACE_CPU_MAX - 2].clock_ns, last);
    guest_gone(guest);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(64 * MIB, 2);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guests_doings_are_told_in_order),
        cmocka_unit_test(nothing_of_another_guest_is_told),
        cmocka_unit_test(the_control_service_leaves_no_records),
        cmocka_unit_test(a_full_ring_keeps_the_latest),
        cmocka_unit_test(a_crash_record_has_the_latest_of_all_cpus),
        cmocka_unit_test(an_overtaken_reader_gets_whole_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
