/*
 * deaf.c - ignores the request to stop, however long its grace: it has to be ended by force.
 */
#include <signal.h>
#include <stdio.h>

#include "skep/thread.h"

int main(void)
{
    signal(SIGTERM, SIG_IGN);
    printf("deaf\n");
    for (;;)
        skep_sleep_until(SKEP_FOREVER);
}
