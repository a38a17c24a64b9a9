/*
 * sincosl.c - sincosl(), by which the compiler calls sinl() and cosl() of one angle; newlib has those of other types.
 */
#include <math.h>

void sincosl(long double angle, long double *sine, long double *cosine);

void sincosl(long double angle, long double *sine, long double *cosine)
{
    *sine = sinl(angle);
    *cosine = cosl(angle);
}
