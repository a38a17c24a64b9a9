/*
 * calls.c - makes cheap hypercalls between markers, for ci/bench.
 */
#include <stdio.h>

#include "mark.h"
#include "skep/hypercall.h"

enum { ROUNDS = 1000, UNKNOWN_CALL = SKEP_HC_CONTROL_FIRST - 1 };

int main(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        mark(1);
        skep_hypercall0(UNKNOWN_CALL); /* entry, dispatch, -ENOSYS, return: nothing else */
        mark(2);
    }
    for (int i = 0; i < ROUNDS; i++) {
        mark(3);
        skep_hc_clock_read();
        mark(4);
    }
    printf("made %d calls\n", 2 * ROUNDS);
    return 0;
}
