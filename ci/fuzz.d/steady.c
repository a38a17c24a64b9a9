/* steady.c - randomness and clocks of which each run of an input has the same. */
#include "steady.h"

#include <psa/crypto.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define DAY 1790000000 /* UNIX time of each run */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_getentropy(void *to, size_t bytes);
time_t __wrap_time(time_t *now);

static uint64_t entropy, monotonic_ns;

void steady_begin(void)
{
    mbedtls_psa_crypto_free(); /* the generator of random numbers begins anew, too */
    entropy = 0;
    monotonic_ns = 1000000000;
}

void steady_pass(uint64_t ns)
{
    monotonic_ns += ns;
}

int __wrap_getentropy(void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        entropy = entropy * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)to)[i] = (uint8_t)(entropy >> 56);
    }
    return 0;
}

/* libFuzzer goes by the other clock. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock != CLOCK_MONOTONIC) {
        return __real_clock_gettime(clock, now);
    }
    monotonic_ns += 1000;
    now->tv_sec = (time_t)(monotonic_ns / 1000000000);
    now->tv_nsec = (long)(monotonic_ns % 1000000000);
    return 0;
}

time_t __wrap_time(time_t *now)
{
    if (now) {
        *now = DAY;
    }
    return DAY;
}
