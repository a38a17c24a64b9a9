/*
 * test_fma.c - libc-shim's fma() and fmaf() beside the host's: the same bits, by the instruction and without it.
 */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Beside the host's. */
#define fma  shim_fma
#define fmaf shim_fmaf
double fma(double x, double y, double z);
float fmaf(float x, float y, float z);
#include "../../libc-shim/src/fma.c" /* NOLINT(bugprone-suspicious-include): under names of its own */
#undef fma
#undef fmaf

#define RANDOM_COUNT 100000

static void check_same(double ours, double host, double x, double y, double z)
{
    bool same = isnan(host) ? isnan(ours) : ours == host && signbit(ours) == signbit(host);
    if (!same)
        fail_msg("%a * %a + %a is %a, not %a", x, y, z, ours, host);
}

static void check(double x, double y, double z)
{
    float a = (float)x, b = (float)y, c = (float)z;
    check_same((double)fused(x, y, z), fma(x, y, z), x, y, z);
    check_same((double)(float)fused(a, b, c), (double)fmaf(a, b, c), a, b, c);
    check_same(shim_fma(x, y, z), fma(x, y, z), x, y, z);
    check_same((double)shim_fmaf(a, b, c), (double)fmaf(a, b, c), a, b, c);
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* Of few bits, so that sums end amid and beside what is rounded, with an exponent between two. */
static double some_double(uint64_t *state, int least, int most)
{
    uint64_t bits = next_random(state);
    double few = 1 + (double)(bits & 7) * 0x1p-52 + (double)(bits >> 3 & 7) * 0x1p-26;
    double fraction = bits >> 60 & 1 ? few : 1 + (double)(bits >> 12) * 0x1p-52;
    int exponent = least + (int)(next_random(state) % (uint64_t)(most - least + 1));
    return ldexp(bits >> 61 & 1 ? -fraction : fraction, exponent);
}

static void check_random(void)
{
    uint64_t state = 1;
    for (int i = 0; i < RANDOM_COUNT; i++) {
        uint64_t bits[3] = {next_random(&state), next_random(&state), next_random(&state)};
        double any[3];
        memcpy(any, bits, sizeof(any));
        check(any[0], any[1], any[2]);
        double x = some_double(&state, -30, 30), y = some_double(&state, -30, 30);
        check(x, y, some_double(&state, -170, 170));
        check(x, y, -x * y);
        check(x, y, nextafter(-x * y, 0));
        check(some_double(&state, -600, -430), some_double(&state, -600, -430),
              some_double(&state, -1080, -900));
        check(some_double(&state, 480, 530), some_double(&state, 480, 530),
              some_double(&state, 900, 1023));
        check(some_double(&state, -90, -60), some_double(&state, -90, -60),
              some_double(&state, -151, -120));
    }
}

static void check_special(void)
{
    static const double special[] = {
        0,
        -0.0,
        1,
        -1,
        0x1p-1074,
        -0x1p-1074,
        0x1p-1022,
        0x1p-30,
        0x1p-149,
        -0x1p-149,
        0x1p-126,
        0x1p52,
        0x1p53,
        0x1.fffffep127,
        1e300,
        -0x1p1023,
        0.1,
        0x1.8p-53,
        INFINITY,
        -INFINITY,
        (double)NAN,
        3,
        0x1p-53,
        0x1p-52,
        -0x1p-106,
        0x1.000002p0,
        0x1.fffffffffffffp+1023,
    };
    enum { COUNT = sizeof(special) / sizeof(*special) };
    for (int i = 0; i < COUNT * COUNT * COUNT; i++)
        check(special[i / COUNT / COUNT], special[i / COUNT % COUNT], special[i % COUNT]);
}

static void test_as_the_host_in_each_rounding_mode(void **state)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        assert_int_equal(fesetround(modes[i]), 0);
        check_special();
        check_random();
    }
    assert_int_equal(fesetround(FE_TONEAREST), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_the_host_in_each_rounding_mode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
