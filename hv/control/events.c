/* events.c - the ring of the latest events. */
#include "events.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "json.h"
#include "skep_tls.h"
#include "thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the last one to be taken */
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct event ring[EVENTS_KEPT];
static uint64_t last, epoch; /* epoch 0 = not started */

static const char *const kind_names[EVENT_KINDS] = {
    [EVENT_GUESTS] = "guests",
    [EVENT_IMAGES] = "images",
    [EVENT_VOLUMES] = "volumes",
    [EVENT_DISKS] = "disks",
    [EVENT_APPS] = "apps",
    [EVENT_TOKENS] = "tokens",
    [EVENT_CLIENT_CERTIFICATES] = "client-certificates",
    [EVENT_HOST] = "host",
};

const char *event_kind_name(enum event_kind kind)
{
    return kind_names[kind];
}

/* Two starts never have the same, also where there is no randomness: then it is the moment. */
static uint64_t new_epoch(void)
{
    uint64_t value = 0;

    if (tls_random(&value, sizeof(value)) != 0 || value == 0)
        value = core_wall_base_ns() + core_clock_ns();
    return value ? value : 1;
}

void events_start(void)
{
    uint64_t value = new_epoch();

    pthread_mutex_lock(&lock);
    epoch = value;
    pthread_mutex_unlock(&lock);
}

void events_stop(void)
{
    pthread_mutex_lock(&lock);
    last = epoch = 0;
    pthread_mutex_unlock(&lock);
}

/* What doesn't fit would be no JSON when cut. */
__attribute__((format(printf, 2, 0))) static void format_change(char text[EVENT_CHANGE_MAX],
                                                                const char *format, va_list args)
{
    int n;

    text[0] = '{';
    n = vsnprintf(text + 1, EVENT_CHANGE_MAX - 2, format, args);
    if (n < 0 || n >= (int)EVENT_CHANGE_MAX - 2)
        n = 0;
    text[n + 1] = '}';
    text[n + 2] = '\0';
}

void events_add(enum event_kind kind, const char *type, const char *name, const char *caller,
                const char *format, ...)
{
    struct event event = {.wall_ns = core_wall_ns(), .kind = kind, .type = type};
    va_list args;

    snprintf(event.name, sizeof(event.name), "%s", name ? name : "");
    snprintf(event.caller, sizeof(event.caller), "%s", caller ? caller : "");
    va_start(args, format);
    format_change(event.change, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (epoch) {
        event.number = ++last;
        ring[last % EVENTS_KEPT] = event;
        pthread_cond_broadcast(&more);
    }
    pthread_mutex_unlock(&lock);
}

uint64_t events_last(void)
{
    uint64_t number;

    pthread_mutex_lock(&lock);
    number = last;
    pthread_mutex_unlock(&lock);
    return number;
}

void events_id_text(uint64_t number, char text[EVENT_ID_MAX])
{
    for (unsigned shift = 64; shift > 0; shift -= 4)
        *text++ = "0123456789abcdef"[epoch >> (shift - 4) & 15];
    *text++ = '-';
    json_put_integer(text, number);
}

/* Written anew it must be the same text. */
bool events_id_read(const char *text, uint64_t *number)
{
    const char *digits = strchr(text, '-');
    char again[EVENT_ID_MAX];

    *number = digits ? strtoull(digits + 1, NULL, 10) : 0;
    events_id_text(*number, again);
    return strcmp(text, again) == 0 && *number <= events_last();
}

int events_read(uint64_t after, struct event *event)
{
    int result = 0;

    pthread_mutex_lock(&lock);
    if (last - after > EVENTS_KEPT)
        result = -1;
    else if (last > after) {
        *event = ring[(after + 1) % EVENTS_KEPT];
        result = 1;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

void events_wait(uint64_t after, unsigned ms)
{
    struct timespec until = thread_until(ms * 1000000ull);

    pthread_mutex_lock(&lock);
    while (last <= after && pthread_cond_timedwait(&more, &lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&lock);
}

static void add_text(cJSON *json, const char *field, const char *text)
{
    if (*text)
        cJSON_AddStringToObject(json, field, text);
    else
        cJSON_AddNullToObject(json, field);
}

cJSON *event_to_json(const struct event *event, bool with_caller)
{
    cJSON *json = cJSON_CreateObject();
    char id[EVENT_ID_MAX];

    events_id_text(event->number, id);
    cJSON_AddStringToObject(json, "id", id);
    json_add_time(json, "time", event->wall_ns);
    cJSON_AddStringToObject(json, "type", event->type);
    cJSON_AddStringToObject(json, "kind", event_kind_name(event->kind));
    add_text(json, "name", event->name);
    add_text(json, "caller", with_caller ? event->caller : "");
    cJSON_AddRawToObject(json, "change", event->change);
    return json;
}
