/*
 * rand.c - rand(), random() and drand48() with their kin: one sequence of numbers for all threads, where newlib has one for
 * each, so that those of other threads than the one that gave a seed were always the same.
 */
#include <stdlib.h>
#include <string.h>

#include "shim.h"

static _Atomic uint64_t rand_state = 1, random_state = 1;

static long next(_Atomic uint64_t *state)
{
    uint64_t now = atomic_load_explicit(state, memory_order_relaxed), then;
    do {
        then = now * 6364136223846793005ull + 1;
    } while (!atomic_compare_exchange_weak_explicit(state, &now, then, memory_order_relaxed,
                                                    memory_order_relaxed));
    return (long)(then >> 32 & RAND_MAX);
}

void srand(unsigned seed)
{
    atomic_store_explicit(&rand_state, seed, memory_order_relaxed);
}

int rand(void)
{
    return (int)next(&rand_state);
}

void srandom(unsigned seed)
{
    atomic_store_explicit(&random_state, seed, memory_order_relaxed);
}

long random(void)
{
    return next(&random_state);
}

/*
 * Of 48 bits: POSIX says which numbers
 */

#define FACTOR  0x5deece66dull
#define SUMMAND 0xbu

static struct skep_mutex lock; /* guards all that follows */
static unsigned short sequence[3] = {0x330e, 0xabcd, 0x1234}, former[3];
static uint64_t factor = FACTOR;
static unsigned short summand = SUMMAND;

static uint64_t joined(const unsigned short parts[3])
{
    return parts[0] | (uint64_t)parts[1] << 16 | (uint64_t)parts[2] << 32;
}

static uint64_t next48(unsigned short state[3])
{
    skep_mutex_lock(&lock);
    uint64_t bits = joined(state) * factor + summand;
    for (int i = 0; i < 3; i++)
        state[i] = (unsigned short)(bits >> 16 * i);
    skep_mutex_unlock(&lock);
    return bits & ((1ull << 48) - 1);
}

static void start(const unsigned short state[3], uint64_t new_factor, unsigned short new_summand)
{
    skep_mutex_lock(&lock);
    memcpy(former, sequence, sizeof(former));
    memcpy(sequence, state, sizeof(sequence));
    factor = new_factor;
    summand = new_summand;
    skep_mutex_unlock(&lock);
}

double erand48(unsigned short state[3])
{
    return (double)next48(state) * 0x1p-48;
}

long nrand48(unsigned short state[3])
{
    return (long)(next48(state) >> 17);
}

long jrand48(unsigned short state[3])
{
    return (int32_t)(next48(state) >> 16);
}

double drand48(void)
{
    return erand48(sequence);
}

long lrand48(void)
{
    return nrand48(sequence);
}

long mrand48(void)
{
    return jrand48(sequence);
}

void srand48(long seed)
{
    start((unsigned short[]){0x330e, (unsigned short)seed, (unsigned short)(seed >> 16)}, FACTOR,
          SUMMAND);
}

unsigned short *seed48(unsigned short state[3])
{
    start(state, FACTOR, SUMMAND);
    return former;
}

void lcong48(unsigned short values[7])
{
    start(values, joined(values + 3), values[6]);
}
