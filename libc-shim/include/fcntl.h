/*
 * fcntl.h - newlib's, and posix_fallocate(), which it doesn't declare.
 */
#ifndef SKEP_FCNTL_H
#define SKEP_FCNTL_H

#include_next <fcntl.h>

#ifdef __cplusplus
extern "C" {
#endif

int posix_fallocate(int fd, off_t offset, off_t bytes);

#ifdef __cplusplus
}
#endif

#endif
