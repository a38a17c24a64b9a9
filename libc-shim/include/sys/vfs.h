/*
 * sys/vfs.h - another name of <sys/statfs.h>, as on Linux.
 */
#ifndef SKEP_SYS_VFS_H
#define SKEP_SYS_VFS_H

#include <sys/statfs.h>

#endif
