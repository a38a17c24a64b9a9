/*
 * wcstod.c - numbers in wide characters: wcstod(), wcstof(), wcstold(), by the functions for others. newlib's convert all of
 * the text, of which a character that the locale lacks makes a zero; they round floats twice, and end behind the space before
 * what is no number.
 */
#include <stdlib.h>
#include <wchar.h>
#include <wctype.h>

#include <reent.h> /* which needs those */

/* Reads a number, and says where it ends. */
typedef void reader(const char *text, char **end, void *number);

static void read_double(const char *text, char **end, void *number)
{
    *(double *)number = strtod(text, end);
}

static void read_float(const char *text, char **end, void *number)
{
    *(float *)number = strtof(text, end);
}

static void read_long(const char *text, char **end, void *number)
{
    *(long double *)number = strtold(text, end);
}

/* A number has ASCII's characters only, in all locales that there are. Without memory it is what it was. */
static void convert(const wchar_t *text, wchar_t **end, reader *read, void *number)
{
    const wchar_t *at = text;
    size_t count = 0;
    while (iswspace((wint_t)*at))
        at++;
    while (at[count] > 0 && at[count] < 0x80)
        count++;
    char *copy = malloc(count + 1), *copy_end = copy;
    if (copy != NULL) {
        for (size_t i = 0; i < count; i++)
            copy[i] = (char)at[i];
        copy[count] = 0;
        read(copy, &copy_end, number);
    }
    if (end != NULL)
        *end = (wchar_t *)(copy_end != copy ? at + (copy_end - copy) : text);
    free(copy);
}

double wcstod(const wchar_t *restrict text, wchar_t **restrict end)
{
    double number = 0;
    convert(text, end, read_double, &number);
    return number;
}

float wcstof(const wchar_t *restrict text, wchar_t **restrict end)
{
    float number = 0;
    convert(text, end, read_float, &number);
    return number;
}

long double wcstold(const wchar_t *restrict text, wchar_t **restrict end)
{
    long double number = 0;
    convert(text, end, read_long, &number);
    return number;
}

/* Locales don't differ in how a number is written. */
double wcstod_l(const wchar_t *restrict text, wchar_t **restrict end, locale_t unused)
{
    return wcstod(text, end);
}

float wcstof_l(const wchar_t *restrict text, wchar_t **restrict end, locale_t unused)
{
    return wcstof(text, end);
}

long double wcstold_l(const wchar_t *restrict text, wchar_t **restrict end, locale_t unused)
{
    return wcstold(text, end);
}

/* For newlib's wscanf(). */
double _wcstod_r(struct _reent *unused, const wchar_t *text, wchar_t **end)
{
    return wcstod(text, end);
}
