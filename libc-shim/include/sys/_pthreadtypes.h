/*
 * sys/_pthreadtypes.h - pthread types, in place of newlib's integer handles: the objects themselves,
 * so that creating one takes no memory and no lock.
 */
#ifndef _SYS__PTHREADTYPES_H_
#define _SYS__PTHREADTYPES_H_

#include <stddef.h>
#include <sys/sched.h>

struct skep_pthread;
typedef struct skep_pthread *pthread_t;

#define PTHREAD_SCOPE_PROCESS  0
#define PTHREAD_SCOPE_SYSTEM   1
#define PTHREAD_INHERIT_SCHED  1
#define PTHREAD_EXPLICIT_SCHED 2

#define PTHREAD_CREATE_DETACHED 0
#define PTHREAD_CREATE_JOINABLE 1

typedef struct {
    void *stackaddr;  /* the lowest, NULL = one is made */
    size_t stacksize; /* bytes, 0 = the default */
    size_t guardsize;
    int detachstate;
    int inherits; /* its creator's way of scheduling */
} pthread_attr_t;

/* The least of a stack. */
#define PTHREAD_STACK_MIN 16384

#define PTHREAD_PROCESS_PRIVATE 0
#define PTHREAD_PROCESS_SHARED  1

#define PTHREAD_MUTEX_NORMAL     0
#define PTHREAD_MUTEX_RECURSIVE  1
#define PTHREAD_MUTEX_ERRORCHECK 2
#define PTHREAD_MUTEX_DEFAULT    0

typedef struct {
    unsigned __state;          /* as struct skep_mutex */
    unsigned __type;           /* and 4 of robust ones */
    void *__owner;             /* but for PTHREAD_MUTEX_NORMAL that isn't robust */
    unsigned __depth;          /* of PTHREAD_MUTEX_RECURSIVE */
    unsigned short __recovery; /* of a robust one whose owner has ended */
    unsigned short __ceiling;  /* of PTHREAD_PRIO_PROTECT, else 0 */
    void *__next;              /* the robust one that the owner took before */
} pthread_mutex_t;

typedef struct {
    int type;
    int process_shared;
    int protocol;
    int ceiling;
    int robust;
} pthread_mutexattr_t;

#define _SKEP_MUTEX_INITIALIZER(type)          \
    {                                          \
        0, type, (void *)0, 0, 0, 0, (void *)0 \
    }
#define _PTHREAD_MUTEX_INITIALIZER              _SKEP_MUTEX_INITIALIZER(PTHREAD_MUTEX_NORMAL)
#define PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP  _SKEP_MUTEX_INITIALIZER(PTHREAD_MUTEX_RECURSIVE)
#define PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP _SKEP_MUTEX_INITIALIZER(PTHREAD_MUTEX_ERRORCHECK)

typedef struct {
    unsigned __sequence; /* counts signals; waiters wait for it to change */
    unsigned __waiters;  /* and whether one waits for them to leave */
    int __clock;         /* clockid_t of deadlines, 0 = CLOCK_REALTIME */
} pthread_cond_t;

#define _PTHREAD_COND_INITIALIZER \
    {                             \
        0, 0, 0                   \
    }

typedef struct {
    int clock;
    int process_shared;
} pthread_condattr_t;

typedef unsigned pthread_key_t;

typedef struct {
    unsigned __state; /* 0 = not yet, 1 = running, 2 = done */
} pthread_once_t;

#define _PTHREAD_ONCE_INIT \
    {                      \
        0                  \
    }

typedef struct {
    unsigned __count;   /* needed to pass */
    unsigned __arrived; /* of this round */
    unsigned __round;
    unsigned __lock;    /* as struct skep_mutex */
    unsigned __leaving; /* threads that may pass but still look at this */
} pthread_barrier_t;

typedef struct {
    int process_shared;
} pthread_barrierattr_t;

typedef unsigned pthread_spinlock_t;

typedef struct {
    unsigned __lock;    /* as struct skep_mutex; guards the rest */
    unsigned __readers; /* that hold it */
    void *__writer;     /* the thread that holds it for writing */
    unsigned __writers_waiting;
    unsigned __changes; /* counts releases; waiters wait for it to change */
} pthread_rwlock_t;

#define _PTHREAD_RWLOCK_INITIALIZER \
    {                               \
        0, 0, (void *)0, 0, 0       \
    }

typedef struct {
    int process_shared;
} pthread_rwlockattr_t;

#endif
