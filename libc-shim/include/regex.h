/*
 * regex.h - newlib's, which expects that <sys/types.h> was there before.
 */
#ifndef SKEP_REGEX_H
#define SKEP_REGEX_H

#include <sys/types.h>

#include_next <regex.h>

#endif
