/* top.c - what guests use now, from the differences of their counters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "guest.h"
#include "interrupt.h"
#include "table.h"

#define CLEAR "\033[H\033[2J"

/* Guests and the machine at one moment. */
struct sample {
    struct answer guests, host;
};

static void sample_end(struct sample *s)
{
    answer_end(&s->guests);
    answer_end(&s->host);
}

static int take_sample(struct sample *s)
{
    int result = api_get("/v1/guests", &s->guests);
    return result == EXIT_OK ? api_get("/v1/host", &s->host) : result;
}

static const cJSON *find_guest(const cJSON *list, const char *name)
{
    const cJSON *guest;

    cJSON_ArrayForEach(guest, value_at(list, "items"))
    {
        if (strcmp(value_text(guest, "name", ""), name) == 0)
            return guest;
    }
    return NULL;
}

static double network_bytes(const cJSON *guest, const char *field)
{
    const cJSON *network;
    double sum = 0;

    cJSON_ArrayForEach(network, value_at(guest, "status.networks")) sum +=
        value_number(network, field);
    return sum;
}

/* By how much a counter grew; after a restart it began anew. */
static double growth(double now, double before)
{
    return now >= before ? now - before : now;
}

/* What a guest used of each second. */
struct use {
    double cpu_percent, received, sent;
};

static struct use use_of(const cJSON *guest, const cJSON *before, double seconds)
{
    return (struct use){
        .cpu_percent = growth(value_number(guest, "status.cpu_time_ns"),
                              value_number(before, "status.cpu_time_ns")) /
                       1e7 / seconds,
        .received =
            growth(network_bytes(guest, "rx_bytes"), network_bytes(before, "rx_bytes")) / seconds,
        .sent =
            growth(network_bytes(guest, "tx_bytes"), network_bytes(before, "tx_bytes")) / seconds};
}

static double seconds_between(const struct sample *before, const struct sample *now)
{
    double ns =
        value_number(now->host.json, "uptime_ns") - value_number(before->host.json, "uptime_ns");
    return ns > 0 ? ns / 1e9 : 1; /* it was rebooted in between */
}

static void add_row(struct table *t, const cJSON *guest, struct use use)
{
    char used[TEXT_MAX], promised[TEXT_MAX], rx[TEXT_MAX], tx[TEXT_MAX];

    table_add(t, "%s\t%s\t%.1f\t%s / %s\t%s/s\t%s/s", value_text(guest, "name", "?"),
              value_text(guest, "status.state", "?"), use.cpu_percent,
              size_text(value_number(guest, "status.memory_used_bytes"), used),
              size_text(value_number(guest, "status.memory_promised_bytes"), promised),
              size_text(use.received, rx), size_text(use.sent, tx));
}

static void add_item(cJSON *list, const cJSON *guest, struct use use)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", value_text(guest, "name", "?"));
    cJSON_AddStringToObject(item, "state", value_text(guest, "status.state", "?"));
    cJSON_AddNumberToObject(item, "cpu_percent", use.cpu_percent);
    cJSON_AddNumberToObject(item, "memory_used_bytes",
                            value_number(guest, "status.memory_used_bytes"));
    cJSON_AddNumberToObject(item, "memory_promised_bytes",
                            value_number(guest, "status.memory_promised_bytes"));
    cJSON_AddNumberToObject(item, "received_bytes_per_second", use.received);
    cJSON_AddNumberToObject(item, "sent_bytes_per_second", use.sent);
    cJSON_AddItemToArray(list, item);
}

/* {"seconds": 2, "items": […]} */
static void show_json(const struct sample *now, const struct sample *before)
{
    double seconds = seconds_between(before, now);
    cJSON *json = cJSON_CreateObject(), *list;
    const cJSON *guest, *old;

    cJSON_AddNumberToObject(json, "seconds", seconds);
    list = cJSON_AddArrayToObject(json, "items");
    cJSON_ArrayForEach(guest, value_at(now->guests.json, "items"))
    {
        old = find_guest(before->guests.json, value_text(guest, "name", ""));
        if (old)
            add_item(list, guest, use_of(guest, old, seconds));
    }
    json_print_line(json);
    fflush(stdout);
}

static void show(const struct sample *now, const struct sample *before)
{
    char used[TEXT_MAX], total[TEXT_MAX], uptime[TEXT_MAX];
    double seconds = seconds_between(before, now);
    const cJSON *guest, *old;
    struct table t;

    printf("%s, up for %s, %.0f CPUs, memory %s of %s\n\n",
           value_text(now->host.json, "hostname", "?"),
           duration_text(value_number(now->host.json, "uptime_ns"), uptime),
           value_number(now->host.json, "cpus"),
           size_text(value_number(now->host.json, "memory.used"), used),
           size_text(value_number(now->host.json, "memory.total"), total));
    table_begin(&t, "NAME\t*STATE\t>CPU %\t>MEMORY\t>RECEIVED\t>SENT");
    cJSON_ArrayForEach(guest, value_at(now->guests.json, "items"))
    {
        old = find_guest(before->guests.json, value_text(guest, "name", ""));
        if (old) /* a new one has no rates yet */
            add_row(&t, guest, use_of(guest, old, seconds));
    }
    table_end(&t);
    fflush(stdout);
}

int guest_top(const struct call *call)
{
    bool terminal = isatty(STDOUT_FILENO);
    unsigned long rounds = terminal ? 0 : 1, delay = 2000;
    struct sample before = {.host = {.json = NULL}}, now = {.host = {.json = NULL}};
    int result = call_number(call, "rounds", 1, 1000000, &rounds);

    if (result == EXIT_OK)
        result = call_number(call, "delay-ms", 100, 3600000, &delay);
    if (result != EXIT_OK)
        return result;
    interrupt_catch();
    result = take_sample(&before);
    for (unsigned long n = 0; result == EXIT_OK && (rounds == 0 || n < rounds); n++) {
        if (!interrupt_sleep((unsigned)delay))
            break;
        result = take_sample(&now);
        if (result == EXIT_OK && call->json) {
            show_json(&now, &before);
        } else if (result == EXIT_OK) {
            fputs(terminal ? CLEAR : "", stdout);
            show(&now, &before);
        }
        sample_end(&before);
        before = now;
        now = (struct sample){.host = {.json = NULL}};
    }
    sample_end(&before);
    return result;
}
