/*
 * test_image.c - images: layout checks, the seal, users, destruction.
 */
#include "test.h"

static struct baseline before;

static struct skep_image_spec good(void)
{
    return (struct skep_image_spec){
        .page_count = 3,
        .segment_count = 2,
        .segments = {{.page_count = 1, .prot = SKEP_PROT_READ | SKEP_PROT_EXEC},
                     {.va_offset = 0x1000,
                      .first_page = 1,
                      .page_count = 1,
                      .zero_pages = 2,
                      .prot = SKEP_PROT_READ | SKEP_PROT_WRITE}},
        .name = "test",
    };
}

static void refuse(struct skep_image_spec spec)
{
    assert_int_equal(image_create(&spec), -SKEP_EINVAL);
}

static void bad_layouts_are_refused(void **state)
{
    (void)state;
    struct skep_image_spec spec = good();
    spec.segments[1].va_offset = 0;
    refuse(spec);
    spec = good();
    spec.segments[1].va_offset = 0x1800;
    refuse(spec);
    spec = good();
    spec.segments[0].prot |= SKEP_PROT_WRITE;
    refuse(spec);
    spec = good();
    spec.segments[1].prot = 8;
    refuse(spec);
    spec = good();
    spec.segments[1].page_count = UINT32_MAX;
    refuse(spec);
    spec = good();
    spec.segments[1].first_page = 3;
    refuse(spec);
    spec = good();
    spec.segments[1].va_offset = 1ull << 32;
    refuse(spec);
    spec = good();
    spec.segments[1].zero_pages = UINT32_MAX;
    refuse(spec);
    spec = good();
    spec.entry_offset = 0x1000;
    refuse(spec);
    spec = good();
    spec.page_count = 0;
    refuse(spec);
    spec = good();
    spec.segment_count = SKEP_IMAGE_SEGMENTS_MAX + 1;
    refuse(spec);
    spec = good();
    memset(spec.name, 'x', sizeof(spec.name));
    refuse(spec);
    baseline_check(&before);
}

static struct skep_image_spec files(void)
{
    return (struct skep_image_spec){
        .page_count = 2,
        .segment_count = 1,
        .segments = {{.page_count = 2, .prot = SKEP_PROT_READ}},
        .name = "test",
    };
}

static void bad_layouts_of_files_are_refused(void **state)
{
    (void)state;
    struct skep_image_spec spec = files();
    spec.entry_offset = 1;
    refuse(spec);
    spec = files();
    spec.segments[0].va_offset = PAGE_SIZE;
    refuse(spec);
    spec = files();
    spec.segments[0].zero_pages = 1;
    refuse(spec);
    spec = files();
    spec.segments[0].page_count = 3;
    refuse(spec);
    spec = files();
    spec.segments[0].prot = SKEP_PROT_READ | SKEP_PROT_WRITE;
    refuse(spec);
    spec = files();
    spec.page_count = spec.segments[0].page_count = SKEP_FILES_PAGES_MAX + 1;
    refuse(spec);
    baseline_check(&before);
}

/* Many images of files: each has its place, and the list goes through all of them. */
static void table_of_images(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct skep_image_spec spec = files();
    struct skep_image_info info;
    uint64_t handles[COUNT], handle = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        handles[i] = (uint64_t)image_create(&spec);
        assert_true((int64_t)handles[i] > 0);
    }
    assert_int_equal(image_count(), COUNT);
    for (uint32_t i = 1; i < COUNT; i += 2) {
        assert_int_equal(image_destroy(handles[i]), 0);
    }
    for (uint32_t i = 0; i < COUNT; i += 2) {
        handle = image_next(handle, &info);
        assert_int_equal(handle, handles[i]);
    }
    assert_int_equal(image_next(handle, &info), 0);
    handle = (uint64_t)image_create(&spec);
    assert_int_equal((uint32_t)handle, (uint32_t)handles[1]);
    assert_int_not_equal(handle, handles[1]);
    assert_int_equal(image_destroy(handle), 0);
    for (uint32_t i = 0; i < COUNT; i += 2) {
        assert_int_equal(image_destroy(handles[i]), 0);
    }
    assert_int_equal(image_count(), 0);
    baseline_check(&before);
}

static void beyond_memory_is_refused(void **state)
{
    (void)state;
    struct skep_image_spec spec = good();
    spec.page_count = 65536;
    assert_int_equal(image_create(&spec), -SKEP_ENOMEM);
    baseline_check(&before);
}

/* A control service that is started anew in the middle of it finds the rest, and that it can't be started. */
static void half_destroyed_image_is_listed(void **state)
{
    (void)state;
    struct skep_image_spec spec = good();
    struct skep_image_info info;
    spec.page_count = 200;
    uint64_t handle = (uint64_t)image_create(&spec);
    assert_int_equal(image_destroy(handle), -SKEP_EAGAIN);
    assert_int_equal(image_next(0, &info), handle);
    assert_int_equal(info.sealed, 0);
    assert_null(image_use(handle, false));
    while (image_destroy(handle) == -SKEP_EAGAIN) {
    }
    assert_int_equal(image_next(0, &info), 0);
    baseline_check(&before);
}

static void seal_wants_every_page(void **state)
{
    (void)state;
    struct skep_image_spec spec = good();
    uint64_t handle = (uint64_t)image_create(&spec);
    assert_int_equal(image_seal(handle), -SKEP_EINVAL);
    assert_null(image_use(handle, false));
    assert_int_equal(image_seal(handle + (1ull << 32)), -SKEP_ENOENT);
    assert_int_equal(image_destroy(handle), 0);
    assert_int_equal(image_destroy(handle), -SKEP_ENOENT);
    baseline_check(&before);
}

/* A page whose copy failed isn't part of the image, and an image of any size costs nothing before it is written. */
static void failed_write_writes_nothing(void **state)
{
    (void)state;
    struct skep_image_spec spec = good();
    struct guest *control = fake_find(1ull << 32 | 1);
    gva_t buffer = gva(control->aspace.ranges.at[control->aspace.ranges.count - 1].start);
    uint64_t handle = (uint64_t)image_create(&spec);
    uint64_t before_write[SKEP_FRAME_TYPES];
    frame_counts(before_write);
    assert_int_equal(image_read(control, handle, 0, buffer, 16), -SKEP_ENOENT);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(image_write(control, handle, i, gva(0x1000), PAGE_SIZE), -SKEP_EFAULT);
    }
    uint64_t after[SKEP_FRAME_TYPES];
    frame_counts(after);
    assert_int_equal(after[SKEP_FRAME_IMAGE], before_write[SKEP_FRAME_IMAGE]);
    assert_int_equal(image_seal(handle), -SKEP_EINVAL);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(image_write(control, handle, i, buffer, 16), 0);
    }
    assert_int_equal(image_seal(handle), 0);
    struct image *image = image_use(handle, false);
    const char *data = frame_data(image_page(image, 2));
    for (uint32_t i = 16; i < PAGE_SIZE; i++) {
        assert_int_equal(data[i], 0);
    }
    image_unuse(image);
    assert_int_equal(image_destroy(handle), 0);
    baseline_check(&before);
}

static void used_image_stays(void **state)
{
    (void)state;
    uint64_t handle = fake_image();
    struct guest *guest = fake_find(fake_guest(handle, 2 << 20, 1));
    assert_int_equal(image_destroy(handle), -SKEP_EBUSY);
    guest_destroy(guest);
    fake_settle();
    assert_int_equal(image_destroy(handle), 0);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(96 << 20, 1);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_layouts_are_refused),
        cmocka_unit_test(bad_layouts_of_files_are_refused),
        cmocka_unit_test(table_of_images),
        cmocka_unit_test(beyond_memory_is_refused),
        cmocka_unit_test(half_destroyed_image_is_listed),
        cmocka_unit_test(seal_wants_every_page),
        cmocka_unit_test(used_image_stays),
        cmocka_unit_test(failed_write_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
