/*
 * state_end.c - the end of ring 0's static data.
 */
#include "state.h"

char state_data_end[64] = {1};
char state_zeroes_end[64];
