/*
 * socket_options.c - getsockopt() and setsockopt() of Internet sockets: what lwIP has in another way, or lets through.
 */
#include "socket_internal.h"

#include <limits.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/raw.h"
#include "lwip/udp.h"

#include "../lwip/network.h"

#define RECEIVE_BUFFER_MIN 2304 /* as on Linux: a segment with what it costs */

static bool is_udp(const struct netconn *connection)
{
    return NETCONNTYPE_GROUP(connection->type) == NETCONN_UDP;
}

/*
 * Values
 */

static int int_take(const void *value, socklen_t bytes, int *out)
{
    if (bytes < sizeof(*out))
        return -EINVAL;
    memcpy(out, value, sizeof(*out));
    return 0;
}

/* Options of IP may be bytes, too. */
static int byte_or_int_take(const void *value, socklen_t bytes, int *out)
{
    if (bytes >= sizeof(*out) || bytes == 0)
        return int_take(value, bytes, out);
    *out = *(const unsigned char *)value;
    return 0;
}

/* As much as has room. */
static int tell(const void *what, socklen_t most, void *value, socklen_t *bytes)
{
    if (*bytes > most)
        *bytes = most;
    memcpy(value, what, *bytes);
    return 0;
}

static int int_tell(int number, void *value, socklen_t *bytes)
{
    return tell(&number, sizeof(number), value, bytes);
}

/* Of IP: a byte, if there is no room for more. */
static int byte_or_int_tell(int number, void *value, socklen_t *bytes)
{
    const unsigned char byte = (unsigned char)number;
    return *bytes >= sizeof(number) || number < 0 || number > UCHAR_MAX
               ? int_tell(number, value, bytes)
               : tell(&byte, sizeof(byte), value, bytes);
}

static int mark_set(int number, enum inet_mark which, const void *value, socklen_t bytes)
{
    int on;
    if (int_take(value, bytes, &on) < 0)
        return -EINVAL;
    mark(number, which, on != 0);
    return 0;
}

/* What lwIP sets of a number that it would cut. */
static int forward(int number, int level, int name, int value)
{
    return (int)result_of(lwip_setsockopt(number, level, name, &value, sizeof(value)));
}

/*
 * SOL_SOCKET
 */

/* lwIP has no such flag: it is kept, and changes nothing. */
#define SOF_DONTROUTE 0x10U

static u8_t flag_of(int name)
{
    return name == SO_BROADCAST   ? SOF_BROADCAST
           : name == SO_KEEPALIVE ? SOF_KEEPALIVE
           : name == SO_REUSEADDR ? SOF_REUSEADDR
           : name == SO_REUSEPORT ? SOF_REUSEPORT
           : name == SO_DONTROUTE ? SOF_DONTROUTE
                                  : 0;
}

/* A connection that has failed has none to set. */
static int flag_set(const struct netconn *connection, u8_t flag, const void *value, socklen_t bytes)
{
    int on;
    if (int_take(value, bytes, &on) < 0)
        return -EINVAL;
    LOCK_TCPIP_CORE();
    if (connection->pcb.ip != NULL && on != 0)
        ip_set_option(connection->pcb.ip, flag);
    else if (connection->pcb.ip != NULL)
        ip_reset_option(connection->pcb.ip, flag);
    UNLOCK_TCPIP_CORE();
    return 0;
}

static int flag_get(const struct netconn *connection, u8_t flag, void *value, socklen_t *bytes)
{
    LOCK_TCPIP_CORE();
    bool on = connection->pcb.ip != NULL && ip_get_option(connection->pcb.ip, flag) != 0;
    UNLOCK_TCPIP_CORE();
    return int_tell(on, value, bytes);
}

/* lwIP waits for ever instead of less than a millisecond; and as Linux it takes no negative span for an error. */
static int span_set(int number, int name, const void *value, socklen_t bytes)
{
    struct timeval span;
    if (bytes < sizeof(span))
        return -EINVAL;
    memcpy(&span, value, sizeof(span));
    if (span.tv_usec < 0 || span.tv_usec >= 1000000)
        return -EDOM;
    if (span.tv_sec < 0 || (span.tv_sec == 0 && span.tv_usec > 0 && span.tv_usec < 1000))
        span = (struct timeval){.tv_usec = 1000};
    if (span.tv_sec >= INT_MAX / 1000)
        span = (struct timeval){0};
    return (int)result_of(lwip_setsockopt(number, SOL_SOCKET, name, &span, sizeof(span)));
}

/* lwIP keeps 16 bits of it, with a sign. */
static int linger_set(int number, const void *value, socklen_t bytes)
{
    struct linger linger;
    if (bytes < sizeof(linger))
        return -EINVAL;
    memcpy(&linger, value, sizeof(linger));
    if (linger.l_linger < 0 || linger.l_linger > INT16_MAX)
        linger.l_linger = INT16_MAX;
    return (int)result_of(lwip_setsockopt(number, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static int receive_buffer_set(struct skep_file *file, int bytes)
{
    if (is_tcp(state_of(file)->conn))
        return 0;
    return forward(number_of(file), SOL_SOCKET, SO_RCVBUF,
                   bytes < RECEIVE_BUFFER_MIN ? RECEIVE_BUFFER_MIN : bytes);
}

/* SO_BINDTODEVICE: the interface's name, or none. */
static int device_set(const struct netconn *connection, const void *value, socklen_t bytes)
{
    char name[IF_NAMESIZE] = "";
    memcpy(name, value, bytes < sizeof(name) ? bytes : sizeof(name) - 1);
    LOCK_TCPIP_CORE();
    u8_t index = name[0] == 0 ? NETIF_NO_INDEX : netif_name_to_index(name);
    bool is_known = name[0] == 0 || index != NETIF_NO_INDEX;
    if (is_known && connection->pcb.ip != NULL)
        connection->pcb.ip->netif_idx = index;
    UNLOCK_TCPIP_CORE();
    return is_known ? 0 : -ENODEV;
}

static int device_get(const struct netconn *connection, void *value, socklen_t *bytes)
{
    char name[IF_NAMESIZE] = "";
    LOCK_TCPIP_CORE();
    u8_t index = connection->pcb.ip != NULL ? connection->pcb.ip->netif_idx : NETIF_NO_INDEX;
    bool is_bound = index != NETIF_NO_INDEX && netif_index_to_name(index, name) != NULL;
    UNLOCK_TCPIP_CORE();
    if (is_bound && *bytes < sizeof(name))
        return -EINVAL;
    return tell(name, is_bound ? (socklen_t)strlen(name) + 1 : 0, value, bytes);
}

static int socket_set(struct skep_file *file, int name, const void *value, socklen_t bytes)
{
    int number = number_of(file), wanted;
    if (flag_of(name) != 0)
        return flag_set(state_of(file)->conn, flag_of(name), value, bytes);
    switch (name) {
    case SO_RCVTIMEO:
    case SO_SNDTIMEO:
        return span_set(number, name, value, bytes);
    case SO_LINGER:
        return linger_set(number, value, bytes);
    case SO_BINDTODEVICE:
        return device_set(state_of(file)->conn, value, bytes);
    case SO_SNDBUF: /* without effect, as the next one */
    case SO_OOBINLINE:
        return int_take(value, bytes, &wanted);
    case SO_RCVBUF:
        return int_take(value, bytes, &wanted) < 0 ? -EINVAL : receive_buffer_set(file, wanted);
    case SO_RCVLOWAT: /* nothing waits for more than one byte */
        return int_take(value, bytes, &wanted) < 0 ? -EINVAL : wanted > 1 ? -ENOPROTOOPT : 0;
    default:
        return (int)result_of(lwip_setsockopt(number, SOL_SOCKET, name, value, bytes));
    }
}

static int protocol_of(const struct netconn *connection)
{
    if (is_tcp(connection) || is_udp(connection))
        return is_tcp(connection) ? IPPROTO_TCP : IPPROTO_UDP;
    LOCK_TCPIP_CORE();
    int protocol = connection->pcb.raw != NULL ? connection->pcb.raw->protocol : IPPROTO_RAW;
    UNLOCK_TCPIP_CORE();
    return protocol;
}

/* What ended the connection, or refused a datagram; it is told once. */
static int error_get(struct skep_file *file, void *value, socklen_t *bytes)
{
    int number = number_of(file), error = 0;
    socklen_t error_bytes = sizeof(error);
    if (lwip_getsockopt(number, SOL_SOCKET, SO_ERROR, &error, &error_bytes) < 0)
        return -errno;
    if (unmark(number, REFUSED))
        error = ECONNREFUSED;
    if (unmark(number, CONNECTING))
        error = skep_inet_connect_error(error);
    return int_tell(connection_error(error), value, bytes);
}

static int socket_get(struct skep_file *file, int name, void *value, socklen_t *bytes)
{
    const struct netconn *connection = state_of(file)->conn;
    if (flag_of(name) != 0)
        return flag_get(connection, flag_of(name), value, bytes);
    switch (name) {
    case SO_ERROR:
        return error_get(file, value, bytes);
    case SO_DOMAIN:
        return int_tell(NETCONNTYPE_ISIPV6(connection->type) ? AF_INET6 : AF_INET, value, bytes);
    case SO_PROTOCOL:
        return int_tell(protocol_of(connection), value, bytes);
    case SO_ACCEPTCONN:
        return int_tell(skep_inet_is_listener(connection), value, bytes);
    case SO_BINDTODEVICE:
        return device_get(connection, value, bytes);
    case SO_OOBINLINE:
        return int_tell(0, value, bytes);
    case SO_RCVLOWAT:
    case SO_SNDLOWAT:
        return int_tell(1, value, bytes);
    case SO_SNDBUF:
        return int_tell(TCP_SND_BUF, value, bytes);
    case SO_RCVBUF:
        if (is_tcp(connection))
            return int_tell(TCP_WND, value, bytes);
        break;
    default:
        break;
    }
    return (int)result_of(lwip_getsockopt(number_of(file), SOL_SOCKET, name, value, bytes));
}

/*
 * Multicast: what datagrams to groups leave by, how far they go, and whether the guest's own members get them
 */

enum multicast { NOT_MULTICAST, BY_INTERFACE, HOPS, LOOP };

static enum multicast multicast_of(int level, int name)
{
    if (level == IPPROTO_IP)
        return name == IP_MULTICAST_IF     ? BY_INTERFACE
               : name == IP_MULTICAST_TTL  ? HOPS
               : name == IP_MULTICAST_LOOP ? LOOP
                                           : NOT_MULTICAST;
    return name == IPV6_MULTICAST_IF     ? BY_INTERFACE
           : name == IPV6_MULTICAST_HOPS ? HOPS
           : name == IPV6_MULTICAST_LOOP ? LOOP
                                         : NOT_MULTICAST;
}

/* IPv4 names it by its address, or as groups are joined, IPv6 by its index. The lock is held. 0: none in particular. */
static int interface_take(int level, const void *value, socklen_t bytes, u8_t *index)
{
    struct ip_mreqn named = {0};
    unsigned wanted;
    if (bytes < sizeof(wanted))
        return -EINVAL;
    memcpy(&wanted, value, sizeof(wanted));
    if (level != IPPROTO_IP)
        named.imr_ifindex = (int)wanted;
    else if (!skep_inet_mreqn_take(&named, value, bytes))
        named.imr_address.s_addr = wanted;
    *index = NETIF_NO_INDEX;
    if (named.imr_ifindex == 0 && named.imr_address.s_addr == 0)
        return 0;
    const struct netif *netif = named.imr_ifindex != 0
                                    ? skep_inet_interface((unsigned)named.imr_ifindex)
                                    : skep_inet_interface_at(named.imr_address.s_addr);
    if (netif == NULL)
        return named.imr_ifindex != 0 ? -ENODEV : -EADDRNOTAVAIL;
    *index = netif_get_index(netif);
    return 0;
}

static int multicast_set(struct udp_pcb *pcb, int level, enum multicast what, const void *value,
                         socklen_t bytes)
{
    int number = 0;
    u8_t index;
    if (what == BY_INTERFACE) {
        int error = interface_take(level, value, bytes, &index);
        if (error == 0)
            udp_set_multicast_netif_index(pcb, index);
        return error;
    }
    int error = level == IPPROTO_IP ? byte_or_int_take(value, bytes, &number)
                                    : int_take(value, bytes, &number);
    if (what == HOPS && number == -1)
        number = 1;
    if (error < 0 || (what == HOPS && (number < 0 || number > UINT8_MAX)))
        return -EINVAL;
    if (what == HOPS)
        udp_set_multicast_ttl(pcb, (u8_t)number);
    else if (number != 0)
        udp_set_flags(pcb, UDP_FLAGS_MULTICAST_LOOP);
    else
        udp_clear_flags(pcb, UDP_FLAGS_MULTICAST_LOOP);
    return 0;
}

static int multicast_get(const struct udp_pcb *pcb, int level, enum multicast what, void *value,
                         socklen_t *bytes)
{
    if (what == BY_INTERFACE) {
        u8_t index = udp_get_multicast_netif_index(pcb);
        const struct netif *netif = netif_get_by_index(index);
        unsigned number = level != IPPROTO_IP ? index
                          : netif != NULL     ? netif_ip4_addr(netif)->addr
                                              : INADDR_ANY;
        return tell(&number, sizeof(number), value, bytes);
    }
    int number =
        what == HOPS ? udp_get_multicast_ttl(pcb) : (pcb->flags & UDP_FLAGS_MULTICAST_LOOP) != 0;
    return level == IPPROTO_IP ? byte_or_int_tell(number, value, bytes)
                               : int_tell(number, value, bytes);
}

/*
 * IPPROTO_IP, IPPROTO_IPV6
 */

static bool is_arrival(int level, int name)
{
    return name == (level == IPPROTO_IP ? IP_PKTINFO : IPV6_RECVPKTINFO);
}

/* Of both families' names: which one lwIP has. 0: it is another option. */
static int header_option(int level, int name)
{
    if (level == IPPROTO_IP)
        return name == IP_TTL || name == IP_TOS ? name : 0;
    return name == IPV6_UNICAST_HOPS ? IP_TTL : name == IPV6_TCLASS ? IP_TOS : 0;
}

/* lwIP would take -1 for 255, and larger numbers for their last byte. */
static int header_set(struct skep_file *file, int level, int option, const void *value,
                      socklen_t bytes)
{
    int byte, least = level == IPPROTO_IP && option == IP_TTL ? 1 : 0;
    int error =
        level == IPPROTO_IP ? byte_or_int_take(value, bytes, &byte) : int_take(value, bytes, &byte);
    if (error < 0)
        return error;
    if (level == IPPROTO_IP && option == IP_TOS) /* TCP's own bits stay as they are */
        byte &= is_tcp(state_of(file)->conn) ? 0xfc : 0xff;
    else if (byte == -1)
        byte = option == IP_TOS ? 0 : IP_DEFAULT_TTL;
    if (byte < least || byte > UINT8_MAX)
        return -EINVAL;
    return forward(number_of(file), IPPROTO_IP, option, byte);
}

static int header_get(struct skep_file *file, int level, int option, void *value, socklen_t *bytes)
{
    int byte;
    socklen_t byte_bytes = sizeof(byte);
    if (lwip_getsockopt(number_of(file), IPPROTO_IP, option, &byte, &byte_bytes) < 0)
        return -errno;
    return level == IPPROTO_IP ? byte_or_int_tell(byte, value, bytes)
                               : int_tell(byte, value, bytes);
}

/* Of sockets of IPv4 nothing is IPv6's. */
static bool has_level(const struct netconn *connection, int level)
{
    return level == IPPROTO_IP || NETCONNTYPE_ISIPV6(connection->type);
}

static int ip_set(struct skep_file *file, int level, int name, const void *value, socklen_t bytes)
{
    int number = number_of(file), option = header_option(level, name);
    struct netconn *connection = state_of(file)->conn;
    enum multicast what = multicast_of(level, name);
    if (!has_level(connection, level))
        return -ENOPROTOOPT;
    if (option != 0)
        return header_set(file, level, option, value, bytes);
    if (is_arrival(level, name))
        return mark_set(number, TELLS_ARRIVAL, value, bytes);
    if (what != NOT_MULTICAST && is_udp(connection)) {
        LOCK_TCPIP_CORE();
        int result = multicast_set(connection->pcb.udp, level, what, value, bytes);
        UNLOCK_TCPIP_CORE();
        return result;
    }
    int error = 0;
    if (skep_inet_group_option(file, level, name, value, bytes, &error))
        return error;
    return (int)result_of(lwip_setsockopt(number, level, name, value, bytes));
}

static int ip_get(struct skep_file *file, int level, int name, void *value, socklen_t *bytes)
{
    int number = number_of(file), option = header_option(level, name);
    const struct netconn *connection = state_of(file)->conn;
    enum multicast what = multicast_of(level, name);
    if (!has_level(connection, level))
        return -EOPNOTSUPP;
    if (option != 0)
        return header_get(file, level, option, value, bytes);
    if (is_arrival(level, name))
        return int_tell(is_marked(number, TELLS_ARRIVAL), value, bytes);
    if (what != NOT_MULTICAST && is_udp(connection)) {
        LOCK_TCPIP_CORE();
        int result = multicast_get(connection->pcb.udp, level, what, value, bytes);
        UNLOCK_TCPIP_CORE();
        return result;
    }
    return (int)result_of(lwip_getsockopt(number, level, name, value, bytes));
}

/*
 * IPPROTO_TCP
 */

static int nodelay_set(struct skep_file *file, const void *value, socklen_t bytes)
{
    const struct netconn *connection = state_of(file)->conn;
    int number = number_of(file), on;
    if (int_take(value, bytes, &on) < 0)
        return -EINVAL;
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

/* After how long a probe is sent, how often then, and how many: lwIP's field, which counts times in milliseconds, and what
 * the option's unit is there. */
static uint32_t *keepalive_of(struct tcp_pcb *pcb, int name, uint32_t *unit)
{
    *unit = name == TCP_KEEPCNT ? 1 : 1000;
    return name == TCP_KEEPIDLE    ? &pcb->keep_idle
           : name == TCP_KEEPINTVL ? &pcb->keep_intvl
                                   : &pcb->keep_cnt;
}

static bool is_keepalive(int name)
{
    return name == TCP_KEEPIDLE || name == TCP_KEEPINTVL || name == TCP_KEEPCNT;
}

/* Of a listener lwIP wouldn't take them: they are for connections that begin. A connection that has failed has none. */
static int keepalive_set(const struct netconn *connection, int name, const void *value,
                         socklen_t bytes)
{
    int wanted, most = name == TCP_KEEPCNT ? 127 : 32767;
    uint32_t unit;
    if (int_take(value, bytes, &wanted) < 0 || wanted < 1 || wanted > most)
        return -EINVAL;
    LOCK_TCPIP_CORE();
    if (connection->pcb.tcp != NULL) {
        uint32_t *kept = keepalive_of(connection->pcb.tcp, name, &unit);
        *kept = (uint32_t)wanted * unit;
    }
    UNLOCK_TCPIP_CORE();
    return 0;
}

static int keepalive_get(const struct netconn *connection, int name, void *value, socklen_t *bytes)
{
    uint32_t unit = 1, kept = 0;
    LOCK_TCPIP_CORE();
    if (connection->pcb.tcp != NULL)
        kept = *keepalive_of(connection->pcb.tcp, name, &unit);
    UNLOCK_TCPIP_CORE();
    return int_tell((int)(kept / unit), value, bytes);
}

/* A connection that has failed has no time; a listener's is for those that begin. */
static int user_timeout_set(const struct netconn *connection, const void *value, socklen_t bytes)
{
    int milliseconds;
    if (int_take(value, bytes, &milliseconds) < 0 || milliseconds < 0)
        return -EINVAL;
    LOCK_TCPIP_CORE();
    if (connection->pcb.tcp != NULL)
        network_user_timeout_set(connection->pcb.tcp, (uint32_t)milliseconds);
    UNLOCK_TCPIP_CORE();
    return 0;
}

static int user_timeout_get(const struct netconn *connection, void *value, socklen_t *bytes)
{
    LOCK_TCPIP_CORE();
    int milliseconds = connection->pcb.tcp != NULL ? (int)connection->pcb.tcp->user_timeout : 0;
    UNLOCK_TCPIP_CORE();
    return int_tell(milliseconds, value, bytes);
}

static int tcp_set(struct skep_file *file, int name, const void *value, socklen_t bytes)
{
    if (!is_tcp(state_of(file)->conn))
        return -ENOPROTOOPT;
    if (name == TCP_NODELAY)
        return nodelay_set(file, value, bytes);
    if (name == TCP_USER_TIMEOUT)
        return user_timeout_set(state_of(file)->conn, value, bytes);
    if (is_keepalive(name))
        return keepalive_set(state_of(file)->conn, name, value, bytes);
    return -ENOPROTOOPT; /* lwIP has one more, by the number of TCP_MAXSEG */
}

/* Before there is a connection, what the other side may send without saying more. */
static int segment_max_get(const struct netconn *connection, void *value, socklen_t *bytes)
{
    LOCK_TCPIP_CORE();
    bool has_one = connection->pcb.tcp != NULL && !is_listening(connection);
    int segment_max = has_one ? connection->pcb.tcp->mss : 536;
    UNLOCK_TCPIP_CORE();
    return int_tell(segment_max, value, bytes);
}

static uint8_t state_told(enum tcp_state state)
{
    static const uint8_t told[] = {
        [CLOSED] = TCP_CLOSE,         [LISTEN] = TCP_LISTEN,           [SYN_SENT] = TCP_SYN_SENT,
        [SYN_RCVD] = TCP_SYN_RECV,    [ESTABLISHED] = TCP_ESTABLISHED, [FIN_WAIT_1] = TCP_FIN_WAIT1,
        [FIN_WAIT_2] = TCP_FIN_WAIT2, [CLOSE_WAIT] = TCP_CLOSE_WAIT,   [CLOSING] = TCP_CLOSING,
        [LAST_ACK] = TCP_LAST_ACK,    [TIME_WAIT] = TCP_TIME_WAIT,
    };
    return told[state];
}

/* Of a connection; lwIP counts times in ticks, smoothed ones in parts of them. */
static void connection_tell(const struct tcp_pcb *pcb, struct tcp_info *out)
{
    const unsigned tick_us = TCP_SLOW_INTERVAL * 1000, mss = pcb->mss;
    out->tcpi_retransmits = pcb->nrtx;
    out->tcpi_probes = pcb->persist_probe;
    out->tcpi_backoff = pcb->persist_backoff;
    out->tcpi_options = (uint8_t)((pcb->flags & TF_SACK ? TCPI_OPT_SACK : 0) |
                                  (pcb->flags & TF_WND_SCALE ? TCPI_OPT_WSCALE : 0));
    out->tcpi_snd_wscale = pcb->snd_scale & 15;
    out->tcpi_rcv_wscale = pcb->rcv_scale & 15;
    out->tcpi_rto = (unsigned)pcb->rto * tick_us;
    out->tcpi_snd_mss = mss;
    out->tcpi_rcv_mss = out->tcpi_advmss = TCP_MSS;
    out->tcpi_unacked = (pcb->snd_nxt - pcb->lastack + mss - 1) / mss;
    out->tcpi_rtt = (unsigned)(pcb->sa >> 3) * tick_us;
    out->tcpi_rttvar = (unsigned)(pcb->sv >> 2) * tick_us;
    out->tcpi_snd_ssthresh = pcb->ssthresh / mss;
    out->tcpi_snd_cwnd = pcb->cwnd / mss;
    out->tcpi_rcv_space = pcb->rcv_wnd;
}

static int info_get(const struct netconn *connection, void *value, socklen_t *bytes)
{
    struct tcp_info info = {.tcpi_state = TCP_CLOSE};
    LOCK_TCPIP_CORE();
    const struct tcp_pcb *pcb = connection->pcb.tcp;
    if (pcb != NULL)
        info.tcpi_state = state_told(pcb->state);
    if (pcb != NULL && pcb->state != LISTEN)
        connection_tell(pcb, &info);
    UNLOCK_TCPIP_CORE();
    return tell(&info, sizeof(info), value, bytes);
}

static int tcp_get(struct skep_file *file, int name, void *value, socklen_t *bytes)
{
    if (!is_tcp(state_of(file)->conn))
        return -EOPNOTSUPP;
    if (name == TCP_NODELAY)
        return int_tell(is_marked(number_of(file), HAS_NODELAY), value, bytes);
    if (name == TCP_MAXSEG)
        return segment_max_get(state_of(file)->conn, value, bytes);
    if (is_keepalive(name))
        return keepalive_get(state_of(file)->conn, name, value, bytes);
    if (name == TCP_USER_TIMEOUT)
        return user_timeout_get(state_of(file)->conn, value, bytes);
    if (name == TCP_INFO)
        return info_get(state_of(file)->conn, value, bytes);
    return -ENOPROTOOPT;
}

/*
 * Levels
 */

int skep_inet_option_set(struct skep_file *file, int level, int name, const void *value,
                         socklen_t bytes)
{
    switch (level) {
    case SOL_SOCKET:
        return socket_set(file, name, value, bytes);
    case IPPROTO_IP:
    case IPPROTO_IPV6:
        return ip_set(file, level, name, value, bytes);
    case IPPROTO_TCP:
        return tcp_set(file, name, value, bytes);
    default:
        return (int)result_of(lwip_setsockopt(number_of(file), level, name, value, bytes));
    }
}

int skep_inet_option_get(struct skep_file *file, int level, int name, void *value, socklen_t *bytes)
{
    switch (level) {
    case SOL_SOCKET:
        return socket_get(file, name, value, bytes);
    case IPPROTO_IP:
    case IPPROTO_IPV6:
        return ip_get(file, level, name, value, bytes);
    case IPPROTO_TCP:
        return tcp_get(file, name, value, bytes);
    default:
        return (int)result_of(lwip_getsockopt(number_of(file), level, name, value, bytes));
    }
}
