/*
 * socket.c - POSIX sockets: lwIP's sockets behind libc-shim's descriptors.
 *
 * A descriptor's object is lwIP's number of the socket. libc-shim counts the users of a descriptor,
 * so that lwIP's socket is closed by the last one and lwIP need not count again.
 *
 * The first call of socket() starts the network; a program that has none carries none of this.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lwip/api.h"
#include "lwip/netif.h"
#include "lwip/priv/sockets_priv.h"
#include "lwip/sockets.h"
#include "lwip/tcp.h"
#include "lwip/tcpip.h"
#include "lwip/udp.h"

#include "../lwip/network.h"
#include "skep/fd.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "skep/socket.h"
#include "skep/thread.h"

/* How long a program that talks to others waits for the first DHCP lease. */
#define READY_WAIT_NS (15 * 1000000000ull)

/* Sockets whose connect() may still fail, by lwIP's number: its errors then have other names. */
static bool connecting[MEMP_NUM_NETCONN];
_Static_assert(MEMP_NUM_NETCONN >= SKEP_FD_MAX, "lwIP's numbers are no fewer than descriptors");

/* By lwIP's number, too: what instances of epoll watch. */
static struct skep_poll_source sources[MEMP_NUM_NETCONN];

/* By lwIP's number: listens, but was shut down. */
static _Atomic bool accepts_no_more[MEMP_NUM_NETCONN];

/* By lwIP's number: has TCP_NODELAY, which connections inherit from who accepts them. lwIP wouldn't take it of that. */
static _Atomic bool has_nodelay[MEMP_NUM_NETCONN];

/* By lwIP's number: a stream that was never connected, where lwIP would wait for data that can't come. */
static _Atomic bool unconnected[MEMP_NUM_NETCONN];

static bool is_unconnected(int number)
{
    return atomic_load_explicit(&unconnected[number], memory_order_relaxed);
}

static void set_unconnected(int number, bool value)
{
    atomic_store_explicit(&unconnected[number], value, memory_order_relaxed);
}

/* lwIP's own function for a connection's events. It knows how to count those that come before the
 * connection is accepted. */
static netconn_callback early_event;

/* A listening socket's events have no length, either, for each connection that comes; and its pcb is smaller: only what
 * both kinds have may be looked at before the state. */
static bool is_tcp(const struct netconn *connection)
{
    return NETCONNTYPE_GROUP(connection->type) == NETCONN_TCP;
}

static bool is_listening(const struct netconn *connection)
{
    return connection->pcb.tcp != NULL && connection->pcb.tcp->state == LISTEN;
}

/* The same for who doesn't have lwIP's lock. */
static bool is_listener(const struct netconn *connection)
{
    LOCK_TCPIP_CORE();
    bool listens = is_tcp(connection) && is_listening(connection);
    UNLOCK_TCPIP_CORE();
    return listens;
}

/* The other side sends no more. Most programs close now: the acknowledgement may wait for what that
 * sends, as the delayed one of data may, which is at most a tick of lwIP's fast timer. */
static void end_ack_delay(struct tcp_pcb *pcb)
{
    if (pcb == NULL || pcb->state != CLOSE_WAIT || (pcb->flags & TF_ACK_NOW) == 0)
        return;
    tcp_clear_flags(pcb, TF_ACK_NOW);
    tcp_set_flags(pcb, TF_ACK_DELAY);
}

/* Of errevent, which nobody else looks at: the connection has failed, the other side sends no more, both sides do. */
enum { FAILED = 1, PEER_ENDED = 2, CLOSED_BOTH_WAYS = 4 };

/* What lwIP's own function does for a socket, but for select(), which is libc-shim's, and without a lock: nobody else
 * changes these fields of a socket in use. Relaxed, as who polls is told by skep_poll_notify(). True: the socket has
 * become readable or writable, or has failed. */
static bool event_count(struct lwip_sock *state, enum netconn_evt event)
{
    switch (event) {
    case NETCONN_EVT_RCVPLUS:
        return __atomic_fetch_add(&state->rcvevent, 1, __ATOMIC_RELAXED) <= 0;
    case NETCONN_EVT_RCVMINUS:
        __atomic_fetch_sub(&state->rcvevent, 1, __ATOMIC_RELAXED);
        return false;
    case NETCONN_EVT_SENDPLUS:
        return __atomic_exchange_n(&state->sendevent, 1, __ATOMIC_RELAXED) == 0;
    case NETCONN_EVT_SENDMINUS:
        __atomic_store_n(&state->sendevent, 0, __ATOMIC_RELAXED);
        return false;
    case NETCONN_EVT_ERROR:
        __atomic_fetch_or(&state->errevent,
                          state->conn->pending_err != ERR_OK ? FAILED : CLOSED_BOTH_WAYS,
                          __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

/* Wakes poll() for news, and not for each packet; a set of epoll may want to hear of each. */
static void on_event(struct netconn *connection, enum netconn_evt event, u16_t length)
{
    int number = connection->callback_arg.socket;
    bool is_end = event == NETCONN_EVT_RCVPLUS && length == 0 && is_tcp(connection) &&
                  !is_listening(connection);
    if (is_end)
        end_ack_delay(connection->pcb.tcp);
    struct lwip_sock *state = number < 0 ? NULL : lwip_socket_dbg_get_socket(number);
    if (state == NULL) {
        early_event(connection, event, length); /* nobody can wait for it */
        return;
    }
    if (is_end)
        __atomic_fetch_or(&state->errevent, PEER_ENDED, __ATOMIC_RELAXED);
    bool is_news = event_count(state, event);
    if (is_news || (event == NETCONN_EVT_RCVPLUS && skep_poll_is_watched(&sources[number])))
        skep_poll_notify_source(&sources[number]);
}

/*
 * Operations on the descriptor
 */

/* Those that are open, for metrics; made known before the first one is. */
static _Atomic uint64_t *_Atomic open_sockets;

static void count_socket(int64_t change)
{
    _Atomic uint64_t *count = atomic_load_explicit(&open_sockets, memory_order_relaxed);
    atomic_fetch_add_explicit(count, (uint64_t)change, memory_order_relaxed);
}

static int number_of(const struct skep_file *file)
{
    return (int)(intptr_t)file->object;
}

static struct lwip_sock *state_of(const struct skep_file *file)
{
    return lwip_socket_dbg_get_socket(number_of(file));
}

/* In order, and not since the connection failed. */
static bool input_ended(const struct lwip_sock *state)
{
    int seen = (int)__atomic_load_n(&state->errevent, __ATOMIC_RELAXED);
    return (seen & (PEER_ENDED | FAILED)) == PEER_ENDED;
}

/* Of the thread's call: errno and what had interrupted calls at its beginning, and whether it was interrupted since. */
static _Thread_local struct {
    uint64_t seen;
    bool interrupted;
    int error_before;
} call;

static void call_begin(void)
{
    call.seen = skep_interrupts_seen();
    call.interrupted = false;
    call.error_before = errno;
}

/* A socket's call with a time of its own (SO_RCVTIMEO, SO_SNDTIMEO) doesn't go on after handlers, as on Linux. */
int network_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    int result =
        skep_wait_interruptibly(word, expected, deadline_ns, &call.seen,
                                deadline_ns == SKEP_FOREVER ? SKEP_RESTARTS : SKEP_NEVER_RESTARTS);
    call.interrupted = result == -EINTR;
    return call.interrupted ? -SKEP_ETIMEDOUT : result;
}

int network_wait_restarting(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    uint64_t unused = 0;
    return skep_wait_interruptibly(word, expected, deadline_ns, &unused, SKEP_ALWAYS_RESTARTS);
}

/*
 * What lwIP received, or -errno. It tells the end of the input once, and it stays there. lwIP sets errno then; it is put
 * back, as OpenSSL takes an end with ENOTCONN for a wait.
 */
static ssize_t received(struct skep_file *file, ssize_t result)
{
    if (result > 0)
        return result;
    if (result < 0 && call.interrupted)
        return -EINTR;
    if (result < 0 && (errno != ENOTCONN || !input_ended(state_of(file))))
        return -errno;
    errno = call.error_before;
    return 0;
}

static bool is_stream(const struct skep_file *file)
{
    return is_tcp(state_of(file)->conn);
}

static ssize_t socket_read(struct skep_file *file, void *data, size_t bytes)
{
    if (is_unconnected(number_of(file)))
        return -ENOTCONN;
    call_begin();
    return received(file, lwip_recv(number_of(file), data, bytes, 0));
}

/* A datagram of IPv4, which is no shorter than one of IPv6 here, and its headers have 16 bits for their length. */
#define DATAGRAM_MAX (UINT16_MAX - 20 - 8)

static bool is_too_long(const struct skep_file *file, size_t bytes)
{
    return bytes > DATAGRAM_MAX && !is_stream(file);
}

/* What lwIP sent, or -errno. It has other names for two errors; `named`: an address was given. */
static ssize_t sent(const struct skep_file *file, bool named, ssize_t result)
{
    if (result >= 0)
        return result;
    if (call.interrupted)
        return -EINTR;
    if (errno == ENOTCONN)
        return -EPIPE;
    return !named && errno == EINVAL && !is_stream(file) ? -EDESTADDRREQ : -errno;
}

static ssize_t socket_send(struct skep_file *file, const void *data, size_t bytes, int flags)
{
    if (is_too_long(file, bytes))
        return -EMSGSIZE;
    call_begin();
    return sent(file, false,
                lwip_send(number_of(file), data, bytes, flags & (MSG_DONTWAIT | MSG_MORE)));
}

static ssize_t socket_write(struct skep_file *file, const void *data, size_t bytes)
{
    return socket_send(file, data, bytes, 0);
}

static void socket_close(struct skep_file *file)
{
    count_socket(-1);
    lwip_close(number_of(file));
}

static int socket_stat(struct skep_file *file, struct stat *out)
{
    (void)file;
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFSOCK | 0777;
    out->st_blksize = TCP_MSS;
    return 0;
}

static int socket_ioctl(struct skep_file *file, unsigned long request, void *argument)
{
    if (request != FIONREAD)
        return -ENOTTY;
    return lwip_ioctl(number_of(file), FIONREAD, argument) < 0 ? -errno : 0;
}

static void socket_flags_changed(struct skep_file *file)
{
    lwip_fcntl(number_of(file), F_SETFL, file->flags & O_NONBLOCK);
}

/* Looks without a lock: whoever changes the state calls skep_poll_notify_source() afterwards. */
static short socket_poll(struct skep_file *file)
{
    const struct lwip_sock *state = state_of(file);
    short ready = 0;
    if (state->rcvevent > 0 || state->lastdata.pbuf != NULL || input_ended(state))
        ready |= POLLIN | POLLRDNORM;
    if (state->sendevent != 0)
        ready |= POLLOUT | POLLWRNORM;
    if (state->errevent != 0)
        ready |= (short)((state->errevent & FAILED ? POLLERR | POLLHUP : 0) |
                         (state->errevent & CLOSED_BOTH_WAYS ? POLLHUP : 0) |
                         (state->errevent & PEER_ENDED ? POLLRDHUP : 0));
    return ready;
}

static struct skep_poll_source *socket_source(struct skep_file *file)
{
    return &sources[number_of(file)];
}

/* At the end of the file. */
static const struct skep_fd_ops socket_ops;

/*
 * Making sockets
 */

/* What lwIP's functions return, as ours do. */
static ssize_t result_of(ssize_t value)
{
    return value < 0 ? -errno : value;
}

/* A connection may have ended before it was accepted; lwIP hasn't heard of TCP_NODELAY. */
static void note_state(int number)
{
    LOCK_TCPIP_CORE();
    struct lwip_sock *state = lwip_socket_dbg_get_socket(number);
    const struct netconn *connection = state->conn;
    if (atomic_load_explicit(&has_nodelay[number], memory_order_relaxed) &&
        connection->pcb.tcp != NULL)
        tcp_nagle_disable(connection->pcb.tcp);
    if (is_tcp(connection) &&
        (connection->pcb.tcp == NULL || connection->pcb.tcp->state == CLOSE_WAIT))
        __atomic_fetch_or(&state->errevent, PEER_ENDED, __ATOMIC_RELAXED);
    else /* lwip_accept() tells data that came before without its length, as if it were an end */
        __atomic_fetch_and(&state->errevent, ~PEER_ENDED, __ATOMIC_RELAXED);
    UNLOCK_TCPIP_CORE();
}

/* The descriptor for lwIP's socket, or -errno, and then the socket is closed. */
static int descriptor_open(int number, int type, bool nodelay)
{
    connecting[number] = false;
    atomic_store_explicit(&accepts_no_more[number], false, memory_order_relaxed);
    atomic_store_explicit(&has_nodelay[number], nodelay, memory_order_relaxed);
    note_state(number);
    int flags = (type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0;
    if (flags != 0)
        lwip_fcntl(number, F_SETFL, O_NONBLOCK);
    int fd = skep_fd_open(&socket_ops, (void *)(intptr_t)number, O_RDWR | flags);
    if (fd < 0)
        lwip_close(number);
    else
        count_socket(1);
    return fd;
}

/* lwIP looks at the type alone. */
static bool is_protocol_of(int kind, int protocol)
{
    return protocol == 0 || kind == SOCK_RAW ||
           protocol == (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
}

static int open_inet(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (!is_protocol_of(kind, protocol))
        return -EPROTONOSUPPORT;
    int error = skep_net_start();
    if (error < 0)
        return error;
    atomic_store_explicit(&open_sockets, skep_stat("sockets"), memory_order_relaxed);
    int number = lwip_socket(domain, kind, protocol);
    if (number < 0)
        return -errno;
    struct netconn *connection = lwip_socket_dbg_get_socket(number)->conn;
    early_event = connection->callback;
    connection->callback = on_event; /* accepted connections inherit it */
    set_unconnected(number, kind == SOCK_STREAM);
    return descriptor_open(number, type, false);
}

int socket(int domain, int type, int protocol)
{
    int fd = domain == AF_INET || domain == AF_INET6 ? open_inet(domain, type, protocol)
             : domain == AF_UNIX                     ? skep_posix_unix_socket(type, protocol)
                                                     : -EAFNOSUPPORT;
    if (fd >= 0)
        return fd;
    errno = -fd;
    return -1;
}

/*
 * Addresses
 */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Of both families; lwIP wants exactly so much. */
static socklen_t address_bytes_of(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

/* An address of the socket's own family; lwIP would take an index beyond its own for another one. */
static int address_take(struct skep_file *file, union address *out, const struct sockaddr *address,
                        socklen_t bytes)
{
    bool is_v6 = NETCONNTYPE_ISIPV6(netconn_type(state_of(file)->conn));
    if (address == NULL || bytes < (is_v6 ? sizeof(out->v6) : sizeof(out->v4)))
        return -EINVAL;
    if (address->sa_family != (is_v6 ? AF_INET6 : AF_INET))
        return -EAFNOSUPPORT;
    memcpy(out, address, is_v6 ? sizeof(out->v6) : sizeof(out->v4));
    return is_v6 && out->v6.sin6_scope_id > UINT8_MAX ? -EINVAL : 0;
}

static int inet_listen(struct skep_file *file, int backlog)
{
    return (int)result_of(lwip_listen(number_of(file), backlog));
}

static int inet_own_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    return (int)result_of(lwip_getsockname(number_of(file), address, bytes));
}

static int inet_peer_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    return (int)result_of(lwip_getpeername(number_of(file), address, bytes));
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

static int ready_wait(const union address *to)
{
    if (to->any.sa_family == AF_INET)
        return ready_wait4(to->v4.sin_addr.s_addr);
    if (IN6_IS_ADDR_V4MAPPED(&to->v6.sin6_addr))
        return ready_wait4(to->v6.sin6_addr.s6_addr32[3]);
    return ready_wait6(&to->v6.sin6_addr);
}

/* The address of somebody else, and the way there: address_take(), then ready_wait(). */
static int remote_take(struct skep_file *file, union address *out, const struct sockaddr *address,
                       socklen_t bytes)
{
    int error = address_take(file, out, address, bytes);
    return error < 0 ? error : ready_wait(out);
}

/* lwIP tells a refused connection as reset, and one that nobody answered as aborted. */
static int connect_error(int error)
{
    switch (error) {
    case ECONNRESET:
        return ECONNREFUSED;
    case ECONNABORTED:
        return ETIMEDOUT;
    default:
        return error;
    }
}

static int inet_connect(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    union address remote = {.any.sa_family = AF_UNSPEC}; /* a datagram socket forgets */
    call_begin();
    if (address == NULL || bytes < sizeof(sa_family_t) || address->sa_family != AF_UNSPEC) {
        int result = remote_take(file, &remote, address, bytes);
        if (result < 0)
            return result;
    }
    connecting[number_of(file)] = true;
    set_unconnected(number_of(file), false);
    if (lwip_connect(number_of(file), &remote.any, address_bytes_of(&remote)) < 0)
        return call.interrupted ? -EINTR : -connect_error(errno);
    return 0;
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
static bool has_address(const union address *address)
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

/* An address may come after the program has started. */
static int inet_bind(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    union address local;
    int result = address_take(file, &local, address, bytes);
    if (result < 0)
        return result;
    if (is_bound(file))
        return -EINVAL;
    if (!has_address(&local)) {
        ready_wait(&local);
        if (!has_address(&local))
            return -EADDRNOTAVAIL;
    }
    return (int)result_of(lwip_bind(number_of(file), &local.any, address_bytes_of(&local)));
}

/*
 * Ending. lwIP's own end of input frees what other threads wait on, and wakes none of them: here they are told as if the
 * other side had ended it, or the next connection had failed.
 */

static void wake_acceptor(const struct netconn *connection)
{
    const struct tcp_pcb_listen *pcb = (const struct tcp_pcb_listen *)connection->pcb.tcp;
    pcb->accept(pcb->callback_arg, NULL, ERR_ABRT);
}

static int end_input(int number)
{
    const struct netconn *connection = lwip_socket_dbg_get_socket(number)->conn;
    struct tcp_pcb *pcb = connection->pcb.tcp;
    if (!is_tcp(connection))
        return -EOPNOTSUPP;
    if (pcb == NULL || pcb->state == CLOSED)
        return -ENOTCONN;
    if (pcb->state == LISTEN) {
        pcb->local_port = 0; /* nobody finds it there, so connections are refused */
        atomic_store_explicit(&accepts_no_more[number], true, memory_order_relaxed);
        wake_acceptor(connection);
    } else if (pcb->recv != NULL)
        pcb->recv(pcb->callback_arg, pcb, NULL, ERR_OK);
    return 0;
}

static int inet_shutdown(struct skep_file *file, int how)
{
    int number = number_of(file), result = 0;
    bool ended_output = false;
    if (how != SHUT_RD && !is_listener(state_of(file)->conn)) {
        result = (int)result_of(lwip_shutdown(number, SHUT_WR));
        ended_output = result == 0;
    }
    /* In progress: another thread is sending, and goes on to. Input ends all the same. */
    if (how != SHUT_WR && (result == 0 || result == -EINPROGRESS)) {
        LOCK_TCPIP_CORE();
        int ended_input = end_input(number);
        UNLOCK_TCPIP_CORE();
        result = result == 0 ? ended_input : result;
    }
    /* Both ways, and the connection is gone since its output was ended: so is its input. */
    return how == SHUT_RDWR && ended_output && result == -ENOTCONN ? 0 : result;
}

static bool accepts(int listener)
{
    return !atomic_load_explicit(&accepts_no_more[listener], memory_order_relaxed);
}

/* lwip_accept(), which tells an IPv4 peer of an IPv6 socket as such and not by its mapped address. */
static int accept_from(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    union address peer;
    socklen_t peer_bytes = sizeof(peer);
    if (address == NULL)
        return lwip_accept(number_of(file), NULL, NULL);
    int number = lwip_accept(number_of(file), &peer.any, &peer_bytes);
    if (number < 0)
        return number;
    if (peer.any.sa_family == AF_INET && NETCONNTYPE_ISIPV6(netconn_type(state_of(file)->conn))) {
        struct sockaddr_in v4 = peer.v4;
        peer.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
        peer.v6.sin6_addr.s6_addr32[2] = htonl(0xffff);
        peer.v6.sin6_addr.s6_addr32[3] = v4.sin_addr.s_addr;
    }
    if (*bytes > address_bytes_of(&peer))
        *bytes = address_bytes_of(&peer);
    memcpy(address, &peer, *bytes);
    return number;
}

/* Of a socket that accepts no more, who is woken wakes the next one. */
static int inet_accept(struct skep_file *file, struct sockaddr *address, socklen_t *bytes, int type)
{
    int listener = number_of(file);
    if (!accepts(listener))
        return -EINVAL;
    call_begin();
    int number = accept_from(file, address, bytes);
    if (number >= 0) {
        set_unconnected(number, false);
        return descriptor_open(number, type,
                               atomic_load_explicit(&has_nodelay[listener], memory_order_relaxed));
    }
    if (call.interrupted)
        return -EINTR;
    if (accepts(listener))
        return -errno;
    LOCK_TCPIP_CORE();
    wake_acceptor(state_of(file)->conn);
    UNLOCK_TCPIP_CORE();
    return -EINVAL;
}

/*
 * Sending
 */

static ssize_t send_to(struct skep_file *file, const void *data, size_t bytes, int flags,
                       const struct sockaddr *address, socklen_t address_bytes)
{
    union address remote;
    call_begin();
    int error = remote_take(file, &remote, address, address_bytes);
    if (error < 0)
        return error;
    if (is_too_long(file, bytes))
        return -EMSGSIZE;
    return sent(file, true,
                lwip_sendto(number_of(file), data, bytes, flags & (MSG_DONTWAIT | MSG_MORE),
                            &remote.any, address_bytes_of(&remote)));
}

static ssize_t inet_send(struct skep_file *file, const void *data, size_t bytes, int flags,
                         const struct sockaddr *address, socklen_t address_bytes)
{
    return address == NULL ? socket_send(file, data, bytes, flags)
                           : send_to(file, data, bytes, flags, address, address_bytes);
}

static ssize_t inet_send_message(struct skep_file *file, const struct msghdr *message, int flags)
{
    union address remote;
    struct msghdr copy = *message;
    call_begin();
    if (message->msg_name != NULL) {
        int error = remote_take(file, &remote, message->msg_name, message->msg_namelen);
        if (error < 0)
            return error;
        copy.msg_name = &remote;
        copy.msg_namelen = address_bytes_of(&remote);
    }
    return sent(file, message->msg_name != NULL,
                lwip_sendmsg(number_of(file), &copy, flags & (MSG_DONTWAIT | MSG_MORE)));
}

/*
 * Receiving
 */

/* MSG_WAITALL: until all is there, the stream ends, or an error comes. */
static ssize_t receive_all(struct skep_file *file, char *data, size_t bytes, int flags)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t result = lwip_recv(number_of(file), data + done, bytes - done, flags);
        if (result <= 0)
            return done > 0 ? (ssize_t)done : received(file, result);
        done += (size_t)result;
    }
    return (ssize_t)done;
}

/* MSG_TRUNC: the length of the whole datagram, which lwIP tells here alone. */
static ssize_t receive_measured(struct skep_file *file, void *data, size_t bytes, int flags,
                                struct sockaddr *address, socklen_t *address_bytes)
{
    struct iovec part = {data, bytes};
    struct msghdr message = {.msg_name = address,
                             .msg_namelen = address != NULL ? *address_bytes : 0,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    ssize_t result = received(file, lwip_recvmsg(number_of(file), &message, flags));
    if (result >= 0 && address != NULL)
        *address_bytes = message.msg_namelen;
    return result;
}

static ssize_t inet_receive(struct skep_file *file, void *data, size_t bytes, int flags,
                            struct sockaddr *address, socklen_t *address_bytes)
{
    int known = flags & (MSG_PEEK | MSG_DONTWAIT);
    if (is_unconnected(number_of(file)))
        return -ENOTCONN;
    call_begin();
    if ((flags & MSG_TRUNC) != 0 && !is_stream(file))
        return receive_measured(file, data, bytes, known, address, address_bytes);
    if ((flags & MSG_WAITALL) != 0 && known == 0 && is_stream(file))
        return receive_all(file, data, bytes, known);
    return received(file,
                    lwip_recvfrom(number_of(file), data, bytes, known, address, address_bytes));
}

static size_t bytes_of(const struct msghdr *message)
{
    size_t bytes = 0;
    for (int i = 0; i < message->msg_iovlen; i++)
        bytes += message->msg_iov[i].iov_len;
    return bytes;
}

static ssize_t inet_receive_message(struct skep_file *file, struct msghdr *message, int flags)
{
    int known = flags & (MSG_PEEK | MSG_DONTWAIT);
    if (is_unconnected(number_of(file)))
        return -ENOTCONN;
    call_begin();
    ssize_t result = received(file, lwip_recvmsg(number_of(file), message, known));
    if (result < 0)
        return result;
    message->msg_controllen = 0;
    /* lwIP tells a datagram's whole length. */
    bool is_cut = (message->msg_flags & MSG_TRUNC) != 0 && (flags & MSG_TRUNC) == 0;
    return is_cut ? (ssize_t)bytes_of(message) : result;
}

/*
 * Options
 */

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
    atomic_store_explicit(&has_nodelay[number], on != 0, memory_order_relaxed);
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

static int inet_option_set(struct skep_file *file, int level, int name, const void *value,
                           socklen_t bytes)
{
    if (level == IPPROTO_IPV6 && (name == IPV6_UNICAST_HOPS || name == IPV6_TCLASS))
        return byte_set(number_of(file), level, name, value, bytes);
    if (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP))
        return group_set(number_of(file), name, value, bytes);
    if (accepted_without_effect(level, name))
        return 0;
    if (level == IPPROTO_TCP && name == TCP_NODELAY)
        return nodelay_set(file, value, bytes);
    return (int)result_of(lwip_setsockopt(number_of(file), level, name, value, bytes));
}

static int inet_option_get(struct skep_file *file, int level, int name, void *value,
                           socklen_t *bytes)
{
    int number = number_of(file);
    if (accepted_without_effect(level, name))
        return int_get(name == SO_SNDBUF ? TCP_SND_BUF : 0, value, bytes);
    if (level == IPPROTO_TCP && name == TCP_NODELAY && is_tcp(state_of(file)->conn))
        return int_get(atomic_load_explicit(&has_nodelay[number], memory_order_relaxed), value,
                       bytes);
    option_rename(&level, &name);
    if (lwip_getsockopt(number, level, name, value, bytes) < 0)
        return -errno;
    if (level == SOL_SOCKET && name == SO_ERROR) {
        if (connecting[number])
            *(int *)value = connect_error(*(int *)value);
        connecting[number] = false;
    }
    return 0;
}

static const struct skep_socket_ops calls = {
    .bind = inet_bind,
    .listen = inet_listen,
    .accept = inet_accept,
    .connect = inet_connect,
    .shutdown = inet_shutdown,
    .own_name = inet_own_name,
    .peer_name = inet_peer_name,
    .send = inet_send,
    .receive = inet_receive,
    .send_message = inet_send_message,
    .receive_message = inet_receive_message,
    .option_set = inet_option_set,
    .option_get = inet_option_get,
};

static const struct skep_fd_ops socket_ops = {
    .read = socket_read,
    .write = socket_write,
    .close = socket_close,
    .stat = socket_stat,
    .ioctl = socket_ioctl,
    .flags_changed = socket_flags_changed,
    .poll = socket_poll,
    .source = socket_source,
    .socket = &calls,
};
