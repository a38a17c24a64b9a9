/*
 * unistd.h - newlib's, and what it doesn't declare.
 */
#ifndef SKEP_UNISTD_H
#define SKEP_UNISTD_H

#include_next <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options beside those that newlib knows of (<sys/features.h>). */
#define _POSIX_CHOWN_RESTRICTED  1
#define _POSIX_NO_TRUNC          1
#define _POSIX_REGEXP            1
#define _POSIX_SAVED_IDS         1
#define _POSIX_FSYNC             200809L
#define _POSIX_IPV6              200809L
#define _POSIX_MAPPED_FILES      200809L
#define _POSIX_MEMORY_PROTECTION 200809L
#define _POSIX_SEMAPHORES        200809L
#define _POSIX_SYNCHRONIZED_IO   200809L
#define _POSIX_VDISABLE          0

#ifndef _CS_PATH
#define _CS_PATH 0
#endif

#if __GNU_VISIBLE
int getresuid(uid_t *real, uid_t *effective, uid_t *saved);
int getresgid(gid_t *real, gid_t *effective, gid_t *saved);
int setresuid(uid_t real, uid_t effective, uid_t saved);
int setresgid(gid_t real, gid_t effective, gid_t saved);

pid_t gettid(void); /* of the first thread getpid()'s result */

/* Has what was written to the descriptor's file system kept, and all others. EBADF; of volumes fsync()'s errors. */
int syncfs(int fd);

/* Closes all descriptors from `first` on, or to `last`, too. EINVAL: last < first, or another flag. With
 * CLOSE_RANGE_CLOEXEC they get FD_CLOEXEC instead. */
#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u
void closefrom(int first);
int close_range(unsigned first, unsigned last, int flags);

int setdomainname(const char *name, size_t bytes); /* EPERM, as sethostname() */
#endif

#ifdef __cplusplus
}
#endif

#endif
