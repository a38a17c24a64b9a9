/*
 * socket_address.c - addresses of Internet sockets: whose they are, connect() and bind().
 */
#include "socket_internal.h"

#include <string.h>

#include "lwip/netif.h"
#include "lwip/udp.h"

#include "../lwip/network.h"
#include "skep/guest.h"
#include "skep/net.h"

/* How long a program that talks to others waits for the first DHCP lease. */
#define READY_WAIT_NS (15 * 1000000000ull)

/* An address of the socket's own family; lwIP would take an index beyond its own for another one. */
static int address_take(struct skep_file *file, union inet_address *out,
                        const struct sockaddr *address, socklen_t bytes)
{
    bool is_v6 = NETCONNTYPE_ISIPV6(netconn_type(state_of(file)->conn));
    if (address == NULL || bytes < (is_v6 ? sizeof(out->v6) : sizeof(out->v4)))
        return -EINVAL;
    if (address->sa_family != (is_v6 ? AF_INET6 : AF_INET))
        return -EAFNOSUPPORT;
    memcpy(out, address, is_v6 ? sizeof(out->v6) : sizeof(out->v4));
    return is_v6 && out->v6.sin6_scope_id > UINT8_MAX ? -EINVAL : 0;
}

void skep_inet_address_map(union inet_address *address, uint32_t v4)
{
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_addr = (struct in6_addr){0};
    address->v6.sin6_addr.s6_addr32[2] = htonl(0xffff);
    address->v6.sin6_addr.s6_addr32[3] = v4;
}

void skep_inet_address_tell(const union inet_address *own, struct sockaddr *address,
                            socklen_t *bytes)
{
    socklen_t whole = address_bytes_of(own);
    memcpy(address, own, *bytes < whole ? *bytes : whole);
    *bytes = whole;
}

void skep_inet_address_set(union inet_address *out, const struct netconn *connection,
                           const ip_addr_t *address, uint16_t port)
{
    if (!NETCONNTYPE_ISIPV6(connection->type)) {
        out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        out->v4.sin_addr.s_addr = ip_2_ip4(address)->addr;
        return;
    }
    out->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (IP_IS_V6_VAL(*address)) {
        memcpy(&out->v6.sin6_addr, ip_2_ip6(address)->addr, sizeof(out->v6.sin6_addr));
        out->v6.sin6_scope_id = ip6_addr_zone(ip_2_ip6(address));
    } else
        skep_inet_address_map(out, ip_2_ip4(address)->addr);
}

/* lwIP chooses the address from which a datagram comes for each one: of a connected socket it can be told before. */
static const ip_addr_t *source_of(const struct netconn *connection)
{
    const struct udp_pcb *pcb = connection->pcb.udp;
    if (NETCONNTYPE_GROUP(connection->type) != NETCONN_UDP || pcb == NULL ||
        (pcb->flags & UDP_FLAGS_CONNECTED) == 0 || !ip_addr_isany_val(pcb->local_ip))
        return NULL;
    struct netif *netif = ip_route(&pcb->local_ip, &pcb->remote_ip);
    return netif != NULL ? ip_netif_get_local_ip(netif, &pcb->remote_ip) : NULL;
}

int skep_inet_own_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    union inet_address own;
    socklen_t own_bytes = sizeof(own);
    if (lwip_getsockname(number_of(file), &own.any, &own_bytes) < 0)
        return -errno;
    LOCK_TCPIP_CORE();
    const struct netconn *connection = state_of(file)->conn;
    const ip_addr_t *source = source_of(connection);
    if (source != NULL)
        skep_inet_address_set(&own, connection, source, connection->pcb.udp->local_port);
    UNLOCK_TCPIP_CORE();
    skep_inet_address_tell(&own, address, bytes);
    return 0;
}

int skep_inet_peer_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    union inet_address peer;
    socklen_t peer_bytes = sizeof(peer);
    if (lwip_getpeername(number_of(file), &peer.any, &peer_bytes) < 0)
        return -errno;
    skep_inet_address_tell(&peer, address, bytes);
    return 0;
}

/*
 * Connecting. A program that starts with the guest may be faster than the DHCP server: the first call to somebody else
 * waits for it. A handler doesn't end that, as a program would then wait for a connection that nobody opens.
 * -EINTR: the thread is to be cancelled.
 */

static int ready_wait4(uint32_t to)
{
    static _Atomic bool once;
    if (once || ntohl(to) >> 24 == IN_LOOPBACKNET)
        return 0;
    if (skep_net_wait_ready(skep_clock_ns() + READY_WAIT_NS) == -EINTR)
        return -EINTR;
    once = true;
    return 0;
}

/* Routers advertise themselves later than the program starts, too. */
static int ready_wait6(const struct in6_addr *to)
{
    static _Atomic bool once;
    if (once || IN6_IS_ADDR_LOOPBACK(to) || IN6_IS_ADDR_LINKLOCAL(to))
        return 0;
    if (network_wait_until(network6_ready, skep_clock_ns() + READY_WAIT_NS) == -EINTR)
        return -EINTR;
    once = true;
    return 0;
}

static int ready_wait(const union inet_address *to)
{
    if (to->any.sa_family == AF_INET)
        return ready_wait4(to->v4.sin_addr.s_addr);
    if (IN6_IS_ADDR_V4MAPPED(&to->v6.sin6_addr))
        return ready_wait4(to->v6.sin6_addr.s6_addr32[3]);
    return ready_wait6(&to->v6.sin6_addr);
}

/* The address of somebody else, and the way there: address_take(), then ready_wait(). */
int skep_inet_remote_take(struct skep_file *file, union inet_address *out,
                          const struct sockaddr *address, socklen_t bytes)
{
    int error = address_take(file, out, address, bytes);
    return error < 0 ? error : ready_wait(out);
}

/* lwIP tells a refused connection as reset, and one that nobody answered as aborted. */
int skep_inet_connect_error(int error)
{
    return error == ECONNRESET ? ECONNREFUSED : connection_error(error);
}

static int connect_datagrams(const struct skep_file *file, const union inet_address *remote)
{
    if (!skep_inet_hear_unreachable(state_of(file)->conn))
        return -ENOBUFS;
    return (int)result_of(lwip_connect(number_of(file), &remote->any, address_bytes_of(remote)));
}

/* A connection that there is now was noted by socket.c; one that failed at once can be tried again, as on Linux, and has
 * told its error. One that was still being made when connect() came back is told once, by the next call. */
static int connect_stream(const struct skep_file *file, const union inet_address *remote)
{
    int number = number_of(file);
    bool was_unconnected = unmark(number, UNCONNECTED), was_untold = unmark(number, UNTOLD);
    mark(number, CONNECTING, true);
    if (lwip_connect(number, &remote->any, address_bytes_of(remote)) == 0)
        return 0;
    int error = errno;
    if (skep_inet_call.interrupted || error == EINPROGRESS || error == EALREADY) {
        mark(number, UNTOLD, true);
        return skep_inet_call.interrupted ? -EINTR : -error;
    }
    mark(number, CONNECTING, false);
    if (error == EISCONN && was_untold)
        return 0;
    mark(number, UNCONNECTED, was_unconnected);
    if (was_unconnected)
        netconn_err(state_of(file)->conn);
    return -skep_inet_connect_error(error);
}

int skep_inet_connect(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    union inet_address remote = {.any.sa_family = AF_UNSPEC}; /* a datagram socket forgets */
    skep_inet_call_begin(file);
    if (address == NULL || bytes < sizeof(sa_family_t) || address->sa_family != AF_UNSPEC) {
        int result = skep_inet_remote_take(file, &remote, address, bytes);
        if (result < 0)
            return result;
    }
    if (!is_tcp(state_of(file)->conn))
        return connect_datagrams(file, &remote);
    return connect_stream(file, &remote);
}

/*
 * Binding. lwIP takes any address, and another one after the first.
 */

static bool has_address4(uint32_t address)
{
    const ip4_addr_t wanted = {address};
    const struct netif *netif;
    if (address == htonl(INADDR_ANY) || ntohl(address) >> 24 == IN_LOOPBACKNET ||
        ip4_addr_ismulticast(&wanted))
        return true;
    NETIF_FOREACH(netif)
    if (ip4_addr_eq(netif_ip4_addr(netif), &wanted) || ip4_addr_isbroadcast(&wanted, netif))
        return true;
    return false;
}

static bool has_address6(const struct in6_addr *address)
{
    ip6_addr_t wanted = {0};
    struct netif *netif;
    memcpy(wanted.addr, address, sizeof(wanted.addr));
    if (IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address) ||
        IN6_IS_ADDR_MULTICAST(address))
        return true;
    NETIF_FOREACH(netif)
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (!ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)) &&
            ip6_addr_zoneless_eq(netif_ip6_addr(netif, i), &wanted))
            return true;
    return false;
}

/* Whether it is the guest's, or a group's or network's that it may listen to. */
static bool has_address(const union inet_address *address)
{
    LOCK_TCPIP_CORE();
    bool result = address->any.sa_family == AF_INET ? has_address4(address->v4.sin_addr.s_addr)
                  : IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)
                      ? has_address4(address->v6.sin6_addr.s6_addr32[3])
                      : has_address6(&address->v6.sin6_addr);
    UNLOCK_TCPIP_CORE();
    return result;
}

static bool is_bound(const struct skep_file *file)
{
    LOCK_TCPIP_CORE();
    const struct netconn *connection = state_of(file)->conn;
    bool result = false;
    if (is_tcp(connection) && connection->pcb.tcp != NULL)
        result = connection->pcb.tcp->local_port != 0;
    else if (NETCONNTYPE_GROUP(connection->type) == NETCONN_UDP && connection->pcb.udp != NULL)
        result = connection->pcb.udp->local_port != 0;
    UNLOCK_TCPIP_CORE();
    return result;
}

/* An address may come after the program has started. No cancellation ends this: the wait goes on. */
int skep_inet_bind(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    union inet_address local;
    int result = address_take(file, &local, address, bytes);
    if (result < 0)
        return result;
    if (is_bound(file))
        return -EINVAL;
    if (!has_address(&local)) {
        skep_inet_call_begin(file);
        skep_inet_call.is_lasting = true;
        ready_wait(&local);
        skep_inet_call.is_lasting = false;
        if (!has_address(&local))
            return -EADDRNOTAVAIL;
    }
    return (int)result_of(lwip_bind(number_of(file), &local.any, address_bytes_of(&local)));
}
