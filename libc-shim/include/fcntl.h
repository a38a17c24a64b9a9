/*
 * fcntl.h - newlib's, and posix_fallocate() and posix_fadvise(), which it doesn't declare.
 */
#ifndef SKEP_FCNTL_H
#define SKEP_FCNTL_H

#include_next <fcntl.h>

#ifdef __cplusplus
extern "C" {
#endif

int posix_fallocate(int fd, off_t offset, off_t bytes);

#define POSIX_FADV_NORMAL     0
#define POSIX_FADV_RANDOM     1
#define POSIX_FADV_SEQUENTIAL 2
#define POSIX_FADV_WILLNEED   3
#define POSIX_FADV_DONTNEED   4
#define POSIX_FADV_NOREUSE    5

int posix_fadvise(int fd, off_t offset, off_t bytes, int advice);

#ifdef __cplusplus
}
#endif

#endif
