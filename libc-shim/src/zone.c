/*
 * zone.c - the local time zone, as TZ has it in POSIX' form ("CET-1CEST,M3.5.0,M10.5.0/3"); there is no data base of others.
 * newlib's localtime() and mktime() go by what is found. Its own parser takes scanf() into each program that asks for a
 * date, and no rule whose hour lies in another day ("M3.5.0/-1").
 *
 * UTC where TZ isn't set, is wrong, or names a zone ("Europe/Berlin").
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/_tz_structs.h> /* which needs that */

#include "shim.h"

#define NAME_BYTES       16u /* with its end; longer ones are cut */
#define NAME_MIN_BYTES   3u
#define HOURS_MAX        167 /* of a rule */
#define SECONDS_PER_HOUR 3600

#define UTC "UTC"

/* What newlib has below tzset(). Its lock is held. */
void _tzset_unlocked_r(struct _reent *unused);
void __tz_lock(void);
void __tz_unlock(void);
int __tzcalc_limits(int year);

char *_tzname[2] = {(char *)UTC, (char *)UTC};
int _daylight;
long _timezone;

/* A struct tm points to them. */
static char names[2][NAME_BYTES];

struct zone {
    char names[2][NAME_BYTES];
    bool has_summer;
    /* From which on it is summer, and winter; with the offset of winter, and of summer. */
    __tzrule_type rules[2];
};

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
static const char *parse_rule(const char *at, __tzrule_type *rule)
{
    if (*at++ != ',')
        return NULL;
    rule->s = 2 * SECONDS_PER_HOUR;
    rule->ch = *at == 'M' || *at == 'J' ? *at++ : 'D';
    if (rule->ch == 'M') {
        at = parse_number(at, 12, &rule->m);
        at = at != NULL && rule->m >= 1 && *at == '.' ? parse_number(at + 1, 5, &rule->n) : NULL;
        at = at != NULL && rule->n >= 1 && *at == '.' ? parse_number(at + 1, 6, &rule->d) : NULL;
    } else {
        at = parse_number(at, 365, &rule->d);
        if (rule->ch == 'J' && rule->d < 1)
            return NULL;
    }
    return at != NULL && *at == '/' ? parse_time(at + 1, HOURS_MAX, &rule->s) : at;
}

/* False: it isn't right. */
static bool parse(const char *at, struct zone *zone)
{
    int offset;
    at = parse_name(at, zone->names[0]);
    at = at != NULL ? parse_time(at, 24, &offset) : NULL;
    if (at == NULL)
        return false;
    zone->rules[0].offset = offset;
    if (*at == 0)
        return true;
    at = parse_name(at, zone->names[1]);
    if (at == NULL)
        return false;
    zone->has_summer = true;
    offset -= SECONDS_PER_HOUR;
    if (*at != 0 && *at != ',')
        at = parse_time(at, 24, &offset);
    zone->rules[1].offset = offset;
    if (at != NULL && *at == 0)
        at = ",M3.2.0,M11.1.0";
    at = at != NULL ? parse_rule(at, &zone->rules[0]) : NULL;
    at = at != NULL ? parse_rule(at, &zone->rules[1]) : NULL;
    return at != NULL && *at == 0;
}

static void take(const struct zone *zone)
{
    __tzinfo_type *info = __gettzinfo();
    memcpy(names, zone->names, sizeof(names));
    memcpy(info->__tzrule, zone->rules, sizeof(zone->rules));
    _tzname[0] = names[0];
    _tzname[1] = names[zone->has_summer];
    _timezone = zone->rules[0].offset;
    _daylight = zone->has_summer;
    if (zone->has_summer)
        __tzcalc_limits(info->__tzyear);
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
