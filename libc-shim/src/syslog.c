/*
 * syslog.c - syslog(): a message is a line on the console, as LOG_PERROR writes it elsewhere. Facilities have nowhere to
 * lead to. Lines are cut at LINE_BYTES.
 */
#include <syslog.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

#define LINE_BYTES 1024u

static struct {
    struct skep_mutex lock; /* guards all of it */
    const char *name;       /* the caller's, as long as it is used; NULL: the program's */
    int options;
    int mask;
} settings = {.mask = LOG_UPTO(LOG_DEBUG)};

/* "name[process]: ", as far as they are told. Returns its bytes. */
static size_t write_prefix(char line[LINE_BYTES])
{
    skep_mutex_lock(&settings.lock);
    const char *name = settings.name != NULL ? settings.name : program_invocation_short_name;
    int bytes = settings.options & LOG_PID
                    ? snprintf(line, LINE_BYTES / 2, "%s[%d]: ", name, (int)getpid())
                    : snprintf(line, LINE_BYTES / 2, "%s: ", name);
    skep_mutex_unlock(&settings.lock);
    return (size_t)bytes < LINE_BYTES / 2 ? (size_t)bytes : LINE_BYTES / 2 - 1;
}

static bool is_wanted(int priority)
{
    skep_mutex_lock(&settings.lock);
    bool is_wanted = (settings.mask & LOG_MASK(LOG_PRI(priority))) != 0;
    skep_mutex_unlock(&settings.lock);
    return is_wanted;
}

void vsyslog(int priority, const char *format, va_list arguments)
{
    char line[LINE_BYTES];
    int error = errno;
    if (!is_wanted(priority))
        return;
    size_t at = write_prefix(line);
    errno = error; /* for %m */
    vsnprintf(line + at, LINE_BYTES - at, format, arguments);
    at = strlen(line);
    if (at == 0 || line[at - 1] != '\n')
        line[at < LINE_BYTES - 1 ? at++ : at - 1] = '\n';
    skep_console_write(line, at);
    errno = error;
}

void syslog(int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsyslog(priority, format, arguments);
    va_end(arguments);
}

void openlog(const char *name, int options, int facility)
{
    skep_mutex_lock(&settings.lock);
    settings.name = name;
    settings.options = options;
    skep_mutex_unlock(&settings.lock);
}

void closelog(void)
{
    openlog(NULL, 0, LOG_USER);
}

int setlogmask(int mask)
{
    skep_mutex_lock(&settings.lock);
    int former = settings.mask;
    if (mask != 0)
        settings.mask = mask;
    skep_mutex_unlock(&settings.lock);
    return former;
}
