/*
 * progname.c - the program's name as BSD's programs ask for it. Many bring these themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *getprogname(void)
{
    return program_invocation_short_name;
}

void setprogname(const char *name)
{
    const char *slash = strrchr(name, '/');
    program_invocation_short_name = (char *)(slash != NULL ? slash + 1 : name);
}
