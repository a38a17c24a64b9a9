/*
 * utmpx.c - the list of who has logged in, which is empty.
 */
#include <utmpx.h>

#include "shim.h"

void setutxent(void)
{
}

void endutxent(void)
{
}

static struct utmpx *none(int error)
{
    errno = error;
    return NULL;
}

struct utmpx *getutxent(void)
{
    return none(ENOENT);
}

struct utmpx *getutxid(const struct utmpx *id)
{
    return none(ENOENT);
}

struct utmpx *getutxline(const struct utmpx *line)
{
    return none(ENOENT);
}

struct utmpx *pututxline(const struct utmpx *entry)
{
    return none(EPERM);
}
