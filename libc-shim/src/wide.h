/*
 * wide.h - whether string.c may use the CPU's wide registers.
 */
#ifndef LIBC_SHIM_WIDE_H
#define LIBC_SHIM_WIDE_H

#include <stdint.h>

/* Tells which extended state is enabled, as struct skep_start_info has it. Until then it takes none to be. */
void skep_posix_string_start(uint64_t xcr0);

#endif
