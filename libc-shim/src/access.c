/*
 * access.c - access() as the effective user: it doesn't look at users.
 */
#include <unistd.h>

int euidaccess(const char *path, int mode)
{
    return access(path, mode);
}

int eaccess(const char *path, int mode)
{
    return access(path, mode);
}
