/*
 * sys/statfs.h - how large a file system is, how full, and what it is: what Linux had before <sys/statvfs.h>.
 */
#ifndef SKEP_SYS_STATFS_H
#define SKEP_SYS_STATFS_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What f_type says. */
#define EXT4_SUPER_MAGIC 0xef53 /* of a volume */
#define ROMFS_MAGIC      0x7275 /* of the read-only tree */

typedef struct {
    int __val[2];
} fsid_t;

struct statfs {
    long f_type;
    long f_bsize;
    fsblkcnt_t f_blocks, f_bfree, f_bavail; /* in units of f_bsize */
    fsfilcnt_t f_files, f_ffree;
    fsid_t f_fsid; /* 0 */
    long f_namelen;
    long f_frsize;
    long f_flags; /* ST_RDONLY of <sys/statvfs.h> */
    long f_spare[4];
};

/* As statvfs() and fstatvfs(), with their errors. */
int statfs(const char *path, struct statfs *out);
int fstatfs(int fd, struct statfs *out);

#ifdef __cplusplus
}
#endif

#endif
