/*
 * random.c - random bytes: ChaCha20 with fast key erasure. Each request makes a keystream, of which
 * the first 32 bytes replace the key, so that what was given out can't be computed again later.
 *
 * The key comes from the start-info seed and the generation, mixed with RDRAND where the CPU has it.
 * A clone or restored snapshot has another generation and gets another key.
 */
#include <string.h>

#include "internal.h"

#define KEY_WORDS   8
#define BLOCK_BYTES 64u

static struct {
    struct skep_mutex lock; /* guards all below */
    uint32_t key[KEY_WORDS];
    uint64_t generation;
} generator;

static uint32_t rotate(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

static void quarter_round(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

/* RFC 8439's block function with a 64-bit counter and no nonce: a key is used for one stream. */
static void chacha20_block(const uint32_t key[KEY_WORDS], uint64_t counter, uint32_t out[16])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    memcpy(start + 4, key, KEY_WORDS * sizeof(*key));
    memcpy(start + 12, &counter, sizeof(counter));
    memcpy(out, start, sizeof(start));
    for (unsigned i = 0; i < 10; i++) {
        quarter_round(out, 0, 4, 8, 12);
        quarter_round(out, 1, 5, 9, 13);
        quarter_round(out, 2, 6, 10, 14);
        quarter_round(out, 3, 7, 11, 15);
        quarter_round(out, 0, 5, 10, 15);
        quarter_round(out, 1, 6, 11, 12);
        quarter_round(out, 2, 7, 8, 13);
        quarter_round(out, 3, 4, 9, 14);
    }
    for (unsigned i = 0; i < 16; i++)
        out[i] += start[i];
}

/* Some entropy from the CPU, 0 if it has none to give. */
static uint64_t cpu_random(void)
{
    if (!(skep_info->features & SKEP_FEATURE_RDRAND))
        return 0;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t value;
        bool ok;
        __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
        if (ok)
            return value;
    }
    return 0;
}

/* The lock is held. XOR, then a block of the stream becomes the key: no input can take away what
 * another has brought. */
static void make_key(void)
{
    uint32_t block[16];
    uint64_t extra[4] = {cpu_random(), cpu_random(), cpu_random(), cpu_random()};
    generator.generation = skep_info->generation;
    extra[0] ^= generator.generation;
    memcpy(generator.key, skep_info->seed, sizeof(generator.key));
    for (unsigned i = 0; i < KEY_WORDS; i++)
        generator.key[i] ^= (uint32_t)(extra[i / 2] >> (i % 2 * 32));
    chacha20_block(generator.key, 0, block);
    memcpy(generator.key, block, sizeof(generator.key));
}

void skep_random_start(void)
{
    make_key();
}

void skep_random(void *data, size_t bytes)
{
    uint32_t block[16];
    uint32_t key[KEY_WORDS];
    skep_mutex_lock(&generator.lock);
    if (generator.generation != skep_info->generation)
        make_key();
    memcpy(key, generator.key, sizeof(key));
    chacha20_block(key, 0, block);
    memcpy(generator.key, block, sizeof(generator.key));
    skep_mutex_unlock(&generator.lock);

    char *out = data;
    for (uint64_t counter = 1; bytes != 0; counter++) {
        size_t part = bytes < BLOCK_BYTES ? bytes : BLOCK_BYTES;
        chacha20_block(key, counter, block);
        memcpy(out, block, part);
        out += part;
        bytes -= part;
    }
    explicit_bzero(key, sizeof(key));
    explicit_bzero(block, sizeof(block));
}
