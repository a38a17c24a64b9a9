/*
 * test_retain.c - retained records.
 */
#include "test.h"

#include "core/gmem.h"
#include "core/retain.h"

static struct baseline before;
static struct guest *control;
static gva_t page;

static void put(const char *text)
{
    assert_int_equal(gmem_copy_out(control, page, text, strlen(text) + 1), 0);
}

static void get(const char *text)
{
    char copy[16];
    assert_int_equal(gmem_copy_in(control, copy, page, sizeof(copy)), 0);
    assert_string_equal(copy, text);
}

static void records_are_replaced_whole(void **state)
{
    (void)state;
    assert_int_equal(retain_read(control, 3, page), -SKEP_ENOENT);
    put("one");
    assert_int_equal(retain_write(control, 3, page), 0);
    put("two");
    assert_int_equal(retain_write(control, 4, page), 0);
    assert_int_equal(retain_read(control, 3, page), 0);
    get("one");
    put("three");
    assert_int_equal(retain_write(control, 3, page), 0);
    assert_int_equal(retain_read(control, 4, page), 0);
    get("two");
    assert_int_equal(retain_read(control, 3, page), 0);
    get("three");
    assert_int_equal(retain_write(control, 3, gva(0)), 0);
    assert_int_equal(retain_write(control, 4, gva(0)), 0);
    assert_int_equal(retain_write(control, 4, gva(0)), 0);
    assert_int_equal(retain_read(control, 3, page), -SKEP_ENOENT);
    baseline_check(&before);
}

static void failed_write_keeps_the_old(void **state)
{
    (void)state;
    put("old");
    assert_int_equal(retain_write(control, 0, page), 0);
    assert_int_equal(retain_write(control, 0, gva(0x1000)), -SKEP_EFAULT);
    assert_int_equal(retain_write(control, retain_capacity(), page), -SKEP_EINVAL);
    assert_int_equal(retain_read(control, 0, page), 0);
    get("old");
    assert_int_equal(retain_write(control, 0, gva(0)), 0);
    baseline_check(&before);
}

/* A record can be replaced when nothing more can be promised, but no further one be made. */
static void replacing_needs_no_promise(void **state)
{
    (void)state;
    put("old");
    assert_int_equal(retain_write(control, 0, page), 0);
    uint64_t rest = promise_limit() - promise_taken();
    assert_int_equal(promise_take(rest), 0);
    put("new");
    assert_int_equal(retain_write(control, 0, page), 0);
    assert_int_equal(retain_write(control, 1, page), -SKEP_ENOMEM);
    assert_int_equal(retain_read(control, 1, page), -SKEP_ENOENT);
    promise_give(rest);
    put("");
    assert_int_equal(retain_read(control, 0, page), 0);
    get("new");
    assert_int_equal(retain_write(control, 0, gva(0)), 0);
    baseline_check(&before);
}

int main(void)
{
    fake_boot(96 << 20, 1);
    control = fake_find(1ull << 32 | 1);
    page = gva(control->aspace.ranges.at[control->aspace.ranges.count - 1].start);
    gmem_copy_out(control, page, "", 1);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_replaced_whole),
        cmocka_unit_test(failed_write_keeps_the_old),
        cmocka_unit_test(replacing_needs_no_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
