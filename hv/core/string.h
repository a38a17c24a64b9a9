/*
 * string.h - the memory functions that the compiler and ring 0 need; no libc is linked.
 */
#ifndef CORE_STRING_H
#define CORE_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

/* Freestanding code gets no built-ins by their usual names; with them a small known size takes a few moves. */
#define memcpy(to, from, bytes)  __builtin_memcpy(to, from, bytes)
#define memset(to, value, bytes) __builtin_memset(to, value, bytes)
#define memcmp(a, b, bytes)      __builtin_memcmp(a, b, bytes)

size_t strlen(const char *text);
int strcmp(const char *a, const char *b);

/* Copies a name of at most capacity - 1 characters and fills the rest with zeroes. */
void string_copy(char *to, const char *from, size_t capacity);

#endif
