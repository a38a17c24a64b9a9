/* guest_json.c - a guest as clients see it. */
#include <string.h>

#include "address.h"
#include "guest.h"
#include "host.h"
#include "json.h"

static const char *const state_names[] = {"created", "running", "paused", "stopping",
                                          "exited",  "crashed", "dying"};

static const char *state_name(const struct guest *g)
{
    if (g->deleting)
        return "dying";
    if (g->handle)
        return g->status.state < sizeof(state_names) / sizeof(*state_names)
                   ? state_names[g->status.state]
                   : "unknown";
    return g->spec.desired == SPEC_STOPPED ? "stopped" : "waiting";
}

static void add_addresses(cJSON *status, const struct guest *g)
{
    cJSON *list = cJSON_AddArrayToObject(status, "addresses");

    for (uint32_t i = 0; g->handle && i < g->status.net_count && i < SKEP_NETS_MAX; i++) {
        char text[ADDRESS_TEXT_MAX];
        if (!g->status.net_address[i])
            continue;
        address_format(text, g->status.net_address[i]);
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
}

static void add_networks(cJSON *status, const struct guest *g)
{
    cJSON *list = cJSON_AddArrayToObject(status, "networks");

    for (uint32_t i = 0; g->handle && i < g->status.net_count && i < SKEP_NETS_MAX; i++) {
        const struct skep_net_counters *net = &g->status.net[i];
        cJSON *item = cJSON_CreateObject();

        json_add_integer(item, "rx_packets", net->rx_packets);
        json_add_integer(item, "rx_bytes", net->rx_bytes);
        json_add_integer(item, "rx_dropped", net->rx_dropped);
        json_add_integer(item, "tx_packets", net->tx_packets);
        json_add_integer(item, "tx_bytes", net->tx_bytes);
        json_add_integer(item, "tx_dropped", net->tx_dropped);
        cJSON_AddItemToArray(list, item);
    }
}

/* What ended, and what comes next. */
static void add_end(cJSON *status, const struct guest *g)
{
    if (g->handle && g->status.state == SKEP_GUEST_EXITED)
        cJSON_AddNumberToObject(status, "exit_code", (int32_t)g->status.exit_code);
    else
        cJSON_AddNullToObject(status, "exit_code");
    if (g->crash)
        cJSON_AddRawToObject(status, "crash", g->crash);
    else
        cJSON_AddNullToObject(status, "crash");
    if (g->restart_at)
        json_add_time(status, "restart_at", host_wall_ns(g->restart_at));
    if (g->error[0])
        cJSON_AddStringToObject(status, "error", g->error);
}

cJSON *guest_to_json(struct guest *g)
{
    cJSON *json = cJSON_CreateObject(), *status;
    const struct skep_guest_status *s = &g->status;

    guest_refresh(g);
    cJSON_AddStringToObject(json, "name", g->name);
    cJSON_AddItemToObject(json, "spec", spec_to_json(&g->spec));
    status = cJSON_AddObjectToObject(json, "status");
    cJSON_AddStringToObject(status, "state", state_name(g));
    add_addresses(status, g);
    json_add_time(status, "started_at", host_wall_ns(s->started_ns));
    json_add_time(status, "ended_at", host_wall_ns(s->ended_ns));
    json_add_integer(status, "cpu_time_ns", s->cpu_ns);
    json_add_integer(status, "memory_promised_bytes", s->memory_promised);
    json_add_integer(status, "memory_used_bytes", s->memory_used);
    json_add_integer(status, "memory_peak_bytes", s->memory_peak);
    cJSON_AddNumberToObject(status, "restarts", g->failures);
    json_add_integer(status, "log_first", g->log_base + s->console_first);
    json_add_integer(status, "log_end", g->log_base + s->console_end);
    add_networks(status, g);
    add_end(status, g);
    return json;
}
