/*
 * unix_common.c - how long calls of the kinds of UNIX sockets wait, and the options that these share.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "shim.h"
#include "unix_internal.h"

uint64_t skep_unix_deadline(struct skep_file *file, int flags, uint64_t span_ns)
{
    if (flags & MSG_DONTWAIT ||
        atomic_load_explicit(&file->flags, memory_order_relaxed) & O_NONBLOCK)
        return 0;
    return skep_posix_deadline_in(span_ns);
}

/* The span that a call may wait, which is endless if it is none. */
static int set_span(_Atomic uint64_t *span_ns, const void *value, socklen_t bytes)
{
    struct timeval time;
    if (bytes < sizeof(time))
        return -EINVAL;
    memcpy(&time, value, sizeof(time));
    uint64_t ns;
    if (!skep_posix_span(&(struct timespec){time.tv_sec, time.tv_usec * 1000}, &ns))
        return -EDOM;
    atomic_store_explicit(span_ns, ns != 0 ? ns : SKEP_FOREVER, memory_order_relaxed);
    return 0;
}

int skep_unix_option_set(struct unix_options *options, int level, int name, const void *value,
                         socklen_t bytes)
{
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    switch (name) {
    case SO_RCVTIMEO:
        return set_span(&options->receive_ns, value, bytes);
    case SO_SNDTIMEO:
        return set_span(&options->send_ns, value, bytes);
    case SO_PASSCRED:
        if (bytes < sizeof(int))
            return -EINVAL;
        atomic_store_explicit(&options->tells_sender, *(const int *)value != 0,
                              memory_order_relaxed);
        return 0;
    case SO_TYPE:
    case SO_ERROR:
    case SO_ACCEPTCONN:
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_PEERCRED:
        return -ENOPROTOOPT;
    default:
        return bytes < sizeof(int) ? -EINVAL : 0; /* of no effect in memory */
    }
}

static int tell(void *value, socklen_t *bytes, const void *what, socklen_t most)
{
    if (*bytes > most)
        *bytes = most;
    memcpy(value, what, *bytes);
    return 0;
}

int skep_unix_tell_number(void *value, socklen_t *bytes, int number)
{
    return tell(value, bytes, &number, sizeof(number));
}

int skep_unix_tell_peer(void *value, socklen_t *bytes, bool is_connected)
{
    struct ucred peer = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (is_connected)
        peer = (struct ucred){getpid(), geteuid(), getegid()};
    return tell(value, bytes, &peer, sizeof(peer));
}

static int tell_span(void *value, socklen_t *bytes, uint64_t ns)
{
    struct timeval time = {0};
    if (ns != SKEP_FOREVER)
        time = (struct timeval){(time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND / 1000)};
    return tell(value, bytes, &time, sizeof(time));
}

int skep_unix_option_get(const struct unix_options *options, int type, int level, int name,
                         void *value, socklen_t *bytes)
{
    if (level != SOL_SOCKET)
        return -EOPNOTSUPP;
    switch (name) {
    case SO_TYPE:
        return skep_unix_tell_number(value, bytes, type);
    case SO_DOMAIN:
        return skep_unix_tell_number(value, bytes, AF_UNIX);
    case SO_SNDBUF:
    case SO_RCVBUF:
        return skep_unix_tell_number(value, bytes, UNIX_BUFFER_BYTES);
    case SO_RCVLOWAT:
    case SO_SNDLOWAT:
        return skep_unix_tell_number(value, bytes, 1);
    case SO_PASSCRED:
        return skep_unix_tell_number(value, bytes, options->tells_sender);
    case SO_RCVTIMEO:
        return tell_span(value, bytes, options->receive_ns);
    case SO_SNDTIMEO:
        return tell_span(value, bytes, options->send_ns);
    default:
        return skep_unix_tell_number(value, bytes, 0);
    }
}
