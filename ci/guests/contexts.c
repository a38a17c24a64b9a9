/*
 * contexts.c - places to go on from. Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "check.h"

#define STACK_BYTES (64u << 10)
#define TURNS       100000

static ucontext_t here, other;
static char stack[STACK_BYTES] __attribute__((aligned(16)));
static volatile int shared;
static volatile sig_atomic_t calls;

static void on_stack(ucontext_t *context, char *base, ucontext_t *next)
{
    CHECK(getcontext(context) == 0);
    context->uc_stack = (stack_t){.ss_sp = base, .ss_size = STACK_BYTES};
    context->uc_link = next;
}

static void returns_often(void)
{
    volatile int times = 0;
    CHECK(getcontext(&here) == 0);
    printf("here for the %d. time\n", ++times);
    if (times < 3)
        setcontext(&here);
}

static void takes_arguments(int a, int b, int c, int d, int e, int f, int g, int h, int i)
{
    printf("%d %d %d %d %d %d %d %d %d, stack aligned: %d\n", a, b, c, d, e, f, g, h, i,
           ((uintptr_t)__builtin_frame_address(0) & 15) == 0);
}

static void takes_pointer(const char *text)
{
    printf("%s, and %.3f\n", text, strlen(text) / 3.0);
}

static void arguments(void)
{
    on_stack(&other, stack, &here);
    makecontext(&other, (void (*)(void))takes_arguments, 9, 1, 2, 3, -4, 5, 6, 7, -8, 9);
    CHECK(swapcontext(&here, &other) == 0);
    on_stack(&other, stack + 8, &here); /* and 8 more than a multiple of 16 */
    other.uc_stack.ss_size -= 8;
    makecontext(&other, (void (*)(void))takes_arguments, 9, 9, 8, 7, 6, 5, 4, 3, 2, -1);
    CHECK(swapcontext(&here, &other) == 0);
    on_stack(&other, stack, &here);
    makecontext(&other, (void (*)(void))takes_pointer, 1, "a pointer");
    CHECK(swapcontext(&here, &other) == 0);
}

static void generate(void)
{
    for (int i = 1; i <= TURNS; i++) {
        shared = i;
        CHECK(swapcontext(&other, &here) == 0);
    }
    shared = -1;
}

static void turns(void)
{
    long sum = 0;
    on_stack(&other, stack, &here);
    makecontext(&other, generate, 0);
    for (;;) {
        CHECK(swapcontext(&here, &other) == 0);
        if (shared < 0)
            break;
        sum += shared;
    }
    printf("%d turns, sum %ld\n", TURNS, sum);
}

static void rounds_up(void)
{
    CHECK(fesetround(FE_UPWARD) == 0);
    CHECK(swapcontext(&other, &here) == 0);
    printf("there it is upward: %d\n", fegetround() == FE_UPWARD);
}

static void modes(void)
{
    on_stack(&other, stack, &here);
    makecontext(&other, rounds_up, 0);
    CHECK(swapcontext(&here, &other) == 0);
    printf("here it is to the nearest: %d\n", fegetround() == FE_TONEAREST);
    CHECK(swapcontext(&here, &other) == 0);
    printf("here still: %d\n", fegetround() == FE_TONEAREST);
}

static void count(int signal)
{
    (void)signal;
    calls++;
}

static void blocks(void)
{
    sigset_t set, now;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    raise(SIGUSR1);
    printf("handled while it is blocked: %d\n", (int)calls);
    CHECK(swapcontext(&other, &here) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
    printf("blocked again: %d\n", sigismember(&now, SIGUSR1));
}

static void masks(void)
{
    struct sigaction action = {.sa_handler = count};
    sigset_t now;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    on_stack(&other, stack, &here);
    makecontext(&other, blocks, 0);
    CHECK(swapcontext(&here, &other) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
    printf("handled: %d, blocked here: %d\n", (int)calls, sigismember(&now, SIGUSR1));
    CHECK(swapcontext(&here, &other) == 0);
}

/* Handlers run on whatever stack the thread is on. */
static void computes_amid_ticks(void)
{
    while (calls < 40) {
        shared++;
        if (shared % 64 == 0)
            CHECK(swapcontext(&other, &here) == 0);
    }
    shared = -1;
}

static void ticks(void)
{
    const struct itimerval every = {{0, 500}, {0, 500}}, none = {0};
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    calls = 0;
    shared = 0;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    on_stack(&other, stack, &here);
    makecontext(&other, computes_amid_ticks, 0);
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    while (shared >= 0)
        CHECK(swapcontext(&here, &other) == 0);
    CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
    printf("ticks: %d\n", calls >= 40);
}

static _Thread_local int whose = 1;

static int whose_now(void)
{
    return whose;
}

static void in_two_threads(void)
{
    printf("begun by thread %d\n", whose_now());
    CHECK(swapcontext(&other, &here) == 0);
    printf("gone on with by thread %d\n", whose_now());
}

static void *second_thread(void *unused)
{
    whose = 2;
    CHECK(swapcontext(&here, &other) == 0);
    return unused;
}

static void threads(void)
{
    pthread_t thread;
    on_stack(&other, stack, &here);
    makecontext(&other, in_two_threads, 0);
    CHECK(swapcontext(&here, &other) == 0);
    CHECK(pthread_create(&thread, NULL, second_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A stream whose write function goes away while the stream is locked, and comes back. */
static ssize_t writes_elsewhere(void *unused, const char *data, size_t bytes)
{
    (void)unused, (void)data;
    CHECK(swapcontext(&other, &here) == 0);
    return (ssize_t)bytes;
}

static FILE *stream;

static void prints_elsewhere(void)
{
    fprintf(stream, "text");
    fprintf(stream, "more");
    shared = -1;
}

static void *prints(void *unused)
{
    (void)unused;
    flockfile(stream);
    funlockfile(stream);
    return NULL;
}

static void locks(void)
{
    const cookie_io_functions_t functions = {.write = writes_elsewhere};
    pthread_t thread;
    int rounds = 0;
    stream = fopencookie(NULL, "w", functions);
    CHECK(stream != NULL && setvbuf(stream, NULL, _IONBF, 0) == 0);
    shared = 0;
    on_stack(&other, stack, &here);
    makecontext(&other, prints_elsewhere, 0);
    for (; shared == 0; rounds++)
        CHECK(swapcontext(&here, &other) == 0);
    calls = 0;
    raise(SIGUSR1);
    printf("away while it printed: %d, handled: %d\n", rounds > 1, (int)calls);
    CHECK(pthread_create(&thread, NULL, prints, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    printf("unlocked\n");
}

/* Whoever joins a thread may take away the stack that it ended on. */
static void *ends_elsewhere(void *base)
{
    ucontext_t context;
    on_stack(&context, base, NULL);
    makecontext(&context, (void (*)(void))pthread_exit, 1, base);
    setcontext(&context);
    return NULL;
}

static void joins(void)
{
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        void *result;
        void *base =
            mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(base != MAP_FAILED);
        CHECK(pthread_create(&thread, NULL, ends_elsewhere, base) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == base);
        CHECK(munmap(base, STACK_BYTES) == 0);
    }
    printf("joined\n");
}

static void leave(int signal)
{
    (void)signal;
    setcontext(&here);
}

/* Out of a handler, from amid the C library. */
static void faults(void)
{
    struct sigaction action = {.sa_handler = leave};
    volatile int times = 0;
    volatile uintptr_t nowhere = 8;
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    CHECK(getcontext(&here) == 0);
    if (times++ < 5) {
        fputs((const char *)nowhere, stdout);
        CHECK(0);
    }
    printf("left %d times\n", times - 1);
}

static void ends(void)
{
    printf("contexts: ok\n");
}

int main(void)
{
    returns_often();
    arguments();
    turns();
    modes();
    masks();
    ticks();
    threads();
    locks();
    joins();
    faults();
    on_stack(&other, stack, NULL); /* the thread ends with it, and the process with the thread */
    makecontext(&other, ends, 0);
    setcontext(&other);
    return 1;
}
