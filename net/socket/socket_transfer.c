/*
 * socket_transfer.c - reading, writing, send(), recv() and their kind, of Internet sockets.
 */
#include "socket_internal.h"

#include "../lwip/network.h"
#include "skep/guest.h"

_Thread_local struct inet_call skep_inet_call;

void skep_inet_call_begin(const struct skep_file *file)
{
    skep_inet_call = (struct inet_call){
        .number = number_of(file), .error_before = errno, .seen = skep_interrupts_seen()};
}

/* Whether the socket says that there is nothing to wait for. */
static bool call_ends(void)
{
    if (!is_marked(skep_inet_call.number, REFUSED | RECEIVES_NO_MORE))
        return false;
    skep_inet_call.refused = unmark(skep_inet_call.number, REFUSED);
    skep_inet_call.ended = is_marked(skep_inet_call.number, RECEIVES_NO_MORE);
    return skep_inet_call.refused || skep_inet_call.ended;
}

/* A socket's call with a time of its own (SO_RCVTIMEO, SO_SNDTIMEO) doesn't go on after handlers, as on Linux. */
int network_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    if (call_ends())
        return -SKEP_ETIMEDOUT;
    int result =
        skep_wait_interruptibly(word, expected, deadline_ns, &skep_inet_call.seen,
                                deadline_ns == SKEP_FOREVER ? SKEP_RESTARTS : SKEP_NEVER_RESTARTS);
    skep_inet_call.interrupted = result == -EINTR;
    return skep_inet_call.interrupted ? -SKEP_ETIMEDOUT : result;
}

int network_wait_restarting(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    uint64_t unused = 0;
    return skep_wait_interruptibly(word, expected, deadline_ns, &unused, SKEP_ALWAYS_RESTARTS);
}

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
        return -errno;
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

/* Begins a call that sends. */
static int send_begin(const struct skep_file *file)
{
    skep_inet_call_begin(file);
    if (!is_marked(number_of(file), SENDS_NO_MORE | REFUSED))
        return 0;
    return unmark(number_of(file), REFUSED) ? -ECONNREFUSED : -EPIPE;
}

static bool is_stream(const struct skep_file *file)
{
    return is_tcp(state_of(file)->conn);
}

ssize_t skep_inet_read(struct skep_file *file, void *data, size_t bytes)
{
    int error = receive_begin(file);
    if (error < 0)
        return error;
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
    if (skep_inet_call.interrupted)
        return -EINTR;
    if (errno == ENOTCONN)
        return -EPIPE;
    return !named && errno == EINVAL && !is_stream(file) ? -EDESTADDRREQ : -errno;
}

static ssize_t socket_send(struct skep_file *file, const void *data, size_t bytes, int flags)
{
    int error = send_begin(file);
    if (error < 0)
        return error;
    if (is_too_long(file, bytes))
        return -EMSGSIZE;
    return sent(file, false,
                lwip_send(number_of(file), data, bytes, flags & (MSG_DONTWAIT | MSG_MORE)));
}

ssize_t skep_inet_write(struct skep_file *file, const void *data, size_t bytes)
{
    return socket_send(file, data, bytes, 0);
}

/*
 * Sending
 */

static ssize_t send_to(struct skep_file *file, const void *data, size_t bytes, int flags,
                       const struct sockaddr *address, socklen_t address_bytes)
{
    union inet_address remote;
    int error = send_begin(file);
    if (error == 0)
        error = skep_inet_remote_take(file, &remote, address, address_bytes);
    if (error < 0)
        return error;
    if (is_too_long(file, bytes))
        return -EMSGSIZE;
    return sent(file, true,
                lwip_sendto(number_of(file), data, bytes, flags & (MSG_DONTWAIT | MSG_MORE),
                            &remote.any, address_bytes_of(&remote)));
}

ssize_t skep_inet_send(struct skep_file *file, const void *data, size_t bytes, int flags,
                       const struct sockaddr *address, socklen_t address_bytes)
{
    return address == NULL ? socket_send(file, data, bytes, flags)
                           : send_to(file, data, bytes, flags, address, address_bytes);
}

ssize_t skep_inet_send_message(struct skep_file *file, const struct msghdr *message, int flags)
{
    union inet_address remote;
    struct msghdr copy = *message;
    int error = send_begin(file);
    if (error == 0 && message->msg_name != NULL)
        error = skep_inet_remote_take(file, &remote, message->msg_name, message->msg_namelen);
    if (error < 0)
        return error;
    if (message->msg_name != NULL) {
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

ssize_t skep_inet_receive(struct skep_file *file, void *data, size_t bytes, int flags,
                          struct sockaddr *address, socklen_t *address_bytes)
{
    int known = flags & (MSG_PEEK | MSG_DONTWAIT);
    int error = receive_begin(file);
    if (error < 0)
        return error;
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

ssize_t skep_inet_receive_message(struct skep_file *file, struct msghdr *message, int flags)
{
    int known = flags & (MSG_PEEK | MSG_DONTWAIT);
    int error = receive_begin(file);
    if (error < 0)
        return error;
    ssize_t result = received(file, lwip_recvmsg(number_of(file), message, known));
    if (result < 0)
        return result;
    message->msg_controllen = 0;
    /* lwIP tells a datagram's whole length. */
    bool is_cut = (message->msg_flags & MSG_TRUNC) != 0 && (flags & MSG_TRUNC) == 0;
    return is_cut ? (ssize_t)bytes_of(message) : result;
}
