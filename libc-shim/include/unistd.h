/*
 * unistd.h - newlib's, and what it doesn't declare.
 */
#ifndef SKEP_UNISTD_H
#define SKEP_UNISTD_H

#include_next <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _CS_PATH
#define _CS_PATH 0
#endif

#if __GNU_VISIBLE
int getresuid(uid_t *real, uid_t *effective, uid_t *saved);
int getresgid(gid_t *real, gid_t *effective, gid_t *saved);
int setresuid(uid_t real, uid_t effective, uid_t saved);
int setresgid(gid_t real, gid_t effective, gid_t saved);
#endif

#ifdef __cplusplus
}
#endif

#endif
