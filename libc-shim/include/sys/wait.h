/*
 * sys/wait.h - newlib's, and waitid(), wait3() and wait4(), which it doesn't declare.
 */
#ifndef SKEP_SYS_WAIT_H
#define SKEP_SYS_WAIT_H

#include <signal.h>
#include <sys/resource.h>

#include_next <sys/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WSTOPPED   WUNTRACED
#define WEXITED    4
#define WCONTINUED 8
#define WNOWAIT    0x01000000

#define WIFCONTINUED(status) ((status) == 0xffff)
#define WCOREDUMP(status)    ((status)&0x80)

typedef enum { P_ALL, P_PID, P_PGID } idtype_t;

int waitid(idtype_t kind, id_t id, siginfo_t *info, int options);
pid_t wait3(int *status, int options, struct rusage *usage);
pid_t wait4(pid_t process, int *status, int options, struct rusage *usage);

#ifdef __cplusplus
}
#endif

#endif
