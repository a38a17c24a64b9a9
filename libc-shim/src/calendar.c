/*
 * calendar.c - dates and times as numbers of seconds and back, in all years that a struct tm can have: gmtime_r(),
 * localtime_r(), timegm(), mktime(), and asctime_r(). newlib's know neither how large a year is nor, in mktime(), more than
 * 10,000 of them, and write years beyond 9999 behind the end of asctime()'s buffer.
 */
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "calendar.h"

#define ASCTIME_BYTES 26

#define ERA_YEARS 400 /* after which leap years are the same again */
#define ERA_DAYS  146097

/* Years begin in March here, so that a leap day is the last of one. */
#define DAYS_TO_1970 719468 /* from March 1 of the year 0 */

int64_t skep_posix_days_before(int64_t year, int month)
{
    int from_march = (month + 10) % 12;
    year -= month < 2;
    int64_t era = (year >= 0 ? year : year - (ERA_YEARS - 1)) / ERA_YEARS;
    int64_t in_era = year - era * ERA_YEARS;
    return era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + (153 * from_march + 2) / 5 -
           DAYS_TO_1970;
}

static int64_t day_of(int64_t seconds)
{
    return seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0);
}

struct date {
    int64_t year;
    int month, day; /* from 0 */
};

static struct date date_of(int64_t day)
{
    day += DAYS_TO_1970;
    int64_t era = (day >= 0 ? day : day - (ERA_DAYS - 1)) / ERA_DAYS, in_era = day - era * ERA_DAYS;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int in_year = (int)(in_era - (year * 365 + year / 4 - year / 100));
    int from_march = (5 * in_year + 2) / 153;
    return (struct date){.year = era * ERA_YEARS + year + (from_march >= 10),
                         .month = (from_march + 2) % 12,
                         .day = in_year - (153 * from_march + 2) / 5};
}

int64_t skep_posix_year(int64_t seconds)
{
    return date_of(day_of(seconds)).year;
}

/* False: no struct tm has its year (EOVERFLOW). */
static bool break_down(int64_t seconds, struct tm *time)
{
    int64_t day = day_of(seconds);
    struct date date = date_of(day);
    int in_day = (int)(seconds - day * SECONDS_PER_DAY);
    if (date.year - 1900 < INT_MIN || date.year - 1900 > INT_MAX) {
        errno = EOVERFLOW;
        return false;
    }
    time->tm_year = (int)(date.year - 1900);
    time->tm_mon = date.month;
    time->tm_mday = date.day + 1;
    time->tm_wday = skep_posix_weekday(day);
    time->tm_yday = (int)(day - skep_posix_days_before(date.year, 0));
    time->tm_hour = in_day / 3600;
    time->tm_min = in_day / 60 % 60;
    time->tm_sec = in_day % 60;
    return true;
}

struct tm *gmtime_r(const time_t *restrict seconds, struct tm *restrict time)
{
    if (!break_down(*seconds, time))
        return NULL;
    time->tm_isdst = 0;
    time->tm_gmtoff = 0;
    time->tm_zone = "GMT";
    return time;
}

struct tm *localtime_r(const time_t *restrict seconds, struct tm *restrict time)
{
    if (!break_down(*seconds,
                    time)) /* nor is it far beyond, where the zone's rules would overflow */
        return NULL;
    skep_posix_local(*seconds, time);
    return break_down(*seconds + time->tm_gmtoff, time) ? time : NULL;
}

/* Fields beyond their range count on. */
static int64_t seconds_of(const struct tm *time)
{
    int64_t year = 1900ll + time->tm_year + time->tm_mon / 12;
    int month = time->tm_mon % 12;
    if (month < 0) {
        month += 12;
        year--;
    }
    int64_t days = skep_posix_days_before(year, month) + time->tm_mday - 1;
    return ((days * 24 + time->tm_hour) * 60 + time->tm_min) * 60 + time->tm_sec;
}

/* Fields come back within their range. */
time_t timegm(struct tm *time)
{
    time_t seconds = seconds_of(time);
    return gmtime_r(&seconds, time) != NULL ? seconds : -1;
}

time_t mktime(struct tm *time)
{
    struct tm local;
    time_t seconds = skep_posix_from_local(seconds_of(time), time->tm_isdst);
    if (localtime_r(&seconds, &local) == NULL)
        return -1;
    *time = local;
    return seconds;
}

time_t timelocal(struct tm *time)
{
    return mktime(time);
}

/* Of what gmtime_r() or localtime_r() may have failed to tell (NULL), as newlib's ctime() asks. */
char *asctime_r(const struct tm *restrict time, char *restrict text)
{
    if (time == NULL)
        return NULL;
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *weekday =
        time->tm_wday >= 0 && time->tm_wday < 7 ? weekdays + 3 * time->tm_wday : "???";
    const char *month = time->tm_mon >= 0 && time->tm_mon < 12 ? months + 3 * time->tm_mon : "???";
    int length =
        sniprintf(text, ASCTIME_BYTES, "%.3s %.3s%3d %.2d:%.2d:%.2d %lld\n", weekday, month,
                  time->tm_mday, time->tm_hour, time->tm_min, time->tm_sec, 1900ll + time->tm_year);
    if (length < ASCTIME_BYTES)
        return text;
    errno = EOVERFLOW;
    return NULL;
}
