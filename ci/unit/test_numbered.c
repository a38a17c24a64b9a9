/*
 * test_numbered.c - formats that number their arguments, put in order by libc-shim for a printf() that knows none of that,
 * beside the host's, which does.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef NL_ARGMAX
#define NL_ARGMAX 32
#endif
#include "../../libc-shim/src/numbered.c" /* NOLINT(bugprone-suspicious-include) */

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat"

/* What comes out by way of the plain format. */
static int format_in_order(char *out, size_t room, const char *format, ...)
{
    va_list arguments, ordered;
    char *plain;
    va_start(arguments, format);
    int result = skep_posix_order_arguments(format, arguments, &plain, ordered);
    if (result == 1) {
        assert_null(strstr(plain, "1$"));
        vsnprintf(out, room, plain, ordered);
        free(plain);
    }
    va_end(arguments);
    return result;
}

#define CHECK_AS_HOST(...)                                                     \
    do {                                                                       \
        char ours[512], host[512];                                             \
        snprintf(host, sizeof(host), __VA_ARGS__);                             \
        assert_int_equal(format_in_order(ours, sizeof(ours), __VA_ARGS__), 1); \
        assert_string_equal(ours, host);                                       \
    } while (0)

static void test_as_the_host(void **state)
{
    CHECK_AS_HOST("%2$s %1$s", "one", "two");
    CHECK_AS_HOST("%1$s%1$s%1$s", "again");
    CHECK_AS_HOST("%3$d %1$ld %2$hhu", LONG_MIN, 255, -7);
    CHECK_AS_HOST("%2$f %1$d %3$g %4$s", 5, 2.5, 1e300, "end");
    CHECK_AS_HOST("%2$Lf %1$d %3$Lg %4$d %2$Lf", 5, 2.5L, 1e4000L, 8);
    CHECK_AS_HOST("[%2$*1$d] [%2$-*1$d] [%2$0*1$d]", 8, 42);
    CHECK_AS_HOST("[%3$.*1$f] [%3$*2$.*1$f]", 3, 12, 3.14159265);
    CHECK_AS_HOST("%2$5.3d|%1$-10s|%2$#x|%2$+d", "left", 77);
    CHECK_AS_HOST("100%% of %2$c, %% and %1$p", (void *)format_in_order, 'x');
    CHECK_AS_HOST("%1$d $5 %2$s $", 9, "$1");
    CHECK_AS_HOST("%10$d %9$d %8$d %7$d %6$d %5$d %4$d %3$d %2$d %1$d", 1, 2, 3, 4, 5, 6, 7, 8, 9,
                  10);
    CHECK_AS_HOST("%10$g %9$g %8$g %7$g %6$g %5$g %4$g %3$g %2$g %1$g", 1., 2., 3., 4., 5., 6., 7.,
                  8., 9., 10.);
    CHECK_AS_HOST("%5$s %2$g %1$d %3$Lg %4$d %5$s", 1, 2.0, 3.0L, 4, "five");
}

static void test_bytes_written(void **state)
{
    int bytes = 0;
    char out[32];
    assert_int_equal(format_in_order(out, sizeof(out), "%2$s%1$n", &bytes, "four"), 1);
    assert_int_equal(bytes, 4);
}

static void test_plain_formats(void **state)
{
    char out[32];
    assert_int_equal(format_in_order(out, sizeof(out), ""), 0);
    assert_int_equal(format_in_order(out, sizeof(out), "$"), 0);
    assert_int_equal(format_in_order(out, sizeof(out), "%d $", 1), 0);
    assert_int_equal(format_in_order(out, sizeof(out), "%%1$d"), 0);
    assert_int_equal(format_in_order(out, sizeof(out), "%m%5d$", 1), 0);
}

static void test_wrong_formats(void **state)
{
    static const char *const wrong[] = {
        "%1$s %s", "%1$*d", "%0$d",    "%33$d",    "%99999999999999999999$d",
        "%1$",     "%1$5",  "%1$.*2d", "%1$*99$d", "%1$d %",
    };
    char out[32];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        errno = 0;
        assert_int_equal(format_in_order(out, sizeof(out), wrong[i], "", ""), -1);
        assert_int_equal(errno, EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_host),
        cmocka_unit_test(test_bytes_written),
        cmocka_unit_test(test_plain_formats),
        cmocka_unit_test(test_wrong_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
