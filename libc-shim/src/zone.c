/*
 * zone.c - the local time zone, as TZ has it in POSIX' form ("CET-1CEST,M3.5.0,M10.5.0/3"); there is no data base of others.
 * newlib's own parser takes scanf() into each program that asks for a date, and no rule whose hour lies in another day
 * ("M3.5.0/-1").
 *
 * UTC where TZ isn't set, is wrong, or names a zone ("Europe/Berlin").
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calendar.h"

#define NAME_BYTES       16u /* with its end; longer ones are cut */
#define NAME_MIN_BYTES   3u
#define HOURS_MAX        167 /* of a rule */
#define SECONDS_PER_HOUR 3600

#define UTC "UTC"

/* What newlib has below tzset(). Its lock is held. */
void _tzset_unlocked_r(struct _reent *unused);
void __tz_lock(void);
void __tz_unlock(void);

char *_tzname[2] = {(char *)UTC, (char *)UTC};
int _daylight;
long _timezone;

/* 'M': weekday `day` (0 = Sunday) of week `week` (5 = the last) of `month` (1 to 12); 'J': day 1 to 365, without leap days;
 * 'D': day 0 to 365. */
struct rule {
    char kind;
    int month, week, day;
    int seconds; /* of that day */
};

struct zone {
    char names[2][NAME_BYTES];
    bool has_summer;
    int offsets[2]; /* seconds west of Greenwich in winter, and in summer */
    /* When summer begins, by the clock of winter, and when it ends, by that of summer. */
    struct rule rules[2];
};

/* newlib's lock guards it. UTC at first, whose name is elsewhere. */
static struct zone local;

/* Letters; digits and signs, too, between "<" and ">". NULL: no name. */
static const char *parse_name(const char *at, char name[NAME_BYTES])
{
    bool is_quoted = *at == '<';
    size_t bytes = 0;
    at += is_quoted;
    while (
        isalpha((unsigned char)at[bytes]) ||
        (is_quoted && (isdigit((unsigned char)at[bytes]) || at[bytes] == '+' || at[bytes] == '-')))
        bytes++;
    if (bytes < NAME_MIN_BYTES || (is_quoted && at[bytes] != '>'))
        return NULL;
    size_t kept = bytes < NAME_BYTES ? bytes : NAME_BYTES - 1;
    memcpy(name, at, kept);
    name[kept] = 0;
    return at + bytes + is_quoted;
}

/* Digits up to a limit. NULL: none, or too large a number. */
static const char *parse_number(const char *at, int max, int *number)
{
    const char *begin = at;
    for (*number = 0; isdigit((unsigned char)*at) && *number <= max; at++)
        *number = 10 * *number + (*at - '0');
    return at != begin && *number <= max ? at : NULL;
}

/* [+-]hh[:mm[:ss]] */
static const char *parse_time(const char *at, int max_hours, int *seconds)
{
    int sign = *at == '-' ? -1 : 1, part;
    at = parse_number(at + (*at == '-' || *at == '+'), max_hours, &part);
    *seconds = at != NULL ? part * SECONDS_PER_HOUR : 0;
    for (int unit = 60; unit >= 1 && at != NULL && *at == ':'; unit /= 60) {
        at = parse_number(at + 1, 59, &part);
        *seconds += part * unit;
    }
    *seconds *= sign;
    return at;
}

/* ",Jn", ",n" or ",Mm.w.d", each with the time of day behind a "/" if that isn't 2 o'clock. */
static const char *parse_rule(const char *at, struct rule *rule)
{
    if (*at++ != ',')
        return NULL;
    rule->seconds = 2 * SECONDS_PER_HOUR;
    rule->kind = *at == 'M' || *at == 'J' ? *at++ : 'D';
    if (rule->kind == 'M') {
        at = parse_number(at, 12, &rule->month);
        at = at != NULL && rule->month >= 1 && *at == '.' ? parse_number(at + 1, 5, &rule->week)
                                                          : NULL;
        at = at != NULL && rule->week >= 1 && *at == '.' ? parse_number(at + 1, 6, &rule->day)
                                                         : NULL;
    } else {
        at = parse_number(at, 365, &rule->day);
        if (rule->kind == 'J' && rule->day < 1)
            return NULL;
    }
    return at != NULL && *at == '/' ? parse_time(at + 1, HOURS_MAX, &rule->seconds) : at;
}

/* False: it isn't right. */
static bool parse(const char *at, struct zone *zone)
{
    at = parse_name(at, zone->names[0]);
    at = at != NULL ? parse_time(at, 24, &zone->offsets[0]) : NULL;
    if (at == NULL)
        return false;
    if (*at == 0)
        return true;
    at = parse_name(at, zone->names[1]);
    if (at == NULL)
        return false;
    zone->has_summer = true;
    zone->offsets[1] = zone->offsets[0] - SECONDS_PER_HOUR;
    if (*at != 0 && *at != ',')
        at = parse_time(at, 24, &zone->offsets[1]);
    if (at != NULL && *at == 0)
        at = ",M3.2.0,M11.1.0";
    at = at != NULL ? parse_rule(at, &zone->rules[0]) : NULL;
    at = at != NULL ? parse_rule(at, &zone->rules[1]) : NULL;
    return at != NULL && *at == 0;
}

static void take(const struct zone *zone)
{
    local = *zone;
    _tzname[0] = local.names[0];
    _tzname[1] = local.names[zone->has_summer];
    _timezone = zone->offsets[0];
    _daylight = zone->has_summer;
}

void _tzset_unlocked_r(struct _reent *unused)
{
    static char *former; /* NULL: UTC */
    const char *text = getenv("TZ");
    if (text == former || (text != NULL && former != NULL && strcmp(text, former) == 0))
        return;
    free(former);
    former = text != NULL ? strdup(text) : NULL;

    struct zone zone = {0};
    if (text == NULL || !parse(text + (*text == ':'), &zone))
        zone = (struct zone){.names = {UTC}};
    take(&zone);
}

void _tzset_r(struct _reent *unused)
{
    __tz_lock();
    _tzset_unlocked_r(unused);
    __tz_unlock();
}

/* Days from 1970-01-01 to the one that a rule names. */
static int64_t rule_day(const struct rule *rule, int64_t year)
{
    int64_t january = skep_posix_days_before(year, 0);
    if (rule->kind == 'D')
        return january + rule->day;
    if (rule->kind == 'J') {
        bool is_leap = skep_posix_days_before(year, 2) - january == 31 + 29;
        return january + rule->day - 1 + (is_leap && rule->day > 31 + 28);
    }
    int64_t first = skep_posix_days_before(year, rule->month - 1);
    int64_t next = skep_posix_days_before(year + rule->month / 12, rule->month % 12);
    int64_t day = first + (rule->day - skep_posix_weekday(first) + 7) % 7 + (rule->week - 1) * 7;
    return day < next ? day : day - 7;
}

static bool is_summer(const struct zone *zone, int64_t seconds)
{
    if (!zone->has_summer)
        return false;
    int64_t year = skep_posix_year(seconds), changes[2];
    for (int i = 0; i < 2; i++)
        changes[i] = rule_day(&zone->rules[i], year) * SECONDS_PER_DAY + zone->rules[i].seconds +
                     zone->offsets[i];
    bool is_within_year = changes[0] < changes[1];
    return is_within_year ? seconds >= changes[0] && seconds < changes[1]
                          : seconds >= changes[0] || seconds < changes[1];
}

void skep_posix_local(int64_t seconds, struct tm *time)
{
    __tz_lock();
    _tzset_unlocked_r(NULL);
    time->tm_isdst = is_summer(&local, seconds);
    time->tm_gmtoff = -local.offsets[time->tm_isdst];
    time->tm_zone = _tzname[time->tm_isdst];
    __tz_unlock();
}

/* Where the clock shows the time twice it is winter, and where it never does, it is as if winter had gone on. A zone without
 * summer time has one all the same for who insists, as on Linux. */
int64_t skep_posix_from_local(int64_t shown, int wanted)
{
    __tz_lock();
    _tzset_unlocked_r(NULL);
    int64_t winter = shown + local.offsets[0];
    int64_t summer = local.has_summer ? shown + local.offsets[1] : winter - SECONDS_PER_HOUR;
    bool by_summer =
        wanted < 0 ? is_summer(&local, winter) && is_summer(&local, summer) : wanted > 0;
    __tz_unlock();
    return by_summer ? summer : winter;
}
