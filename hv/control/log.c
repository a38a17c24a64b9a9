/* log.c - lines for the machine's serial log. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core.h"

void log_line(const char *format, ...)
{
    char line[240]; /* ring 0 cuts what is longer */
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0)
        return;
    /* Names and texts come from clients: nothing of theirs may steer a terminal or fake a line. */
    for (char *c = line; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    core_log(line, strlen(line));
}
