/*
 * scaling.c - threads on several vCPUs: counts primes with one thread, then with more, and says how
 * much sooner that is done: scaling [threads [limit]], by default one thread per vCPU, below 2,000,000.
 *
 * It is plain POSIX and runs on Linux too. What speed-up to expect: as many times as there are vCPUs, if
 * the machine has as many CPUs that nobody else uses.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX   64
#define LIMIT_DEFAULT 2000000ul
#define CHUNK         4096ul

static unsigned long limit;
static atomic_ulong next_chunk; /* where nobody has looked yet */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool is_prime(unsigned long n)
{
    if (n < 2 || (n % 2 == 0 && n != 2))
        return false;
    for (unsigned long divisor = 3; divisor * divisor <= n; divisor += 2)
        if (n % divisor == 0)
            return false;
    return true;
}

/* Large numbers take longer, so the threads take small parts as they come rather than equal shares. */
static void *count_primes(void *result)
{
    unsigned long found = 0, from;
    while ((from = atomic_fetch_add(&next_chunk, CHUNK)) < limit)
        for (unsigned long n = from; n < from + CHUNK && n < limit; n++)
            found += is_prime(n);
    *(unsigned long *)result = found;
    return NULL;
}

/* The primes below the limit; false: there is no memory for so many threads. */
static bool count_with(long thread_count, unsigned long *primes, double *seconds)
{
    pthread_t threads[THREADS_MAX];
    unsigned long found[THREADS_MAX];
    double start = now();
    atomic_store(&next_chunk, 0);
    for (long i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, count_primes, &found[i]) != 0)
            return false;
    *primes = 0;
    for (long i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
        *primes += found[i];
    }
    *seconds = now() - start;
    printf("scaling: %ld thread%s: %lu primes below %lu in %.3f s\n", thread_count,
           thread_count == 1 ? "" : "s", *primes, limit, *seconds);
    return true;
}

int main(int argc, char **argv)
{
    long thread_count = argc > 1 ? strtol(argv[1], NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    limit = argc > 2 ? strtoul(argv[2], NULL, 10) : LIMIT_DEFAULT;
    if (thread_count < 1 || thread_count > THREADS_MAX) {
        fprintf(stderr, "usage: scaling [1 to %d threads [limit]]\n", THREADS_MAX);
        return 2;
    }
    unsigned long alone, together;
    double seconds_alone, seconds_together;
    if (!count_with(1, &alone, &seconds_alone) ||
        !count_with(thread_count, &together, &seconds_together)) {
        fprintf(stderr, "scaling: no memory for %ld threads\n", thread_count);
        return 1;
    }
    if (alone != together) {
        printf("scaling: the results differ\n");
        return 1;
    }
    printf("scaling: %.2f times as fast\n", seconds_alone / seconds_together);
    return 0;
}
