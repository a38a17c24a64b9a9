/* pattern.h - what programs that are cut off write: blocks that tell whose they are, by a seed and a number. */
#ifndef GUESTS_PATTERN_H
#define GUESTS_PATTERN_H

#include <stdint.h>

#define BLOCK 4096u

static inline uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 31) * 0x9e3779b97f4a7c15ull;
    return value ^ value >> 29;
}

static inline void fill(uint64_t *block, uint64_t seed, uint64_t number)
{
    for (unsigned i = 0; i < BLOCK / 8; i++)
        block[i] = mix(seed ^ number << 20 ^ i);
}

#endif
