/* wall.c - UNIX time by SNTP. */
#include "wall.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "address.h"
#include "core.h"
#include "events.h"
#include "json.h"
#include "log.h"

#define MS           1000000ull
#define STEP_NS      (128 * (int64_t)MS)    /* larger errors are stepped */
#define SLEW_NS      500000                 /* at most, each time… */
#define SLEW_EACH_NS (1000 * MS)            /* …which is this: 500 ppm */
#define EARLIEST_NS  1735689600000000000ull /* 2025-01-01, before which this wasn't written */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t server;
static uint16_t port;
static bool measured;      /* since the last step */
static uint64_t target;    /* UNIX time at clock 0, by the latest answer */
static uint64_t answer_at; /* core_clock_ns of it, 0 = none yet */
static int64_t offset;     /* what was found wrong then */
static uint64_t slew_at;   /* 0 = nothing is left to be slewed */

void wall_start(const struct config *config)
{
    char text[ADDRESS_TEXT_MAX];

    server = config->ntp.off ? 0 : config->ntp.address ? config->ntp.address : config->net.ntp;
    port = config->ntp.port;
    if (!server)
        return;
    address_format(text, server);
    log_line("the time is asked of %s, port %u", text, port);
    core_sntp_start(server, port);
}

void wall_measured(uint64_t unix_ns)
{
    uint64_t now = core_clock_ns();

    if (unix_ns < EARLIEST_NS) {
        log_line("the time server's answer is long past and not believed");
        return;
    }
    pthread_mutex_lock(&lock);
    target = unix_ns - now;
    answer_at = now;
    measured = true;
    pthread_mutex_unlock(&lock);
    core_notify_kick();
}

static void set(uint64_t base)
{
    int64_t result = core_wall_set(base);

    if (result != 0)
        log_line("the core doesn't take the time (error %d)", (int)-result);
}

static void begin(uint64_t base)
{
    int64_t magnitude;

    measured = false;
    offset = (int64_t)(target - base);
    magnitude = offset < 0 ? -offset : offset;
    if (base != 0 && magnitude < STEP_NS) {
        slew_at = core_clock_ns();
        return;
    }
    slew_at = 0;
    set(target);
    log_line("the time was wrong by %" PRId64 " ms and is set", offset / (int64_t)MS);
    events_add(EVENT_HOST, "clock", NULL, NULL, "\"offset_ns\":%" PRId64, offset);
}

static void slew(uint64_t base)
{
    int64_t left = (int64_t)(target - base);
    int64_t part = left > SLEW_NS ? SLEW_NS : left < -SLEW_NS ? -SLEW_NS : left;

    slew_at = part == left ? 0 : core_clock_ns() + SLEW_EACH_NS;
    if (part != 0)
        set(base + (uint64_t)part);
}

void wall_step(void)
{
    uint64_t base = core_wall_base_ns();

    pthread_mutex_lock(&lock);
    if (measured)
        begin(base);
    if (slew_at && core_clock_ns() >= slew_at)
        slew(base);
    pthread_mutex_unlock(&lock);
}

uint64_t wall_deadline(void)
{
    uint64_t deadline;

    pthread_mutex_lock(&lock);
    deadline = measured ? 0 : slew_at ? slew_at : UINT64_MAX;
    pthread_mutex_unlock(&lock);
    return deadline;
}

void wall_to_json(cJSON *json)
{
    char address[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX + 8], number[24];

    pthread_mutex_lock(&lock);
    address_format(address, server);
    snprintf(text, sizeof(text), "%s:%u", address, port);
    if (server)
        cJSON_AddStringToObject(json, "server", text);
    else
        cJSON_AddNullToObject(json, "server");
    json_add_time(json, "last_answer_at", answer_at ? target + answer_at : 0);
    snprintf(number, sizeof(number), "%" PRId64, offset);
    cJSON_AddRawToObject(json, "offset_ns", number);
    cJSON_AddBoolToObject(json, "slewing", slew_at != 0);
    pthread_mutex_unlock(&lock);
}
