/*
 * sys/random.h - random bytes as on Linux. They are always there, so the flags change nothing.
 */
#ifndef _SYS_RANDOM_H
#define _SYS_RANDOM_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRND_NONBLOCK 1u
#define GRND_RANDOM   2u

ssize_t getrandom(void *data, size_t bytes, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
