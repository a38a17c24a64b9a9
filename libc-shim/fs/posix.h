/*
 * posix.h - what the files with POSIX's names share. Results are negative errno values.
 */
#ifndef LIBC_SHIM_FS_POSIX_H
#define LIBC_SHIM_FS_POSIX_H

#include "skep/fd.h"

/* The files of volumes; skep_file.object is a struct fs_file. */
extern const struct skep_fd_ops skep_posix_volume_ops;

#endif
