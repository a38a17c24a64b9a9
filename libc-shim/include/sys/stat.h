/*
 * sys/stat.h - newlib's, and lstat(), mknod() and two times, which it has for other systems only.
 */
#ifndef SKEP_SYS_STAT_H
#define SKEP_SYS_STAT_H

#include_next <sys/stat.h>

/* As tv_nsec, for utimensat() and futimens(). */
#define UTIME_NOW  (-2L)
#define UTIME_OMIT (-1L)

#ifdef __cplusplus
extern "C" {
#endif

int lstat(const char *__restrict path, struct stat *__restrict out);
int mknod(const char *path, mode_t mode, dev_t device);

#ifdef __cplusplus
}
#endif

#endif
