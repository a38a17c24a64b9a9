/*
 * socket_receive.c - read(), recv() and their kind, of Internet sockets.
 */
#include "socket_internal.h"

#include <string.h>

#include "lwip/netbuf.h"
#include "lwip/priv/api_msg.h"

#include "../lwip/network.h"

/*
 * What lwIP received, or -errno. It tells the end of the input once, and it stays there. lwIP sets errno then; it is put
 * back, as OpenSSL takes an end with ENOTCONN for a wait. A datagram may have come as the wait was ended.
 */
static ssize_t received(struct skep_file *file, ssize_t result)
{
    if (result >= 0 && skep_inet_call.refused)
        mark(number_of(file), REFUSED, true);
    if (result > 0)
        return result;
    if (result < 0 && skep_inet_call.interrupted)
        return -EINTR;
    if (result < 0 && skep_inet_call.refused)
        return -ECONNREFUSED;
    if (result < 0 && !skep_inet_call.ended && (errno != ENOTCONN || !input_ended(state_of(file))))
        return -connection_error(errno);
    errno = skep_inet_call.error_before;
    return 0;
}

/* Begins a call that receives. */
static int receive_begin(const struct skep_file *file)
{
    skep_inet_call_begin(file);
    if (!is_marked(number_of(file), UNCONNECTED | REFUSED))
        return 0;
    return unmark(number_of(file), REFUSED) ? -ECONNREFUSED : -ENOTCONN;
}

/*
 * Streams
 */

static ssize_t take(struct skep_file *file, void *data, size_t bytes, int flags)
{
    return received(file, lwip_recv(number_of(file), data, bytes, flags));
}

/* Whether an error is all that a stream has left: lwIP tells it once, so it is the next call's. */
static bool only_fails(const struct lwip_sock *state)
{
    void *message;
    return state->conn->pending_err != ERR_OK && state->lastdata.pbuf == NULL &&
           !network_mailbox_peek(state->conn->recvmbox, 0, &message);
}

/* MSG_WAITALL: until all is there, the stream ends, or an error comes. */
static ssize_t take_all(struct skep_file *file, char *data, size_t bytes, int flags)
{
    size_t done = 0;
    while (done < bytes && (done == 0 || !only_fails(state_of(file)))) {
        ssize_t result = take(file, data + done, bytes - done, flags);
        if (result <= 0)
            return done > 0 ? (ssize_t)done : result;
        done += (size_t)result;
    }
    return (ssize_t)done;
}

/* Waits until something is there, and leaves it. 0: the stream has ended. */
static ssize_t stream_wait(struct skep_file *file, int flags)
{
    char byte;
    return take(file, &byte, 1, flags | MSG_PEEK);
}

/* Copies what is there from an offset on. The first packet has come out of the mailbox before, which lwIP keeps for the
 * next call; it would look at no more. */
static ssize_t copy_waiting(const struct lwip_sock *state, size_t offset, char *data, size_t bytes)
{
    const struct pbuf *packet = state->lastdata.pbuf;
    size_t done = 0;
    void *message;
    err_t error;
    for (unsigned i = 0; packet != NULL && done < bytes; i++) {
        if (offset < packet->tot_len) {
            size_t left = bytes - done;
            uint16_t most = left < UINT16_MAX ? (uint16_t)left : UINT16_MAX;
            done += pbuf_copy_partial(packet, data + done, most, (uint16_t)offset);
            offset = 0;
        } else
            offset -= packet->tot_len;
        bool has_more = network_mailbox_peek(state->conn->recvmbox, i, &message) &&
                        !lwip_netconn_is_err_msg(message, &error);
        packet = has_more ? message : NULL;
    }
    return (ssize_t)done;
}

static bool has_room(const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len != 0)
            return true;
    return false;
}

/* What comes after the first part that has room isn't waited for, unless all is. */
static ssize_t receive_stream(struct skep_file *file, const struct iovec *parts, int count,
                              int flags)
{
    bool looks = (flags & MSG_PEEK) != 0 || !has_room(parts, count);
    bool waits_for_all = (flags & MSG_WAITALL) != 0;
    int known = flags & MSG_DONTWAIT;
    size_t total = 0;
    ssize_t more = looks ? stream_wait(file, known) : 1;
    for (int i = 0; more > 0 && i < count; i++) {
        size_t bytes = parts[i].iov_len;
        if (bytes == 0)
            continue;
        more = looks           ? copy_waiting(state_of(file), total, parts[i].iov_base, bytes)
               : waits_for_all ? take_all(file, parts[i].iov_base, bytes, known)
                               : take(file, parts[i].iov_base, bytes, known);
        total += more > 0 ? (size_t)more : 0;
        if (more < (ssize_t)bytes || only_fails(state_of(file)))
            break;
        known |= waits_for_all ? 0 : MSG_DONTWAIT;
    }
    return total > 0 || more > 0 ? (ssize_t)total : more;
}

/*
 * Datagrams
 */

/* Waits for the next datagram, which is lastdata then. 1, 0: there will be none, or -errno. */
static ssize_t datagram_wait(struct skep_file *file, int flags)
{
    struct lwip_sock *state = state_of(file);
    u8_t how = (flags & MSG_DONTWAIT) != 0 ? NETCONN_DONTBLOCK : 0;
    if (state->lastdata.netbuf != NULL)
        return 1;
    err_t error = netconn_recv_udp_raw_netbuf_flags(state->conn, &state->lastdata.netbuf, how);
    if (error == ERR_OK)
        return received(file, 1);
    errno = err_to_errno(error);
    return received(file, -1);
}

static size_t datagram_copy(const struct netbuf *datagram, const struct iovec *parts, int count)
{
    size_t whole = datagram->p->tot_len, done = 0;
    for (int i = 0; i < count && done < whole; i++) {
        size_t left = whole - done;
        uint16_t bytes = (uint16_t)(left < parts[i].iov_len ? left : parts[i].iov_len);
        done += pbuf_copy_partial(datagram->p, parts[i].iov_base, bytes, (uint16_t)done);
    }
    return done;
}

/* One control message, if it has room. */
static void tell_control(struct msghdr *message, size_t room, int level, int type, const void *data,
                         size_t bytes)
{
    const struct cmsghdr header = {(socklen_t)CMSG_LEN(bytes), level, type};
    if (message->msg_control == NULL || room < header.cmsg_len) {
        message->msg_flags |= MSG_CTRUNC;
        return;
    }
    memcpy(message->msg_control, &header, sizeof(header));
    memcpy(CMSG_DATA(message->msg_control), data, bytes);
    message->msg_controllen = (socklen_t)(room < CMSG_SPACE(bytes) ? room : CMSG_SPACE(bytes));
}

/* IP_PKTINFO and IPV6_RECVPKTINFO: the address that the datagram went to, and the interface by which it came. */
static void tell_arrival(const struct netconn *connection, const struct netbuf *datagram,
                         struct msghdr *message, size_t room)
{
    union inet_address to;
    skep_inet_address_set(&to, connection, &datagram->toaddr, 0);
    if (to.any.sa_family == AF_INET) {
        const struct in_pktinfo info = {datagram->p->if_idx, to.v4.sin_addr, to.v4.sin_addr};
        tell_control(message, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        const struct in6_pktinfo info = {to.v6.sin6_addr, datagram->p->if_idx};
        tell_control(message, room, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static void tell_origin(const struct netconn *connection, const struct netbuf *datagram,
                        struct msghdr *message)
{
    union inet_address from;
    skep_inet_address_set(&from, connection, &datagram->addr, datagram->port);
    skep_inet_address_tell(&from, message->msg_name, &message->msg_namelen);
}

static ssize_t receive_datagram(struct skep_file *file, struct msghdr *message, int flags)
{
    struct lwip_sock *state = state_of(file);
    size_t control_room = message->msg_controllen;
    ssize_t result = datagram_wait(file, flags);
    if (result < 0)
        return result;
    message->msg_flags = 0;
    message->msg_controllen = 0;
    if (result == 0) {
        message->msg_namelen = 0;
        return 0;
    }
    struct netbuf *datagram = state->lastdata.netbuf;
    size_t whole = datagram->p->tot_len;
    size_t done = datagram_copy(datagram, message->msg_iov, message->msg_iovlen);
    if (done < whole)
        message->msg_flags |= MSG_TRUNC;
    if (message->msg_name != NULL)
        tell_origin(state->conn, datagram, message);
    if (is_marked(number_of(file), TELLS_ARRIVAL) &&
        NETCONNTYPE_GROUP(state->conn->type) == NETCONN_UDP)
        tell_arrival(state->conn, datagram, message, control_room);
    if ((flags & MSG_PEEK) == 0) {
        state->lastdata.netbuf = NULL;
        netbuf_delete(datagram);
    }
    return (ssize_t)((flags & MSG_TRUNC) != 0 ? whole : done);
}

/*
 * Calls
 */

ssize_t skep_inet_read(struct skep_file *file, void *data, size_t bytes)
{
    int error = receive_begin(file);
    if (error < 0)
        return error;
    if (is_marked(number_of(file), IS_STREAM))
        return bytes == 0 ? 0 : take(file, data, bytes, 0);
    struct iovec part = {data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return receive_datagram(file, &message, 0);
}

/* Most calls want what comes next. */
static ssize_t receive_from_stream(struct skep_file *file, void *data, size_t bytes, int flags)
{
    const struct iovec part = {data, bytes};
    if (bytes != 0 && (flags & (MSG_PEEK | MSG_WAITALL)) == 0)
        return take(file, data, bytes, flags & MSG_DONTWAIT);
    return receive_stream(file, &part, 1, flags);
}

ssize_t skep_inet_receive(struct skep_file *file, void *data, size_t bytes, int flags,
                          struct sockaddr *address, socklen_t *address_bytes)
{
    int error = receive_begin(file);
    if (error < 0)
        return error;
    if (is_marked(number_of(file), IS_STREAM)) {
        if (address != NULL)
            *address_bytes = 0; /* as of any stream */
        return receive_from_stream(file, data, bytes, flags);
    }
    struct iovec part = {data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = address};
    if (address != NULL)
        message.msg_namelen = *address_bytes;
    ssize_t result = receive_datagram(file, &message, flags);
    if (result >= 0 && address != NULL)
        *address_bytes = message.msg_namelen;
    return result;
}

ssize_t skep_inet_receive_message(struct skep_file *file, struct msghdr *message, int flags)
{
    int error = receive_begin(file);
    if (error < 0)
        return error;
    if (!is_marked(number_of(file), IS_STREAM))
        return receive_datagram(file, message, flags);
    ssize_t result = receive_stream(file, message->msg_iov, message->msg_iovlen, flags);
    if (result >= 0)
        message->msg_namelen = 0, message->msg_controllen = 0, message->msg_flags = 0;
    return result;
}
