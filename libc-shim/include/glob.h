/*
 * glob.h - newlib's, and the names that POSIX has for what it calls otherwise.
 */
#ifndef SKEP_GLOB_H
#define SKEP_GLOB_H

#include_next <glob.h>

#define GLOB_ABORTED GLOB_ABEND

#endif
