/*
 * error.c - messages as GNU's programs write them.
 */
#include <error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

unsigned error_message_count;
int error_one_per_line;
void (*error_print_progname)(void);

/* The stream is locked. */
static void write_begin(const char *after)
{
    fflush(stdout);
    if (error_print_progname != NULL)
        error_print_progname();
    else
        fprintf(stderr, "%s%s", program_invocation_name, after);
}

static void __attribute__((format(printf, 3, 0)))
write_rest(int status, int cause, const char *format, va_list arguments)
{
    vfprintf(stderr, format, arguments);
    error_message_count++;
    if (cause != 0)
        fprintf(stderr, ": %s", strerror(cause));
    fputc('\n', stderr);
    funlockfile(stderr);
    if (status != 0)
        exit(status);
}

void error(int status, int cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    flockfile(stderr);
    write_begin(": ");
    write_rest(status, cause, format, arguments);
    va_end(arguments);
}

/* Whether the last message that was asked about was of the same line, which is noted. The lock of stderr guards it. */
static bool is_again(const char *file, unsigned line)
{
    static const char *last_file;
    static unsigned last_line;
    bool is_same_file =
        file == last_file || (file != NULL && last_file != NULL && strcmp(file, last_file) == 0);
    bool again = line == last_line && is_same_file;
    last_file = file;
    last_line = line;
    return again;
}

void error_at_line(int status, int cause, const char *file, unsigned line, const char *format, ...)
{
    va_list arguments;
    flockfile(stderr);
    if (error_one_per_line != 0 && is_again(file, line)) {
        funlockfile(stderr);
        return;
    }
    va_start(arguments, format);
    write_begin(":");
    if (file != NULL)
        fprintf(stderr, "%s:%u: ", file, line);
    else
        fputc(' ', stderr);
    write_rest(status, cause, format, arguments);
    va_end(arguments);
}
