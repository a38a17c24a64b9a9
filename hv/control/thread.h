/* thread.h - how the service's threads for single tasks begin, and how long threads wait. */
#ifndef CONTROL_THREAD_H
#define CONTROL_THREAD_H

#include <stdint.h>
#include <time.h>

/* A thread that nobody joins, with a stack for a call of the API: 0 or an errno code. */
int thread_start(void *(*task)(void *argument), void *argument);

/* So far from now, as pthread_cond_timedwait() and pthread_mutex_timedlock() want to hear it; an hour at most. */
struct timespec thread_until(uint64_t wait_ns);

#endif
