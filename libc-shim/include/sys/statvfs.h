/*
 * sys/statvfs.h - how large a file system is, and how full.
 */
#ifndef SKEP_SYS_STATVFS_H
#define SKEP_SYS_STATVFS_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ST_RDONLY 1
#define ST_NOSUID 2

struct statvfs {
    unsigned long f_bsize, f_frsize;
    fsblkcnt_t f_blocks, f_bfree, f_bavail; /* in units of f_frsize */
    fsfilcnt_t f_files, f_ffree, f_favail;
    unsigned long f_fsid, f_flag, f_namemax;
};

int statvfs(const char *__restrict path, struct statvfs *__restrict out);
int fstatvfs(int fd, struct statvfs *out);

#ifdef __cplusplus
}
#endif

#endif
