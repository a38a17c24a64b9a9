/*
 * nullcall.c - what a hypercall that does nothing costs: nullcall [count].
 *
 * bench_begin and bench_end are the addresses of the instructions before and after each call; a
 * counter that watches them sees what lies between, both instructions of the loop included.
 */
#include <stdio.h>
#include <stdlib.h>

#include "skep/guest.h"
#include "skep/hypercall.h"

#define COUNT_DEFAULT 1000

/* A number that no call has, so that only the way in and out is measured. */
#define NO_CALL SKEP_HC_GUEST_COUNT

__asm__(".text\n"
        ".globl bench_call, bench_begin, bench_end\n"
        ".type bench_call, @function\n"
        ".type bench_begin, @function\n"
        ".type bench_end, @function\n"
        "bench_call:\n"
        "    movl %edi, %eax\n"
        "bench_begin:\n"
        "    syscall\n"
        "bench_end:\n"
        "    ret\n"
        ".size bench_call, . - bench_call\n");

extern long bench_call(unsigned number);

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : COUNT_DEFAULT;
    uint64_t start = skep_clock_ns();
    for (long i = 0; i < count; i++)
        if (bench_call(NO_CALL) != -SKEP_ENOSYS)
            return 1;
    uint64_t end = skep_clock_ns();
    printf("nullcall: %ld calls, %llu ns each\n", count,
           (unsigned long long)((end - start) / (uint64_t)(count > 0 ? count : 1)));
    return 0;
}
