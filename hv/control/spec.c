/* spec.c - checks and fills specifications. */
#include "spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cJSON_Utils.h>

#include "address.h"
#include "json.h"
#include "skep_tls.h"

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

static int take_small(const cJSON *item, uint32_t max, uint32_t *value, struct problem *p)
{
    uint64_t wide;

    if (take_integer(item, 1, max, &wide, p) != 0)
        return -1;
    *value = (uint32_t)wide;
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

static int add_string(struct spec *spec, const char *name, const char *value, struct problem *p)
{
    size_t room = SPEC_STRINGS_MAX - spec->strings_bytes;
    int n = snprintf(spec->strings + spec->strings_bytes, room, "%s%s%s", name ? name : "",
                     name ? "=" : "", value);

    if ((size_t)n >= room)
        return problem_set(p, 422, "%s: args and env together may have %u bytes.",
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
        if (add_string(spec, NULL, arg->valuestring, p) != 0)
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
        if (add_string(spec, var->string, var->valuestring, p) != 0)
            return -1;
        spec->envc++;
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
    return problem_set(p, 422, "%s.%.40s is no known field; there are address, gateway, dns, mac.",
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
    if (net->gateway && (net->gateway & net->netmask) != (net->address & net->netmask))
        return problem_set(p, 422, "%s.gateway is not in the network of its address.", path);
    if (net->gateway && net->gateway == net->address)
        return problem_set(p, 422, "%s.gateway is the guest's own address.", path);
    for (uint32_t i = 0; i < spec->net_count; i++)
        if (memcmp(spec->net[i].mac, net->mac, 6) == 0 ||
            (net->address && spec->net[i].address == net->address))
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

    if (strcmp(field, "image") == 0)
        return take_name(item, spec->image, p);
    if (strcmp(field, "memory_bytes") == 0)
        return take_memory(item, &spec->memory_bytes, p);
    if (strcmp(field, "vcpus") == 0)
        return take_small(item, SPEC_VCPUS_MAX, &spec->vcpus, p);
    if (strcmp(field, "weight") == 0)
        return take_small(item, SPEC_WEIGHT_MAX, &spec->weight, p);
    if (strcmp(field, "desired_state") == 0)
        return take_choice(item, desired_names, &spec->desired, p);
    if (strcmp(field, "restart") == 0)
        return take_choice(item, restart_names, &spec->restart, p);
    if (strcmp(field, "networks") == 0)
        return take_nets(item, name, spec, p);
    if (strcmp(field, "args") == 0 || strcmp(field, "env") == 0)
        return 0; /* in their own order, see below */
    return problem_set(p, 422,
                       "'%.40s' is no known field; there are image, memory_bytes, vcpus, weight, "
                       "args, env, networks, desired_state, restart.",
                       field);
}

int spec_from_json(struct spec *spec, const cJSON *json, const char *name, struct problem *p)
{
    const cJSON *item;

    memset(spec, 0, sizeof(*spec));
    spec->memory_bytes = SPEC_MEMORY_DEFAULT;
    spec->vcpus = 1;
    spec->weight = SPEC_WEIGHT_DEFAULT;
    if (!cJSON_IsObject(json))
        return problem_set(p, 422, "The body must be a JSON object, a guest's spec.");
    cJSON_ArrayForEach(item, json) if (take_field(item, name, spec, p) != 0) return -1;
    if (spec->image[0] == '\0')
        return wrong(p, "image", "is missing: the name of an uploaded image");
    if (take_args(cJSON_GetObjectItemCaseSensitive(json, "args"), spec, p) != 0)
        return -1;
    return take_env(cJSON_GetObjectItemCaseSensitive(json, "env"), spec, p);
}

int spec_patch(struct spec *spec, const cJSON *patch, const char *name, struct problem *p)
{
    cJSON *target;
    int result;

    if (!cJSON_IsObject(patch))
        return problem_set(p, 422, "The body must be a JSON object, a merge patch.");
    target = cJSONUtils_MergePatchCaseSensitive(spec_to_json(spec), patch);
    if (!target)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    result = spec_from_json(spec, target, name, p);
    cJSON_Delete(target);
    return result;
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
        cJSON_AddStringToObject(item, "address", text);
        if (net->gateway) {
            address_format(text, net->gateway);
            cJSON_AddStringToObject(item, "gateway", text);
        }
        if (net->dns) {
            address_format(text, net->dns);
            cJSON_AddStringToObject(item, "dns", text);
        }
        mac_format(text, net->mac);
        cJSON_AddStringToObject(item, "mac", text);
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

cJSON *spec_to_json(const struct spec *spec)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *args, *env;

    cJSON_AddStringToObject(json, "image", spec->image);
    /* Up to SPEC_MEMORY_MAX a number prints exactly, and a merge patch must find one. */
    cJSON_AddNumberToObject(json, "memory_bytes", (double)spec->memory_bytes);
    cJSON_AddNumberToObject(json, "vcpus", spec->vcpus);
    cJSON_AddNumberToObject(json, "weight", spec->weight);
    args = cJSON_AddArrayToObject(json, "args");
    env = cJSON_AddObjectToObject(json, "env");
    strings_to_json(args, env, spec);
    nets_to_json(cJSON_AddArrayToObject(json, "networks"), spec);
    cJSON_AddStringToObject(json, "desired_state", desired_names[spec->desired]);
    cJSON_AddStringToObject(json, "restart", restart_names[spec->restart]);
    return json;
}

bool spec_equal(const struct spec *a, const struct spec *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool spec_same_guest(const struct spec *a, const struct spec *b)
{
    struct spec other = *b;

    other.desired = a->desired;
    other.restart = a->restart;
    return spec_equal(a, &other);
}
