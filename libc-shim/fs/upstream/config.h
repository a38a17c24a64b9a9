/*
 * config.h - what configure would find out for e2fsprogs, of newlib and of glibc alike.
 */
#ifndef SKEP_EXT2FS_CONFIG_H
#define SKEP_EXT2FS_CONFIG_H

#define HAVE_ERRNO_H         1
#define HAVE_FCNTL_H         1
#define HAVE_INTTYPES_H      1
#define HAVE_STDINT_H        1
#define HAVE_STDLIB_H        1
#define HAVE_STRINGS_H       1
#define HAVE_STRNLEN         1
#define HAVE_SYS_STAT_H      1
#define HAVE_SYS_TIME_H      1
#define HAVE_SYS_TYPES_H     1
#define HAVE_UNISTD_H        1
#define HAVE_POSIX_MEMALIGN  1
#define SIZEOF_INT           4
#define SIZEOF_LONG          8
#define SIZEOF_LONG_LONG     8
#define SIZEOF_OFF_T         8
#define SIZEOF_TIME_T        8
#define NO_INLINE_FUNCS_HERE 1

#include <sys/types.h>

#endif
