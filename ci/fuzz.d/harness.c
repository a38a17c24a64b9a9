/*
 * harness.c - how a harness says that something doesn't hold.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: doesn't hold: %s\n", file, line, what);
    abort();
}
