/*
 * string.h - newlib's, and names of errors and signals.
 */
#ifndef SKEP_STRING_H
#define SKEP_STRING_H

#include_next <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if __MISC_VISIBLE /* whose configure script doesn't ask for GNU's functions finds these two all the same */
/* "ENOENT" and its description. NULL: there is none of that number. */
const char *strerrorname_np(int number);
const char *strerrordesc_np(int number);
#endif

#if __GNU_VISIBLE
/* "INT" and its description, likewise. */
const char *sigabbrev_np(int signal);
const char *sigdescr_np(int signal);
#endif

#if __MISC_VISIBLE
void *memset_explicit(void *memory, int byte,
                      size_t bytes); /* memset() that the compiler never leaves out */
#endif

#ifdef __cplusplus
}
#endif

#endif
