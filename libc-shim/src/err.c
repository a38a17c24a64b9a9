/*
 * err.c - messages as BSD's programs write them: the program's name, what it says and, of those without "x", what errno
 * means.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

/* A line in one piece. cause: an error's number, or 0. format may be NULL. */
static void __attribute__((format(printf, 2, 0)))
write_line(int cause, const char *format, va_list arguments)
{
    flockfile(stderr);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    if (format != NULL)
        vfprintf(stderr, format, arguments);
    if (cause != 0)
        fprintf(stderr, "%s%s", format != NULL ? ": " : "", strerror(cause));
    fputc('\n', stderr);
    funlockfile(stderr);
}

void vwarn(const char *format, va_list arguments)
{
    write_line(errno, format, arguments);
}

void vwarnx(const char *format, va_list arguments)
{
    write_line(0, format, arguments);
}

void verr(int code, const char *format, va_list arguments)
{
    vwarn(format, arguments);
    exit(code);
}

void verrx(int code, const char *format, va_list arguments)
{
    vwarnx(format, arguments);
    exit(code);
}

void warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vwarn(format, arguments);
    va_end(arguments);
}

void warnx(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vwarnx(format, arguments);
    va_end(arguments);
}

void err(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    verr(code, format, arguments);
}

void errx(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    verrx(code, format, arguments);
}
