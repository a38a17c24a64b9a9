/* thread.c - beginnings and waits. */
#include "thread.h"

#include <pthread.h>

#define STACK_BYTES (256u << 10)
#define SECOND      1000000000ull
#define WAIT_MAX    (3600 * SECOND) /* so that no sum overflows */

int thread_start(void *(*task)(void *argument), void *argument)
{
    pthread_attr_t attr;
    pthread_t thread;
    int error;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attr, task, argument);
    pthread_attr_destroy(&attr);
    return error;
}

struct timespec thread_until(uint64_t wait_ns)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    wait_ns = (wait_ns < WAIT_MAX ? wait_ns : WAIT_MAX) + (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(wait_ns / SECOND);
    until.tv_nsec = (long)(wait_ns % SECOND);
    return until;
}
