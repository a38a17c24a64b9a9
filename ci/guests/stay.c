/*
 * stay.c - hello that stays: greets, and then waits for ever. What a guest that has nothing to do costs.
 */
#include <stdio.h>

#include "skep/thread.h"

int main(void)
{
    printf("Hello, and I stay!\n");
    for (;;)
        skep_sleep_until(SKEP_FOREVER);
}
