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

void __sinit(struct _reent *reent);

/* newlib makes the standard streams' locks when it is called first, which this may come before. */
static struct __lock *lock_of(FILE *stream)
{
    if (stream->_lock == NULL)
        __sinit(_REENT);
    return stream->_lock;
}

void flockfile(FILE *stream)
{
    skep_posix_lock_keep(lock_of(stream));
}

/* 0: it is locked. */
int ftrylockfile(FILE *stream)
{
    return skep_posix_lock_try_to_keep(lock_of(stream)) ? 0 : -1;
}

void funlockfile(FILE *stream)
{
    skep_posix_lock_let_go(stream->_lock);
}
