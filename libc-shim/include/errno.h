/*
 * errno.h - newlib's, and the program's name as GNU's C library has it.
 */
#ifndef SKEP_ERRNO_H
#define SKEP_ERRNO_H

#include_next <errno.h>

#if __GNU_VISIBLE

#ifdef __cplusplus
extern "C" {
#endif

extern char *program_invocation_name;       /* the first argument, "" without one */
extern char *program_invocation_short_name; /* what follows its last slash */

#ifdef __cplusplus
}
#endif

#endif

#endif
