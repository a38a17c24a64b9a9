/*
 * memory.c - malloc to the limit gets ENOMEM and not a crash; map, protect, unmap; what was freed can
 * be had again, zeroed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "skep/guest.h"

#define BLOCK_BYTES 65536
#define BLOCKS_MAX  65536
#define PAGES_MAX   256
#define MAP_BYTES   (PAGES_MAX * 4096)

/* Takes all the memory there is, touches it, and gives it back. Returns the bytes. */
static size_t fill_memory(void)
{
    struct block {
        struct block *next;
    } *blocks = NULL;
    size_t count = 0;
    for (; count < BLOCKS_MAX; count++) {
        errno = 0;
        struct block *block = malloc(BLOCK_BYTES);
        if (block == NULL)
            break;
        memset(block, (int)count, BLOCK_BYTES);
        block->next = blocks;
        blocks = block;
    }
    CHECK(errno == ENOMEM);
    while (blocks != NULL) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
    return count * BLOCK_BYTES;
}

static void test_limit(void)
{
    size_t first = fill_memory();
    size_t second = fill_memory();
    size_t promise = skep_start_info()->memory_bytes;
    printf("memory: %zu KiB of %zu KiB for malloc\n", first / 1024, promise / 1024);
    CHECK(first > promise / 2);
    CHECK(second + 2 * BLOCK_BYTES >= first);
    CHECK(malloc(promise * 2) == NULL && errno == ENOMEM);
}

static void check_zeroed(const volatile uint64_t *words, size_t bytes)
{
    bool zero = true;
    for (size_t i = 0; i < bytes / sizeof(*words); i += 64)
        zero &= words[i] == 0;
    CHECK(zero);
}

static void test_map(void)
{
    for (int round = 0; round < 20; round++) {
        int64_t address = skep_mem_map(MAP_BYTES, SKEP_PROT_READ | SKEP_PROT_WRITE);
        CHECK(address > 0 && (address & 4095) == 0);
        check_zeroed((const volatile uint64_t *)address, MAP_BYTES);
        memset((void *)address, 0xa5, MAP_BYTES);
        CHECK(skep_mem_unmap((void *)address, MAP_BYTES) == 0);
    }
}

static void test_protect(void)
{
    int64_t address = skep_mem_map(MAP_BYTES, SKEP_PROT_READ | SKEP_PROT_WRITE);
    CHECK(address > 0);
    volatile unsigned char *bytes = (volatile unsigned char *)address;
    for (int page = 0; page < PAGES_MAX; page++)
        bytes[page * 4096] = (unsigned char)page;
    CHECK(skep_mem_protect((void *)address, MAP_BYTES, SKEP_PROT_READ) == 0);
    for (int page = 0; page < PAGES_MAX; page++)
        CHECK(bytes[page * 4096] == (unsigned char)page);
    CHECK(skep_mem_protect((void *)address, 4096, SKEP_PROT_READ | SKEP_PROT_WRITE) == 0);
    bytes[1] = 42;
    CHECK(bytes[0] == 0 && bytes[1] == 42);
    CHECK(skep_mem_protect((void *)address, 4096, SKEP_PROT_READ | SKEP_PROT_EXEC) < 0);
    CHECK(skep_mem_unmap((void *)address, MAP_BYTES) == 0);
    CHECK(skep_mem_map(4096, SKEP_PROT_WRITE | SKEP_PROT_EXEC) < 0);
}

/* A hole in the middle, and the two ends after it. */
static void test_partial_unmap(void)
{
    int64_t address = skep_mem_map(MAP_BYTES, SKEP_PROT_READ | SKEP_PROT_WRITE);
    CHECK(address > 0);
    memset((void *)address, 1, MAP_BYTES);
    CHECK(skep_mem_unmap((void *)(address + 16 * 4096), 32 * 4096) == 0);
    CHECK(*(volatile char *)address == 1);
    CHECK(*(volatile char *)(address + 48 * 4096) == 1);
    CHECK(skep_mem_unmap((void *)address, 16 * 4096) == 0);
    CHECK(skep_mem_unmap((void *)(address + 48 * 4096), MAP_BYTES - 48 * 4096) == 0);
}

static void test_heap(void)
{
    void *end = sbrk(0);
    CHECK(sbrk(1 << 20) == end);
    memset(end, 1, 1 << 20);
    CHECK(sbrk(-(1 << 20)) == (char *)end + (1 << 20));
    CHECK(sbrk(0) == end);
    CHECK(sbrk((intptr_t)1 << 46) == (void *)-1 && errno == ENOMEM);
}

int main(void)
{
    test_map();
    test_protect();
    test_partial_unmap();
    test_heap();
    test_limit();
    test_map();
    printf("memory: ok\n");
    return 0;
}
