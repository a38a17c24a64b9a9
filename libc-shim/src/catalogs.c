/*
 * catalogs.c - catalogs of messages: none is found.
 */
#include <nl_types.h>

#include "shim.h"

nl_catd catopen(const char *name, int flag)
{
    return (nl_catd)skep_posix_result(-ENOENT);
}

char *catgets(nl_catd catalog, int set, int number, const char *message)
{
    errno = EBADF;
    return (char *)message;
}

int catclose(nl_catd catalog)
{
    return (int)skep_posix_result(-EBADF);
}
