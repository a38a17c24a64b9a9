/*
 * calendar.c - a date and time as a number of seconds, without time zones: timegm(). newlib has mktime() alone.
 */
#include <time.h>

#include "shim.h"

/* Days from 1970-01-01 to the first of a month (0 to 11) of a year. Years begin in March here, so that a leap day is the
 * last of one; 400 of them have 146097 days, and 719468 lie before 1970. */
static int64_t days_before(int64_t year, int month)
{
    int from_march = (month + 10) % 12;
    year -= month < 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, in_era = year - era * 400;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + (153 * from_march + 2) / 5 -
           719468;
}

/* Fields beyond their range count on; they come back within it. */
time_t timegm(struct tm *time)
{
    int64_t year = 1900ll + time->tm_year + time->tm_mon / 12;
    int month = time->tm_mon % 12;
    if (month < 0) {
        month += 12;
        year--;
    }
    int64_t days = days_before(year, month) + time->tm_mday - 1;
    time_t seconds = ((days * 24 + time->tm_hour) * 60 + time->tm_min) * 60 + time->tm_sec;
    if (gmtime_r(&seconds, time) == NULL) {
        errno = EOVERFLOW;
        return -1;
    }
    return seconds;
}

time_t timelocal(struct tm *time)
{
    return mktime(time);
}
