/*
 * test_log.c - the serial log: lines wait for the port, nobody waits for lines.
 */
#include "test.h"

#include <stdlib.h>

#include "core/guest.h"
#include "core/log.h"

#define LINES      1000
#define RING_BYTES 16384

static char sent[1 << 20];
static size_t sent_bytes;

static void keep(const char *text, size_t bytes)
{
    assert_true(sent_bytes + bytes < sizeof(sent));
    memcpy(sent + sent_bytes, text, bytes);
    sent_bytes += bytes;
    sent[sent_bytes] = 0;
}

static int start(void **state)
{
    (void)state;
    fake_serial_sent = keep;
    fake_serial_room = SIZE_MAX;
    while (log_step()) {
    }
    sent_bytes = 0;
    return 0;
}

static void a_line_waits_for_the_port(void **state)
{
    (void)state;
    fake_serial_room = 0;
    log_raw("hello\n", 6);
    assert_true(atomic_load(&fake_cpu->resched)); /* ring 0 comes to log_step() before the guest */
    assert_true(log_step());
    assert_int_equal(sent_bytes, 0);
    fake_serial_room = 4;
    assert_true(log_step());
    assert_string_equal(sent, "hell");
    fake_serial_room = 4;
    assert_false(log_step());
    assert_string_equal(sent, "hello\n");
    assert_false(log_step());
}

/* An idle CPU that has something to send sets its timer, and none when nothing is left. */
static void an_idle_cpu_comes_back_for_it(void **state)
{
    (void)state;
    fake_cpu_set(1);
    fake_interrupts();
    fake_clock_advance(1000000000);
    while (fake_interrupts()) {
        fake_clock_advance(1000000000); /* the control service's turn */
        fake_cpu_set(0);
        fake_interrupts();
        fake_cpu_set(1);
    }
    uint64_t before = fake_cpu->arch.timer_ns;
    fake_serial_room = 2;
    log_raw("abcd", 4);
    assert_null(fake_resume());
    assert_true(fake_cpu->arch.timer_ns <= arch_clock_ns() + 2000000);
    assert_string_equal(sent, "ab");
    fake_serial_room = SIZE_MAX;
    fake_clock_advance(2000000);
    assert_null(fake_interrupts());
    assert_string_equal(sent, "abcd");
    assert_int_equal(fake_cpu->arch.timer_ns, before);
    fake_cpu_set(0);
}

static void a_step_is_bounded(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof(text));
    log_raw(text, sizeof(text));
    while (log_step()) {
        assert_in_range(sent_bytes, 1, 128);
        sent_bytes = 0;
    }
}

static void other_cpu_sends_all(const char *text, size_t bytes)
{
    fake_serial_sent = keep;
    keep(text, bytes);
    log_buffer(false); /* before the reset, while this CPU is at the port without the lock */
}

/* A CPU that is at the port while another one sends everything doesn't count its part once more: all that comes after
 * would be sent from where nothing has been written, and without an end. */
static void sending_all_meets_who_is_sending(void **state)
{
    (void)state;
    log_raw("rebooting\n", 10);
    fake_serial_sent = other_cpu_sends_all;
    assert_false(log_step());
    assert_string_equal(sent, "rebooting\nrebooting\n");
    log_buffer(true);
    log_raw("after\n", 6);
    assert_false(log_step());
    assert_string_equal(sent, "rebooting\nrebooting\nafter\n");
}

/* A guest's text, in a terminal of whatever kind: 0x9b, alone or as UTF-8, begins a command as ESC [ does. */
static void texts_steer_no_terminal(void **state)
{
    (void)state;
    char text[32];
    format_text(text, sizeof(text), "%s", "~a\x1b[2J\x9b\xc2\x9b\x7f\r\n ");
    assert_string_equal(text, "~a?[2J?????? ");
}

/* What finds no room is left out whole, counted, and said at the next line that has room. */
static void lost_lines_are_told(void **state)
{
    (void)state;
    char line[32], expected[64];
    size_t kept = 0, lost = 0;
    fake_serial_room = 0;
    for (int i = 0; i < LINES; i++) {
        size_t bytes = format_text(line, sizeof(line), "this is line %d of many\n", i);
        log_raw(line, bytes);
        *(kept + bytes > RING_BYTES || lost ? &lost : &kept) += bytes;
    }
    assert_true(lost > 0);
    fake_serial_room = SIZE_MAX;
    while (log_step()) {
    }
    assert_int_equal(sent_bytes, kept);
    char *at = sent;
    for (int i = 0; *at; i++) {
        format_text(line, sizeof(line), "this is line %d of many\n", i);
        assert_memory_equal(at, line, strlen(line));
        at += strlen(line);
    }
    sent_bytes = 0;
    log_raw("after\n", 6);
    log_step();
    format_text(expected, sizeof(expected), "(%lu bytes of the log are lost)\nafter\n", lost);
    assert_string_equal(sent, expected);
}

static void the_tail_is_the_latest(void **state)
{
    (void)state;
    char tail[8];
    for (int i = 0; i < 3 * RING_BYTES; i += 16) {
        log_raw("0123456789abcdef", 16);
        log_step();
    }
    log_raw("the end\n", 8);
    assert_int_equal(log_tail(tail, sizeof(tail)), 8);
    assert_memory_equal(tail, "the end\n", 8);
    char *all = malloc(2 * RING_BYTES);
    assert_int_equal(log_tail(all, 2 * RING_BYTES), RING_BYTES);
    free(all);
}

static void crash_in_a_loop(uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        struct guest *guest = fake_find(fake_guest(fake_image(), 2 << 20, 1));
        assert_non_null(guest);
        guest_crash(guest->vcpus[0], SKEP_CRASH_DIVIDE, 0, 0);
        guest_gone(guest);
    }
    while (log_step()) {
    }
}

static uint32_t lines_with(const char *text)
{
    uint32_t count = 0;
    for (const char *at = sent; (at = strstr(at, text)); at++) {
        count++;
    }
    return count;
}

/* A guest that crashes again and again gets some lines, and one about the rest. */
static void crashes_in_a_loop_are_counted(void **state)
{
    (void)state;
    crash_in_a_loop(100);
    assert_int_equal(lines_with("guest guest: crashed: divide-error"), 4);
    assert_int_equal(lines_with("left out"), 0);
    fake_clock_advance(10000000000);
    crash_in_a_loop(1);
    assert_int_equal(lines_with("guest guest: crashed: divide-error"), 5);
    assert_int_equal(lines_with("guest guest: 96 crashes of it, or of others, were left out here"),
                     1);
}

int main(void)
{
    fake_boot(64 << 20, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_waits_for_the_port, start),
        cmocka_unit_test_setup(an_idle_cpu_comes_back_for_it, start),
        cmocka_unit_test_setup(a_step_is_bounded, start),
        cmocka_unit_test_setup(sending_all_meets_who_is_sending, start),
        cmocka_unit_test(texts_steer_no_terminal),
        cmocka_unit_test_setup(lost_lines_are_told, start),
        cmocka_unit_test_setup(crashes_in_a_loop_are_counted, start),
        cmocka_unit_test_setup(the_tail_is_the_latest, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
