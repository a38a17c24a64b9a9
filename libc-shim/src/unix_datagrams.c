/*
 * unix_datagrams.c - UNIX datagram sockets between threads of the guest. As on Linux, but for names
 * (unix_common.c): nothing is lost and nothing comes out of order, and who sends waits while the receiver's queue is full.
 *
 * The mutex of names guards queues and who is connected to whom. poll() takes no lock: whether a socket could send to its
 * peer is noted where the peer's queue becomes full, or has room again.
 */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "shim.h"
#include "stream.h"
#include "unix_internal.h"

#define DATAGRAM_BYTES_MAX UNIX_BUFFER_BYTES
#define DATAGRAMS_MAX      64u /* in a queue, which has room below that and UNIX_BUFFER_BYTES */

struct datagram {
    struct datagram *next;
    struct stream_note *note; /* what goes with it, or NULL */
    struct unix_name from;
    size_t bytes;
    char data[];
};

struct datagram_socket {
    struct skep_poll_source source;
    struct unix_options options;
    _Atomic uint32_t references; /* the descriptor's, and those of senders that wait */
    _Atomic uint32_t changes; /* of the queue; who waits for a datagram or for room waits on it */
    _Atomic uint32_t queued; /* datagrams; only the lock's holder changes this and the next three */
    _Atomic bool reading_ended, writing_ended;
    _Atomic bool can_send;        /* the peer, if there is one, has room */
    struct unix_name name;        /* from here on guarded by the lock */
    struct datagram_socket *peer; /* whom it is connected to */
    bool has_lost_peer;           /* which was closed: told once */
    struct datagram *first, *last;
    size_t bytes;                 /* in the queue */
    struct datagram_socket *next; /* in the list of all */
};

static struct datagram_socket *all; /* guarded by the lock */

static struct datagram_socket *of_name(struct unix_name *name)
{
    return (struct datagram_socket *)((char *)name - offsetof(struct datagram_socket, name));
}

static void put(struct datagram_socket *socket)
{
    if (atomic_fetch_sub_explicit(&socket->references, 1, memory_order_acq_rel) == 1)
        free(socket);
}

/* The lock isn't held. */
static void datagram_free(struct datagram *datagram)
{
    if (datagram->note != NULL)
        datagram->note->drop(datagram->note);
    free(datagram);
}

/*
 * Queues. The lock is held.
 */

static bool has_room(const struct datagram_socket *socket)
{
    return socket->queued < DATAGRAMS_MAX && socket->bytes < UNIX_BUFFER_BYTES;
}

static void note_can_send(struct datagram_socket *socket)
{
    bool can = socket->peer == NULL || has_room(socket->peer);
    if (atomic_exchange_explicit(&socket->can_send, can, memory_order_seq_cst) != can && can)
        skep_poll_notify_source(&socket->source);
}

/* Something came to a queue or went; had_room: before that. */
static void changed(struct datagram_socket *socket, bool had_room)
{
    atomic_fetch_add_explicit(&socket->changes, 1, memory_order_release);
    skep_wake(&socket->changes, SKEP_WAKE_ALL);
    if (has_room(socket) == had_room)
        return;
    for (struct datagram_socket *other = all; other != NULL; other = other->next)
        if (other->peer == socket)
            note_can_send(other);
}

static void enqueue(struct datagram_socket *socket, struct datagram *datagram)
{
    bool had_room = has_room(socket);
    *(socket->last != NULL ? &socket->last->next : &socket->first) = datagram;
    socket->last = datagram;
    socket->bytes += datagram->bytes;
    atomic_fetch_add_explicit(&socket->queued, 1, memory_order_relaxed);
    changed(socket, had_room);
    skep_poll_notify_source(&socket->source);
}

static void dequeue(struct datagram_socket *socket)
{
    struct datagram *first = socket->first;
    bool had_room = has_room(socket);
    socket->first = first->next;
    if (socket->first == NULL)
        socket->last = NULL;
    socket->bytes -= first->bytes;
    atomic_fetch_sub_explicit(&socket->queued, 1, memory_order_relaxed);
    changed(socket, had_room);
}

/*
 * Names and connections
 */

static int datagram_bind(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    struct datagram_socket *own = file->object;
    return skep_unix_name_bind(&own->name, address, bytes);
}

static int datagram_own_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    const struct datagram_socket *own = file->object;
    skep_mutex_lock(&skep_unix_lock);
    skep_unix_name_tell(&own->name, address, bytes);
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

static int datagram_peer_name(struct skep_file *file, struct sockaddr *address, socklen_t *bytes)
{
    const struct datagram_socket *own = file->object;
    skep_mutex_lock(&skep_unix_lock);
    bool is_connected = own->peer != NULL;
    if (is_connected)
        skep_unix_name_tell(&own->peer->name, address, bytes);
    skep_mutex_unlock(&skep_unix_lock);
    return is_connected ? 0 : -ENOTCONN;
}

/* One that is connected takes what its peer sends. The lock is held. */
static int check_takes(const struct datagram_socket *receiver, const struct datagram_socket *sender)
{
    return receiver->peer != NULL && receiver->peer != sender ? -EPERM : 0;
}

/* Who has a checked name, and takes what this socket sends. The lock is held. */
static int find(const struct datagram_socket *own, const struct sockaddr *address, socklen_t bytes,
                struct datagram_socket **found)
{
    struct unix_name *name = skep_unix_name_find(SOCK_DGRAM, address, bytes);
    if (name == NULL)
        return skep_unix_name_missing(address);
    if (name->type != SOCK_DGRAM)
        return -EPROTOTYPE;
    *found = of_name(name);
    return check_takes(*found, own);
}

static int datagram_connect(struct skep_file *file, const struct sockaddr *address, socklen_t bytes)
{
    struct datagram_socket *own = file->object, *peer = NULL;
    bool is_end =
        address != NULL && bytes >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC;
    int result = is_end ? 0 : skep_unix_name_check(address, &bytes);
    if (result != 0)
        return result;
    skep_mutex_lock(&skep_unix_lock);
    if (!is_end)
        result = find(own, address, bytes, &peer);
    if (result == 0) {
        own->peer = peer;
        own->has_lost_peer = false;
        note_can_send(own);
    }
    skep_mutex_unlock(&skep_unix_lock);
    return result;
}

static int datagram_listen(struct skep_file *file, int backlog)
{
    (void)file, (void)backlog;
    return -EOPNOTSUPP;
}

static int datagram_accept(struct skep_file *file, struct sockaddr *address, socklen_t *bytes,
                           int type)
{
    (void)file, (void)address, (void)bytes, (void)type;
    return -EOPNOTSUPP;
}

static int datagram_shutdown(struct skep_file *file, int how)
{
    struct datagram_socket *own = file->object;
    skep_mutex_lock(&skep_unix_lock);
    if (how != SHUT_WR)
        own->reading_ended = true;
    if (how != SHUT_RD)
        own->writing_ended = true;
    changed(own, has_room(own));
    skep_poll_notify_source(&own->source);
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

/* Who is connected to it has lost its peer. The lock is held. */
static void leave(struct datagram_socket *own)
{
    struct datagram_socket **at = &all;
    while (*at != own)
        at = &(*at)->next;
    *at = own->next;
    skep_unix_name_forget(&own->name);
    for (struct datagram_socket *other = all; other != NULL; other = other->next)
        if (other->peer == own) {
            other->peer = NULL;
            other->has_lost_peer = true;
            note_can_send(other);
        }
    changed(own, has_room(own));
}

static void socket_end(struct datagram_socket *own)
{
    skep_mutex_lock(&skep_unix_lock);
    leave(own);
    skep_mutex_unlock(&skep_unix_lock);
    for (struct datagram *datagram = own->first, *next; datagram != NULL; datagram = next) {
        next = datagram->next;
        datagram_free(datagram);
    }
    put(own);
}

static void datagram_close(struct skep_file *file)
{
    socket_end(file->object);
}

/*
 * Sending
 */

/* Whom a datagram goes to. No address: the peer. The lock is held. */
static int receiver_of(struct datagram_socket *own, const struct sockaddr *address, socklen_t bytes,
                       struct datagram_socket **found)
{
    if (own->writing_ended)
        return -EPIPE;
    if (address != NULL)
        return find(own, address, bytes, found);
    *found = own->peer;
    if (own->peer != NULL) /* whoever is freed has left its peers before */
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        return check_takes(own->peer, own);
    int result = own->has_lost_peer ? -ECONNREFUSED : -ENOTCONN;
    own->has_lost_peer = false;
    return result;
}

/* -EAGAIN: the receiver's queue is full; *full is that one, with a reference, else NULL. The lock is held. */
static int try_send(struct datagram_socket *own, const struct sockaddr *address, socklen_t bytes,
                    struct datagram *datagram, struct datagram_socket **full)
{
    struct datagram_socket *receiver = NULL;
    *full = NULL;
    int result = receiver_of(own, address, bytes, &receiver);
    if (result != 0)
        return result;
    if (receiver->reading_ended)
        return -EPIPE;
    if (has_room(receiver)) {
        if (datagram->note != NULL)
            result = skep_unix_rights_send(datagram->note, &receiver->name);
        if (result != 0)
            return result;
        datagram->from = own->name;
        enqueue(receiver, datagram);
        return 0;
    }
    atomic_fetch_add_explicit(&receiver->references, 1, memory_order_relaxed);
    *full = receiver;
    return -EAGAIN;
}

static int send_until(struct datagram_socket *own, const struct sockaddr *address, socklen_t bytes,
                      struct datagram *datagram, uint64_t deadline_ns)
{
    uint64_t interrupts = skep_interrupts_seen();
    struct datagram_socket *full;
    int result;
    do {
        skep_mutex_lock(&skep_unix_lock);
        result = try_send(own, address, bytes, datagram, &full);
        uint32_t seen = full != NULL ? full->changes : 0;
        skep_mutex_unlock(&skep_unix_lock);
        if (full == NULL)
            return result;
        result = skep_stream_wait(&full->changes, seen, deadline_ns, &interrupts);
        put(full);
    } while (result == 0);
    return result;
}

/* A datagram of all parts. -EMSGSIZE, -ENOMEM. */
static int make(const struct iovec *parts, size_t count, struct datagram **out)
{
    size_t bytes = 0, done = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len > DATAGRAM_BYTES_MAX - bytes)
            return -EMSGSIZE;
        bytes += parts[i].iov_len;
    }
    struct datagram *made = malloc(sizeof(*made) + bytes);
    if (made == NULL)
        return -ENOMEM;
    made->next = NULL;
    made->note = NULL;
    made->bytes = bytes;
    for (size_t i = 0; i < count; done += parts[i++].iov_len)
        memcpy(made->data + done, parts[i].iov_base, parts[i].iov_len);
    *out = made;
    return 0;
}

static ssize_t datagram_send_message(struct skep_file *file, const struct msghdr *message,
                                     int flags)
{
    struct datagram_socket *own = file->object;
    const struct sockaddr *address = message->msg_name;
    socklen_t address_bytes = message->msg_namelen;
    struct datagram *datagram;
    int result = address != NULL ? skep_unix_name_check(address, &address_bytes) : 0;
    if (result == 0)
        result = make(message->msg_iov, (size_t)message->msg_iovlen, &datagram);
    if (result != 0)
        return result;
    if (message->msg_controllen != 0)
        result = skep_unix_rights_take(message, &datagram->note);
    if (result != 0) {
        datagram_free(datagram);
        return result;
    }
    ssize_t bytes = (ssize_t)datagram->bytes;
    result = send_until(own, address, address_bytes, datagram,
                        skep_unix_deadline(file, flags, own->options.send_ns));
    if (result == 0)
        return bytes; /* the receiver may have freed it */
    datagram_free(datagram);
    return result;
}

static ssize_t datagram_send(struct skep_file *file, const void *data, size_t bytes, int flags,
                             const struct sockaddr *address, socklen_t address_bytes)
{
    struct iovec all_of_it = {(void *)(uintptr_t)data, bytes};
    const struct msghdr message = {.msg_name = (void *)(uintptr_t)address,
                                   .msg_namelen = address_bytes,
                                   .msg_iov = &all_of_it,
                                   .msg_iovlen = 1};
    return datagram_send_message(file, &message, flags);
}

static ssize_t datagram_write(struct skep_file *file, const void *data, size_t bytes)
{
    return datagram_send(file, data, bytes, 0, NULL, 0);
}

/*
 * Receiving
 */

static void copy_out(const struct datagram *datagram, struct msghdr *message)
{
    size_t done = 0;
    for (size_t i = 0; i < (size_t)message->msg_iovlen && done < datagram->bytes; i++) {
        size_t left = datagram->bytes - done, room = message->msg_iov[i].iov_len;
        memcpy(message->msg_iov[i].iov_base, datagram->data + done, left < room ? left : room);
        done += left < room ? left : room;
    }
    message->msg_flags = done < datagram->bytes ? MSG_TRUNC : 0;
    message->msg_controllen = 0;
    if (datagram->from.bytes == 0 || message->msg_name == NULL)
        message->msg_namelen = 0;
    else
        skep_unix_name_tell(&datagram->from, message->msg_name, &message->msg_namelen);
}

static size_t room_of(const struct msghdr *message)
{
    size_t room = 0;
    for (size_t i = 0; i < (size_t)message->msg_iovlen; i++)
        room += message->msg_iov[i].iov_len;
    return room;
}

/* What the call returns of the first datagram: its whole length, if that is asked for. */
static ssize_t length_of(const struct datagram *datagram, const struct msghdr *message, int flags)
{
    size_t room = room_of(message);
    return (ssize_t)((flags & MSG_TRUNC) != 0 || datagram->bytes < room ? datagram->bytes : room);
}

/* The first datagram, which is the caller's to free, or another thread's if it stays there. NULL: there is none. */
static struct datagram *take(struct datagram_socket *own, struct msghdr *message, int flags,
                             ssize_t *result)
{
    bool stays = (flags & MSG_PEEK) != 0;
    skep_mutex_lock(&skep_unix_lock);
    struct datagram *first = own->first;
    if (first != NULL)
        *result = length_of(first, message, flags);
    if (first != NULL && stays)
        copy_out(first, message);
    else if (first != NULL)
        dequeue(own);
    skep_mutex_unlock(&skep_unix_lock);
    if (first != NULL && !stays)
        copy_out(first, message);
    return first;
}

/* What is left there keeps its note. */
static void tell_ancillary(const struct datagram_socket *own, struct datagram *first,
                           struct msghdr *message, size_t room, bool stays)
{
    struct stream_note *note = stays ? NULL : first->note;
    if ((note == NULL && !own->options.tells_sender) || !skep_unix_ancillary_tell)
        return;
    skep_unix_ancillary_tell(message, room, note, own->options.tells_sender);
    if (!stays)
        first->note = NULL;
}

static ssize_t datagram_receive_message(struct skep_file *file, struct msghdr *message, int flags)
{
    struct datagram_socket *own = file->object;
    uint64_t deadline_ns = skep_unix_deadline(file, flags, own->options.receive_ns);
    uint64_t interrupts = skep_interrupts_seen();
    bool stays = (flags & MSG_PEEK) != 0;
    size_t room = message->msg_controllen;
    for (;;) {
        uint32_t seen = atomic_load_explicit(&own->changes, memory_order_acquire);
        ssize_t bytes;
        struct datagram *first = take(own, message, flags, &bytes);
        if (first != NULL) {
            message->msg_flags |= flags & MSG_CMSG_CLOEXEC;
            tell_ancillary(own, first, message, room, stays);
            if (!stays)
                datagram_free(first);
            return bytes;
        }
        if (own->reading_ended) {
            message->msg_namelen = 0, message->msg_controllen = 0, message->msg_flags = 0;
            return 0;
        }
        int result = skep_stream_wait(&own->changes, seen, deadline_ns, &interrupts);
        if (result < 0)
            return result;
    }
}

static ssize_t datagram_receive(struct skep_file *file, void *data, size_t bytes, int flags,
                                struct sockaddr *address, socklen_t *address_bytes)
{
    struct iovec part = {data, bytes};
    struct msghdr message = {.msg_name = address, .msg_iov = &part, .msg_iovlen = 1};
    message.msg_namelen = address != NULL ? *address_bytes : 0;
    ssize_t result = datagram_receive_message(file, &message, flags);
    if (address != NULL && result >= 0)
        *address_bytes = message.msg_namelen;
    return result;
}

static ssize_t datagram_read(struct skep_file *file, void *data, size_t bytes)
{
    return datagram_receive(file, data, bytes, 0, NULL, NULL);
}

/*
 * States, options and the kind
 */

static short datagram_poll(struct skep_file *file)
{
    const struct datagram_socket *own = file->object;
    return (short)((own->queued != 0 ? POLLIN : 0) | (own->can_send ? POLLOUT : 0) |
                   (own->reading_ended ? POLLIN | POLLRDHUP : 0) |
                   (own->reading_ended && own->writing_ended ? POLLHUP : 0));
}

static struct skep_poll_source *datagram_source(struct skep_file *file)
{
    struct datagram_socket *own = file->object;
    return &own->source;
}

static int datagram_stat(struct skep_file *file, struct stat *out)
{
    (void)file;
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFSOCK | 0777;
    out->st_blksize = STREAM_PIECE_BYTES;
    return 0;
}

static int datagram_ioctl(struct skep_file *file, unsigned long request, void *argument)
{
    const struct datagram_socket *own = file->object;
    if (request != FIONREAD)
        return -ENOTTY;
    skep_mutex_lock(&skep_unix_lock);
    *(int *)argument = own->first != NULL ? (int)own->first->bytes : 0;
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

static int datagram_option_set(struct skep_file *file, int level, int name, const void *value,
                               socklen_t bytes)
{
    struct datagram_socket *own = file->object;
    return skep_unix_option_set(&own->options, level, name, value, bytes);
}

static int datagram_option_get(struct skep_file *file, int level, int name, void *value,
                               socklen_t *bytes)
{
    const struct datagram_socket *own = file->object;
    if (level == SOL_SOCKET && name == SO_PEERCRED) {
        skep_mutex_lock(&skep_unix_lock);
        bool is_connected = own->peer != NULL;
        skep_mutex_unlock(&skep_unix_lock);
        return skep_unix_tell_peer(value, bytes, is_connected);
    }
    return skep_unix_option_get(&own->options, SOCK_DGRAM, level, name, value, bytes);
}

static const struct skep_socket_ops calls = {
    .bind = datagram_bind,
    .listen = datagram_listen,
    .accept = datagram_accept,
    .connect = datagram_connect,
    .shutdown = datagram_shutdown,
    .own_name = datagram_own_name,
    .peer_name = datagram_peer_name,
    .send = datagram_send,
    .receive = datagram_receive,
    .send_message = datagram_send_message,
    .receive_message = datagram_receive_message,
    .option_set = datagram_option_set,
    .option_get = datagram_option_get,
};

static const struct skep_fd_ops datagram_ops = {
    .read = datagram_read,
    .write = datagram_write,
    .close = datagram_close,
    .stat = datagram_stat,
    .ioctl = datagram_ioctl,
    .poll = datagram_poll,
    .source = datagram_source,
    .socket = &calls,
};

struct unix_name *skep_unix_datagram_name_of(const struct skep_file *file)
{
    return file->ops == &datagram_ops ? &((struct datagram_socket *)file->object)->name : NULL;
}

static struct datagram_socket *socket_new(void)
{
    struct datagram_socket *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    made->name.type = SOCK_DGRAM;
    atomic_init(&made->references, 1);
    atomic_init(&made->can_send, true);
    atomic_init(&made->options.receive_ns, SKEP_FOREVER);
    atomic_init(&made->options.send_ns, SKEP_FOREVER);
    skep_mutex_lock(&skep_unix_lock);
    made->next = all;
    all = made;
    skep_mutex_unlock(&skep_unix_lock);
    return made;
}

/* The socket is gone if there is no descriptor for it. */
static int open_socket(struct datagram_socket *made, int type)
{
    int fd = skep_fd_open(&datagram_ops, made, O_RDWR | (type & (SOCK_NONBLOCK | SOCK_CLOEXEC)));
    if (fd < 0)
        socket_end(made);
    return fd;
}

int skep_unix_datagram_socket(int type)
{
    struct datagram_socket *made = socket_new();
    return made != NULL ? open_socket(made, type) : -ENOMEM;
}

int skep_unix_datagram_pair(int type, int fds[2])
{
    struct datagram_socket *one = socket_new(), *other = socket_new();
    if (one != NULL && other != NULL) {
        skep_mutex_lock(&skep_unix_lock);
        one->peer = other;
        other->peer = one;
        skep_mutex_unlock(&skep_unix_lock);
        fds[0] = open_socket(one, type);
        fds[1] = open_socket(other, type);
        return fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;
    }
    if (one != NULL)
        socket_end(one);
    if (other != NULL)
        socket_end(other);
    return -ENOMEM;
}
