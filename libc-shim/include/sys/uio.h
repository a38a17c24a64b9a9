/*
 * sys/uio.h - reading and writing several buffers at once.
 */
#ifndef _SYS_UIO_H
#define _SYS_UIO_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iovec {
    void *iov_base;
    size_t iov_len;
};

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

ssize_t readv(int fd, const struct iovec *buffers, int count);
ssize_t writev(int fd, const struct iovec *buffers, int count);
ssize_t preadv(int fd, const struct iovec *buffers, int count, off_t offset);
ssize_t pwritev(int fd, const struct iovec *buffers, int count, off_t offset);

#ifdef __cplusplus
}
#endif

#endif
