/*
 * glob.h - paths that patterns match: POSIX's glob(), with what glibc has beside.
 */
#ifndef SKEP_GLOB_H
#define SKEP_GLOB_H

#include <stddef.h>
#include <sys/cdefs.h>

typedef struct {
    size_t gl_pathc; /* paths that were found */
    char **gl_pathv; /* gl_offs times NULL, the paths, NULL */
    size_t gl_offs;
    int gl_flags; /* GLOB_MAGCHAR: the pattern had *, ? or brackets */
} glob_t;

#define GLOB_APPEND   0x001
#define GLOB_DOOFFS   0x002
#define GLOB_ERR      0x004
#define GLOB_MARK     0x008
#define GLOB_NOCHECK  0x010
#define GLOB_NOSORT   0x020
#define GLOB_NOESCAPE 0x040
#define GLOB_BRACE    0x080 /* {a,b} is both */
#define GLOB_NOMAGIC  0x100 /* as GLOB_NOCHECK, of a pattern without *, ? and brackets */
#define GLOB_TILDE    0x200 /* ~ is $HOME, or / */
#define GLOB_PERIOD   0x400 /* * and ? match a period at the beginning, too */
#define GLOB_ONLYDIR  0x800 /* no files */
#define GLOB_MAGCHAR  0x1000

#define GLOB_NOSPACE 1
#define GLOB_ABORTED 2
#define GLOB_NOMATCH 3

#ifdef __cplusplus
extern "C" {
#endif

int glob(const char *__restrict pattern, int flags, int (*error)(const char *path, int number),
         glob_t *__restrict out);
void globfree(glob_t *paths);

#ifdef __cplusplus
}
#endif

#endif
