/*
 * time.h - newlib's, and timegm() and the process's CPU time as a clock, which it doesn't have.
 */
#ifndef SKEP_TIME_H
#define SKEP_TIME_H

#include_next <time.h>

#ifndef CLOCK_PROCESS_CPUTIME_ID
#define CLOCK_PROCESS_CPUTIME_ID 2
#endif

#ifdef __cplusplus
extern "C" {
#endif

int clock_getcpuclockid(pid_t process, clockid_t *clock);

#ifdef __cplusplus
}
#endif

#if __MISC_VISIBLE

#ifdef __cplusplus
extern "C" {
#endif

time_t timegm(struct tm *time);
time_t timelocal(struct tm *time);

#ifdef __cplusplus
}
#endif

#endif

#endif
