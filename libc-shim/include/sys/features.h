/*
 * sys/features.h - newlib's, which has fewer descriptors in a set than a guest may have (skep/fd.h).
 */
#ifndef SKEP_SYS_FEATURES_H
#define SKEP_SYS_FEATURES_H

#ifndef FD_SETSIZE
#define FD_SETSIZE 4096
#endif

#include_next <sys/features.h>

#endif
