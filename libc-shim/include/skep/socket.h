/*
 * socket.h - kinds of sockets: what bind(), send() and friends dispatch through. A kind of file that is a socket has a
 * struct skep_socket_ops in its struct skep_fd_ops. Results are negative errno values, as there.
 */
#ifndef SKEP_SOCKET_H
#define SKEP_SOCKET_H

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "skep/fd.h"

/* All may be called by several threads at once, and all are there. Flags are MSG_…, without MSG_OOB and MSG_ERRQUEUE; a
 * message has IOV_MAX parts at most. */
struct skep_socket_ops {
    int (*bind)(struct skep_file *file, const struct sockaddr *address, socklen_t bytes);
    int (*listen)(struct skep_file *file, int backlog);
    /* A new descriptor; of the type its flags count. Address and bytes are both NULL or neither is. */
    int (*accept)(struct skep_file *file, struct sockaddr *address, socklen_t *bytes, int type);
    int (*connect)(struct skep_file *file, const struct sockaddr *address, socklen_t bytes);
    int (*shutdown)(struct skep_file *file, int how);
    int (*own_name)(struct skep_file *file, struct sockaddr *address, socklen_t *bytes);
    int (*peer_name)(struct skep_file *file, struct sockaddr *address, socklen_t *bytes);
    /* The address may be NULL. */
    ssize_t (*send)(struct skep_file *file, const void *data, size_t bytes, int flags,
                    const struct sockaddr *address, socklen_t address_bytes);
    ssize_t (*receive)(struct skep_file *file, void *data, size_t bytes, int flags,
                       struct sockaddr *address, socklen_t *address_bytes);
    ssize_t (*send_message)(struct skep_file *file, const struct msghdr *message, int flags);
    ssize_t (*receive_message)(struct skep_file *file, struct msghdr *message, int flags);
    int (*option_set)(struct skep_file *file, int level, int name, const void *value,
                      socklen_t bytes);
    int (*option_get)(struct skep_file *file, int level, int name, void *value, socklen_t *bytes);
};

/* sockets.c: the socket behind a descriptor, with a reference; NULL and errno if there is none. The thread ends here if it
 * is to be cancelled. */
struct skep_file *skep_posix_socket_get(int fd);

/* Of flags that receive something else: there are no bytes out of band, and no errors wait in a queue. */
static inline int skep_posix_receive_check(int flags)
{
    return (flags & MSG_OOB) != 0 ? -EOPNOTSUPP : (flags & MSG_ERRQUEUE) != 0 ? -EAGAIN : 0;
}

/* unix.c: socket(AF_UNIX). */
int skep_posix_unix_socket(int type, int protocol);

#endif
