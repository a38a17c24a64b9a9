/*
 * block.c - a program that works on its block devices without a file system.
 *
 *   block describe               tells of each device
 *   block write SEED BLOCKS      writes that many blocks of 4 KiB in a scattered order, and says "durable N" after each flush
 *   block resume SEED BLOCKS     says how many of them are there already ("found N"), and writes the others
 *   block check SEED BLOCKS      whether the first so many of them are there
 *   block burst [SEED ROUNDS]    keeps many requests of odd shapes in flight, and compares with what must be there
 *   block discard                gives space back
 *   block edges                  what must be refused, and how
 *   block grow                   says "has BYTES" now and at each change, and uses what is new
 *   block fill                   writes until there is no space, says "full after N", and goes on when there is some
 *   block hold                   writes, then waits for ever
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "pattern.h"
#include "skep/block.h"
#include "skep/guest.h"

#define FLUSH 16u /* blocks */

static uint64_t bytes; /* of device 0 */

/* Scattered, and each once: the device has a power of two of blocks, or what is above isn't used. */
static uint64_t place(uint64_t number)
{
    uint64_t blocks = 1;
    while (blocks * 2 <= bytes / BLOCK)
        blocks *= 2;
    return (number * 0x9e3779b1u & (blocks - 1)) * BLOCK;
}

/* From block number first on. */
static void write_blocks(uint64_t seed, uint64_t first, uint64_t count)
{
    static uint64_t block[BLOCK / 8];
    for (uint64_t i = first; i < count; i++) {
        fill(block, seed, i);
        CHECK(skep_block_write(0, place(i), block, BLOCK) == 0);
        if ((i + 1) % FLUSH != 0 && i + 1 != count)
            continue;
        CHECK(skep_block_flush(0) == 0);
        printf("durable %u\n", (unsigned)(i + 1));
        fflush(stdout);
    }
}

/* How many are there, up to the first that isn't. */
static uint64_t count_blocks(uint64_t seed, uint64_t count)
{
    static uint64_t block[BLOCK / 8], expected[BLOCK / 8];
    for (uint64_t i = 0; i < count; i++) {
        fill(expected, seed, i);
        CHECK(skep_block_read(0, place(i), block, BLOCK) == 0);
        if (memcmp(block, expected, BLOCK) != 0)
            return i;
    }
    return count;
}

static void check_blocks(uint64_t seed, uint64_t count)
{
    uint64_t found = count_blocks(seed, count);
    if (found != count) {
        printf("FAILED: block %u at %llu is another one\n", (unsigned)found,
               (unsigned long long)place(found));
        exit(1);
    }
    printf("all %u there\n", (unsigned)count);
}

static void resume(uint64_t seed, uint64_t count)
{
    uint64_t found = count_blocks(seed, count);
    printf("found %u\n", (unsigned)found);
    fflush(stdout);
    write_blocks(seed, found, count);
}

static void describe(void)
{
    struct skep_block_info info;
    for (unsigned i = 0; i < skep_block_count(); i++) {
        CHECK(skep_block_info(i, &info) == 0);
        printf("%s %llu %u %s\n", info.name, (unsigned long long)info.bytes, info.block_bytes,
               info.flags & SKEP_BLOCK_READ_ONLY ? "ro" : "rw");
        CHECK(skep_block_find(info.name) == (int)i);
    }
    CHECK(skep_block_find("nobody") == -SKEP_ENODEV);
}

/*
 * Many at once
 */

#define AREA     (1u << 20) /* that the burst plays in, and what must be in it */
#define IN_BURST 48u
#define ROUNDS   40u /* if not told otherwise */
#define TOLD     8u  /* rounds */

static uint8_t shadow[AREA], memory[IN_BURST][3 * BLOCK + 64];
static struct skep_block_io ios[IN_BURST];
static struct skep_block_part parts[IN_BURST][3];

/* A piece of 1 to 3 blocks, cut into parts at odd places of odd alignment. Pieces of one round don't overlap. */
static void prepare(unsigned n, uint64_t *seed)
{
    struct skep_block_io *io = &ios[n];
    *seed = mix(*seed + n + 1);
    unsigned blocks = 1 + *seed % 3, shift = (unsigned)(*seed >> 8) % 64;
    unsigned first = 1 + (unsigned)(*seed >> 16) % (BLOCK - 1);
    size_t total = blocks * BLOCK;
    bool writes = *seed >> 40 & 1;
    parts[n][0] = (struct skep_block_part){memory[n] + shift, first};
    parts[n][1] = (struct skep_block_part){memory[n] + shift + first, total - first};
    *io = (struct skep_block_io){
        .op = writes ? SKEP_BLOCK_WRITE : SKEP_BLOCK_READ,
        .offset = (uint64_t)n * (AREA / IN_BURST / BLOCK * BLOCK),
        .parts = parts[n],
        .part_count = 2,
        .argument = memory[n] + shift,
    };
    for (size_t i = 0; i < total; i++)
        ((uint8_t *)io->argument)[i] = writes ? (uint8_t)(mix(*seed + i) >> 7) : 0xee;
}

static void burst(uint64_t seed, uint64_t rounds)
{
    CHECK(skep_block_zero(0, 0, AREA) == 0);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned n = 0; n < IN_BURST; n++) {
            prepare(n, &seed);
            CHECK(skep_block_submit(0, &ios[n]) == 0);
        }
        skep_block_kick(0);
        for (unsigned n = 0; n < IN_BURST; n++) {
            CHECK(skep_block_wait(0, &ios[n]) == 0);
            size_t total = parts[n][0].bytes + parts[n][1].bytes;
            if (ios[n].op == SKEP_BLOCK_WRITE)
                memcpy(shadow + ios[n].offset, ios[n].argument, total);
            else
                CHECK(memcmp(shadow + ios[n].offset, ios[n].argument, total) == 0);
        }
        if (round % TOLD == 0) {
            printf("round %u\n", round);
            fflush(stdout);
        }
    }
    CHECK(skep_block_flush(0) == 0);
    static uint8_t all[AREA];
    CHECK(skep_block_read(0, 0, all, AREA) == 0);
    CHECK(memcmp(all, shadow, AREA) == 0);
    puts("as written");
}

static void discard(void)
{
    struct skep_block_info info;
    static uint64_t block[BLOCK / 8];
    CHECK(skep_block_info(0, &info) == 0 && info.discard_bytes >= BLOCK);
    CHECK(skep_block_trim(0, 0, bytes) == 0);
    CHECK(skep_block_flush(0) == 0);
    CHECK(skep_block_zero(0, info.discard_bytes / 2, 2ull * info.discard_bytes) == 0);
    CHECK(skep_block_read(0, info.discard_bytes, block, BLOCK) == 0);
    for (unsigned i = 0; i < BLOCK / 8; i++)
        CHECK(block[i] == 0);
    CHECK(skep_block_flush(0) == 0);
    puts("given back");
}

static void edges(void)
{
    static uint8_t block[2 * BLOCK];
    unsigned none = skep_block_count();
    CHECK(skep_block_read(none, 0, block, BLOCK) == -SKEP_ENODEV);
    CHECK(skep_block_read(0, bytes, block, BLOCK) == -SKEP_EINVAL);
    CHECK(skep_block_write(0, bytes - BLOCK, block, 2 * BLOCK) == -SKEP_EINVAL);
    CHECK(skep_block_write(0, UINT64_MAX - BLOCK + 1, block, BLOCK) == -SKEP_EINVAL);
    CHECK(skep_block_read(0, 100, block, BLOCK) == -SKEP_EINVAL);
    CHECK(skep_block_read(0, 0, block, 100) == -SKEP_EINVAL);
    CHECK(skep_block_trim(0, 0, bytes + BLOCK) == -SKEP_EINVAL);
    CHECK(skep_block_write(1, 0, block, BLOCK) == -SKEP_EIO); /* read-only */
    CHECK(skep_block_trim(1, 0, BLOCK) == -SKEP_EIO);
    CHECK(skep_block_flush(1) == 0);
    CHECK(skep_block_read(1, 0, block, 2 * BLOCK) == 0);
    puts("refused");
}

/*
 * Space that comes and goes
 */

/* The last block. */
static void use_end(void)
{
    static uint64_t block[BLOCK / 8], expected[BLOCK / 8];
    fill(expected, 3, bytes);
    CHECK(skep_block_write(0, bytes - BLOCK, expected, BLOCK) == 0);
    CHECK(skep_block_read(0, bytes - BLOCK, block, BLOCK) == 0);
    CHECK(memcmp(block, expected, BLOCK) == 0);
    CHECK(skep_block_flush(0) == 0);
}

static void grow(void)
{
    struct skep_block_info info;
    for (;;) {
        use_end();
        printf("has %llu\n", (unsigned long long)bytes);
        fflush(stdout);
        do {
            usleep(2000);
            CHECK(skep_block_info(0, &info) == 0);
        } while (info.bytes == bytes);
        bytes = info.bytes;
    }
}

/* A block in each chunk of the smallest size. What has a place can be written, and be made durable, when all is full. */
static void fill_up(void)
{
    static uint64_t block[BLOCK / 8], expected[BLOCK / 8];
    bool told = false;
    for (uint64_t at = 0; at < bytes; at += 16 * BLOCK) {
        fill(expected, 5, at);
        for (;;) {
            int result = skep_block_write(0, at, expected, BLOCK);
            if (result == 0)
                break;
            CHECK(result == -SKEP_ENOSPC);
            CHECK(at > 0);
            if (!told) {
                fill(block, 5, 0);
                CHECK(skep_block_write(0, 0, block, BLOCK) == 0);
                CHECK(skep_block_flush(0) == 0);
                printf("full after %llu\n", (unsigned long long)at);
                fflush(stdout);
            }
            told = true;
            usleep(5000);
        }
    }
    CHECK(skep_block_flush(0) == 0);
    for (uint64_t at = 0; at < bytes; at += 16 * BLOCK) {
        fill(expected, 5, at);
        CHECK(skep_block_read(0, at, block, BLOCK) == 0);
        CHECK(memcmp(block, expected, BLOCK) == 0);
    }
    puts("filled");
}

int main(int argc, char **argv)
{
    struct skep_block_info info;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    const char *what = argc > 1 ? argv[1] : "";
    CHECK(skep_block_info(0, &info) == 0);
    bytes = info.bytes;
    if (strcmp(what, "describe") == 0)
        describe();
    else if (strcmp(what, "write") == 0)
        write_blocks(seed, 0, count);
    else if (strcmp(what, "resume") == 0)
        resume(seed, count);
    else if (strcmp(what, "check") == 0)
        check_blocks(seed, count);
    else if (strcmp(what, "burst") == 0)
        burst(argc > 2 ? seed : 7, argc > 3 ? count : ROUNDS);
    else if (strcmp(what, "discard") == 0)
        discard();
    else if (strcmp(what, "edges") == 0)
        edges();
    else if (strcmp(what, "grow") == 0)
        grow();
    else if (strcmp(what, "fill") == 0)
        fill_up();
    else if (strcmp(what, "hold") == 0) {
        write_blocks(seed, 0, count);
        for (;;)
            pause();
    } else
        CHECK(!"known word");
    return 0;
}
