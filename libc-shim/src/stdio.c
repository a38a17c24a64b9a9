/*
 * stdio.c - streams' functions that newlib has under other names, or as locks only.
 */
#include <stdio.h>

#include "shim.h"

ssize_t getdelim(char **restrict line, size_t *restrict bytes, int end, FILE *restrict stream)
{
    return __getdelim(line, bytes, end, stream);
}

ssize_t getline(char **restrict line, size_t *restrict bytes, FILE *restrict stream)
{
    return __getdelim(line, bytes, '\n', stream);
}

void flockfile(FILE *stream)
{
    skep_posix_lock_keep(stream->_lock);
}

/* 0: it is locked. */
int ftrylockfile(FILE *stream)
{
    return skep_posix_lock_try_to_keep(stream->_lock) ? 0 : -1;
}

void funlockfile(FILE *stream)
{
    skep_posix_lock_let_go(stream->_lock);
}
