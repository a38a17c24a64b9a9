/*
 * stdio.h - newlib's, and getline() and getdelim(), which it has under other names.
 */
#ifndef SKEP_STDIO_H
#define SKEP_STDIO_H

#include_next <stdio.h>

#if __GNU_VISIBLE

#ifdef __cplusplus
extern "C" {
#endif

/* renameat(). EINVAL: any flag, as no look for the new name and change of it are one. */
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE  2u
#define RENAME_WHITEOUT  4u
int renameat2(int old_folder, const char *old_path, int new_folder, const char *new_path,
              unsigned flags);

#ifdef __cplusplus
}
#endif

#endif

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
