/* steady.h - randomness and clocks of which each run of an input has the same; by the linker's --wrap. */
#ifndef FUZZ_STEADY_H
#define FUZZ_STEADY_H

#include <stdint.h>

/* From here on as after the start. */
void steady_begin(void);

/* Lets time pass at once. */
void steady_pass(uint64_t ns);

#endif
