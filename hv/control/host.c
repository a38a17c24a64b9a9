/* host.c - the machine as clients see it. */
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "address.h"
#include "json.h"
#include "log.h"
#include "persist.h"
#include "power.h"
#include "wall.h"

#define PANIC_BYTES_MAX 16384u

static const char *const frame_names[SKEP_FRAME_TYPES] = {
    [SKEP_FRAME_RESERVED] = "reserved",   [SKEP_FRAME_FREE] = "free",
    [SKEP_FRAME_CORE] = "core",           [SKEP_FRAME_OBJECT] = "object",
    [SKEP_FRAME_PAGETABLE] = "pagetable", [SKEP_FRAME_GUEST] = "guest",
    [SKEP_FRAME_IMAGE] = "image",         [SKEP_FRAME_CONSOLE] = "console",
    [SKEP_FRAME_RETAINED] = "retained",   [SKEP_FRAME_DEVICE] = "device",
};

static const char *const mitigation_names[] = {"cannot be told here", "active", "not needed",
                                               "off"};

static struct {
    char hostname[64];
    struct core_net net;
    uint32_t cpus;
} own = {.cpus = 1};

void host_set(const char *hostname, const struct core_net *net)
{
    snprintf(own.hostname, sizeof(own.hostname), "%s", hostname);
    own.net = *net;
}

const struct core_net *host_net(void)
{
    return &own.net;
}

void host_set_cpus(uint32_t count)
{
    own.cpus = count;
}

uint32_t host_cpu_count(void)
{
    return own.cpus;
}

uint64_t host_until_ns(uint64_t clock_ns)
{
    uint64_t now = core_clock_ns();
    return clock_ns > now ? clock_ns - now : 0;
}

uint64_t host_wall_ns(uint64_t clock_ns)
{
    uint64_t base = core_wall_base_ns();
    return clock_ns && base ? base + clock_ns : 0;
}

const char *host_frame_name(unsigned type)
{
    return frame_names[type];
}

static void add_memory(cJSON *json, const struct skep_host_info *info)
{
    cJSON *memory = cJSON_AddObjectToObject(json, "memory");
    cJSON *frames = cJSON_AddObjectToObject(json, "frames");

    json_add_integer(memory, "total", info->memory_total);
    json_add_integer(memory, "promisable", info->memory_promisable);
    json_add_integer(memory, "promised", info->memory_promised);
    json_add_integer(memory, "used", info->memory_used);
    json_add_integer(memory, "free", info->memory_free);
    for (unsigned i = 0; i < SKEP_FRAME_TYPES; i++)
        if (frame_names[i])
            json_add_item(frames, frame_names[i], json_create_integer(info->frames[i]));
}

static void add_mitigations(cJSON *json, const struct skep_host_info *info)
{
    cJSON *list = cJSON_AddObjectToObject(json, "mitigations");

    for (uint32_t i = 0; i < info->mitigation_count && i < SKEP_MITIGATIONS_MAX; i++) {
        const struct skep_mitigation *m = &info->mitigations[i];
        cJSON_AddStringToObject(list, m->name, mitigation_names[m->state < 4 ? m->state : 0]);
    }
}

static void add_control(cJSON *json, const struct skep_host_info *info)
{
    cJSON *control = cJSON_AddObjectToObject(json, "control");
    char text[ADDRESS_TEXT_MAX];

    cJSON_AddNumberToObject(control, "restarts", info->control_restarts);
    cJSON_AddBoolToObject(control, "safe_mode", info->safe_mode != 0);
    json_add_integer(control, "cpu_time_ns", core_own_cpu_ns());
    cJSON_AddNumberToObject(json, "control_restarts", info->control_restarts);
    address_format_host(text, own.net.address, own.net.netmask);
    cJSON_AddStringToObject(json, "address", text);
}

char *host_panic_text(void)
{
    char *text = malloc(PANIC_BYTES_MAX + 1);
    size_t bytes = 0;
    int64_t n = 0;

    while (text && bytes < PANIC_BYTES_MAX &&
           (n = core_boot_read(SKEP_BOOT_PANIC, bytes, text + bytes, PANIC_BYTES_MAX - bytes)) > 0)
        bytes += (size_t)n;
    if (!text || bytes == 0) {
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}

void host_name_to_json(cJSON *json)
{
    struct skep_host_info info;
    char text[ADDRESS_TEXT_MAX];

    if (core_host_info(&info) == 0)
        cJSON_AddStringToObject(json, "skep", info.version);
    cJSON_AddStringToObject(json, "hostname", own.hostname);
    address_format_host(text, own.net.address, own.net.netmask);
    cJSON_AddStringToObject(json, "address", text);
}

cJSON *host_to_json(void)
{
    struct skep_host_info info;
    cJSON *json, *counts;

    if (core_host_info(&info) != 0)
        return NULL;
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", info.version);
    cJSON_AddStringToObject(json, "hostname", own.hostname);
    json_add_time(json, "boot_time", info.wall_ns ? info.wall_ns - info.clock_ns : 0);
    json_add_integer(json, "uptime_ns", info.clock_ns);
    cJSON_AddStringToObject(json, "clock_source", info.clock_source);
    json_add_time(json, "time", info.wall_ns);
    wall_to_json(cJSON_AddObjectToObject(json, "sntp"));
    cJSON_AddNumberToObject(json, "cpus", info.cpu_count);
    cJSON_AddStringToObject(json, "cpu_model", info.cpu_model);
    cJSON_AddItemToObject(json, "cpu_times", cpus_to_json(info.cpu_count));
    add_memory(json, &info);
    counts = cJSON_AddObjectToObject(json, "counts");
    cJSON_AddNumberToObject(counts, "guests", info.guest_count);
    cJSON_AddNumberToObject(counts, "images", info.image_count);
    add_mitigations(json, &info);
    add_control(json, &info);
    cJSON_AddStringToObject(json, "power", power_name());
    cJSON_AddItemToObject(json, "storage", persist_to_json());
    return json;
}
