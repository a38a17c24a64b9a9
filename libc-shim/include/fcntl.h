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

#if __GNU_VISIBLE
/* posix_fallocate() with errno: EOPNOTSUPP outside volumes, and of all modes but 0; ESPIPE of pipes. */
#define FALLOC_FL_KEEP_SIZE      0x01
#define FALLOC_FL_PUNCH_HOLE     0x02
#define FALLOC_FL_COLLAPSE_RANGE 0x08
#define FALLOC_FL_ZERO_RANGE     0x10
#define FALLOC_FL_INSERT_RANGE   0x20
int fallocate(int fd, int mode, off_t offset, off_t bytes);

/* Nothing is read ahead: 0, or EBADF; EINVAL: no regular file. */
ssize_t readahead(int fd, off_t offset, size_t bytes);

/* fdatasync(), of the whole file, if flags say that it is to be waited for. EINVAL: another flag, or a negative offset;
 * ESPIPE: no regular file. */
#define SYNC_FILE_RANGE_WAIT_BEFORE 1u
#define SYNC_FILE_RANGE_WRITE       2u
#define SYNC_FILE_RANGE_WAIT_AFTER  4u
int sync_file_range(int fd, off_t offset, off_t bytes, unsigned flags);
#endif

#ifdef __cplusplus
}
#endif

#endif
