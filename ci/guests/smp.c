/*
 * smp.c - threads on several vCPUs at once: that they run in parallel, and that mutexes, conditions,
 * barriers, semaphores, malloc(), thread-local storage, sleeps and the clock hold up. All at once, too.
 */
#define _GNU_SOURCE /* sched_getcpu() */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "skep/guest.h"
#include "skep/hypercall.h"

#define WORKERS 8

static long vcpus;

static void run_all(pthread_t *threads, int count, void *(*function)(void *))
{
    for (intptr_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, function, (void *)i) == 0);
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/*
 * As many threads as vCPUs that spin until all are there: none of them ever gives way, and turns are
 * longer than it takes. Each must see a vCPU of its own.
 */

static _Atomic uint32_t seen_vcpus;
static _Atomic int arrived;

static void *meet_spinning(void *unused)
{
    arrived++;
    while (arrived < vcpus)
        __builtin_ia32_pause();
    seen_vcpus |= 1u << sched_getcpu();
    while (__builtin_popcount(seen_vcpus) < vcpus) /* moves until each vCPU has been seen */
        __builtin_ia32_pause(), seen_vcpus |= 1u << sched_getcpu();
    return unused;
}

static void test_parallel(void)
{
    pthread_t threads[32];
    run_all(threads, (int)vcpus, meet_spinning);
}

/*
 * A counter under a mutex, a condition that hands over, a barrier, and memory that moves from thread
 * to thread.
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *increment(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

static void test_mutex(void)
{
    pthread_t threads[WORKERS];
    run_all(threads, WORKERS, increment);
    CHECK(counter == WORKERS * 20000);
}

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long turn;

/* In turn, each by broadcast: a lost wake-up stops all. */
static void *take_turns(void *number)
{
    for (long round = 0; round < 300; round++) {
        pthread_mutex_lock(&mutex);
        while (turn != round * WORKERS + (intptr_t)number)
            pthread_cond_wait(&changed, &mutex);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void test_condition(void)
{
    pthread_t threads[WORKERS];
    run_all(threads, WORKERS, take_turns);
    CHECK(turn == 300 * WORKERS);
}

/* A condition is destroyed as soon as its waiters have been told, as POSIX lets one do. */
static void *wait_and_leave(void *argument)
{
    struct shared {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        int waiting, go;
    } *shared = argument;
    pthread_mutex_lock(&shared->mutex);
    shared->waiting++;
    while (!shared->go)
        pthread_cond_wait(&shared->cond, &shared->mutex);
    shared->waiting--;
    pthread_mutex_unlock(&shared->mutex);
    return NULL;
}

static void test_condition_destroy(void)
{
    static struct {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        int waiting, go;
    } shared;
    for (int round = 0; round < 100; round++) {
        pthread_t thread;
        memset(&shared, 0, sizeof(shared));
        pthread_mutex_init(&shared.mutex, NULL);
        pthread_cond_init(&shared.cond, NULL);
        CHECK(pthread_create(&thread, NULL, wait_and_leave, &shared) == 0);
        for (bool there = false; !there; sched_yield()) {
            pthread_mutex_lock(&shared.mutex);
            there = shared.waiting == 1;
            shared.go = there;
            if (there) {
                pthread_cond_broadcast(&shared.cond);
                pthread_cond_destroy(&shared.cond);
                memset(&shared.cond, 0xee, sizeof(shared.cond));
            }
            pthread_mutex_unlock(&shared.mutex);
        }
        CHECK(pthread_join(thread, NULL) == 0);
        for (size_t i = 0; i < sizeof(shared.cond); i++)
            CHECK(((unsigned char *)&shared.cond)[i] == 0xee);
    }
}

static pthread_barrier_t barrier;
static long phase[WORKERS];

static void *meet(void *number)
{
    long *own = &phase[(intptr_t)number];
    for (int round = 0; round < 500; round++) {
        (*own)++;
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < WORKERS; i++)
            CHECK(phase[i] == *own);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void test_barrier(void)
{
    pthread_t threads[WORKERS];
    pthread_barrier_init(&barrier, NULL, WORKERS);
    run_all(threads, WORKERS, meet);
    CHECK(pthread_barrier_destroy(&barrier) == 0);
    CHECK(phase[0] == 500);
}

/* Blocks of memory go round; each is checked and freed by another thread than the one that made it. */
static void *_Atomic mailboxes[WORKERS];

static void fill(unsigned char *block, size_t bytes)
{
    memcpy(block, &bytes, sizeof(bytes));
    memset(block + sizeof(bytes), (int)bytes & 0xff, bytes - sizeof(bytes));
}

static void check_and_free(unsigned char *block)
{
    size_t bytes;
    memcpy(&bytes, block, sizeof(bytes));
    for (size_t i = sizeof(bytes); i < bytes; i++)
        CHECK(block[i] == (bytes & 0xff));
    free(block);
}

static void *trade(void *number)
{
    unsigned seed = (unsigned)(intptr_t)number + 1;
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1103515245 + 12345;
        size_t bytes = 16 + (seed >> 16) % 700;
        unsigned char *block = malloc(bytes);
        CHECK(block != NULL);
        fill(block, bytes);
        void *other = atomic_exchange(&mailboxes[(seed >> 8) % WORKERS], block);
        if (other != NULL)
            check_and_free(other);
    }
    return NULL;
}

static void test_malloc(void)
{
    pthread_t threads[WORKERS];
    run_all(threads, WORKERS, trade);
    for (int i = 0; i < WORKERS; i++) {
        void *block = atomic_exchange(&mailboxes[i], NULL);
        if (block != NULL)
            check_and_free(block);
    }
}

/*
 * What belongs to a thread goes with it to another vCPU: thread-local storage, errno, FPU registers.
 */

static _Thread_local long own = 7;

static void *keep(void *number)
{
    uint32_t where = 0;
    double start = (double)(intptr_t)number + 0.25;
    own = (intptr_t)number;
    errno = (int)(intptr_t)number + 100;
    /* Sleeping threads are woken by whoever looks at the clock, and so move about. */
    for (int i = 0; i < 200; i++) {
        double lanes[2] = {start, -start}, back[2];
        where |= 1u << sched_getcpu();
        __asm__ volatile("movupd %1, %%xmm9\n\tmovl $20000, %%ecx\n1:\tdecl %%ecx\n\tjnz 1b\n\t"
                         "movupd %%xmm9, %0"
                         : "=m"(back)
                         : "m"(lanes)
                         : "xmm9", "ecx", "cc");
        CHECK(back[0] == start && back[1] == -start);
        CHECK(own == (intptr_t)number && errno == (int)(intptr_t)number + 100);
        if (i % 10 == 0)
            usleep(200);
        else
            sched_yield();
        CHECK(own == (intptr_t)number && errno == (int)(intptr_t)number + 100);
    }
    seen_vcpus |= where;
    return NULL;
}

static void test_migration(void)
{
    pthread_t threads[WORKERS];
    seen_vcpus = 0;
    run_all(threads, WORKERS, keep);
    CHECK(own == 7);
    CHECK(seen_vcpus != 0 && (seen_vcpus & (seen_vcpus - 1)) != 0); /* more than one */
}

/*
 * The clock never goes back, whoever looks: the latest reading goes from hand to hand.
 */

static _Atomic uint64_t latest;
static _Atomic int holder;

static void *hand_on_time(void *number)
{
    for (int i = 0; i < 2000; i++) {
        for (int spins = 1; holder % 2 != (intptr_t)number; spins++)
            if (spins % 1000 == 0)
                skep_hc_yield(); /* the other vCPU may wait for this one's CPU */
        uint64_t now = skep_clock_ns();
        CHECK(now >= latest);
        latest = now;
        holder++;
    }
    return NULL;
}

static void test_clock(void)
{
    pthread_t threads[2];
    run_all(threads, 2, hand_on_time);
}

/* Every thread sleeps in steps of its own, and wakes neither early nor never. */
static void *sleeper(void *number)
{
    for (int i = 0; i < 60; i++) {
        uint64_t ns = 100000 + (uint64_t)(i * 7 + (intptr_t)number * 13) % 40 * 50000;
        uint64_t start = skep_clock_ns();
        struct timespec span = {0, (long)ns};
        CHECK(nanosleep(&span, NULL) == 0);
        CHECK(skep_clock_ns() >= start + ns);
    }
    return NULL;
}

static void test_sleep(void)
{
    pthread_t threads[WORKERS];
    run_all(threads, WORKERS, sleeper);
}

/*
 * More threads that never give way than vCPUs, and one that sleeps: all make progress, though the first
 * began when nobody else wanted its vCPU, and the sleeper interrupts another before its turn is over.
 */
static _Atomic bool stop_spinning;
static _Atomic uint64_t passes[WORKERS];

static void *spin(void *number)
{
    while (!stop_spinning)
        passes[(intptr_t)number]++;
    return NULL;
}

static bool all_ran(const uint64_t *before)
{
    for (int i = 0; i < WORKERS; i++)
        if (passes[i] == before[i])
            return false;
    return true;
}

static void test_turns(void)
{
    pthread_t threads[WORKERS];
    for (intptr_t i = 0; i < WORKERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, spin, (void *)i) == 0);
        while (passes[0] == 0)
            __builtin_ia32_pause();
    }
    for (int round = 0; round < 3; round++) {
        uint64_t before[WORKERS];
        for (int i = 0; i < WORKERS; i++)
            before[i] = passes[i];
        while (!all_ran(before)) /* for ever, if one of them never gets its turn */
            usleep(1000);
    }
    stop_spinning = true;
    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static sem_t ping, pong;

static void *answer(void *unused)
{
    for (int i = 0; i < 3000; i++) {
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
    CHECK(pthread_create(&thread, NULL, answer, NULL) == 0);
    for (int i = 0; i < 3000; i++) {
        sem_post(&ping);
        sem_wait(&pong);
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A semaphore is freed as soon as sem_wait() has returned: sem_post() must be through with it. */
static void *post(void *sem)
{
    sem_post(sem);
    return NULL;
}

static void test_semaphore_destroy(void)
{
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        struct {
            sem_t sem;
        } *block = malloc(sizeof(*block));
        sem_init(&block->sem, 0, 0);
        CHECK(pthread_create(&thread, NULL, post, &block->sem) == 0);
        sem_wait(&block->sem);
        memset(block, 0xee, sizeof(*block));
        CHECK(pthread_join(thread, NULL) == 0);
        for (size_t j = 0; j < sizeof(*block); j++)
            CHECK(((unsigned char *)block)[j] == 0xee);
        free(block);
    }
}

/*
 * The same on end, while the guest is paused and resumed from outside: until it is asked to stop.
 */

static _Atomic bool asked_to_stop;

static void ask_to_stop(int signal)
{
    asked_to_stop = true;
}

/* The lock puts the readings of all threads in order. */
static void *watch_clock(void *unused)
{
    while (!asked_to_stop) {
        pthread_mutex_lock(&mutex);
        uint64_t now = skep_clock_ns();
        CHECK(now >= latest);
        latest = now;
        counter++;
        pthread_mutex_unlock(&mutex);
        if (counter % 10000 == 0)
            printf("smp: the clock goes on\n");
    }
    return unused;
}

static void watch_until_asked(void)
{
    pthread_t threads[4];
    signal(SIGTERM, ask_to_stop);
    run_all(threads, 4, watch_clock);
    printf("smp: clock ok\n");
}

static const struct {
    const char *name;
    void (*function)(void);
} tests[] = {
    {"parallel", test_parallel},   {"mutex", test_mutex},
    {"condition", test_condition}, {"condition destroyed", test_condition_destroy},
    {"barrier", test_barrier},     {"malloc", test_malloc},
    {"migration", test_migration}, {"clock", test_clock},
    {"sleep", test_sleep},         {"turns", test_turns},
    {"semaphore", test_semaphore}, {"semaphore freed", test_semaphore_destroy},
};

/* The ones that share nothing with themselves, side by side. */
static void *together(void *number)
{
    static void *(*const functions[])(void *) = {trade, sleeper, keep, trade};
    return functions[(intptr_t)number % 4](number);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        watch_until_asked();
        return 0;
    }
    vcpus = sysconf(_SC_NPROCESSORS_ONLN);
    CHECK(vcpus >= 2);
    for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
        printf("smp: %s\n", tests[i].name);
        tests[i].function();
    }
    printf("smp: all together\n");
    pthread_t threads[WORKERS];
    run_all(threads, WORKERS, together);
    printf("smp: ok\n");
    return 0;
}
