/*
 * syncfs.c - sync() of a descriptor's file system, and what went wrong with it.
 */
#include <sys/stat.h>
#include <unistd.h>

int syncfs(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -1;
    sync();
    return S_ISREG(status.st_mode) ? fsync(fd) : 0;
}
