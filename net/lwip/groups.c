/*
 * groups.c - groups of the network's devices (multicast): which MACs ring 0 lets in for them, and their timers.
 *
 * Ring 0 knows MACs and nothing of IGMP (RFC 2236) or MLD (RFC 2710), which are lwIP's: it is told when the first group of a
 * MAC is joined, of which several groups may have the same one, and when the last is left. What routers ask members comes to
 * the groups of all hosts and all nodes, whose MACs are let in with the first other group. The groups by which neighbours are
 * asked for need nothing: what concerns a guest's own addresses reaches it anyhow.
 */
#include <string.h>

#include "lwip/igmp.h"
#include "lwip/ip.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"

#include "network.h"
#include "skep/hypercall.h"

#define ALL_HOSTS_MAC 0x0100005e0001ull     /* 01:00:5e:00:00:01, its first byte lowest */
#define ALL_NODES_MAC 0x010000003333ull     /* 33:33:00:00:00:01 */
#define IPV4_MAC      0x00000000005e0001ull /* RFC 1112, section 6.4 */
#define IPV6_MAC      0x0000000000003333ull /* RFC 2464, section 7 */

/* The first refusal of a join. Guarded by the core lock. */
static int64_t told;

static uint64_t mac_of4(const ip4_addr_t *group)
{
    return IPV4_MAC | (uint64_t)(group->addr & PP_HTONL(0x7fffff)) << 16;
}

static uint64_t mac_of6(const ip6_addr_t *group)
{
    return IPV6_MAC | (uint64_t)group->addr[3] << 16;
}

/* Several groups have one MAC, and ring 0 may be too old to know of any: both is as good as done. */
static void enter(const struct netif *netif, uint64_t mac)
{
    int64_t result = skep_hc_net_group(pvnet_number(netif), mac, true);
    if (result < 0 && result != -SKEP_EEXIST && result != -SKEP_ENOSYS && told == 0)
        told = result;
}

static void leave(const struct netif *netif, uint64_t mac)
{
    skep_hc_net_group(pvnet_number(netif), mac, false);
}

/* Whether a group has this MAC, or with 0 whether there is any; the group of all hosts, in which everybody is, aside. */
static bool is_used4(const struct netif *netif, uint64_t mac)
{
    const struct igmp_group *group = netif_igmp_data(netif);
    for (; group != NULL; group = group->next)
        if (group->group_address.addr != PP_HTONL(0xe0000001) &&
            (mac == 0 || mac_of4(&group->group_address) == mac))
            return true;
    return false;
}

static bool is_used6(const struct netif *netif, uint64_t mac)
{
    const struct mld_group *group = netif_mld6_data(netif);
    for (; group != NULL; group = group->next)
        if (!ip6_addr_issolicitednode(&group->group_address) &&
            (mac == 0 || mac_of6(&group->group_address) == mac))
            return true;
    return false;
}

static err_t filter(const struct netif *netif, enum netif_mac_filter_action action, uint64_t mac,
                    uint64_t all, bool (*is_used)(const struct netif *netif, uint64_t mac))
{
    if (action == NETIF_ADD_MAC_FILTER) {
        enter(netif, all);
        enter(netif, mac);
        return ERR_OK;
    }
    if (!is_used(netif, mac) && mac != all)
        leave(netif, mac);
    if (!is_used(netif, 0))
        leave(netif, all);
    return ERR_OK;
}

static err_t filter4(struct netif *netif, const ip4_addr_t *group,
                     enum netif_mac_filter_action action)
{
    return filter(netif, action, mac_of4(group), ALL_HOSTS_MAC, is_used4);
}

static err_t filter6(struct netif *netif, const ip6_addr_t *group,
                     enum netif_mac_filter_action action)
{
    return ip6_addr_issolicitednode(group)
               ? ERR_OK
               : filter(netif, action, mac_of6(group), ALL_NODES_MAC, is_used6);
}

void network_groups_begin(struct netif *netif)
{
    netif_set_igmp_mac_filter(netif, filter4);
    netif_set_mld_mac_filter(netif, filter6);
}

/*
 * Sockets' groups
 */

static err_t lwip_leave(struct netif *netif, const struct ip_addr *group)
{
    return IP_IS_V4(group) ? igmp_leavegroup_netif(netif, ip_2_ip4(group))
                           : mld6_leavegroup_netif(netif, ip_2_ip6(group));
}

int network_group_join(struct netif *netif, const struct ip_addr *group)
{
    told = 0;
    err_t error = IP_IS_V4(group) ? igmp_joingroup_netif(netif, ip_2_ip4(group))
                                  : mld6_joingroup_netif(netif, ip_2_ip6(group));
    if (error == ERR_OK && told < 0) {
        lwip_leave(netif, group);
        return told == -SKEP_ENOSPC ? -SKEP_ENOSPC : -SKEP_EINVAL;
    }
    network_nd_used(); /* its report is repeated */
    return error == ERR_OK ? 0 : error == ERR_MEM ? -SKEP_ENOMEM : -SKEP_EINVAL;
}

void network_group_leave(struct netif *netif, const struct ip_addr *group)
{
    lwip_leave(netif, group);
}

uint32_t network_group_interval(void)
{
    const struct netif *netif;
    NETIF_FOREACH(netif)
    {
        const struct igmp_group *group = netif_igmp_data(netif);
        for (; group != NULL; group = group->next)
            if (group->timer > 0)
                return IGMP_TMR_INTERVAL;
    }
    return 0;
}
