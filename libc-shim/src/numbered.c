/*
 * numbered.c - formats of printf() whose conversions number their arguments ("%2$s %1$d"): a plain format and its arguments in
 * the order of their use, for newlib's functions, which know no other. Those call it when a format has a '$'.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "numbered.h"

#define SLOT_BYTES 8u /* of an argument in memory; a long double has two, at a multiple of 16 */

/* What va_arg() is to look at: nothing in registers any more. */
#define REGISTERS_END (6u * SLOT_BYTES)
#define VECTORS_END   (REGISTERS_END + 8u * 16)

enum kind { WORD, DOUBLE, LONG_DOUBLE };

union value {
    uint64_t word;
    double number;
    long double long_number;
};

struct order {
    enum kind
        kinds[NL_ARGMAX]; /* of the arguments, as they are passed; WORD if there is no use of it */
    union value values[NL_ARGMAX];
    int count;
    size_t slots; /* that are used at most */

    /* Where the next of it goes; NULL: arguments are only counted. */
    char *format;
    char *slot;
};

static void put(struct order *order, const char *from, size_t bytes)
{
    if (order->format != NULL) {
        memcpy(order->format, from, bytes);
        order->format += bytes;
    }
}

/* False: there is no such argument. */
static bool use(struct order *order, int number, enum kind kind)
{
    if (number < 1 || number > NL_ARGMAX)
        return false;
    if (order->format == NULL) {
        order->kinds[number - 1] = kind;
        order->count = number > order->count ? number : order->count;
        order->slots += kind == LONG_DOUBLE ? 3 : 1;
        return true;
    }
    size_t bytes = kind == LONG_DOUBLE ? 2 * SLOT_BYTES : SLOT_BYTES;
    if (kind == LONG_DOUBLE)
        order->slot += (uintptr_t)order->slot % (2 * SLOT_BYTES);
    memcpy(order->slot, &order->values[number - 1], bytes);
    order->slot += bytes;
    return true;
}

/* Behind "number$", or NULL if that isn't there. A number that is too large is none that there is. */
static const char *skip_number(const char *at, int *number)
{
    const char *begin = at;
    for (*number = 0; *at >= '0' && *at <= '9'; at++)
        if (*number <= NL_ARGMAX)
            *number = 10 * *number + (*at - '0');
    return at != begin && *at == '$' ? at + 1 : NULL;
}

static const char *put_all_of(struct order *order, const char *at, const char *set)
{
    size_t bytes = strspn(at, set);
    put(order, at, bytes);
    return at + bytes;
}

/* A width or precision: digits, or a numbered argument. NULL: neither. */
static const char *put_size(struct order *order, const char *at)
{
    int number;
    if (*at != '*')
        return put_all_of(order, at, "0123456789");
    put(order, at, 1);
    at = skip_number(at + 1, &number);
    return at != NULL && use(order, number, WORD) ? at : NULL;
}

static enum kind kind_of(char conversion, bool is_long)
{
    if (strchr("aAeEfFgG", conversion) == NULL)
        return WORD;
    return is_long ? LONG_DOUBLE : DOUBLE;
}

/* From its "%" on. Returns what is behind it, or NULL if it isn't right. */
static const char *put_conversion(struct order *order, const char *at)
{
    int number;
    put(order, at++, 1);
    const char *behind_number = skip_number(at, &number);
    at = put_all_of(order, behind_number != NULL ? behind_number : at, "-+ #0'");
    at = put_size(order, at);
    if (at != NULL && *at == '.') {
        put(order, at, 1);
        at = put_size(order, at + 1);
    }
    if (at == NULL)
        return NULL;
    const char *length = at;
    at = put_all_of(order, at, "hlLqjzt");
    if (*at == 0)
        return NULL;
    put(order, at, 1);
    if (*at == '%' || *at == 'm')
        return at + 1;
    enum kind kind = kind_of(*at, memchr(length, 'L', (size_t)(at - length)) != NULL);
    return behind_number != NULL && use(order, number, kind) ? at + 1 : NULL;
}

static bool put_format(struct order *order, const char *format)
{
    while (format != NULL && *format != 0) {
        size_t bytes = strcspn(format, "%");
        put(order, format, bytes);
        format += bytes;
        if (*format == '%')
            format = put_conversion(order, format);
    }
    put(order, "", 1);
    return format != NULL;
}

/* Whether the first conversion that has an argument numbers it. */
static bool is_numbered(const char *format)
{
    int number;
    while ((format = strchr(format, '%')) != NULL && (format[1] == '%' || format[1] == 'm'))
        format += 2;
    return format != NULL && skip_number(format + 1, &number) != NULL;
}

static void fetch(struct order *order, va_list arguments)
{
    for (int i = 0; i < order->count; i++)
        if (order->kinds[i] == LONG_DOUBLE)
            order->values[i].long_number = va_arg(arguments, long double);
        else if (order->kinds[i] == DOUBLE)
            order->values[i].number = va_arg(arguments, double);
        else
            order->values[i].word = va_arg(arguments, uint64_t);
}

int skep_posix_order_arguments(const char *format, va_list arguments, char **ordered_format,
                               va_list ordered)
{
    struct order order = {.format = NULL};
    if (!is_numbered(format))
        return 0;
    if (!put_format(&order, format)) {
        errno = EINVAL;
        return -1;
    }
    size_t format_bytes = (strlen(format) + 2 * SLOT_BYTES) & ~(size_t)(2 * SLOT_BYTES - 1);
    order.format = malloc(format_bytes + order.slots * SLOT_BYTES);
    if (order.format == NULL)
        return -1;
    fetch(&order, arguments);
    *ordered_format = order.format;
    order.slot = order.format + format_bytes;
    ordered->gp_offset = REGISTERS_END;
    ordered->fp_offset = VECTORS_END;
    ordered->overflow_arg_area = order.slot;
    put_format(&order, format);
    return 1;
}
