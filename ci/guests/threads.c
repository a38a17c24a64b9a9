/*
 * threads.c - pthreads: preemption, mutexes, conditions, semaphores, once, keys, rwlocks, barriers,
 * thread-local storage, stacks, and FPU and vector registers across preemption.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define WORKERS 8

static void join_all(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void start_all(pthread_t *threads, int count, void *(*function)(void *))
{
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, function, (void *)(intptr_t)i) == 0);
}

static struct timespec in_ms(clockid_t clock, long ms)
{
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_nsec += ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

/*
 * Preemption: a thread that never gives way must not keep others from running, not even one that is
 * interrupted before its turn is over each time.
 */

static volatile bool stop_spinning;
static volatile uint64_t passes[2];

static void *spin(void *number)
{
    while (!stop_spinning)
        passes[(intptr_t)number]++;
    return NULL;
}

static void test_preemption(void)
{
    pthread_t threads[2];
    start_all(threads, 2, spin);
    for (int rounds = 0; passes[0] == 0 || passes[1] == 0; rounds++) {
        CHECK(rounds < 100); /* a turn is 10 ms */
        usleep(1000);        /* comes back only if they are preempted */
    }
    stop_spinning = true;
    join_all(threads, 2);
}

/*
 * Mutex: increments are not lost.
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile long counter;

static void *increment(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&mutex);
        long seen = counter;
        if (i % 64 == 0)
            sched_yield();
        counter = seen + 1;
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

static void test_mutex(void)
{
    pthread_t threads[WORKERS];
    start_all(threads, WORKERS, increment);
    join_all(threads, WORKERS);
    CHECK(counter == WORKERS * 20000);
}

static void test_mutex_kinds(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t recursive, checking;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&checking, &attributes);
    CHECK(pthread_mutex_lock(&recursive) == 0 && pthread_mutex_lock(&recursive) == 0);
    CHECK(pthread_mutex_unlock(&recursive) == 0 && pthread_mutex_unlock(&recursive) == 0);
    CHECK(pthread_mutex_unlock(&recursive) == EPERM);
    CHECK(pthread_mutex_lock(&checking) == 0);
    CHECK(pthread_mutex_lock(&checking) == EDEADLK);
    CHECK(pthread_mutex_trylock(&checking) == EBUSY);
    CHECK(pthread_mutex_unlock(&checking) == 0);
}

static void *hold_mutex(void *unused)
{
    struct timespec deadline = in_ms(CLOCK_REALTIME, 20);
    CHECK(pthread_mutex_timedlock(&mutex, &deadline) == ETIMEDOUT);
    return unused;
}

static void test_timed_mutex(void)
{
    pthread_t thread;
    pthread_mutex_lock(&mutex);
    start_all(&thread, 1, hold_mutex);
    join_all(&thread, 1);
    pthread_mutex_unlock(&mutex);
}

/*
 * Robust mutexes and ceilings, where Linux leaves waiters behind, or wants a privilege
 */

static pthread_mutex_t special;
static _Atomic int waiting;
static _Atomic bool is_held;

static void *wait_for_dead(void *unused)
{
    waiting++;
    int error = pthread_mutex_lock(&special);
    if (error == EOWNERDEAD)
        pthread_mutex_unlock(&special); /* not repaired: the others hear that */
    return error == EOWNERDEAD || error == ENOTRECOVERABLE ? (void *)(intptr_t)error : unused;
}

static void *hold_until_they_wait(void *unused)
{
    CHECK(pthread_mutex_lock(&special) == 0);
    is_held = true;
    while (waiting < WORKERS)
        usleep(1000);
    usleep(20000); /* mostly, they do wait by then; it would be right otherwise, too */
    return unused;
}

/* Of all that wait one gets it, and none is left behind. */
static void test_robust_waiters(void)
{
    pthread_t holder, threads[WORKERS];
    pthread_mutexattr_t attributes;
    int dead = 0, lost = 0;
    pthread_mutexattr_init(&attributes);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    pthread_mutex_init(&special, &attributes);
    start_all(&holder, 1, hold_until_they_wait);
    while (!is_held)
        usleep(1000);
    start_all(threads, WORKERS, wait_for_dead);
    for (int i = 0; i < WORKERS; i++) {
        void *error;
        CHECK(pthread_join(threads[i], &error) == 0);
        dead += (intptr_t)error == EOWNERDEAD;
        lost += (intptr_t)error == ENOTRECOVERABLE;
    }
    join_all(&holder, 1);
    CHECK(dead == 1 && lost == WORKERS - 1);
}

static void test_ceilings(void)
{
    pthread_mutexattr_t attributes;
    int ceiling;
    pthread_mutexattr_init(&attributes);
    CHECK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_PROTECT) == 0);
    pthread_mutex_init(&special, &attributes);
    CHECK(pthread_mutex_lock(&special) == 0 && pthread_mutex_unlock(&special) == 0);
    CHECK(pthread_mutex_setprioceiling(&special, 100, &ceiling) == EINVAL);
    CHECK(pthread_mutex_setprioceiling(&special, 9, &ceiling) == 0 && ceiling == 1);
    CHECK(pthread_mutex_getprioceiling(&special, &ceiling) == 0 && ceiling == 9);
}

/*
 * Conditions: a bounded queue of one, and a wait that ends in time.
 */

static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;
static long slot; /* 0 = empty */

static void *produce(void *unused)
{
    for (long i = 1; i <= 5000; i++) {
        pthread_mutex_lock(&mutex);
        while (slot != 0)
            pthread_cond_wait(&emptied, &mutex);
        slot = i;
        pthread_cond_signal(&filled);
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

static void test_condition(void)
{
    pthread_t thread;
    start_all(&thread, 1, produce);
    for (long i = 1; i <= 5000; i++) {
        pthread_mutex_lock(&mutex);
        while (slot == 0)
            pthread_cond_wait(&filled, &mutex);
        CHECK(slot == i);
        slot = 0;
        pthread_cond_signal(&emptied);
        pthread_mutex_unlock(&mutex);
    }
    join_all(&thread, 1);
}

static void test_timed_condition(void)
{
    pthread_condattr_t attributes;
    pthread_cond_t cond;
    pthread_condattr_init(&attributes);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    pthread_cond_init(&cond, &attributes);
    pthread_mutex_lock(&mutex);
    struct timespec deadline = in_ms(CLOCK_MONOTONIC, 20);
    CHECK(pthread_cond_timedwait(&cond, &mutex, &deadline) == ETIMEDOUT);
    struct timespec now = in_ms(CLOCK_MONOTONIC, 0);
    CHECK(now.tv_sec > deadline.tv_sec ||
          (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec));
    pthread_mutex_unlock(&mutex);
}

/*
 * Semaphores, once, barriers, read-write locks
 */

static sem_t ping, pong;

static void *answer(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        sem_wait(&ping);
        sem_post(&pong);
    }
    return unused;
}

static void test_semaphore(void)
{
    pthread_t thread;
    sem_init(&ping, 0, 0);
    sem_init(&pong, 0, 0);
    start_all(&thread, 1, answer);
    for (int i = 0; i < 2000; i++) {
        sem_post(&ping);
        sem_wait(&pong);
    }
    join_all(&thread, 1);
    struct timespec deadline = in_ms(CLOCK_REALTIME, 10);
    CHECK(sem_timedwait(&ping, &deadline) == -1 && errno == ETIMEDOUT);
    CHECK(sem_trywait(&ping) == -1 && errno == EAGAIN);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_count;
static pthread_barrier_t barrier;
static int serial_count;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static volatile int shared_a, shared_b;

static void run_once(void)
{
    usleep(1000);
    once_count++;
}

static void *meet(void *number)
{
    pthread_once(&once, run_once);
    CHECK(once_count == 1);
    int met = pthread_barrier_wait(&barrier);
    if (met == PTHREAD_BARRIER_SERIAL_THREAD)
        __atomic_fetch_add(&serial_count, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 500; i++) {
        if ((i + (intptr_t)number) % 8 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            shared_a++;
            sched_yield();
            shared_b++;
        } else {
            pthread_rwlock_rdlock(&rwlock);
            CHECK(shared_a == shared_b);
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void test_once_barrier_rwlock(void)
{
    pthread_t threads[WORKERS];
    pthread_barrier_init(&barrier, NULL, WORKERS);
    start_all(threads, WORKERS, meet);
    join_all(threads, WORKERS);
    CHECK(serial_count == 1);
    CHECK(shared_a == shared_b && shared_a > 0);
}

/*
 * TLS, keys, errno, results
 */

static _Thread_local long own = 7;
static _Thread_local char own_zeroes[256];
static pthread_key_t key;
static int destroyed;

static void destroy(void *value)
{
    destroyed += *(int *)value;
    free(value);
}

static void *use_tls(void *number)
{
    CHECK(own == 7 && own_zeroes[255] == 0);
    own = (intptr_t)number;
    own_zeroes[255] = 1;
    int *value = malloc(sizeof(*value));
    *value = 1;
    CHECK(pthread_getspecific(key) == NULL);
    pthread_setspecific(key, value);
    errno = (int)(intptr_t)number + 100;
    usleep(2000);
    CHECK(own == (intptr_t)number && errno == (int)(intptr_t)number + 100);
    CHECK(pthread_getspecific(key) == value);
    pthread_exit(value);
}

static void test_tls(void)
{
    pthread_t threads[WORKERS];
    CHECK(pthread_key_create(&key, destroy) == 0);
    start_all(threads, WORKERS, use_tls);
    join_all(threads, WORKERS);
    CHECK(own == 7);
    CHECK(destroyed == WORKERS);
}

/*
 * FPU and vector registers across preemption
 */

#define FLOATERS        4
#define FLOATING_ROUNDS 3 /* of each thread at least: some are interrupted by the others' turns */

static volatile bool stop_floating;
static _Atomic long floating_rounds[FLOATERS];

/* Keeps numbers in x87, SSE and (where the compiler's flags allow) wider registers, for long. */
static void *keep_registers(void *number)
{
    double start = (double)(intptr_t)number + 0.5;
    while (!stop_floating) {
        double lanes[2] = {start, -start}, back[2], x87_back;
        uint32_t control = 0x1f80 | ((uint32_t)(intptr_t)number & 3) << 13, control_back;
        __asm__ volatile(
            "ldmxcsr %[control]\n\t"
            "movupd %[lanes], %%xmm7\n\t"
            "movupd %[lanes], %%xmm15\n\t"
            "fldl %[lanes]\n\t"
            "movl $200000, %%ecx\n"
            "1:\tdecl %%ecx\n\t"
            "jnz 1b\n\t"
            "fstpl %[x87]\n\t"
            "addpd %%xmm15, %%xmm7\n\t"
            "movupd %%xmm7, %[back]\n\t"
            "stmxcsr %[control_back]"
            : [back] "=m"(back), [x87] "=m"(x87_back), [control_back] "=m"(control_back)
            : [lanes] "m"(lanes), [control] "m"(control)
            : "xmm7", "xmm15", "ecx", "cc");
        CHECK(back[0] == 2 * start && back[1] == -2 * start && x87_back == start);
        CHECK((control_back & 0x6000) == (control & 0x6000));
        floating_rounds[(intptr_t)number]++;
    }
    return NULL;
}

static void test_registers(void)
{
    pthread_t threads[FLOATERS];
    start_all(threads, FLOATERS, keep_registers);
    usleep(300000);
    for (int i = 0; i < FLOATERS; i++)
        while (floating_rounds[i] < FLOATING_ROUNDS)
            usleep(10000);
    stop_floating = true;
    join_all(threads, FLOATERS);
}

/*
 * Many threads, one after the other and at once
 */

static void *end_at_once(void *value)
{
    return value;
}

static void test_many(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32768);
    for (intptr_t i = 0; i < 500; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, &attributes, end_at_once, (void *)i) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == (void *)i);
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, end_at_once, NULL) == 0);
        sched_yield();
    }
}

int main(void)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } tests[] = {
        {"preemption", test_preemption},
        {"mutex", test_mutex},
        {"mutex kinds", test_mutex_kinds},
        {"timed mutex", test_timed_mutex},
        {"robust mutex", test_robust_waiters},
        {"ceilings", test_ceilings},
        {"condition", test_condition},
        {"timed condition", test_timed_condition},
        {"semaphore", test_semaphore},
        {"once, barrier, rwlock", test_once_barrier_rwlock},
        {"tls", test_tls},
        {"registers", test_registers},
        {"many", test_many},
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
        printf("threads: %s\n", tests[i].name);
        tests[i].function();
    }
    printf("threads: ok\n");
    return 0;
}
