/*
 * state_begin.c - the first of ring 0's static data, by the order of linking: see state.c.
 */
#include "state.h"

char state_data_begin[64] = {1};
char state_zeroes_begin[64];
