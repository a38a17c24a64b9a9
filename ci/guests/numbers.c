/*
 * numbers.c - <math.h> where C libraries err: numbers that are whole, large, very small, or none; long doubles; errno.
 * Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "say.h"

/* Functions are called through pointers that the compiler doesn't know, so that it computes nothing itself. */
struct of_float {
    const char *name;
    float (*volatile function)(float);
};
struct of_double {
    const char *name;
    double (*volatile function)(double);
};
struct of_long {
    const char *name;
    long double (*volatile function)(long double);
};
#define NAMED(function)     \
    {                       \
#function, function \
    }
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void test_whole_floats(void)
{
    static const struct of_float functions[] = {NAMED(truncf), NAMED(floorf), NAMED(ceilf),
                                                NAMED(roundf), NAMED(rintf),  NAMED(nearbyintf)};
    static const float numbers[] = {0.5f,  -0.5f,       1.5f,      -2.5f,    0.49999997f,
                                    1e10f, -8388607.5f, HUGE_VALF, 0x1p-149f};
    for (size_t i = 0; i < COUNT(functions); i++) {
        printf("%s:", functions[i].name);
        for (size_t k = 0; k < COUNT(numbers); k++)
            printf(" %a", (double)functions[i].function(numbers[k]));
        puts("");
    }
}

/* No comparison of what is no number is an invalid operation. */
static void test_no_number(void)
{
    static const struct of_double functions[] = {NAMED(trunc), NAMED(floor), NAMED(ceil),
                                                 NAMED(round), NAMED(rint)};
    for (size_t i = 0; i < COUNT(functions); i++) {
        feclearexcept(FE_ALL_EXCEPT);
        int is_same = isnan(functions[i].function((double)NAN));
        printf("%s: %d %d\n", functions[i].name, is_same, fetestexcept(FE_INVALID));
    }
}

static void test_integers(void)
{
    long long (*volatile of_double)(double) = llround;
    long (*volatile of_long)(long double) = lroundl;
    printf("%lld %lld %lld\n", of_double(0x1.f9908ff54adep62), of_double(-0x1.5d3c4ff54adep61),
           of_double(0.49999999999999994));
    printf("%ld %ld %ld %ld\n", of_long(-0x1p63L), of_long((long double)HUGE_VAL),
           of_long(0x1.fffffffffffffffep-2L), of_long(-2.5L));
}

static void test_quotients(void)
{
    double (*volatile of_double)(double, double, int *) = remquo;
    long double (*volatile of_long)(long double, long double, int *) = remquol;
    float (*volatile of_float)(float, float, int *) = remquof;
    int quotient;
    double rest = of_double(7.5, -2, &quotient);
    printf("%a %d\n", rest, quotient);
    rest = of_double(1e300, 0.7, &quotient); /* at once, rather than bit by bit */
    printf("%a %d\n", rest, abs(quotient) % 8);
    rest = of_float(13, 2, &quotient);
    printf("%a %d\n", rest, quotient);
    printf("%La", of_long(1e4900L, 3, &quotient));
    printf(" %d\n", abs(quotient) % 8);
}

static void test_small_numbers(void)
{
    float (*volatile scale)(float, int) = scalbnf;
    float (*volatile load)(float, int) = ldexpf;
    double (*volatile next)(double, long double) = nexttoward;
    printf("%a %a %a\n", (double)scale(-3, -151), (double)load(1.5f, -149),
           (double)scale(0x1.8p-100f, 227));
    printf("%g %g %g\n", next(0x1p-1074, 1), next(0x1p-1074, 0), next(-0x1p-1074, 1));
}

/* Beyond what one division by pi can reduce. */
static void test_large_angles(void)
{
    static const struct of_long functions[] = {NAMED(sinl), NAMED(cosl), NAMED(tanl)};
    static const long double angles[] = {
        1.0L, 1e7L, 1e8L, -0x1p62L, 1e22L, 1e300L, 1e1000L, -3e4000L, 0x1.fffffffffffffffep16383L};
    for (size_t i = 0; i < COUNT(functions); i++)
        for (size_t k = 0; k < COUNT(angles); k++)
            printf("%s(%Lg) = %.17Lf\n", functions[i].name, angles[k],
                   functions[i].function(angles[k]));
}

static long double (*volatile power)(long double, long double) = powl;

static void say_power(long double x, long double y)
{
    feclearexcept(FE_ALL_EXCEPT);
    long double result = power(x, y);
    int raised = fetestexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    if (isnan(result))
        result = (long double)NAN; /* which has no sign, or one that matters to nobody */
    printf("%Lg^%Lg = %.17Lg%s%s%s\n", x, y, result, raised & FE_DIVBYZERO ? " by zero" : "",
           raised & FE_INVALID ? " invalid" : "", raised & FE_OVERFLOW ? " overflow" : "");
}

/* Each thread has powers of its own. */
static void *raise_to_powers(void *x)
{
    long double expected = power(*(long double *)x, 1.75L);
    long wrong = 0;
    for (int i = 0; i < 20000; i++)
        wrong += power(*(long double *)x, 1.75L) != expected;
    return (void *)wrong;
}

static void test_powers(void)
{
    say_power(-3, 11355);
    say_power(-3, 11354);
    say_power(-3, 1e6L + 1);
    say_power(-0.5L, 1e6L + 1);
    say_power(-0.5L, -1e6L - 1);
    say_power(0, -1);
    say_power(-0.0L, -3);
    say_power(-1.5L, 0.5L);
    say_power(0.25L, 1e25L);
    say_power(2, 0.5L);
    long double bases[] = {1.1L, 5.3L, 700.9L};
    pthread_t threads[COUNT(bases)];
    for (size_t i = 0; i < COUNT(bases); i++)
        pthread_create(&threads[i], NULL, raise_to_powers, &bases[i]);
    for (size_t i = 0; i < COUNT(bases); i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        say("wrong powers", (long)wrong);
    }
}

static void test_odds(void)
{
    long double (*volatile complement)(long double) = erfcl;
    long double (*volatile side)(long double, long double) = hypotl;
    printf("%.17Lg %.17Lg\n", complement(0x1.f61a889afc01bfa8p-35L), complement(-1e-19L));
    printf("%Lg %Lg\n", side((long double)HUGE_VAL, (long double)NAN), side(3, -4));
}

/* The compiler takes some of these for functions without effects, which it may move over errno's. */
#define BARRIER() __asm__ volatile("" ::: "memory")
#define SAY_ERRNO(expression)                                               \
    do {                                                                    \
        errno = 0;                                                          \
        BARRIER();                                                          \
        volatile double result = (double)(expression);                      \
        BARRIER();                                                          \
        printf("%s: %g, %s\n", #expression, fabs(result), strerror(errno)); \
    } while (0)

static void test_errno(void)
{
    volatile double infinity = HUGE_VAL, one = 1;
    volatile float no_end = HUGE_VALF, unit = 1;
    SAY_ERRNO(sin(infinity));
    SAY_ERRNO(cos(-infinity));
    SAY_ERRNO(tan(infinity));
    SAY_ERRNO(sinf(no_end));
    SAY_ERRNO(cosf(no_end));
    SAY_ERRNO(tanf(no_end));
    SAY_ERRNO(fmod(infinity, one));
    SAY_ERRNO(fmodf(no_end, unit));
    SAY_ERRNO(remainder(infinity, one));
    SAY_ERRNO(remainderf(no_end, unit));
    SAY_ERRNO(atanh(one));
    SAY_ERRNO(atanhf(unit));
    SAY_ERRNO(cosh(infinity));
    SAY_ERRNO(coshf(-no_end));
    SAY_ERRNO(cosh(1000 * one));
    SAY_ERRNO(tgammaf(unit));
    SAY_ERRNO(tgammaf(100 * unit));
}

static void test_texts(void)
{
    static const char *const floats[] = {
        "1.00000005960464477539062499",
        "1.00000005960464477539062501",
        "3.4028235677973366e38",
        "7.0064923216240854e-46",
        "7.0064923216240853e-46",
        "-0x1.000001p-126",
        "-inf",
        "1e-50",
        "nan",
        "-.",
        "  -12.5x",
    };
    for (size_t i = 0; i < COUNT(floats); i++) {
        char *end;
        errno = 0;
        double number = strtof(floats[i], &end);
        printf("%s: %.9g %td %s\n", floats[i], number, end - floats[i], strerror(errno));
    }
    static const char *const integers[] = {"0x", "0xg", "-0x", "0x1f", "08", "z"};
    static const int bases[] = {0, 8, 10, 16, 36};
    for (size_t i = 0; i < COUNT(integers); i++)
        for (size_t k = 0; k < COUNT(bases); k++) {
            char *end, *other_end;
            long number = strtol(integers[i], &end, bases[k]);
            unsigned long long other = strtoull(integers[i], &other_end, bases[k]);
            printf("%s by %d: %ld %td %llu %td\n", integers[i], bases[k], number, end - integers[i],
                   other, other_end - integers[i]);
        }
    volatile int wrong = 37;
    errno = 0;
    say("no such base", strtoul("1", NULL, wrong) == 0 && errno == EINVAL);
}

/* Numbers in texts that are too large or too small, in hexadecimal and not, and ones that end early; narrow and wide. */
static void test_ranges(void)
{
    static const char *const texts[] = {
        "0x1p1024",     "0x1p-1075",   "0x1.8p-1075", "0x1p-1074", "0x1.ffffffp127",
        "0x1p-16446",   "0x1p16384",   "1e-45",       "1e400",     "1.00000005960464477540",
        "0x",           "-0x.",        " +.",         "nan(a_1)",  "nan(a b)",
        "-nan(0x7)",    "infinite",    "1e+",         "0x1p+",     "0x1.00000100000001p0",
        " 12.5 \u20ac", "3.4028236e38"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        wchar_t wide[32], *wide_end;
        char *end;
        for (size_t k = 0; k <= strlen(texts[i]); k++)
            wide[k] = (unsigned char)texts[i][k];
        printf("%s:", texts[i]);
        errno = 0;
        double number = strtod(texts[i], &end);
        printf(" %.17g %td %d", number, end - texts[i], errno == ERANGE);
        errno = 0;
        double single = (double)strtof(texts[i], &end);
        printf(" %.9g %td %d", single, end - texts[i], errno == ERANGE);
        errno = 0;
        long double large = strtold(texts[i], &end);
        printf(" %.21Lg %td %d\n", large, end - texts[i], errno == ERANGE);
        errno = 0;
        number = wcstod(wide, &wide_end);
        printf(" %.17g %td %d", number, wide_end - wide, errno == ERANGE);
        errno = 0;
        single = (double)wcstof(wide, &wide_end);
        printf(" %.9g %td %d", single, wide_end - wide, errno == ERANGE);
        errno = 0;
        large = wcstold(wide, &wide_end);
        printf(" %.21Lg %td %d\n", large, wide_end - wide, errno == ERANGE);
    }
}

/* What random() gives is the same everywhere, whatever it keeps it in. */
static void test_random(void)
{
    static const unsigned seeds[] = {0, 1, 42, 0xffffffffu};
    static const size_t sizes[] = {7, 8, 31, 32, 64, 100, 128, 255, 256, 300};
    static uint32_t words[COUNT(sizes)][75];
    char *first = NULL;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        srandom(seeds[i]);
        printf("%ld %ld\n", random(), random());
    }
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *former = initstate(5 + (unsigned)i, (char *)words[i], sizes[i]);
        printf("%zu: %d %ld %ld\n", sizes[i], former != NULL, random(), random());
        first = first == NULL ? former : first;
    }
    for (size_t i = 1; i < COUNT(sizes); i++)
        printf("%d %ld\n", setstate((char *)words[i]) != NULL, random());
    for (unsigned i = 0; i < 5; i++)
        random();
    printf("%d %ld\n", setstate((char *)words[COUNT(sizes) - 1]) != NULL,
           random()); /* those in use */
    printf("%d %ld\n", setstate(first) != NULL, random());
}

int main(void)
{
    test_whole_floats();
    test_no_number();
    test_integers();
    test_quotients();
    test_small_numbers();
    test_large_angles();
    test_powers();
    test_odds();
    test_errno();
    test_texts();
    test_ranges();
    test_random();
    puts("numbers: ok");
    return 0;
}
