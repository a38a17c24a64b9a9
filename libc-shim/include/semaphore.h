/*
 * semaphore.h - POSIX semaphores. Names are the process's own, as a guest is one process.
 */
#ifndef _SEMAPHORE_H
#define _SEMAPHORE_H

#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The value in the lower half, the threads that wait in the upper one: one change for both. */
typedef struct {
    unsigned long long __state;
} sem_t;

#define SEM_FAILED ((sem_t *)0)
#ifndef SEM_VALUE_MAX
#define SEM_VALUE_MAX 0x7fffffff
#endif

int sem_init(sem_t *sem, int process_shared, unsigned value);
int sem_destroy(sem_t *sem);
int sem_post(sem_t *sem);
int sem_wait(sem_t *sem);
int sem_trywait(sem_t *sem);
int sem_timedwait(sem_t *sem, const struct timespec *deadline);
int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *deadline);
int sem_getvalue(sem_t *sem, int *value);

/* With O_CREAT a mode, which isn't looked at, and the value of a new one (unsigned) follow. Who opens the same name gets
 * the same semaphore, which is freed when it is unlinked and closed as often as it was opened. */
sem_t *sem_open(const char *name, int flags, ...);
int sem_close(sem_t *sem);
int sem_unlink(const char *name);

#ifdef __cplusplus
}
#endif

#endif
