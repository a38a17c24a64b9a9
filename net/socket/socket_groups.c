/*
 * socket_groups.c - the groups (multicast) that sockets have joined. lwIP counts an interface's groups; whose they are is
 * kept here, so that each socket joins and leaves its own ones, once, and leaves them when it is closed.
 */
#include "socket_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lwip/ip4.h"
#include "lwip/netif.h"

#include "../lwip/network.h"

struct membership {
    struct membership *next;
    int number; /* the socket's */
    u8_t index; /* the interface's */
    ip_addr_t group;
};

/* Guarded by the core lock. */
static struct membership *memberships;

static struct membership **find(int number, u8_t index, const ip_addr_t *group)
{
    struct membership **at = &memberships;
    while (*at != NULL && ((*at)->number != number || (*at)->index != index ||
                           !ip_addr_zoneless_eq(&(*at)->group, group)))
        at = &(*at)->next;
    return at;
}

static void end(struct membership **at)
{
    struct membership *membership = *at;
    struct netif *netif = netif_get_by_index(membership->index);
    if (netif != NULL)
        network_group_leave(netif, &membership->group);
    *at = membership->next;
    free(membership);
}

static int join(int number, struct netif *netif, const ip_addr_t *group)
{
    u8_t index = netif_get_index(netif);
    if (*find(number, index, group) != NULL)
        return -EADDRINUSE;
    struct membership *membership = malloc(sizeof(*membership));
    int error = membership == NULL ? -SKEP_ENOMEM : network_group_join(netif, group);
    if (error < 0) {
        free(membership);
        return error == -SKEP_EINVAL ? -EADDRNOTAVAIL : -ENOBUFS;
    }
    *membership = (struct membership){memberships, number, index, *group};
    memberships = membership;
    mark(number, IN_GROUPS, true);
    return 0;
}

void skep_inet_groups_leave(int number)
{
    if (!is_marked(number, IN_GROUPS))
        return;
    LOCK_TCPIP_CORE();
    for (struct membership **at = &memberships; *at != NULL;) {
        if ((*at)->number == number)
            end(at);
        else
            at = &(*at)->next;
    }
    UNLOCK_TCPIP_CORE();
}

/*
 * What setsockopt() was given
 */

struct request {
    bool joins;
    ip_addr_t group;
    unsigned index;     /* of the interface, 0 = by its address */
    ip4_addr_t address; /* of the interface, any = the one that the way there leads by */
};

bool skep_inet_mreqn_take(struct ip_mreqn *out, const void *value, socklen_t bytes)
{
    if (bytes < sizeof(struct ip_mreq))
        return false;
    *out = (struct ip_mreqn){0};
    memcpy(out, value, bytes < sizeof(*out) ? sizeof(struct ip_mreq) : sizeof(*out));
    return true;
}

static int take4(struct request *out, const void *value, socklen_t bytes)
{
    struct ip_mreqn group;
    if (!skep_inet_mreqn_take(&group, value, bytes))
        return -EINVAL;
    ip_addr_set_ip4_u32_val(out->group, group.imr_multiaddr.s_addr);
    out->address.addr = group.imr_address.s_addr;
    out->index = (unsigned)group.imr_ifindex;
    return 0;
}

static void group6_take(ip_addr_t *out, const struct in6_addr *group)
{
    ip_addr_set_zero_ip6(out);
    memcpy(ip_2_ip6(out)->addr, group, sizeof(ip_2_ip6(out)->addr));
}

static int take6(struct request *out, const void *value, socklen_t bytes)
{
    struct ipv6_mreq group;
    if (bytes < sizeof(group))
        return -EINVAL;
    memcpy(&group, value, sizeof(group));
    group6_take(&out->group, &group.ipv6mr_multiaddr);
    out->index = group.ipv6mr_interface;
    return 0;
}

/* RFC 3678: of the level's family. */
static int take_any(struct request *out, int level, const void *value, socklen_t bytes)
{
    struct group_req group;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (bytes < sizeof(group))
        return -EINVAL;
    memcpy(&group, value, sizeof(group));
    if (group.gr_group.ss_family != (level == IPPROTO_IP ? AF_INET : AF_INET6))
        return -EADDRNOTAVAIL;
    memcpy(&v4, &group.gr_group, sizeof(v4));
    memcpy(&v6, &group.gr_group, sizeof(v6));
    if (level == IPPROTO_IP)
        ip_addr_set_ip4_u32_val(out->group, v4.sin_addr.s_addr);
    else
        group6_take(&out->group, &v6.sin6_addr);
    out->index = group.gr_interface;
    return 0;
}

static bool request_take(struct request *out, int level, int name, const void *value,
                         socklen_t bytes, int *error)
{
    out->joins = name == MCAST_JOIN_GROUP ||
                 name == (level == IPPROTO_IP ? IP_ADD_MEMBERSHIP : IPV6_JOIN_GROUP);
    if (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP)
        *error = take_any(out, level, value, bytes);
    else if (level == IPPROTO_IP && (out->joins || name == IP_DROP_MEMBERSHIP))
        *error = take4(out, value, bytes);
    else if (level == IPPROTO_IPV6 && (out->joins || name == IPV6_LEAVE_GROUP))
        *error = take6(out, value, bytes);
    else
        return false;
    return true;
}

/* The lock is held. */
static struct netif *interface_of(const struct request *request)
{
    if (request->index != 0)
        return skep_inet_interface(request->index);
    if (IP_IS_V6_VAL(request->group))
        return netif_default;
    if (!ip4_addr_isany_val(request->address))
        return skep_inet_interface_at(request->address.addr);
    /* DHCP may not have answered yet: routers are told when it has. */
    struct netif *netif = ip4_route(ip_2_ip4(&request->group));
    return netif != NULL ? netif : netif_default;
}

/* The lock is held. */
static int group_set(int number, const struct request *request)
{
    struct netif *netif = interface_of(request);
    if (netif == NULL)
        return -ENODEV;
    if (request->joins)
        return join(number, netif, &request->group);
    struct membership **at = find(number, netif_get_index(netif), &request->group);
    if (*at == NULL)
        return -EADDRNOTAVAIL;
    end(at);
    return 0;
}

bool skep_inet_group_option(struct skep_file *file, int level, int name, const void *value,
                            socklen_t bytes, int *error)
{
    struct request request = {0};
    if (!request_take(&request, level, name, value, bytes, error))
        return false;
    if (is_tcp(state_of(file)->conn))
        *error = -EPROTO;
    if (*error == 0 && !ip_addr_ismulticast(&request.group))
        *error = -EINVAL;
    if (*error < 0)
        return true;
    LOCK_TCPIP_CORE();
    *error = group_set(number_of(file), &request);
    UNLOCK_TCPIP_CORE();
    return true;
}
