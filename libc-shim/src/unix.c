/*
 * unix.c - UNIX sockets with connections between threads of the guest: streams, and records in order (SOCK_SEQPACKET). As
 * on Linux, but for names (unix_names.c): connect() makes both ends of a connection; the other one waits in its listener's
 * queue for accept().
 *
 * The mutex of names guards queues, too. Who waits for a queue does so on its listener's `changes`.
 */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"
#include "stream.h"
#include "unix_internal.h"

struct unix_socket {
    struct stream_end end;
    struct unix_options options;
    _Atomic bool listens;
    _Atomic bool ended;       /* and does no more */
    _Atomic uint32_t queued;  /* connections in the queue */
    _Atomic uint32_t changes; /* of the queue */
    struct unix_name name;    /* from here on guarded by the lock */
    unsigned backlog;
    struct unix_socket *queue; /* ends of connections that nobody has accepted, by next_queued */
    struct unix_socket *next_queued;
};

static struct unix_socket *of_end(struct stream_end *end)
{
    return (struct unix_socket *)((char *)end - offsetof(struct unix_socket, end));
}

static struct unix_socket *of_name(struct unix_name *name)
{
    return (struct unix_socket *)((char *)name - offsetof(struct unix_socket, name));
}

static bool is_connected(const struct unix_socket *own)
{
    /* Acquire: pairs with skep_stream_connect(). */
    return atomic_load_explicit(&own->end.peer, memory_order_acquire) != NULL;
}

static void socket_free(struct stream_end *end)
{
    free(of_end(end));
}

static bool keeps_records(const struct unix_socket *own)
{
    return own->name.type == SOCK_SEQPACKET;
}

static struct unix_socket *socket_new(int kind)
{
    struct unix_socket *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    made->end.free = socket_free;
    made->name.type = kind;
    atomic_init(&made->end.references, 1);
    atomic_init(&made->options.receive_ns, SKEP_FOREVER);
    atomic_init(&made->options.send_ns, SKEP_FOREVER);
    return made;
}

/* A socket that can be the other end of a connection. */
static struct unix_socket *socket_new_connectable(int kind)
{
    struct unix_socket *made = socket_new(kind);
    if (made != NULL &&
        (made->end.in = skep_stream_create(UNIX_BUFFER_BYTES, keeps_records(made))) == NULL) {
        free(made);
        return NULL;
    }
    return made;
}

static void queue_changed(struct unix_socket *listener)
{
    atomic_fetch_add_explicit(&listener->changes, 1, memory_order_release);
    skep_wake(&listener->changes, SKEP_WAKE_ALL);
    skep_poll_notify_source(&listener->end.source);
}

/*
 * Names
 */

static int unix_bind(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    struct unix_socket *own = file->object;
    return skep_unix_name_bind(&own->name, address, bytes);
}

static int unix_own_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    skep_mutex_lock(&skep_unix_lock);
    skep_unix_name_tell(&((const struct unix_socket *)file->object)->name, address, bytes);
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

static int unix_peer_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    const struct unix_socket *own = file->object;
    skep_mutex_lock(&skep_unix_lock);
    struct stream_end *peer = atomic_load_explicit(&own->end.peer, memory_order_relaxed);
    if (peer != NULL)
        skep_unix_name_tell(&of_end(peer)->name, address, bytes);
    skep_mutex_unlock(&skep_unix_lock);
    return peer != NULL ? 0 : -ENOTCONN;
}

/*
 * Connections
 */

static int unix_listen(struct skep_file *file, int backlog)
{
    struct unix_socket *own = file->object;
    skep_mutex_lock(&skep_unix_lock);
    bool may = own->name.bytes != 0 && !is_connected(own);
    if (may) {
        own->backlog = (unsigned)backlog;
        own->name.listens = true;
        atomic_store_explicit(&own->listens, true, memory_order_relaxed);
    }
    skep_mutex_unlock(&skep_unix_lock);
    return may ? 0 : -EINVAL;
}

/* The lock is held. */
static void enqueue(struct unix_socket *listener, struct unix_socket *made)
{
    struct unix_socket **at = &listener->queue;
    while (*at != NULL)
        at = &(*at)->next_queued;
    *at = made;
    atomic_fetch_add_explicit(&listener->queued, 1, memory_order_relaxed);
    made->name.address = listener->name.address;
    made->name.bytes = listener->name.bytes;
    made->name.is_queued = true;
    made->options.tells_sender = listener->options.tells_sender;
}

/* The lock is held. */
static struct unix_socket *dequeue(struct unix_socket *listener)
{
    struct unix_socket *first = listener->queue;
    if (first == NULL)
        return NULL;
    listener->queue = first->next_queued;
    first->name.is_queued = false;
    atomic_fetch_sub_explicit(&listener->queued, 1, memory_order_relaxed);
    return first;
}

/* What connect() makes before it has a listener. */
struct attempt {
    const struct sockaddr *name;
    socklen_t name_bytes;
    struct unix_socket *made; /* the listener's end */
    struct stream *in;        /* of the caller's end */
};

/* Connects to who listens at a name, unless its queue is full (-EAGAIN). *listener: that one, with a reference, or NULL.
 * The lock is held. */
static int try_connect(struct unix_socket *own, struct attempt *attempt,
                       struct unix_socket **listener)
{
    struct unix_name *name =
        skep_unix_name_find(own->name.type, attempt->name, attempt->name_bytes);
    *listener = NULL;
    if (own->listens)
        return -EINVAL;
    if (is_connected(own))
        return -EISCONN;
    if (name == NULL)
        return skep_unix_name_missing(attempt->name);
    if (name->type != own->name.type)
        return -EPROTOTYPE;
    struct unix_socket *found = of_name(name);
    if (!found->listens || found->ended)
        return -ECONNREFUSED;
    *listener = found;
    atomic_fetch_add_explicit(&found->end.references, 1, memory_order_relaxed);
    if (found->queued > found->backlog)
        return -EAGAIN;
    own->end.in = attempt->in;
    attempt->in = NULL;
    skep_stream_connect(&own->end, &attempt->made->end);
    enqueue(found, attempt->made);
    return 0;
}

static int connect_until(struct unix_socket *own, struct attempt *attempt, uint64_t deadline_ns)
{
    struct unix_socket *listener;
    uint64_t interrupts = skep_interrupts_seen();
    bool is_full;
    int result;
    do {
        skep_mutex_lock(&skep_unix_lock);
        result = try_connect(own, attempt, &listener);
        uint32_t seen = listener != NULL ? listener->changes : 0;
        skep_mutex_unlock(&skep_unix_lock);
        if (listener == NULL)
            return result;
        if (result == 0)
            queue_changed(listener);
        is_full = result == -EAGAIN;
        if (is_full)
            result = skep_stream_wait(&listener->changes, seen, deadline_ns, &interrupts);
        skep_stream_end_put(&listener->end);
    } while (is_full && result == 0);
    return result;
}

static int unix_connect(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    struct unix_socket *own = file->object;
    int result = skep_unix_name_check(address, &bytes);
    if (result != 0)
        return result;
    struct attempt attempt = {.name = address, .name_bytes = bytes};
    attempt.made = socket_new_connectable(own->name.type);
    attempt.in = skep_stream_create(UNIX_BUFFER_BYTES, keeps_records(own));
    result = -ENOMEM;
    if (attempt.made != NULL && attempt.in != NULL)
        result = connect_until(own, &attempt, skep_unix_deadline(file, 0, own->options.send_ns));
    free(attempt.in);
    if (result == 0)
        skep_poll_notify_source(&own->end.source);
    else if (attempt.made != NULL)
        skep_stream_end_put(&attempt.made->end);
    return result;
}

static const struct skep_fd_ops unix_ops; /* at the end of the file */

/* The descriptor of a socket, which is gone if there is none. */
static int open_socket(struct unix_socket *made, int type)
{
    int fd = skep_fd_open(&unix_ops, made, O_RDWR | (type & (SOCK_NONBLOCK | SOCK_CLOEXEC)));
    if (fd < 0)
        skep_stream_end_close(&made->end);
    return fd;
}

static int unix_accept(struct skep_file *file, struct sockaddr *address, socklen_t *bytes, int type)
{
    struct unix_socket *own = file->object, *made;
    uint64_t deadline_ns = skep_unix_deadline(file, 0, own->options.receive_ns);
    uint64_t interrupts = skep_interrupts_seen();
    for (;;) {
        uint32_t seen = atomic_load_explicit(&own->changes, memory_order_acquire);
        skep_mutex_lock(&skep_unix_lock);
        made = dequeue(own);
        if (made != NULL && address != NULL)
            skep_unix_name_tell(&of_end(made->end.peer)->name, address, bytes);
        skep_mutex_unlock(&skep_unix_lock);
        if (made != NULL)
            break;
        if (!own->listens || own->ended)
            return -EINVAL;
        int result = skep_stream_wait(&own->changes, seen, deadline_ns, &interrupts);
        if (result < 0)
            return result;
    }
    queue_changed(own);
    return open_socket(made, type);
}

/*
 * Ends
 */

static int unix_shutdown(struct skep_file *file, int how)
{
    struct unix_socket *own = file->object;
    if (own->listens) {
        own->ended = true;
        queue_changed(own);
        return 0;
    }
    if (!is_connected(own))
        return -ENOTCONN;
    if (how != SHUT_WR)
        skep_stream_end_stop_reading(&own->end);
    if (how != SHUT_RD)
        skep_stream_end_stop_writing(&own->end);
    skep_poll_notify_source(&own->end.source);
    return 0;
}

static void unix_close(struct skep_file *file)
{
    struct unix_socket *own = file->object, *waiting;
    skep_mutex_lock(&skep_unix_lock);
    skep_unix_name_forget(&own->name);
    skep_mutex_unlock(&skep_unix_lock);
    queue_changed(own);
    while ((waiting = dequeue(own)) != NULL) /* nobody finds it any more: no lock */
        skep_stream_end_close(&waiting->end);
    skep_stream_end_close(&own->end);
}

/*
 * Moving bytes
 */

static ssize_t receive(struct skep_file *file, struct stream_move *move, int flags)
{
    struct unix_socket *own = file->object;
    if (!is_connected(own))
        return keeps_records(own) ? -ENOTCONN : -EINVAL;
    move->deadline_ns = skep_unix_deadline(file, flags, own->options.receive_ns);
    move->stays = (flags & MSG_PEEK) != 0;
    move->fills = (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && !keeps_records(own);
    ssize_t result = skep_stream_end_read(&own->end, move);
    return result >= 0 && (flags & MSG_TRUNC) != 0 ? result + (ssize_t)move->cut : result;
}

static ssize_t unix_receive(struct skep_file *file, void *data, size_t bytes, int flags,
                            struct sockaddr *address, socklen_t *address_bytes)
{
    const struct iovec part = {data, bytes};
    struct stream_move move = {.parts = &part, .count = 1};
    if (address != NULL)
        *address_bytes = 0; /* as of any stream */
    ssize_t result = receive(file, &move, flags);
    if (move.note != NULL)
        move.note->drop(move.note);
    return result;
}

static ssize_t unix_read(struct skep_file *file, void *data, size_t bytes)
{
    return unix_receive(file, data, bytes, 0, NULL, NULL);
}

static ssize_t unix_receive_message(struct skep_file *file, struct msghdr *message, int flags)
{
    const struct unix_socket *own = file->object;
    struct stream_move move = {.parts = message->msg_iov, .count = (size_t)message->msg_iovlen};
    size_t room = message->msg_controllen;
    ssize_t result = receive(file, &move, flags);
    if (result < 0)
        return result;
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = (move.cut != 0 ? MSG_TRUNC : 0) | (flags & MSG_CMSG_CLOEXEC);
    if ((move.note != NULL || own->options.tells_sender) && skep_unix_ancillary_tell)
        skep_unix_ancillary_tell(message, room, move.note, own->options.tells_sender);
    return result;
}

/* Sends what a note says that goes along, which is dropped if it doesn't. */
static ssize_t send_move(struct skep_file *file, struct stream_move *move, int flags)
{
    struct unix_socket *own = file->object;
    ssize_t result = 0;
    if (!is_connected(own))
        result = -ENOTCONN;
    else if (move->note != NULL) {
        skep_mutex_lock(&skep_unix_lock);
        result = skep_unix_rights_send(move->note, &of_end(own->end.peer)->name);
        skep_mutex_unlock(&skep_unix_lock);
    }
    move->deadline_ns = skep_unix_deadline(file, flags, own->options.send_ns);
    if (result == 0)
        result = skep_stream_end_write(&own->end, move);
    if (move->note != NULL)
        move->note->drop(move->note);
    return result;
}

/* Where a connection is, an address is too many; else it doesn't make one. Who sends records needs none, and it is left
 * aside. */
static int check_no_name(const struct skep_file *file, const void *address)
{
    return address == NULL || keeps_records(file->object) ? 0
           : is_connected(file->object)                   ? -EISCONN
                                                          : -EOPNOTSUPP;
}

static ssize_t unix_send(struct skep_file *file, const void *data, size_t bytes, int flags,
                         const struct sockaddr *address, socklen_t address_bytes)
{
    const struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct stream_move move = {.parts = &part, .count = 1};
    int error = check_no_name(file, address);
    return error < 0 ? error : send_move(file, &move, flags);
}

static ssize_t unix_write(struct skep_file *file, const void *data, size_t bytes)
{
    return unix_send(file, data, bytes, 0, NULL, 0);
}

static ssize_t unix_send_message(struct skep_file *file, const struct msghdr *message, int flags)
{
    struct stream_move move = {.parts = message->msg_iov, .count = (size_t)message->msg_iovlen};
    int error = check_no_name(file, message->msg_name);
    if (error == 0 && message->msg_controllen != 0)
        error = skep_unix_rights_take(message, &move.note);
    return error < 0 ? error : send_move(file, &move, flags);
}

/*
 * States and options
 */

static short listener_poll(const struct unix_socket *own)
{
    return (short)((own->queued != 0 ? POLLIN : 0) |
                   (own->ended ? POLLIN | POLLRDHUP | POLLHUP : 0));
}

static short unix_poll(struct skep_file *file)
{
    const struct unix_socket *own = file->object;
    if (own->listens)
        return listener_poll(own);
    if (!is_connected(own))
        return POLLOUT | POLLHUP;
    const struct stream *in = own->end.in, *out = own->end.out;
    bool no_more_in = skep_stream_ended(in) || skep_stream_abandoned(in);
    bool no_more_out = skep_stream_ended(out) || skep_stream_abandoned(out);
    return (short)((skep_stream_bytes(in) != 0 ? POLLIN : 0) |
                   (no_more_in ? POLLIN | POLLRDHUP : 0) |
                   (no_more_in && no_more_out ? POLLHUP : 0) |
                   (skep_stream_has_room(out) || no_more_out ? POLLOUT : 0));
}

static struct skep_poll_source *unix_source(struct skep_file *file)
{
    struct unix_socket *own = file->object;
    return &own->end.source;
}

static int unix_stat(struct skep_file *file, struct stat *out)
{
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFSOCK | 0777;
    out->st_blksize = STREAM_PIECE_BYTES;
    return 0;
}

static int unix_ioctl(struct skep_file *file, unsigned long request, void *argument)
{
    struct unix_socket *own = file->object;
    if (request != FIONREAD)
        return -ENOTTY;
    if (own->listens)
        return -EINVAL;
    *(int *)argument = is_connected(own) ? (int)skep_stream_end_bytes(&own->end) : 0;
    return 0;
}

static int unix_option_set(struct skep_file *file, int level, int name, const void *value,
                           socklen_t bytes)
{
    struct unix_socket *own = file->object;
    return skep_unix_option_set(&own->options, level, name, value, bytes);
}

static int unix_option_get(struct skep_file *file, int level, int name, void *value,
                           socklen_t *bytes)
{
    const struct unix_socket *own = file->object;
    if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
        return skep_unix_tell_number(value, bytes, own->listens);
    if (level == SOL_SOCKET && name == SO_PEERCRED)
        return skep_unix_tell_peer(value, bytes, is_connected(own));
    return skep_unix_option_get(&own->options, own->name.type, level, name, value, bytes);
}

/*
 * The kind
 */

static const struct skep_socket_ops calls = {
    .bind = unix_bind,
    .listen = unix_listen,
    .accept = unix_accept,
    .connect = unix_connect,
    .shutdown = unix_shutdown,
    .own_name = unix_own_name,
    .peer_name = unix_peer_name,
    .send = unix_send,
    .receive = unix_receive,
    .send_message = unix_send_message,
    .receive_message = unix_receive_message,
    .option_set = unix_option_set,
    .option_get = unix_option_get,
};

static const struct skep_fd_ops unix_ops = {
    .read = unix_read,
    .write = unix_write,
    .close = unix_close,
    .stat = unix_stat,
    .ioctl = unix_ioctl,
    .poll = unix_poll,
    .source = unix_source,
    .socket = &calls,
};

struct unix_name *skep_unix_name_of(const struct skep_file *file)
{
    return file->ops == &unix_ops ? &((struct unix_socket *)file->object)->name
                                  : skep_unix_datagram_name_of(file);
}

/* The type without flags. */
static int check_type(int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    bool is_known = (kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_SEQPACKET) &&
                    (protocol == 0 || protocol == AF_UNIX);
    return is_known ? kind : -EPROTONOSUPPORT;
}

static int stream_socket(int kind, int type)
{
    struct unix_socket *made = socket_new(kind);
    return made != NULL ? open_socket(made, type) : -ENOMEM;
}

int skep_posix_unix_socket(int type, int protocol)
{
    int kind = check_type(type, protocol);
    return kind < 0             ? kind
           : kind == SOCK_DGRAM ? skep_unix_datagram_socket(type)
                                : stream_socket(kind, type);
}

static int stream_pair(int kind, int type, int fds[2])
{
    struct unix_socket *one = socket_new_connectable(kind), *other = socket_new_connectable(kind);
    if (one != NULL && other != NULL) {
        skep_stream_connect(&one->end, &other->end);
        fds[0] = open_socket(one, type);
        fds[1] = open_socket(other, type);
        return fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;
    }
    if (one != NULL)
        skep_stream_end_put(&one->end);
    if (other != NULL)
        skep_stream_end_put(&other->end);
    return -ENOMEM;
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    int numbers[2] = {-1, -1};
    int kind = domain == AF_UNIX ? check_type(type, protocol) : -EAFNOSUPPORT;
    int result = kind < 0             ? kind
                 : kind == SOCK_DGRAM ? skep_unix_datagram_pair(type, numbers)
                                      : stream_pair(kind, type, numbers);
    if (result == 0) {
        memcpy(fds, numbers, sizeof(numbers));
        return 0;
    }
    for (int i = 0; i < 2; i++)
        if (numbers[i] >= 0)
            close(numbers[i]);
    return (int)skep_posix_result(result);
}
