/*
 * complex.c - <complex.h> beyond the arithmetic, with the exceptional cases of C11's annex G. newlib's has few of those, loses
 * digits where terms cancel, and has none of long double.
 *
 * All is computed in long double, whose range and 11 more bits spare double and float nearly all special ways; functions of
 * trigonometry are those of hyperbolas at another angle. Near where a result is zero the last digits of a long double aren't
 * to be relied on.
 */
#include <complex.h>
#include <float.h>
#include <math.h>

typedef long double complex number;

#define PI    3.14159265358979323846264338327950288L
#define LN_2  0.693147180559945309417232121458176568L
#define HUGE  0x1p70L  /* beyond it 1 is nothing, and squares are not yet too large */
#define LARGE 11300.0L /* exp() of it is finite; beyond, a product with it may be where it isn't */

static number join(long double real, long double imaginary)
{
    return CMPLXL(real, imaginary);
}

static number times_i(number z)
{
    return join(-cimagl(z), creall(z));
}

static number by_i(number z)
{
    return join(cimagl(z), -creall(z));
}

static long double square(long double x)
{
    return x * x;
}

/*
 * Exponentials
 */

/* exp(x) * scale * (cos(angle) + i sin(angle)), where exp(x) alone may be out of range. */
static number scaled(long double x, long double scale, long double angle)
{
    long double half = expl(x / 2);
    return join(half * (scale * cosl(angle)) * half,
                angle == 0 ? angle : half * (scale * sinl(angle)) * half);
}

number cexpl(number z)
{
    long double x = creall(z), y = cimagl(z);
    if (y == 0)
        return join(expl(x), y);
    if (isinf(x) && isfinite(y)) {
        long double length = x > 0 ? x : 0;
        return join(copysignl(length, cosl(y)), copysignl(length, sinl(y)));
    }
    if (isinf(x))
        return x > 0 ? join(x, y - y) : join(0, copysignl(0, y));
    if (isnan(x))
        return join(x, x);
    if (!isfinite(y))
        return join(y - y, y - y);
    return fabsl(x) > LARGE ? scaled(x, 1, y) : join(expl(x) * cosl(y), expl(x) * sinl(y));
}

number ccoshl(number z)
{
    long double x = creall(z), y = cimagl(z);
    if (isfinite(x) && isfinite(y)) {
        if (fabsl(x) <= LARGE)
            return join(coshl(x) * cosl(y), sinhl(x) * sinl(y));
        number result = scaled(fabsl(x), 0.5L, y);
        return join(creall(result), x < 0 ? -cimagl(result) : cimagl(result));
    }
    if (x == 0)
        return join(y - y, 0);
    if (y == 0)
        return join(x * x, isnan(x) ? y : copysignl(y, x * copysignl(1, y)));
    if (isinf(x) && isfinite(y))
        return join(copysignl(HUGE_VALL, cosl(y)), copysignl(HUGE_VALL, x * sinl(y)));
    return join(isinf(x) ? HUGE_VALL : x * (y - y), y - y + x - x);
}

number csinhl(number z)
{
    long double x = creall(z), y = cimagl(z);
    if (isfinite(x) && isfinite(y)) {
        if (fabsl(x) <= LARGE)
            return join(sinhl(x) * cosl(y), coshl(x) * sinl(y));
        number result = scaled(fabsl(x), 0.5L, y);
        return join(x < 0 ? -creall(result) : creall(result), cimagl(result));
    }
    if (x == 0)
        return join(x, y - y);
    if (y == 0)
        return join(x, y);
    if (isinf(x) && isfinite(y))
        return join(copysignl(HUGE_VALL, x * cosl(y)), copysignl(HUGE_VALL, sinl(y)));
    return join(isinf(x) ? x : x * (y - y), y - y + x - x);
}

number ctanhl(number z)
{
    long double x = creall(z), y = cimagl(z);
    if (isinf(x))
        return join(copysignl(1, x), copysignl(0, isfinite(y) && fabsl(y) > 1 ? sinl(2 * y) : y));
    if (y == 0)
        return join(isnan(x) ? x : tanhl(x), y);
    if (!isfinite(x) || !isfinite(y))
        return join(x == 0 ? x : x * (y - y), y - y + x);
    long double sine = sinl(y), cosine = cosl(y);
    if (fabsl(x) > 2 * LDBL_MANT_DIG) /* exp() of more of it than 1 can be told from */
        return join(copysignl(1, x), 4 * sine * cosine * expl(-2 * fabsl(x)));
    long double sinus = sinhl(x), divisor = square(sinus) + square(cosine);
    return join(sinus * coshl(x) / divisor, sine * cosine / divisor);
}

number ccosl(number z)
{
    return ccoshl(times_i(z));
}

number csinl(number z)
{
    return by_i(csinhl(times_i(z)));
}

number ctanl(number z)
{
    return by_i(ctanhl(times_i(z)));
}

/*
 * Logarithms and roots
 */

/* x * x as a sum, of which the result is the smaller part (Dekker). */
static long double square_exactly(long double x, long double *large)
{
    long double scaled = x * 0x100000001p0L, high = scaled - (scaled - x), low = x - high;
    *large = x * x;
    return high * high - *large + 2 * high * low + low * low;
}

/* ln(sqrt(x * x + y * y)) */
static long double log_of_length(long double x, long double y)
{
    long double longer = fmaxl(fabsl(x), fabsl(y)), shorter = fminl(fabsl(x), fabsl(y));
    if (!isfinite(x) || !isfinite(y))
        return logl(hypotl(x, y));
    if (longer > LDBL_MAX / 4)
        return logl(hypotl(x / 4, y / 4)) + 2 * LN_2;
    if (longer < 0x1p-8000L && longer > 0)
        return logl(hypotl(x * 0x1p8000L, y * 0x1p8000L)) - 8000 * LN_2;
    if (longer > 0.5L && longer < 2) {
        long double x2, y2, lost = square_exactly(longer, &x2) + square_exactly(shorter, &y2);
        return log1pl(x2 - 1 + y2 + lost) / 2;
    }
    return logl(hypotl(x, y));
}

long double cargl(number z)
{
    return atan2l(cimagl(z), creall(z));
}

number clogl(number z)
{
    return join(log_of_length(creall(z), cimagl(z)), cargl(z));
}

number cpowl(number base, number exponent)
{
    return cexpl(exponent * clogl(base));
}

number csqrtl(number z)
{
    long double x = creall(z), y = cimagl(z), scale = 1;
    if (isinf(y))
        return join(HUGE_VALL, y);
    if (isinf(x))
        return x > 0 ? join(x, isnan(y) ? y : copysignl(0, y))
                     : join(isnan(y) ? y : 0, copysignl(HUGE_VALL, y));
    if (isnan(x) || isnan(y))
        return join(x + y, x + y);
    if (x == 0 && y == 0)
        return join(0, y);
    long double longer = fmaxl(fabsl(x), fabsl(y));
    if (longer > LDBL_MAX / 4)
        x /= 16, y /= 16, scale = 4;
    else if (longer < 0x1p-16000L)
        x *= 0x1p200L, y *= 0x1p200L, scale = 0x1p-100L;
    long double root = sqrtl((fabsl(x) + hypotl(x, y)) / 2), other = fabsl(y) / (2 * root);
    return x >= 0 ? join(scale * root, copysignl(scale * other, y))
                  : join(scale * other, copysignl(scale * root, y));
}

number cprojl(number z)
{
    return isinf(creall(z)) || isinf(cimagl(z)) ? join(HUGE_VALL, copysignl(0, cimagl(z))) : z;
}

/*
 * Inverses: Hull, Fairgrieve and Tang, "Implementing the complex arcsine and arccosine functions using exception handling"
 * (1997)
 */

struct arc {
    long double sine, cosine; /* real parts of the arcsine and the arccosine */
    long double imaginary;    /* of both, without its sign */
};

/* Of x + iy in the first quadrant. */
static struct arc arc_of(long double x, long double y)
{
    if (x > HUGE || y > HUGE)
        return (struct arc){atan2l(x, y), atan2l(y, x), log_of_length(x, y) + LN_2};

    long double far = hypotl(x + 1, y), near = hypotl(x - 1, y); /* from -1 and from 1 */
    long double middle = (far + near) / 2, quotient = x / middle, sum = middle + x;
    struct arc arc;
    if (quotient <= 0.6417L) {
        arc.sine = asinl(quotient);
        arc.cosine = acosl(quotient);
    } else {
        long double opposite = x <= 1
                                   ? sqrtl(sum / 2 * (y * y / (far + x + 1) + (near + (1 - x))))
                                   : y * sqrtl((sum / (far + x + 1) + sum / (near + (x - 1))) / 2);
        arc.sine = atan2l(x, opposite);
        arc.cosine = atan2l(opposite, x);
    }
    if (x < 1 && y < square(LDBL_EPSILON)) { /* whose square may be nothing */
        arc.imaginary = y / sqrtl((1 - x) * (1 + x));
    } else if (middle <= 1.5L) {
        long double beyond =
            (y * y / (far + (x + 1)) + (x < 1 ? y * y / (near + (1 - x)) : near + (x - 1))) /
            2; /* middle - 1 */
        arc.imaginary = log1pl(beyond + sqrtl(beyond * (middle + 1)));
    } else {
        arc.imaginary = logl(middle + sqrtl(middle * middle - 1));
    }
    return arc;
}

number casinhl(number z)
{
    long double x = creall(z), y = cimagl(z);
    if (isnan(x) || isnan(y)) {
        if (isinf(x))
            return join(x, y);
        if (isinf(y))
            return join(copysignl(HUGE_VALL, x), x);
        return y == 0 ? z : join(x + y, x + y);
    }
    if (isinf(x))
        return join(x, copysignl(isinf(y) ? PI / 4 : 0, y));
    if (isinf(y))
        return join(copysignl(HUGE_VALL, x), copysignl(PI / 2, y));
    struct arc arc = arc_of(fabsl(y), fabsl(x));
    return join(copysignl(arc.imaginary, x), copysignl(arc.sine, y));
}

number cacosl(number z)
{
    long double x = creall(z), y = cimagl(z);
    if (isnan(x) || isnan(y)) {
        if (isinf(x))
            return join(y, -HUGE_VALL);
        if (isinf(y))
            return join(x, -y);
        return join(x == 0 ? PI / 2 : x + y, x + y);
    }
    if (isinf(x) || isinf(y)) {
        long double angle = isinf(x) && isinf(y) ? PI / 4 : isinf(y) ? PI / 2 : 0;
        return join(x < 0 ? PI - angle : angle, copysignl(HUGE_VALL, -y));
    }
    struct arc arc = arc_of(fabsl(x), fabsl(y));
    return join(signbit(x) ? PI - arc.cosine : arc.cosine, copysignl(arc.imaginary, -y));
}

number cacoshl(number z)
{
    number cosine = cacosl(z);
    return join(fabsl(cimagl(cosine)), copysignl(creall(cosine), cimagl(z)));
}

number catanhl(number z)
{
    long double x = creall(z), y = cimagl(z), of_x = fabsl(x), of_y = fabsl(y);
    if (isinf(y) || (isinf(x) && !isnan(y)))
        return join(copysignl(0, x), copysignl(PI / 2, y));
    if (isnan(x) || isnan(y))
        return join(isinf(x) || x == 0 ? copysignl(0, x) : x + y, x + y);
    if (of_x > HUGE || of_y > HUGE) {
        long double longer = fmaxl(of_x, of_y), shorter = fminl(of_x, of_y);
        long double part = of_x / longer / (1 + square(shorter / longer)) / longer;
        return join(copysignl(part, x), copysignl(PI / 2, y));
    }
    long double real = log1pl(4 * of_x / (square(1 - of_x) + square(of_y))) / 4;
    long double angle = atan2l(2 * of_y, (1 - of_x) * (1 + of_x) - square(of_y)) / 2;
    return join(copysignl(real, x), copysignl(angle, y));
}

number casinl(number z)
{
    return by_i(casinhl(times_i(z)));
}

number catanl(number z)
{
    return by_i(catanhl(times_i(z)));
}

/*
 * Of double and float
 */

#define NARROWER(name)                     \
    double complex name(double complex z)  \
    {                                      \
        return (double complex)name##l(z); \
    }                                      \
    float complex name##f(float complex z) \
    {                                      \
        return (float complex)name##l(z);  \
    }

NARROWER(cacos)
NARROWER(cacosh)
NARROWER(casin)
NARROWER(casinh)
NARROWER(catan)
NARROWER(catanh)
NARROWER(ccos)
NARROWER(ccosh)
NARROWER(cexp)
NARROWER(clog)
NARROWER(csin)
NARROWER(csinh)
NARROWER(csqrt)
NARROWER(ctan)
NARROWER(ctanh)

double complex cpow(double complex base, double complex exponent)
{
    return (double complex)cpowl(base, exponent);
}

float complex cpowf(float complex base, float complex exponent)
{
    return (float complex)cpowl(base, exponent);
}
