/*
 * sys/sendfile.h - sendfile() as Linux has it.
 */
#ifndef _SYS_SENDFILE_H
#define _SYS_SENDFILE_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes at most count bytes of file `in`, from *offset on, which moves, or from where the file stands if offset is NULL.
 * Returns how many, which may be fewer; 0 at the end. EINVAL: `in` has no places to read at; else read()'s and write()'s
 * errors. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count);

#ifdef __cplusplus
}
#endif

#endif
