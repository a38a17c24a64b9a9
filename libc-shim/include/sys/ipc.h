/*
 * sys/ipc.h - keys of what processes share.
 */
#ifndef _SYS_IPC_H
#define _SYS_IPC_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IPC_PRIVATE ((key_t)0)

/* Of a file that is there, made of its number, its device's and `id`, as Linux does it; else -1, and stat()'s error. */
key_t ftok(const char *path, int id);

#ifdef __cplusplus
}
#endif

#endif
