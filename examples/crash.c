/*
 * crash.c - a guest that dies as its argument says, to show what a crash record looks like.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void divide(void)
{
    volatile int ten = 10, zero = 0;
    printf("%d\n", ten / zero); /* NOLINT(clang-analyzer-core.DivideZero): on purpose */
}

static void null_pointer(void)
{
    volatile int *nowhere = NULL;
    printf("%d\n", *nowhere); /* NOLINT(clang-analyzer-core.NullDereference): on purpose */
}

static void null_call(void)
{
    void (*volatile nowhere)(void) = NULL;
    nowhere(); /* NOLINT(clang-analyzer-core.CallAndMessage): on purpose */
}

static void illegal(void)
{
    __asm__ volatile("ud2");
}

static void privileged(void)
{
    __asm__ volatile("cli");
}

/* Each level writes into its own part of the stack, so that none is optimised away; the compiler
 * must not see that there is no end. */
static int (*volatile deeper)(int depth);

static int recurse(int depth)
{
    volatile char room[4096];
    room[depth % 4096] = (char)depth;
    return deeper(depth + 1) + room[depth % 4096];
}

static void stack(void)
{
    deeper = recurse;
    printf("%d\n", recurse(0));
}

static void write_text(void)
{
    *(volatile char *)(void *)&write_text = 0;
}

static void assertion(void)
{
    int answer = 41;
    assert(answer == 42);
}

static void smash(void)
{
    char room[16];
    char *volatile beyond = room; /* the compiler must not see what this does */
    for (int i = 0; i < 64; i++)
        beyond[i] = 'x';
    printf("%c\n", room[0]);
}

static void fail(void)
{
    exit(3);
}

static const struct {
    const char *name;
    void (*function)(void);
} ways[] = {
    {"divide", divide},
    {"null", null_pointer},
    {"call-null", null_call},
    {"illegal", illegal},
    {"privileged", privileged},
    {"stack", stack},
    {"write-text", write_text},
    {"assert", assertion},
    {"abort", abort},
    {"smash", smash},
    {"exit", fail},
};

#define WAYS (sizeof(ways) / sizeof(*ways))

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "null";
    for (size_t i = 0; i < WAYS; i++) {
        if (strcmp(ways[i].name, name) != 0)
            continue;
        printf("crash: %s\n", name);
        ways[i].function();
        printf("crash: still here\n");
        return 1;
    }
    fprintf(stderr, "usage: crash WAY, where WAY is one of:");
    for (size_t i = 0; i < WAYS; i++)
        fprintf(stderr, " %s", ways[i].name);
    fprintf(stderr, "\n");
    return 2;
}
