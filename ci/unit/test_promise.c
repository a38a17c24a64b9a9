/*
 * test_promise.c - promises that change while guests run, and exact accounts of what they hold.
 */
#include "test.h"

#include "core/gmem.h"

#define RW  (SKEP_PROT_READ | SKEP_PROT_WRITE)
#define MIB (1ull << 20)

static struct baseline before;

static uint64_t told(const struct guest *guest)
{
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    return info->memory_bytes;
}

static bool take_event(struct guest *guest)
{
    uint64_t bit = 1ull << SKEP_EVENT_CHANGE;
    return atomic_fetch_and(&guest->vcpus[0]->page->pending, ~bit) & bit;
}

static int memory_set(struct guest *guest, uint64_t bytes)
{
    struct skep_guest_change change = {.changes = SKEP_CHANGE_MEMORY, .memory_bytes = bytes};
    return guest_change(guest, &change);
}

static int64_t map(struct guest *guest, uint64_t bytes)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_MAP, 0, bytes, RW);
}

static void memory_is_raised_and_lowered(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t others = promise_taken() - guest->promise_frames;
    assert_int_equal(map(guest, 4 * MIB), -SKEP_ENOMEM);
    assert_int_equal(memory_set(guest, 8 * MIB), 0);
    assert_int_equal(told(guest), 8 * MIB);
    assert_true(take_event(guest));
    assert_int_equal(promise_taken(), others + 2048);
    int64_t at = map(guest, 4 * MIB);
    assert_true(at > 0);
    assert_int_equal(memory_set(guest, 2 * MIB), -SKEP_EBUSY);
    assert_false(take_event(guest));
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_UNMAP, (uint64_t)at, 4 * MIB, 0),
                     0);
    assert_int_equal(memory_set(guest, 2 * MIB), 0);
    assert_int_equal(told(guest), 2 * MIB);
    assert_int_equal(promise_taken(), others + 512);
    guest_gone(guest);
    baseline_check(&before);
}

/* Several frames at once are as many as the promise has left, and each counts. */
static void frames_at_once_end_with_the_promise(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    static pfn_t pfns[512];
    uint64_t charged = guest->charged_frames, left = guest->promise_frames - charged;
    assert_in_range(left, 3, ARRAY_COUNT(pfns) - 1);
    uint32_t most = (uint32_t)left;
    assert_int_equal(guest_frames_alloc(guest, SKEP_FRAME_GUEST, most - 2, pfns), most - 2);
    assert_int_equal(guest->charged_frames, charged + most - 2);
    assert_int_equal(guest_frames_alloc(guest, SKEP_FRAME_GUEST, 16, pfns + most - 2), 2);
    assert_int_equal(guest->charged_frames, guest->promise_frames);
    assert_int_equal(guest->peak_frames, guest->promise_frames);
    assert_int_equal(guest_frames_alloc(guest, SKEP_FRAME_GUEST, 1, pfns + most), 0);
    assert_int_equal(guest_frame_alloc(guest, SKEP_FRAME_GUEST), PFN_NONE);
    assert_int_equal(guest_frame_alloc_raw(guest, SKEP_FRAME_GUEST), PFN_NONE);
    for (uint32_t i = 0; i < most; i++) {
        guest_frame_free(guest, pfns[i]);
    }
    assert_int_equal(guest->charged_frames, charged);
    guest_gone(guest);
    baseline_check(&before);
}

/* Down to the byte that status tells, and no further. */
static void memory_committed_is_the_least(void **state)
{
    (void)state;
    struct guest *guest = guest_running(4 * MIB);
    int64_t at = map(guest, MIB);
    assert_true(fake_touch(guest->vcpus[0], (uint64_t)at, SKEP_FAULT_WRITE));
    struct skep_guest_status status;
    guest_status(guest, &status);
    assert_true(status.memory_committed > status.memory_used + MIB / 2);
    assert_int_equal(memory_set(guest, status.memory_committed - 1 - PAGE_MASK), -SKEP_EBUSY);
    assert_int_equal(memory_set(guest, status.memory_committed), 0);
    for (uint64_t i = 0; i < MIB; i += PAGE_SIZE) {
        assert_true(fake_touch(guest->vcpus[0], (uint64_t)at + i, SKEP_FAULT_WRITE));
    }
    assert_true(guest->charged_frames <= guest->promise_frames);
    assert_int_equal(map(guest, PAGE_SIZE), -SKEP_ENOMEM);
    guest_gone(guest);
    baseline_check(&before);
}

static void refused_changes_change_nothing(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t taken = promise_taken();
    uint64_t beyond = (promise_limit() - taken + guest->promise_frames + 1) << SKEP_PAGE_SHIFT;
    assert_int_equal(memory_set(guest, beyond), -SKEP_ENOMEM);
    assert_int_equal(memory_set(guest, UINT64_MAX), -SKEP_EINVAL);
    assert_int_equal(memory_set(guest, 0), -SKEP_EBUSY);
    assert_int_equal(told(guest), 2 * MIB);
    assert_int_equal(guest->promise_frames, 512);
    assert_int_equal(promise_taken(), taken);
    assert_false(take_event(guest));
    assert_int_equal(memory_set(guest, beyond - PAGE_SIZE), 0);
    assert_int_equal(promise_taken(), promise_limit());
    assert_int_equal(memory_set(guest, 2 * MIB), 0);
    fake_hypercall(guest->vcpus[0], SKEP_HC_EXIT, 0, 0, 0);
    assert_int_equal(memory_set(guest, 4 * MIB), -SKEP_EBUSY);
    fake_settle();
    assert_int_equal(memory_set(guest, 4 * MIB), -SKEP_EBUSY);
    guest_gone(guest);
    baseline_check(&before);
}

/* ---- a random life ---- */

#define SPANS 24u

struct life {
    struct guest *guest;
    struct vcpu *vcpu;                /* that acts */
    uint64_t at[SPANS], bytes[SPANS]; /* what is mapped */
    bool reserved[SPANS];
    uint64_t margin; /* frames that must be left for it to touch a reserved page */
    uint64_t random;
};

static uint64_t random_next(struct life *life, uint64_t below)
{
    life->random ^= life->random << 13;
    life->random ^= life->random >> 7;
    life->random ^= life->random << 17;
    return life->random % below;
}

static bool has_room(const struct life *life)
{
    return guest_frames_committed(life->guest) + life->margin < life->guest->promise_frames;
}

static void life_step(struct life *life)
{
    struct vcpu *vcpu = life->vcpu;
    uint64_t i = random_next(life, SPANS);
    uint64_t within = life->bytes[i] ? random_next(life, life->bytes[i]) & ~PAGE_MASK : 0;
    switch (random_next(life, 6)) {
    case 0:
        if (!life->bytes[i]) {
            uint64_t bytes = (1 + random_next(life, 64)) * PAGE_SIZE;
            /* At random places, far and near, so that page tables come and go, and are shared. */
            uint64_t at = life->guest->aspace.heap_base;
            at += random_next(life, 2) ? random_next(life, 1 << 14) * 16 * MIB
                                       : random_next(life, 128) * 32 * PAGE_SIZE;
            life->reserved[i] = random_next(life, 3) == 0;
            uint64_t how = RW | (life->reserved[i] ? SKEP_MAP_RESERVE : 0);
            int64_t got = fake_hypercall(vcpu, SKEP_HC_MEM_MAP, at, bytes, how);
            life->at[i] = at;
            life->bytes[i] = got == (int64_t)at ? bytes : 0;
        }
        break;
    case 1:
        if (life->bytes[i]) {
            uint64_t kept = random_next(life, 2) ? within : 0; /* of a span's beginning */
            assert_int_equal(fake_hypercall(vcpu, SKEP_HC_MEM_UNMAP, life->at[i] + kept,
                                            life->bytes[i] - kept, 0),
                             0);
            life->bytes[i] = kept;
        }
        break;
    case 2:
        memory_set(life->guest, (64 + random_next(life, 2048)) * PAGE_SIZE); /* refused or not */
        break;
    default:
        /* Whatever was mapped can be touched: that is the promise. Of what is only reserved, while there is room. */
        if (life->bytes[i] && (!life->reserved[i] || has_room(life))) {
            assert_true(fake_touch(vcpu, life->at[i] + within, SKEP_FAULT_WRITE));
        }
        break;
    }
}

/* All but its struct. */
static uint64_t frames_owned(const struct guest *guest)
{
    uint64_t count = 0;
    for (pfn_t pfn = 1; pfn < (96u << 20) >> SKEP_PAGE_SHIFT; pfn++) {
        count += frame_type(pfn) > SKEP_FRAME_CORE && frame_owner(pfn) == (uint32_t)guest->handle;
    }
    return count;
}

/* Pages that are there where memory is reserved. */
static uint64_t reserved_pages(const struct life *life)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < SPANS; i++) {
        for (uint64_t at = 0; life->reserved[i] && at < life->bytes[i]; at += PAGE_SIZE) {
            pages += fake_at(life->guest, life->at[i] + at) != NULL;
        }
    }
    return pages;
}

/* What all ranges may cost, counted from the table alone. */
static uint64_t cost_counted(const struct ranges *ranges)
{
    uint64_t counted_to[PAGETABLE_LEVELS] = {0};
    uint64_t frames = 0;
    for (uint32_t i = 0; i < ranges->count; i++) {
        const struct range *range = &ranges->at[i];
        bool owned = range->kind != RANGE_FIXED && range->ever_owned;
        frames += owned ? (range->end - range->start) / PAGE_SIZE : 0;
        for (uint32_t level = 1; level < PAGETABLE_LEVELS && range->kind != RANGE_GUARD; level++) {
            uint64_t first = range->start >> pagetable_shift(level);
            uint64_t past = ((range->end - 1) >> pagetable_shift(level)) + 1;
            frames += past - (first > counted_to[level] ? first : counted_to[level]);
            counted_to[level] = past;
        }
    }
    return frames;
}

static void accounts_are_exact_throughout_a_life(void **state)
{
    (void)state;
    struct life life = {.guest = guest_running(2 * MIB), .random = 88172645463325252ull};
    life.vcpu = life.guest->vcpus[0];
    uint64_t others = promise_taken() - life.guest->promise_frames;
    for (int i = 0; i < 20000; i++) {
        life_step(&life);
        assert_true(life.guest->charged_frames <= life.guest->promise_frames);
        assert_true(guest_frames_committed(life.guest) <= life.guest->promise_frames);
        assert_int_equal(life.guest->aspace.ranges.cost, cost_counted(&life.guest->aspace.ranges));
        assert_int_equal(promise_taken(), others + life.guest->promise_frames);
        assert_int_equal(told(life.guest), life.guest->promise_frames << SKEP_PAGE_SHIFT);
        if (i % 100 == 0) {
            assert_int_equal(frames_owned(life.guest) + 1, life.guest->charged_frames);
            assert_int_equal(reserved_pages(&life), life.guest->aspace.reserved_frames);
        }
    }
    guest_gone(life.guest);
    baseline_check(&before);
}

/* ---- two CPUs ---- */

static struct life sibling;

/* What the other vCPU does whenever this CPU has given back its last lock. */
static void sibling_acts(void)
{
    uint32_t here = fake_cpu->index;
    fake_between = NULL;
    fake_cpu_set(1);
    life_step(&sibling);
    fake_cpu_set(here);
    fake_between = sibling_acts;
}

static void run_on(uint32_t cpu, struct vcpu *vcpu)
{
    fake_cpu_set(cpu);
    for (int i = 0; i < 500 && fake_interrupts() != vcpu; i++) {
        fake_clock_advance(10000000);
    }
    assert_ptr_equal(fake_cpu->current, vcpu);
}

/* The promise changes and one vCPU maps while another one touches, maps and unmaps between any two steps. */
static void promise_changes_beside_a_busy_vcpu(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(fake_image(), 2 * MIB, 2));
    assert_int_equal(guest_start(guest), 0);
    run_on(0, guest->vcpus[0]);
    struct skep_context context = {.rip = guest->image_base};
    assert_int_equal(guest_vcpu_start(guest, 1, &context), 0);
    run_on(1, guest->vcpus[1]);
    run_on(0, guest->vcpus[0]);
    struct life life = {
        .guest = guest, .vcpu = guest->vcpus[0], .margin = 256, .random = 2463534242ull};
    sibling = (struct life){
        .guest = guest, .vcpu = guest->vcpus[1], .margin = 256, .random = 88675123ull};
    uint64_t others = promise_taken() - guest->promise_frames;
    for (int i = 0; i < 3000; i++) {
        fake_between = sibling_acts;
        life_step(&life);
        fake_between = NULL;
        assert_true(guest->charged_frames <= guest_frames_committed(guest));
        assert_true(guest_frames_committed(guest) <= guest->promise_frames);
        assert_int_equal(promise_taken(), others + guest->promise_frames);
        assert_int_equal(told(guest), guest->promise_frames << SKEP_PAGE_SHIFT);
    }
    assert_int_equal(frames_owned(guest) + 1, guest->charged_frames);
    assert_int_equal(reserved_pages(&life) + reserved_pages(&sibling),
                     guest->aspace.reserved_frames);
    guest_gone(guest);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(96 << 20, 2);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_raised_and_lowered),
        cmocka_unit_test(frames_at_once_end_with_the_promise),
        cmocka_unit_test(memory_committed_is_the_least),
        cmocka_unit_test(refused_changes_change_nothing),
        cmocka_unit_test(accounts_are_exact_throughout_a_life),
        cmocka_unit_test(promise_changes_beside_a_busy_vcpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
