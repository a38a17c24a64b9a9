/*
 * grp.h - newlib's, and the functions on a process's groups, which it has elsewhere or not at all.
 */
#ifndef SKEP_GRP_H
#define SKEP_GRP_H

#include_next <grp.h>
#include <unistd.h> /* setgroups() */

#ifdef __cplusplus
extern "C" {
#endif

#if __BSD_VISIBLE
int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count);
#endif

#ifdef __cplusplus
}
#endif

#endif
