/*
 * sys/sysmacros.h - the parts of devices' numbers. dev_t has 16 bits here: 8 each.
 */
#ifndef SKEP_SYS_SYSMACROS_H
#define SKEP_SYS_SYSMACROS_H

#include <sys/types.h>

#define major(device)         ((unsigned)(device) >> 8 & 0xff)
#define minor(device)         ((unsigned)(device)&0xff)
#define makedev(major, minor) ((dev_t)(((unsigned)(major)&0xff) << 8 | ((unsigned)(minor)&0xff)))

#endif
