/*
 * socket.c - POSIX sockets: lwIP's sockets behind libc-shim's descriptors.
 *
 * A descriptor's object is lwIP's number of the socket. libc-shim counts the users of a descriptor,
 * so that lwIP's socket is closed by the last one and lwIP need not count again.
 *
 * The first call of socket() starts the network; a program that has none carries none of this.
 */
#include "socket_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "lwip/raw.h"
#include "lwip/udp.h"

#include "../lwip/network.h"
#include "skep/guest.h"
#include "skep/net.h"

_Atomic uint16_t skep_inet_marks[MEMP_NUM_NETCONN];

/* By lwIP's number, too: what instances of epoll watch. */
static struct skep_poll_source sources[MEMP_NUM_NETCONN];

/* lwIP's own function for a connection's events. It knows how to count those that come before the
 * connection is accepted. */
static netconn_callback early_event;

bool skep_inet_is_listener(const struct netconn *connection)
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
    if (event == NETCONN_EVT_SENDPLUS && (state->errevent & FAILED) == 0)
        mark(number, CONNECTING, false);
    if (is_news || (event == NETCONN_EVT_RCVPLUS && skep_poll_is_watched(&sources[number])))
        skep_poll_notify_source(&sources[number]);
}

void skep_inet_datagram_changed(struct netconn *connection, enum inet_mark which)
{
    int number = connection->callback_arg.socket;
    if (number < 0)
        return;
    mark(number, which, true);
    if (sys_mbox_valid(&connection->recvmbox))
        network_mailbox_look(connection->recvmbox);
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

/* With SO_LINGER: none = the other side is told that all is lost, as lwIP does only if something is on its way; else the
 * time is waited out, which lwIP wouldn't do of a socket that doesn't block: it would leave it open. Of one that listens
 * lwIP would look for what is on its way where its smaller pcb has nothing. */
static void close_lingering(struct netconn *connection)
{
    LOCK_TCPIP_CORE();
    struct tcp_pcb *pcb = connection->pcb.tcp;
    if (is_listening(connection))
        connection->linger = -1;
    else if (connection->linger == 0 && pcb != NULL && pcb->state != CLOSED &&
             pcb->state != TIME_WAIT)
        tcp_abort(pcb);
    UNLOCK_TCPIP_CORE();
    netconn_set_nonblocking(connection, 0);
}

static void socket_close(struct skep_file *file)
{
    struct netconn *connection = state_of(file)->conn;
    count_socket(-1);
    if (is_tcp(connection) && connection->linger >= 0)
        close_lingering(connection);
    skep_inet_groups_leave(number_of(file));
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

/* Of a stream that is connected, what was written and isn't acknowledged, of which its end isn't a part if it goes with data:
 * lwIP doesn't count it then, but its acknowledgement, which makes this -1; datagrams are gone at once. */
static int unacknowledged(const struct netconn *connection)
{
    LOCK_TCPIP_CORE();
    const struct tcp_pcb *pcb = is_tcp(connection) ? connection->pcb.tcp : NULL;
    bool is_connected = pcb != NULL && pcb->state >= ESTABLISHED;
    int bytes = is_connected ? (int)(pcb->snd_lbb - pcb->lastack) : 0;
    UNLOCK_TCPIP_CORE();
    return LWIP_MAX(bytes, 0);
}

static int socket_ioctl(struct skep_file *file, unsigned long request, void *argument)
{
    const struct netconn *connection = state_of(file)->conn;
    if (request == SIOCATMARK && is_tcp(connection)) {
        *(int *)argument = 0;
        return 0;
    }
    if (request != FIONREAD && request != SIOCOUTQ)
        return skep_inet_interface_ioctl(request, argument);
    if (skep_inet_is_listener(connection))
        return -EINVAL;
    if (request == FIONREAD)
        return lwip_ioctl(number_of(file), FIONREAD, argument) < 0 ? -errno : 0;
    *(int *)argument = unacknowledged(connection);
    return 0;
}

static void socket_flags_changed(struct skep_file *file)
{
    lwip_fcntl(number_of(file), F_SETFL, file->flags & O_NONBLOCK);
}

/* What poll() says of a datagram socket's marks, which streams don't have. */
static short marks_poll(int number)
{
    const unsigned ended = SENDS_NO_MORE | RECEIVES_NO_MORE;
    unsigned marks = atomic_load_explicit(&skep_inet_marks[number], memory_order_relaxed);
    if ((marks & (REFUSED | RECEIVES_NO_MORE)) == 0)
        return 0;
    return (short)((marks & REFUSED ? POLLERR : 0) |
                   (marks & RECEIVES_NO_MORE ? POLLIN | POLLRDNORM | POLLRDHUP : 0) |
                   ((marks & ended) == ended ? POLLHUP : 0));
}

/* Looks without a lock: whoever changes the state calls skep_poll_notify_source() afterwards. */
static short socket_poll(struct skep_file *file)
{
    const struct lwip_sock *state = state_of(file);
    short ready = marks_poll(number_of(file));
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

/* Those of a new socket. */
static void marks_begin(int number, uint16_t marks)
{
    atomic_store_explicit(&skep_inet_marks[number], marks, memory_order_relaxed);
}

/* A connection may have ended before it was accepted; lwIP hasn't heard of TCP_NODELAY. */
static void note_state(int number)
{
    LOCK_TCPIP_CORE();
    struct lwip_sock *state = lwip_socket_dbg_get_socket(number);
    const struct netconn *connection = state->conn;
    if (is_marked(number, HAS_NODELAY) && connection->pcb.tcp != NULL)
        tcp_nagle_disable(connection->pcb.tcp);
    if (is_tcp(connection) &&
        (connection->pcb.tcp == NULL || connection->pcb.tcp->state == CLOSE_WAIT))
        __atomic_fetch_or(&state->errevent, PEER_ENDED, __ATOMIC_RELAXED);
    else /* lwip_accept() tells data that came before without its length, as if it were an end */
        __atomic_fetch_and(&state->errevent, ~PEER_ENDED, __ATOMIC_RELAXED);
    UNLOCK_TCPIP_CORE();
}

/* The descriptor for lwIP's socket, or -errno, and then the socket is closed. */
static int descriptor_open(int number, int type)
{
    note_state(number);
    int flags = (type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0;
    if (flags != 0)
        lwip_fcntl(number, F_SETFL, O_NONBLOCK);
    int fd =
        skep_fd_open(&socket_ops, (void *)(intptr_t)number, O_RDWR | flags | (type & SOCK_CLOEXEC));
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

/* lwIP notes where each datagram arrived; socket_receive.c knows who wants to hear of it. What goes to groups is as on
 * Linux at first: it stays on the wire, and the guest gets it, too. */
static void datagrams_begin(struct netconn *connection)
{
    connection->flags |= NETCONN_FLAG_PKTINFO;
    udp_set_multicast_ttl(connection->pcb.udp, 1);
    udp_set_flags(connection->pcb.udp, UDP_FLAGS_MULTICAST_LOOP);
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
    if (kind == SOCK_DGRAM)
        datagrams_begin(connection);
    marks_begin(number, kind == SOCK_STREAM ? IS_STREAM | UNCONNECTED : 0);
    return descriptor_open(number, type);
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

static int inet_listen(struct skep_file *file, int backlog)
{
    LOCK_TCPIP_CORE();
    int most = (int)network_backlog_max();
    UNLOCK_TCPIP_CORE();
    return (int)result_of(lwip_listen(number_of(file), LWIP_MIN(backlog, most)));
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
    if (pcb == NULL || pcb->state == CLOSED)
        return -ENOTCONN;
    if (pcb->state == LISTEN) {
        pcb->local_port = 0; /* nobody finds it there, so connections are refused */
        mark(number, ACCEPTS_NO_MORE, true);
        wake_acceptor(connection);
    } else if (pcb->recv != NULL)
        pcb->recv(pcb->callback_arg, pcb, NULL, ERR_OK);
    return 0;
}

/* What was ended stays so, as long as there is a connection. */
static int end_output(struct skep_file *file)
{
    int number = number_of(file);
    if (!is_marked(number, SENDS_NO_MORE)) {
        int result = (int)result_of(lwip_shutdown(number, SHUT_WR));
        if (result == 0)
            mark(number, SENDS_NO_MORE, true);
        return result;
    }
    LOCK_TCPIP_CORE();
    const struct tcp_pcb *pcb = state_of(file)->conn->pcb.tcp;
    bool is_gone = pcb == NULL || pcb->state == CLOSED || pcb->state == TIME_WAIT;
    UNLOCK_TCPIP_CORE();
    return is_gone ? -ENOTCONN : 0;
}

static bool is_connected_datagram(const struct netconn *connection)
{
    if (connection->pcb.ip == NULL)
        return false;
    return NETCONNTYPE_GROUP(connection->type) == NETCONN_UDP
               ? (connection->pcb.udp->flags & UDP_FLAGS_CONNECTED) != 0
               : (connection->pcb.raw->flags & RAW_FLAGS_CONNECTED) != 0;
}

/* As on Linux, who isn't connected is told so, and it has its effect all the same. */
static int end_datagrams(struct netconn *connection, int how)
{
    LOCK_TCPIP_CORE();
    if (how != SHUT_RD)
        skep_inet_datagram_changed(connection, SENDS_NO_MORE);
    if (how != SHUT_WR)
        skep_inet_datagram_changed(connection, RECEIVES_NO_MORE);
    bool is_connected = is_connected_datagram(connection);
    UNLOCK_TCPIP_CORE();
    return is_connected ? 0 : -ENOTCONN;
}

static int inet_shutdown(struct skep_file *file, int how)
{
    struct netconn *connection = state_of(file)->conn;
    int number = number_of(file), result = 0;
    bool ended_output = false;
    if (!is_tcp(connection))
        return end_datagrams(connection, how);
    if (how != SHUT_RD && !skep_inet_is_listener(connection)) {
        result = end_output(file);
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
    return !is_marked(listener, ACCEPTS_NO_MORE);
}

/* lwip_accept(), which tells an IPv4 peer of an IPv6 socket as such and not by its mapped address. */
static int accept_from(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    union inet_address peer;
    socklen_t peer_bytes = sizeof(peer);
    if (address == NULL)
        return lwip_accept(number_of(file), NULL, NULL);
    int number = lwip_accept(number_of(file), &peer.any, &peer_bytes);
    if (number < 0)
        return number;
    if (peer.any.sa_family == AF_INET && NETCONNTYPE_ISIPV6(netconn_type(state_of(file)->conn))) {
        struct sockaddr_in v4 = peer.v4;
        peer.v6 = (struct sockaddr_in6){.sin6_port = v4.sin_port};
        skep_inet_address_map(&peer, v4.sin_addr.s_addr);
    }
    skep_inet_address_tell(&peer, address, bytes);
    return number;
}

/* Of a socket that accepts no more, who is woken wakes the next one. */
static int inet_accept(struct skep_file *file, struct sockaddr *address, socklen_t *bytes, int type)
{
    int listener = number_of(file);
    if (!accepts(listener))
        return -EINVAL;
    skep_inet_call_begin(file);
    int number = accept_from(file, address, bytes);
    if (number >= 0) {
        marks_begin(number, is_marked(listener, HAS_NODELAY) ? IS_STREAM | HAS_NODELAY : IS_STREAM);
        return descriptor_open(number, type);
    }
    if (skep_inet_call.interrupted)
        return -EINTR;
    if (accepts(listener))
        return -errno;
    LOCK_TCPIP_CORE();
    wake_acceptor(state_of(file)->conn);
    UNLOCK_TCPIP_CORE();
    return -EINVAL;
}

static const struct skep_socket_ops calls = {
    .bind = skep_inet_bind,
    .listen = inet_listen,
    .accept = inet_accept,
    .connect = skep_inet_connect,
    .shutdown = inet_shutdown,
    .own_name = skep_inet_own_name,
    .peer_name = skep_inet_peer_name,
    .send = skep_inet_send,
    .receive = skep_inet_receive,
    .send_message = skep_inet_send_message,
    .receive_message = skep_inet_receive_message,
    .option_set = skep_inet_option_set,
    .option_get = skep_inet_option_get,
};

static const struct skep_fd_ops socket_ops = {
    .read = skep_inet_read,
    .write = skep_inet_write,
    .close = socket_close,
    .stat = socket_stat,
    .ioctl = socket_ioctl,
    .flags_changed = socket_flags_changed,
    .poll = socket_poll,
    .source = socket_source,
    .socket = &calls,
};
