/*
 * loop.c - computes for ever with its marker in view, for ci/bench: what ring 0 takes of a busy guest.
 */
#include <stdint.h>

#include "mark.h"

enum { STEPS = 10 * 1000 * 1000 };

int main(void)
{
    volatile uint64_t sum = 0;
    for (;;) {
        mark(5);
        for (uint64_t i = 0; i < STEPS; i++)
            sum += i;
    }
}
