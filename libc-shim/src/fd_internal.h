/*
 * fd_internal.h - what io.c needs of fd.c. Results are negative errno values.
 */
#ifndef LIBC_SHIM_FD_INTERNAL_H
#define LIBC_SHIM_FD_INTERNAL_H

#include <poll.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "skep/fd.h"

int skep_posix_fd_close(int fd);

/* A second descriptor for the same file: the lowest free one from first on, or target itself, whose
 * former file is closed. closes: it has FD_CLOEXEC. */
int skep_posix_fd_dup(int fd, int first, bool closes);
int skep_posix_fd_dup_to(int fd, int target, bool closes);

/* A descriptor for a file, whose reference passes to it. -EMFILE, and it stays the caller's. */
int skep_posix_fd_give(struct skep_file *file, bool closes);

/* Whether a descriptor of the table has FD_CLOEXEC; gives it that, or takes it away, if it is still the file's. */
bool skep_posix_fd_closes(int fd);
void skep_posix_fd_set_closes(int fd, const struct skep_file *file, bool closes);

/* One more reference to a file, as skep_fd_get()'s, unless the last one is gone. */
bool skep_posix_fd_hold(struct skep_file *file);

extern const struct skep_fd_ops skep_posix_console_ops; /* what descriptors 0 to 2 are */
bool skep_posix_fd_is_console(const struct skep_file *file);

/* How long a read of the console waits for its first byte, in tenths of a second, and is 0 then; < 0: for ever. */
void skep_posix_console_waits(int tenths);

/* io.c: moves one buffer after the other, until one is moved in part only: an error after that is told next time. As
 * readv(), with errno. The offset is for movers that want one: where the next buffer begins. */
typedef ssize_t skep_posix_mover(int fd, void *data, size_t bytes, off_t offset);
ssize_t skep_posix_each(int fd, const struct iovec *buffers, int count, off_t offset,
                        skep_posix_mover *move);

/* io.c: ends a call that wrote, with these flags of send(): gives the file back, and raises SIGPIPE if nobody reads the pipe
 * or stream any more. */
void skep_posix_written(struct skep_file *file, ssize_t result, int flags);

/*
 * epoll.c, linked only if the program has it
 */

/* The source has changed, its file is being closed. */
void skep_posix_epoll_changed(struct skep_poll_source *source) __attribute__((weak));
void skep_posix_epoll_forget(struct skep_poll_source *source) __attribute__((weak));

#endif
