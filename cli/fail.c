/* fail.c - messages and memory. */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* UTF-8 has another 32 of them, as two bytes: some terminals obey these, too. */
char *text_clean(char *text, char kept)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if ((*at < 0x20 || *at == 0x7f) && *at != (unsigned char)kept)
            *at = '?';
        else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
    }
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
    fprintf(stderr, "skepctl: %s\n", text_clean(text, 0));
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
    fprintf(stderr, "%s\n", text_clean(text, 0));
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
