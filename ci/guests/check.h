/*
 * check.h - how the test guests say that something is wrong: one line, and exit code 1.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

static inline void check(int ok, const char *what)
{
    if (ok)
        return;
    printf("FAILED: %s\n", what);
    exit(1);
}

#define CHECK(condition) check((condition) != 0, #condition)

#endif
