/*
 * pthread.h - newlib's, and the attributes that it declares for other systems only.
 */
#ifndef SKEP_PTHREAD_H
#define SKEP_PTHREAD_H

#include_next <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

int pthread_attr_setscope(pthread_attr_t *attributes, int scope);
int pthread_attr_getscope(const pthread_attr_t *attributes, int *scope);
int pthread_attr_setinheritsched(pthread_attr_t *attributes, int inherits);
int pthread_attr_getinheritsched(const pthread_attr_t *attributes, int *inherits);
int pthread_attr_setschedpolicy(pthread_attr_t *attributes, int policy);
int pthread_attr_getschedpolicy(const pthread_attr_t *attributes, int *policy);
int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *parameters);
int pthread_getschedparam(pthread_t thread, int *policy, struct sched_param *parameters);
int pthread_setschedprio(pthread_t thread, int priority);

#if __GNU_VISIBLE
int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes);

/* pthread_join() that doesn't wait (EBUSY), or until a time of a clock (ETIMEDOUT; EINVAL: it isn't one). */
int pthread_tryjoin_np(pthread_t thread, void **result);
int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until);
int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                         const struct timespec *until);

/* As sched_setaffinity() and sched_getaffinity(), of any thread. Their result is the error. */
int pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *set);
int pthread_getaffinity_np(pthread_t thread, size_t bytes, cpu_set_t *set);
#endif

#define PTHREAD_PRIO_NONE    0
#define PTHREAD_PRIO_INHERIT 1
#define PTHREAD_PRIO_PROTECT 2

int pthread_mutexattr_setprotocol(pthread_mutexattr_t *attributes, int protocol);
int pthread_mutexattr_getprotocol(const pthread_mutexattr_t *__restrict attributes,
                                  int *__restrict protocol);
int pthread_mutexattr_setprioceiling(pthread_mutexattr_t *attributes, int ceiling);
int pthread_mutexattr_getprioceiling(const pthread_mutexattr_t *__restrict attributes,
                                     int *__restrict ceiling);
int pthread_mutex_setprioceiling(pthread_mutex_t *__restrict mutex, int ceiling,
                                 int *__restrict old);
int pthread_mutex_getprioceiling(const pthread_mutex_t *__restrict mutex, int *__restrict ceiling);

#define PTHREAD_MUTEX_STALLED 0
#define PTHREAD_MUTEX_ROBUST  1

int pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int robust);
int pthread_mutexattr_getrobust(const pthread_mutexattr_t *__restrict attributes,
                                int *__restrict robust);
int pthread_mutex_consistent(pthread_mutex_t *mutex);

#ifdef __cplusplus
}
#endif

#endif
