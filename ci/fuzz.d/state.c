/*
 * state.c - keeping and putting back the fake machine: its memory, and ring 0's static data.
 *
 * Memory is a private mapping of a file that has the kept contents: dropping its pages brings them back, at a cost
 * that goes by what was written. Static data lies between two markers, since the linker goes by the order of
 * objects; it is copied.
 */
#define _GNU_SOURCE
#include "state.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/frame.h"
#include "fake.h"
#include "harness.h"
#include "io/uplink.h"

static int memory_file;
static uint64_t memory_bytes;

/* One of the two parts of the static data, and its copy. */
struct part {
    char *begin, *end, *copy;
};

static struct part parts[2];

/* Frames in use that are not ring 0's own for good: a guest's, which an input may have freed. */
static pfn_t in_use[1024];
static unsigned in_use_count;

void state_memory(uint64_t bytes)
{
    memory_bytes = bytes;
    memory_file = memfd_create("memory", 0);
    FUZZ_CHECK(memory_file >= 0 && ftruncate(memory_file, (off_t)bytes) == 0);
    /* The buddy allocator wants its largest blocks aligned. */
    uint64_t alignment = PAGE_SIZE << FRAME_ORDER_MAX;
    char *room = mmap(NULL, bytes + alignment, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FUZZ_CHECK(room != MAP_FAILED);
    char *at = room + (alignment - (uintptr_t)room % alignment) % alignment;
    fake_arena = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory_file, 0);
    FUZZ_CHECK(fake_arena == at);
}

/* Red zones between variables are copied too, so this is no code of the sanitizer's. */
static void copy(char *to, const char *from, uint64_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static void part_keep(struct part *part, char *begin, char *end)
{
    FUZZ_CHECK(begin < end);
    *part = (struct part){begin, end, malloc((size_t)(end - begin))};
    FUZZ_CHECK(part->copy);
    copy(part->copy, begin, (uint64_t)(end - begin));
}

static bool is_kept(const void *data)
{
    const char *at = data;
    return (at >= parts[0].begin && at < parts[0].end) ||
           (at >= parts[1].begin && at < parts[1].end);
}

void state_keep(void)
{
    part_keep(&parts[0], state_data_begin, state_data_end);
    part_keep(&parts[1], state_zeroes_begin, state_zeroes_end);
    /* Should the linker have gone by another order: first and last of the sources, and data of both kinds. */
    FUZZ_CHECK(is_kept(cpu_at(0)) && is_kept(&fake_arena) && is_kept(&fake_cpu));
    for (pfn_t pfn = 1; pfn < memory_bytes / PAGE_SIZE; pfn++) {
        if (frame_valid(pfn) && frame_type(pfn) != SKEP_FRAME_FREE &&
            frame_type(pfn) != SKEP_FRAME_CORE) {
            FUZZ_CHECK(in_use_count < ARRAY_COUNT(in_use));
            in_use[in_use_count++] = pfn;
        }
    }
    FUZZ_CHECK(mmap(fake_arena, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                    memory_file, 0) == fake_arena);
}

void state_restore(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(parts); i++) {
        copy(parts[i].begin, parts[i].copy, (uint64_t)(parts[i].end - parts[i].begin));
    }
    FUZZ_CHECK(madvise(fake_arena, memory_bytes, MADV_DONTNEED) == 0);
    for (unsigned i = 0; i < in_use_count; i++) {
        ASAN_UNPOISON_MEMORY_REGION(frame_data(in_use[i]), PAGE_SIZE);
    }
}
