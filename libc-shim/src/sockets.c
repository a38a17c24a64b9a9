/*
 * sockets.c - bind(), send() and the other functions on sockets: they find the socket and dispatch. socket() itself is
 * net's, socketpair() is unix.c's; sendmsg() and recvmsg() are ancillary.c's.
 */
#include <sys/socket.h>

#include "fd_internal.h"
#include "shim.h"
#include "skep/socket.h"

/* The socket behind fd, with a reference; NULL and errno if there is none. */
static struct skep_file *find(int fd)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file != NULL && file->ops->socket != NULL)
        return file;
    errno = file == NULL ? EBADF : ENOTSOCK;
    if (file != NULL)
        skep_fd_put(file);
    return NULL;
}

/* A cancellation point, as most of these functions are. */
struct skep_file *skep_posix_socket_get(int fd)
{
    skep_posix_may_end();
    return find(fd);
}

/* Ends a call. */
static long put(struct skep_file *file, long result)
{
    skep_fd_put(file);
    return skep_posix_result(result);
}

/* Ends one that may wait. Whether it is to begin again. */
static bool put_and_goes_on(struct skep_file *file, long result)
{
    skep_fd_put(file);
    return skep_posix_goes_on(result);
}

/* No cancellation point. */
int bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
    struct skep_file *file = find(fd);
    return file == NULL ? -1 : (int)put(file, file->ops->socket->bind(file, address, bytes));
}

int listen(int fd, int backlog)
{
    struct skep_file *file = skep_posix_socket_get(fd);
    if (backlog <= 0 || backlog > SOMAXCONN)
        backlog = SOMAXCONN;
    return file == NULL ? -1 : (int)put(file, file->ops->socket->listen(file, backlog));
}

int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    bool is_right = (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == 0;
    struct skep_file *file;
    int result;
    do {
        file = skep_posix_socket_get(fd);
        if (file == NULL)
            return -1;
        result = is_right ? file->ops->socket->accept(file, address, address ? bytes : NULL, flags)
                          : -EINVAL;
    } while (put_and_goes_on(file, result));
    return (int)skep_posix_result(result);
}

int accept(int fd, struct sockaddr *address, socklen_t *bytes)
{
    return accept4(fd, address, bytes, 0);
}

int connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    struct skep_file *file;
    int result;
    do {
        file = skep_posix_socket_get(fd);
        if (file == NULL)
            return -1;
        result = file->ops->socket->connect(file, address, bytes);
    } while (put_and_goes_on(file, result));
    return (int)skep_posix_result(result);
}

int shutdown(int fd, int how)
{
    struct skep_file *file = skep_posix_socket_get(fd);
    if (file == NULL)
        return -1;
    bool is_known = how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR;
    return (int)put(file, is_known ? file->ops->socket->shutdown(file, how) : -EINVAL);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *bytes)
{
    struct skep_file *file = skep_posix_socket_get(fd);
    return file == NULL ? -1 : (int)put(file, file->ops->socket->own_name(file, address, bytes));
}

int getpeername(int fd, struct sockaddr *address, socklen_t *bytes)
{
    struct skep_file *file = skep_posix_socket_get(fd);
    return file == NULL ? -1 : (int)put(file, file->ops->socket->peer_name(file, address, bytes));
}

/* No cancellation point. */
int sockatmark(int fd)
{
    struct skep_file *file = find(fd);
    int type = 0;
    socklen_t bytes = sizeof(type);
    if (file == NULL)
        return -1;
    file->ops->socket->option_get(file, SOL_SOCKET, SO_TYPE, &type, &bytes);
    return (int)put(file, type == SOCK_STREAM ? 0 : -ENOTTY);
}

ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *address,
               socklen_t address_bytes)
{
    ssize_t result;
    size_t wanted, done = 0;
    do {
        struct skep_file *file = skep_posix_socket_get(fd);
        if (file == NULL)
            return done != 0 ? (ssize_t)done : -1;
        wanted = bytes - done;
        result = (flags & MSG_OOB) == 0
                     ? file->ops->socket->send(file, (const char *)data + done, wanted, flags,
                                               address, address_bytes)
                     : -EOPNOTSUPP;
        skep_posix_written(file, result, flags);
    } while (skep_posix_writes_on(result, wanted, &done));
    return done != 0 ? (ssize_t)done : skep_posix_result(result);
}

ssize_t send(int fd, const void *data, size_t bytes, int flags)
{
    return sendto(fd, data, bytes, flags, NULL, 0);
}

ssize_t recvfrom(int fd, void *data, size_t bytes, int flags, struct sockaddr *address,
                 socklen_t *address_bytes)
{
    struct skep_file *file;
    ssize_t result;
    do {
        file = skep_posix_socket_get(fd);
        if (file == NULL)
            return -1;
        result = skep_posix_receive_check(flags);
        if (result == 0)
            result = file->ops->socket->receive(file, data, bytes, flags, address, address_bytes);
    } while (put_and_goes_on(file, result));
    return skep_posix_result(result);
}

ssize_t recv(int fd, void *data, size_t bytes, int flags)
{
    return recvfrom(fd, data, bytes, flags, NULL, NULL);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t bytes)
{
    struct skep_file *file = skep_posix_socket_get(fd);
    return file == NULL
               ? -1
               : (int)put(file, file->ops->socket->option_set(file, level, name, value, bytes));
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *bytes)
{
    struct skep_file *file = skep_posix_socket_get(fd);
    return file == NULL
               ? -1
               : (int)put(file, file->ops->socket->option_get(file, level, name, value, bytes));
}
