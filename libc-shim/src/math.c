/*
 * math.c - roots and whole numbers by what every x86-64 CPU has: newlib computes a root bit by bit, and rounds by taking a
 * number apart. All other functions of <math.h> are newlib's; those that are here are not in its library
 * (cmake/build-newlib), whose other functions call these.
 *
 * sqrt() and sqrtf() themselves, with their errno, are newlib's.
 */
#include <emmintrin.h>
#include <math.h>

#define WHOLE 0x1p52 /* from here on all doubles are whole numbers */

double __ieee754_sqrt(double x);
float __ieee754_sqrtf(float x);

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

/* Numbers too large for the conversion, infinities and NaN aren't changed. A result of 0 has x' sign. */
static inline int is_whole(double x)
{
    return !(fabs(x) < WHOLE);
}

double trunc(double x)
{
    return is_whole(x) ? x : copysign((double)(long)x, x);
}

double floor(double x)
{
    if (is_whole(x))
        return x;
    double below = (double)(long)x;
    return copysign(below > x ? below - 1 : below, x);
}

double ceil(double x)
{
    if (is_whole(x))
        return x;
    double above = (double)(long)x;
    return copysign(above < x ? above + 1 : above, x);
}

/* Halves go away from 0. */
double round(double x)
{
    if (is_whole(x))
        return x;
    double near = (double)(long)x;
    return copysign(fabs(x - near) >= 0.5 ? near + copysign(1, x) : near, x);
}

/* As the rounding mode says: so does an addition beyond which there are no fractions. */
double rint(double x)
{
    if (is_whole(x))
        return x;
    double large = copysign(WHOLE, x);
    return copysign(x + large - large, x);
}

/* A float's whole numbers are floats. */
float truncf(float x)
{
    return (float)trunc(x);
}

float floorf(float x)
{
    return (float)floor(x);
}

float ceilf(float x)
{
    return (float)ceil(x);
}

float roundf(float x)
{
    return (float)round(x);
}

float rintf(float x)
{
    return (float)rint(x);
}
