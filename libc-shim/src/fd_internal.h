/*
 * fd_internal.h - what io.c needs of fd.c. Results are negative errno values.
 */
#ifndef LIBC_SHIM_FD_INTERNAL_H
#define LIBC_SHIM_FD_INTERNAL_H

#include <poll.h>
#include <stdbool.h>

#include "skep/fd.h"

int skep_posix_fd_close(int fd);

/* A second descriptor for the same file: the lowest free one from first on, or target itself, whose
 * former file is closed. */
int skep_posix_fd_dup(int fd, int first);
int skep_posix_fd_dup_to(int fd, int target);

bool skep_posix_fd_is_console(const struct skep_file *file);

#endif
