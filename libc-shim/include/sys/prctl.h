/*
 * sys/prctl.h - what a process says of itself, as on Linux (prctl(2)): a thread's name, and settings that are kept and told
 * and change nothing, as a guest leaves no core file, has no parent and starts no other program. Others are EINVAL.
 */
#ifndef _SYS_PRCTL_H
#define _SYS_PRCTL_H

#ifdef __cplusplus
extern "C" {
#endif

#define PR_SET_PDEATHSIG    1
#define PR_GET_PDEATHSIG    2
#define PR_GET_DUMPABLE     3
#define PR_SET_DUMPABLE     4
#define PR_GET_KEEPCAPS     7
#define PR_SET_KEEPCAPS     8
#define PR_SET_NAME         15
#define PR_GET_NAME         16
#define PR_SET_NO_NEW_PRIVS 38
#define PR_GET_NO_NEW_PRIVS 39

/* PR_SET_NAME cuts the name off after 15 bytes; PR_GET_NAME wants room for 16. */
int prctl(int option, ...);

#ifdef __cplusplus
}
#endif

#endif
