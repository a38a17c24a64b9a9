/*
 * sys/timerfd.h - a timer behind a descriptor, as on Linux.
 */
#ifndef _SYS_TIMERFD_H
#define _SYS_TIMERFD_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TFD_NONBLOCK            0x4000  /* O_NONBLOCK */
#define TFD_CLOEXEC             0x40000 /* O_CLOEXEC */
#define TFD_TIMER_ABSTIME       1
#define TFD_TIMER_CANCEL_ON_SET 2 /* EINVAL: who waits doesn't notice that the wall clock is set */

int timerfd_create(int clock, int flags);
int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
int timerfd_gettime(int fd, struct itimerspec *value);

#ifdef __cplusplus
}
#endif

#endif
