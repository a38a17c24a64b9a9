/*
 * dates.c - dates and times of all years, in zones with summer time and without it.
 * Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "say.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void say_date(const char *what, const struct tm *time)
{
    if (time == NULL) {
        say(what, errno == EOVERFLOW ? -1 : 0);
        return;
    }
    printf("%s: %d-%d-%d %d:%d:%d, %d %d %d, %ld %s\n", what, time->tm_year, time->tm_mon,
           time->tm_mday, time->tm_hour, time->tm_min, time->tm_sec, time->tm_wday, time->tm_yday,
           time->tm_isdst, time->tm_gmtoff, time->tm_zone);
}

/* Seconds at which calendars err: around 1900, 1970, 2000 and 10000, years before the first, the last years there are. */
static void test_seconds(void)
{
    static const time_t seconds[] = {0,
                                     -1,
                                     951782400,
                                     1709164800,
                                     4107542400,
                                     253402300799,
                                     253402300800,
                                     1000000000000,
                                     -2208988800,
                                     -2208988801,
                                     -62135596801,
                                     -62167219201,
                                     -1000000000000,
                                     67768036191676799,
                                     67768036191676800,
                                     -67768040609740800,
                                     -67768040609740801,
                                     LLONG_MAX,
                                     LLONG_MIN};
    for (size_t i = 0; i < COUNT(seconds); i++) {
        struct tm time, copy;
        errno = 0;
        const struct tm *result = gmtime_r(&seconds[i], &time);
        say_date("then", result);
        if (result == NULL)
            continue;
        copy = time;
        say("the same", timegm(&copy) == seconds[i]);
        char text[26];
        const char *written = asctime_r(&time, text);
        printf("%s", written != NULL ? written : "too long\n");
    }
}

static void test_zone(const char *zone)
{
    static const time_t seconds[] = {0,          1711846799, 1711846800, 1729990799,
                                     1729990800, 1741503599, 1741503600, 1762063199,
                                     1762063200, 1704067199, 4107542400, 253402300800};
    setenv("TZ", zone, 1);
    tzset();
    puts(zone);
    for (size_t i = 0; i < COUNT(seconds); i++) {
        struct tm time;
        say_date("there", localtime_r(&seconds[i], &time));
        say("the same", mktime(&time) == seconds[i]);
    }
}

/* What mktime() makes of fields beyond their ranges, of hours that are there twice or never, and of a wrong tm_isdst. */
static void test_fields(void)
{
    static const struct tm fields[] = {
        {.tm_year = 124, .tm_mon = 1, .tm_mday = 30, .tm_isdst = -1},
        {.tm_year = 124, .tm_mon = 2, .tm_mday = 31, .tm_hour = 2, .tm_min = 30, .tm_isdst = -1},
        {.tm_year = 124, .tm_mon = 9, .tm_mday = 27, .tm_hour = 2, .tm_min = 30, .tm_isdst = -1},
        {.tm_year = 124, .tm_mon = 9, .tm_mday = 27, .tm_hour = 2, .tm_min = 30, .tm_isdst = 1},
        {.tm_year = 124, .tm_mon = 9, .tm_mday = 27, .tm_hour = 2, .tm_min = 30},
        {.tm_year = 124, .tm_mday = 1, .tm_hour = 12, .tm_isdst = 1},
        {.tm_year = 124, .tm_mon = 6, .tm_mday = 1, .tm_hour = 12},
        {.tm_year = 100, .tm_mon = -1, .tm_mday = 1},
        {.tm_year = 100, .tm_mon = 12},
        {.tm_year = 100, .tm_mday = -400, .tm_hour = -1},
        {.tm_year = 100, .tm_mday = 1, .tm_min = INT_MAX, .tm_sec = INT_MAX},
        {.tm_year = 8100, .tm_mday = 1},
        {.tm_year = 31758, .tm_mon = 8, .tm_mday = 27},
        {.tm_year = 70, .tm_mday = 1, .tm_sec = -1},
        {.tm_year = INT_MAX, .tm_mon = 12, .tm_mday = 1},
        {.tm_year = INT_MIN, .tm_mon = -1, .tm_mday = 1},
    };
    for (size_t i = 0; i < COUNT(fields); i++) {
        struct tm local = fields[i], utc = fields[i];
        errno = 0;
        long long seconds = mktime(&local);
        say("overflow", seconds == -1 && errno == EOVERFLOW);
        printf("%lld\n", seconds);
        if (errno == 0)
            say_date("local", &local);
        printf("%lld\n", (long long)timegm(&utc));
    }
}

int main(void)
{
    static const char *const zones[] = {"UTC0",
                                        "CET-1CEST,M3.5.0,M10.5.0/3",
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "<+0530>-5:30",
                                        "AEST-10AEDT,M10.1.0,M4.1.0/3",
                                        "JST-9JDT,J60/0,J300",
                                        "XST3XDT,59,299/1"};
    setenv("TZ", "UTC0", 1);
    test_seconds();
    for (size_t i = 0; i < COUNT(zones); i++) {
        test_zone(zones[i]);
        test_fields();
    }
    time_t late = 67768036191676800;
    say("no year", gmtime(&late) == NULL && localtime(&late) == NULL && ctime(&late) == NULL);
    puts("dates: ok");
    return 0;
}
