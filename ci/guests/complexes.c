/*
 * complexes.c - <complex.h>: all pairs of special parts (C11, annex G), and ordinary ones of all sizes.
 * Prints what it finds; the same program does on Linux, and prints the same. That is too much for a guest's log, so a row of
 * results is a number; with a function's name as its argument it writes that one's results.
 */
#include <complex.h>
#include <fenv.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include "say.h"

/* Functions are called through pointers that the compiler doesn't know, so that it computes nothing itself. */
struct functions {
    const char *name;
    double complex (*volatile of_double)(double complex);
    float complex (*volatile of_float)(float complex);
    long double complex (*volatile of_long)(long double complex);
};
#define NAMED(name)                   \
    {                                 \
#name, name, name##f, name##l \
    }
static const struct functions all[] = {
    NAMED(cacos), NAMED(casin), NAMED(catan), NAMED(cacosh), NAMED(casinh), NAMED(catanh),
    NAMED(ccos),  NAMED(csin),  NAMED(ctan),  NAMED(ccosh),  NAMED(csinh),  NAMED(ctanh),
    NAMED(cexp),  NAMED(clog),  NAMED(csqrt), NAMED(cproj),
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *wanted = ""; /* whose results are written, each */

/* Writes a result, or takes it into the row's number. */
static void put(const char *name, uint32_t *row, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (strcmp(name, wanted) == 0)
        printf("%s", text);
    for (const char *at = text; *at != 0; at++)
        *row = *row * 33 ^ (unsigned char)*at;
}

/* Of which the last digits may differ; a NaN's sign is nobody's. */
static void put_part(const char *name, uint32_t *row, double part)
{
    if (isnan(part))
        put(name, row, " nan");
    else
        put(name, row, " %.10g", part);
}

/* Whether the same of another precision says the same, where that has its range. */
static int is_near(long double part, double other, double precision)
{
    if (isnan(other) || isinf(part))
        return isnan(part) == isnan(other) && isinf(other) == isinf(part);
    return isinf(other) || fabsl(part - other) <= precision * fabsl(part) + 1e-37L;
}

/* C leaves open the sign of an infinity that is infinitely often turned round. */
static int is_open(const char *name, double real, double imaginary)
{
    return (strcmp(name, "csinh") == 0 && isinf(real) && !isfinite(imaginary)) ||
           (strcmp(name, "csin") == 0 && isinf(imaginary) && !isfinite(real));
}

static void put_all(const struct functions *functions, uint32_t *row, double real, double imaginary)
{
    const char *name = functions->name;
    if (is_open(name, real, imaginary))
        return;
    double complex z = functions->of_double(CMPLX(real, imaginary));
    long double complex l = functions->of_long(CMPLXL(real, imaginary));
    put(name, row, "%g %g:", real, imaginary);
    put_part(name, row, creal(z)), put_part(name, row, cimag(z));
    if (!is_near(creall(l), creal(z), 1e-14) || !is_near(cimagl(l), cimag(z), 1e-14))
        put(name, row, ", but %Lg %Lg", creall(l), cimagl(l));
    if ((double)(float)real == real && (double)(float)imaginary == imaginary) {
        float complex f = functions->of_float(CMPLXF((float)real, (float)imaginary));
        if (!is_near(creal(z), (double)crealf(f), 1e-6) ||
            !is_near(cimag(z), (double)cimagf(f), 1e-6))
            put(name, row, ", but %g %g", (double)crealf(f), (double)cimagf(f));
    }
    put(name, row, "\n");
}

static void test_special_parts(const struct functions *functions)
{
    static const double parts[] = {0,    -0.0,  1,      -1,       0.5,       -2.5, 700,
                                   -1e5, 1e200, -1e200, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < COUNT(parts); i++) {
        uint32_t row = 0;
        for (size_t k = 0; k < COUNT(parts); k++)
            put_all(functions, &row, parts[i], parts[k]);
        printf("%s %g: %x\n", functions->name, parts[i], row);
    }
}

/* Near the points where the inverses branch, and where others are zero. */
static void test_near(const struct functions *functions)
{
    static const double near[] = {1e-300, 0x1p-60, 0x1p-30, 1e-3};
    for (size_t i = 0; i < COUNT(near); i++) {
        uint32_t row = 0;
        put_all(functions, &row, 1 + near[i], near[i]);
        put_all(functions, &row, 1 - near[i], near[i] / 2);
        put_all(functions, &row, near[i], -1 - near[i]);
        put_all(functions, &row, -near[i], near[i]);
        put_all(functions, &row, near[i], 1 / near[i] < 1e30 ? 1 / near[i] : 1);
        printf("%s near %g: %x\n", functions->name, near[i], row);
    }
}

static void test_powers(void)
{
    static const double complex bases[] = {2, -1, CMPLX(0, 1), CMPLX(-3, 4), CMPLX(1e-5, -2)};
    double complex (*volatile power)(double complex, double complex) = cpow;
    for (size_t i = 0; i < COUNT(bases); i++)
        for (size_t k = 0; k < COUNT(bases); k++) {
            double complex z = power(bases[i], bases[k]) * 1e9; /* parts that are 0 are nearly so */
            printf("power: %.9g %.9g\n", round(creal(z)) + 0.0, round(cimag(z)) + 0.0);
        }
    long double (*volatile argument)(long double complex) = cargl;
    printf("%.15Lg %.15Lg\n", argument(CMPLXL(-1, -0.0L)), argument(CMPLXL(0, 2)));
}

static void test_exceptions(void)
{
    feclearexcept(FE_ALL_EXCEPT);
    all[13].of_double(0);
    say("the logarithm of 0", !!fetestexcept(FE_DIVBYZERO));
    feclearexcept(FE_ALL_EXCEPT);
    all[5].of_double(1);
    say("the hyperbola's end", !!fetestexcept(FE_DIVBYZERO));
    feclearexcept(FE_ALL_EXCEPT);
    all[12].of_double(CMPLX(1, INFINITY));
    say("no angle", !!fetestexcept(FE_INVALID));
    feclearexcept(FE_ALL_EXCEPT);
    all[12].of_double(1000);
    say("too large", !!fetestexcept(FE_OVERFLOW));
}

/* Where the real part is what is left of numbers that are near one another. */
static void test_circle(void)
{
    double complex log = clog(CMPLX(0.6, 0.8)), other = clog(CMPLX(0.28, -0.96));
    printf("logarithms on the circle: %.9e %.9e, %.9e %.9e\n", creal(log), cimag(log), creal(other),
           cimag(other));
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : wanted;
    for (size_t i = 0; i < COUNT(all); i++) {
        test_special_parts(&all[i]);
        test_near(&all[i]);
    }
    test_powers();
    test_circle();
    test_exceptions();
    puts("complexes: ok");
    return 0;
}
