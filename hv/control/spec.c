/* spec.c - checks and fills specifications. */
#include "spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON_Utils.h>

#include "address.h"
#include "json.h"
#include "label.h"
#include "skep_tls.h"
#include "spec6.h"
#include "spec_volume.h"

static const char *const desired_names[] = {"running", "paused", "stopped", NULL};
static const char *const restart_names[] = {"never", "on-failure", "always", NULL};

bool name_valid(const char *name)
{
    size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return name[bytes] == '\0' && bytes >= 1 && bytes < SKEP_NAME_MAX && name[0] != '-';
}

static int wrong(struct problem *p, const char *field, const char *what)
{
    return problem_set(p, 422, "%s %s.", field, what);
}

static int take_name(const cJSON *item, char image[SKEP_NAME_MAX], struct problem *p)
{
    if (!cJSON_IsString(item) || !name_valid(item->valuestring))
        return wrong(p, "image", "must be the name of an image, a string");
    memcpy(image, item->valuestring, strlen(item->valuestring) + 1);
    return 0;
}

static int take_integer(const cJSON *item, uint64_t min, uint64_t max, uint64_t *value,
                        struct problem *p)
{
    if (json_integer(item, min, max, value))
        return 0;
    return problem_set(p, 422, "%s must be an integer from %" PRIu64 " to %" PRIu64 ".",
                       item->string, min, max);
}

/* The fields that are plain numbers. */
static const struct small_field {
    const char *name;
    size_t offset;
    uint32_t min, max, otherwise;
} small_fields[] = {
    {"vcpus", offsetof(struct spec, vcpus), 1, SPEC_VCPUS_MAX, 1},
    {"max_vcpus", offsetof(struct spec, max_vcpus), 1, SPEC_VCPUS_MAX, 0},
    {"weight", offsetof(struct spec, weight), 1, SPEC_WEIGHT_MAX, SPEC_WEIGHT_DEFAULT},
    {"cpu_cap", offsetof(struct spec, cpu_cap), 0, SPEC_CAP_MAX, 0},
    {"stop_grace_ms", offsetof(struct spec, stop_grace_ms), 0, SPEC_MS_MAX, 10000},
    {"restart_limit", offsetof(struct spec, restart_limit), 0, SPEC_RESTARTS_MAX, 0},
    {"restart_delay_ms", offsetof(struct spec, restart_delay_ms), 1, SPEC_MS_MAX, 500},
    {"restart_delay_max_ms", offsetof(struct spec, restart_delay_max_ms), 1, SPEC_MS_MAX, 60000},
    {"restart_reset_ms", offsetof(struct spec, restart_reset_ms), 1, SPEC_MS_MAX, 30000},
};
#define SMALL_FIELDS (sizeof(small_fields) / sizeof(*small_fields))

static uint32_t *small_at(struct spec *spec, const struct small_field *field)
{
    return (uint32_t *)(void *)((char *)spec + field->offset);
}

static const struct small_field *find_small(const char *name)
{
    for (size_t i = 0; i < SMALL_FIELDS; i++)
        if (strcmp(small_fields[i].name, name) == 0)
            return &small_fields[i];
    return NULL;
}

static int take_small(const cJSON *item, const struct small_field *field, struct spec *spec,
                      struct problem *p)
{
    uint64_t wide;

    if (take_integer(item, field->min, field->max, &wide, p) != 0)
        return -1;
    *small_at(spec, field) = (uint32_t)wide;
    return 0;
}

static int take_affinity(const cJSON *item, uint64_t *affinity, struct problem *p)
{
    const cJSON *cpu;
    uint64_t number;

    if (!cJSON_IsArray(item))
        return wrong(p, "cpu_affinity", "must be an array of CPU numbers; empty = any CPU");
    *affinity = 0;
    cJSON_ArrayForEach(cpu, item)
    {
        if (!json_integer(cpu, 0, SPEC_CPUS_MAX - 1, &number))
            return problem_set(p, 422, "cpu_affinity must have CPU numbers from 0 to %u.",
                               SPEC_CPUS_MAX - 1);
        *affinity |= 1ull << number;
    }
    return 0;
}

static int take_memory(const cJSON *item, uint64_t *bytes, struct problem *p)
{
    if (take_integer(item, SPEC_MEMORY_MIN, SPEC_MEMORY_MAX, bytes, p) != 0)
        return -1;
    if (*bytes % SKEP_PAGE_SIZE != 0)
        return wrong(p, "memory_bytes", "must be a multiple of 4096");
    return 0;
}

static int take_choice(const cJSON *item, const char *const *names, uint32_t *value,
                       struct problem *p)
{
    for (uint32_t i = 0; cJSON_IsString(item) && names[i]; i++) {
        if (strcmp(item->valuestring, names[i]) == 0) {
            *value = i;
            return 0;
        }
    }
    return problem_set(p, 422, "%s must be \"%s\", \"%s\" or \"%s\".", item->string, names[0],
                       names[1], names[2]);
}

/* A guest that the first packet for it starts has its place in the state machine (guest_step.c), but the switch can't
 * hold that packet yet. */
const char *spec_desired_name(enum spec_desired desired)
{
    return desired_names[desired];
}

static int take_desired(const cJSON *item, uint32_t *desired, struct problem *p)
{
    if (cJSON_IsString(item) && strcmp(item->valuestring, "on-demand") == 0)
        return wrong(p, "desired_state",
                     "\"on-demand\" is not available yet: use \"running\", \"paused\" or "
                     "\"stopped\"");
    return take_choice(item, desired_names, desired, p);
}

int spec_add_string(struct spec *spec, const char *name, const char *value, struct problem *p)
{
    size_t room = SPEC_STRINGS_MAX - spec->strings_bytes;
    int n = snprintf(spec->strings + spec->strings_bytes, room, "%s%s%s", name ? name : "",
                     name ? "=" : "", value);

    if ((size_t)n >= room)
        return problem_set(p, 422,
                           "%s: args, env and the mounts of volumes together may have %u bytes.",
                           name ? "env" : "args", SPEC_STRINGS_MAX);
    spec->strings_bytes += (uint32_t)n + 1;
    return 0;
}

static int take_args(const cJSON *item, struct spec *spec, struct problem *p)
{
    const cJSON *arg;

    if (item && !cJSON_IsArray(item))
        return wrong(p, "args", "must be an array of strings");
    cJSON_ArrayForEach(arg, item)
    {
        if (!cJSON_IsString(arg))
            return wrong(p, "args", "must be an array of strings");
        if (spec_add_string(spec, NULL, arg->valuestring, p) != 0)
            return -1;
        spec->argc++;
    }
    return 0;
}

static int take_env(const cJSON *item, struct spec *spec, struct problem *p)
{
    const cJSON *var;

    if (item && !cJSON_IsObject(item))
        return wrong(p, "env", "must be an object with string values");
    cJSON_ArrayForEach(var, item)
    {
        if (!cJSON_IsString(var))
            return wrong(p, "env", "must be an object with string values");
        if (var->string[0] == '\0' || strchr(var->string, '='))
            return wrong(p, "env", "has a name that is empty or contains '='");
        if (strcmp(var->string, SPEC_MOUNTS_NAME) == 0)
            return wrong(p, "env", "must not have " SPEC_MOUNTS_NAME ", which volumes make");
        if (spec_add_string(spec, var->string, var->valuestring, p) != 0)
            return -1;
        spec->envc++;
    }
    return 0;
}

/* After args and env. */
static int take_after(const cJSON *item, const char *name, struct spec *spec, struct problem *p)
{
    const cJSON *other;

    spec->program_bytes = spec->strings_bytes;
    if (item && (!cJSON_IsArray(item) || cJSON_GetArraySize(item) > (int)SPEC_AFTER_MAX))
        return problem_set(p, 422, "start_after must be an array of at most %u names of guests.",
                           SPEC_AFTER_MAX);
    cJSON_ArrayForEach(other, item)
    {
        if (!cJSON_IsString(other) || !name_valid(other->valuestring))
            return wrong(p, "start_after", "must have names of guests");
        if (strcmp(other->valuestring, name) == 0)
            return wrong(p, "start_after", "names the guest itself, which so could never start");
        if (spec_add_string(spec, NULL, other->valuestring, p) != 0)
            return problem_set(p, 422,
                               "start_after: args, env and start_after together may have %u bytes.",
                               SPEC_STRINGS_MAX);
        spec->after_count++;
    }
    return 0;
}

/* A locally administered unicast address, always the same for the same guest and device. */
static void derive_mac(uint8_t mac[6], const char *name, unsigned index)
{
    char text[SKEP_NAME_MAX + 16];
    uint8_t digest[32];

    snprintf(text, sizeof(text), "%s/%u", name, index);
    tls_sha256(text, strlen(text), digest);
    memcpy(mac, digest, 6);
    mac[0] = (uint8_t)((mac[0] & ~3) | 2);
}

static int take_net_address(const cJSON *item, const char *path, struct spec_net *net,
                            struct problem *p)
{
    const char *why = "must be \"dhcp\" or \"A.B.C.D/length\"";

    if (!cJSON_IsString(item))
        return problem_set(p, 422, "%s.address %s.", path, why);
    net->dhcp = strcmp(item->valuestring, "dhcp") == 0;
    if (!net->dhcp && !address_parse_host(item->valuestring, &net->address, &net->netmask, &why))
        return problem_set(p, 422, "%s.address: '%.40s' %s.", path, item->valuestring, why);
    return 0;
}

static int take_net_field(const cJSON *item, const char *path, struct spec_net *net,
                          struct problem *p)
{
    const char *text = cJSON_IsString(item) ? item->valuestring : "";

    if (strcmp(item->string, "address6") == 0 || strcmp(item->string, "gateway6") == 0 ||
        (strcmp(item->string, "dns") == 0 && strchr(text, ':')))
        return spec_take_net6(item, path, &net->ipv6, p);
    if (strcmp(item->string, "gateway") == 0 || strcmp(item->string, "dns") == 0) {
        uint32_t *to = item->string[0] == 'g' ? &net->gateway : &net->dns;
        if (!address_parse(text, to))
            return problem_set(p, 422, "%s.%s must be an address \"A.B.C.D\".", path, item->string);
        return 0;
    }
    if (strcmp(item->string, "mac") == 0) {
        if (!mac_parse(text, net->mac) || net->mac[0] & 1)
            return problem_set(p, 422, "%s.mac must be a unicast address \"52:54:00:12:34:56\".",
                               path);
        return 0;
    }
    if (strcmp(item->string, "address") == 0)
        return take_net_address(item, path, net, p);
    return problem_set(p, 422,
                       "%s.%.40s is no known field; there are address, gateway, address6, "
                       "gateway6, dns, mac.",
                       path, item->string);
}

static int take_net(const cJSON *item, const char *name, struct spec *spec, struct problem *p)
{
    struct spec_net *net = &spec->net[spec->net_count];
    const cJSON *field;
    char path[24];

    snprintf(path, sizeof(path), "networks[%u]", spec->net_count);
    if (!cJSON_IsObject(item))
        return wrong(p, path, "must be an object");
    derive_mac(net->mac, name, spec->net_count);
    cJSON_ArrayForEach(field, item) if (take_net_field(field, path, net, p) != 0) return -1;
    if (!net->dhcp && !net->address)
        return problem_set(p, 422, "%s.address is missing: \"dhcp\" or \"A.B.C.D/length\".", path);
    if (net->dhcp && (net->gateway || net->dns))
        return problem_set(p, 422, "%s: gateway and dns come by DHCP; leave them out.", path);
    if (spec_check_net6(path, &net->ipv6, p) != 0)
        return -1;
    if (net->gateway && (net->gateway & net->netmask) != (net->address & net->netmask))
        return problem_set(p, 422, "%s.gateway is not in the network of its address.", path);
    if (net->gateway && net->gateway == net->address)
        return problem_set(p, 422, "%s.gateway is the guest's own address.", path);
    for (uint32_t i = 0; i < spec->net_count; i++)
        if (memcmp(spec->net[i].mac, net->mac, 6) == 0 ||
            (net->address && spec->net[i].address == net->address) ||
            (spec_is_set6(net->ipv6.address) &&
             memcmp(spec->net[i].ipv6.address, net->ipv6.address, 16) == 0))
            return problem_set(p, 422, "%s has an address of networks[%u].", path, i);
    spec->net_count++;
    return 0;
}

static int take_nets(const cJSON *item, const char *name, struct spec *spec, struct problem *p)
{
    const cJSON *net;

    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) > SKEP_NETS_MAX)
        return problem_set(p, 422, "networks must be an array of at most %u objects.",
                           SKEP_NETS_MAX);
    cJSON_ArrayForEach(net, item) if (take_net(net, name, spec, p) != 0) return -1;
    return 0;
}

static int take_field(const cJSON *item, const char *name, struct spec *spec, struct problem *p)
{
    const char *field = item->string;
    const struct small_field *small = find_small(field);

    if (strcmp(field, "image") == 0)
        return take_name(item, spec->image, p);
    if (strcmp(field, "memory_bytes") == 0)
        return take_memory(item, &spec->memory_bytes, p);
    if (small)
        return take_small(item, small, spec, p);
    if (strcmp(field, "cpu_affinity") == 0)
        return take_affinity(item, &spec->cpu_affinity, p);
    if (strcmp(field, "desired_state") == 0)
        return take_desired(item, &spec->desired, p);
    if (strcmp(field, "restart") == 0)
        return take_choice(item, restart_names, &spec->restart, p);
    if (strcmp(field, "networks") == 0)
        return take_nets(item, name, spec, p);
    if (strcmp(field, "volumes") == 0)
        return spec_take_volumes(item, spec, p);
    if (strcmp(field, "args") == 0 || strcmp(field, "env") == 0 ||
        strcmp(field, "start_after") == 0 || strcmp(field, "labels") == 0 ||
        strcmp(field, "files") == 0)
        return 0; /* in their own order, see below; files in files.c */
    return problem_set(
        p, 422,
        "'%.40s' is no known field; there are image, memory_bytes, vcpus, max_vcpus, "
        "weight, cpu_cap, cpu_affinity, args, env, networks, volumes, files, start_after, "
        "labels, desired_state, stop_grace_ms, restart, restart_limit, restart_delay_ms, "
        "restart_delay_max_ms, restart_reset_ms.",
        field);
}

static void set_defaults(struct spec *spec)
{
    memset(spec, 0, sizeof(*spec));
    spec->memory_bytes = SPEC_MEMORY_DEFAULT;
    for (size_t i = 0; i < SMALL_FIELDS; i++)
        *small_at(spec, &small_fields[i]) = small_fields[i].otherwise;
}

/* Fields that have to do with each other. */
static int check_together(struct spec *spec, struct problem *p)
{
    if (spec->max_vcpus == 0)
        spec->max_vcpus = spec->vcpus;
    if (spec->vcpus > spec->max_vcpus)
        return problem_set(
            p, 422,
            "vcpus is %u, but max_vcpus is %u: raise max_vcpus too, which replaces a "
            "guest that runs.",
            spec->vcpus, spec->max_vcpus);
    if (spec->restart_delay_ms > spec->restart_delay_max_ms)
        return problem_set(p, 422, "restart_delay_ms is %u, but restart_delay_max_ms only %u.",
                           spec->restart_delay_ms, spec->restart_delay_max_ms);
    return 0;
}

int spec_from_json(struct spec *spec, const cJSON *json, const char *name, struct problem *p)
{
    const cJSON *item;

    set_defaults(spec);
    if (!cJSON_IsObject(json))
        return problem_set(p, 422, "The body must be a JSON object, a guest's spec.");
    cJSON_ArrayForEach(item, json) if (take_field(item, name, spec, p) != 0) return -1;
    if (spec->image[0] == '\0')
        return wrong(p, "image", "is missing: the name of an uploaded image");
    if (check_together(spec, p) != 0)
        return -1;
    if (take_args(cJSON_GetObjectItemCaseSensitive(json, "args"), spec, p) != 0)
        return -1;
    if (take_env(cJSON_GetObjectItemCaseSensitive(json, "env"), spec, p) != 0)
        return -1;
    if (spec_take_mounts(cJSON_GetObjectItemCaseSensitive(json, "volumes"), spec, p) != 0)
        return -1;
    if (take_after(cJSON_GetObjectItemCaseSensitive(json, "start_after"), name, spec, p) != 0)
        return -1;
    return spec_take_labels(cJSON_GetObjectItemCaseSensitive(json, "labels"), spec, p);
}

cJSON *spec_patch(cJSON *json, const cJSON *patch, struct problem *p)
{
    if (!cJSON_IsObject(patch)) {
        cJSON_Delete(json);
        problem_set(p, 422, "The body must be a JSON object, a merge patch.");
        return NULL;
    }
    json = cJSONUtils_MergePatchCaseSensitive(json, patch);
    if (!json)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    return json;
}

static void nets_to_json(cJSON *list, const struct spec *spec)
{
    for (uint32_t i = 0; i < spec->net_count; i++) {
        const struct spec_net *net = &spec->net[i];
        cJSON *item = cJSON_CreateObject();
        char text[ADDRESS_TEXT_MAX];

        if (net->dhcp)
            strcpy(text, "dhcp");
        else
            address_format_host(text, net->address, net->netmask);
        json_add_string(item, "address", text);
        if (net->gateway) {
            address_format(text, net->gateway);
            json_add_string(item, "gateway", text);
        }
        if (net->dns) {
            address_format(text, net->dns);
            json_add_string(item, "dns", text);
        }
        spec_net6_to_json(item, &net->ipv6);
        mac_format(text, net->mac);
        json_add_string(item, "mac", text);
        cJSON_AddItemToArray(list, item);
    }
}

static void strings_to_json(cJSON *args, cJSON *env, const struct spec *spec)
{
    const char *text = spec->strings;

    for (uint32_t i = 0; i < spec->argc + spec->envc; i++, text += strlen(text) + 1) {
        const char *equals = i < spec->argc ? NULL : strchr(text, '=');
        char name[SPEC_STRINGS_MAX];

        if (!equals) {
            cJSON_AddItemToArray(args, cJSON_CreateString(text));
            continue;
        }
        memcpy(name, text, (size_t)(equals - text));
        name[equals - text] = '\0';
        cJSON_AddStringToObject(env, name, equals + 1);
    }
}

static void after_to_json(cJSON *list, const struct spec *spec)
{
    const char *name = spec_start_after(spec);

    for (uint32_t i = 0; i < spec->after_count; i++, name += strlen(name) + 1)
        cJSON_AddItemToArray(list, cJSON_CreateString(name));
}

static void affinity_to_json(cJSON *list, uint64_t affinity)
{
    for (unsigned cpu = 0; cpu < SPEC_CPUS_MAX; cpu++)
        if (affinity >> cpu & 1)
            cJSON_AddItemToArray(list, cJSON_CreateNumber(cpu));
}

cJSON *spec_to_json(const struct spec *spec)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *args, *env;

    json_add_string(json, "image", spec->image);
    /* Up to SPEC_MEMORY_MAX a number prints exactly, and a merge patch must find one. */
    json_add(json, "memory_bytes", cJSON_CreateNumber((double)spec->memory_bytes));
    for (size_t i = 0; i < SMALL_FIELDS; i++) {
        uint32_t value;
        memcpy(&value, (const char *)spec + small_fields[i].offset, sizeof(value));
        json_add_item(json, small_fields[i].name, cJSON_CreateNumber(value));
    }
    affinity_to_json(json_add_array(json, "cpu_affinity"), spec->cpu_affinity);
    args = json_add_array(json, "args");
    env = json_add_object(json, "env");
    strings_to_json(args, env, spec);
    nets_to_json(json_add_array(json, "networks"), spec);
    spec_volumes_to_json(json_add_array(json, "volumes"), spec);
    after_to_json(json_add_array(json, "start_after"), spec);
    spec_labels_to_json(json_add_object(json, "labels"), spec);
    json_add_string(json, "desired_state", spec_desired_name((enum spec_desired)spec->desired));
    json_add_string(json, "restart", restart_names[spec->restart]);
    return json;
}

const char *spec_start_after(const struct spec *spec)
{
    return spec->strings + spec->program_bytes;
}

size_t spec_bytes(const struct spec *spec)
{
    return offsetof(struct spec, strings) + spec->strings_bytes;
}

struct spec *spec_keep(const struct spec *spec)
{
    size_t bytes = spec_bytes(spec);
    struct spec *kept = malloc(bytes);

    return kept ? memcpy(kept, spec, bytes) : NULL;
}

void spec_expand(struct spec *to, const struct spec *kept)
{
    size_t bytes = spec_bytes(kept);

    memcpy(to, kept, bytes);
    memset((char *)to + bytes, 0, sizeof(*to) - bytes);
}

bool spec_is_whole(const struct spec *spec, size_t bytes)
{
    return bytes >= offsetof(struct spec, strings) && spec->strings_bytes <= SPEC_STRINGS_MAX &&
           spec->program_bytes <= spec->strings_bytes && spec_bytes(spec) == bytes;
}

static bool equal(const struct spec *a, const struct spec *b)
{
    return spec_bytes(a) == spec_bytes(b) && memcmp(a, b, spec_bytes(a)) == 0;
}

/* start_after and labels, unless they don't fit, which they do when all else is equal. */
static void copy_last_strings(struct spec *to, const struct spec *from)
{
    uint32_t bytes = from->strings_bytes - from->program_bytes;

    if (to->program_bytes + bytes > SPEC_STRINGS_MAX)
        return;
    memset(to->strings + to->program_bytes, 0, SPEC_STRINGS_MAX - to->program_bytes);
    memcpy(to->strings + to->program_bytes, spec_start_after(from), bytes);
    to->strings_bytes = to->program_bytes + bytes;
    to->after_count = from->after_count;
    to->label_count = from->label_count;
}

static void take_wishes(struct spec *to, const struct spec *from)
{
    copy_last_strings(to, from);
    to->desired = from->desired;
    to->stop_grace_ms = from->stop_grace_ms;
    to->restart = from->restart;
    to->restart_limit = from->restart_limit;
    to->restart_delay_ms = from->restart_delay_ms;
    to->restart_delay_max_ms = from->restart_delay_max_ms;
    to->restart_reset_ms = from->restart_reset_ms;
}

static void take_live(struct spec *to, const struct spec *from)
{
    to->weight = from->weight;
    to->cpu_cap = from->cpu_cap;
    to->cpu_affinity = from->cpu_affinity;
    to->vcpus = from->vcpus;
    to->memory_bytes = from->memory_bytes;
}

enum spec_difference spec_compare(const struct spec *a, const struct spec *b)
{
    struct spec other;

    if (equal(a, b))
        return SPEC_SAME;
    spec_expand(&other, b);
    take_wishes(&other, a);
    if (equal(a, &other))
        return SPEC_WISHES;
    take_live(&other, a);
    return equal(a, &other) ? SPEC_LIVE : SPEC_ANOTHER;
}
