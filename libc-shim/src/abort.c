/*
 * abort.c - ends of the program that are failures of its own.
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "shim.h"

_Noreturn void abort(void)
{
    struct sigaction action;
    sigaction(SIGABRT, NULL, &action);
    if (action.sa_handler != SIG_DFL)
        raise(SIGABRT);
    skep_abort("abort() called");
}

/* Appends as much as there is room for before end, and returns the new end of text, which is terminated. */
static char *append(char *text, const char *end, const char *more)
{
    while (text < end - 1 && *more != 0)
        *text++ = *more++;
    *text = 0;
    return text;
}

static char *append_number(char *text, const char *end, unsigned value)
{
    char digits[11], *digit = &digits[10];
    *digit = 0;
    do
        *--digit = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return append(text, end, digit);
}

/* Without snprintf(), which every program would have by this: 16 KiB. */
_Noreturn void __assert_func(const char *file, int line, const char *function,
                             const char *condition)
{
    char message[256], *text = message;
    const char *end = message + sizeof(message);
    text = append(text, end, file);
    text = append(text, end, ":");
    text = append_number(text, end, (unsigned)line);
    text = append(text, end, ": ");
    text = append(text, end, function ? function : "?");
    text = append(text, end, ": assertion failed: ");
    append(text, end, condition);
    skep_abort(message);
}
