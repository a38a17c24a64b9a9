/*
 * random.h - random numbers for layouts and for guests' seeds. Keys are not made in ring 0.
 */
#ifndef CORE_RANDOM_H
#define CORE_RANDOM_H

#include "core/types.h"

/* 64 bits from the CPU where it has a source, else from a generator stirred with the clock. */
uint64_t random_u64(void);

void random_fill(void *to, size_t bytes);

/* Whether random_u64() comes from a real source. */
bool random_is_real(void);

#endif
