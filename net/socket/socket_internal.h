/*
 * socket_internal.h - what the files of Internet sockets share. A descriptor's object is lwIP's number of the socket.
 * Results are negative errno values.
 */
#ifndef SKEP_SOCKET_INTERNAL_H
#define SKEP_SOCKET_INTERNAL_H

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lwip/api.h"
#include "lwip/priv/sockets_priv.h"
#include "lwip/sockets.h"
#include "lwip/tcp.h"
#include "lwip/tcpip.h"
#include "skep/fd.h"
#include "skep/socket.h"
#include "skep/thread.h"

/*
 * What lwIP doesn't keep of a socket, by its number
 */

/* CONNECTING: connect() may still fail, and errors then have other names. HAS_NODELAY: TCP_NODELAY, which connections
 * inherit; lwIP wouldn't take it of a listener. UNCONNECTED: a stream that never was connected, where lwIP would wait for
 * data that can't come. TELLS_ARRIVAL: IP_PKTINFO or IPV6_RECVPKTINFO. The next three: after shutdown(), the first of a
 * listener, the last of datagrams only. REFUSED: nobody listens where datagrams went, which is still to be told. IS_STREAM
 * never changes. UNTOLD: connect() came back before the connection was there, and hasn't been asked since. IN_GROUPS: it has
 * joined some, and may have left them. */
enum inet_mark {
    CONNECTING = 1,
    HAS_NODELAY = 2,
    UNCONNECTED = 4,
    TELLS_ARRIVAL = 8,
    ACCEPTS_NO_MORE = 16,
    SENDS_NO_MORE = 32,
    RECEIVES_NO_MORE = 64,
    REFUSED = 128,
    IS_STREAM = 256,
    UNTOLD = 512,
    IN_GROUPS = 1024
};
extern _Atomic uint16_t skep_inet_marks[MEMP_NUM_NETCONN];
_Static_assert(MEMP_NUM_NETCONN >= SKEP_FD_MAX, "lwIP's numbers are no fewer than descriptors");

static inline bool is_marked(int number, enum inet_mark which)
{
    return (atomic_load_explicit(&skep_inet_marks[number], memory_order_relaxed) & which) != 0;
}

static inline void mark(int number, enum inet_mark which, bool on)
{
    if (on)
        atomic_fetch_or_explicit(&skep_inet_marks[number], (uint16_t)which, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&skep_inet_marks[number], (uint16_t)~which, memory_order_relaxed);
}

/* Whether it was there, and it isn't any more. */
static inline bool unmark(int number, enum inet_mark which)
{
    return (atomic_fetch_and_explicit(&skep_inet_marks[number], (uint16_t)~which,
                                      memory_order_relaxed) &
            which) != 0;
}

static inline int number_of(const struct skep_file *file)
{
    return (int)(intptr_t)file->object;
}

static inline struct lwip_sock *state_of(const struct skep_file *file)
{
    return lwip_socket_dbg_get_socket(number_of(file));
}

/* A listening socket's events have no length, either, for each connection that comes; and its pcb is smaller: only what
 * both kinds have may be looked at before the state. */
static inline bool is_tcp(const struct netconn *connection)
{
    return NETCONNTYPE_GROUP(connection->type) == NETCONN_TCP;
}

/* The lock is lwIP's, here and below. */
static inline bool is_listening(const struct netconn *connection)
{
    return connection->pcb.tcp != NULL && connection->pcb.tcp->state == LISTEN;
}

/* Of a connection lwIP says that it was aborted when it has given it up, as nobody answered. */
static inline int connection_error(int error)
{
    return error == ECONNABORTED ? ETIMEDOUT : error;
}

/* What lwIP's functions return, as ours do. */
static inline ssize_t result_of(ssize_t value)
{
    return value < 0 ? -errno : value;
}

/* Of errevent, which nobody else looks at: the connection has failed, the other side sends no more, both sides do. */
enum { FAILED = 1, PEER_ENDED = 2, CLOSED_BOTH_WAYS = 4 };

/* In order, and not since the connection failed. */
static inline bool input_ended(const struct lwip_sock *state)
{
    int seen = (int)__atomic_load_n(&state->errevent, __ATOMIC_RELAXED);
    return (seen & (PEER_ENDED | FAILED)) == PEER_ENDED;
}

/*
 * The thread's call: on which socket; errno and what had interrupted calls at its beginning; and what ended its wait since
 */

struct inet_call {
    int number;
    int error_before;
    uint64_t seen;
    bool interrupted;
    bool is_lasting; /* waits for addresses on, though the thread is to be cancelled */
    bool refused;    /* the socket was marked REFUSED, which was taken away */
    bool ended;      /* it is marked RECEIVES_NO_MORE */
};
extern _Thread_local struct inet_call skep_inet_call;

/* socket_send.c, socket_receive.c */
void skep_inet_call_begin(const struct skep_file *file);
ssize_t skep_inet_read(struct skep_file *file, void *data, size_t bytes);
ssize_t skep_inet_write(struct skep_file *file, const void *data, size_t bytes);
ssize_t skep_inet_send(struct skep_file *file, const void *data, size_t bytes, int flags,
                       const struct sockaddr *address, socklen_t address_bytes);
ssize_t skep_inet_receive(struct skep_file *file, void *data, size_t bytes, int flags,
                          struct sockaddr *address, socklen_t *address_bytes);
ssize_t skep_inet_send_message(struct skep_file *file, const struct msghdr *message, int flags);
ssize_t skep_inet_receive_message(struct skep_file *file, struct msghdr *message, int flags);

/*
 * socket_address.c
 */

union inet_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Of both families; lwIP wants exactly so much. */
static inline socklen_t address_bytes_of(const union inet_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

/* One of lwIP's as the socket's family has it; the port in host order. */
void skep_inet_address_set(union inet_address *out, const struct netconn *connection,
                           const ip_addr_t *address, uint16_t port);

/* An IPv4 address as IPv6 sockets see it; the port stays. */
void skep_inet_address_map(union inet_address *address, uint32_t v4);

/* As much of it as has room, and its whole length. */
void skep_inet_address_tell(const union inet_address *own, struct sockaddr *address,
                            socklen_t *bytes);

/* Takes the address of somebody else and waits for the way there. -EINTR: the thread is to be cancelled. */
int skep_inet_remote_take(struct skep_file *file, union inet_address *out,
                          const struct sockaddr *address, socklen_t bytes);

/* lwIP's name of why connect() failed, as POSIX has it. */
int skep_inet_connect_error(int error);

int skep_inet_bind(struct skep_file *file, const struct sockaddr *address, socklen_t bytes);
int skep_inet_connect(struct skep_file *file, const struct sockaddr *address, socklen_t bytes);
int skep_inet_own_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes);
int skep_inet_peer_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes);

/*
 * socket.c, socket_unreachable.c
 */

/* Without the lock. */
bool skep_inet_is_listener(const struct netconn *connection);

/* Marks a datagram socket and tells who waits for it. The lock is held. */
void skep_inet_datagram_changed(struct netconn *connection, enum inet_mark which);

/* From now on sockets hear of refused datagrams; the connection is one of those. False: no memory. */
bool skep_inet_hear_unreachable(const struct netconn *connection);

/* interfaces.c: SIOCGIF…; -ENOTTY: another request. */
int skep_inet_interface_ioctl(unsigned long request, void *argument);

/* interfaces.c, with the core lock held: the interface of this number, or with this address of IPv4. NULL: there is none. */
struct netif *skep_inet_interface(unsigned index);
struct netif *skep_inet_interface_at(uint32_t address);

/* How IPv4 names a group and an interface; older programs leave out the interface's number. False: there is less. */
bool skep_inet_mreqn_take(struct ip_mreqn *out, const void *value, socklen_t bytes);

/* socket_groups.c: joins or leaves a group; false: it is another option. Of a socket that is closed: leaves all. */
bool skep_inet_group_option(struct skep_file *file, int level, int name, const void *value,
                            socklen_t bytes, int *error);
void skep_inet_groups_leave(int number);

/* socket_options.c */
int skep_inet_option_set(struct skep_file *file, int level, int name, const void *value,
                         socklen_t bytes);
int skep_inet_option_get(struct skep_file *file, int level, int name, void *value,
                         socklen_t *bytes);

#endif
