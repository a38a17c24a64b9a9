/*
 * local.c - UNIX sockets and socketpair(). Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

/*
 * Pairs
 */

static void test_pair(void)
{
    int fds[2], bytes = -1, type = 0;
    char data[16] = "";
    struct stat status;
    socklen_t length = sizeof(type);
    say("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    say("flags", (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    say("kind", fstat(fds[0], &status) == 0 && S_ISSOCK(status.st_mode));
    say("type", getsockopt(fds[0], SOL_SOCKET, SO_TYPE, &type, &length));
    say("is a stream", type == SOCK_STREAM && length == sizeof(type));
    say("seek", lseek(fds[0], 0, SEEK_CUR) == -1 && errno == ESPIPE);
    say_events("new", fds[0]);
    say("empty", recv(fds[0], data, sizeof(data), 0));
    say("write", write(fds[1], "abcdef", 6));
    say("send", send(fds[1], "gh", 2, MSG_NOSIGNAL));
    say("FIONREAD", ioctl(fds[0], FIONREAD, &bytes) == 0 ? bytes : -1);
    say_events("bytes", fds[0]);
    say("peek", recv(fds[0], data, 3, MSG_PEEK));
    say("read", read(fds[0], data, 4));
    printf("%.4s\n", data);
    say("rest", recv(fds[0], data, sizeof(data), 0));
    say("other way", write(fds[0], "x", 1));
    say("other way", read(fds[1], data, sizeof(data)));
    say("to somebody", sendto(fds[0], "x", 1, 0, (struct sockaddr *)data, sizeof(sa_family_t)));
    say("accept", accept(fds[0], NULL, NULL));
    close(fds[0]), close(fds[1]);
}

static void test_ends(void)
{
    int fds[2];
    char data[16];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(write(fds[1], "last", 4) == 4);
    say("how", shutdown(fds[1], 7));
    say("shut down writing", shutdown(fds[1], SHUT_WR));
    say("write", send(fds[1], "x", 1, MSG_NOSIGNAL));
    say_events("writer", fds[1]);
    say_events("reader", fds[0]);
    say("read", read(fds[0], data, sizeof(data)));
    say("end", read(fds[0], data, sizeof(data)));
    say("still writes", write(fds[0], "yz", 2));
    say("still reads", read(fds[1], data, sizeof(data)));
    close(fds[0]);
    say_events("alone", fds[1]);
    say("end", read(fds[1], data, sizeof(data)));
    close(fds[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    say("shut down reading", shutdown(fds[0], SHUT_RD));
    say("read", read(fds[0], data, sizeof(data)));
    say("write to it", send(fds[1], "x", 1, MSG_NOSIGNAL));
    say_events("it", fds[0]);
    say_events("other", fds[1]);
    close(fds[0]);
    say("to nobody", send(fds[1], "x", 1, MSG_NOSIGNAL));
    close(fds[1]);
}

static void test_messages(void)
{
    int fds[2];
    char parts[3][4] = {"abc", "", "defg"}, got[2][4];
    struct iovec out[3] = {{parts[0], 3}, {parts[1], 0}, {parts[2], 4}};
    struct iovec in[2] = {{got[0], 2}, {got[1], 4}};
    struct msghdr sent = {.msg_iov = out, .msg_iovlen = 3};
    struct msghdr received = {.msg_iov = in, .msg_iovlen = 2};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    say("sendmsg", sendmsg(fds[0], &sent, 0));
    say("recvmsg", recvmsg(fds[1], &received, 0));
    printf("%.2s %.4s, flags %d\n", got[0], got[1], received.msg_flags);
    say("recvmsg", recvmsg(fds[1], &received, 0));
    say("recvmsg", recvmsg(fds[1], &received, MSG_DONTWAIT));
    close(fds[0]), close(fds[1]);
}

static void *send_parts(void *fd)
{
    for (int i = 0; i < 4; i++) {
        usleep(1000); /* so that the reader mostly waits; it would be right otherwise, too */
        CHECK(send((int)(intptr_t)fd, "1234", 4, 0) == 4);
    }
    return NULL;
}

static void test_waiting(void)
{
    int fds[2];
    char data[20];
    pthread_t thread;
    struct timeval span = {.tv_usec = 2000};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    say("time", setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)));
    say("in time", recv(fds[0], data, sizeof(data), 0));
    CHECK(pthread_create(&thread, NULL, send_parts, (void *)(intptr_t)fds[0]) == 0);
    say("all", recv(fds[1], data, 16, MSG_WAITALL));
    pthread_join(thread, NULL);
    close(fds[0]), close(fds[1]);
}

static void show(int set, const char *what)
{
    struct epoll_event event;
    int count = epoll_wait(set, &event, 1, 0);
    say(what, count);
    if (count == 1)
        printf(" %s%s%s%s\n", event.events & EPOLLIN ? " in" : "",
               event.events & EPOLLOUT ? " out" : "", event.events & EPOLLRDHUP ? " rdhup" : "",
               event.events & EPOLLHUP ? " hup" : "");
}

static void test_epoll(void)
{
    static char data[8192];
    int fds[2], set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fds[0], &event) == 0);
    show(set, "nothing");
    CHECK(write(fds[1], "x", 1) == 1);
    show(set, "bytes");
    show(set, "told");
    CHECK(shutdown(fds[1], SHUT_WR) == 0);
    show(set, "end");
    event.events = EPOLLOUT | EPOLLET;
    CHECK(epoll_ctl(set, EPOLL_CTL_MOD, fds[0], &event) == 0);
    show(set, "room");
    while (write(fds[0], data, sizeof(data)) > 0)
        ;
    say("full", errno == EAGAIN);
    show(set, "no room");
    while (read(fds[1], data, sizeof(data)) > 0)
        ;
    show(set, "room again");
    close(fds[0]), close(fds[1]), close(set);
}

static void say_peer(const char *what, int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && bytes == sizeof(peer));
    bool is_own = peer.pid == getpid() && peer.uid == geteuid() && peer.gid == getegid();
    bool is_nobody = peer.pid == 0 && peer.uid == (uid_t)-1 && peer.gid == (gid_t)-1;
    printf("%s: %s\n", what, is_own ? "own process" : is_nobody ? "nobody" : "somebody");
}

static int number_of(int fd, int name)
{
    int number = -1;
    socklen_t bytes = sizeof(number);
    CHECK(getsockopt(fd, SOL_SOCKET, name, &number, &bytes) == 0);
    return number;
}

static void test_options(void)
{
    int fds[2], alone = socket(AF_UNIX, SOCK_STREAM, 0), one = 1;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    say_peer("pair", fds[0]);
    say_peer("alone", alone);
    say("domain", number_of(fds[0], SO_DOMAIN) == AF_UNIX);
    say("protocol", number_of(fds[0], SO_PROTOCOL));
    say("low water", number_of(fds[0], SO_RCVLOWAT));
    say("set domain", setsockopt(alone, SOL_SOCKET, SO_DOMAIN, &one, sizeof(one)));
    say("sync", fsync(fds[0]));
    close(alone), close(fds[0]), close(fds[1]);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    say_peer("datagrams", fds[0]);
    close(fds[0]), close(fds[1]);
}

/*
 * Names
 */

static socklen_t abstract(struct sockaddr_un *out, const char *name)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(out->sun_path + 1, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int bind_to(int fd, const char *name)
{
    struct sockaddr_un address;
    socklen_t bytes = abstract(&address, name);
    return bind(fd, (struct sockaddr *)&address, bytes);
}

static int connect_to(int fd, const char *name)
{
    struct sockaddr_un address;
    socklen_t bytes = abstract(&address, name);
    return connect(fd, (struct sockaddr *)&address, bytes);
}

static void say_name(const char *what, int fd, int (*function)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_un address;
    socklen_t bytes = sizeof(address);
    if (function(fd, (struct sockaddr *)&address, &bytes) < 0) {
        say(what, -1);
        return;
    }
    printf("%s: %d bytes, family %d", what, (int)bytes, address.sun_family == AF_UNIX);
    if (bytes > offsetof(struct sockaddr_un, sun_path) + 1)
        printf(", %.*s", (int)(bytes - offsetof(struct sockaddr_un, sun_path) - 1),
               address.sun_path + 1);
    printf("\n");
}

static void test_names(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int client = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/no/such/name"};
    char data[8];
    say_events("unconnected", client);
    say("unconnected", send(client, "x", 1, MSG_NOSIGNAL));
    say("unconnected", read(client, data, 1));
    say_name("no name", client, getsockname);
    say_name("no peer", client, getpeername);
    say("no name to listen at", listen(listener, 1));
    say("bind", bind_to(listener, "skep-local-test"));
    say("twice", bind_to(listener, "skep-local-test-2"));
    say("in use", bind_to(other, "skep-local-test"));
    say("nobody listens", connect_to(client, "skep-local-test"));
    say("listen", listen(listener, 1));
    say_events("listens", listener);
    say("nobody comes", accept(listener, NULL, NULL));
    say("another name", connect_to(client, "skep-local"));
    say("no path", connect(client, (struct sockaddr *)&path, sizeof(path)));
    say("connect", connect_to(client, "skep-local-test"));
    say("again", connect_to(client, "skep-local-test"));
    say_events("somebody came", listener);
    say("write before", write(client, "early", 5));
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    say("flags", (fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
    say("read", read(server, data, sizeof(data)));
    say_name("own", server, getsockname);
    say_name("peer", server, getpeername);
    say_name("own", client, getsockname);
    say_name("peer", client, getpeername);
    close(server);
    say("end", read(client, data, sizeof(data)));
    close(client), close(other), close(listener);
    say("gone", connect_to(client = socket(AF_UNIX, SOCK_STREAM, 0), "skep-local-test"));
    close(client);
    say("no socket", listen(0, 1) == -1 && (errno == ENOTSOCK || errno == EBADF));
}

static int path_call(int fd, const char *path, int (*call)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    return call(fd, (struct sockaddr *)&address, sizeof(address));
}

static void say_path(const char *what, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        say(what, -1);
    else
        printf("%s: socket %d, mode %o, owner %d\n", what, S_ISSOCK(status.st_mode),
               (unsigned)status.st_mode & 07777, status.st_uid == geteuid());
}

/* What servers do to the paths of their sockets. */
static void test_paths(void)
{
    const char *own = "local.socket", *draft = "local.socket.draft";
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    int datagrams = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    umask(027);
    say_path("before", draft);
    say("remove before", unlink(draft));
    say("bind", path_call(listener, draft, bind));
    say_path("bound", draft);
    say("bind to it", path_call(other, draft, bind));
    say("access", access(draft, R_OK | W_OK));
    say("chmod", chmod(draft, 0620));
    say("chown", chown(draft, (uid_t)-1, (gid_t)-1));
    say_path("changed", draft);
    say("listen", listen(listener, 2));
    say("rename", rename(draft, own));
    say_path("former path", draft);
    say_path("path", own);
    say("connect to the former", path_call(client, draft, connect));
    say("connect", path_call(client, own, connect));
    say_name("as bound", listener, getsockname);
    say("former again", path_call(other, draft, bind));
    say("in its place", rename(draft, own));
    say_path("path", own);
    close(client), client = socket(AF_UNIX, SOCK_STREAM, 0);
    say("nobody listens", path_call(client, own, connect));
    say("unlink", unlink(own));
    say("unlink again", unlink(own));
    say("connect to none", path_call(client, own, connect));
    say("the same socket", path_call(other, own, bind));
    say("datagrams", path_call(datagrams, own, bind));
    say("remove", remove(own));
    close(listener), close(other), close(datagrams), close(client);
}

static void test_backlog(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), clients[4];
    CHECK(bind_to(listener, "skep-local-queue") == 0 && listen(listener, 1) == 0);
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        say("queue", connect_to(clients[i], "skep-local-queue"));
    }
    int server = accept(listener, NULL, NULL);
    say("room", connect_to(clients[2], "skep-local-queue"));
    for (int i = 0; i < 4; i++)
        close(clients[i]);
    close(server), close(listener);
}

static void *shut_down(void *fd)
{
    usleep(1000);
    CHECK(shutdown((int)(intptr_t)fd, SHUT_RDWR) == 0);
    return NULL;
}

static void test_interrupted(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[2];
    char data[4];
    pthread_t thread;
    CHECK(bind_to(listener, "skep-local-end") == 0 && listen(listener, 1) == 0);
    CHECK(pthread_create(&thread, NULL, shut_down, (void *)(intptr_t)listener) == 0);
    say("accept, shut down", accept(listener, NULL, NULL));
    pthread_join(thread, NULL);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(pthread_create(&thread, NULL, shut_down, (void *)(intptr_t)fds[0]) == 0);
    say("read, shut down", read(fds[0], data, sizeof(data)));
    pthread_join(thread, NULL);
    close(fds[0]), close(fds[1]), close(listener);
}

/*
 * Datagrams
 */

static int datagram_socket(const char *name)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0 && (name == NULL || bind_to(fd, name) == 0));
    return fd;
}

static long send_to(int fd, const char *name, const char *text)
{
    struct sockaddr_un address;
    socklen_t bytes = abstract(&address, name);
    return sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, bytes);
}

/* What came, and from whom. */
static void say_received(const char *what, int fd)
{
    struct sockaddr_un from;
    socklen_t bytes = sizeof(from);
    char data[80];
    ssize_t length = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &bytes);
    say(what, length);
    if (length > 0)
        printf(" %.*s", (int)length, data);
    if (length >= 0 && bytes > offsetof(struct sockaddr_un, sun_path) + 1)
        printf(" from %.*s", (int)(bytes - offsetof(struct sockaddr_un, sun_path) - 1),
               from.sun_path + 1);
    if (length >= 0)
        printf(", %s\n", bytes > 0 ? "named" : "nameless");
}

static void test_datagram_pair(void)
{
    int fds[2], type = 0, bytes = -1;
    char data[8] = "", first[] = "ab", second[] = "cdef", got[2][4];
    struct iovec out[2] = {{first, 2}, {second, 4}}, in[2] = {{got[0], 3}, {got[1], 2}};
    struct msghdr sent = {.msg_iov = out, .msg_iovlen = 2};
    struct msghdr received = {.msg_iov = in, .msg_iovlen = 2};
    socklen_t length = sizeof(type);
    say("datagrams", socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
    CHECK(getsockopt(fds[0], SOL_SOCKET, SO_TYPE, &type, &length) == 0);
    say("type", type == SOCK_DGRAM);
    say_events("new", fds[0]);
    say("write", write(fds[0], "one", 3));
    say("nothing", send(fds[0], "", 0, 0));
    say("message", sendmsg(fds[0], &sent, 0));
    say("parts", writev(fds[0], out, 2));
    say("more", write(fds[0], "0123456789", 10));
    say("next", ioctl(fds[1], FIONREAD, &bytes) == 0 ? bytes : -1);
    say_events("full", fds[1]);
    say("peek", recv(fds[1], data, 2, MSG_PEEK));
    say("whole", recv(fds[1], data, 2, MSG_PEEK | MSG_TRUNC));
    say("read", read(fds[1], data, sizeof(data)));
    say("nothing", read(fds[1], data, sizeof(data)));
    say("message", recvmsg(fds[1], &received, 0));
    printf("%.3s %.2s, cut %d\n", got[0], got[1], (received.msg_flags & MSG_TRUNC) != 0);
    say("parts", recv(fds[1], data, sizeof(data), 0));
    say("cut", recv(fds[1], data, sizeof(data), 0));
    say("empty", recv(fds[1], data, sizeof(data), MSG_DONTWAIT));
    say("listen", listen(fds[0], 1));
    say("accept", accept(fds[0], NULL, NULL));
    say("shut down", shutdown(fds[0], SHUT_WR));
    say("write", send(fds[0], "x", 1, MSG_NOSIGNAL));
    say("other way", write(fds[1], "x", 1));
    say("shut down", shutdown(fds[0], SHUT_RD));
    say("left", read(fds[0], data, sizeof(data)));
    say("end", read(fds[0], data, sizeof(data)));
    say("to it", send(fds[1], "x", 1, MSG_NOSIGNAL));
    close(fds[0]);
    say("to nobody", send(fds[1], "x", 1, MSG_NOSIGNAL));
    say("no more", send(fds[1], "x", 1, MSG_NOSIGNAL));
    close(fds[1]);
}

static void test_datagram_names(void)
{
    int one = datagram_socket("skep-one"), other = datagram_socket("skep-other");
    int nameless = datagram_socket(NULL), stream = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    char *large = calloc(1, 1 << 20);
    say("in use", bind_to(nameless, "skep-one"));
    say("unconnected", send(nameless, "x", 1, 0));
    say("to one", send_to(other, "skep-one", "hello"));
    say("to one", send_to(nameless, "skep-one", "you"));
    say("to none", send_to(nameless, "skep-none", "x"));
    say("a stream's own", bind_to(stream, "skep-one"));
    say("to a stream", send_to(one, "skep-stream", "x"));
    say("stream", connect_to(stream, "skep-other"));
    say("connect", connect_to(other, "skep-one"));
    say("too large", send(other, large, 1 << 20, 0) == -1 && errno == EMSGSIZE);
    say("disconnect", connect(other, &nobody, sizeof(nobody)));
    free(large);
    say_received("one", one);
    say_received("one", one);
    say_received("one", one);
    say("connect", connect_to(one, "skep-other"));
    say_name("peer", one, getpeername);
    say("from a third", send_to(nameless, "skep-one", "x"));
    say("a third connects", connect_to(nameless, "skep-one"));
    say("back", send_to(other, "skep-one", "back"));
    say("to peer", write(one, "peer", 4));
    say_received("other", other);
    say_received("one", one);
    say("again", connect_to(one, "skep-one"));
    say("to itself", write(one, "self", 4));
    say_received("itself", one);
    say("disconnect", connect(one, &nobody, sizeof(nobody)));
    say("no peer", write(one, "x", 1));
    say("reconnect", connect_to(one, "skep-other"));
    close(other);
    say("gone", write(one, "x", 1));
    say("and forgotten", write(one, "x", 1));
    other = datagram_socket("skep-other");
    say("free again", send_to(one, "skep-other", "x"));
    close(one), close(other), close(nameless), close(stream);
}

static void *receive_all(void *fd)
{
    char data[1000];
    long sum = 0;
    for (ssize_t bytes; (bytes = recv((int)(intptr_t)fd, data, sizeof(data), 0)) != 0;) {
        CHECK(bytes == (ssize_t)data[0] + 1);
        sum += bytes;
    }
    return (void *)sum;
}

/* Who sends waits for room, or is told that there is none. */
static void test_datagram_room(void)
{
    int fds[2], set = epoll_create1(0), named = datagram_socket("skep-room");
    int sender = datagram_socket(NULL);
    char data[1000] = {0};
    pthread_t thread;
    void *received;
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    CHECK(connect_to(sender, "skep-room") == 0);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, sender, &event) == 0);
    show(set, "room");
    while (write(sender, data, sizeof(data)) > 0)
        ;
    say("full", errno == EAGAIN);
    say_events("full", sender);
    while (read(named, data, sizeof(data)) > 0)
        ;
    show(set, "room again");
    close(sender), close(named), close(set);

    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    CHECK(pthread_create(&thread, NULL, receive_all, (void *)(intptr_t)fds[1]) == 0);
    long sum = 0;
    for (int i = 0; i < 5000; i++) {
        data[0] = (char)(i % 100);
        CHECK(send(fds[0], data, (size_t)data[0] + 1, 0) == data[0] + 1);
        sum += data[0] + 1;
    }
    CHECK(send(fds[0], "", 0, 0) == 0);
    pthread_join(thread, &received);
    say("all", sum == (intptr_t)received);
    close(fds[0]), close(fds[1]);
}

/*
 * Much: clients send a lot, and get it back from threads that the listener's one starts.
 */

enum { CLIENTS = 4, BYTES = 300000 };

static void *echo(void *fd)
{
    char data[3000];
    ssize_t bytes;
    while ((bytes = read((int)(intptr_t)fd, data, sizeof(data))) > 0)
        CHECK(send((int)(intptr_t)fd, data, (size_t)bytes, 0) == bytes);
    CHECK(bytes == 0);
    close((int)(intptr_t)fd);
    return NULL;
}

static void *serve(void *listener)
{
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        int fd = accept((int)(intptr_t)listener, NULL, NULL);
        CHECK(fd >= 0 && pthread_create(&threads[i], NULL, echo, (void *)(intptr_t)fd) == 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    return NULL;
}

static void *write_all(void *fd)
{
    unsigned char data[7001], next = 0;
    for (size_t sent = 0; sent < BYTES;) {
        size_t bytes = BYTES - sent < sizeof(data) ? BYTES - sent : sizeof(data);
        for (size_t i = 0; i < bytes; i++)
            data[i] = next++;
        CHECK(write((int)(intptr_t)fd, data, bytes) == (ssize_t)bytes);
        sent += bytes;
    }
    CHECK(shutdown((int)(intptr_t)fd, SHUT_WR) == 0);
    return NULL;
}

static void *be_client(void *total)
{
    unsigned char data[5000], next = 0;
    pthread_t writer;
    ssize_t bytes;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect_to(fd, "skep-local-echo") == 0);
    CHECK(pthread_create(&writer, NULL, write_all, (void *)(intptr_t)fd) == 0);
    while ((bytes = read(fd, data, sizeof(data))) > 0) {
        for (ssize_t i = 0; i < bytes; i++)
            CHECK(data[i] == next++);
        *(_Atomic long *)total += bytes;
    }
    CHECK(bytes == 0);
    pthread_join(writer, NULL);
    close(fd);
    return NULL;
}

static void test_much(void)
{
    pthread_t server, clients[CLIENTS];
    _Atomic long total = 0;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind_to(listener, "skep-local-echo") == 0 && listen(listener, 1) == 0);
    CHECK(pthread_create(&server, NULL, serve, (void *)(intptr_t)listener) == 0);
    for (int i = 0; i < CLIENTS; i++)
        CHECK(pthread_create(&clients[i], NULL, be_client, &total) == 0);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    pthread_join(server, NULL);
    close(listener);
    say("echoed", total);
}

int main(void)
{
    test_pair();
    test_ends();
    test_messages();
    test_waiting();
    test_epoll();
    test_options();
    test_names();
    test_paths();
    test_backlog();
    test_interrupted();
    test_datagram_pair();
    test_datagram_names();
    test_datagram_room();
    test_much();
    printf("local: ok\n");
    return 0;
}
