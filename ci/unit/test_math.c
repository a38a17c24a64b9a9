/*
 * test_math.c - libc-shim's part of <math.h> beside the host's: the same bits, for what is special and for any number.
 */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Beside the host's. */
#define trunc      shim_trunc
#define floor      shim_floor
#define ceil       shim_ceil
#define round      shim_round
#define rint       shim_rint
#define truncf     shim_truncf
#define floorf     shim_floorf
#define ceilf      shim_ceilf
#define roundf     shim_roundf
#define rintf      shim_rintf
#define sqrtl      shim_sqrtl
#define fmodl      shim_fmodl
#define remainderl shim_remainderl
#define llround    shim_llround
#define lroundl    shim_lroundl
#define llroundl   shim_llroundl
#define remquo     shim_remquo
#define remquof    shim_remquof
#define remquol    shim_remquol
#define scalbnf    shim_scalbnf
double trunc(double x);
double floor(double x);
double ceil(double x);
double round(double x);
double rint(double x);
float truncf(float x);
float floorf(float x);
float ceilf(float x);
float roundf(float x);
float rintf(float x);
long double sqrtl(long double x);
long double fmodl(long double x, long double y);
long double remainderl(long double x, long double y);
long long llround(double x);
long lroundl(long double x);
long long llroundl(long double x);
double remquo(double x, double y, int *quotient);
float remquof(float x, float y, int *quotient);
long double remquol(long double x, long double y, int *quotient);
float scalbnf(float x, int exponent);
#include "../../libc-shim/src/math.c" /* NOLINT(bugprone-suspicious-include): under names of its own */
#undef trunc
#undef floor
#undef ceil
#undef round
#undef rint
#undef truncf
#undef floorf
#undef ceilf
#undef roundf
#undef rintf
#undef sqrtl
#undef fmodl
#undef remainderl
#undef llround
#undef lroundl
#undef llroundl
#undef remquo
#undef remquof
#undef remquol
#undef scalbnf

#define RANDOM_COUNT 200000

static void check_double(double x, double ours, double host, const char *name)
{
    bool same = isnan(host) ? isnan(ours) : ours == host && signbit(ours) == signbit(host);
    if (!same)
        fail_msg("%s(%a) is %a, not %a", name, x, ours, host);
}

static void check(double x)
{
    float f = (float)x;
    check_double(x, shim_trunc(x), trunc(x), "trunc");
    check_double(x, shim_floor(x), floor(x), "floor");
    check_double(x, shim_ceil(x), ceil(x), "ceil");
    check_double(x, shim_round(x), round(x), "round");
    check_double(x, shim_rint(x), rint(x), "rint");
    check_double(x, __ieee754_sqrt(x), sqrt(x), "sqrt");
    check_double(x, (double)shim_sqrtl(x), (double)sqrtl(x), "sqrtl");
    check_double(f, shim_truncf(f), truncf(f), "truncf");
    check_double(f, shim_floorf(f), floorf(f), "floorf");
    check_double(f, shim_ceilf(f), ceilf(f), "ceilf");
    check_double(f, shim_roundf(f), roundf(f), "roundf");
    check_double(f, shim_rintf(f), rintf(f), "rintf");
    check_double(f, __ieee754_sqrtf(f), sqrtf(f), "sqrtf");
    if (shim_llround(x) != llround(x) || shim_lroundl(x) != lroundl(x))
        fail_msg("llround(%a) is %lld, lroundl() %ld", x, shim_llround(x), shim_lroundl(x));
    for (int exponent = -160; exponent < 160; exponent += 7)
        check_double(f, shim_scalbnf(f, exponent), scalbnf(f, exponent), "scalbnf");
}

static void check_near(double x)
{
    check(x);
    check(-x);
    check(nextafter(x, INFINITY));
    check(nextafter(x, -INFINITY));
    check(nextafterf((float)x, INFINITY));
    check(nextafterf((float)x, -INFINITY));
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static void check_all(void)
{
    static const double special[] = {
        0,      0x1p-1074, 0x1p-1022,    0.25,     0.5,         0.75,    1,       1.5,    2,
        2.5,    3.5,       0x1p22 - 0.5, 0x1p23,   0x1p31,      0x1p51,  0x1p52,  0x1p53, 0x1p62,
        0x1p63, 0x1p64,    1e300,        INFINITY, (double)NAN, -0x1p63, 4.0 / 9, 1e-310, 0x1p-149,
    };
    uint64_t state = 1;

    for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
        check_near(special[i]);
    for (int half = 1; half < 400; half++)
        check_near(half * 0.5);
    for (int i = 0; i < RANDOM_COUNT; i++) {
        uint64_t bits = next_random(&state);
        double any;
        memcpy(&any, &bits, sizeof(any));
        check(any);
        check(ldexp((double)bits, -(int)(bits % 70)) * (bits & 1 ? 1 : -1));
    }
}

static void test_as_the_host_in_each_rounding_mode(void **state)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        assert_int_equal(fesetround(modes[i]), 0);
        check_all();
    }
    assert_int_equal(fesetround(FE_TONEAREST), 0);
}

/* The host has a quotient of 0 where it is a multiple of 8; signs of that say nothing. */
static void check_quotient(double x, double y, int ours, int host)
{
    bool matters = isfinite(x) && !isnan(y) && y != 0;
    bool same_sign = (ours < 0) == (host < 0) || host % 8 == 0;
    if (matters && (abs(ours) % 8 != abs(host) % 8 || !same_sign))
        fail_msg("the quotient of %a and %a is %d, not %d", x, y, ours, host);
}

/* Not the host's remquo(), which errs where 8 * y isn't normal. */
static void check_quotients(double x, double y)
{
    int ours = 0, host = 0;
    float float_x = (float)x, float_y = (float)y;
    check_double(x, (double)shim_remquol(x, y, &ours), (double)remquol(x, y, &host), "remquol");
    check_quotient(x, y, ours, host);
    check_double(x, shim_remquo(x, y, &ours), (double)remquol(x, y, &host), "remquo");
    check_quotient(x, y, ours, host);
    check_double(x, shim_remquof(float_x, float_y, &ours), (double)remquol(float_x, float_y, &host),
                 "remquof");
    check_quotient(float_x, float_y, ours, host);
}

static void check_remainders(double x, double y)
{
    char of[80];
    float float_x = (float)x, float_y = (float)y;
    snprintf(of, sizeof(of), "by %a: fmod", y);
    check_double(x, __ieee754_fmod(x, y), fmod(x, y), of);
    check_double(x, __ieee754_fmodf(float_x, float_y), fmodf(float_x, float_y), of);
    check_double(x, (double)shim_fmodl(x, y), (double)fmodl(x, y), of);
    check_double(x, (double)shim_remainderl(x, y), (double)remainderl(x, y), of);
    check_quotients(x, y);
}

/* Where a long double isn't a double. */
static void test_whole_long_doubles(void **unused)
{
    static const long double numbers[] = {0.5L,
                                          0x1.fffffffffffffffep-2L,
                                          1.5L,
                                          0x1.fffffffffffffffcp61L,
                                          0x1.fffffffffffffffep62L,
                                          0x1.fffffffffffffff8p59L,
                                          0x1p63L,
                                          0x1.0000000000000002p63L,
                                          0x1p16000L,
                                          0x1p-16445L};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            long double x = sign * numbers[i];
            if (shim_lroundl(x) != lroundl(x) || shim_llroundl(x) != llroundl(x))
                fail_msg("lroundl(%La) is %ld, not %ld", x, shim_lroundl(x), lroundl(x));
        }
}

static double any_double(uint64_t *state)
{
    uint64_t bits = next_random(state);
    double any;
    memcpy(&any, &bits, sizeof(any));
    return any;
}

static void test_remainders_as_the_host(void **unused)
{
    static const double special[] = {
        0,
        -0.0,
        0x1p-1074,
        0x3p-1074,
        0x1.8p-1023,
        0x1p-1022,
        0x1.fffffffffffffp-1022,
        0.1,
        1,
        1.5,
        2,
        3,
        10,
        0x1.fffffffffffffp52,
        1e9,
        1e22,
        0x1p1023,
        -7,
        0x1.fffffffffffffp+1023,
        INFINITY,
        -INFINITY,
        (double)NAN,
        0x1p-149,
        0x1.fffffep+127,
    };
    enum { COUNT = sizeof(special) / sizeof(*special) };
    uint64_t state = 1;
    for (int i = 0; i < COUNT * COUNT; i++)
        check_remainders(special[i / COUNT], special[i % COUNT]);
    for (int i = 0; i < RANDOM_COUNT; i++) {
        double x = any_double(&state), y = any_double(&state);
        check_remainders(x, y);
        check_remainders(x,
                         ldexp(x, -(int)(next_random(&state) % 140)) * (1 + fabs(y) * 0x1p-1070));
        check_remainders(ldexp(x, -1060), ldexp(y, -1070));
        check_remainders((double)(next_random(&state) >> 20), (double)(next_random(&state) >> 40));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_the_host_in_each_rounding_mode),
                                       cmocka_unit_test(test_whole_long_doubles),
                                       cmocka_unit_test(test_remainders_as_the_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
