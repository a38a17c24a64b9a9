/* fail.c - messages and memory. */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *text_clean(char *text)
{
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return text;
}

static char *format_list(const char *format, va_list list)
{
    char *text = NULL;

    if (vasprintf(&text, format, list) < 0) {
        fputs("skepctl: there is no memory for this\n", stderr);
        exit(EXIT_LOCAL);
    }
    return text;
}

int fail(enum exit_code code, const char *format, ...)
{
    va_list list;
    char *text;

    va_start(list, format);
    text = format_list(format, list);
    va_end(list);
    fflush(stdout);
    fprintf(stderr, "skepctl: %s\n", text_clean(text));
    free(text);
    return code;
}

void note(const char *format, ...)
{
    va_list list;
    char *text;

    va_start(list, format);
    text = format_list(format, list);
    va_end(list);
    fprintf(stderr, "%s\n", text_clean(text));
    free(text);
}

void *memory_resize(void *memory, size_t bytes)
{
    void *result = realloc(memory, bytes ? bytes : 1);

    if (!result)
        exit(fail(EXIT_LOCAL, "there is no memory for %zu bytes", bytes));
    return result;
}

void *memory_take(size_t bytes)
{
    return memory_resize(NULL, bytes);
}

char *text_copy(const char *text)
{
    return text_format("%s", text);
}

char *text_format(const char *format, ...)
{
    va_list list;
    char *text;

    va_start(list, format);
    text = format_list(format, list);
    va_end(list);
    return text;
}

char *text_extend(char *text, const char *format, ...)
{
    va_list list;
    char *more, *whole;

    va_start(list, format);
    more = format_list(format, list);
    va_end(list);
    whole = text_format("%s%s", text, more);
    free(text);
    free(more);
    return whole;
}
