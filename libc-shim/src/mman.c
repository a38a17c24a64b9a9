/*
 * mman.c - mmap() and what belongs to it.
 *
 * Anonymous memory, and that of /dev/zero, is ring 0's, with its rights: promised, unless the program asks for less. A
 * file is read into such memory when it is mapped: what changes in the file afterwards isn't seen, and nothing is written
 * back, so that a shared mapping can't be written. Where it lies is ring 0's choice, as addresses are hints, but with
 * MAP_FIXED, for which what is mapped there is unmapped first.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fd_internal.h"
#include "shim.h"

_Static_assert(PROT_READ == SKEP_PROT_READ && PROT_WRITE == SKEP_PROT_WRITE, "the same rights");

/* What POSIX calls ring 0's errors of a span. */
static int64_t error_of(int64_t result)
{
    switch (result) {
    case -SKEP_ENOSPC: /* its table of spans is full */
    case -SKEP_EFAULT:
        return -ENOMEM;
    case -SKEP_EPERM:
        return -EACCES;
    default:
        return result;
    }
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + SKEP_PAGE_SIZE - 1) / SKEP_PAGE_SIZE * SKEP_PAGE_SIZE;
}

static int check_span(uintptr_t address, size_t bytes)
{
    if (address % SKEP_PAGE_SIZE != 0 || bytes == 0)
        return -EINVAL;
    return bytes > SKEP_GUEST_VA_MAX ? -ENOMEM : 0;
}

/*
 * Where copies of files are
 */

struct copied {
    uintptr_t begin, end;
    struct copied *next;
};

static struct {
    struct skep_mutex lock;
    struct copied *first;
} copies;

static bool note_copy(uintptr_t begin, size_t bytes)
{
    struct copied *copied = malloc(sizeof(*copied));
    if (copied == NULL)
        return false;
    skep_mutex_lock(&copies.lock);
    *copied = (struct copied){begin, begin + bytes, copies.first};
    copies.first = copied;
    skep_mutex_unlock(&copies.lock);
    return true;
}

/* Takes the span out of what is noted. Of one that goes on at both of its sides `rest` notes the end; without that it stays
 * whole. The lock is held; what is returned is to be freed. */
static struct copied *cut_copies(uintptr_t begin, size_t bytes, struct copied *rest)
{
    uintptr_t end = begin + bytes;
    struct copied *gone = NULL;
    for (struct copied **at = &copies.first, *copied; (copied = *at) != NULL;) {
        if (copied->begin < begin && copied->end > end && rest != NULL) {
            *rest = (struct copied){end, copied->end, copied->next};
            copied->next = rest;
            copied->end = begin;
            rest = NULL;
        } else if (copied->begin >= begin && copied->begin < end) {
            copied->begin = end;
        } else if (copied->end > begin && copied->end <= end) {
            copied->end = begin;
        }
        if (copied->begin < copied->end) {
            at = &copied->next;
        } else {
            *at = copied->next;
            copied->next = gone;
            gone = copied;
        }
    }
    if (rest != NULL)
        *rest = (struct copied){.next = gone};
    return rest != NULL ? rest : gone;
}

static void free_copies(struct copied *gone)
{
    for (struct copied *next; gone != NULL; gone = next) {
        next = gone->next;
        free(gone);
    }
}

/* For cut_copies(); NULL, too, if none is needed: a program's own malloc() may unmap while it can't be called. */
static struct copied *rest_of_copy(uintptr_t begin, size_t bytes)
{
    bool found = false;
    skep_mutex_lock(&copies.lock);
    for (struct copied *copied = copies.first; copied != NULL && !found; copied = copied->next)
        found = copied->begin < begin && copied->end > begin + bytes;
    skep_mutex_unlock(&copies.lock);
    return found ? calloc(1, sizeof(struct copied)) : NULL;
}

/* Another thread that has a file come to lie there waits with its note. If this fails notes stay: at worst
 * drop() refuses memory for one of a part that is gone. */
static int unmap_and_forget(void *address, size_t bytes)
{
    struct copied *gone = rest_of_copy((uintptr_t)address, whole_pages(bytes));
    skep_mutex_lock(&copies.lock);
    int result = skep_mem_unmap_all(address, bytes);
    if (result == 0)
        gone = cut_copies((uintptr_t)address, whole_pages(bytes), gone);
    skep_mutex_unlock(&copies.lock);
    free_copies(gone);
    return result;
}

/* The same where something else is mapped instead, or was to be. */
static int64_t map_and_forget(void *place, size_t bytes, unsigned how)
{
    struct copied *gone = rest_of_copy((uintptr_t)place, whole_pages(bytes));
    skep_mutex_lock(&copies.lock);
    int64_t result = skep_mem_map_at(place, bytes, how);
    if (result != -SKEP_EFAULT)
        gone = cut_copies((uintptr_t)place, whole_pages(bytes), gone);
    skep_mutex_unlock(&copies.lock);
    free_copies(gone);
    return result;
}

/* The lock is held. */
static bool has_copy(uintptr_t begin, size_t bytes)
{
    for (struct copied *copied = copies.first; copied != NULL; copied = copied->next)
        if (copied->begin < begin + bytes && begin < copied->end)
            return true;
    return false;
}

/* Puts what the file has there into memory that is zeroed: beyond the file's end it stays so. */
static int fill(struct skep_file *file, char *memory, size_t bytes, off_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t more = file->ops->pread(file, memory + done, bytes - done, offset + (off_t)done);
        if (more <= 0)
            return (int)more;
        done += (size_t)more;
    }
    return 0;
}

/* place: where; NULL: anywhere. */
static int64_t map(void *place, size_t bytes, unsigned how)
{
    return error_of(place == NULL ? skep_mem_map(bytes, how) : map_and_forget(place, bytes, how));
}

/* Noted before there is anything that drop() could lose. */
static int64_t map_copy(void *place, struct skep_file *file, size_t bytes, unsigned prot,
                        off_t offset)
{
    int64_t address = map(place, bytes, SKEP_PROT_READ | SKEP_PROT_WRITE);
    if (address < 0)
        return address;
    int64_t result = note_copy((uintptr_t)address, bytes) ? 0 : -ENOMEM;
    if (result == 0)
        result = fill(file, (char *)address, bytes, offset);
    if (result == 0 && prot != (SKEP_PROT_READ | SKEP_PROT_WRITE))
        result = error_of(skep_mem_protect((void *)address, bytes, prot));
    if (result == 0)
        return address;
    unmap_and_forget((void *)address, bytes);
    return result;
}

static bool is_regular(struct skep_file *file)
{
    struct stat stat;
    return file->ops->pread != NULL && file->ops->stat != NULL &&
           file->ops->stat(file, &stat) == 0 && S_ISREG(stat.st_mode);
}

static int check_file(struct skep_file *file, int prot, int flags)
{
    int mode = atomic_load_explicit(&file->flags, memory_order_relaxed) & O_ACCMODE;
    bool writes_back = flags & MAP_SHARED && prot & PROT_WRITE;
    if (mode == O_WRONLY || (writes_back && mode == O_RDONLY))
        return -EACCES;
    if (file->ops->maps_zeros)
        return 0;
    if (!is_regular(file))
        return -ENODEV;
    return writes_back ? -ENOTSUP : 0;
}

/* The last pages of what can't be written aren't there yet. */
static unsigned map_how(int prot, int flags)
{
    bool stack = flags & MAP_STACK;
    return (unsigned)prot | (stack || flags & MAP_NORESERVE ? SKEP_MAP_RESERVE : 0) |
           (stack && prot & PROT_WRITE ? SKEP_MAP_STACK : 0);
}

static int64_t map_file(void *place, int fd, size_t bytes, int prot, int flags, off_t offset)
{
    off_t end;
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return -EBADF;
    int64_t result = check_file(file, prot, flags);
    if (result == 0 && __builtin_add_overflow(offset, (off_t)bytes, &end))
        result = -EOVERFLOW;
    if (result == 0)
        result = file->ops->maps_zeros ? map(place, bytes, map_how(prot, flags))
                                       : map_copy(place, file, bytes, (unsigned)prot, offset);
    skep_fd_put(file);
    return result;
}

static int check_flags(int prot, int flags)
{
    int kind = flags & (MAP_SHARED | MAP_PRIVATE);
    if (kind != MAP_SHARED && kind != MAP_PRIVATE)
        return -EINVAL;
    return prot & ~(PROT_READ | PROT_WRITE) ? -ENOTSUP : 0;
}

void *mmap(void *hint, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    void *place = flags & MAP_FIXED ? hint : NULL;
    int64_t result = check_span((uintptr_t)offset, bytes);
    if (result == 0)
        result = check_flags(prot, flags);
    if (result == 0 && flags & MAP_FIXED)
        result = hint == NULL ? -EPERM : check_span((uintptr_t)hint, bytes);
    if (result == 0 && flags & MAP_ANONYMOUS)
        result = map(place, bytes, map_how(prot, flags));
    else if (result == 0)
        result = map_file(place, fd, bytes, prot, flags, offset);
    return (void *)skep_posix_result(result); /* MAP_FAILED is -1 */
}

int munmap(void *address, size_t bytes)
{
    int result = check_span((uintptr_t)address, bytes);
    if (result == 0)
        result = unmap_and_forget(address, bytes);
    return (int)skep_posix_result(error_of(result));
}

int mprotect(void *address, size_t bytes, int prot)
{
    int64_t result = prot & ~(PROT_READ | PROT_WRITE) ? -ENOTSUP : 0;
    if (bytes == 0)
        return (int)skep_posix_result(result);
    if (result == 0)
        result = check_span((uintptr_t)address, bytes);
    if (result == 0)
        result = error_of(skep_mem_protect(address, bytes, (unsigned)prot));
    return (int)skep_posix_result(result);
}

/* Nothing is written back, as nothing shared can be written. */
int msync(void *address, size_t bytes, int flags)
{
    return (uintptr_t)address % SKEP_PAGE_SIZE != 0 ? (int)skep_posix_result(-EINVAL) : 0;
}

int posix_madvise(void *address, size_t bytes, int advice)
{
    if ((uintptr_t)address % SKEP_PAGE_SIZE != 0)
        return EINVAL;
    return advice < POSIX_MADV_NORMAL || advice > POSIX_MADV_DONTNEED ? EINVAL : 0;
}

/* A file's text would be lost: nobody reads it again. Nor can an older hypervisor. The lock is held over both, as a file may
 * come to lie in a gap of the span. */
static int drop(void *address, size_t bytes)
{
    int result = check_span((uintptr_t)address, bytes);
    if (result != 0)
        return result;
    skep_mutex_lock(&copies.lock);
    result = has_copy((uintptr_t)address, bytes) ? -EINVAL
                                                 : (int)error_of(skep_mem_drop(address, bytes));
    skep_mutex_unlock(&copies.lock);
    return result == -ENOSYS ? -EINVAL : result;
}

int madvise(void *address, size_t bytes, int advice)
{
    if (advice != MADV_DONTNEED && advice != MADV_FREE)
        return (int)skep_posix_result(-posix_madvise(address, bytes, advice));
    if ((uintptr_t)address % SKEP_PAGE_SIZE == 0 && bytes == 0)
        return 0;
    return (int)skep_posix_result(drop(address, bytes));
}
