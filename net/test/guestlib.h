/*
 * guestlib.h - what tests set and cause in the fake guestlib.
 */
#ifndef TEST_GUESTLIB_H
#define TEST_GUESTLIB_H

#include "skep/abi.h"

extern struct skep_start_info host_start_info;

/* Calls the handler of an event. */
void host_event(unsigned event);

#endif
