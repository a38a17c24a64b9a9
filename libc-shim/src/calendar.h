/*
 * calendar.h - days, years and seconds since 1970, and what local time is then. zone.c has the zone.
 */
#ifndef LIBC_SHIM_CALENDAR_H
#define LIBC_SHIM_CALENDAR_H

#include "shim.h"

#define SECONDS_PER_DAY 86400

/* Days from 1970-01-01 to the first of a month (0 to 11) of a year. */
int64_t skep_posix_days_before(int64_t year, int month);

/* 0 (Sunday) to 6 of a day, which is counted from 1970-01-01. */
static inline int skep_posix_weekday(int64_t day)
{
    int weekday = (int)((day + 4) % 7); /* 1970 began on a Thursday */
    return weekday < 0 ? weekday + 7 : weekday;
}

/* In which UTC's date lies. */
int64_t skep_posix_year(int64_t seconds);

/* Sets tm_isdst, tm_gmtoff and tm_zone. Looks at TZ. */
void skep_posix_local(int64_t seconds, struct tm *time);

/* When local clocks show so many seconds since 1970; in summer time if `wanted` is positive, in winter time if it is 0, by the
 * zone's rules if it is negative. Looks at TZ. */
int64_t skep_posix_from_local(int64_t shown, int wanted);

#endif
