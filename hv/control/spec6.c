/* spec6.c - IPv6 in a network of a spec. */
#include "spec6.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t none[16];

bool spec_is_set6(const uint8_t address[16])
{
    return memcmp(address, none, sizeof(none)) != 0;
}

void spec_format6(char text[SPEC_TEXT6_MAX], const uint8_t address[16])
{
    inet_ntop(AF_INET6, address, text, SPEC_TEXT6_MAX);
}

static bool is_link_local(const uint8_t address[16])
{
    return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* Why no host can have it, NULL = one can. RFC 4291, section 2.4; the first eighth is no unicast address of a host:
 * unspecified, loopback, IPv4-mapped. */
static const char *why_no_host(const uint8_t address[16])
{
    if (address[0] == 0xff)
        return "is a multicast address";
    if (address[0] == 0)
        return "is not the address of a host: unspecified, loopback, IPv4-mapped or reserved";
    if (memcmp(address + 8, none, 8) == 0)
        return "names the network, not a host in it";
    return NULL;
}

static int take_address(const char *text, const char *path, struct spec_net6 *net,
                        struct problem *p)
{
    const char *why = "is no \"auto\" or \"ADDRESS/64\"";
    const char *slash = strchr(text, '/');
    char address[SPEC_TEXT6_MAX];

    net->automatic = strcmp(text, "auto") == 0;
    if (net->automatic)
        return 0;
    if (slash && (size_t)(slash - text) < sizeof(address)) {
        snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
        if (inet_pton(AF_INET6, address, net->address) == 1)
            why = strcmp(slash, "/64") != 0
                      ? "must end in /64, the length of each IPv6 network here"
                  : is_link_local(net->address)
                      ? "is link-local; the guest has such an address by itself"
                      : why_no_host(net->address);
    }
    return why ? problem_set(p, 422, "%s.address6: '%.60s' %s.", path, text, why) : 0;
}

/* Of the gateway or a name server. */
static int take_other(const cJSON *item, const char *text, const char *path, uint8_t address[16],
                      struct problem *p)
{
    const char *why = "is no IPv6 address";

    if (inet_pton(AF_INET6, text, address) == 1)
        why = why_no_host(address);
    return why ? problem_set(p, 422, "%s.%s: '%.60s' %s.", path, item->string, text, why) : 0;
}

int spec_take_net6(const cJSON *item, const char *path, struct spec_net6 *net, struct problem *p)
{
    const char *text = cJSON_IsString(item) ? item->valuestring : "";

    if (cJSON_IsNull(item))
        return 0;
    if (strcmp(item->string, "address6") == 0)
        return take_address(text, path, net, p);
    return take_other(item, text, path,
                      strcmp(item->string, "gateway6") == 0 ? net->gateway : net->dns, p);
}

int spec_check_net6(const char *path, const struct spec_net6 *net, struct problem *p)
{
    bool has_address = spec_is_set6(net->address), has_gateway = spec_is_set6(net->gateway);

    if (!has_address && !net->automatic && (has_gateway || spec_is_set6(net->dns)))
        return problem_set(p, 422, "%s: an IPv6 gateway or name server needs address6.", path);
    if (net->automatic && has_gateway)
        return problem_set(p, 422, "%s: with address6 \"auto\" routers say so; leave gateway6 out.",
                           path);
    if (has_gateway && !is_link_local(net->gateway) && memcmp(net->gateway, net->address, 8) != 0)
        return problem_set(
            p, 422, "%s.gateway6 is neither link-local nor in the network of its address6.", path);
    if (has_gateway && memcmp(net->gateway, net->address, 16) == 0)
        return problem_set(p, 422, "%s.gateway6 is the guest's own address.", path);
    return 0;
}

void spec_net6_to_json(cJSON *item, const struct spec_net6 *net)
{
    char text[SPEC_TEXT6_MAX], with_length[SPEC_TEXT6_MAX + 3];

    if (net->automatic)
        cJSON_AddStringToObject(item, "address6", "auto");
    if (spec_is_set6(net->address)) {
        spec_format6(text, net->address);
        snprintf(with_length, sizeof(with_length), "%s/64", text);
        cJSON_AddStringToObject(item, "address6", with_length);
    }
    if (spec_is_set6(net->gateway)) {
        spec_format6(text, net->gateway);
        cJSON_AddStringToObject(item, "gateway6", text);
    }
    if (spec_is_set6(net->dns)) {
        spec_format6(text, net->dns);
        cJSON_AddStringToObject(item, "dns", text);
    }
}
