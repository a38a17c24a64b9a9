/*
 * test_console.c - console rings: offsets go on for ever, old bytes expire.
 */
#include "test.h"

#include "core/console.h"

static struct console console;

static int fresh(void **state)
{
    (void)state;
    memset(&console, 0, sizeof(console));
    for (int i = 0; i < 2; i++) {
        console.pages[i] = frame_alloc(0, SKEP_FRAME_CONSOLE, OWNER_CORE);
    }
    console.bytes = 8192;
    console.lock.kind = LOCK_CONSOLE;
    return 0;
}

static int gone(void **state)
{
    (void)state;
    frame_free(console.pages[0], 0);
    frame_free(console.pages[1], 0);
    return 0;
}

static void reads_what_was_written(void **state)
{
    (void)state;
    char text[16];
    console_write(&console, "hello", 5);
    assert_int_equal(console_read(&console, 0, text, sizeof(text)), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(console_read(&console, 5, text, sizeof(text)), 0);
    assert_int_equal(console_read(&console, 6, text, sizeof(text)), -SKEP_ERANGE);
}

static void old_bytes_expire(void **state)
{
    (void)state;
    char text[8192];
    uint64_t first, end;
    for (int i = 0; i < 3000; i++) {
        console_write(&console, "0123456789", 10);
    }
    console_offsets(&console, &first, &end);
    assert_int_equal(end, 30000);
    assert_int_equal(first, 30000 - 8192);
    assert_int_equal(console_read(&console, first - 1, text, 1), -SKEP_ERANGE);
    assert_int_equal(console_read(&console, first, text, sizeof(text)), 8192);
    for (uint64_t i = 0; i < 8192; i++) {
        assert_int_equal(text[i], '0' + (char)((first + i) % 10));
    }
}

static void input_is_bounded(void **state)
{
    (void)state;
    char text[CONSOLE_INPUT_BYTES + 10] = "abc";
    assert_int_equal(console_input_put(&console, text, sizeof(text)), CONSOLE_INPUT_BYTES);
    assert_int_equal(console_input_put(&console, text, 1), 0);
    assert_int_equal(console_input_get(&console, text, 2), 2);
    assert_int_equal(console_input_put(&console, text, 5), 2);
    assert_int_equal(console_input_get(&console, text, sizeof(text)), CONSOLE_INPUT_BYTES);
    assert_int_equal(text[0], 'c');
}

int main(void)
{
    fake_boot(48 << 20, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_was_written, fresh, gone),
        cmocka_unit_test_setup_teardown(old_bytes_expire, fresh, gone),
        cmocka_unit_test_setup_teardown(input_is_bounded, fresh, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
