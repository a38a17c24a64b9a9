/*
 * timer.c - the clock goes on and never back; sleeps end in time, not early and not much late, alone
 * and many at once.
 */
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "skep/guest.h"
#include "skep/hypercall.h"

#define SLEEPERS 16
#define LATE_NS  500000000ull /* generous: the machine may be emulated and shared */

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void test_monotonic(void)
{
    uint64_t last = now_ns();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = now_ns();
        CHECK(now >= last);
        last = now;
    }
}

/* The counter that guests read and ring 0's own clock are the same. */
static void test_agreement(void)
{
    for (int i = 0; i < 50; i++) {
        uint64_t before = skep_clock_ns();
        uint64_t ring0 = (uint64_t)skep_hc_clock_read();
        uint64_t after = skep_clock_ns();
        CHECK(before <= ring0 + 1000000 && ring0 <= after + 1000000);
    }
}

static void sleep_for(uint64_t ns)
{
    uint64_t start = now_ns();
    struct timespec span = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    CHECK(nanosleep(&span, NULL) == 0);
    uint64_t slept = now_ns() - start;
    CHECK(slept >= ns);
    CHECK(slept < ns + LATE_NS);
}

static void test_sleep(void)
{
    static const uint64_t spans[] = {0, 1, 1000, 100000, 1000000, 20000000, 150000000};
    for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++)
        sleep_for(spans[i]);
}

static void *sleeper(void *number)
{
    for (int i = 0; i < 10; i++)
        sleep_for(1000000 + (uint64_t)(intptr_t)number * 700000);
    return NULL;
}

static void test_many(void)
{
    pthread_t threads[SLEEPERS];
    for (intptr_t i = 0; i < SLEEPERS; i++)
        CHECK(pthread_create(&threads[i], NULL, sleeper, (void *)i) == 0);
    for (int i = 0; i < SLEEPERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Sleepers wake although a thread computes. */
static volatile int computing = 1;

static void *compute(void *unused)
{
    while (computing)
        ;
    return unused;
}

static void test_sleep_beside_work(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, compute, NULL) == 0);
    for (int i = 0; i < 5; i++)
        sleep_for(5000000);
    computing = 0;
    CHECK(pthread_join(thread, NULL) == 0);
}

static void test_past_deadlines(void)
{
    struct timespec past = {0, 1};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, NULL) == 0);
    CHECK(skep_hc_wait(1) == -SKEP_ETIMEDOUT);
}

int main(void)
{
    test_monotonic();
    test_agreement();
    test_sleep();
    test_many();
    test_sleep_beside_work();
    test_past_deadlines();
    printf("timer: ok\n");
    return 0;
}
