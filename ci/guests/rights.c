/*
 * rights.c - what UNIX sockets carry beside streams and datagrams: records (SOCK_SEQPACKET), descriptors (SCM_RIGHTS) and
 * who sends (SCM_CREDENTIALS). Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

enum { FDS_MAX = 253, ROUNDS = 2000, RECORD_MAX = 65536 };

static socklen_t abstract(struct sockaddr_un *out, const char *name)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path + 1, name, strlen(name));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int listener_new(int type, const char *name)
{
    struct sockaddr_un address;
    socklen_t bytes = abstract(&address, name);
    int fd = socket(AF_UNIX, type, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0 && listen(fd, 4) == 0);
    return fd;
}

static int connect_to(int fd, const char *name)
{
    struct sockaddr_un address;
    socklen_t bytes = abstract(&address, name);
    return connect(fd, (struct sockaddr *)&address, bytes);
}

/*
 * Records
 */

static void test_records(void)
{
    int fds[2], bytes = -1, type = 0;
    socklen_t length = sizeof(type);
    char data[16] = "";
    struct iovec parts[2] = {{data, 2}, {data + 2, 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    say("pair", socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds));
    say("type", getsockopt(fds[0], SOL_SOCKET, SO_TYPE, &type, &length));
    say("is of records", type == SOCK_SEQPACKET);
    say("empty", recv(fds[0], data, sizeof(data), 0));
    say("first", send(fds[1], "abcdef", 6, 0));
    say("none", send(fds[1], "", 0, 0));
    say("third", write(fds[1], "ghi", 3));
    say("fourth", send(fds[1], "jklmno", 6, MSG_EOR));
    say("FIONREAD", ioctl(fds[0], FIONREAD, &bytes) == 0 ? bytes : -1);
    say_events("records", fds[0]);
    say("peek", recv(fds[0], data, 3, MSG_PEEK));
    say("its length", recv(fds[0], data, 3, MSG_PEEK | MSG_TRUNC));
    say("read", read(fds[0], data, 4));
    say("none", recv(fds[0], data, sizeof(data), 0));
    say("all of the third", recv(fds[0], data, sizeof(data), MSG_WAITALL));
    printf("%.3s\n", data);
    say("parts", recvmsg(fds[0], &message, 0));
    printf("%.5s, cut %d, bytes of a name %d\n", data, (message.msg_flags & MSG_TRUNC) != 0,
           (int)message.msg_namelen);
    say("parts", sendmsg(fds[0], &message, 0));
    say("no room", recv(fds[1], data, 0, 0));
    say("empty", recv(fds[1], data, sizeof(data), 0));
    say("to somebody", sendto(fds[0], "x", 1, 0, (struct sockaddr *)data, sizeof(sa_family_t)));
    say("accept", accept(fds[0], NULL, NULL));
    close(fds[0]), close(fds[1]);
}

static void on_pipe(int signal)
{
    printf("signal %d\n", signal == SIGPIPE);
}

static void test_record_ends(void)
{
    int fds[2];
    char data[16];
    struct sigaction noted = {.sa_handler = on_pipe};
    CHECK(sigaction(SIGPIPE, &noted, NULL) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0 && send(fds[1], "last", 4, 0) == 4);
    say("shut down writing", shutdown(fds[1], SHUT_WR));
    say("write", send(fds[1], "x", 1, 0));
    say("read", read(fds[0], data, sizeof(data)));
    say("end", read(fds[0], data, sizeof(data)));
    say_events("reader", fds[0]);
    close(fds[1]);
    say("to nobody", send(fds[0], "x", 1, 0));
    close(fds[0]);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    say("not connected", send(fd, "x", 1, 0));
    say("not connected", recv(fd, data, 1, 0));
    say("listen", listen(fd, 1));
    close(fd);
    say("another protocol", socket(AF_UNIX, SOCK_SEQPACKET, 7));
}

static void test_record_names(void)
{
    char data[16];
    int listener = listener_new(SOCK_SEQPACKET, "records");
    int client = socket(AF_UNIX, SOCK_SEQPACKET, 0), stream = socket(AF_UNIX, SOCK_STREAM, 0);
    say("a stream", connect_to(stream, "records"));
    say("connect", connect_to(client, "records"));
    say("again", connect_to(client, "records"));
    say("before", send(client, "early", 5, 0));
    say("too", send(client, "and", 3, 0));
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    CHECK(server >= 0);
    say("early", recv(server, data, sizeof(data), 0));
    say("and", recv(server, data, sizeof(data), 0));
    say("answer", send(server, "yes", 3, 0));
    say("answer", recv(client, data, sizeof(data), 0));
    close(listener), close(client);
    say("end", recv(server, data, sizeof(data), 0));
    close(stream), close(server);
}

static void *send_records(void *fd)
{
    static char data[3000];
    for (int i = 0; i < ROUNDS; i++) {
        size_t bytes = (size_t)(i * 37 % (int)sizeof(data));
        memset(data, i, bytes);
        CHECK(send((int)(intptr_t)fd, data, bytes, 0) == (ssize_t)bytes);
    }
    return NULL;
}

/* Whoever is faster waits for the other one; none is cut or joined. */
static void test_many_records(void)
{
    static char data[RECORD_MAX];
    int fds[2];
    pthread_t sender;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
    CHECK(pthread_create(&sender, NULL, send_records, (void *)(intptr_t)fds[0]) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t bytes = recv(fds[1], data, sizeof(data), 0);
        CHECK(bytes == i * 37 % 3000);
        for (ssize_t at = 0; at < bytes; at++)
            CHECK(data[at] == (char)i);
    }
    CHECK(pthread_join(sender, NULL) == 0);
    say("as much as there may be", send(fds[0], data, sizeof(data), 0));
    say("comes", recv(fds[1], data, sizeof(data), 0));
    close(fds[0]), close(fds[1]);
}

/*
 * Descriptors
 */

/* Sends bytes with these descriptors. */
static ssize_t send_with(int fd, const char *text, const int *passed, size_t count)
{
    static _Alignas(struct cmsghdr) char control[CMSG_SPACE((FDS_MAX + 1) * sizeof(int))];
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(header), passed, count * sizeof(int));
    return sendmsg(fd, &message, 0);
}

/* Receives bytes with room for so many descriptors, and says what has come. How many did. */
static size_t receive_with(const char *what, int fd, int *got, size_t room, int flags)
{
    static _Alignas(struct cmsghdr) char control[CMSG_SPACE((FDS_MAX + 1) * sizeof(int))];
    char data[64];
    struct iovec part = {data, sizeof(data)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = room == 0 ? 0 : CMSG_LEN(room * sizeof(int));
    ssize_t bytes = recvmsg(fd, &message, flags);
    if (bytes < 0) {
        say(what, bytes);
        return 0;
    }
    size_t count = 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(got, CMSG_DATA(header), count * sizeof(int));
    }
    printf("%s: %.*s, %zu descriptors%s\n", what, (int)bytes, data, count,
           message.msg_flags & MSG_CTRUNC ? ", cut" : "");
    return count;
}

/* Whether nobody has a pipe's other end any more; what was written is left aside. */
static bool is_free(int reader)
{
    char data[64];
    ssize_t bytes;
    CHECK(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
    while ((bytes = read(reader, data, sizeof(data))) > 0)
        ;
    return bytes == 0;
}

static const char *const kind_names[] = {
    [SOCK_STREAM] = "stream", [SOCK_DGRAM] = "datagrams", [SOCK_SEQPACKET] = "records"};

static void test_passing(int type)
{
    int fds[2], ends[2], got[4], other[2];
    char data[8] = "";
    printf("%s\n", kind_names[type]);
    CHECK(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0 && pipe(ends) == 0);
    CHECK(pipe(other) == 0);
    say("closes", fcntl(fds[0], F_GETFD) + fcntl(fds[1], F_GETFD));
    say("pass", send_with(fds[0], "one", &ends[1], 1));
    close(ends[1]);
    say("kept by the message", is_free(ends[0]));
    CHECK(receive_with("received", fds[1], got, 4, 0) == 1);
    say("works", write(got[0], "hello", 5));
    say("works", read(ends[0], data, sizeof(data)));
    say("closes", fcntl(got[0], F_GETFD));
    close(got[0]);
    say("free", is_free(ends[0]));
    say("pass", send_with(fds[0], "closing", other, 1));
    CHECK(receive_with("received", fds[1], got, 4, MSG_CMSG_CLOEXEC) == 1);
    say("closes", fcntl(got[0], F_GETFD));
    close(got[0]);

    say("pass two", send_with(fds[0], "two", other, 2));
    CHECK(receive_with("received", fds[1], got, 4, 0) == 2);
    say("the same file", fcntl(got[0], F_SETFL, O_NONBLOCK));
    say("has its flags", (fcntl(other[0], F_GETFL) & O_NONBLOCK) != 0);
    close(got[0]), close(got[1]);

    say("pass two", send_with(fds[0], "two", other, 2));
    receive_with("no room", fds[1], got, 0, 0);
    say("pass two", send_with(fds[0], "two", other, 2));
    CHECK(receive_with("room for one", fds[1], got, 1, 0) == 1);
    close(got[0]);
    say("pass", send_with(fds[0], "read", &other[1], 1));
    say("read", read(fds[1], data, sizeof(data)));
    close(other[1]);
    say("free", is_free(other[0]));
    close(other[0]), close(ends[0]), close(fds[0]), close(fds[1]);
}

/* Nothing is lost with messages that nobody receives. */
static void test_unread(int type)
{
    int fds[2], ends[2];
    for (int closes_sender = 0; closes_sender < 2; closes_sender++) {
        CHECK(socketpair(AF_UNIX, type, 0, fds) == 0 && pipe(ends) == 0);
        CHECK(send_with(fds[0], "a", &ends[1], 1) == 1 && send_with(fds[0], "b", &ends[1], 1) == 1);
        close(ends[1]);
        close(fds[closes_sender ? 0 : 1]);
        say("waits", !is_free(ends[0]));
        close(fds[closes_sender ? 1 : 0]);
        say("free", is_free(ends[0]));
        close(ends[0]);
    }
    CHECK(socketpair(AF_UNIX, type, 0, fds) == 0 && pipe(ends) == 0);
    close(fds[1]);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    say("to nobody", send_with(fds[0], "a", &ends[1], 1));
    close(ends[1]);
    say("free", is_free(ends[0]));
    close(ends[0]), close(fds[0]);
}

/* Of connections that nobody has accepted. */
static void test_unaccepted(int type)
{
    int ends[2], listener = listener_new(type, "unaccepted"), client = socket(AF_UNIX, type, 0);
    CHECK(connect_to(client, "unaccepted") == 0 && pipe(ends) == 0);
    say("pass", send_with(client, "a", &ends[1], 1));
    close(ends[1]);
    say("waits", !is_free(ends[0]));
    close(listener);
    say("free", is_free(ends[0]));
    close(ends[0]), close(client);
}

/* What is read of a stream ends behind the bytes of a message with descriptors. */
static void test_barriers(void)
{
    int fds[2], ends[2], got[4];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && pipe(ends) == 0);
    CHECK(write(fds[0], "abcd", 4) == 4 && send_with(fds[0], "e", ends, 1) == 1);
    CHECK(send_with(fds[0], "fg", ends, 2) == 2 && write(fds[0], "hijk", 4) == 4);
    CHECK(receive_with("before and with", fds[1], got, 4, MSG_WAITALL) == 1);
    close(got[0]);
    CHECK(receive_with("with", fds[1], got, 4, 0) == 2);
    close(got[0]), close(got[1]);
    receive_with("behind", fds[1], got, 4, 0);
    say("no bytes", send_with(fds[0], "", ends, 1));
    receive_with("nothing", fds[1], got, 4, MSG_DONTWAIT);
    close(fds[0]), close(fds[1]), close(ends[0]), close(ends[1]);
}

static void test_refused(void)
{
    int fds[2], many[FDS_MAX + 1], got[FDS_MAX];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(0)];
    struct cmsghdr *header = (struct cmsghdr *)control;
    struct iovec part = {(char[]){"x"}, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int i = 0; i < FDS_MAX + 1; i++)
        many[i] = fds[0];
    many[FDS_MAX] = STDOUT_FILENO;
    say("one too many", send_with(fds[0], "x", many, FDS_MAX + 1));
    many[1] = -1;
    say("not open", send_with(fds[0], "x", many, 3));
    message.msg_controllen = sizeof(control);
    *header = (struct cmsghdr){.cmsg_len = 4, .cmsg_level = SOL_SOCKET};
    say("a short header", sendmsg(fds[0], &message, 0));
    header->cmsg_len = sizeof(control) + 1;
    say("a long header", sendmsg(fds[0], &message, 0));
    header->cmsg_len = CMSG_LEN(0);
    header->cmsg_type = 99;
    say("another type", sendmsg(fds[0], &message, 0));
    header->cmsg_level = IPPROTO_IPV6;
    say("another level", sendmsg(fds[0], &message, 0));
    receive_with("came", fds[1], got, 4, MSG_DONTWAIT);
    receive_with("and no more", fds[1], got, 4, MSG_DONTWAIT);
    for (int i = 0; i < FDS_MAX; i++)
        many[i] = STDOUT_FILENO;
    say("as many as may be", send_with(fds[0], "x", many, FDS_MAX));
    CHECK(receive_with("a few", fds[1], got, 3, 0) == 3);
    close(got[0]), close(got[1]), close(got[2]), close(fds[0]), close(fds[1]);
}

/* The table of descriptors is full. */
static void test_no_descriptors(void)
{
    int fds[2], got[2], last = -1, next;
    struct rlimit limit = {64, 64};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    const int passed[2] = {STDOUT_FILENO, STDOUT_FILENO};
    CHECK(send_with(fds[0], "x", passed, 2) == 1);
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* Linux has it; a guest is as large as it is */
    int first = dup(STDOUT_FILENO);
    while ((next = dup(STDOUT_FILENO)) >= 0)
        last = next;
    say("full", next);
    close(last);
    CHECK(receive_with("one has room", fds[1], got, 2, 0) == 1);
    for (int fd = first; fd <= last; fd++)
        close(fd);
    close(fds[0]), close(fds[1]);
}

/* Connections themselves, by several ways. */
static void test_passed_sockets(void)
{
    int fds[2], pair[2], got[2];
    char data[8];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    say("pass a socket", send_with(fds[0], "s", &pair[1], 1));
    close(pair[1]);
    say("send meanwhile", send(pair[0], "hello", 5, 0));
    CHECK(receive_with("received", fds[1], got, 1, 0) == 1);
    say("hello", recv(got[0], data, sizeof(data), 0));
    close(got[0]);
    say("to nobody", send(pair[0], "x", 1, MSG_NOSIGNAL));
    close(pair[0]), close(fds[0]), close(fds[1]);
    int listener = listener_new(SOCK_STREAM, "passed"), client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && connect_to(client, "passed") == 0);
    say("pass a listener", send_with(fds[0], "l", &listener, 1));
    close(listener);
    CHECK(receive_with("received", fds[1], got, 1, 0) == 1);
    say("accept", (listener = accept(got[0], NULL, NULL)) >= 0);
    close(got[0]), close(listener), close(client), close(fds[0]), close(fds[1]);
}

/* Linux finds out when sockets wait in each other and nobody else has them; here they can't. */
static void test_circles(void)
{
#ifdef __skep__
    int fds[2], pair[2], got[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    CHECK(send_with(fds[0], "x", &fds[1], 1) == -1 && errno == ETOOMANYREFS);
    CHECK(send_with(pair[0], "x", &pair[1], 1) == -1 && errno == ETOOMANYREFS);
    CHECK(send_with(fds[0], "x", &pair[1], 1) == 1);
    CHECK(send_with(pair[0], "x", &fds[1], 1) == -1 && errno == ETOOMANYREFS);
    CHECK(send_with(pair[0], "x", &fds[0], 1) == -1 && errno == ETOOMANYREFS);
    char data;
    CHECK(read(fds[1], &data, 1) == 1);
    CHECK(send_with(pair[0], "x", &fds[1], 1) == 1);
    CHECK(send_with(fds[0], "x", &pair[1], 1) == -1 && errno == ETOOMANYREFS);
    int listener = listener_new(SOCK_STREAM, "circle"), client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect_to(client, "circle") == 0);
    CHECK(send_with(client, "x", &listener, 1) == -1 && errno == ETOOMANYREFS);
    CHECK(send_with(client, "x", &client, 1) == 1);
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0 && read(server, &data, 1) == 1);
    CHECK(send_with(client, "x", &listener, 1) == 1);
    close(listener), close(client), close(server);
    close(pair[0]), close(pair[1]), close(fds[0]), close(fds[1]);

    /* No more wait than there may be descriptors, and all can be had again. */
    static int many[FDS_MAX];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (int round = 0; round < 3; round++) {
        long sent = 0;
        while (send_with(fds[0], "x", many, FDS_MAX) == 1)
            sent++;
        CHECK(errno == ETOOMANYREFS && sent >= 1 && sent <= sysconf(_SC_OPEN_MAX) / FDS_MAX);
        for (; sent > 0; sent--)
            CHECK(read(fds[1], &data, 1) == 1);
    }
    close(fds[0]), close(fds[1]);
    (void)got;
#endif
}

/*
 * Who sends
 */

static ssize_t send_as(int fd, const struct ucred *sender, size_t bytes)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(*sender))];
    struct iovec part = {(char[]){"me"}, 2};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = sizeof(control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_len = CMSG_LEN(bytes);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    memcpy(CMSG_DATA(header), sender, bytes);
    return sendmsg(fd, &message, 0);
}

static void say_headers(const char *what, int fd, size_t room)
{
    _Alignas(struct cmsghdr) char control[128];
    char data[8];
    struct iovec part = {data, sizeof(data)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = room;
    say(what, recvmsg(fd, &message, 0));
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL;
         header = CMSG_NXTHDR(&message, header)) {
        struct ucred sender;
        int passed;
        if (header->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&sender, CMSG_DATA(header), sizeof(sender));
            printf("sender %d\n", header->cmsg_len == CMSG_LEN(sizeof(sender)) &&
                                      sender.pid == getpid() && sender.uid == getuid() &&
                                      sender.gid == getgid());
        } else {
            memcpy(&passed, CMSG_DATA(header), sizeof(passed));
            printf("descriptor %d\n", header->cmsg_len == CMSG_LEN(sizeof(passed)));
            close(passed);
        }
    }
    printf("%s\n", message.msg_flags & MSG_CTRUNC ? "cut" : "whole");
}

static void test_senders(int type)
{
    int fds[2], on = 0;
    socklen_t bytes = sizeof(on);
    struct ucred self = {getpid(), getuid(), getgid()};
    printf("%s\n", kind_names[type]);
    CHECK(socketpair(AF_UNIX, type, 0, fds) == 0);
    say("isn't asked for", send_as(fds[0], &self, sizeof(self)));
    say_headers("no sender", fds[1], 128);
    say("SO_PASSCRED", getsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &on, &bytes) == 0 ? on : -1);
    say("SO_PASSCRED", setsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)));
    say("SO_PASSCRED", getsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &on, &bytes) == 0 ? on : -1);
    say("plain", send(fds[0], "a", 1, 0));
    say_headers("with its sender", fds[1], 128);
    say("as itself", send_as(fds[0], &self, sizeof(self)));
    say_headers("with its sender", fds[1], 128);
    say("with a descriptor", send_with(fds[0], "b", fds, 1));
    say_headers("with both", fds[1], 128);
    say("plain", send(fds[0], "c", 1, 0));
    say_headers("no room", fds[1], 0);
    say("too short", send_as(fds[0], &self, sizeof(self) - 4));
    close(fds[0]), close(fds[1]);
}

/*
 * Many messages at once
 */

static void test_many_messages(void)
{
    int fds[2];
    char data[4][8] = {"a", "bc", "def", ""};
    struct iovec parts[4];
    struct mmsghdr messages[4];
    struct timespec bad = {.tv_nsec = -1}, none = {0};
    memset(messages, 0, sizeof(messages));
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct iovec){data[i], strlen(data[i])};
        messages[i].msg_hdr.msg_iov = &parts[i], messages[i].msg_hdr.msg_iovlen = 1;
    }
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    say("sendmmsg", sendmmsg(fds[0], messages, 3, 0));
    printf("%u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    for (int i = 0; i < 4; i++)
        parts[i].iov_len = sizeof(data[i]);
    say("a bad time", recvmmsg(fds[1], messages, 2, 0, &bad));
    say("no time", recvmmsg(fds[1], messages, 2, 0, &none));
    say("what there is", recvmmsg(fds[1], messages + 1, 3, MSG_WAITFORONE, NULL));
    printf("%u %u %.1s %.2s %.3s\n", messages[1].msg_len, messages[2].msg_len, data[0], data[1],
           data[2]);
    say("nothing", recvmmsg(fds[1], messages, 4, MSG_DONTWAIT, NULL));
    say("none wanted", recvmmsg(fds[1], messages, 0, 0, NULL));
    close(fds[1]);
    say("to nobody", sendmmsg(fds[0], messages, 3, MSG_NOSIGNAL));
    close(fds[0]);
    say("closed", sendmmsg(fds[0], messages, 3, 0));
}

static volatile sig_atomic_t rang;

static void ring(int signal)
{
    (void)signal;
    rang = 1;
}

/* Whether a handler interrupts what this thread computes. */
static bool is_interrupted(void)
{
    const struct itimerval soon = {.it_value = {0, 1000}};
    time_t end = time(NULL) + 10;
    rang = 0;
    CHECK(signal(SIGALRM, ring) != SIG_ERR && setitimer(ITIMER_REAL, &soon, NULL) == 0);
    while (!rang && time(NULL) < end)
        ;
    return rang;
}

/* Who sends descriptors, receives some or drops them computes on as before. */
static void test_computing(void)
{
    int fds[2], ends[2];
    char byte;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && pipe(ends) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(send_with(fds[0], "a", &ends[1], 1) == 1);
    say("sender", is_interrupted());
    CHECK(read(fds[1], &byte, 1) == 1);
    say("reader", is_interrupted());
    close(fds[1]);
    say("closer", is_interrupted());
    close(fds[0]), close(ends[0]), close(ends[1]);
}

int main(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    test_records();
    test_record_ends();
    test_record_names();
    test_many_records();
    for (int i = 0; i < 3; i++) {
        test_passing(types[i]);
        test_unread(types[i]);
        if (types[i] != SOCK_DGRAM)
            test_unaccepted(types[i]);
        test_senders(types[i]);
    }
    test_computing();
    test_barriers();
    test_refused();
    test_passed_sockets();
    test_circles();
    test_many_messages();
    test_no_descriptors();
    printf("rights: ok\n");
    return 0;
}
