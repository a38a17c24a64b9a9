/*
 * errands.c - what a thread that waits does for others (skep/thread.h): there where it waits, once for each event that finds
 * the vCPU idle; then it waits on, or finds what it waits for. The event is one that the guest sends itself.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "check.h"
#include "skep/guest.h"
#include "skep/hypercall.h"
#include "skep/thread.h"

#define EVENT       (SKEP_EVENT_COUNT - 1)
#define ROUNDS      200
#define PATIENCE_NS 20000000000ull

static _Atomic uint32_t given, refused, done;
static _Atomic(struct skep_thread *) doer;
static _Atomic bool posts;
static sem_t wanted, never;

static void on_event(unsigned event, void *argument)
{
    (void)event, (void)argument;
    atomic_fetch_add(skep_errand_give() ? &given : &refused, 1);
}

static void errand(void)
{
    doer = skep_thread_self();
    if (posts)
        sem_post(&wanted);
    atomic_fetch_add(&done, 1);
}

/* Spins, so that the caller stays on its vCPU. */
static void until_not(_Atomic uint32_t *count, uint32_t seen)
{
    uint64_t deadline = skep_clock_ns() + PATIENCE_NS;
    while (*count == seen)
        CHECK(skep_clock_ns() < deadline);
}

/* An event; whether somebody got the errand and has done it. */
static bool send(void)
{
    uint32_t gave = given, ended = done, all = gave + refused;
    uint64_t deadline = skep_clock_ns() + PATIENCE_NS;
    CHECK(skep_hc_event_send(0, EVENT) == 0);
    while (given + refused == all)
        CHECK(skep_clock_ns() < deadline);
    if (given == gave)
        return false;
    until_not(&done, ended);
    return true;
}

/* The other thread may be on its way to its wait. */
static void send_until_done(void)
{
    uint64_t deadline = skep_clock_ns() + PATIENCE_NS;
    while (!send())
        CHECK(skep_clock_ns() < deadline);
}

/*
 * Two threads on two vCPUs: the one on vCPU 0 waits, the other sends.
 */

static _Atomic uint32_t present, found, timed_out, ended;
static _Atomic int sender = -1;
static _Atomic(struct skep_thread *) waiter;
static pthread_t threads[2];

static sigjmp_buf back;

static void leave(int signal)
{
    siglongjmp(back, signal);
}

/* None is given to a thread on a stack of its own making. Who leaves a handler there is back on a larger one. */
static void leave_other_stack(void)
{
    static char memory[2 * SIGSTKSZ];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)};
    const struct sigaction action = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("movb $0, 8" : : : "memory");
}

static void wait_and_work(void)
{
    struct timespec soon;
    leave_other_stack();
    waiter = skep_thread_self();
    CHECK(sem_wait(&wanted) == 0);
    found = 1;
    CHECK(clock_gettime(CLOCK_REALTIME, &soon) == 0);
    soon.tv_sec++;
    CHECK(sem_timedwait(&never, &soon) == -1 && errno == ETIMEDOUT);
    timed_out = 1;
    sem_wait(&never); /* cancelled */
    CHECK(false);
}

static void send_and_look(pthread_t other)
{
    void *result;
    for (int i = 0; i < ROUNDS; i++) {
        send_until_done();
        CHECK(doer == waiter && found == 0);
    }
    posts = true;
    send_until_done();
    posts = false;
    until_not(&found, 0);
    while (timed_out == 0)
        send();
    send_until_done();
    CHECK(pthread_cancel(other) == 0);
    CHECK(pthread_join(other, &result) == 0 && result == PTHREAD_CANCELED);
}

static void *play(void *argument)
{
    int number = (int)(intptr_t)argument, nobody = -1;
    atomic_fetch_add(&present, 1);
    while (present < 2)
        continue;
    while (sender == -1)
        if (skep_vcpu_index() != 0)
            atomic_compare_exchange_strong(&sender, &nobody, number);
    if (sender != number)
        wait_and_work();
    send_and_look(threads[1 - number]);
    atomic_fetch_add(&ended, 1);
    skep_wake(&ended, 1);
    return NULL;
}

static void test_waiting(void)
{
    CHECK(sem_init(&wanted, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
    for (intptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, play, (void *)i) == 0);
    while (ended == 0)
        skep_wait(&ended, 0, SKEP_FOREVER); /* no wait for an errand */
    CHECK(pthread_join(threads[sender], NULL) == 0);
}

/* A vCPU that has somebody to run gives none, and this is the only one. */
static void test_busy(void)
{
    for (int i = 0; i < ROUNDS; i++)
        CHECK(!send());
    CHECK(done == 0);
}

int main(void)
{
    skep_errand_set(errand);
    CHECK(skep_event_handler(EVENT, on_event, NULL) == 0);
    if (skep_start_info()->vcpu_count == 1)
        test_busy();
    else
        test_waiting();
    printf("errands: ok\n");
    return 0;
}
