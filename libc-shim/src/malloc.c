/*
 * malloc.c - malloc() and its family, in place of newlib's.
 *
 * Small memory comes from the heap (heap.c), which grows and shrinks at its end. Large memory has a mapping
 * of its own, with a guard page at either end and its own end at the upper one; it goes back to the
 * hypervisor when it is freed. Since a guest can have few mappings, there is a number of them after which
 * large memory comes from the heap too.
 *
 * What is freed is checked, and a program that breaks a rule is ended with a message that says which.
 *
 * malloc() and free() of small memory begin with what the thread itself keeps, and mostly end there (heap_cache.h). That is
 * given back when the thread ends, when the heap would grow and when much was freed.
 *
 * Lock order: growing, then heap_lock. The second is held for some hundred instructions, so it spins.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "heap_cache.h"
#include "shim.h"

#define GUARD_BYTES    SKEP_PAGE_SIZE
#define LARGE_BYTES    (128u * 1024u)
#define LARGE_MAX      24u
#define GROW_PART      16u           /* the heap grows by at least such a part of it, … */
#define GROW_BYTES     (16u * 1024u) /* … but by so much, but for the first time */
#define GROW_BYTES_MAX (64u * 1024u)
#define TRIM_BYTES     (128u * 1024u) /* free at the end before it is given back … */
#define KEEP_BYTES     (32u * 1024u)  /* … but for so many */
#define JOIN_BYTES     (64u * 1024u) /* freed and kept as it is, to be joined before the heap grows … */
#define JOIN_PART      8u            /* … if it is this part of what is used, too */

#define ALIGNMENT_MAX (1u << 30)

static _Thread_local struct heap_cache cache;

static struct skep_mutex growing; /* who has it may change the heap's end */
static struct skep_spinlock heap_lock;

/* Large memory, and what was freed last. Guarded by heap_lock. */
static void *large[LARGE_MAX];
static unsigned large_count;
static void *large_freed[LARGE_MAX];
static unsigned large_freed_next;

/*
 * The ends of programs that break rules
 */

static char *append(char *to, const char *text)
{
    while (*text != 0)
        *to++ = *text++;
    return to;
}

_Noreturn static void die(const char *what, const void *memory)
{
    char message[64], *end = append(append(message, what), " 0x");
    for (int shift = 60; shift >= 0; shift -= 4)
        *end++ = "0123456789abcdef"[(uintptr_t)memory >> shift & 15];
    *end = 0;
    skep_abort(message);
}

_Noreturn void skep_heap_broken(const void *where)
{
    die("heap overwritten near", where);
}

_Noreturn static __attribute__((noinline)) void die_of(enum heap_check check, const void *memory)
{
    if (check == HEAP_FREED)
        die("double free of", memory);
    if (check == HEAP_OVERFLOW)
        die("heap overflow: written beyond the end of", memory);
    die("invalid free of", memory);
}

/*
 * The heap
 */

static void *heap_take(size_t bytes, size_t alignment)
{
    bool were_masked = skep_spin_lock(&heap_lock);
    void *memory = skep_heap_take(bytes, alignment);
    skep_spin_unlock(&heap_lock, were_masked);
    return memory;
}

/* The keys are made before there can be a second thread that needs it. */
static void start(void)
{
    uint64_t keys[3];
    skep_random(keys, sizeof(keys));
    skep_heap_start(keys);
}

/* By how much a heap of so many bytes grows, if there is so much: its last page is touched each time. */
static size_t step_of(size_t heap_bytes)
{
    size_t step = heap_bytes / GROW_PART;
    return step < GROW_BYTES ? GROW_BYTES : step < GROW_BYTES_MAX ? step : GROW_BYTES_MAX;
}

static bool grow_by(size_t bytes)
{
    void *region;
    bytes = (bytes + SKEP_PAGE_SIZE - 1) / SKEP_PAGE_SIZE * SKEP_PAGE_SIZE;
    if (skep_heap_grow((ptrdiff_t)bytes, &region) < 0)
        return false;
    bool were_masked = skep_spin_lock(&heap_lock);
    skep_heap_add(region, bytes);
    skep_spin_unlock(&heap_lock, were_masked);
    return true;
}

/* Holds growing. False: there is no more memory. */
static bool grow(size_t bytes)
{
    if (skep_heap_end() == NULL) {
        start();
        return grow_by(bytes);
    }
    size_t step = step_of(skep_heap_span.bytes);
    return (bytes < step && grow_by(step)) || grow_by(bytes);
}

/* What the thread keeps becomes the heap's, a few blocks at a time: the lock isn't held for long. Whether it was much. */
static bool empty_cache(void)
{
    uint32_t list = 0;
    bool much = false;
    skep_detours_hold();
    for (bool more = true; more;) {
        bool were_masked = skep_spin_lock(&heap_lock);
        more = skep_heap_flush(&cache, &list, &much);
        skep_spin_unlock(&heap_lock, were_masked);
    }
    skep_detours_release();
    return much;
}

/* Block by block, for the same reason. */
static void join_kept(void)
{
    uint32_t list = 0;
    for (bool more = true; more;) {
        bool were_masked = skep_spin_lock(&heap_lock);
        more = skep_heap_join_kept(&list);
        skep_spin_unlock(&heap_lock, were_masked);
    }
}

/* Whether that was worth it. */
static bool join_over(size_t bytes)
{
    bool were_masked = skep_spin_lock(&heap_lock);
    bool over = skep_heap_keeps_over(bytes, JOIN_PART);
    skep_spin_unlock(&heap_lock, were_masked);
    if (over)
        join_kept();
    return over;
}

/* Another thread may take what this one has made room for: then it makes room again. */
static void *heap_take_growing(size_t bytes, size_t alignment)
{
    void *memory = NULL;
    size_t needed =
        bytes + alignment + 128; /* headers, and what rounding in the heap's lists costs */
    needed += needed / 8;
    empty_cache();
    if (join_over(JOIN_BYTES))
        memory = heap_take(bytes, alignment);
    if (memory != NULL)
        return memory;
    skep_mutex_lock(&growing);
    while ((memory = heap_take(bytes, alignment)) == NULL && grow(needed))
        ;
    skep_mutex_unlock(&growing);
    if (memory == NULL) {
        join_kept();
        memory = heap_take(bytes, alignment);
    }
    return memory;
}

/* Gives free memory at the heap's end back, unless the program itself has moved that by sbrk(). */
static void trim(void)
{
    void *end, *unused;
    skep_mutex_lock(&growing);
    if (skep_heap_grow(0, &end) == 0 && end == skep_heap_end()) {
        bool were_masked = skep_spin_lock(&heap_lock);
        size_t bytes = skep_heap_free_at_end();
        bytes = bytes < TRIM_BYTES ? 0 : (bytes - KEEP_BYTES) / SKEP_PAGE_SIZE * SKEP_PAGE_SIZE;
        if (bytes != 0)
            skep_heap_cut(bytes);
        skep_spin_unlock(&heap_lock, were_masked);
        if (bytes != 0)
            skep_heap_grow(-(ptrdiff_t)bytes, &unused);
    }
    skep_mutex_unlock(&growing);
}

/* After a free that left much. */
static __attribute__((noinline)) void tidy(void)
{
    empty_cache();
    join_over(0);
    bool were_masked = skep_spin_lock(&heap_lock);
    bool much = skep_heap_free_at_end() >= TRIM_BYTES;
    skep_spin_unlock(&heap_lock, were_masked);
    if (much)
        trim();
}

static void heap_give(void *memory)
{
    uint32_t units = heap_block_of(memory)->state - HEAP_IN_USE;
    bool were_masked = skep_spin_lock(&heap_lock);
    enum heap_check check = skep_heap_give(memory);
    skep_spin_unlock(&heap_lock, were_masked);
    if (check != HEAP_GOOD && check != HEAP_MUCH)
        die_of(check, memory);
    bool is_full = units <= HEAP_SMALL_UNITS && cache.room < (int32_t)units;
    bool much = is_full && empty_cache();
    if (check == HEAP_MUCH || much)
        tidy();
}

void skep_thread_ends(void)
{
    if (empty_cache())
        tidy();
    bool were_masked = skep_spin_lock(&heap_lock);
    skep_heap_cache_end(&cache);
    skep_spin_unlock(&heap_lock, were_masked);
}

/*
 * Large memory
 */

static bool large_enter(void *memory)
{
    bool were_masked = skep_spin_lock(&heap_lock);
    bool room = large_count < LARGE_MAX;
    if (room)
        large[large_count++] = memory;
    skep_spin_unlock(&heap_lock, were_masked);
    return room;
}

/* Out of the list, if it is there; then nobody else frees it. */
static enum heap_check large_leave(void *memory)
{
    enum heap_check found = HEAP_NO_BLOCK;
    bool were_masked = skep_spin_lock(&heap_lock);
    for (unsigned i = 0; i < large_count; i++)
        if (large[i] == memory) {
            large[i] = large[--large_count];
            large_freed[large_freed_next++ % LARGE_MAX] = memory;
            found = HEAP_GOOD;
        }
    for (unsigned i = 0; i < LARGE_MAX && found == HEAP_NO_BLOCK; i++)
        if (large_freed[i] == memory)
            found = HEAP_FREED;
    skep_spin_unlock(&heap_lock, were_masked);
    return found;
}

static size_t data_bytes(size_t bytes)
{
    return (bytes + sizeof(struct heap_block) + SKEP_PAGE_SIZE - 1) & ~(size_t)(SKEP_PAGE_SIZE - 1);
}

/* NULL: no memory, or no mapping to be had. */
static void *large_take(size_t bytes)
{
    size_t data = data_bytes(bytes);
    int64_t map = skep_mem_map(data + 2 * GUARD_BYTES, SKEP_PROT_NONE);
    if (map < 0)
        return NULL;
    char *end = (char *)map + GUARD_BYTES + data;
    char *memory = end - (bytes + HEAP_ALIGNMENT - 1) / HEAP_ALIGNMENT * HEAP_ALIGNMENT;
    if (skep_mem_protect((char *)map + GUARD_BYTES, data, SKEP_PROT_READ | SKEP_PROT_WRITE) < 0 ||
        !large_enter(memory)) {
        skep_mem_unmap((void *)map, data + 2 * GUARD_BYTES);
        return NULL;
    }
    skep_heap_seal_apart(memory, bytes, end);
    return memory;
}

static __attribute__((noinline)) void large_give(void *memory)
{
    enum heap_check check = large_leave(memory);
    if (check == HEAP_GOOD)
        check = skep_heap_check(memory);
    if (check != HEAP_GOOD)
        die_of(check, memory);
    size_t data = data_bytes(skep_heap_bytes(memory));
    uintptr_t first_page =
        ((uintptr_t)memory - sizeof(struct heap_block)) & ~(SKEP_PAGE_SIZE - 1ul);
    skep_mem_unmap((void *)(first_page - GUARD_BYTES), data + 2 * GUARD_BYTES);
}

/*
 * malloc() and the rest
 */

static __attribute__((noinline)) void *take(size_t bytes, size_t alignment)
{
    void *memory = NULL;
    if (alignment > ALIGNMENT_MAX || bytes > HEAP_BYTES_MAX)
        goto out;
    if (bytes >= LARGE_BYTES && alignment <= HEAP_ALIGNMENT)
        memory = large_take(bytes);
    if (memory == NULL)
        memory = heap_take(bytes, alignment);
    if (memory == NULL)
        memory = heap_take_growing(bytes, alignment);
out:
    if (memory == NULL)
        errno = ENOMEM;
    return memory;
}

static void *take_small(size_t bytes)
{
    bool were_masked = skep_spin_lock(&heap_lock);
    void *memory = skep_heap_take_small(&cache, bytes);
    skep_spin_unlock(&heap_lock, were_masked);
    return memory;
}

/*
 * The cache has no lock: what handlers of signals call must find it whole, and may take and give blocks, as open() does. So
 * detours are held meanwhile. Whatever has to be called is called as the last thing, so that malloc() and free() need no frame.
 */

static __attribute__((noinline)) void *catch_up_and_return(void *memory)
{
    skep_detours_catch_up();
    return memory;
}

/* Detours are held, and the cache has no such block. */
static __attribute__((noinline)) void *take_uncached(size_t bytes)
{
    void *memory = take_small(bytes);
    skep_detours_release();
    return memory != NULL ? memory : take(bytes, HEAP_ALIGNMENT);
}

static inline __attribute__((always_inline)) void *take_bytes(size_t bytes)
{
    if (bytes > HEAP_SMALL_MAX)
        return take(bytes, HEAP_ALIGNMENT);
    skep_detours_hold();
    void *memory = heap_cache_take(&cache, bytes);
    if (memory == NULL)
        return take_uncached(bytes);
    return skep_detours_let_go() ? catch_up_and_return(memory) : memory;
}

void *malloc(size_t bytes)
{
    return take_bytes(bytes);
}

/* Detours are held, and the cache doesn't take it. */
static __attribute__((noinline)) void give_uncached(void *memory)
{
    skep_detours_release();
    heap_give(memory);
}

/* NULL isn't in the heap. */
void free(void *memory)
{
    if (!skep_heap_has((uintptr_t)memory)) {
        if (memory != NULL)
            large_give(memory);
        return;
    }
    skep_detours_hold();
    if (heap_cache_give(&cache, memory))
        skep_detours_release();
    else
        give_uncached(memory);
}

/* Memory with a mapping of its own is zeroed as it comes. By malloc() itself the compiler would make this a call of
 * calloc(). */
void *calloc(size_t count, size_t bytes_each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes))
        bytes = SIZE_MAX;
    void *memory = take_bytes(bytes);
    if (memory != NULL && skep_heap_has((uintptr_t)memory))
        memset(memory, 0, bytes);
    return memory;
}

/* In place, if there is room; also says that memory isn't whole. */
static bool resize(void *memory, size_t bytes)
{
    bool in_heap = skep_heap_has((uintptr_t)memory);
    if (in_heap && heap_resize_within(memory, bytes))
        return true;
    bool were_masked = skep_spin_lock(&heap_lock);
    enum heap_check check = skep_heap_check(memory);
    bool done =
        check == HEAP_GOOD && in_heap && bytes < LARGE_BYTES && skep_heap_resize(memory, bytes);
    skep_spin_unlock(&heap_lock, were_masked);
    if (check != HEAP_GOOD)
        die_of(check, memory);
    return done;
}

void *realloc(void *memory, size_t bytes)
{
    if (memory == NULL)
        return malloc(bytes);
    if (resize(memory, bytes))
        return memory;
    void *other = malloc(bytes);
    if (other == NULL)
        return NULL;
    size_t had = skep_heap_bytes(memory);
    memcpy(other, memory, had < bytes ? had : bytes);
    free(memory);
    return other;
}

void *memalign(size_t alignment, size_t bytes)
{
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return take(bytes, alignment);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    int error = errno;
    void *memory = take(bytes, alignment);
    errno = error;
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

size_t malloc_usable_size(void *memory)
{
    return memory == NULL ? 0 : skep_heap_bytes(memory);
}

/* As far as it has a meaning here: free blocks aren't counted, nor what sbrk() was called for by others. What other threads
 * keep is in use. */
struct mallinfo mallinfo(void)
{
    struct mallinfo info = {0};
    empty_cache();
    bool were_masked = skep_spin_lock(&heap_lock);
    skep_heap_totals(&info.arena, &info.uordblks);
    info.fordblks = info.arena - info.uordblks;
    info.keepcost = skep_heap_free_at_end();
    info.hblks = large_count;
    for (unsigned i = 0; i < large_count; i++)
        info.hblkhd += data_bytes(skep_heap_bytes(large[i]));
    skep_spin_unlock(&heap_lock, were_masked);
    return info;
}

/*
 * The names by which newlib itself takes and gives memory
 */

void *_malloc_r(struct _reent *reent, size_t bytes)
{
    return malloc(bytes);
}

void _free_r(struct _reent *reent, void *memory)
{
    free(memory);
}

void *_calloc_r(struct _reent *reent, size_t count, size_t bytes_each)
{
    return calloc(count, bytes_each);
}

void *_realloc_r(struct _reent *reent, void *memory, size_t bytes)
{
    return realloc(memory, bytes);
}

void *_memalign_r(struct _reent *reent, size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}
