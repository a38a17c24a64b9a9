/*
 * stdlib.h - newlib's, and what it doesn't declare.
 */
#ifndef SKEP_STDLIB_H
#define SKEP_STDLIB_H

#include_next <stdlib.h>

#if __MISC_VISIBLE

#ifdef __cplusplus
extern "C" {
#endif

int clearenv(void);
int getloadavg(double averages[], int count);

#ifdef __cplusplus
}
#endif

#endif

#endif
