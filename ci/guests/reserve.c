/*
 * reserve.c - memory that counts when it is touched: stacks, and maps with MAP_NORESERVE. Its argument says which of it
 * is touched until none is left; without one, what is to work is tried.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "skep/guest.h"

enum { PAGE = 4096, THREADS = 24 };
#define LARGE ((size_t)64 << 20)

static char *reserve(size_t bytes, int flags)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* Far more than there is, of which a few pages are used, at any time. */
static void test_map(void)
{
    CHECK(reserve(LARGE, 0) == MAP_FAILED && errno == ENOMEM);
    for (int round = 0; round < 50; round++) {
        char *memory = reserve(LARGE, MAP_NORESERVE);
        CHECK(memory != MAP_FAILED);
        for (size_t at = 0; at < LARGE; at += LARGE / 64) {
            CHECK(memory[at] == 0);
            memory[at] = 1;
        }
        CHECK(mprotect(memory, LARGE, PROT_READ) == 0 && memory[LARGE / 2] == 1);
        CHECK(munmap(memory, LARGE) == 0);
    }
    char *none = mmap(NULL, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(none != MAP_FAILED && mprotect(none, LARGE, PROT_READ | PROT_WRITE) == 0);
    none[5] = 1;
    CHECK(munmap(none, LARGE) == 0);
    char *stack = reserve(LARGE, MAP_STACK);
    CHECK(stack != MAP_FAILED);
    stack[LARGE - 1] = 1;
    CHECK(munmap(stack, LARGE) == 0);
}

static pthread_barrier_t barrier;

static void *stay(void *argument)
{
    volatile char deep[3 * PAGE];
    deep[0] = deep[sizeof(deep) - 1] = 1;
    pthread_barrier_wait(&barrier);
    return argument;
}

/* Threads of which each may use more than a quarter of what there is. */
static void test_threads(void)
{
    pthread_t threads[THREADS];
    pthread_attr_t attr;
    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 1 << 20) == 0);
    for (int round = 0; round < 10; round++) {
        CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], &attr, stay, NULL) == 0);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(pthread_barrier_destroy(&barrier) == 0);
    }
}

/* A chain of what malloc() gives until there is no more. */
static void *take_all(void)
{
    void *last = NULL;
    for (size_t bytes = 1 << 16; bytes >= 64; bytes /= 2) {
        void **block;
        while ((block = malloc(bytes)) != NULL) {
            *block = last;
            last = block;
        }
    }
    return last;
}

/* Where there is no memory for a thread's first pages, that is an error of the call. */
static void test_no_room(void)
{
    pthread_t thread;
    void *last = take_all();
    CHECK(pthread_create(&thread, NULL, stay, NULL) == EAGAIN);
    CHECK(reserve(LARGE, MAP_STACK) == MAP_FAILED && errno == ENOMEM);
    while (last != NULL) {
        void *before = *(void **)last;
        free(last);
        last = before;
    }
    CHECK(pthread_barrier_init(&barrier, NULL, 1) == 0);
    CHECK(pthread_create(&thread, NULL, stay, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* So deep that no stack is large enough. */
static int recurse(int depth)
{
    volatile char frame[PAGE];
    frame[0] = (char)depth;
    return depth < 1 << 20 ? recurse(depth + 1) + frame[0] : 0;
}

static void *recurse_in_thread(void *argument)
{
    return recurse(0) ? argument : NULL;
}

static void touch_pages(void)
{
    volatile char *memory = reserve(LARGE, MAP_NORESERVE);
    for (size_t at = 0; at < LARGE; at += PAGE)
        memory[at] = 1;
}

/* Ring 0's touch, for a call. */
static void pass_pointer(void)
{
    const char *memory = reserve(LARGE, MAP_NORESERVE);
    CHECK(memory != MAP_FAILED);
    while (take_all() != NULL) {
    }
    for (size_t at = 0; at < LARGE; at += PAGE)
        skep_console_write(memory + at, 1);
}

static void run_thread(void)
{
    pthread_t thread;
    pthread_attr_t attr;
    CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, LARGE) == 0);
    CHECK(pthread_create(&thread, &attr, recurse_in_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        test_map();
        test_threads();
        test_no_room();
        test_map();
        printf("reserve: ok\n");
        return 0;
    }
    printf("reserve: %s\n", argv[1]);
    fflush(stdout);
    if (strcmp(argv[1], "map") == 0)
        touch_pages();
    else if (strcmp(argv[1], "thread") == 0)
        run_thread();
    else if (strcmp(argv[1], "pointer") == 0)
        pass_pointer();
    else
        recurse(0);
    printf("survived\n");
    return 0;
}
