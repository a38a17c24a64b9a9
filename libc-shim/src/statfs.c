/*
 * statfs.c - statfs(): statvfs() in Linux' older words.
 */
#include <sys/statfs.h>
#include <sys/statvfs.h>

/* The read-only tree has no room at all, and a volume has some. */
static void translate(const struct statvfs *usage, struct statfs *out)
{
    *out = (struct statfs){
        .f_type = usage->f_blocks > 0 ? EXT4_SUPER_MAGIC : ROMFS_MAGIC,
        .f_bsize = (long)usage->f_bsize,
        .f_blocks = usage->f_blocks,
        .f_bfree = usage->f_bfree,
        .f_bavail = usage->f_bavail,
        .f_files = usage->f_files,
        .f_ffree = usage->f_ffree,
        .f_namelen = (long)usage->f_namemax,
        .f_frsize = (long)usage->f_frsize,
        .f_flags = (long)usage->f_flag,
    };
}

int statfs(const char *path, struct statfs *out)
{
    struct statvfs usage;
    if (statvfs(path, &usage) < 0)
        return -1;
    translate(&usage, out);
    return 0;
}

int fstatfs(int fd, struct statfs *out)
{
    struct statvfs usage;
    if (fstatvfs(fd, &usage) < 0)
        return -1;
    translate(&usage, out);
    return 0;
}
