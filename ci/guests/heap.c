/*
 * heap.c - a program that misuses its memory, once, in the way that its argument names; and what
 * malloc() promises else: "layout" prints where things are, "give-back" frees "nothing", "large" or "all"
 * of what it has touched, "sizes" is whether all sizes and alignments work, "threads" whether they do for several at once.
 *
 * It prints "about to <name>" before, and "survived" if it is still there afterwards.
 */
#define _GNU_SOURCE /* sched_getcpu() */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "skep/guest.h"

#define LARGE (1u << 20)

/* Through these the compiler doesn't see what happens to memory, and has no opinion on it. */
static void *(*volatile malloc_unseen)(size_t bytes) = malloc;
static void (*volatile free_unseen)(void *memory) = free;
static void *volatile shown;

static char *take(size_t bytes)
{
    char *memory = malloc_unseen(bytes);
    CHECK(memory != NULL);
    return memory;
}

static void give(void *memory)
{
    free_unseen(memory);
}

static void double_free(void)
{
    char *memory = take(100);
    give(memory);
    give(memory);
}

static void double_free_joined(void)
{
    char *before = take(5000), *memory = take(5000);
    char *wall = take(100);
    give(memory);
    give(before);
    give(memory);
    give(wall);
}

static void double_free_large(void)
{
    char *memory = take(LARGE);
    give(memory);
    give(memory);
}

static void free_middle(void)
{
    give(take(100) + 32);
}

static void free_stack(void)
{
    char here[64];
    memset(here, 0, sizeof(here));
    give(here);
}

static void free_static(void)
{
    static char here[64];
    give(here);
}

static void free_large_middle(void)
{
    give(take(LARGE) + 4096);
}

static void overflow_one(void)
{
    volatile char *memory = take(101);
    memory[101] = 0;
    give((void *)memory);
}

/* Into the next header: there is not a byte between. */
static void overflow_header(void)
{
    volatile char *memory = take(112), *next = take(112);
    memory[112] ^= 1;
    give((void *)memory);
    give((void *)next);
}

static void overflow_realloc(void)
{
    volatile char *memory = take(101);
    memory[101] = 0;
    shown = realloc((void *)memory, 2000);
}

static void overflow_large(void)
{
    volatile char *memory = take(LARGE);
    memory[LARGE] = 1;
}

static void overflow_large_one(void)
{
    volatile char *memory = take(LARGE - 3);
    memory[LARGE - 3] = 0;
    give((void *)memory);
}

static void underflow_large(void)
{
    volatile char *memory = take(LARGE);
    memory[-4097] = 1; /* beyond the header's page */
}

static void read_freed_large(void)
{
    volatile char *memory = take(LARGE);
    memory[0] = 1;
    give((void *)memory);
    memory[0] = 2;
}

static void write_freed(void)
{
    char *first = take(20000), *wall = take(20000);
    give(first);
    memset(first, 0x41, 16);
    give(wall);
}

/* It shows when the next one of its size is taken. */
static void write_kept(void)
{
    char *memory = take(6000);
    give(memory);
    memset(memory, 0x41, 16);
    take(6000);
}

/* Written beyond by so much that the canary above the array is hit. */
static __attribute__((noinline)) void smash(volatile char *at, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = 0x41;
}

static __attribute__((noinline)) void smash_stack(void)
{
    volatile char here[40];
    smash(here, 56);
}

/* On a thread of its own, and on another vCPU than the first, which main keeps busy. */
static void *run_in_thread(void *function)
{
    while (sched_getcpu() == 0)
        sched_yield();
    ((void (*)(void))function)();
    return NULL;
}

static int recurse(int depth)
{
    volatile char room[512];
    room[depth % 512] = (char)depth;
    return depth == -1 ? 0 : recurse(depth + 1) + room[depth % 512];
}

static void overflow_thread_stack(void)
{
    recurse(0);
}

static const struct {
    const char *name;
    void (*function)(void);
} misuses[] = {
    {"double-free", double_free},
    {"double-free-joined", double_free_joined},
    {"double-free-large", double_free_large},
    {"free-middle", free_middle},
    {"free-stack", free_stack},
    {"free-static", free_static},
    {"free-large-middle", free_large_middle},
    {"overflow-one", overflow_one},
    {"overflow-header", overflow_header},
    {"overflow-realloc", overflow_realloc},
    {"overflow-large", overflow_large},
    {"overflow-large-one", overflow_large_one},
    {"underflow-large", underflow_large},
    {"read-freed-large", read_freed_large},
    {"write-freed", write_freed},
    {"write-kept", write_kept},
    {"smash-stack", smash_stack},
    {"overflow-thread-stack", overflow_thread_stack},
};

/*
 * What is right
 */

static void check_sizes(void)
{
    for (size_t bytes = 0; bytes < 300000; bytes += bytes < 3000 ? 1 : 997) {
        unsigned char *memory = (unsigned char *)take(bytes);
        memset(memory, 0xa5, bytes);
        CHECK((uintptr_t)memory % 16 == 0 && malloc_usable_size(memory) == bytes);
        memory = realloc(memory, bytes + 1000);
        CHECK(memory != NULL && (bytes == 0 || memory[bytes - 1] == 0xa5));
        memory = realloc(memory, bytes / 2 + 1);
        CHECK(memory != NULL && (bytes < 2 || memory[bytes / 2 - 1] == 0xa5));
        give(memory);
        memory = calloc(bytes, 1); /* NOLINT: of no bytes, too */
        CHECK(memory != NULL);
        for (size_t i = 0; i < bytes; i++)
            CHECK(memory[i] == 0);
        give(memory);
    }
    for (size_t alignment = 16; alignment <= 65536; alignment *= 2) {
        void *memory;
        CHECK(posix_memalign(&memory, alignment, 100) == 0);
        CHECK((uintptr_t)memory % alignment == 0);
        give(memory);
    }
    volatile size_t most = SIZE_MAX / 2;
    CHECK(calloc(most, 4) == NULL && malloc(most) == NULL);
}

/* One large block and many small ones, and of those are freed: nothing, the large one, all. */
static void give_back(const char *what)
{
    enum { SMALL = 4000, SMALL_BYTES = 1000 };
    static char *small[SMALL];
    char *large = take(4 * LARGE);
    memset(large, 1, 4 * LARGE);
    for (int i = 0; i < SMALL; i++)
        memset(small[i] = take(SMALL_BYTES), 1, SMALL_BYTES);
    if (strcmp(what, "nothing") != 0)
        give(large);
    for (int i = 0; i < SMALL && strcmp(what, "all") == 0; i++)
        give(small[i]);
    printf("freed %s\n", what);
    pause();
}

/* Threads take blocks, and give each other's back: 4 at once, beside each other in the heap. */
enum { SHARED = 64, HELD = 32, ROUNDS = 10000 };
static _Atomic(unsigned char *) shared[SHARED];

static unsigned random_next(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

/* Each byte is the block's length. */
static unsigned char *filled(size_t bytes)
{
    unsigned char *memory = (unsigned char *)take(bytes);
    memset(memory, (int)(bytes & 0xff), bytes);
    return memory;
}

static void check_and_give(unsigned char *memory)
{
    if (memory == NULL)
        return;
    size_t bytes = malloc_usable_size(memory);
    for (size_t i = 0; i < bytes; i++)
        CHECK(memory[i] == (bytes & 0xff));
    give(memory);
}

static void *exchange_blocks(void *argument)
{
    unsigned char *held[HELD] = {0};
    unsigned state = (unsigned)(uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char **slot = &held[random_next(&state) % HELD];
        check_and_give(*slot);
        *slot = filled(random_next(&state) % (random_next(&state) % 16 == 0 ? 5000 : 300));
        *slot = atomic_exchange(&shared[random_next(&state) % SHARED], *slot);
    }
    for (int i = 0; i < HELD; i++)
        check_and_give(held[i]);
    return NULL;
}

static void run_four(void)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, exchange_blocks, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < SHARED; i++)
        check_and_give(atomic_exchange(&shared[i], NULL));
}

/* What threads have kept is the heap's when they have ended, which is soon after pthread_join() returns. */
static void check_threads(void)
{
    run_four(); /* and what is made once */
    size_t before = mallinfo().uordblks;
    for (int i = 0; i < 10; i++)
        run_four();
    for (int i = 0; i < 10000 && mallinfo().uordblks > before; i++)
        usleep(1000);
    CHECK(mallinfo().uordblks <= before);
}

/* Where things are; and the canary, which no program prints. */
static void print_layout(void)
{
    uint64_t canary;
    int here;
    __asm__("movq %%fs:0x28, %0" : "=r"(canary));
    printf("image %p stack %p heap %p large %p canary %llx\n", (void *)&print_layout, (void *)&here,
           (void *)take(16), (void *)take(LARGE), (unsigned long long)canary);
}

static void misuse(const char *name, int in_thread)
{
    for (size_t i = 0; i < sizeof(misuses) / sizeof(*misuses); i++) {
        if (strcmp(misuses[i].name, name) != 0)
            continue;
        printf("about to %s\n", name);
        if (in_thread) {
            pthread_t thread;
            CHECK(pthread_create(&thread, NULL, run_in_thread, (void *)misuses[i].function) == 0);
            for (;;)
                atomic_signal_fence(memory_order_seq_cst);
        } else {
            misuses[i].function();
        }
        printf("survived\n");
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "layout") == 0)
            print_layout();
        else if (strcmp(argv[i], "give-back") == 0)
            give_back(argv[++i]);
        else if (strcmp(argv[i], "sizes") == 0)
            check_sizes();
        else if (strcmp(argv[i], "threads") == 0)
            check_threads();
        else
            misuse(argv[i], argc > i + 1 && strcmp(argv[i + 1], "thread") == 0);
    }
    return 0;
}
