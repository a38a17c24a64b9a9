/*
 * rand.c - rand(), random() and drand48() with their kin: one sequence of numbers for all threads, where newlib has one for
 * each, so that those of other threads than the one that gave a seed were always the same.
 */
#include <stdlib.h>
#include <string.h>

#include "shim.h"

static _Atomic uint64_t rand_state = 1;

void srand(unsigned seed)
{
    atomic_store_explicit(&rand_state, seed, memory_order_relaxed);
}

int rand(void)
{
    uint64_t now = atomic_load_explicit(&rand_state, memory_order_relaxed), then;
    do {
        then = now * 6364136223846793005ull + 1;
    } while (!atomic_compare_exchange_weak_explicit(&rand_state, &now, then, memory_order_relaxed,
                                                    memory_order_relaxed));
    return (int)(then >> 32 & RAND_MAX);
}

/*
 * random(): each number is the sum of an earlier and a much earlier one, as on BSD and Linux, whose numbers these are
 */

static struct {
    int degree, separation; /* of 0 words: each number follows from the one before */
    int place;              /* of the much earlier one */
    /* The one in front of them says for setstate() of what type they are, and where they go on. */
    uint32_t *words;
} sums; /* words is NULL at first */

/* By type; 1 word less than they are given. */
static const unsigned char degrees[] = {0, 7, 15, 31, 63}, separations[] = {0, 3, 1, 3, 1};
#define TYPES        5
#define TYPE_DEFAULT 3

static struct skep_mutex lock; /* guards the sums, and all of 48 bits */
static uint32_t first_words[1 + 31];

static uint32_t next_sum(void)
{
    if (sums.degree == 0)
        return sums.words[0] = (sums.words[0] * 1103515245u + 12345) & RAND_MAX;
    uint32_t *to = &sums.words[(sums.place + sums.separation) % sums.degree];
    *to += sums.words[sums.place];
    sums.place = (sums.place + 1) % sums.degree;
    return *to >> 1;
}

/* Each word is 16807 times the one before, modulo 2^31 - 1; the first ten rounds are nobody's. */
static void seed_words(unsigned seed)
{
    sums.words[0] = seed != 0 ? seed : 1;
    int64_t word = (int32_t)sums.words[0];
    for (int i = 1; i < sums.degree; i++) {
        word = word * 16807 % RAND_MAX;
        word += word < 0 ? RAND_MAX : 0;
        sums.words[i] = (uint32_t)word;
    }
    sums.place = 0;
    for (int i = 0; i < 10 * sums.degree; i++)
        next_sum();
}

static void take(uint32_t *words, unsigned type, unsigned place)
{
    sums.words = words + 1;
    sums.degree = degrees[type];
    sums.separation = separations[type];
    sums.place = (int)place;
}

/* Writes down where the current words go on, and returns them. */
static char *keep(void)
{
    unsigned type = 0;
    while (degrees[type] != (unsigned)sums.degree)
        type++;
    sums.words[-1] = TYPES * (unsigned)sums.place + type;
    return (char *)(sums.words - 1);
}

static void random_lock(void)
{
    skep_mutex_lock(&lock);
    if (sums.words == NULL) {
        take(first_words, TYPE_DEFAULT, 0);
        seed_words(1);
    }
}

void srandom(unsigned seed)
{
    random_lock();
    seed_words(seed);
    skep_mutex_unlock(&lock);
}

long random(void)
{
    random_lock();
    long number = next_sum();
    skep_mutex_unlock(&lock);
    return number;
}

/* EINVAL: less than 8 bytes. */
char *initstate(unsigned seed, char *words, size_t bytes)
{
    unsigned type = TYPES - 1;
    if (bytes < 2 * sizeof(uint32_t)) {
        errno = EINVAL;
        return NULL;
    }
    while (bytes < (1u + degrees[type]) * sizeof(uint32_t))
        type--;
    random_lock();
    char *former = keep();
    take((uint32_t *)(void *)words, type, 0);
    seed_words(seed);
    keep();
    skep_mutex_unlock(&lock);
    return former;
}

/* EINVAL: those aren't words of initstate()'s. */
char *setstate(char *words)
{
    random_lock();
    char *former = keep();
    uint32_t head; /* only now: these may be the words in use */
    memcpy(&head, words, sizeof(head));
    unsigned type = head % TYPES, place = head / TYPES;
    bool fits = place < (type == 0 ? 1u : degrees[type]);
    if (fits)
        take((uint32_t *)(void *)words, type, place);
    skep_mutex_unlock(&lock);
    if (!fits) {
        errno = EINVAL;
        return NULL;
    }
    return former;
}

/*
 * Of 48 bits: POSIX says which numbers
 */

#define FACTOR  0x5deece66dull
#define SUMMAND 0xbu

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
