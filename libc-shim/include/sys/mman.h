/*
 * sys/mman.h - memory of a program's own, and copies of files in it; mman.c says how far.
 */
#ifndef _SYS_MMAN_H
#define _SYS_MMAN_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PROT_NONE  0
#define PROT_READ  1
#define PROT_WRITE 2 /* implies PROT_READ */
#define PROT_EXEC  4 /* ENOTSUP */

#define MAP_SHARED    0x01
#define MAP_PRIVATE   0x02
#define MAP_FIXED     0x10 /* at that address, in place of what is mapped there; not all at once */
#define MAP_ANONYMOUS 0x20
#define MAP_ANON      MAP_ANONYMOUS
#define MAP_NORESERVE \
    0x4000 /* pages count when they are touched; one beyond the guest's memory ends it */
#define MAP_POPULATE 0x8000  /* changes nothing: pages come when they are touched */
#define MAP_STACK    0x20000 /* MAP_NORESERVE, but the last pages are there */
#define MAP_FAILED   ((void *)-1)

#define MS_ASYNC      1
#define MS_INVALIDATE 2
#define MS_SYNC       4

#define POSIX_MADV_NORMAL     0
#define POSIX_MADV_RANDOM     1
#define POSIX_MADV_SEQUENTIAL 2
#define POSIX_MADV_WILLNEED   3
#define POSIX_MADV_DONTNEED   4

#define MADV_NORMAL     0
#define MADV_RANDOM     1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED   3
#define MADV_DONTNEED   4 /* pages of memory are given back: zeroed, when they are touched next */
#define MADV_FREE       8 /* the same */

void *mmap(void *address, size_t bytes, int prot, int flags, int fd, off_t offset);
int munmap(void *address, size_t bytes);
int mprotect(void *address, size_t bytes, int prot);
int msync(void *address, size_t bytes, int flags);
int madvise(void *address, size_t bytes, int advice);
int posix_madvise(void *address, size_t bytes, int advice);

/* Without effect: pages come when they are touched, and stay. EINVAL: other flags, of mlockall() none; ENOMEM: no addresses of a
 * program's. Whether something is mapped there isn't looked at. */
#define MCL_CURRENT 1
#define MCL_FUTURE  2
#define MCL_ONFAULT 4
int mlock(const void *address, size_t bytes);
int munlock(const void *address, size_t bytes);
int mlockall(int flags);
int munlockall(void);

#if __GNU_VISIBLE
#define MLOCK_ONFAULT 1u
int mlock2(const void *address, size_t bytes, unsigned flags);
#endif

#ifdef __cplusplus
}
#endif

#endif
