/*
 * stdio.h - newlib's, and getline() and getdelim(), which it has under other names.
 */
#ifndef SKEP_STDIO_H
#define SKEP_STDIO_H

#include_next <stdio.h>

#if __POSIX_VISIBLE >= 200809

#ifdef __cplusplus
extern "C" {
#endif

ssize_t getdelim(char **__restrict line, size_t *__restrict bytes, int end,
                 FILE *__restrict stream);
ssize_t getline(char **__restrict line, size_t *__restrict bytes, FILE *__restrict stream);

#ifdef __cplusplus
}
#endif

#endif

#endif
