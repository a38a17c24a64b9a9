/*
 * shim.h - what libc-shim's files share. Symbols that are not POSIX begin with skep_posix_.
 */
#ifndef LIBC_SHIM_SHIM_H
#define LIBC_SHIM_SHIM_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "skep/guest.h"
#include "skep/thread.h"

#define NS_PER_SECOND 1000000000ull

/* cancel.c, linked only if the program cancels threads. Whether a wait of the calling thread ends because that is to end:
 * at once, or when it has given back the streams that it has locked, and then only its next wait. */
bool skep_posix_ends_wait(void) __attribute__((weak));

/* The thread ends if it is to end, and may. */
void skep_posix_cancellation_point(void) __attribute__((weak));

/* What ends a thread that is to end amid what it computes (skep_thread_divert()); NULL: it isn't. */
skep_detour *skep_posix_asks_for_end(void) __attribute__((weak));

/* A function that can wait begins with it, before it has taken anything. */
static inline void skep_posix_may_end(void)
{
    if (skep_posix_cancellation_point)
        skep_posix_cancellation_point();
}

/* signal.c: runs the handlers of signals that are pending for this thread. What was interrupted holds nothing any more. */
void skep_posix_signals_handle(void);

/* signal.c: the same at the end of a call that was interrupted. Whether it is to begin again. */
bool skep_posix_restarts(void);

/* Of a call that SA_RESTART has go on, when it holds nothing any more. */
static inline bool skep_posix_goes_on(long result)
{
    return result == -EINTR && skep_posix_restarts();
}

/* The same of a call that writes, of which it adds up what is done: a part, too, goes on. */
static inline bool skep_posix_writes_on(ssize_t result, size_t wanted, size_t *done)
{
    *done += result > 0 ? (size_t)result : 0;
    return (result == -EINTR || (result >= 0 && (size_t)result < wanted)) && skep_posix_restarts();
}

/* Turns "negative errno or result" into the POSIX convention. What was interrupted holds nothing any more. */
static inline long skep_posix_result(long result)
{
    if (result >= 0)
        return result;
    if (result == -EINTR) {
        skep_posix_signals_handle();
        skep_posix_may_end();
    }
    errno = (int)-result;
    return -1;
}

/* time.c: the deadline of an absolute time on a clock, in skep_clock_ns() nanoseconds. False: not a
 * valid time or clock. */
bool skep_posix_deadline(clockid_t clock, const struct timespec *time, uint64_t *deadline_ns);

/* The deadline of a time span from now on. Very long ones never come. */
uint64_t skep_posix_deadline_in(uint64_t span_ns);

/* False: not a valid time span. Spans of centuries are cut to what fits. */
bool skep_posix_span(const struct timespec *time, uint64_t *ns);
struct timespec skep_posix_timespec(uint64_t ns);

void skep_posix_signals_start(void);

/* signal.c: sends the program a signal, with where it comes from (SI_…) and a value. -EINVAL: there is none;
 * -EAGAIN: too many that were queued (SI_QUEUE) are pending. */
union sigval;
int skep_posix_raise(int signal, int code, union sigval value);

/* signal.c: what a thread of the program has of signals. */
struct skep_posix_signals {
    _Atomic uint64_t blocked;    /* what the thread blocks; only itself changes it */
    _Atomic uint64_t pending;    /* sent to it meanwhile */
    _Atomic uint64_t interrupts; /* handlers that have run in it */
    _Atomic uint32_t changes; /* of what ends its waits: signals, and that it is to be cancelled */
    _Atomic bool is_due;      /* it is to look at what is pending */
    _Atomic bool waits;       /* in a call that can be interrupted */
    struct skep_thread *thread; /* NULL: it hasn't begun, or has ended */
    struct skep_posix_signals *next;
};
extern struct skep_posix_signals skep_posix_first_signals; /* the first thread's */

/* The same to the calling thread, as the consequence of what it does. */
void skep_posix_raise_here(int signal);

/* The same to one thread. */
int skep_posix_raise_in(int signal, struct skep_posix_signals *target);

/* signal.c: has a thread look whether it is to be cancelled, in the call that it waits in or where it computes. */
void skep_posix_interrupt(struct skep_posix_signals *target);

/* signal.c: whether this thread is none of the program's. */
bool skep_posix_signals_is_helper(void);

/* locks.c: how many of newlib's locks the thread has, those of streams and others. */
extern _Thread_local unsigned skep_posix_streams_locked, skep_posix_locks_held;

/* locks.c: the thread ends when it has no stream locked any more. */
extern _Thread_local bool skep_posix_ends_later;

/* locks.c: flockfile() and its kind, of a stream's lock. */
struct __lock;
void skep_posix_lock_keep(struct __lock *lock);
bool skep_posix_lock_try_to_keep(struct __lock *lock);
void skep_posix_lock_let_go(struct __lock *lock);

/* locks.c: the number of the newlib's lock that the thread has taken last, and how many streams flockfile() has; and releases
 * locks with higher numbers, as the functions that have taken them have been left. What flockfile() has taken stays. */
struct skep_posix_locks {
    unsigned long last;
    unsigned kept_count;
};
struct skep_posix_locks skep_posix_locks_now(void);
void skep_posix_locks_abandon(unsigned long before);

/* signal.c: this thread is none of the program's and sends it signals. */
void skep_posix_signals_help(void);

/* signal.c: notes a thread that is about to start and blocks what the caller does; notes that it has started, in the thread
 * itself, which says at its end that it ends, too. One that couldn't be started is gone. */
void skep_posix_signals_thread_new(struct skep_posix_signals *thread);
void skep_posix_signals_thread_start(struct skep_posix_signals *thread);
void skep_posix_signals_thread_end(void);
void skep_posix_signals_thread_gone(struct skep_posix_signals *thread);

/* process.c: umask(). */
extern _Atomic mode_t skep_posix_mask;

/* limits.c: the guest's promise, as it is now. */
uint64_t skep_posix_memory_bytes(void);

/* fd.c: sizes the table, and gives descriptors 0, 1 and 2 to the console. */
void skep_posix_fd_start(void);

/* files.c: the files of the image and of the spec. Paths are absolute and canonical: no empty names, no "." and "..". */
#define SKEP_POSIX_PATH_BYTES 1024
/* proc.c: whether there is such a file or folder, 0 or -ENOENT; and a file's text now, on the heap, or NULL. */
int skep_posix_proc_find(const char *path, bool *is_folder);
const char *skep_posix_proc_path(size_t index); /* NULL behind the last */
char *skep_posix_proc_text(const char *path, size_t *bytes);

#define SKEP_POSIX_FOLDER_MODE \
    0755 /* its owner may do all, as programs expect of their folders; the answer is EROFS */
struct stat;
int skep_posix_file_open(const char *path, int flags);
int skep_posix_file_stat(const char *path, struct stat *out);

/* The path of a folder that is open: -EBADF; -ENOTDIR if it is something else. */
int skep_posix_file_path(int fd, char out[SKEP_POSIX_PATH_BYTES]);

/* The same in a program with volumes (fs/posix.c), for their folders too, or without (paths.c). */
int skep_posix_folder_path(int fd, char out[SKEP_POSIX_PATH_BYTES]);

/* at.c: a path that begins at an open folder, as one that doesn't. NULL, and errno: there is no such folder. */
struct skep_posix_at {
    char text[2 * SKEP_POSIX_PATH_BYTES];
};
const char *skep_posix_at(int folder, const char *path, struct skep_posix_at *at);

/* The name that follows another ("" = the first) in a folder, and what has it (DT_…). The root shows neither /dev nor /proc. */
bool skep_posix_file_next(const char *folder, const char *after, char name[256],
                          unsigned char *type);

/* listing.c: what is in a folder outside volumes: these files, and the folders on the way to volumes. */
struct skep_posix_listing {
    char *path; /* on the heap */
    char last[256];
    long position; /* of the next name */
};
struct dirent;
/* Of a folder that is there. -ENOMEM */
int skep_posix_listing_open(struct skep_posix_listing *listing, const char *path);
bool skep_posix_listing_next(struct skep_posix_listing *listing, struct dirent *out);
void skep_posix_listing_seek(struct skep_posix_listing *listing, long position);

/* outside.c: why a name can't be removed or changed where there is no volume: the error that looking for it has, or -EROFS;
 * and why none can be added: -EEXIST, the error that looking for its folder has, or -EROFS. */
int skep_posix_keeps(const char *path);
int skep_posix_adds_nothing(const char *path);

/* unix_names.c, if the program has UNIX sockets: what functions on paths do to the name of one. -ENOENT: no socket has it.
 * rename() takes the name that the second path is away from a socket that has it. */
int skep_unix_path_stat(const char *path, struct stat *out);
int skep_unix_path_chmod(const char *path, mode_t mode);
int skep_unix_path_chown(const char *path, uid_t user, gid_t group);
int skep_unix_path_remove(const char *path);
int skep_unix_path_rename(const char *path, const char *to);

/* What statvfs() says there: all that there is lies in memory, and there is no room. */
struct statvfs;
void skep_posix_outside_usage(struct statvfs *out);

/* Whether a volume lies below the path. */
bool skep_posix_leads_to_volume(const char *path);

/* Whether a path's end says that it is a folder's: a slash, "." or "..". */
bool skep_posix_means_folder(const char *path);

/* Whether `mode` (of access()) is what a file or folder outside volumes gives. */
int skep_posix_check_access(const struct stat *status, int mode);

/* fs/start.c, linked only if the program has volumes: leaves them in order. Nobody writes to them any more. */
void skep_posix_files_end(void) __attribute__((weak));

/* mutex.c, linked only if the program has mutexes: leaves the robust ones that the calling thread holds to others. */
void skep_posix_mutexes_end(void) __attribute__((weak));

/* attributes.c: whether a mutex can have that priority's protection. */
bool skep_posix_is_ceiling(int priority);

/* keys.c, linked only if the program has keys: runs their destructors for the calling thread. */
void skep_posix_keys_end(void) __attribute__((weak));

#endif
