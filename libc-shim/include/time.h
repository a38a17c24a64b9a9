/*
 * time.h - newlib's, and what it doesn't have: timegm(), the process's CPU time as a clock, and the zone under POSIX'
 * names. Those stand for themselves when they are asked for by #ifdef, for there is a struct timezone, too.
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

#if __SVID_VISIBLE || __XSI_VISIBLE
extern long timezone __asm__("_timezone"); /* seconds west of UTC */
extern int daylight __asm__("_daylight");  /* not 0: TZ has a summer time */
#define timezone timezone
#define daylight daylight
#endif

int clock_getcpuclockid(pid_t process, clockid_t *clock);

#if __ISO_C_VISIBLE >= 2011
/* The time and the clock's resolution: UTC is the one base; 0 of others, else the base. */
#define TIME_UTC 1
int timespec_get(struct timespec *out, int base);
int timespec_getres(struct timespec *out, int base); /* C23 */
#endif

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
