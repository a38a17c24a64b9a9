/*
 * locks.c - threads on stacks of their creator's, robust mutexes and those with a protocol, and read-write locks that a
 * thread takes again. Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

#define STACK_BYTES 65536
#define TOP_BYTES   4096
#define ROUNDS      2000

static _Alignas(64) char memory[STACK_BYTES];

/* What a function that returns an error has returned. */
static void tell(const char *what, int error)
{
    errno = error;
    say(what, error == 0 ? 0 : -1);
}

static pthread_t start(const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, attributes, function, argument) == 0);
    return thread;
}

static void run(void *(*function)(void *), void *argument)
{
    pthread_t thread = start(NULL, function, argument);
    CHECK(pthread_join(thread, NULL) == 0);
}

/*
 * Stacks
 */

static _Thread_local int own = 41;
static _Thread_local char zeroes[100];

/* Whether the caller's stack is where its attributes say. */
static bool knows_stack(void *expected)
{
    pthread_attr_t attributes;
    void *stack;
    size_t bytes;
    char here;
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    CHECK(pthread_attr_getstack(&attributes, &stack, &bytes) == 0);
    CHECK(pthread_attr_destroy(&attributes) == 0);
    bool is_inside = &here > (char *)stack && &here < (char *)stack + bytes;
    return is_inside && (expected == NULL || (stack == expected && bytes == STACK_BYTES));
}

static void *use_stack(void *result)
{
    char local;
    CHECK(&local > memory && &local < memory + STACK_BYTES);
    CHECK(own++ == 41 && zeroes[99] == 0 && knows_stack(memory));
    sched_yield();
    return result;
}

static void *use_own_stack(void *unused)
{
    printf("own stack: %d\n", knows_stack(NULL));
    return unused;
}

static _Atomic bool may_end;

static void *wait_for_end(void *unused)
{
    while (!may_end)
        sched_yield();
    return unused;
}

/* Memory on which a thread has ended is the caller's at once. */
static void test_stacks(void)
{
    pthread_attr_t attributes;
    void *stack, *result;
    size_t bytes;
    CHECK(pthread_attr_init(&attributes) == 0);
    memset(memory, 0xee, STACK_BYTES);
    tell("too small", pthread_attr_setstack(&attributes, memory, 4096));
    tell("given", pthread_attr_setstack(&attributes, memory, STACK_BYTES));
    CHECK(pthread_attr_getstack(&attributes, &stack, &bytes) == 0);
    printf("as given: %d\n", stack == memory && bytes == STACK_BYTES);
    for (intptr_t i = 0; i < ROUNDS; i++) {
        memset(memory + STACK_BYTES - TOP_BYTES, 0xee, TOP_BYTES); /* where it ended */
        pthread_t thread = start(&attributes, use_stack, (void *)i);
        CHECK(pthread_join(thread, &result) == 0 && result == (void *)i);
    }
    pthread_t thread = start(&attributes, wait_for_end, NULL);
    CHECK(pthread_detach(thread) == 0);
    may_end = true;
    run(use_own_stack, NULL);
    printf("first thread's: %d\n", knows_stack(NULL));
}

/*
 * Protocols. All that is done with a mutex that has a ceiling needs a privilege on Linux.
 */

static void test_protocols(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    int found, ceiling;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_getprotocol(&attributes, &found) == 0);
    printf("none: %d\n", found == PTHREAD_PRIO_NONE);
    tell("no protocol", pthread_mutexattr_setprotocol(&attributes, 99));
    CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
    tell("no ceiling", pthread_mutex_getprioceiling(&mutex, &ceiling));
    tell("nor to be", pthread_mutex_setprioceiling(&mutex, 1, &ceiling));

    tell("inherit", pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
    CHECK(pthread_mutexattr_getprotocol(&attributes, &found) == 0);
    printf("inherits: %d\n", found == PTHREAD_PRIO_INHERIT);
    CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
    tell("lock", pthread_mutex_lock(&mutex));
    tell("unlock", pthread_mutex_unlock(&mutex));
    tell("destroy", pthread_mutex_destroy(&mutex));

    tell("protect", pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_PROTECT));
    tell("too low", pthread_mutexattr_setprioceiling(&attributes, 0));
    tell("too high", pthread_mutexattr_setprioceiling(&attributes, 100));
    tell("ceiling", pthread_mutexattr_setprioceiling(&attributes, 7));
    CHECK(pthread_mutexattr_getprioceiling(&attributes, &found) == 0);
    printf("ceiling %d\n", found);
    CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
    CHECK(pthread_mutex_getprioceiling(&mutex, &found) == 0);
    printf("the mutex's %d\n", found);
}

/*
 * Robust mutexes
 */

static pthread_mutex_t robust, second;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

static void make_robust(pthread_mutex_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    int found;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_getrobust(&attributes, &found) == 0 && found == PTHREAD_MUTEX_STALLED);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, 99) == EINVAL);
    CHECK(pthread_mutexattr_getrobust(&attributes, &found) == 0 && found == PTHREAD_MUTEX_ROBUST);
    CHECK(pthread_mutexattr_settype(&attributes, type) == 0);
    CHECK(pthread_mutex_init(mutex, &attributes) == 0);
}

/* Ends with both, one of them released and locked again. */
static void *die_with_two(void *unused)
{
    CHECK(pthread_mutex_lock(&robust) == 0 && pthread_mutex_lock(&second) == 0);
    CHECK(pthread_mutex_unlock(&robust) == 0 && pthread_mutex_lock(&robust) == 0);
    return unused;
}

static void *die_with_one(void *unused)
{
    CHECK(pthread_mutex_trylock(&robust) == 0);
    CHECK(pthread_mutex_lock(&second) == 0 && pthread_mutex_unlock(&second) == 0);
    pthread_exit(unused);
}

static void *unlock_others(void *unused)
{
    tell("another one's", pthread_mutex_unlock(&robust));
    return unused;
}

static void test_robust(void)
{
    make_robust(&robust, PTHREAD_MUTEX_NORMAL);
    make_robust(&second, PTHREAD_MUTEX_RECURSIVE);
    run(die_with_two, NULL);
    tell("left", pthread_mutex_lock(&robust));
    tell("left, too", pthread_mutex_trylock(&second));
    run(unlock_others, NULL);
    tell("repaired", pthread_mutex_consistent(&robust));
    tell("not twice", pthread_mutex_consistent(&robust));
    tell("unlock", pthread_mutex_unlock(&robust));
    tell("as new", pthread_mutex_lock(&robust));
    tell("unlock", pthread_mutex_unlock(&robust));
    tell("unrepaired", pthread_mutex_unlock(&second));
    tell("lost", pthread_mutex_lock(&second));
    tell("tried", pthread_mutex_trylock(&second));
    tell("destroy", pthread_mutex_destroy(&second));
    make_robust(&second, PTHREAD_MUTEX_ERRORCHECK);
    run(die_with_one, NULL);
    tell("left again", pthread_mutex_lock(&robust));
    tell("repaired", pthread_mutex_consistent(&robust));
    tell("unlock", pthread_mutex_unlock(&robust));
    tell("not left", pthread_mutex_lock(&second));
    tell("unlock", pthread_mutex_unlock(&second));
}

static void *tell_and_die(void *unused)
{
    CHECK(pthread_mutex_lock(&robust) == 0);
    CHECK(pthread_cond_signal(&told) == 0);
    return unused;
}

static void test_robust_condition(void)
{
    make_robust(&robust, PTHREAD_MUTEX_NORMAL);
    CHECK(pthread_mutex_lock(&robust) == 0);
    pthread_t thread = start(NULL, tell_and_die, NULL);
    tell("condition", pthread_cond_wait(&told, &robust));
    CHECK(pthread_join(thread, NULL) == 0);
    tell("repaired", pthread_mutex_consistent(&robust));
    tell("unlock", pthread_mutex_unlock(&robust));
    pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
    tell("not robust", pthread_mutex_consistent(&plain));
}

/*
 * Read-write locks
 */

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static _Atomic bool writer_came;

static void *write_once(void *unused)
{
    writer_came = true;
    CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
    CHECK(pthread_rwlock_unlock(&rwlock) == 0);
    return unused;
}

static void test_rwlock(void)
{
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec += 5;
    tell("write", pthread_rwlock_wrlock(&rwlock));
    tell("write again", pthread_rwlock_wrlock(&rwlock));
    tell("read again", pthread_rwlock_rdlock(&rwlock));
    tell("write in time", pthread_rwlock_timedwrlock(&rwlock, &soon));
    tell("read in time", pthread_rwlock_timedrdlock(&rwlock, &soon));
    tell("try to read", pthread_rwlock_tryrdlock(&rwlock));
    tell("try to write", pthread_rwlock_trywrlock(&rwlock));
    tell("unlock", pthread_rwlock_unlock(&rwlock));

    tell("read", pthread_rwlock_rdlock(&rwlock));
    pthread_t thread = start(NULL, write_once, NULL);
    while (!writer_came)
        usleep(1000);
    usleep(20000); /* mostly, it does wait by then; it would be right otherwise, too */
    tell("read beside a writer", pthread_rwlock_rdlock(&rwlock));
    tell("unlock", pthread_rwlock_unlock(&rwlock));
    tell("unlock", pthread_rwlock_unlock(&rwlock));
    CHECK(pthread_join(thread, NULL) == 0);
    tell("write", pthread_rwlock_wrlock(&rwlock));
    tell("unlock", pthread_rwlock_unlock(&rwlock));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    test_stacks();
    test_protocols();
    test_robust();
    test_robust_condition();
    test_rwlock();
    puts("locks: ok");
    return 0;
}
