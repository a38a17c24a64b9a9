/*
 * spin.c - a guest that only computes: spin [threads [seconds]], by default one thread, for ever.
 *
 * Each thread counts prime numbers and says how far it came every few seconds.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPORT_SECONDS 5
#define THREADS_MAX    64

static time_t seconds_to_run; /* 0 = for ever */

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static bool is_prime(unsigned long n)
{
    for (unsigned long divisor = 3; divisor * divisor <= n; divisor += 2)
        if (n % divisor == 0)
            return false;
    return true;
}

static void *count_primes(void *number)
{
    time_t start = now(), reported = start;
    unsigned long found = 1, candidate = 3;
    for (;; candidate += 2) {
        found += is_prime(candidate);
        if (candidate % 4096 != 1)
            continue;
        time_t time = now();
        if (time - reported >= REPORT_SECONDS) {
            printf("spin: thread %ld: %lu primes below %lu\n", (long)number, found, candidate);
            reported = time;
        }
        if (seconds_to_run != 0 && time - start >= seconds_to_run)
            return NULL;
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long thread_count = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    seconds_to_run = argc > 2 ? (time_t)strtol(argv[2], NULL, 10) : 0;
    if (thread_count < 1 || thread_count > THREADS_MAX) {
        fprintf(stderr, "usage: spin [1 to %d threads [seconds]]\n", THREADS_MAX);
        return 2;
    }
    printf("spin: %ld thread%s\n", thread_count, thread_count == 1 ? "" : "s");
    for (long i = 1; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, count_primes, (void *)i) != 0) {
            fprintf(stderr, "spin: no memory for thread %ld\n", i);
            return 1;
        }
    }
    count_primes((void *)0);
    for (long i = 1; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    printf("spin: done\n");
    return 0;
}
