/* json.c - strict JSON, without recursion in the checks: a client chooses the depth. */
#include "json.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct scan {
    const unsigned char *at, *end;
    const char *error;
};

static bool scan_fail(struct scan *s, const char *error)
{
    if (!s->error)
        s->error = error;
    return false;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

/* Bytes of the UTF-8 character at the start of text, 0 if it is none. */
static size_t utf8_length(const unsigned char *text, size_t room)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : 4;
    uint32_t code = text[0] & (n == 1 ? 0x7f : 0x7f >> n);

    if (n > room || (n == 4 && text[0] >> 3 != 30))
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return n;
}

static int hex4(const struct scan *s, const unsigned char *at)
{
    int value = 0;

    if (s->end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = at[i] | 0x20;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return -1;
        value = value << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
}

/* At a backslash. */
static bool scan_escape(struct scan *s)
{
    if (++s->at == s->end || !strchr("\"\\/bfnrtu", *s->at) || *s->at == '\0')
        return scan_fail(s, "an unknown escape in a string");
    if (*s->at++ != 'u')
        return true;
    int unit = hex4(s, s->at);
    if (unit <= 0)
        return scan_fail(s, unit ? "a malformed \\u escape" : "a NUL character in a string");
    s->at += 4;
    if (unit >= 0xdc00 && unit < 0xe000)
        return scan_fail(s, "half a surrogate pair");
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
            return scan_fail(s, "half a surrogate pair");
        unit = hex4(s, s->at + 2);
        if (unit < 0xdc00 || unit >= 0xe000)
            return scan_fail(s, "half a surrogate pair");
        s->at += 6;
    }
    return true;
}

static bool scan_string(struct scan *s)
{
    if (s->at == s->end || *s->at != '"')
        return scan_fail(s, "a name in double quotes was expected");
    for (s->at++; s->at < s->end && *s->at != '"';) {
        if (*s->at == '\\') {
            if (!scan_escape(s))
                return false;
            continue;
        }
        size_t n = utf8_length(s->at, (size_t)(s->end - s->at));
        if (n == 0)
            return scan_fail(s, "text that is not UTF-8");
        if (*s->at < 0x20)
            return scan_fail(s, "an unescaped control character in a string");
        s->at += n;
    }
    if (s->at == s->end)
        return scan_fail(s, "a string without an end");
    s->at++;
    return true;
}

static size_t skip_digits(struct scan *s)
{
    const unsigned char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - start);
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-')
        s->at++;
    const unsigned char *first = s->at;
    size_t digits = skip_digits(s);
    if (digits == 0 || (digits > 1 && *first == '0'))
        return scan_fail(s, "a malformed number");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (skip_digits(s) == 0)
            return scan_fail(s, "a malformed number");
    }
    if (s->at < s->end && (*s->at | 0x20) == 'e') {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (skip_digits(s) == 0)
            return scan_fail(s, "a malformed number");
    }
    return true;
}

static bool scan_word(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};

    for (unsigned i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(s->end - s->at) >= n && memcmp(s->at, words[i], n) == 0) {
            s->at += n;
            return true;
        }
    }
    return scan_fail(s, "a value was expected");
}

static bool scan_scalar(struct scan *s)
{
    if (*s->at == '"')
        return scan_string(s);
    if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
        return scan_number(s);
    return scan_word(s);
}

static bool scan_name(struct scan *s)
{
    skip_space(s);
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (s->at == s->end || *s->at++ != ':')
        return scan_fail(s, "a colon was expected after a name");
    return true;
}

/* After a value: closes what ends here. 1 = another value comes, 0 = all is closed, -1 = error. */
static int scan_after(struct scan *s, const char *open, unsigned *depth)
{
    while (*depth > 0) {
        skip_space(s);
        if (s->at == s->end)
            return scan_fail(s, "the text ends too early") ? 0 : -1;
        char c = (char)*s->at++;
        if (c == ',')
            return open[*depth - 1] != '}' || scan_name(s) ? 1 : -1;
        if (c != open[*depth - 1])
            return scan_fail(s, "a comma or a closing bracket was expected") ? 0 : -1;
        --*depth;
    }
    return 0;
}

/* Opens an array or object; true if it has a first value, false if it was empty or is an error. */
static bool scan_open(struct scan *s, char *open, unsigned *depth)
{
    char close = *s->at++ == '{' ? '}' : ']';

    if (*depth == JSON_DEPTH_MAX)
        return scan_fail(s, "arrays and objects nested too deeply; 32 levels are the limit");
    open[(*depth)++] = close;
    skip_space(s);
    if (s->at < s->end && *s->at == (unsigned char)close)
        return false;
    return close == ']' || scan_name(s);
}

static bool scan_document(struct scan *s)
{
    char open[JSON_DEPTH_MAX];
    unsigned depth = 0;
    int more;

    do {
        skip_space(s);
        if (s->at == s->end)
            return scan_fail(s, "the text ends too early");
        if (*s->at == '{' || *s->at == '[') {
            if (scan_open(s, open, &depth))
                more = 1;
            else if (s->error)
                return false;
            else /* empty: its bracket comes next */
                more = scan_after(s, open, &depth);
        } else if (!scan_scalar(s)) {
            return false;
        } else {
            more = scan_after(s, open, &depth);
        }
    } while (more > 0);
    skip_space(s);
    return more == 0 && (s->at == s->end || scan_fail(s, "text after the end of the value"));
}

/* Depth is bounded by now. */
static const char *find_duplicate(const cJSON *value)
{
    const cJSON *item;
    unsigned count = 0;

    cJSON_ArrayForEach(item, value)
    {
        const char *below = find_duplicate(item);
        if (below)
            return below;
        if (!cJSON_IsObject(value))
            continue;
        if (++count > JSON_MEMBERS_MAX)
            return "";
        if (cJSON_GetObjectItemCaseSensitive(value, item->string) != item)
            return item->string;
    }
    return NULL;
}

/* cJSON notes where it failed in a global, which nobody reads, but which threads must not race for. */
static cJSON *parse_alone(const char *text, size_t bytes)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    cJSON *value;

    pthread_mutex_lock(&lock);
    value = cJSON_ParseWithLength(text, bytes);
    pthread_mutex_unlock(&lock);
    return value;
}

cJSON *json_parse(const char *text, size_t bytes, struct problem *p)
{
    struct scan s = {(const unsigned char *)text, (const unsigned char *)text + bytes, NULL};
    const char *twice;
    cJSON *value;

    if (!scan_document(&s)) {
        problem_set(p, 400, "The body is no JSON: %s, at byte %zu.", s.error,
                    (size_t)(s.at - (const unsigned char *)text));
        return NULL;
    }
    value = parse_alone(text, bytes);
    if (!value) {
        problem_set(p, 503, "There is no memory for the request now; try again.");
        return NULL;
    }
    twice = find_duplicate(value);
    if (!twice)
        return value;
    problem_set(p, 400,
                *twice ? "The body has '%s' twice in one object."
                       : "An object has %stoo many members.",
                twice);
    cJSON_Delete(value);
    return NULL;
}

bool json_integer(const cJSON *item, uint64_t min, uint64_t max, uint64_t *value)
{
    double number = cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (!(number >= 0) || number > 9007199254740992.0)
        return false;
    *value = (uint64_t)number;
    return (double)*value == number && *value >= min && *value <= max;
}

cJSON *json_add_item(cJSON *object, const char *name, cJSON *item)
{
    if (cJSON_AddItemToObjectCS(object, name, item))
        return item;
    cJSON_Delete(item);
    return NULL;
}

char *json_put_integer(char *at, uint64_t value)
{
    char text[24] = "", *digits = text + sizeof(text) - 1;

    do
        *--digits = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return stpcpy(at, digits);
}

cJSON *json_create_integer(uint64_t value)
{
    char text[24];

    json_put_integer(text, value);
    return cJSON_CreateRaw(text);
}

cJSON *json_create_hex(uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    return cJSON_CreateString(text);
}

/* Just so many digits, and what comes behind them. */
static char *put_digits(char *at, unsigned count, unsigned value, char behind)
{
    for (unsigned i = count; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    at[count] = behind;
    return at + count + 1;
}

void json_time_text(uint64_t wall_ns, char text[JSON_TIME_MAX])
{
    time_t seconds = (time_t)(wall_ns / 1000000000u);
    struct tm tm;

    if (wall_ns && gmtime_r(&seconds, &tm)) {
        text = put_digits(text, 4, (unsigned)tm.tm_year + 1900, '-');
        text = put_digits(text, 2, (unsigned)tm.tm_mon + 1, '-');
        text = put_digits(text, 2, (unsigned)tm.tm_mday, 'T');
        text = put_digits(text, 2, (unsigned)tm.tm_hour, ':');
        text = put_digits(text, 2, (unsigned)tm.tm_min, ':');
        text = put_digits(text, 2, (unsigned)tm.tm_sec, '.');
        text = put_digits(text, 3, (unsigned)(wall_ns / 1000000u % 1000u), 'Z');
    }
    *text = '\0';
}

cJSON *json_create_time(uint64_t wall_ns)
{
    char text[JSON_TIME_MAX];

    json_time_text(wall_ns, text);
    return *text ? cJSON_CreateString(text) : cJSON_CreateNull();
}

/* Digits, then the character behind them; -1 if they aren't there or are no number from min to max. */
static int take_digits(const char **at, unsigned count, char behind, int min, int max)
{
    int value = 0;

    for (unsigned i = 0; i < count; i++, ++*at) {
        if (**at < '0' || **at > '9')
            return -1;
        value = 10 * value + (**at - '0');
    }
    if (value < min || value > max || (behind && *(*at)++ != behind))
        return -1;
    return value;
}

/* Milliseconds, if there is a fraction; what is finer is left out. */
static int take_fraction(const char **at)
{
    int ms = 0, weight = 100;

    if (**at != '.')
        return 0;
    for (++*at; **at >= '0' && **at <= '9' && weight >= 0; ++*at, weight /= 10)
        ms += weight * (**at - '0');
    return (*at)[-1] == '.' ? -1 : ms;
}

/* Days from 1970 on, in the proleptic Gregorian calendar; years begin with March here, so that the leap day is the last. */
static int64_t days_until(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return 365 * y + y / 4 - y / 100 + y / 400 + in_year - 719468;
}

static int days_in(int year, int month)
{
    int next = month == 12 ? 1 : month + 1;
    return (int)(days_until(month == 12 ? year + 1 : year, next, 1) - days_until(year, month, 1));
}

bool json_time_read(const char *text, uint64_t *wall_ns)
{
    int year, month, day, hour, minute, second, ms;

    if ((year = take_digits(&text, 4, '-', 1970, 2499)) < 0 ||
        (month = take_digits(&text, 2, '-', 1, 12)) < 0 ||
        (day = take_digits(&text, 2, 'T', 1, days_in(year, month))) < 0 ||
        (hour = take_digits(&text, 2, ':', 0, 23)) < 0 ||
        (minute = take_digits(&text, 2, ':', 0, 59)) < 0 ||
        (second = take_digits(&text, 2, 0, 0, 59)) < 0 || (ms = take_fraction(&text)) < 0 ||
        strcmp(text, "Z") != 0)
        return false;
    *wall_ns = ((uint64_t)days_until(year, month, day) * 86400 +
                (uint64_t)(3600 * hour + 60 * minute + second)) *
                   1000000000u +
               (uint64_t)ms * 1000000u;
    return true;
}

void json_clean_text(char *text)
{
    size_t room = strlen(text);

    while (*text) {
        size_t n = utf8_length((unsigned char *)text, room);
        if (n == 0 && room < 4 && (*text & 0xc0) == 0xc0) {
            *text = '\0'; /* cut short by a buffer's end */
            return;
        }
        if (n == 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
        n = n ? n : 1;
        text += n;
        room -= n;
    }
}

void json_clean_line(char *text, const char *end)
{
    while (text < end) {
        size_t n = utf8_length((unsigned char *)text, (size_t)(end - text));
        if (n == 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
        text += n ? n : 1;
    }
}
