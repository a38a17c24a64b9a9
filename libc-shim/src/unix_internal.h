/*
 * unix_internal.h - what the kinds of UNIX sockets share: names, how long calls wait, and options. Results are negative
 * errno values.
 */
#ifndef LIBC_SHIM_UNIX_INTERNAL_H
#define LIBC_SHIM_UNIX_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/un.h>

#include "skep/socket.h"
#include "skep/thread.h"

/* Guards names, and what the kinds say. */
extern struct skep_mutex skep_unix_lock;

/* A part of each socket. */
struct unix_name {
    int type;        /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
    socklen_t bytes; /* 0: none */
    struct sockaddr_un address;
    struct unix_entry *entry; /* of unix_names.c; NULL: it isn't found by its name (any more) */
    /* Of ancillary.c: in how many messages that wait the socket is, and how many with descriptors wait for it; whether
     * connections wait for it, and whether itself waits so. */
    unsigned in_flight, holds;
    bool listens, is_queued;
};

/* How long a socket's calls wait, and whether they tell who has sent what they receive (SO_PASSCRED). */
struct unix_options {
    _Atomic uint64_t receive_ns, send_ns;
    _Atomic bool tells_sender;
};

/* Bytes of a name as it is compared: a path without what follows it. -EINVAL: it is none. */
int skep_unix_name_check(const struct sockaddr *address, socklen_t *bytes);

/* The next four want the lock. Each type has abstract names of its own, and all share what looks like paths: who is found
 * may be of another type then. A name that nobody has is NULL, and -ENOENT, if it looks like a path, or -ECONNREFUSED. */
struct unix_name *skep_unix_name_find(int type, const struct sockaddr *address, socklen_t bytes);
int skep_unix_name_missing(const struct sockaddr *address);
void skep_unix_name_forget(struct unix_name *own);

/* As much of it as has room, and its whole length: a path's with the zero at its end. */
void skep_unix_name_tell(const struct unix_name *of, struct sockaddr *address, socklen_t *bytes);

/* It takes the lock. The name is checked by it. -EADDRINUSE, -EINVAL: the socket has one; -ENOMEM */
int skep_unix_name_bind(struct unix_name *own, const struct sockaddr *address, socklen_t bytes);

/* By when a call is to end that may wait so long. 0: at once. */
uint64_t skep_unix_deadline(struct skep_file *file, int flags, uint64_t span_ns);

/* The options that all kinds have. A kind that listens tells SO_ACCEPTCONN itself. */
int skep_unix_option_set(struct unix_options *options, int level, int name, const void *value,
                         socklen_t bytes);
int skep_unix_option_get(const struct unix_options *options, int type, int level, int name,
                         void *value, socklen_t *bytes);
int skep_unix_tell_number(void *value, socklen_t *bytes, int number);

/* SO_PEERCRED: the guest's one process, or nobody. */
int skep_unix_tell_peer(void *value, socklen_t *bytes, bool is_connected);

/* What a buffer in memory has room for. */
#define UNIX_BUFFER_BYTES 65536u

/*
 * ancillary.c, linked only if the program has sendmsg() or recvmsg(), and nobody else sends messages with ancillary data
 */

struct stream_note;

/* The descriptors that a message passes on, or NULL. They don't have to arrive: its drop() gives all back, without the lock.
 * -EINVAL, -EBADF, -EPERM, -ENOMEM */
int skep_unix_rights_take(const struct msghdr *message, struct stream_note **out)
    __attribute__((weak));

/* They go to a receiver from now on. -ETOOMANYREFS: too many do, or a socket would wait for itself. The lock is held. */
int skep_unix_rights_send(struct stream_note *note, struct unix_name *receiver)
    __attribute__((weak));

/* Ends recvmsg(): what came with a message, or NULL, and who has sent it, as far as there is room. The message's flags have
 * MSG_CMSG_CLOEXEC already. */
void skep_unix_ancillary_tell(struct msghdr *message, size_t room, struct stream_note *note,
                              bool tells_sender) __attribute__((weak));

/* unix.c, unix_datagrams.c: the socket behind a file, NULL if it is another kind. */
struct unix_name *skep_unix_name_of(const struct skep_file *file);
struct unix_name *skep_unix_datagram_name_of(const struct skep_file *file);

/* unix_datagrams.c: a socket, and two that are connected. */
int skep_unix_datagram_socket(int type);
int skep_unix_datagram_pair(int type, int fds[2]);

#endif
