/*
 * sys/config.h - newlib's, which expects that newlib.h was there before: without it errno and the standard streams would be
 * others than the library's. <sys/param.h> includes it first of all.
 */
#ifndef SKEP_SYS_CONFIG_H
#define SKEP_SYS_CONFIG_H

#include <newlib.h>

#include_next <sys/config.h>

#endif
