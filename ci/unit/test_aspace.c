/*
 * test_aspace.c - address spaces: supply on touch, copy on write, ranges, shootdown and quarantine.
 */
#include "test.h"

#include "core/gmem.h"
#include "core/trap.h"

#define RW  (SKEP_PROT_READ | SKEP_PROT_WRITE)
#define MIB (1ull << 20)

static struct baseline before;

static int64_t map(struct guest *guest, uint64_t address, uint64_t bytes)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_MAP, address, bytes, RW);
}

static int64_t unmap(struct guest *guest, uint64_t address, uint64_t bytes)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_UNMAP, address, bytes, 0);
}

static int64_t protect(struct guest *guest, uint64_t address, uint64_t bytes, uint32_t prot)
{
    return fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_PROTECT, address, bytes, prot);
}

/* The call once, without restarts: true when it is over. */
static bool call_once(struct vcpu *vcpu, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2)
{
    uint64_t arguments[5] = {a0, a1, a2};
    return hypercall_entry(vcpu, number, arguments);
}

static void pages_are_supplied_on_touch(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    int64_t address = map(guest, 0, 16 * PAGE_SIZE);
    assert_true(address > 0);
    uint64_t used = guest->charged_frames;
    assert_null(fake_at(guest, (uint64_t)address));
    assert_true(fake_touch(guest->vcpus[0], (uint64_t)address + 5, SKEP_FAULT_WRITE));
    char *page = fake_at(guest, (uint64_t)address);
    assert_non_null(page);
    assert_int_equal(page[0], 0);
    assert_in_range(guest->charged_frames, used + 1, used + 4);
    assert_null(fake_at(guest, (uint64_t)address + PAGE_SIZE));
    guest_gone(guest);
    baseline_check(&before);
}

/* Touches pages one after the other until so many are there: how often that was necessary. */
static uint32_t touch_pages(struct guest *guest, uint64_t address, uint32_t count)
{
    uint32_t touches = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!fake_at(guest, address + i * PAGE_SIZE)) {
            assert_true(fake_touch(guest->vcpus[0], address + i * PAGE_SIZE, SKEP_FAULT_WRITE));
            touches++;
        }
    }
    return touches;
}

static uint32_t present(struct guest *guest, uint64_t address)
{
    uint32_t count = 0;
    while (fake_at(guest, address + count * PAGE_SIZE)) {
        count++;
    }
    return count;
}

/* One page at a touch; behind 8 that are there 4, behind 16 8, and behind 32 16, to the page table's end. They are zeroed and
 * counted, and one that is there stays. */
static void pages_behind_many_are_supplied_ahead(void **state)
{
    (void)state;
    struct guest *guest = guest_running(8 * MIB);
    const uint64_t table = 2 * MIB, pages = 512;
    uint64_t address = (guest->aspace.heap_base + table - 1) / table * table;
    assert_int_equal(map(guest, address, table), address);
    assert_int_equal(touch_pages(guest, address, 8), 8);
    assert_int_equal(present(guest, address), 8);
    uint64_t charged = guest->charged_frames;
    assert_int_equal(touch_pages(guest, address, 9), 1);
    assert_int_equal(present(guest, address), 12);
    assert_int_equal(guest->charged_frames, charged + 4);
    assert_int_equal(touch_pages(guest, address, 13), 1);
    assert_int_equal(touch_pages(guest, address, 17), 1);
    assert_int_equal(present(guest, address), 24);
    assert_true(fake_touch(guest->vcpus[0], address + 28 * PAGE_SIZE, SKEP_FAULT_WRITE));
    *(char *)fake_at(guest, address + 28 * PAGE_SIZE) = 'x';
    assert_int_equal(touch_pages(guest, address, 25), 1);
    assert_int_equal(present(guest, address), 32);
    assert_int_equal(*(char *)fake_at(guest, address + 28 * PAGE_SIZE), 'x');
    *(char *)fake_at(guest, address + 28 * PAGE_SIZE) = 0;
    uint64_t committed = guest_frames_committed(guest);
    charged = guest->charged_frames;
    assert_int_equal(touch_pages(guest, address, 33), 1);
    assert_int_equal(present(guest, address), 48);
    assert_int_equal(guest->charged_frames, charged + 16);
    assert_int_equal(touch_pages(guest, address, pages), (pages - 48) / 16);
    assert_int_equal(present(guest, address), pages);
    assert_int_equal(guest_frames_committed(guest), committed);
    for (uint64_t i = 0; i < pages; i++) {
        assert_int_equal(*(uint64_t *)fake_at(guest, address + i * PAGE_SIZE), 0);
    }
    /* A range that goes on beyond the table: the next one's first page comes alone. */
    assert_int_equal(map(guest, address + table, table), address + table);
    assert_true(fake_touch(guest->vcpus[0], address + table, SKEP_FAULT_WRITE));
    assert_int_equal(present(guest, address + table), 1);
    guest_gone(guest);
    baseline_check(&before);
}

/* A touch from within a table's last pages doesn't reach into the next table, nor one of a range's into the next range. */
static void pages_ahead_end_with_range_and_table(void **state)
{
    (void)state;
    struct guest *guest = guest_running(8 * MIB);
    const uint64_t table = 2 * MIB;
    uint64_t address = (guest->aspace.heap_base + table - 1) / table * table;
    uint64_t near_end = address + table - 19 * PAGE_SIZE;
    assert_int_equal(map(guest, address, 2 * table), address);
    assert_int_equal(touch_pages(guest, near_end, 17), 11);
    assert_int_equal(present(guest, near_end), 19);
    uint64_t next = address + table + 64 * PAGE_SIZE, end = next + 19 * PAGE_SIZE;
    assert_int_equal(protect(guest, end, PAGE_SIZE, SKEP_PROT_NONE), 0);
    assert_int_equal(touch_pages(guest, next, 17), 11);
    assert_int_equal(present(guest, next), 19);
    guest_gone(guest);
    baseline_check(&before);
}

/* What ring 0 needs a page for, and pages of the image, come alone. */
static void only_touches_of_memory_supply_ahead(void **state)
{
    (void)state;
    struct guest *guest = guest_running(8 * MIB);
    uint64_t address = (uint64_t)map(guest, 0, 64 * PAGE_SIZE);
    assert_in_range(touch_pages(guest, address, 32), 8, 16);
    uint32_t there = present(guest, address);
    char byte = 1;
    assert_int_equal(gmem_copy_out(guest, gva(address + there * PAGE_SIZE), &byte, 1), 0);
    assert_int_equal(present(guest, address), there + 1);
    guest_gone(guest);
    baseline_check(&before);
}

/* A neighbour that is due waits for a part of a call, not for the call. */
static void long_spans_go_in_small_parts(void **state)
{
    (void)state;
    const uint32_t pages = 64, part = 16;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t address = (uint64_t)map(guest, 0, pages * PAGE_SIZE);
    for (uint32_t i = 0; i < pages; i++) {
        assert_true(fake_touch(guest->vcpus[0], address + i * PAGE_SIZE, SKEP_FAULT_WRITE));
    }
    assert_false(call_once(guest->vcpus[0], SKEP_HC_MEM_UNMAP, address, pages * PAGE_SIZE, 0));
    assert_null(fake_at(guest, address + (part - 1) * PAGE_SIZE));
    assert_non_null(fake_at(guest, address + part * PAGE_SIZE));
    guest_gone(guest);
    baseline_check(&before);
}

static void image_pages_are_shared_until_written(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t data = guest->image_base + PAGE_SIZE;
    assert_true(fake_touch(guest->vcpus[0], data, 0));
    pfn_t shared = frame_of(fake_at(guest, data));
    assert_int_equal(frame_type(shared), SKEP_FRAME_IMAGE);
    assert_int_equal(frame_shares(shared), 1);
    assert_null(fake_at(guest, data + PAGE_SIZE)); /* it may be written: no neighbours */
    assert_true(fake_touch(guest->vcpus[0], data, SKEP_FAULT_WRITE | SKEP_FAULT_PRESENT));
    char *copy = fake_at(guest, data);
    assert_int_equal(frame_type(frame_of(copy)), SKEP_FRAME_GUEST);
    assert_int_equal(copy[0], 'b');
    assert_int_equal(frame_shares(shared), 0);
    copy[0] = 'x';
    assert_int_equal(*(char *)frame_data(shared), 'b');
    guest_gone(guest);
    baseline_check(&before);
}

/* An image of files of two pages, sealed. */
static uint64_t files_image(char first, char second)
{
    struct skep_image_spec spec = {.page_count = 2,
                                   .segment_count = 1,
                                   .segments = {{.page_count = 2, .prot = SKEP_PROT_READ}},
                                   .name = "guest"};
    struct guest *control = fake_find(1ull << 32 | 1);
    gva_t buffer = gva(control->aspace.ranges.at[control->aspace.ranges.count - 1].start);
    uint64_t image = (uint64_t)image_create(&spec);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(gmem_copy_out(control, buffer, i == 0 ? &first : &second, 1), 0);
        assert_int_equal(image_write(control, image, i, buffer, PAGE_SIZE), 0);
    }
    assert_int_equal(image_seal(image), 0);
    return image;
}

static int64_t create_with_files(uint64_t image, uint64_t files)
{
    struct skep_guest_spec spec = {.image = image,
                                   .files = files,
                                   .memory_bytes = 2 * MIB,
                                   .stack_bytes = 16384,
                                   .vcpu_count = 2,
                                   .vcpu_max = 2,
                                   .weight = 100,
                                   .console_bytes = 4096,
                                   .name = "guest"};
    return guest_create(fake_find(1ull << 32 | 1), &spec);
}

/* The pages of an image of files are in its guests, shared and read-only, and cost them nothing. */
static void files_are_shared(void **state)
{
    (void)state;
    uint64_t image = fake_image(), files = files_image('f', 'g');
    struct guest *guest = fake_find((uint64_t)create_with_files(image, files));
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    assert_int_equal(info->files_bytes, 2 * PAGE_SIZE);
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    uint64_t charged = guest->charged_frames, at = info->files_base;
    assert_true(fake_touch(guest->vcpus[0], at + PAGE_SIZE, 0));
    /* With it come those of the image within 32 KiB. */
    assert_int_equal(fake_at(guest, at) != NULL, at / 32768 == (at + PAGE_SIZE) / 32768);
    assert_true(fake_touch(guest->vcpus[0], at, 0));
    assert_int_equal(*(char *)fake_at(guest, at), 'f');
    assert_int_equal(*(char *)fake_at(guest, at + PAGE_SIZE), 'g');
    pfn_t pfn = frame_of(fake_at(guest, at));
    assert_int_equal(frame_type(pfn), SKEP_FRAME_IMAGE);
    assert_int_equal(frame_shares(pfn), 1);
    assert_in_range(guest->charged_frames, charged, charged + 3); /* page tables */
    assert_int_equal(image_destroy(files), -SKEP_EBUSY);
    assert_false(fake_touch(guest->vcpus[0], at, SKEP_FAULT_WRITE | SKEP_FAULT_PRESENT));
    assert_int_equal(guest->crash.reason, SKEP_CRASH_PAGE_FAULT);
    assert_int_equal(guest->crash.mapping.kind, SKEP_MAPPING_FILES);
    fake_settle();
    assert_int_equal(image_destroy(files), 0); /* one that has ended has them no more */
    guest_gone(guest);
    baseline_check(&before);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    uint64_t image = fake_image(), files = files_image('f', 'g');
    assert_int_equal(create_with_files(image, image), -SKEP_ENOENT);
    assert_int_equal(create_with_files(files, files), -SKEP_ENOENT);
    assert_int_equal(create_with_files(files, 0), -SKEP_ENOENT);
    assert_int_equal(create_with_files(image, files + (1ull << 32)), -SKEP_ENOENT);
    assert_int_equal(create_with_files(0, files), -SKEP_ENOENT);
    assert_int_equal(image_destroy(files), 0);
    assert_int_equal(create_with_files(image, files), -SKEP_ENOENT);
    assert_int_equal(image_destroy(image), 0);
    baseline_check(&before);
}

static void text_cannot_be_written(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    assert_false(fake_touch(guest->vcpus[0], guest->image_base, SKEP_FAULT_WRITE));
    assert_int_equal(guest->crash.reason, SKEP_CRASH_PAGE_FAULT);
    assert_int_equal(guest->crash.address, guest->image_base);
    guest_gone(guest);
    baseline_check(&before);
}

static void stack_overflow_has_its_own_reason(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t guard = 0;
    for (uint32_t i = 0; i < guest->aspace.ranges.count; i++) {
        if (guest->aspace.ranges.at[i].kind == RANGE_GUARD) {
            guard = guest->aspace.ranges.at[i].end - 8;
        }
    }
    assert_false(fake_touch(guest->vcpus[0], guard, SKEP_FAULT_WRITE));
    assert_int_equal(guest->crash.reason, SKEP_CRASH_GUARD_PAGE);
    guest_gone(guest);
    baseline_check(&before);
}

static void map_is_admitted_against_the_promise(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    assert_int_equal(map(guest, 0, 2 * MIB), -SKEP_ENOMEM);
    int64_t address = map(guest, 0, MIB);
    assert_true(address > 0);
    assert_int_equal(map(guest, 0, MIB), -SKEP_ENOMEM);
    for (uint64_t i = 0; i < MIB; i += PAGE_SIZE) {
        assert_true(fake_touch(guest->vcpus[0], (uint64_t)address + i, SKEP_FAULT_WRITE));
    }
    assert_int_equal(unmap(guest, (uint64_t)address, MIB), 0);
    assert_true(map(guest, 0, MIB) > 0);
    guest_gone(guest);
    baseline_check(&before);
}

static void bad_spans_are_refused(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    static const uint64_t bad[] = {1,
                                   0x1000,
                                   SKEP_GUEST_VA_MAX,
                                   0xffff800000000000ull,
                                   UINT64_MAX & ~PAGE_MASK,
                                   SKEP_GUEST_VA_MAX - PAGE_SIZE + 1};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(map(guest, bad[i], PAGE_SIZE), -SKEP_EINVAL);
        assert_true(unmap(guest, bad[i], PAGE_SIZE) < 0);
        assert_true(protect(guest, bad[i], PAGE_SIZE, RW) < 0);
    }
    uint64_t at = SKEP_GUEST_VA_MAX - PAGE_SIZE;
    assert_int_equal(map(guest, at, 2 * PAGE_SIZE), -SKEP_EINVAL);
    assert_int_equal(map(guest, 0, 0), -SKEP_EINVAL);
    assert_int_equal(map(guest, 0, UINT64_MAX & ~PAGE_MASK), -SKEP_EINVAL);
    assert_int_equal(map(guest, guest->image_base, PAGE_SIZE), -SKEP_EEXIST);
    guest_gone(guest);
    baseline_check(&before);
}

static void nothing_is_writable_and_executable(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, PAGE_SIZE);
    assert_int_equal(protect(guest, at, PAGE_SIZE, RW | SKEP_PROT_EXEC), -SKEP_EINVAL);
    assert_int_equal(protect(guest, at, PAGE_SIZE, SKEP_PROT_READ | SKEP_PROT_EXEC), -SKEP_EPERM);
    uint64_t text = guest->image_base;
    assert_int_equal(protect(guest, text, PAGE_SIZE, RW), 0);
    assert_int_equal(protect(guest, text, PAGE_SIZE, SKEP_PROT_READ), 0);
    assert_int_equal(protect(guest, text, PAGE_SIZE, SKEP_PROT_READ | SKEP_PROT_EXEC), -SKEP_EPERM);
    assert_int_equal(fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_MAP, 0, PAGE_SIZE,
                                    SKEP_PROT_READ | SKEP_PROT_EXEC),
                     -SKEP_EINVAL);
    guest_gone(guest);
    baseline_check(&before);
}

static void start_info_and_vcpu_pages_stay(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    for (uint32_t i = 0; i < guest->aspace.ranges.count; i++) {
        struct range range = guest->aspace.ranges.at[i];
        if (range.kind == RANGE_FIXED || range.kind == RANGE_GUARD) {
            assert_int_equal(unmap(guest, range.start, PAGE_SIZE), -SKEP_EPERM);
            assert_int_equal(protect(guest, range.start, PAGE_SIZE, RW), -SKEP_EPERM);
        }
    }
    guest_gone(guest);
    baseline_check(&before);
}

static void no_access_keeps_the_contents(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 3 * PAGE_SIZE);
    assert_int_equal(gmem_copy_out(guest, gva(at + PAGE_SIZE), "kept", 5), 0);
    assert_int_equal(protect(guest, at + PAGE_SIZE, PAGE_SIZE, SKEP_PROT_NONE), 0);
    char text[5];
    assert_int_equal(gmem_copy_in(guest, text, gva(at + PAGE_SIZE), 5), -SKEP_EFAULT);
    assert_int_equal(protect(guest, at + PAGE_SIZE, PAGE_SIZE, SKEP_PROT_READ), 0);
    assert_int_equal(gmem_copy_in(guest, text, gva(at + PAGE_SIZE), 5), 0);
    assert_string_equal(text, "kept");
    assert_int_equal(gmem_copy_out(guest, gva(at + PAGE_SIZE), text, 5), -SKEP_EFAULT);
    guest_gone(guest);
    baseline_check(&before);
}

static void long_calls_are_carried_through(void **state)
{
    (void)state;
    struct guest *guest = guest_running(16 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 8 * MIB);
    uint64_t used = guest->charged_frames;
    for (uint64_t i = 0; i < 8 * MIB; i += PAGE_SIZE) {
        assert_true(fake_touch(guest->vcpus[0], at + i, SKEP_FAULT_WRITE));
    }
    assert_int_equal(protect(guest, at, 8 * MIB, SKEP_PROT_READ), 0);
    assert_int_equal(gmem_copy_out(guest, gva(at + 8 * MIB - 1), "x", 1), -SKEP_EFAULT);
    assert_int_equal(unmap(guest, at, 8 * MIB), 0);
    assert_in_range(guest->charged_frames, used, used + 8);
    assert_int_equal(unmap(guest, at, PAGE_SIZE), -SKEP_EFAULT);
    guest_gone(guest);
    baseline_check(&before);
}

static void frames_wait_for_every_cpu(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(fake_image(), 4 * MIB, 2));
    assert_int_equal(guest_start(guest), 0);
    fake_cpu_set(0);
    while (fake_resume() != guest->vcpus[0]) {
        fake_clock_advance(10000000);
    }
    struct skep_context context = {.rip = guest->image_base};
    assert_int_equal(guest_vcpu_start(guest, 1, &context), 0);
    fake_cpu_set(1);
    while (fake_resume() != guest->vcpus[1]) {
        fake_clock_advance(10000000);
    }
    fake_cpu_set(0);
    uint64_t at = (uint64_t)map(guest, 0, PAGE_SIZE);
    assert_true(fake_touch(guest->vcpus[0], at, SKEP_FAULT_WRITE));
    pfn_t pfn = frame_of(fake_at(guest, at));
    cpu_at(1)->arch.ipis = 0;
    /* The call isn't over before the other CPU has flushed: its vCPU could still use the page. */
    assert_false(call_once(guest->vcpus[0], SKEP_HC_MEM_UNMAP, at, PAGE_SIZE, 0));
    assert_int_equal(guest->vcpus[0]->arch.context.rax, 1 << 16 | SKEP_HC_MEM_UNMAP);
    assert_false(call_once(guest->vcpus[0], 1 << 16 | SKEP_HC_MEM_UNMAP, at, PAGE_SIZE, 0));
    assert_int_equal(frame_type(pfn), SKEP_FRAME_GUEST);
    assert_int_equal(cpu_at(1)->arch.ipis, 1);
    fake_cpu_set(1);
    uint64_t flushes = fake_cpu->arch.flushes;
    fake_interrupts();
    assert_true(fake_cpu->arch.flushes > flushes);
    assert_int_equal(frame_type(pfn), SKEP_FRAME_FREE);
    fake_cpu_set(0);
    assert_true(call_once(guest->vcpus[0], 1 << 16 | SKEP_HC_MEM_UNMAP, at, PAGE_SIZE, 0));
    assert_int_equal(guest->vcpus[0]->arch.context.rax, 0);
    guest_gone(guest);
    baseline_check(&before);
}

/* With a page that was shared when another vCPU looked, the other one could miss what is written to the copy. */
static void guests_of_several_vcpus_share_no_writable_page(void **state)
{
    (void)state;
    struct guest *guest = fake_find(fake_guest(fake_image(), 4 * MIB, 2));
    assert_int_equal(guest_start(guest), 0);
    run_until(guest->vcpus[0]);
    uint64_t text = guest->image_base;
    uint64_t data = text + PAGE_SIZE;
    assert_true(fake_touch(guest->vcpus[0], data, 0));
    assert_int_equal(frame_type(frame_of(fake_at(guest, data))), SKEP_FRAME_GUEST);
    assert_int_equal(*(char *)fake_at(guest, data), 'b');
    assert_true(fake_touch(guest->vcpus[0], text, 0));
    pfn_t shared = frame_of(fake_at(guest, text));
    assert_int_equal(frame_type(shared), SKEP_FRAME_IMAGE);
    assert_int_equal(protect(guest, text, PAGE_SIZE, RW), 0);
    assert_null(fake_at(guest, text));
    assert_int_equal(frame_shares(shared), 0);
    assert_true(fake_touch(guest->vcpus[0], text, 0));
    assert_int_equal(frame_type(frame_of(fake_at(guest, text))), SKEP_FRAME_GUEST);
    guest_gone(guest);
    baseline_check(&before);
}

static void tables_go_with_their_last_range(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t charged = guest->charged_frames;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t at = (i % 500 + 1) * (MIB << 10) + i * PAGE_SIZE;
        assert_int_equal(map(guest, at, 2 * PAGE_SIZE), at);
        assert_true(fake_touch(guest->vcpus[0], at + PAGE_SIZE, SKEP_FAULT_WRITE));
        assert_int_equal(unmap(guest, at, PAGE_SIZE), 0);
        assert_non_null(fake_at(guest, at + PAGE_SIZE));
        assert_int_equal(unmap(guest, at + PAGE_SIZE, PAGE_SIZE), 0);
        assert_int_equal(guest->charged_frames, charged);
    }
    guest_gone(guest);
    baseline_check(&before);
}

static void pinned_frames_stay_charged(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 3 * PAGE_SIZE);
    assert_true(fake_touch(guest->vcpus[0], at, SKEP_FAULT_WRITE));
    pfn_t pfn = frame_of(fake_at(guest, at));
    uint64_t charged = guest->charged_frames;
    paddr_t pinned;
    assert_int_equal(gmem_pin(guest, gva(at), true, &pinned), 0);
    assert_int_equal(unmap(guest, at, PAGE_SIZE), 0);
    assert_null(fake_at(guest, at));
    assert_int_equal(frame_type(pfn), SKEP_FRAME_GUEST);
    assert_int_equal(guest->charged_frames, charged);
    gmem_unpin(pinned);
    assert_int_equal(unmap(guest, at + PAGE_SIZE, PAGE_SIZE), 0);
    assert_int_equal(frame_type(pfn), SKEP_FRAME_FREE);
    assert_int_equal(guest->charged_frames, charged - 1);
    guest_gone(guest);
    baseline_check(&before);
}

/* A guest may have many pinned pages unmapped; each call looks at some of them. */
static void many_pinned_frames_come_back(void **state)
{
    (void)state;
    struct guest *guest = guest_running(4 * MIB);
    enum { COUNT = 200 };
    static paddr_t pinned[COUNT];
    uint64_t at = (uint64_t)map(guest, 0, (COUNT + 1) * PAGE_SIZE);
    assert_true(fake_touch(guest->vcpus[0], at + COUNT * PAGE_SIZE, SKEP_FAULT_WRITE));
    uint64_t charged = guest->charged_frames;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(gmem_pin(guest, gva(at + i * PAGE_SIZE), true, &pinned[i]), 0);
    }
    assert_int_equal(unmap(guest, at, COUNT * PAGE_SIZE), 0);
    assert_int_equal(guest->charged_frames, charged + COUNT);
    assert_int_equal(guest->aspace.unmapped_frames, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        gmem_unpin(pinned[i]);
    }
    for (uint32_t i = 0; i < COUNT / 8 && guest->aspace.unmapped_frames; i++) {
        assert_int_equal(map(guest, at, PAGE_SIZE), at);
        assert_int_equal(unmap(guest, at, PAGE_SIZE), 0);
    }
    assert_int_equal(guest->charged_frames, charged);
    guest_gone(guest);
    baseline_check(&before);
}

/* Memory that other CPUs still hold back isn't given out a second time: who asks for it waits. */
static void map_waits_for_frames_on_their_way_back(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t bytes = MIB + MIB / 2;
    uint64_t at = (uint64_t)map(guest, 0, bytes);
    for (uint64_t i = 0; i < bytes; i += PAGE_SIZE) {
        assert_true(fake_touch(guest->vcpus[0], at + i, SKEP_FAULT_WRITE));
    }
    atomic_fetch_or(&guest->aspace.loaded_on, 2);
    struct skep_context *context = &guest->vcpus[0]->arch.context;
    context->rax = SKEP_HC_MEM_UNMAP;
    while (context->rax >> 16 < bytes / PAGE_SIZE) {
        assert_false(call_once(guest->vcpus[0], context->rax, at, bytes, 0));
    }
    assert_false(call_once(guest->vcpus[0], SKEP_HC_MEM_MAP, 0, bytes, RW));
    assert_int_equal(context->rax, SKEP_HC_MEM_MAP);
    aspace_leave(guest, 1);
    at = (uint64_t)map(guest, 0, bytes);
    assert_true((int64_t)at > 0);
    for (uint64_t i = 0; i < bytes; i += PAGE_SIZE) {
        assert_true(fake_touch(guest->vcpus[0], at + i, SKEP_FAULT_WRITE));
    }
    guest_gone(guest);
    baseline_check(&before);
}

static void long_protect_leaves_one_range(void **state)
{
    (void)state;
    struct guest *guest = guest_running(4 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 2 * MIB);
    for (uint64_t i = 0; i < 2 * MIB; i += PAGE_SIZE) {
        assert_true(fake_touch(guest->vcpus[0], at + i, SKEP_FAULT_WRITE));
    }
    uint32_t ranges = guest->aspace.ranges.count;
    assert_int_equal(protect(guest, at, 2 * MIB, SKEP_PROT_READ), 0);
    assert_int_equal(guest->aspace.ranges.count, ranges);
    assert_int_equal(protect(guest, at + PAGE_SIZE, PAGE_SIZE, RW), 0);
    assert_int_equal(guest->aspace.ranges.count, ranges + 2);
    assert_int_equal(protect(guest, at, 2 * MIB, RW), 0);
    assert_int_equal(guest->aspace.ranges.count, ranges);
    uint64_t data = guest->image_base + PAGE_SIZE;
    assert_int_equal(protect(guest, data + PAGE_SIZE, PAGE_SIZE, SKEP_PROT_READ), 0);
    assert_int_equal(guest->aspace.ranges.count, ranges + 1);
    assert_int_equal(protect(guest, data + PAGE_SIZE, PAGE_SIZE, RW), 0);
    assert_int_equal(guest->aspace.ranges.count, ranges);
    assert_true(fake_touch(guest->vcpus[0], data + PAGE_SIZE, SKEP_FAULT_WRITE));
    assert_int_equal(*(char *)fake_at(guest, data + PAGE_SIZE), 'c');
    guest_gone(guest);
    baseline_check(&before);
}

static void heap_gap_is_found_behind_a_straddling_range(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t heap = guest->aspace.heap_base;
    assert_int_equal(map(guest, heap - PAGE_SIZE, 2 * PAGE_SIZE), heap - PAGE_SIZE);
    assert_int_equal(map(guest, 0, PAGE_SIZE), heap + PAGE_SIZE);
    guest_gone(guest);
    baseline_check(&before);
}

static void range_table_is_bounded(void **state)
{
    (void)state;
    struct guest *guest = guest_running(16 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 4 * MIB);
    int64_t result = 0;
    uint32_t holes = 0;
    while (result == 0 && holes < 500) {
        result = unmap(guest, at + holes++ * 2 * PAGE_SIZE, PAGE_SIZE);
    }
    assert_int_equal(result, -SKEP_ENOSPC);
    assert_true(guest->aspace.ranges.count <= RANGES_MAX);
    guest_gone(guest);
    baseline_check(&before);
}

static uint64_t reserve(struct guest *guest, uint64_t at, uint64_t bytes)
{
    int64_t result =
        fake_hypercall(guest->vcpus[0], SKEP_HC_MEM_MAP, at, bytes, RW | SKEP_MAP_RESERVE);
    assert_true(result > 0);
    return (uint64_t)result;
}

/* One call, whatever lies in the span, and what lies beside it stays. */
static void gaps_can_be_left(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t committed = guest_frames_committed(guest);
    uint64_t at = (uint64_t)map(guest, 0, 40 * PAGE_SIZE), wide = 64 * 1024 * MIB;
    uint64_t low = at - 1024 * MIB;
    assert_int_equal(map(guest, low, PAGE_SIZE), low);
    for (uint64_t i = 1; i < 40; i += 4) {
        assert_true(fake_touch(guest->vcpus[0], at + i * PAGE_SIZE, SKEP_FAULT_WRITE));
        assert_int_equal(unmap(guest, at + i * PAGE_SIZE, PAGE_SIZE), 0);
    }
    uint64_t reserved = reserve(guest, at + 5 * PAGE_SIZE, PAGE_SIZE);
    assert_true(fake_touch(guest->vcpus[0], reserved, SKEP_FAULT_WRITE));
    uint32_t ranges = guest->aspace.ranges.count;
    assert_int_equal(unmap(guest, at + PAGE_SIZE, wide), -SKEP_EFAULT);
    assert_int_equal(unmap(guest, at + PAGE_SIZE, wide | 4), -SKEP_EINVAL);
    assert_int_equal(unmap(guest, at + PAGE_SIZE, SKEP_UNMAP_GAPS), -SKEP_EINVAL);
    assert_int_equal(
        unmap(guest, SKEP_GUEST_VA_MIN, (SKEP_GUEST_VA_MAX - SKEP_GUEST_VA_MIN) | SKEP_UNMAP_GAPS),
        -SKEP_EPERM); /* start-info lies there */
    assert_int_equal(guest->aspace.ranges.count, ranges);
    assert_int_equal(unmap(guest, low + PAGE_SIZE, (at - low - PAGE_SIZE) | SKEP_UNMAP_GAPS), 0);
    assert_int_equal(guest->aspace.ranges.count, ranges);
    assert_int_equal(unmap(guest, at + PAGE_SIZE, wide | SKEP_UNMAP_GAPS), 0);
    assert_int_equal(guest->aspace.reserved_frames, 0);
    assert_true(fake_touch(guest->vcpus[0], at, SKEP_FAULT_WRITE));
    assert_true(fake_touch(guest->vcpus[0], low, SKEP_FAULT_WRITE));
    assert_int_equal(unmap(guest, low, (at + PAGE_SIZE - low) | SKEP_UNMAP_GAPS), 0);
    assert_int_equal(guest_frames_committed(guest), committed);
    guest_gone(guest);
    baseline_check(&before);
}

/* Their ranges stay, and what they were promised. */
static void pages_can_be_dropped(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 40 * PAGE_SIZE);
    uint64_t reserved = reserve(guest, at + 40 * PAGE_SIZE, PAGE_SIZE);
    uint64_t committed = guest_frames_committed(guest);
    uint32_t ranges = guest->aspace.ranges.count;
    for (uint64_t i = 0; i < 41; i++) {
        assert_true(fake_touch(guest->vcpus[0], at + i * PAGE_SIZE, SKEP_FAULT_WRITE));
        *(char *)fake_at(guest, at + i * PAGE_SIZE) = 1;
    }
    uint64_t used = guest->charged_frames;
    assert_int_equal(guest->aspace.reserved_frames, 1);
    assert_int_equal(unmap(guest, at, 42 * PAGE_SIZE | SKEP_UNMAP_KEEP), -SKEP_EFAULT);
    assert_int_equal(guest->charged_frames, used);
    assert_int_equal(unmap(guest, at + PAGE_SIZE, 40 * PAGE_SIZE | SKEP_UNMAP_KEEP), 0);
    assert_int_equal(guest->charged_frames, used - 40);
    assert_int_equal(guest->aspace.reserved_frames, 0);
    assert_int_equal(guest->aspace.ranges.count, ranges);
    assert_int_equal(guest_frames_committed(guest), committed);
    assert_int_equal(*(char *)fake_at(guest, at), 1);
    assert_true(fake_touch(guest->vcpus[0], at + PAGE_SIZE, SKEP_FAULT_WRITE));
    assert_true(fake_touch(guest->vcpus[0], reserved, SKEP_FAULT_WRITE));
    assert_int_equal(*(char *)fake_at(guest, at + PAGE_SIZE), 0);
    assert_int_equal(*(char *)fake_at(guest, reserved), 0);
    assert_int_equal(unmap(guest, at, 42 * PAGE_SIZE | SKEP_UNMAP_KEEP | SKEP_UNMAP_GAPS), 0);
    assert_null(fake_at(guest, at));
    assert_int_equal(unmap(guest, at, 41 * PAGE_SIZE), 0);
    guest_gone(guest);
    baseline_check(&before);
}

static struct skep_mapping described(struct guest *guest, uint64_t address)
{
    struct skep_mapping mapping;
    aspace_describe(guest, address, &mapping);
    return mapping;
}

static void addresses_are_described(void **state)
{
    (void)state;
    struct guest *guest = guest_running(2 * MIB);
    uint64_t at = (uint64_t)map(guest, 0, 4 * PAGE_SIZE);
    struct skep_mapping mapping = described(guest, at + 5);
    assert_int_equal(mapping.kind, SKEP_MAPPING_MEMORY);
    assert_int_equal(mapping.start, at);
    assert_int_equal(mapping.bytes, 4 * PAGE_SIZE);
    assert_int_equal(mapping.prot, RW);
    assert_int_equal(unmap(guest, at + PAGE_SIZE, PAGE_SIZE), 0);
    mapping = described(guest, at + PAGE_SIZE);
    assert_int_equal(mapping.kind, SKEP_MAPPING_NONE);
    assert_int_equal(mapping.start, at + PAGE_SIZE);
    assert_int_equal(mapping.bytes, PAGE_SIZE);
    assert_int_equal(described(guest, guest->image_base).kind, SKEP_MAPPING_IMAGE);
    assert_int_equal(described(guest, guest->image_base + 3 * PAGE_SIZE).kind, SKEP_MAPPING_IMAGE);
    const struct skep_start_info *info = frame_data(guest->start_info[0]);
    assert_int_equal(described(guest, info->stack_base).kind, SKEP_MAPPING_STACK);
    assert_int_equal(described(guest, info->stack_base - 1).kind, SKEP_MAPPING_GUARD);
    assert_int_equal(described(guest, info->vcpu_pages).kind, SKEP_MAPPING_VCPU_PAGE);
    assert_int_equal(described(guest, info->vcpu_pages - SKEP_START_INFO_PAGES * PAGE_SIZE).kind,
                     SKEP_MAPPING_START_INFO);
    mapping = described(guest, 0);
    assert_int_equal(mapping.start, 0);
    assert_int_equal(mapping.bytes, guest->aspace.ranges.at[0].start);
    mapping = described(guest, UINT64_MAX);
    assert_int_equal(mapping.kind, SKEP_MAPPING_NONE);
    assert_int_equal(mapping.start + mapping.bytes, 0);
    guest_gone(guest);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(96 << 20, 2);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_supplied_on_touch),
        cmocka_unit_test(pages_behind_many_are_supplied_ahead),
        cmocka_unit_test(pages_ahead_end_with_range_and_table),
        cmocka_unit_test(only_touches_of_memory_supply_ahead),
        cmocka_unit_test(long_spans_go_in_small_parts),
        cmocka_unit_test(image_pages_are_shared_until_written),
        cmocka_unit_test(files_are_shared),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(text_cannot_be_written),
        cmocka_unit_test(stack_overflow_has_its_own_reason),
        cmocka_unit_test(map_is_admitted_against_the_promise),
        cmocka_unit_test(bad_spans_are_refused),
        cmocka_unit_test(nothing_is_writable_and_executable),
        cmocka_unit_test(start_info_and_vcpu_pages_stay),
        cmocka_unit_test(no_access_keeps_the_contents),
        cmocka_unit_test(long_calls_are_carried_through),
        cmocka_unit_test(frames_wait_for_every_cpu),
        cmocka_unit_test(pinned_frames_stay_charged),
        cmocka_unit_test(map_waits_for_frames_on_their_way_back),
        cmocka_unit_test(many_pinned_frames_come_back),
        cmocka_unit_test(guests_of_several_vcpus_share_no_writable_page),
        cmocka_unit_test(tables_go_with_their_last_range),
        cmocka_unit_test(long_protect_leaves_one_range),
        cmocka_unit_test(heap_gap_is_found_behind_a_straddling_range),
        cmocka_unit_test(range_table_is_bounded),
        cmocka_unit_test(gaps_can_be_left),
        cmocka_unit_test(pages_can_be_dropped),
        cmocka_unit_test(addresses_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
