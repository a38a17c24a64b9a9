/*
 * resize.c - threads that go on while the number of vCPUs changes: it says "running on N" each time that they
 * have come to run on the first N vCPUs and no others, and checks at the end that nothing was lost.
 * It ends in good order when it is asked to stop.
 */
#define _GNU_SOURCE /* sched_getcpu() */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"

#define WORKERS 6

static _Atomic bool stop;
static _Atomic uint32_t seen;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static long counted[WORKERS];

static void asked_to_stop(int signal)
{
    stop = true;
}

/* Computes, takes the lock, sleeps now and then. */
static void *work(void *number)
{
    long *own = &counted[(intptr_t)number];
    while (!stop) {
        for (int i = 0; i < 3000; i++)
            seen |= 1u << sched_getcpu();
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        if (++*own % 16 == 0)
            usleep(300);
    }
    return NULL;
}

/* A window in which the threads were seen on all vCPUs that there should be, and on no other. */
static bool settled(long vcpus)
{
    seen = 0;
    usleep(30000);
    return sysconf(_SC_NPROCESSORS_ONLN) == vcpus && seen == (uint32_t)((1ull << vcpus) - 1);
}

int main(void)
{
    pthread_t threads[WORKERS];
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGTERM, asked_to_stop);
    for (intptr_t i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    long said = 0;
    while (!stop) {
        long vcpus = sysconf(_SC_NPROCESSORS_ONLN);
        if (vcpus != said && settled(vcpus))
            printf("running on %ld\n", said = vcpus);
        usleep(5000);
    }
    long sum = 0;
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        sum += counted[i];
    }
    CHECK(sum == counter);
    printf("resize: ok\n");
    return 0;
}
