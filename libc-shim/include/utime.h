/*
 * utime.h - newlib's, and utime(), which it doesn't declare.
 */
#ifndef SKEP_UTIME_H
#define SKEP_UTIME_H

#include <time.h>

#include_next <utime.h>

#ifdef __cplusplus
extern "C" {
#endif

int utime(const char *path, const struct utimbuf *times);

#ifdef __cplusplus
}
#endif

#endif
