/*
 * state.h - the fake machine's whole state, kept and put back, so that each input finds the same.
 */
#ifndef FUZZ_STATE_H
#define FUZZ_STATE_H

#include <stdint.h>

/* In state_begin.c and state_end.c, which the linker puts before and behind hv/core, hv/io and hv/arch/fake. */
extern char state_data_begin[64], state_data_end[64];
extern char state_zeroes_begin[64], state_zeroes_end[64];

/* Gives the fake machine its memory; before fake_boot(). */
void state_memory(uint64_t bytes);

/* Keeps the state as it is now. Once. */
void state_keep(void);

/* Puts it back. */
void state_restore(void);

#endif
