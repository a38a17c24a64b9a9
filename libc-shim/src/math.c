/*
 * math.c - roots, remainders and whole numbers by what every x86-64 CPU has: newlib computes roots and remainders bit by bit,
 * and rounds by taking a number apart. All other functions of <math.h> are newlib's; those that are here are not in its library
 * (cmake/build-newlib), whose other functions call these.
 *
 * sqrt(), fmod() and the like themselves, with their errno, are newlib's.
 */
#include <emmintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WHOLE 0x1p52 /* from here on all doubles are whole numbers */

#define FRACTION_BITS 52
#define IMPLICIT_BIT  (1ull << FRACTION_BITS)
#define SIGN_BIT      (1ull << 63)

double __ieee754_sqrt(double x);
float __ieee754_sqrtf(float x);
double __ieee754_fmod(double x, double y);
float __ieee754_fmodf(float x, float y);

double __ieee754_sqrt(double x)
{
    __m128d value = _mm_set_sd(x);
    return _mm_cvtsd_f64(_mm_sqrt_sd(value, value));
}

float __ieee754_sqrtf(float x)
{
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

long double sqrtl(long double x)
{
    __asm__("fsqrt" : "+t"(x));
    return x;
}

/* The remainder of value * 2^bits, for bits from 1 to 63 and a value below the divisor. */
static inline uint64_t remainder_of(uint64_t value, int bits, uint64_t divisor)
{
    uint64_t quotient, remainder;
    __asm__("divq %[divisor]"
            : "=a"(quotient), "=d"(remainder)
            : "a"(value << bits), "d"(value >> (64 - bits)), [divisor] "r"(divisor)
            : "cc");
    return remainder;
}

/* The fraction of a finite number as a whole one; *exponent is 1 where it is smallest. */
static inline uint64_t fraction_of(uint64_t bits, int *exponent)
{
    uint64_t fraction = bits & (IMPLICIT_BIT - 1);
    *exponent = (int)(bits >> FRACTION_BITS);
    if (*exponent != 0)
        return fraction | IMPLICIT_BIT;
    *exponent = 1;
    return fraction;
}

/* A fraction below two implicit bits, with a sign, as a number. */
static inline double number_of(uint64_t sign, uint64_t fraction, int exponent)
{
    double result;
    int missing = __builtin_clzll(fraction) - (63 - FRACTION_BITS);
    if (missing >= exponent)
        missing = exponent - 1;
    uint64_t bits =
        sign | ((fraction << missing) + ((uint64_t)(exponent - missing - 1) << FRACTION_BITS));
    memcpy(&result, &bits, sizeof(result));
    return result;
}

/* Exact: what is divided is x' fraction with as many zeros behind it as the exponents differ by, 63 of them at a time. */
double __ieee754_fmod(double x, double y)
{
    uint64_t x_bits, y_bits;
    int exponent, y_exponent;
    memcpy(&x_bits, &x, sizeof(x));
    memcpy(&y_bits, &y, sizeof(y));
    uint64_t sign = x_bits & SIGN_BIT;
    if (!isfinite(x) || isnan(y) || y == 0)
        return (x * y) / (x * y);
    x_bits &= ~SIGN_BIT;
    y_bits &= ~SIGN_BIT;
    if (x_bits < y_bits)
        return x;
    uint64_t left = fraction_of(x_bits, &exponent), divisor = fraction_of(y_bits, &y_exponent);
    if (left >= divisor)
        left %= divisor;
    for (int bits = exponent - y_exponent; bits > 0 && left != 0; bits -= 63)
        left = remainder_of(left, bits < 63 ? bits : 63, divisor);
    if (left == 0)
        return copysign(0, x);
    return number_of(sign, left, y_exponent);
}

/* A float's remainder is a float. */
float __ieee754_fmodf(float x, float y)
{
    return (float)__ieee754_fmod(x, y);
}

#define X87_INCOMPLETE 0x400 /* C2 of the status word: as far as one instruction goes */

static inline uint16_t reduce(long double *x, long double y)
{
    uint16_t status;
    __asm__("fprem; fnstsw %[status]" : "+t"(*x), [status] "=a"(status) : "u"(y) : "cc");
    return status;
}

static inline uint16_t reduce_to_nearest(long double *x, long double y)
{
    uint16_t status;
    __asm__("fprem1; fnstsw %[status]" : "+t"(*x), [status] "=a"(status) : "u"(y) : "cc");
    return status;
}

long double fmodl(long double x, long double y)
{
    while (reduce(&x, y) & X87_INCOMPLETE)
        continue;
    return x;
}

long double remainderl(long double x, long double y)
{
    while (reduce_to_nearest(&x, y) & X87_INCOMPLETE)
        continue;
    return x;
}

/* The last three bits of the quotient, with its sign, and the remainder that is nearest to 0. All of it is exact. (The bits are
 * in fprem1's status as well, but QEMU has others there.) */
long double remquol(long double x, long double y, int *quotient)
{
    long double divisor = fabsl(y);
    bool is_large = !isless(divisor, 0x1p16380L); /* 8 times that may be none any more */
    long double rest = fabsl(is_large ? x : fmodl(x, 8 * y));
    int bits = 0;
    *quotient = 0;
    if (!isfinite(rest) || isnan(y))
        return remainderl(x, y);
    for (int bit = 8; bit > 0; bit /= 2)
        if (is_large ? rest / bit >= divisor : rest >= bit * divisor) {
            rest -= bit * divisor;
            bits += bit;
        }
    long double missing = divisor - rest; /* to the next multiple */
    if (rest > missing || (rest == missing && bits % 2 == 1)) {
        rest = -missing;
        bits++;
    }
    *quotient = signbit(x) != signbit(y) ? -(bits % 8) : bits % 8;
    return signbit(x) ? -rest : rest;
}

double remquo(double x, double y, int *quotient)
{
    return (double)remquol(x, y, quotient);
}

float remquof(float x, float y, int *quotient)
{
    return (float)remquol(x, y, quotient);
}

/* Numbers too large for the conversion, infinities and NaN aren't changed. A result of 0 has x' sign. */
static inline int is_whole(double x)
{
    return !isless(fabs(x), WHOLE);
}

static inline double whole_towards_zero(double x)
{
    return is_whole(x) ? x : copysign((double)(long)x, x);
}

static inline double whole_below(double x)
{
    if (is_whole(x))
        return x;
    double below = (double)(long)x;
    return copysign(below > x ? below - 1 : below, x);
}

static inline double whole_above(double x)
{
    if (is_whole(x))
        return x;
    double above = (double)(long)x;
    return copysign(above < x ? above + 1 : above, x);
}

/* Halves go away from 0. */
static inline double whole_nearest(double x)
{
    if (is_whole(x))
        return x;
    double near = (double)(long)x;
    return copysign(fabs(x - near) >= 0.5 ? near + copysign(1, x) : near, x);
}

/* As the rounding mode says: so does an addition beyond which there are no fractions. */
static inline double whole_in_mode(double x)
{
    if (is_whole(x))
        return x;
    double large = copysign(WHOLE, x);
    return copysign(x + large - large, x);
}

double trunc(double x)
{
    return whole_towards_zero(x);
}

double floor(double x)
{
    return whole_below(x);
}

double ceil(double x)
{
    return whole_above(x);
}

double round(double x)
{
    return whole_nearest(x);
}

double rint(double x)
{
    return whole_in_mode(x);
}

/* A float's whole numbers are floats. These don't call the functions above: what round() gives as a float, the compiler would
 * have of roundf() again. */
float truncf(float x)
{
    return (float)whole_towards_zero(x);
}

float floorf(float x)
{
    return (float)whole_below(x);
}

float ceilf(float x)
{
    return (float)whole_above(x);
}

float roundf(float x)
{
    return (float)whole_nearest(x);
}

float rintf(float x)
{
    return (float)whole_in_mode(x);
}

/* What doesn't fit is LONG_MIN, and an invalid operation, as the CPU has it. */
long long llround(double x)
{
    return (long long)whole_nearest(x);
}

long lroundl(long double x)
{
    if (!isless(fabsl(x), 0x1p63L))
        return (long)x;
    long double near = (long double)(long)x;
    return (long)(fabsl(x - near) >= 0.5L ? near + copysignl(1, x) : near);
}

long long llroundl(long double x)
{
    return lroundl(x);
}

/* A double has room for any exponent of a float and then some, so that only one rounding happens. */
float scalbnf(float x, int exponent)
{
    return (float)scalbn(x, exponent);
}
