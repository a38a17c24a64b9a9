/*
 * paths.h - what paths.c has for folders.c, in a program without volumes.
 */
#ifndef LIBC_SHIM_PATHS_H
#define LIBC_SHIM_PATHS_H

#include "shim.h"

/* The absolute path without empty names, "." and "..", from the current folder on. A negative errno value if a folder on
 * the way that ".." leaves isn't one. */
int skep_posix_canonical(const char *path, char out[SKEP_POSIX_PATH_BYTES]);

#endif
