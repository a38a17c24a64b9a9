/*
 * socket_options.c - getsockopt() and setsockopt() of Internet sockets.
 */
#include "socket_internal.h"

#include <netinet/tcp.h>
#include <string.h>

#include "lwip/netif.h"

static bool accepted_without_effect(int level, int name)
{
    return level == SOL_SOCKET &&
           (name == SO_SNDBUF || name == SO_REUSEPORT || name == SO_OOBINLINE);
}

/* What lwIP has under another name. */
static void option_rename(int *level, int *name)
{
    if (*level != IPPROTO_IPV6 || (*name != IPV6_UNICAST_HOPS && *name != IPV6_TCLASS))
        return;
    *name = *name == IPV6_UNICAST_HOPS ? IP_TTL : IP_TOS;
    *level = IPPROTO_IP;
}

/* lwIP would take -1 for 255, and larger numbers for their last byte. */
static int byte_set(int number, int level, int name, const void *value, socklen_t bytes)
{
    int byte;
    if (bytes < sizeof(byte))
        return -EINVAL;
    memcpy(&byte, value, sizeof(byte));
    if (byte == -1)
        byte = name == IPV6_TCLASS ? 0 : IP_DEFAULT_TTL;
    if (byte < 0 || byte > UINT8_MAX)
        return -EINVAL;
    option_rename(&level, &name);
    return (int)result_of(lwip_setsockopt(number, level, name, &byte, sizeof(byte)));
}

/* lwIP wants to know which interface. */
static int group_set(int number, int name, const void *value, socklen_t bytes)
{
    struct ipv6_mreq group;
    if (bytes < sizeof(group))
        return -EINVAL;
    memcpy(&group, value, sizeof(group));
    if (!IN6_IS_ADDR_MULTICAST(&group.ipv6mr_multiaddr))
        return -EINVAL;
    if (group.ipv6mr_interface == 0)
        group.ipv6mr_interface = netif_get_index(netif_default);
    if (group.ipv6mr_interface > UINT8_MAX)
        return -ENODEV;
    return (int)result_of(lwip_setsockopt(number, IPPROTO_IPV6, name, &group, sizeof(group)));
}

static bool is_arrival(int level, int name)
{
    return (level == IPPROTO_IP && name == IP_PKTINFO) ||
           (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO);
}

static int mark_set(int number, enum inet_mark which, const void *value, socklen_t bytes)
{
    int on;
    if (bytes < sizeof(on))
        return -EINVAL;
    memcpy(&on, value, sizeof(on));
    mark(number, which, on != 0);
    return 0;
}

static int nodelay_set(struct skep_file *file, const void *value, socklen_t bytes)
{
    const struct netconn *connection = state_of(file)->conn;
    int number = number_of(file), on;
    if (!is_tcp(connection))
        return -ENOPROTOOPT;
    if (bytes < sizeof(on))
        return -EINVAL;
    memcpy(&on, value, sizeof(on));
    LOCK_TCPIP_CORE();
    mark(number, HAS_NODELAY, on != 0);
    if (connection->pcb.tcp != NULL && !is_listening(connection)) {
        if (on != 0)
            tcp_nagle_disable(connection->pcb.tcp);
        else
            tcp_nagle_enable(connection->pcb.tcp);
    }
    UNLOCK_TCPIP_CORE();
    return 0;
}

static int int_get(int number, void *value, socklen_t *bytes)
{
    if (*bytes < sizeof(int))
        return -EINVAL;
    *(int *)value = number;
    *bytes = sizeof(int);
    return 0;
}

int skep_inet_option_set(struct skep_file *file, int level, int name, const void *value,
                         socklen_t bytes)
{
    if (level == IPPROTO_IPV6 && (name == IPV6_UNICAST_HOPS || name == IPV6_TCLASS))
        return byte_set(number_of(file), level, name, value, bytes);
    if (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP))
        return group_set(number_of(file), name, value, bytes);
    if (accepted_without_effect(level, name))
        return 0;
    if (is_arrival(level, name))
        return mark_set(number_of(file), TELLS_ARRIVAL, value, bytes);
    if (level == IPPROTO_TCP && name == TCP_NODELAY)
        return nodelay_set(file, value, bytes);
    return (int)result_of(lwip_setsockopt(number_of(file), level, name, value, bytes));
}

int skep_inet_option_get(struct skep_file *file, int level, int name, void *value, socklen_t *bytes)
{
    int number = number_of(file);
    if (accepted_without_effect(level, name))
        return int_get(name == SO_SNDBUF ? TCP_SND_BUF : 0, value, bytes);
    if (is_arrival(level, name))
        return int_get(is_marked(number, TELLS_ARRIVAL), value, bytes);
    if (level == IPPROTO_TCP && name == TCP_NODELAY && is_tcp(state_of(file)->conn))
        return int_get(is_marked(number, HAS_NODELAY), value, bytes);
    option_rename(&level, &name);
    if (lwip_getsockopt(number, level, name, value, bytes) < 0)
        return -errno;
    if (level == SOL_SOCKET && name == SO_ERROR) {
        if (unmark(number, REFUSED))
            *(int *)value = ECONNREFUSED;
        if (is_marked(number, CONNECTING))
            *(int *)value = skep_inet_connect_error(*(int *)value);
        mark(number, CONNECTING, false);
    }
    return 0;
}
