/*
 * random.c - the CPU's random numbers, or a weak substitute that is told as such.
 */
#include "core/random.h"

#include <stdatomic.h>

#include "arch/arch.h"
#include "core/string.h"

/* SplitMix64's increment and mixing constants (Steele, Lea, Flood 2014). */
static uint64_t weak_u64(void)
{
    static _Atomic uint64_t state;
    uint64_t z = atomic_fetch_add(&state, 0x9e3779b97f4a7c15ull) + arch_clock_ns();
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t random_u64(void)
{
    uint64_t value;
    return arch_random(&value) ? value : weak_u64();
}

void random_fill(void *to, size_t bytes)
{
    uint8_t *at = to;
    while (bytes) {
        uint64_t value = random_u64();
        size_t part = bytes < sizeof(value) ? bytes : sizeof(value);
        memcpy(at, &value, part);
        at += part;
        bytes -= part;
    }
}

bool random_is_real(void)
{
    uint64_t value;
    return arch_random(&value);
}
