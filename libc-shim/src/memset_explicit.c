/*
 * memset_explicit.c - memset() of what nobody reads afterwards.
 */
#include <string.h>

void *memset_explicit(void *memory, int byte, size_t bytes)
{
    memset(memory, byte, bytes);
    __asm__ volatile("" : : "r"(memory) : "memory"); /* it may be read */
    return memory;
}
