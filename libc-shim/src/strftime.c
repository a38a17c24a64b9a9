/*
 * strftime.c - strftime(), with the flags that Linux' C library has beside POSIX's: "%-d" is a day without anything before it,
 * "%_d" has a space there, "%^a" is in capitals, "%#Z" in letters of the other case. A conversion that there isn't stays as it
 * is.
 */
#include <ctype.h>
#include <langinfo.h>
#include <string.h>
#include <time.h>

#include "shim.h"

#define FIRST_YEAR  1900
#define DAYS_A_WEEK 7

struct text {
    char *to;
    size_t room, used; /* used: also what had no room */
};

/* One conversion. */
struct how {
    char pad; /* of numbers and texts; 0: as usual, '-': spaces, and only for a width */
    bool capitals, other_case;
    int width; /* -1: as usual */
};

static void put(struct text *text, char character)
{
    if (text->used < text->room)
        text->to[text->used] = character;
    text->used++;
}

static void put_pad(struct text *text, int count, char pad)
{
    while (count-- > 0)
        put(text, pad);
}

/* At least so many digits, or pad before it. */
static void put_number(struct text *text, const struct how *how, int64_t number, int width,
                       char pad)
{
    char digits[24], *first = digits + sizeof(digits);
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--first = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    int length = (int)(digits + sizeof(digits) - first) + (number < 0);
    if (how->pad != 0)
        pad = how->pad;
    if (how->width >= 0)
        width = how->width;
    else if (pad == '-')
        width = 0;
    if (pad == '-')
        pad = ' ';
    int missing = width - length;
    if (pad == ' ')
        put_pad(text, missing, ' ');
    if (number < 0)
        put(text, '-');
    if (pad == '0')
        put_pad(text, missing, '0');
    while (first < digits + sizeof(digits))
        put(text, *first++);
}

static void put_text(struct text *text, const struct how *how, const char *what)
{
    put_pad(text, how->width - (int)strlen(what), how->pad == '0' ? '0' : ' ');
    for (; *what != 0; what++)
        put(text, how->capitals ? (char)toupper((unsigned char)*what) : *what);
}

/* "#" turns capitals into small letters where there is no other. */
static void put_short(struct text *text, const struct how *how, const char *what, bool small)
{
    char changed[16];
    size_t length = strnlen(what, sizeof(changed) - 1);
    if (!small && !how->other_case) {
        put_text(text, how, what);
        return;
    }
    for (size_t i = 0; i < length; i++)
        changed[i] = (char)tolower((unsigned char)what[i]);
    changed[length] = 0;
    put_text(text, how, changed);
}

static void put_name(struct text *text, const struct how *how, nl_item first, int count, int index)
{
    struct how capitals = *how;
    capitals.capitals |= how->other_case;
    put_text(text, &capitals, index >= 0 && index < count ? nl_langinfo(first + index) : "?");
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The week is the one, of the year that has most of it, that has the date's Thursday (ISO 8601). */
static int week_of(const struct tm *time, int64_t *year)
{
    int thursday = time->tm_yday - (time->tm_wday + DAYS_A_WEEK - 1) % DAYS_A_WEEK + 3;
    *year = (int64_t)time->tm_year + FIRST_YEAR;
    if (thursday < 0)
        thursday += 365 + is_leap(--*year);
    else if (thursday >= 365 + is_leap(*year))
        thursday -= 365 + is_leap((*year)++);
    return thursday / DAYS_A_WEEK + 1;
}

static void put_zone_offset(struct text *text, const struct how *how, const struct tm *time)
{
    struct how plain = *how;
    if (time->tm_isdst < 0)
        return;
    long minutes = time->tm_gmtoff / 60;
    put(text, minutes < 0 ? '-' : '+');
    if (minutes < 0)
        minutes = -minutes;
    if (plain.width > 0)
        plain.width--;
    put_number(text, &plain, minutes / 60 * 100 + minutes % 60, 4, '0');
}

static const char *zone_of(const struct tm *time)
{
    if (time->tm_isdst < 0)
        return "";
    if (time->tm_zone != NULL)
        return time->tm_zone;
    tzset();
    return tzname[time->tm_isdst != 0];
}

static void format(struct text *text, const char *from, const struct tm *time, bool capitals);

static void put_format(struct text *text, const struct how *how, const char *what,
                       const struct tm *time)
{
    struct text length = {.room = 0};
    format(&length, what, time, false);
    put_pad(text, how->width - (int)length.used, how->pad == '0' ? '0' : ' ');
    format(text, what, time, how->capitals);
}

/* Of the time of day. False: there is no such conversion. */
static bool put_time(struct text *text, const struct how *how, char conversion,
                     const struct tm *time)
{
    int hour = time->tm_hour % 12 == 0 ? 12 : time->tm_hour % 12;
    const char *half = nl_langinfo(time->tm_hour >= 12 ? PM_STR : AM_STR);
    struct tm copy = *time;
    switch (conversion) {
    case 'H':
        put_number(text, how, time->tm_hour, 2, '0');
        return true;
    case 'I':
        put_number(text, how, hour, 2, '0');
        return true;
    case 'k':
        put_number(text, how, time->tm_hour, 2, ' ');
        return true;
    case 'l':
        put_number(text, how, hour, 2, ' ');
        return true;
    case 'M':
        put_number(text, how, time->tm_min, 2, '0');
        return true;
    case 'S':
        put_number(text, how, time->tm_sec, 2, '0');
        return true;
    case 's':
        put_number(text, how, mktime(&copy), 1, ' ');
        return true;
    case 'p':
        put_short(text, how, half, false);
        return true;
    case 'P':
        put_short(text, how, half, true);
        return true;
    case 'r':
        put_format(text, how, "%I:%M:%S %p", time);
        return true;
    case 'R':
        put_format(text, how, "%H:%M", time);
        return true;
    case 'T':
    case 'X':
        put_format(text, how, "%H:%M:%S", time);
        return true;
    case 'z':
        put_zone_offset(text, how, time);
        return true;
    case 'Z':
        put_short(text, how, zone_of(time), false);
        return true;
    default:
        return false;
    }
}

static bool put_week(struct text *text, const struct how *how, char conversion,
                     const struct tm *time)
{
    int64_t year;
    int week = week_of(time, &year), from_monday = (time->tm_wday + 6) % DAYS_A_WEEK;
    switch (conversion) {
    case 'a':
        put_name(text, how, ABDAY_1, DAYS_A_WEEK, time->tm_wday);
        return true;
    case 'A':
        put_name(text, how, DAY_1, DAYS_A_WEEK, time->tm_wday);
        return true;
    case 'u':
        put_number(text, how, from_monday + 1, 1, '0');
        return true;
    case 'w':
        put_number(text, how, time->tm_wday, 1, '0');
        return true;
    case 'U':
        put_number(text, how, (time->tm_yday - time->tm_wday + 7) / 7, 2, '0');
        return true;
    case 'W':
        put_number(text, how, (time->tm_yday - from_monday + 7) / 7, 2, '0');
        return true;
    case 'V':
        put_number(text, how, week, 2, '0');
        return true;
    case 'g':
        put_number(text, how, (year % 100 + 100) % 100, 2, '0');
        return true;
    case 'G':
        put_number(text, how, year, 1, '0');
        return true;
    default:
        return put_time(text, how, conversion, time);
    }
}

static bool put_date(struct text *text, const struct how *how, char conversion,
                     const struct tm *time)
{
    int64_t year = (int64_t)time->tm_year + FIRST_YEAR;
    switch (conversion) {
    case 'b':
    case 'h':
        put_name(text, how, ABMON_1, 12, time->tm_mon);
        return true;
    case 'B':
        put_name(text, how, MON_1, 12, time->tm_mon);
        return true;
    case 'm':
        put_number(text, how, time->tm_mon + 1, 2, '0');
        return true;
    case 'd':
        put_number(text, how, time->tm_mday, 2, '0');
        return true;
    case 'e':
        put_number(text, how, time->tm_mday, 2, ' ');
        return true;
    case 'j':
        put_number(text, how, time->tm_yday + 1, 3, '0');
        return true;
    case 'C':
        put_number(text, how, year / 100 - (year % 100 < 0), 2, '0');
        return true;
    case 'y':
        put_number(text, how, (year % 100 + 100) % 100, 2, '0');
        return true;
    case 'Y':
        put_number(text, how, year, 1, '0');
        return true;
    case 'c':
        put_format(text, how, "%a %b %e %H:%M:%S %Y", time);
        return true;
    case 'D':
    case 'x':
        put_format(text, how, "%m/%d/%y", time);
        return true;
    case 'F':
        put_format(text, how, "%Y-%m-%d", time);
        return true;
    default:
        return put_week(text, how, conversion, time);
    }
}

static bool put_conversion(struct text *text, const struct how *how, char conversion,
                           const struct tm *time)
{
    switch (conversion) {
    case '%':
        put_text(text, how, "%");
        return true;
    case 'n':
        put_text(text, how, "\n");
        return true;
    case 't':
        put_text(text, how, "\t");
        return true;
    default:
        return put_date(text, how, conversion, time);
    }
}

static const char *parse_flags(struct how *how, const char *from)
{
    for (;; from++)
        switch (*from) {
        case '_':
            how->pad = ' ';
            break;
        case '-':
        case '0':
            how->pad = *from;
            break;
        case '^':
            how->capitals = true;
            break;
        case '#':
            how->other_case = true;
            break;
        default:
            return from;
        }
}

static void format(struct text *text, const char *from, const struct tm *time, bool capitals)
{
    while (*from != 0) {
        const char *begin = from;
        struct how how = {.capitals = capitals, .width = -1};
        if (*from++ != '%') {
            put(text, *begin);
            continue;
        }
        from = parse_flags(&how, from);
        for (; isdigit((unsigned char)*from); from++)
            how.width = how.width < 0      ? *from - '0'
                        : how.width < 1000 ? 10 * how.width + (*from - '0')
                                           : how.width;
        from += *from == 'E' || *from == 'O'; /* what the locale doesn't have */
        if (*from != 0 && put_conversion(text, &how, *from, time)) {
            from++;
            continue;
        }
        from += *from != 0;
        while (begin < from)
            put(text, *begin++);
    }
}

static size_t put_all(char *to, size_t room, const char *from, const struct tm *time)
{
    struct text text = {.to = to, .room = room};
    format(&text, from, time, false);
    if (text.used >= room)
        return 0;
    to[text.used] = 0;
    return text.used;
}

size_t strftime(char *to, size_t room, const char *from, const struct tm *time)
{
    return put_all(to, room, from, time);
}

size_t strftime_l(char *to, size_t room, const char *from, const struct tm *time, locale_t locale)
{
    (void)locale; /* all have these names */
    return put_all(to, room, from, time);
}
