/*
 * socket_send.c - waiting in calls on Internet sockets; write(), send() and their kind.
 */
#include "socket_internal.h"

#include <stdlib.h>

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
    if (skep_inet_call.is_lasting)
        return skep_wait(word, expected, deadline_ns);
    return skep_wait_interruptibly(word, expected, deadline_ns, &unused, SKEP_ALWAYS_RESTARTS);
}

/* Begins a call that sends. */
static int send_begin(const struct skep_file *file)
{
    skep_inet_call_begin(file);
    if (!is_marked(number_of(file), SENDS_NO_MORE | REFUSED))
        return 0;
    return unmark(number_of(file), REFUSED) ? -ECONNREFUSED : -EPIPE;
}

/* A datagram of IPv4, which is no shorter than one of IPv6 here, and its headers have 16 bits for their length. */
#define DATAGRAM_MAX (UINT16_MAX - 20 - 8)

static bool is_too_long(const struct skep_file *file, size_t bytes)
{
    return bytes > DATAGRAM_MAX && !is_marked(number_of(file), IS_STREAM);
}

/* What the parts of a message are. */
struct parts {
    size_t bytes;
    bool has_empty;
};

static struct parts measure(const struct msghdr *message)
{
    struct parts parts = {0};
    for (int i = 0; i < message->msg_iovlen; i++) {
        parts.bytes += message->msg_iov[i].iov_len;
        parts.has_empty |= message->msg_iov[i].iov_len == 0;
    }
    return parts;
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
    return !named && errno == EINVAL && !is_marked(number_of(file), IS_STREAM)
               ? -EDESTADDRREQ
               : -connection_error(errno);
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

/* Of several parts, whose number is checked; lwIP wants at least one. */
static ssize_t send_parts(struct skep_file *file, const struct msghdr *message, int flags,
                          union inet_address *remote)
{
    struct iovec nothing = {(void *)"", 0};
    struct msghdr copy = *message;
    if (message->msg_iovlen == 0) {
        copy.msg_iov = &nothing;
        copy.msg_iovlen = 1;
    }
    if (message->msg_name != NULL) {
        copy.msg_name = remote;
        copy.msg_namelen = address_bytes_of(remote);
    }
    return sent(file, message->msg_name != NULL,
                lwip_sendmsg(number_of(file), &copy, flags & (MSG_DONTWAIT | MSG_MORE)));
}

/* TCP wants no part without an address, not even an empty one. */
static ssize_t send_nonempty(struct skep_file *file, const struct msghdr *message, int flags,
                             union inet_address *remote)
{
    struct msghdr copy = *message;
    copy.msg_iov = malloc((size_t)message->msg_iovlen * sizeof(*copy.msg_iov));
    copy.msg_iovlen = 0;
    if (copy.msg_iov == NULL)
        return -ENOMEM;
    for (int i = 0; i < message->msg_iovlen; i++)
        if (message->msg_iov[i].iov_len != 0)
            copy.msg_iov[copy.msg_iovlen++] = message->msg_iov[i];
    ssize_t result = send_parts(file, &copy, flags, remote);
    free(copy.msg_iov);
    return result;
}

ssize_t skep_inet_send_message(struct skep_file *file, const struct msghdr *message, int flags)
{
    union inet_address remote = {.any.sa_family = AF_UNSPEC};
    int error = send_begin(file);
    if (error == 0 && message->msg_name != NULL)
        error = skep_inet_remote_take(file, &remote, message->msg_name, message->msg_namelen);
    struct parts parts = measure(message);
    if (error == 0 && is_too_long(file, parts.bytes))
        error = -EMSGSIZE;
    if (error < 0)
        return error;
    return parts.has_empty ? send_nonempty(file, message, flags, &remote)
                           : send_parts(file, message, flags, &remote);
}
