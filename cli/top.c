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

static void add_row(struct table *t, const cJSON *guest, const cJSON *before, double seconds)
{
    double cpu = growth(value_number(guest, "status.cpu_time_ns"),
                        value_number(before, "status.cpu_time_ns"));
    double in = growth(network_bytes(guest, "rx_bytes"), network_bytes(before, "rx_bytes"));
    double out = growth(network_bytes(guest, "tx_bytes"), network_bytes(before, "tx_bytes"));
    char used[TEXT_MAX], promised[TEXT_MAX], rx[TEXT_MAX], tx[TEXT_MAX];

    table_add(t, "%s\t%s\t%.1f\t%s / %s\t%s/s\t%s/s", value_text(guest, "name", "?"),
              value_text(guest, "status.state", "?"), cpu / 1e7 / seconds,
              size_text(value_number(guest, "status.memory_used_bytes"), used),
              size_text(value_number(guest, "status.memory_promised_bytes"), promised),
              size_text(in / seconds, rx), size_text(out / seconds, tx));
}

static void show(const struct sample *now, const struct sample *before)
{
    double seconds =
        (value_number(now->host.json, "uptime_ns") - value_number(before->host.json, "uptime_ns")) /
        1e9;
    char used[TEXT_MAX], total[TEXT_MAX], uptime[TEXT_MAX];
    const cJSON *guest, *old;
    struct table t;

    seconds = seconds > 0 ? seconds : 1; /* it was rebooted in between */
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
            add_row(&t, guest, old, seconds);
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
        if (result == EXIT_OK) {
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
