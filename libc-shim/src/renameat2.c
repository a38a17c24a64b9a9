/*
 * renameat2.c - renameat() with flags, of which it has none.
 */
#include <stdio.h>

#include "shim.h"

int renameat2(int old_folder, const char *old_path, int new_folder, const char *new_path,
              unsigned flags)
{
    if (flags != 0)
        return (int)skep_posix_result(-EINVAL);
    return renameat(old_folder, old_path, new_folder, new_path);
}
