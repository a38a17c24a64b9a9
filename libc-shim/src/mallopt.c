/*
 * mallopt.c - what programs tell an allocator, which isn't this one.
 */
#include <malloc.h>

/* 1: taken. */
int mallopt(int option, int value)
{
    return 1;
}

/* 0: no memory was given back, beyond what free() does. */
int malloc_trim(size_t keep)
{
    return 0;
}
