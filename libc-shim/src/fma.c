/*
 * fma.c - fma() and fmaf(), which round once: by the instruction, where the CPU has it, else with whole numbers. newlib's round
 * the product, too.
 *
 * A product of two doubles has 106 bits, so that it and a third double can be added in 128, of which the last then stands for all
 * that would be behind it ("round to odd": it is 1 if anything is). Cut to the 64 bits of a long double in the same way, whose
 * exponent suffices for all of it, the sum has what it takes to be rounded right to any smaller number in each mode.
 */
#include <cpuid.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRACTION_BITS 52
#define IMPLICIT_BIT  (1ull << FRACTION_BITS)
#define EXPONENT_MASK 0x7ffu
#define EXPONENT_BIAS (1023 + FRACTION_BITS) /* of a fraction as a whole number */
#define LONG_BIAS     (16383 + 63)

#define TOP_BIT 125 /* of a term that is to be added, at most */

typedef unsigned __int128 wide;

/* sign * fraction * 2^exponent */
struct number {
    bool is_negative;
    int exponent;
    wide fraction;
};

/* Of a finite number that isn't 0. The fraction has 53 bits. */
static struct number take_apart(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    int exponent = (int)(bits >> FRACTION_BITS & EXPONENT_MASK);
    uint64_t fraction = bits & (IMPLICIT_BIT - 1);
    if (exponent != 0)
        fraction |= IMPLICIT_BIT;
    else
        exponent = 1;
    int missing = __builtin_clzll(fraction) - (63 - FRACTION_BITS);
    return (struct number){bits >> 63, exponent - EXPONENT_BIAS - missing,
                           (wide)fraction << missing};
}

static void shift_left(struct number *x, int bits)
{
    x->fraction <<= bits;
    x->exponent -= bits;
}

/* What is lost leaves a 1. */
static void shift_right(struct number *x, int bits)
{
    x->fraction = bits > TOP_BIT
                      ? x->fraction != 0
                      : x->fraction >> bits | ((x->fraction & (((wide)1 << bits) - 1)) != 0);
    x->exponent += bits;
}

static int top_bit(wide fraction)
{
    uint64_t high = (uint64_t)(fraction >> 64);
    return high != 0 ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)fraction);
}

/* Fractions of the same exponent. */
static void add(struct number *to, struct number *other)
{
    if (to->is_negative == other->is_negative) {
        to->fraction += other->fraction;
    } else if (to->fraction >= other->fraction) {
        to->fraction -= other->fraction;
    } else {
        to->fraction = other->fraction - to->fraction;
        to->is_negative = other->is_negative;
    }
}

/* Not 0, and within a long double's range. */
static long double put_together(struct number x)
{
    struct {
        uint64_t fraction;
        uint16_t sign_and_exponent;
    } parts;
    long double result = 0;
    int extra = top_bit(x.fraction) - 63;
    if (extra > 0)
        shift_right(&x, extra);
    else
        shift_left(&x, -extra);
    parts.fraction = (uint64_t)x.fraction;
    parts.sign_and_exponent = (uint16_t)(x.exponent + LONG_BIAS + (x.is_negative ? 0x8000 : 0));
    memcpy(&result, &parts, sizeof(parts.fraction) + sizeof(parts.sign_and_exponent));
    return result;
}

/* x * y + z, to be rounded. What is exact, infinite or no number is so without care. */
static long double fused(double x, double y, double z)
{
    if (!isfinite(x) || !isfinite(y) || x == 0 || y == 0)
        return x * y + z;
    if (!isfinite(z))
        return z + z;
    struct number product = take_apart(x), factor = take_apart(y);
    product.is_negative ^= factor.is_negative;
    product.exponent += factor.exponent;
    product.fraction *= factor.fraction;
    if (z == 0)
        return put_together(product);
    struct number term = take_apart(z);
    shift_left(&product, TOP_BIT - 2 * FRACTION_BITS - 1);
    shift_left(&term, TOP_BIT - FRACTION_BITS);
    if (product.exponent < term.exponent)
        shift_right(&product, term.exponent - product.exponent);
    else
        shift_right(&term, product.exponent - term.exponent);
    add(&product, &term);
    if (product.fraction == 0)
        return x * y + z; /* its sign is the rounding mode's affair */
    return put_together(product);
}

static bool cpu_has_fma(void)
{
    uint32_t eax, ebx, ecx, edx, xcr0, unused;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_FMA) || !(ecx & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(unused) : "c"(0));
    return (xcr0 & 6) == 6;
}

/* Asked once, by whoever is first. */
static bool has_fma(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic uint8_t known;
    uint8_t answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == UNKNOWN) {
        answer = cpu_has_fma() ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
}

__attribute__((target("fma"))) static double fma_of_cpu(double x, double y, double z)
{
    return __builtin_fma(x, y, z);
}

__attribute__((target("fma"))) static float fmaf_of_cpu(float x, float y, float z)
{
    return __builtin_fmaf(x, y, z);
}

double fma(double x, double y, double z)
{
    return has_fma() ? fma_of_cpu(x, y, z) : (double)fused(x, y, z);
}

float fmaf(float x, float y, float z)
{
    return has_fma() ? fmaf_of_cpu(x, y, z) : (float)fused(x, y, z);
}
