/*
 * guestlib.h - what tests set and cause in the fake guestlib.
 */
#ifndef TEST_GUESTLIB_H
#define TEST_GUESTLIB_H

#include <stdint.h>

#include "skep/abi.h"

extern struct skep_start_info host_start_info;

/* Calls the handler of an event. */
void host_event(unsigned event);

/* Stops the clock, so that no stall of the machine counts; lets it go on from there. */
void host_clock_stop(void);
void host_clock_go(void);

/* Of a clock that is stopped: until when the network's thread sleeps, once it does; and sets the clock to that, and waits
 * until the thread has done what was due then. */
uint64_t host_clock_due(void);
void host_clock_advance(void);

#endif
