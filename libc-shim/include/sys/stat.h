/*
 * sys/stat.h - newlib's, and lstat(), which it declares for other systems only.
 */
#ifndef SKEP_SYS_STAT_H
#define SKEP_SYS_STAT_H

#include_next <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

int lstat(const char *__restrict path, struct stat *__restrict out);

#ifdef __cplusplus
}
#endif

#endif
