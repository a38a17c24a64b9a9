/*
 * strptime.c - strptime(): a date out of a text. Numbers have at most as many digits as they need and must be in their range;
 * what a text says of a date's parts tells of others, as in Linux' C library.
 */
#include <ctype.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "shim.h"

#define WHITE       " \t\n\v\f\r"
#define DAYS_A_WEEK 7
#define HOURS_OF_AM 12
#define FIRST_YEAR  1900
#define SPLIT_YEAR  69 /* of two digits: from here on it is in the last century */

/* What the text has said. */
struct seen {
    bool weekday, day, month, year_day,
        date;              /* date: any part of one, so that the others are to be computed */
    bool of_century, half; /* a year of two digits; an hour of 12 */
    bool is_afternoon;
    int century;              /* -1: none */
    int week, week_begins_on; /* -1: none; 0 = Sunday, 1 = Monday */
};

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Of a year, before a month, which may be the one behind the last. */
static int days_before(int year, int month)
{
    static const short days[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    return days[month] + (month > 1 && is_leap(year));
}

/* 1 January 1900 was a Monday. */
static int weekday_of(const struct tm *date)
{
    int year = date->tm_year + FIRST_YEAR, before = year - 1;
    int days = 365 * date->tm_year + before / 4 - before / 100 + before / 400 -
               (FIRST_YEAR - 1) / 4 + (FIRST_YEAR - 1) / 100 - (FIRST_YEAR - 1) / 400 +
               days_before(year, date->tm_mon) + date->tm_mday;
    return (days % DAYS_A_WEEK + DAYS_A_WEEK) % DAYS_A_WEEK;
}

/* Of so many digits at most, behind white space; from least to most, and `less` in *out. NULL: there is no such number. */
static const char *number_less(const char *text, int digits, int least, int most, int less,
                               int *out)
{
    int value = 0;
    text += strspn(text, WHITE);
    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; digits > 0 && isdigit((unsigned char)*text); digits--)
        value = 10 * value + (*text++ - '0');
    if (value < least || value > most)
        return NULL;
    *out = value - less;
    return text;
}

static const char *number(const char *text, int digits, int least, int most, int *out)
{
    return number_less(text, digits, least, most, 0, out);
}

/* One of a locale's names, in full or as the short ones have it, whatever its case. */
static const char *name(const char *text, nl_item in_full, nl_item in_short, int count, int *out)
{
    for (int i = 0; i < 2 * count; i++) {
        const char *each = nl_langinfo(i < count ? in_full + i : in_short + i - count);
        size_t length = strlen(each);
        if (strncasecmp(text, each, length) == 0) {
            *out = i % count;
            return text + length;
        }
    }
    return NULL;
}

/* Z, +hh, +hhmm or +hh:mm. */
static const char *zone(const char *text, struct tm *out)
{
    int hours = 0, minutes = 0;
    text += strspn(text, WHITE);
    if (*text == 'Z') {
        out->tm_gmtoff = 0;
        return text + 1;
    }
    int sign = *text == '-' ? -1 : 1;
    if (*text != '+' && *text != '-')
        return NULL;
    if (!isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[2]))
        return NULL;
    text = number(text + 1, 2, 0, 99, &hours);
    const char *rest = *text == ':' ? text + 1 : text;
    if (isdigit((unsigned char)rest[0])) {
        text = isdigit((unsigned char)rest[1]) ? number(rest, 2, 0, 59, &minutes) : NULL;
        if (text == NULL)
            return NULL;
    }
    out->tm_gmtoff = sign * (hours * 3600L + minutes * 60L);
    return text;
}

static const char *seconds(const char *text, struct tm *out)
{
    char *end;
    time_t time = strtoll(text, &end, 10);
    return end != text && localtime_r(&time, out) != NULL ? end : NULL;
}

static const char *parse(const char *text, const char *format, struct tm *out, struct seen *seen);

/* Of a part of the time of day. */
static const char *parse_time(const char *text, char conversion, struct tm *out, struct seen *seen)
{
    int value = 0;
    switch (conversion) {
    case 'H':
    case 'k':
        seen->half = false;
        return number(text, 2, 0, 23, &out->tm_hour);
    case 'I':
    case 'l':
        seen->half = true;
        text = number(text, 2, 1, HOURS_OF_AM, &value);
        if (text != NULL)
            out->tm_hour = value % HOURS_OF_AM;
        return text;
    case 'M':
        return number(text, 2, 0, 59, &out->tm_min);
    case 'S':
        return number(text, 2, 0, 61, &out->tm_sec);
    case 'p':
        text = name(text, AM_STR, AM_STR, 2, &value);
        seen->is_afternoon = value == 1;
        return text;
    case 'r':
        return parse(text, "%I:%M:%S %p", out, seen);
    case 'R':
        return parse(text, "%H:%M", out, seen);
    case 'T':
    case 'X':
        return parse(text, "%H:%M:%S", out, seen);
    case 's':
        return seconds(text, out);
    case 'z':
        return zone(text, out);
    case 'Z': /* a zone's name, without a meaning */
        text += strspn(text, WHITE);
        return text + strcspn(text, WHITE);
    default:
        return NULL;
    }
}

static const char *parse_week(const char *text, char conversion, struct tm *out, struct seen *seen)
{
    int value = 0;
    switch (conversion) {
    case 'a':
    case 'A':
        seen->weekday = true;
        return name(text, DAY_1, ABDAY_1, DAYS_A_WEEK, &out->tm_wday);
    case 'u':
        seen->weekday = true;
        text = number(text, 1, 1, DAYS_A_WEEK, &value);
        if (text != NULL)
            out->tm_wday = value % DAYS_A_WEEK;
        return text;
    case 'w':
        seen->weekday = true;
        return number(text, 1, 0, DAYS_A_WEEK - 1, &out->tm_wday);
    case 'U':
    case 'W':
        seen->week_begins_on = conversion == 'W';
        return number(text, 2, 0, 53, &seen->week);
    case 'V': /* weeks of ISO 8601, and their years, are read only */
        return number(text, 2, 0, 53, &value);
    case 'g':
        return number(text, 2, 0, 99, &value);
    case 'G':
        return number(text, 4, 0, 9999, &value);
    default:
        return parse_time(text, conversion, out, seen);
    }
}

static const char *parse_date(const char *text, char conversion, struct tm *out, struct seen *seen)
{
    int value = 0;
    seen->date = true;
    switch (conversion) {
    case 'b':
    case 'B':
    case 'h':
        seen->month = true;
        return name(text, MON_1, ABMON_1, 12, &out->tm_mon);
    case 'm':
        seen->month = true;
        return number_less(text, 2, 1, 12, 1, &out->tm_mon);
    case 'd':
    case 'e':
        seen->day = true;
        return number(text, 2, 1, 31, &out->tm_mday);
    case 'Y':
        seen->century = -1;
        seen->of_century = false;
        return number_less(text, 4, 0, 9999, FIRST_YEAR, &out->tm_year);
    case 'y':
        seen->of_century = true;
        text = number(text, 2, 0, 99, &value);
        if (text != NULL)
            out->tm_year = value < SPLIT_YEAR ? value + 100 : value;
        return text;
    case 'C':
        return number(text, 2, 0, 99, &seen->century);
    case 'c':
        return parse(text, "%a %b %e %H:%M:%S %Y", out, seen);
    case 'D':
    case 'x':
        return parse(text, "%m/%d/%y", out, seen);
    case 'F':
        return parse(text, "%Y-%m-%d", out, seen);
    default:
        return NULL;
    }
}

static const char *parse_conversion(const char *text, char conversion, struct tm *out,
                                    struct seen *seen)
{
    if (conversion == '%')
        return *text == '%' ? text + 1 : NULL;
    if (conversion == 'n' || conversion == 't')
        return text + strspn(text, WHITE);
    if (conversion == 'j') {
        seen->year_day = true;
        return number_less(text, 3, 1, 366, 1, &out->tm_yday);
    }
    return conversion != 0 && strchr("bBhmdeYyCcDxF", conversion) != NULL
               ? parse_date(text, conversion, out, seen)
               : parse_week(text, conversion, out, seen);
}

/* Behind what the format has, or NULL. Modifiers E and O ask for what the locale doesn't have; flags and a width say
 * nothing. */
static const char *parse(const char *text, const char *format, struct tm *out, struct seen *seen)
{
    for (; text != NULL && *format != 0; format++) {
        if (isspace((unsigned char)*format)) {
            text += strspn(text, WHITE);
        } else if (*format != '%') {
            text = *text == *format ? text + 1 : NULL;
        } else {
            format++;
            format += strspn(format, "-_^#0123456789");
            format += strspn(format, "EO");
            if (*format == 0)
                return NULL;
            text = parse_conversion(text, *format, out, seen);
        }
    }
    return text;
}

/* The month, and the day in it, of a day of the year. */
static void date_of_year_day(struct tm *date, const struct seen *seen)
{
    int year = date->tm_year + FIRST_YEAR, month = 0;
    while (month < 11 && days_before(year, month + 1) <= date->tm_yday)
        month++;
    if (!seen->month)
        date->tm_mon = month;
    if (!seen->day)
        date->tm_mday = date->tm_yday - days_before(year, month) + 1;
}

/* The date of a day of a week of the year. */
static void date_of_week(struct tm *date, const struct seen *seen)
{
    struct tm first = {.tm_year = date->tm_year, .tm_mday = 1};
    int from = seen->week_begins_on;
    int to_first_week = (DAYS_A_WEEK - (weekday_of(&first) - from)) % DAYS_A_WEEK;
    int in_week = (date->tm_wday - from + DAYS_A_WEEK) % DAYS_A_WEEK;
    if (!seen->year_day)
        date->tm_yday = to_first_week + (seen->week - 1) * DAYS_A_WEEK + in_week;
    if (!seen->month || !seen->day)
        date_of_year_day(date, seen);
}

/* The caller's, if the text says none, which may be anything. */
static bool has_month(const struct tm *date)
{
    return date->tm_mon >= 0 && date->tm_mon < 12;
}

static void complete(struct tm *date, const struct seen *seen)
{
    if (seen->half && seen->is_afternoon)
        date->tm_hour += HOURS_OF_AM;
    if (seen->century >= 0)
        date->tm_year =
            (seen->century - FIRST_YEAR / 100) * 100 + (seen->of_century ? date->tm_year % 100 : 0);
    if (seen->date && !seen->weekday) {
        if (seen->year_day && !(seen->month && seen->day))
            date_of_year_day(date, seen);
        if (has_month(date))
            date->tm_wday = weekday_of(date);
    }
    if (seen->date && !seen->year_day && has_month(date))
        date->tm_yday = days_before(date->tm_year + FIRST_YEAR, date->tm_mon) + date->tm_mday - 1;
    if (seen->week >= 0 && seen->weekday)
        date_of_week(date, seen);
}

char *strptime_l(const char *text, const char *format, struct tm *out, locale_t locale)
{
    (void)locale; /* all have these names */
    struct seen seen = {.century = -1, .week = -1};
    text = parse(text, format, out, &seen);
    if (text == NULL)
        return NULL;
    complete(out, &seen);
    return (char *)text;
}

char *strptime(const char *text, const char *format, struct tm *out)
{
    return strptime_l(text, format, out, NULL);
}
