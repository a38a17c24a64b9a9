/*
 * network6.c - IPv6 of the network's devices: addresses, the gateway of the specification, and the timers of neighbour
 * discovery and multicast listeners, which run only while they have work (see network.c).
 *
 * An interface's first address is the link-local one, made of its MAC. It has none when IPv6 is off there; then nothing
 * of IPv6 comes in or goes out. Beside it are the specification's, or those made of prefixes that routers advertise.
 */
#include <string.h>

#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/priv/nd6_priv.h"
#include "network.h"
#include "skep/guest.h"
#include "skep/net.h"

#define SLOW_SECONDS 30u
#define NS_PER_S     1000000000ull

/* By device, any = none. Guarded by the core lock. */
static ip6_addr_t gateways[SKEP_NETS_MAX];

/*
 * Routes
 */

/* The device's number, SKEP_NETS_MAX for the loopback. */
static unsigned number_of(const struct netif *netif)
{
    unsigned number = 0;
    while (number < SKEP_NETS_MAX && pvnet_interface(number) != netif)
        number++;
    return number;
}

const struct ip6_addr *network_ip6_gateway(const struct netif *netif)
{
    unsigned number = number_of(netif);
    return number < SKEP_NETS_MAX && !ip6_addr_isany(&gateways[number]) ? &gateways[number] : NULL;
}

/* Whether it is in the network of the interface's static address: these have /64 prefixes. */
static bool is_in_network(const struct netif *netif, const ip6_addr_t *to)
{
    return ip6_addr_isvalid(netif_ip6_addr_state(netif, 1)) && netif_ip6_addr_isstatic(netif, 1) &&
           ip6_addr_net_zoneless_eq(netif_ip6_addr(netif, 1), to);
}

/* lwIP knows no static routes: without it, everything that is on no link would leave by the default device. */
struct netif *network_ip6_route(const struct ip6_addr *to)
{
    struct netif *netif, *by_gateway = NULL;
    if (ip6_addr_isloopback(to))
        return NULL;
    NETIF_FOREACH(netif)
    {
        if (is_in_network(netif, to))
            return netif;
        if (by_gateway == NULL && network_ip6_gateway(netif) != NULL)
            by_gateway = netif;
    }
    return by_gateway;
}

/*
 * Configuration
 */

static void address_from(ip6_addr_t *to, const uint8_t bytes[16], const struct netif *netif)
{
    memcpy(to->addr, bytes, sizeof(to->addr));
    ip6_addr_clear_zone(to);
    ip6_addr_assign_zone(to, IP6_UNICAST, netif);
}

static void forget_addresses(struct netif *netif)
{
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        netif_ip6_addr_set_state(netif, i, IP6_ADDR_INVALID);
}

static void use_static(struct netif *netif, const struct skep_net6 *config)
{
    ip6_addr_t address;
    address_from(&address, config->address, netif);
    if (ip6_addr_isany(&address))
        return;
    netif_ip6_addr_set(netif, 1, &address);
    netif_ip6_addr_set_state(netif, 1, IP6_ADDR_PREFERRED);
}

static void use_dns(const struct netif *netif, const struct skep_net6 *config)
{
    ip_addr_t server = {.type = IPADDR_TYPE_V6};
    address_from(ip_2_ip6(&server), config->dns, netif);
    if (!ip6_addr_isany(ip_2_ip6(&server)))
        network_dns_add(&server);
}

void network6_configure(unsigned device, const struct skep_net6 *config)
{
    struct netif *netif = pvnet_interface(device);
    forget_addresses(netif);
    ip6_addr_set_any(&gateways[device]);
    netif_set_ip6_autoconfig_enabled(netif, 0);
    if ((config->flags & SKEP_NET6_ON) == 0)
        return;
    netif_create_ip6_linklocal_address(netif, 1);
    use_static(netif, config);
    use_dns(netif, config);
    address_from(&gateways[device], config->gateway, netif);
    bool automatic = (config->flags & SKEP_NET6_AUTO) != 0;
    netif_set_ip6_autoconfig_enabled(netif, automatic);
    netif->rs_count = automatic ? LWIP_ND6_MAX_MULTICAST_SOLICIT : 0;
}

/* The first address beyond the link-local one, NULL = none. */
static const ip6_addr_t *global_address(const struct netif *netif)
{
    for (s8_t i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)))
            return netif_ip6_addr(netif, i);
    return NULL;
}

bool network6_has_address(const struct netif *netif)
{
    return global_address(netif) != NULL;
}

bool network6_is_on(const struct netif *netif)
{
    return !ip6_addr_isinvalid(netif_ip6_addr_state(netif, 0));
}

void network6_status(unsigned device, struct skep_net6 *out)
{
    const struct netif *netif = pvnet_interface(device);
    const ip6_addr_t *address = global_address(netif);
    *out = (struct skep_net6){
        .flags = (network6_is_on(netif) ? SKEP_NET6_ON : 0) |
                 (netif->ip6_autoconfig_enabled ? SKEP_NET6_AUTO : 0),
        .prefix_bits = address != NULL ? 64 : 0,
    };
    if (address != NULL)
        memcpy(out->address, address->addr, sizeof(out->address));
    memcpy(out->gateway, gateways[device].addr, sizeof(out->gateway));
}

bool network6_is_used(void)
{
    for (unsigned i = 0; pvnet_interface(i) != NULL; i++)
        if (network6_has_address(pvnet_interface(i)))
            return true;
    return false;
}

bool network6_ready(void)
{
    for (unsigned i = 0; pvnet_interface(i) != NULL; i++)
        if (pvnet_interface(i)->ip6_autoconfig_enabled && !network6_has_address(pvnet_interface(i)))
            return false;
    return true;
}

/*
 * Timers
 */

/* It goes on by itself: soon. */
static bool is_changing(const struct netif *netif)
{
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_istentative(netif_ip6_addr_state(netif, i)))
            return true;
    return netif->ip6_autoconfig_enabled && netif->rs_count == LWIP_ND6_MAX_MULTICAST_SOLICIT;
}

static bool is_aging(const struct netif *netif)
{
    for (s8_t i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) && !netif_ip6_addr_isstatic(netif, i))
            return true;
    return false;
}

static bool any_neighbour_in(unsigned states)
{
    for (size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++)
        if ((1u << neighbor_cache[i].state & states) != 0)
            return true;
    return false;
}

static bool lists_age(void)
{
    for (size_t i = 0; i < LWIP_ND6_NUM_ROUTERS; i++)
        if (default_router_list[i].neighbor_entry != NULL)
            return true;
    for (size_t i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
        if (prefix_list[i].netif != NULL)
            return true;
    return false;
}

/* Whether some interface is as `looks` says. */
static bool any_interface(bool (*looks)(const struct netif *netif))
{
    const struct netif *netif;
    NETIF_FOREACH(netif)
    {
        if (looks(netif))
            return true;
    }
    return false;
}

static bool solicits(const struct netif *netif)
{
    return netif->ip6_autoconfig_enabled && netif->rs_count > 0;
}

static bool asks(void)
{
    return any_neighbour_in(1u << ND6_INCOMPLETE | 1u << ND6_DELAY | 1u << ND6_PROBE) ||
           any_interface(solicits);
}

static uint64_t last_tick_ns;

uint32_t network6_interval(void)
{
    if (any_interface(is_changing))
        return 1;
    if (asks())
        return ND6_TMR_INTERVAL;
    bool ages = any_neighbour_in(1u << ND6_REACHABLE) || lists_age() || any_interface(is_aging);
    return ages ? SLOW_SECONDS * 1000 : 0;
}

/* lwIP counts in seconds: a slow tick makes up for those that were slept through, until something is to be sent. */
void network6_tick(void)
{
    uint64_t now = skep_clock_ns();
    uint64_t seconds = (now - last_tick_ns) / NS_PER_S;
    last_tick_ns = now;
    seconds = seconds < SLOW_SECONDS ? seconds : SLOW_SECONDS;
    do
        nd6_tmr();
    while (seconds-- > 1 && !asks());
}

static bool reports_groups(const struct netif *netif)
{
    for (const struct mld_group *group = netif_mld6_data(netif); group != NULL; group = group->next)
        if (group->timer > 0)
            return true;
    return false;
}

uint32_t network6_group_interval(void)
{
    return any_interface(reports_groups) ? MLD6_TMR_INTERVAL : 0;
}
