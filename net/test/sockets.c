/*
 * sockets.c - what a program may expect of sockets. Plain POSIX: it runs here and in a guest, over
 * 127.0.0.1, and ends with 0 when all is as it should be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int checks;

static void check(int good, const char *what, int line)
{
    checks++;
    if (good)
        return;
    printf("sockets: line %d: %s (errno %d)\n", line, what, errno);
    fflush(stdout);
    exit(1);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static struct sockaddr_in loopback(in_port_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listener_new(struct sockaddr_in *address)
{
    socklen_t bytes = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    *address = loopback(0);
    CHECK(bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0);
    CHECK(listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &bytes) == 0);
    CHECK(bytes == sizeof(*address) && address->sin_port != 0);
    return fd;
}

/* Two connected sockets. */
static void pair_new(int *client, int *server)
{
    struct sockaddr_in address, peer;
    socklen_t bytes = sizeof(peer);
    int listener = listener_new(&address);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(*client, (struct sockaddr *)&address, sizeof(address)) == 0);
    *server = accept(listener, (struct sockaddr *)&peer, &bytes);
    CHECK(*server >= 0 && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(close(listener) == 0);
}

static void streams(void)
{
    int client, server, waiting = 0;
    char data[16] = "";
    pair_new(&client, &server);
    char first[] = "ab", second[] = "cdef";
    struct iovec parts[2] = {{first, 2}, {second, 4}};
    CHECK(writev(client, parts, 2) == 6);
    CHECK(recv(server, data, 6, MSG_PEEK) > 0 && data[0] == 'a');
    CHECK(recv(server, data, 6, MSG_WAITALL) == 6 && memcmp(data, "abcdef", 6) == 0);
    CHECK(write(client, "xyz", 3) == 3);
    struct pollfd poll_server = {.fd = server, .events = POLLIN};
    CHECK(poll(&poll_server, 1, 2000) == 1 && poll_server.revents == POLLIN);
    CHECK(ioctl(server, FIONREAD, &waiting) == 0 && waiting == 3);
    CHECK(read(server, data, sizeof(data)) == 3);
    CHECK(recv(server, data, sizeof(data), MSG_DONTWAIT) == -1 && errno == EAGAIN);

    CHECK(shutdown(client, SHUT_WR) == 0);
    CHECK(send(client, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(read(server, data, sizeof(data)) == 0);
    CHECK(recv(server, data, sizeof(data), 0) == 0 && read(server, data, 1) == 0);
    CHECK(poll(&poll_server, 1, 2000) == 1 && (poll_server.revents & POLLIN) != 0);
    CHECK(write(server, "late", 4) == 4);
    int copy = dup(client);
    CHECK(copy >= 0 && close(client) == 0);
    CHECK(recv(copy, data, 4, MSG_WAITALL) == 4);
    CHECK(close(copy) == 0 && close(server) == 0);
    CHECK(read(server, data, 1) == -1 && errno == EBADF);
}

static void options(void)
{
    int client, server, value = 1;
    socklen_t bytes = sizeof(value);
    char byte;
    pair_new(&client, &server);
    CHECK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)) == 0);
    value = 0;
    CHECK(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value != 0);
    CHECK(setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)) == 0);
    CHECK(getsockopt(client, SOL_SOCKET, SO_TYPE, &value, &bytes) == 0 && value == SOCK_STREAM);
    struct linger linger = {.l_onoff = 1, .l_linger = 1};
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    struct timeval timeout = {.tv_usec = 30000};
    CHECK(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
    CHECK(recv(client, &byte, 1, 0) == -1 && errno == EAGAIN);

    CHECK(fcntl(server, F_SETFL, fcntl(server, F_GETFL) | O_NONBLOCK) == 0);
    CHECK((fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(read(server, &byte, 1) == -1 && errno == EAGAIN);
    CHECK(close(client) == 0 && close(server) == 0);
    CHECK(getsockopt(1, SOL_SOCKET, SO_TYPE, &value, &bytes) == -1 && errno == ENOTSOCK);
    CHECK(listen(999, 1) == -1 && errno == EBADF);
}

static void connecting(void)
{
    struct sockaddr_in address;
    int listener = listener_new(&address), error = -1;
    socklen_t bytes = sizeof(error);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ||
          errno == EINPROGRESS);
    struct pollfd poll_client = {.fd = client, .events = POLLOUT};
    CHECK(poll(&poll_client, 1, 2000) == 1 && (poll_client.revents & POLLOUT) != 0);
    CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0);
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    CHECK(server >= 0 && (fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
    close(client), close(server), close(listener);

    client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == -1 &&
          errno == ECONNREFUSED);
    close(client);
    client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(client, (struct sockaddr *)&address, sizeof(address)) == -1 &&
        errno == EINPROGRESS) {
        poll_client.fd = client;
        CHECK(poll(&poll_client, 1, 2000) == 1 && (poll_client.revents & POLLERR) != 0);
        CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0);
        CHECK(error == ECONNREFUSED);
    }
    close(client);
}

static void datagrams(void)
{
    struct sockaddr_in address = loopback(0), from;
    socklen_t bytes = sizeof(address);
    char data[2000];
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(sendto(two, "hello", 5, 0, (struct sockaddr *)&address, sizeof(address)) == 5);
    memset(data, 'z', sizeof(data));
    CHECK(sendto(two, data, sizeof(data), 0, (struct sockaddr *)&address, sizeof(address)) ==
          sizeof(data));
    bytes = sizeof(from);
    CHECK(recvfrom(one, data, 3, 0, (struct sockaddr *)&from, &bytes) == 3);
    CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && memcmp(data, "hel", 3) == 0);
    CHECK(recv(one, data, sizeof(data), 0) == sizeof(data) && data[1999] == 'z');
    CHECK(sendto(one, "back", 4, 0, (struct sockaddr *)&from, bytes) == 4);
    CHECK(recv(two, data, sizeof(data), 0) == 4);

    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(one, &reads);
    struct timeval timeout = {.tv_usec = 20000};
    CHECK(select(one + 1, &reads, NULL, NULL, &timeout) == 0 && !FD_ISSET(one, &reads));
    close(one), close(two);
}

static void names(void)
{
    struct in_addr address;
    char text[INET_ADDRSTRLEN];
    CHECK(inet_pton(AF_INET, "10.1.2.3", &address) == 1 && address.s_addr == htonl(0x0a010203));
    CHECK(inet_pton(AF_INET, "10.1.2", &address) == 0 && inet_pton(AF_INET, "x", &address) == 0);
    address.s_addr = htonl(0xc0a80001);
    CHECK(inet_ntop(AF_INET, &address, text, sizeof(text)) && strcmp(text, "192.168.0.1") == 0);
    CHECK(inet_ntop(AF_INET, &address, text, 4) == NULL && errno == ENOSPC);
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &list) == 0);
    const struct sockaddr_in *found = (const struct sockaddr_in *)list->ai_addr;
    CHECK(list->ai_next == NULL && found->sin_port == htons(80) &&
          found->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    freeaddrinfo(list);
    hints.ai_flags = AI_NUMERICHOST;
    CHECK(getaddrinfo("skep", "80", &hints, &list) == EAI_NONAME);
}

static bool has_tables(void)
{
#ifdef __skep__
    return true;
#else
    return access("/etc/protocols", R_OK) == 0 && access("/etc/services", R_OK) == 0;
#endif
}

static void services_and_protocols(void)
{
    if (!has_tables())
        return;
    struct servent *service = getservbyname("https", "tcp");
    CHECK(service != NULL && service->s_port == htons(443));
    service = getservbyport(htons(80), "tcp");
    CHECK(service != NULL && strcmp(service->s_name, "http") == 0 && service->s_port == htons(80));
    CHECK(getservbyport(htons(1), "no such") == NULL);
    const struct protoent *protocol = getprotobyname("tcp");
    CHECK(protocol != NULL && protocol->p_proto == IPPROTO_TCP && protocol->p_aliases != NULL);
    protocol = getprotobynumber(IPPROTO_UDP);
    CHECK(protocol != NULL && strcmp(protocol->p_name, "udp") == 0);
    CHECK(getprotobyname("no such") == NULL && getprotobynumber(254) == NULL);
}

static void messages(void)
{
    int client, server;
    char a[] = "ab", b[] = "cdefg", x[3], y[8];
    struct iovec out[2] = {{a, 2}, {b, 5}}, in[2] = {{x, 3}, {y, 4}};
    struct msghdr sent = {.msg_iov = out, .msg_iovlen = 2};
    struct msghdr received = {.msg_iov = in, .msg_iovlen = 2};
    pair_new(&client, &server);
    CHECK(sendmsg(client, &sent, MSG_NOSIGNAL) == 7);
    CHECK(recv(server, y, 7, MSG_PEEK | MSG_WAITALL) == 7);
    CHECK(recvmsg(server, &received, 0) == 7);
    CHECK(memcmp(x, "abc", 3) == 0 && memcmp(y, "defg", 4) == 0 && received.msg_flags == 0);
    CHECK(recvmsg(server, &received, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK(close(client) == 0 && recvmsg(server, &received, 0) == 0 && close(server) == 0);

    struct sockaddr_in address = loopback(0), from;
    socklen_t bytes = sizeof(address);
    int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    sent.msg_name = &address, sent.msg_namelen = sizeof(address);
    received.msg_name = &from, received.msg_namelen = sizeof(from);
    CHECK(sendmsg(other, &sent, 0) == 7);
    CHECK(recvmsg(one, &received, 0) == 7 && received.msg_namelen == sizeof(from));
    CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && memcmp(y, "defg", 4) == 0);
    CHECK(connect(other, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(writev(other, out, 2) == 7 && recv(one, y, sizeof(y), 0) == 7 &&
          memcmp(y, "abcdefg", 7) == 0);
    CHECK(close(one) == 0 && close(other) == 0);
}

/* What epoll_wait() says of the only descriptor that is watched. 0: nothing, in time. */
static uint32_t next_event(int set, int timeout_ms)
{
    struct epoll_event event;
    int count = epoll_wait(set, &event, 1, timeout_ms);
    CHECK(count >= 0);
    return count == 0 ? 0 : event.events;
}

/* Edges of a stream; of a listener that is watched by level. */
static void events(void)
{
    int client, server, set = epoll_create1(0);
    char data[16];
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    pair_new(&client, &server);
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, server, &event) == 0 && next_event(set, 0) == 0);
    CHECK(write(client, "ab", 2) == 2 && next_event(set, 5000) == EPOLLIN);
    CHECK(next_event(set, 0) == 0);
    CHECK(write(client, "cd", 2) == 2 && next_event(set, 5000) == EPOLLIN);
    CHECK(recv(server, data, 4, MSG_WAITALL) == 4 && next_event(set, 0) == 0);
    CHECK(shutdown(client, SHUT_WR) == 0 && next_event(set, 5000) == (EPOLLIN | EPOLLRDHUP));
    CHECK(read(server, data, 1) == 0);
    event.events = EPOLLOUT;
    CHECK(epoll_ctl(set, EPOLL_CTL_MOD, server, &event) == 0 && next_event(set, 0) == EPOLLOUT);
    CHECK(close(server) == 0 && next_event(set, 0) == 0 && close(client) == 0);

    struct sockaddr_in address;
    int listener = listener_new(&address);
    event.events = EPOLLIN;
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, listener, &event) == 0 && next_event(set, 0) == 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(next_event(set, 5000) == EPOLLIN && next_event(set, 0) == EPOLLIN);
    server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(next_event(set, 0) == 0 && (fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(accept4(listener, NULL, NULL, 0x1234) == -1 && errno == EINVAL);
    CHECK(close(server) == 0 && close(client) == 0 && close(listener) == 0 && close(set) == 0);
}

/* Data that came before accept() is no end of the connection. */
static void early_data(void)
{
    struct sockaddr_in address;
    int listener = listener_new(&address), client = socket(AF_INET, SOCK_STREAM, 0);
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(write(client, "ab", 2) == 2 && write(client, "cd", 2) == 2);
    CHECK(poll(&waiting, 1, 5000) == 1);
    usleep(20000); /* for the data to be there: nothing tells */
    int server = accept(listener, NULL, NULL);
    waiting = (struct pollfd){.fd = server, .events = POLLIN | POLLRDHUP};
    CHECK(poll(&waiting, 1, 5000) == 1 && waiting.revents == POLLIN);
    CHECK(shutdown(client, SHUT_WR) == 0);
    waiting.events = POLLRDHUP;
    CHECK(poll(&waiting, 1, 5000) == 1 && waiting.revents == POLLRDHUP);
    CHECK(close(server) == 0 && close(client) == 0 && close(listener) == 0);
}

static void *shut_down(void *fd)
{
    usleep(1000); /* so that the other thread mostly waits; it would be right otherwise, too */
    CHECK(shutdown((int)(intptr_t)fd, SHUT_RDWR) == 0);
    return NULL;
}

/* shutdown() ends what other threads wait for. */
static void ends(void)
{
    int client, server;
    char byte;
    pthread_t thread;
    pair_new(&client, &server);
    CHECK(pthread_create(&thread, NULL, shut_down, (void *)(intptr_t)server) == 0);
    CHECK(read(server, &byte, 1) == 0 && read(client, &byte, 1) == 0);
    CHECK(read(server, &byte, 1) == 0 && read(client, &byte, 1) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(shutdown(server, 17) == -1 && errno == EINVAL);
    CHECK(close(client) == 0 && close(server) == 0);

    struct sockaddr_in address;
    int listener = listener_new(&address), other = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(pthread_create(&thread, NULL, shut_down, (void *)(intptr_t)listener) == 0);
    CHECK(accept(listener, NULL, NULL) == -1 && errno == EINVAL);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(accept(listener, NULL, NULL) == -1 && errno == EINVAL);
    CHECK(connect(other, (struct sockaddr *)&address, sizeof(address)) == -1);
    CHECK(errno == ECONNREFUSED);
    CHECK(close(other) == 0);
    other = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(shutdown(other, SHUT_RD) == -1 && errno == ENOTCONN);
    CHECK(shutdown(other, SHUT_RDWR) == -1 && errno == ENOTCONN);
    CHECK(listen(STDIN_FILENO, 1) == -1 && errno == ENOTSOCK);
    CHECK(close(listener) == 0 && close(other) == 0);
}

/* Threads that all wait, with a poll() among them. */
enum { ECHOES = 200 };

static void *echo(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char data[512];
    ssize_t bytes;
    while ((bytes = read(fd, data, sizeof(data))) > 0)
        CHECK(write(fd, data, (size_t)bytes) == bytes);
    close(fd);
    return NULL;
}

static void threads(void)
{
    int clients[4];
    pthread_t workers[4];
    for (int i = 0; i < 4; i++) {
        int server;
        pair_new(&clients[i], &server);
        CHECK(pthread_create(&workers[i], NULL, echo, (void *)(intptr_t)server) == 0);
    }
    for (int turn = 0; turn < ECHOES; turn++) {
        struct pollfd polls[4];
        for (int i = 0; i < 4; i++) {
            polls[i] = (struct pollfd){.fd = clients[i], .events = POLLIN};
            CHECK(write(clients[i], &turn, sizeof(turn)) == sizeof(turn));
        }
        for (int left = 4; left > 0;) {
            CHECK(poll(polls, 4, 5000) > 0);
            for (int i = 0; i < 4; i++) {
                int number;
                if (polls[i].revents == 0)
                    continue;
                CHECK(read(clients[i], &number, sizeof(number)) == sizeof(number));
                CHECK(number == turn);
                polls[i].fd = -1;
                polls[i].revents = 0;
                left--;
            }
        }
    }
    for (int i = 0; i < 4; i++) {
        close(clients[i]);
        CHECK(pthread_join(workers[i], NULL) == 0);
    }
}

static void interfaces(void)
{
    struct if_nameindex *all = if_nameindex();
    CHECK(all != NULL && all[0].if_index != 0);
    char name[IF_NAMESIZE];
    unsigned highest = 0, loopbacks = 0;
    for (const struct if_nameindex *one = all; one->if_index != 0; one++) {
        CHECK(if_nametoindex(one->if_name) == one->if_index);
        CHECK(if_indextoname(one->if_index, name) == name && strcmp(name, one->if_name) == 0);
        loopbacks += strncmp(name, "lo", 2) == 0;
        highest = one->if_index > highest ? one->if_index : highest;
    }
    if_freenameindex(all);
    CHECK(loopbacks == 1);
    CHECK(if_nametoindex("none7") == 0 && errno == ENODEV);
    CHECK(if_indextoname(highest + 1, name) == NULL && errno == ENXIO);
    CHECK(if_indextoname(highest + 256, name) == NULL && errno == ENXIO);
}

static void interface_addresses(void)
{
    struct ifaddrs *all;
    CHECK(getifaddrs(&all) == 0);
    unsigned loopbacks = 0;
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        CHECK(if_nametoindex(one->ifa_name) != 0);
        if ((one->ifa_flags & IFF_LOOPBACK) == 0 || one->ifa_addr == NULL ||
            one->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in address, netmask;
        memcpy(&address, one->ifa_addr, sizeof(address));
        memcpy(&netmask, one->ifa_netmask, sizeof(netmask));
        CHECK((one->ifa_flags & IFF_UP) != 0);
        CHECK(address.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
        CHECK(netmask.sin_addr.s_addr == htonl(0xff000000));
        loopbacks++;
    }
    CHECK(loopbacks == 1);
    freeifaddrs(all);
}

int main(void)
{
    names();
    services_and_protocols();
    interfaces();
    interface_addresses();
    datagrams();
    streams();
    options();
    connecting();
    messages();
    events();
    early_data();
    ends();
    threads();
    printf("sockets: all %d checks passed\n", checks);
    return 0;
}
