/*
 * string.c - memory functions for freestanding code; the fast ones are the architecture's (rep movs/stos).
 */
#include "core/string.h"

#include "arch/arch.h"

void string_copy(char *to, const char *from, size_t capacity)
{
    size_t i = 0;
    for (; i + 1 < capacity && from[i]; i++) {
        to[i] = from[i];
    }
    memset(to + i, 0, capacity - i);
}

#ifndef ARCH_HOSTED
void *(memcpy)(void *to, const void *from, size_t bytes)
{
    arch_copy(to, from, bytes);
    return to;
}

void *(memset)(void *to, int value, size_t bytes)
{
    arch_fill(to, (uint8_t)value, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    if (target <= source || target >= source + bytes) {
        return memcpy(to, from, bytes);
    }
    for (; bytes >= 8; bytes -= 8) {
        uint64_t word; /* read before it may be overwritten */
        __builtin_memcpy(&word, source + bytes - 8, 8);
        __builtin_memcpy(target + bytes - 8, &word, 8);
    }
    while (bytes--) {
        target[bytes] = source[bytes];
    }
    return to;
}

int(memcmp)(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    for (size_t i = 0; i < bytes; i++) {
        if (x[i] != y[i]) {
            return x[i] - y[i];
        }
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length]) {
        length++;
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}
#endif
