/*
 * sockets.c - what a program may expect of sockets. Plain POSIX: it runs here and in a guest, over
 * 127.0.0.1, and ends with 0 when all is as it should be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
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
#include <sys/stat.h>
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

    CHECK(shutdown(client, SHUT_WR) == 0 && shutdown(client, SHUT_WR) == 0);
    CHECK(send(client, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    errno = 0;
    CHECK(read(server, data, sizeof(data)) == 0 && errno == 0);
    CHECK(recv(server, data, sizeof(data), 0) == 0 && read(server, data, 1) == 0 && errno == 0);
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
    CHECK(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value == 0);
    value = 1;
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

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t bytes = sizeof(value);
    CHECK(getsockopt(fd, level, name, &value, &bytes) == 0 && bytes == sizeof(value));
    return value;
}

/* Sets it and says what it is then. */
static int option_after(int fd, int level, int name, int value)
{
    CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
    return option(fd, level, name);
}

static bool refuses(int fd, int level, int name, int value, int error)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == -1 && errno == error;
}

static bool has_none(int fd, int level, int name, int error)
{
    int value;
    socklen_t bytes = sizeof(value);
    return getsockopt(fd, level, name, &value, &bytes) == -1 && errno == error;
}

static void socket_options(void)
{
    struct sockaddr_in address;
    int listener = listener_new(&address), stream = socket(AF_INET, SOCK_STREAM, 0);
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    static const int flags[] = {SO_BROADCAST, SO_KEEPALIVE, SO_REUSEADDR, SO_REUSEPORT,
                                SO_DONTROUTE};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        CHECK(option_after(stream, SOL_SOCKET, flags[i], 7) == 1);
        CHECK(option_after(stream, SOL_SOCKET, flags[i], 0) == 0);
        CHECK(option_after(datagrams, SOL_SOCKET, flags[i], 1) == 1);
    }
    int closing = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fcntl(closing, F_GETFD) == FD_CLOEXEC && close(closing) == 0);
    CHECK(option(stream, SOL_SOCKET, SO_TYPE) == SOCK_STREAM);
    CHECK(option(datagrams, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
    CHECK(option(stream, SOL_SOCKET, SO_DOMAIN) == AF_INET);
    CHECK(option(stream, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP);
    CHECK(option(datagrams, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP);
    CHECK(option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1);
    CHECK(option(stream, SOL_SOCKET, SO_ACCEPTCONN) == 0);
    CHECK(option(datagrams, SOL_SOCKET, SO_ACCEPTCONN) == 0);
    CHECK(option(stream, SOL_SOCKET, SO_RCVLOWAT) == 1);
    CHECK(option_after(stream, SOL_SOCKET, SO_RCVLOWAT, 1) == 1);
    CHECK(option(stream, SOL_SOCKET, SO_SNDLOWAT) == 1);
    CHECK(option_after(datagrams, SOL_SOCKET, SO_RCVBUF, 1) >= 2000); /* so much at least */
    CHECK(option(stream, SOL_SOCKET, SO_RCVBUF) > 0 && option(stream, SOL_SOCKET, SO_SNDBUF) > 0);
    CHECK(refuses(stream, SOL_SOCKET, SO_ERROR, 0, ENOPROTOOPT));
    CHECK(refuses(stream, SOL_SOCKET, SO_TYPE, 0, ENOPROTOOPT));
    CHECK(refuses(stream, SOL_SOCKET, SO_DOMAIN, 0, ENOPROTOOPT));
    CHECK(refuses(stream, SOL_SOCKET, SO_PROTOCOL, 0, ENOPROTOOPT));
    CHECK(refuses(stream, SOL_SOCKET, SO_ACCEPTCONN, 0, ENOPROTOOPT));
    CHECK(refuses(stream, SOL_SOCKET, SO_SNDLOWAT, 1, ENOPROTOOPT));
    CHECK(setsockopt(stream, SOL_SOCKET, SO_KEEPALIVE, &(char){1}, 1) == -1 && errno == EINVAL);
    CHECK(close(stream) == 0 && close(datagrams) == 0 && close(listener) == 0);
}

static struct timeval span_after(int fd, time_t seconds, long microseconds)
{
    struct timeval span = {seconds, microseconds};
    socklen_t bytes = sizeof(span);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)) == 0);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &span, &bytes) == 0);
    return span;
}

static void spans(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct timeval wrong = {0, 1000000};
    struct linger linger = {.l_onoff = 1, .l_linger = 7};
    socklen_t bytes = sizeof(linger);
    char byte;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)) == -1 && errno == EDOM);
    CHECK(span_after(fd, 3, 500000).tv_sec == 3 && span_after(fd, 3, 500000).tv_usec == 500000);
    CHECK(span_after(fd, 0, 0).tv_sec == 0);
    CHECK(span_after(fd, 0, 1).tv_usec > 0);
    CHECK(recv(fd, &byte, 1, 0) == -1 && errno == EAGAIN);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    linger.l_linger = 0;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &bytes) == 0);
    CHECK(linger.l_onoff == 1 && linger.l_linger == 7 && close(fd) == 0);
}

static void header_options(void)
{
    int stream = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned char byte = 9;
    socklen_t bytes = sizeof(byte);
    CHECK(option_after(datagrams, IPPROTO_IP, IP_TTL, 1) == 1);
    CHECK(option_after(datagrams, IPPROTO_IP, IP_TTL, 255) == 255);
    CHECK(option_after(datagrams, IPPROTO_IP, IP_TTL, -1) >= 64);
    CHECK(refuses(datagrams, IPPROTO_IP, IP_TTL, 0, EINVAL));
    CHECK(refuses(datagrams, IPPROTO_IP, IP_TTL, 256, EINVAL));
    CHECK(setsockopt(datagrams, IPPROTO_IP, IP_TTL, &byte, 1) == 0);
    byte = 0;
    CHECK(getsockopt(datagrams, IPPROTO_IP, IP_TTL, &byte, &bytes) == 0 && byte == 9);
    CHECK(option_after(datagrams, IPPROTO_IP, IP_TOS, 0xb8) == 0xb8);
    CHECK(option_after(stream, IPPROTO_IP, IP_TOS, 0x13) == 0x10);
    CHECK(option_after(stream, IPPROTO_IP, IP_TOS, 0x110) == 0x10);
    CHECK(has_none(stream, IPPROTO_IPV6, IPV6_UNICAST_HOPS, EOPNOTSUPP));
    CHECK(refuses(stream, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9, ENOPROTOOPT));
    CHECK(close(stream) == 0 && close(datagrams) == 0);
}

static void queues(void)
{
    int client, server, bytes = -1, listener, datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address;
    static char data[4096];
    pair_new(&client, &server);
    CHECK(ioctl(client, TIOCOUTQ, &bytes) == 0 && bytes == 0);
    while (send(client, data, sizeof(data), MSG_DONTWAIT | MSG_DONTROUTE | MSG_CONFIRM) > 0)
        continue;
    CHECK(errno == EAGAIN && ioctl(client, TIOCOUTQ, &bytes) == 0 && bytes > 0);
    CHECK(ioctl(server, TIOCINQ, &bytes) == 0 && bytes > 0);
    bytes = -1;
    CHECK(ioctl(server, SIOCATMARK, &bytes) == 0 && bytes == 0);
    while (ioctl(client, TIOCOUTQ, &bytes) == 0 && bytes != 0)
        if (recv(server, data, sizeof(data), MSG_DONTWAIT) < 0)
            usleep(1000);
    CHECK(bytes == 0);
    while (send(client, data, sizeof(data), MSG_DONTWAIT) > 0)
        continue;
    CHECK(shutdown(client, SHUT_WR) == 0);
    while (read(server, data, sizeof(data)) > 0)
        continue;
    while (ioctl(client, TIOCOUTQ, &bytes) == 0 && bytes > 0)
        usleep(1000);
    CHECK(bytes == 0);
    listener = listener_new(&address);
    CHECK(ioctl(listener, TIOCOUTQ, &bytes) == -1 && errno == EINVAL);
    CHECK(ioctl(datagrams, TIOCOUTQ, &bytes) == 0 && bytes == 0);
    CHECK(ioctl(datagrams, SIOCATMARK, &bytes) == -1 && errno == ENOTTY);
    CHECK(close(client) == 0 && close(server) == 0 && close(datagrams) == 0);
    CHECK(close(listener) == 0);
}

static void tcp_options(void)
{
    int client, server, datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    pair_new(&client, &server);
    CHECK(option(stream, IPPROTO_TCP, TCP_MAXSEG) == 536);
    CHECK(option(client, IPPROTO_TCP, TCP_MAXSEG) > 536);
    CHECK(option_after(client, IPPROTO_TCP, TCP_KEEPIDLE, 32767) == 32767);
    CHECK(option_after(client, IPPROTO_TCP, TCP_KEEPINTVL, 5) == 5);
    CHECK(option_after(client, IPPROTO_TCP, TCP_KEEPCNT, 127) == 127);
    setsockopt(client, IPPROTO_TCP, TCP_MAXSEG, &(int){1000}, sizeof(int)); /* or not */
    CHECK(option(client, IPPROTO_TCP, TCP_KEEPIDLE) == 32767);
    CHECK(refuses(client, IPPROTO_TCP, TCP_KEEPIDLE, 0, EINVAL));
    CHECK(refuses(client, IPPROTO_TCP, TCP_KEEPINTVL, 32768, EINVAL));
    CHECK(refuses(client, IPPROTO_TCP, TCP_KEEPCNT, 128, EINVAL));
    CHECK(refuses(client, IPPROTO_TCP, TCP_INFO, 1, ENOPROTOOPT));
    CHECK(has_none(datagrams, IPPROTO_TCP, TCP_INFO, EOPNOTSUPP));
    CHECK(refuses(datagrams, IPPROTO_TCP, TCP_NODELAY, 1, ENOPROTOOPT));
    CHECK(has_none(datagrams, IPPROTO_TCP, TCP_NODELAY, EOPNOTSUPP));
    CHECK(close(client) == 0 && close(server) == 0);
    CHECK(close(datagrams) == 0 && close(stream) == 0);
}

static struct tcp_info info_of(int fd)
{
    struct tcp_info info;
    socklen_t bytes = sizeof(info);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 && bytes <= sizeof(info));
    return info;
}

static void connection_info(void)
{
    struct sockaddr_in address;
    int client, server, listener = listener_new(&address), stream = socket(AF_INET, SOCK_STREAM, 0);
    unsigned char state[2] = {0, 77};
    socklen_t bytes = 1;
    pair_new(&client, &server);
    struct tcp_info info = info_of(client);
    CHECK(info.tcpi_state == TCP_ESTABLISHED && info.tcpi_retransmits == 0);
    CHECK(info.tcpi_snd_mss > 536 && info.tcpi_rcv_mss >= 536 && info.tcpi_advmss > 536);
    CHECK(info.tcpi_snd_cwnd > 0 && info.tcpi_unacked == 0 && info.tcpi_rcv_space > 1000);
    CHECK(info.tcpi_rto >= 200000 && info.tcpi_rtt < 1000000);
    CHECK(info_of(listener).tcpi_state == TCP_LISTEN && info_of(stream).tcpi_state == TCP_CLOSE);
    struct pollfd polled = {.fd = server, .events = POLLIN};
    CHECK(close(client) == 0 && poll(&polled, 1, 5000) == 1);
    CHECK(getsockopt(server, IPPROTO_TCP, TCP_INFO, state, &bytes) == 0 && bytes == 1);
    CHECK(state[0] == TCP_CLOSE_WAIT && state[1] == 77);
    CHECK(close(server) == 0 && close(listener) == 0 && close(stream) == 0);
}

static int group_request(int fd, int name, uint32_t group, uint32_t interface)
{
    const struct ip_mreq request = {{htonl(group)}, {htonl(interface)}};
    return setsockopt(fd, IPPROTO_IP, name, &request, sizeof(request));
}

static void group_requests(void)
{
    const uint32_t group = 0xefef0102, here = INADDR_LOOPBACK;
    const struct ip_mreqn by_index = {{htonl(group)}, {0}, 250};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), stream = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(group_request(fd, IP_ADD_MEMBERSHIP, 0x0a000001, here) < 0 && errno == EINVAL);
    CHECK(group_request(fd, IP_ADD_MEMBERSHIP, group, 0xc0000201) < 0 && errno == ENODEV);
    CHECK(group_request(stream, IP_ADD_MEMBERSHIP, group, here) < 0 && errno == EPROTO);
    CHECK(group_request(fd, IP_DROP_MEMBERSHIP, group, here) < 0 && errno == EADDRNOTAVAIL);
    CHECK(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, 4) < 0 && errno == EINVAL);
    CHECK(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof(by_index)) < 0);
    CHECK(errno == ENODEV && close(fd) == 0 && close(stream) == 0);
}

static void multicast_options(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct in_addr address = {htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    unsigned char byte = 3;
    CHECK(option(fd, IPPROTO_IP, IP_MULTICAST_TTL) == 1);
    CHECK(option(fd, IPPROTO_IP, IP_MULTICAST_LOOP) == 1);
    CHECK(option_after(fd, IPPROTO_IP, IP_MULTICAST_TTL, 200) == 200);
    CHECK(option_after(fd, IPPROTO_IP, IP_MULTICAST_TTL, -1) == 1);
    CHECK(refuses(fd, IPPROTO_IP, IP_MULTICAST_TTL, 256, EINVAL));
    CHECK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &byte, 1) == 0);
    CHECK(option(fd, IPPROTO_IP, IP_MULTICAST_TTL) == 3);
    CHECK(option_after(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0) == 0);
    CHECK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof(address)) == 0);
    address.s_addr = 1;
    CHECK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &address, &bytes) == 0);
    address.s_addr = htonl(0xc0000201);
    CHECK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof(address)) == -1);
    CHECK(errno == EADDRNOTAVAIL && close(fd) == 0);
}

/* Who lets nothing linger resets the connection, even if all has arrived. */
static void resets(void)
{
    int client, server;
    struct linger none = {.l_onoff = 1}, some = {.l_onoff = 1, .l_linger = 5};
    char byte;
    pair_new(&client, &server);
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
    CHECK(close(client) == 0);
    CHECK(recv(server, &byte, 1, 0) == -1 && errno == ECONNRESET && close(server) == 0);
    pair_new(&client, &server);
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &some, sizeof(some)) == 0);
    CHECK(fcntl(client, F_SETFL, O_NONBLOCK) == 0);
    CHECK(write(client, "x", 1) == 1 && close(client) == 0);
    CHECK(recv(server, &byte, 1, 0) == 1);
    CHECK(recv(server, &byte, 1, 0) == 0 && close(server) == 0);
    int listener = listener_new(&(struct sockaddr_in){0});
    CHECK(setsockopt(listener, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
    CHECK(close(listener) == 0);
}

/* A socket with options of 1, bound if it can be (else errno); an option that isn't wanted is 0. */
static int bound(const struct sockaddr_in *address, int one, int other, bool *can)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(one == 0 || option_after(fd, SOL_SOCKET, one, 1) == 1);
    CHECK(other == 0 || option_after(fd, SOL_SOCKET, other, 1) == 1);
    *can = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    CHECK(*can || errno == EADDRINUSE);
    return fd;
}

static bool can_bind(const struct sockaddr_in *address, int one, int other)
{
    bool can;
    CHECK(close(bound(address, one, other, &can)) == 0);
    return can;
}

/* Leaves a connection that was accepted at a port in TIME_WAIT; nobody listens there any more. */
static void time_wait_at(struct sockaddr_in *address, int one)
{
    bool can;
    char byte;
    socklen_t bytes = sizeof(*address);
    *address = loopback(0);
    int listener = bound(address, one, 0, &can), client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)address, &bytes) == 0);
    CHECK(connect(client, (struct sockaddr *)address, bytes) == 0);
    int server = accept(listener, NULL, NULL);
    CHECK(close(server) == 0 && close(listener) == 0);
    CHECK(read(client, &byte, 1) == 0 && close(client) == 0);
}

static void used_addresses(void)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);
    bool can;
    time_wait_at(&address, 0);
    CHECK(!can_bind(&address, 0, 0) && !can_bind(&address, SO_REUSEPORT, 0));
    time_wait_at(&address, SO_REUSEADDR);
    CHECK(!can_bind(&address, 0, 0) && !can_bind(&address, SO_REUSEPORT, 0));
    CHECK(can_bind(&address, SO_REUSEADDR, 0));
    time_wait_at(&address, SO_REUSEPORT);
    CHECK(!can_bind(&address, 0, 0) && !can_bind(&address, SO_REUSEADDR, 0));
    CHECK(can_bind(&address, SO_REUSEPORT, 0));

    address = loopback(0);
    int one = bound(&address, SO_REUSEADDR, 0, &can);
    CHECK(can && getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(!can_bind(&address, 0, 0) && can_bind(&address, SO_REUSEADDR, 0));
    int two = bound(&address, SO_REUSEADDR, 0, &can);
    CHECK(can && listen(one, 1) == 0);
    CHECK(listen(two, 1) == -1 && errno == EADDRINUSE);
    CHECK(option_after(two, SOL_SOCKET, SO_REUSEADDR, 0) == 0);
    CHECK(listen(two, 1) == -1 && errno == EADDRINUSE);
    CHECK(!can_bind(&address, SO_REUSEADDR, SO_REUSEPORT));
    CHECK(close(one) == 0 && close(two) == 0);

    address.sin_addr.s_addr = htonl(INADDR_ANY), address.sin_port = 0;
    one = bound(&address, SO_REUSEADDR, 0, &can);
    CHECK(can && getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    address = loopback(address.sin_port);
    two = bound(&address, SO_REUSEADDR, 0, &can);
    CHECK(can && listen(two, 1) == 0);
    CHECK(listen(one, 1) == -1 && errno == EADDRINUSE);
    CHECK(close(two) == 0 && listen(one, 1) == 0 && close(one) == 0);
}

static int accept_all(int listener)
{
    int count = 0, fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0 && close(fd) == 0)
        count++;
    CHECK(errno == EAGAIN);
    return count;
}

/* Who shares a port gets a share of the connections. */
static void shared_ports(void)
{
    enum { MANY = 64 };
    struct sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof(address);
    bool can;
    int one = bound(&address, SO_REUSEPORT, 0, &can), clients[MANY];
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0 && listen(one, MANY) == 0);
    CHECK(!can_bind(&address, 0, 0) && !can_bind(&address, SO_REUSEADDR, 0));
    int two = bound(&address, SO_REUSEPORT, SO_REUSEADDR, &can);
    CHECK(can && listen(two, MANY) == 0);
    for (int i = 0; i < MANY; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(clients[i], (struct sockaddr *)&address, bytes) == 0);
        CHECK(close(clients[i]) == 0);
    }
    CHECK(fcntl(one, F_SETFL, O_NONBLOCK) == 0 && fcntl(two, F_SETFL, O_NONBLOCK) == 0);
    int at_one = accept_all(one), at_two = accept_all(two);
    CHECK(at_one > 0 && at_two > 0 && at_one + at_two == MANY);
    CHECK(close(one) == 0);
    int last = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(last, (struct sockaddr *)&address, bytes) == 0 && accept_all(two) == 1);
    CHECK(close(last) == 0 && close(two) == 0);

    int datagrams = socket(AF_INET, SOCK_DGRAM, 0), others = socket(AF_INET, SOCK_DGRAM, 0);
    address = loopback(0);
    CHECK(option_after(datagrams, SOL_SOCKET, SO_REUSEPORT, 1) == 1);
    CHECK(bind(datagrams, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(datagrams, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(bind(others, (struct sockaddr *)&address, bytes) == -1 && errno == EADDRINUSE);
    CHECK(option_after(others, SOL_SOCKET, SO_REUSEPORT, 1) == 1);
    CHECK(bind(others, (struct sockaddr *)&address, bytes) == 0);
    CHECK(close(datagrams) == 0 && close(others) == 0);
}

/* As many as were asked for wait to be accepted, after a second listen() as after the first. */
static void back_log(void)
{
    enum { MANY = 300 };
    struct sockaddr_in address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), clients[MANY];
    socklen_t bytes = sizeof(address);
    char byte;
    address = loopback(0);
    CHECK(bind(listener, (struct sockaddr *)&address, bytes) == 0 && listen(listener, MANY) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(listen(listener, SOMAXCONN) == 0);
    for (int i = 0; i < MANY; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(clients[i], (struct sockaddr *)&address, bytes) == 0);
        CHECK(write(clients[i], "x", 1) == 1);
    }
    for (int i = 0; i < MANY; i++) {
        int server = accept(listener, NULL, NULL);
        CHECK(server >= 0 && read(server, &byte, 1) == 1 && close(server) == 0);
    }
    for (int i = 0; i < MANY; i++)
        CHECK(close(clients[i]) == 0);
    CHECK(close(listener) == 0);
}

/* The other side takes in nothing: what doesn't fit waits for as long as it may. */
static void user_timeout(void)
{
    static const char data[4096];
    struct sockaddr_in address;
    int listener = listener_new(&address), client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(option(client, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
    CHECK(option_after(client, IPPROTO_TCP, TCP_USER_TIMEOUT, 500) == 500);
    CHECK(refuses(client, IPPROTO_TCP, TCP_USER_TIMEOUT, -1, EINVAL));
    CHECK(option_after(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, 7000) == 7000);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
    int server = accept(listener, NULL, NULL);
    CHECK(option(server, IPPROTO_TCP, TCP_USER_TIMEOUT) == 7000);
    CHECK(option(client, IPPROTO_TCP, TCP_USER_TIMEOUT) == 500);
    while (send(client, data, sizeof(data), MSG_DONTWAIT) > 0)
        continue;
    CHECK(errno == EAGAIN);
    struct pollfd ends = {.fd = client};
    CHECK(poll(&ends, 1, 60000) == 1 && (ends.revents & POLLERR) != 0);
    CHECK(option(client, SOL_SOCKET, SO_ERROR) == ETIMEDOUT);
    CHECK(send(client, data, 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(close(listener) == 0 && close(client) == 0 && close(server) == 0);
}

/* What a listening socket has goes to those that it accepts, unless they have it taken away. */
static void inherited(void)
{
    struct sockaddr_in address;
    int listener = listener_new(&address), client = socket(AF_INET, SOCK_STREAM, 0), value = 0;
    socklen_t bytes = sizeof(value);
    CHECK(getsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value == 0);
    CHECK(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
    CHECK(getsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value != 0);
    CHECK(option_after(listener, IPPROTO_TCP, TCP_KEEPIDLE, 11) == 11);
    CHECK(option_after(listener, IPPROTO_TCP, TCP_KEEPINTVL, 12) == 12);
    CHECK(option_after(listener, IPPROTO_TCP, TCP_KEEPCNT, 3) == 3);
    CHECK(option_after(listener, SOL_SOCKET, SO_KEEPALIVE, 1) == 1);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(option_after(listener, IPPROTO_TCP, TCP_KEEPCNT, 9) == 9); /* of later ones */
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    CHECK(option(server, IPPROTO_TCP, TCP_KEEPIDLE) == 11);
    CHECK(option(server, IPPROTO_TCP, TCP_KEEPINTVL) == 12);
    CHECK(option(server, IPPROTO_TCP, TCP_KEEPCNT) == 3);
    CHECK(option(server, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(server >= 0 && (fcntl(server, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value != 0);
    CHECK(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value == 0);
    CHECK(setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &(int){0}, sizeof(int)) == 0);
    CHECK(getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &value, &bytes) == 0 && value == 0);
    CHECK(close(listener) == 0 && close(client) == 0 && close(server) == 0);
}

/* Whatever is told of it, all comes, in order, and the end behind it. */
static void more_to_come(void)
{
    int client, server;
    char data[16] = "";
    pair_new(&client, &server);
    CHECK(send(client, "ab", 2, MSG_MORE) == 2 && send(client, "cd", 2, 0) == 2);
    CHECK(recv(server, data, 4, MSG_WAITALL) == 4 && memcmp(data, "abcd", 4) == 0);
    CHECK(send(client, "late", 4, MSG_MORE) == 4);
    CHECK(recv(server, data, 4, MSG_WAITALL) == 4 && memcmp(data, "late", 4) == 0);
    CHECK(send(client, "last", 4, MSG_MORE) == 4 && close(client) == 0);
    CHECK(recv(server, data, 5, MSG_WAITALL) == 4 && memcmp(data, "last", 4) == 0);
    CHECK(read(server, data, 1) == 0 && close(server) == 0);
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

/* How a connection ended has its own name, once there was one, however often it was asked for. */
static void reset_after_connecting(int flags)
{
    struct sockaddr_in address;
    struct linger none = {.l_onoff = 1};
    int listener = listener_new(&address), client = socket(AF_INET, SOCK_STREAM | flags, 0);
    int server = -1, error = 0;
    socklen_t bytes = sizeof(error);
    struct pollfd polled = {.fd = client, .events = POLLOUT};
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ||
          errno == EINPROGRESS);
    CHECK(poll(&polled, 1, 5000) == 1 && polled.revents == POLLOUT);
    if (flags == 0)
        CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == -1 &&
              errno == EISCONN);
    CHECK((server = accept(listener, NULL, NULL)) >= 0);
    CHECK(setsockopt(server, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
    CHECK(close(server) == 0);
    polled.events = POLLIN;
    CHECK(poll(&polled, 1, 5000) == 1 && (polled.revents & POLLERR) != 0);
    CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0);
    CHECK(error == ECONNRESET);
    CHECK(close(client) == 0 && close(listener) == 0);
}

/* Who never had a connection isn't waited for, and its error was told. */
static void refused_at_once(void)
{
    struct sockaddr_in address;
    int error = -1, client = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t bytes = sizeof(error);
    char byte;
    CHECK(close(listener_new(&address)) == 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof(address)) == -1 &&
          errno == ECONNREFUSED);
    CHECK(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0);
    CHECK(recv(client, &byte, 1, 0) == -1 && errno == ENOTCONN && close(client) == 0);
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

/* Sends, and waits until the answer is there that nobody listens. */
static void send_in_vain(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    CHECK(send(fd, "x", 1, 0) == 1);
    CHECK(poll(&waiting, 1, 5000) == 1 && waiting.revents == POLLERR);
}

/* Who is connected is told once that nobody listens, whatever is called next; others aren't. */
static void refused_datagrams(const struct sockaddr *nobody, socklen_t bytes)
{
    int fd = socket(nobody->sa_family, SOCK_DGRAM, 0), error = 0;
    int other = socket(nobody->sa_family, SOCK_DGRAM, 0);
    struct timeval span = {.tv_usec = 50000};
    socklen_t error_bytes = sizeof(error);
    char byte;
    CHECK(connect(fd, nobody, bytes) == 0);
    send_in_vain(fd);
    CHECK(recv(fd, &byte, 1, 0) == -1 && errno == ECONNREFUSED);
    CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    send_in_vain(fd);
    CHECK(send(fd, "x", 1, 0) == -1 && errno == ECONNREFUSED);
    send_in_vain(fd);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) == 0);
    CHECK(error == ECONNREFUSED);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) == 0 && error == 0);
    for (int i = 0; i < 20; i++) { /* mostly while it waits */
        CHECK(send(fd, "x", 1, 0) == 1);
        CHECK(recv(fd, &byte, 1, 0) == -1 && errno == ECONNREFUSED);
    }
    CHECK(sendto(other, "x", 1, 0, nobody, bytes) == 1);
    CHECK(setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof(span)) == 0);
    CHECK(recv(other, &byte, 1, 0) == -1 && errno == EAGAIN);
    CHECK(close(fd) == 0 && close(other) == 0);
}

/* A port of the loopback's that nobody has: who had it has closed it. */
static void refused(void)
{
    struct sockaddr_in nobody = loopback(0);
    socklen_t bytes = sizeof(nobody);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&nobody, bytes) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&nobody, &bytes) == 0 && close(fd) == 0);
    refused_datagrams((struct sockaddr *)&nobody, bytes);
}

static void *end_receiving(void *fd)
{
    usleep(1000); /* so that the other thread mostly waits; it would be right otherwise, too */
    CHECK(shutdown((int)(intptr_t)fd, SHUT_RD) == 0);
    return NULL;
}

static void datagrams_end(void)
{
    struct sockaddr_in address = loopback(0), own;
    socklen_t bytes = sizeof(address);
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    struct pollfd waiting = {.fd = two, .events = POLLIN | POLLRDHUP};
    char data[4];
    pthread_t thread;
    CHECK(bind(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(shutdown(two, SHUT_RD) == -1 && errno == ENOTCONN && close(two) == 0);
    two = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(connect(two, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(two, (struct sockaddr *)&own, &bytes) == 0);
    CHECK(own.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && own.sin_port != 0);
    CHECK(sendto(one, "ab", 2, 0, (struct sockaddr *)&own, bytes) == 2);
    CHECK(shutdown(two, SHUT_WR) == 0 && shutdown(two, SHUT_WR) == 0);
    CHECK(send(two, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(recv(two, data, sizeof(data), 0) == 2);
    CHECK(pthread_create(&thread, NULL, end_receiving, (void *)(intptr_t)two) == 0);
    CHECK(recv(two, data, sizeof(data), 0) == 0 && recv(two, data, sizeof(data), 0) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(poll(&waiting, 1, 0) == 1);
    CHECK(waiting.revents == (POLLIN | POLLRDHUP | POLLHUP));
    CHECK(close(one) == 0 && close(two) == 0);
}

/* What isn't there for what has no position and no file system. */
static void no_file(int fd, mode_t kind)
{
    struct stat status;
    char byte;
    CHECK(fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == kind);
    CHECK(fsync(fd) == -1 && errno == EINVAL);
    CHECK(fdatasync(fd) == -1 && errno == EINVAL);
    CHECK(ftruncate(fd, 0) == -1 && errno == EINVAL);
    CHECK(lseek(fd, 0, SEEK_CUR) == -1 && errno == ESPIPE);
    CHECK(pread(fd, &byte, 1, 0) == -1 && errno == ESPIPE);
    CHECK(ioctl(fd, FIONBIO, &(int){1}) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(ioctl(fd, FIONBIO, &(int){0}) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    CHECK(ioctl(fd, 0x4321, &byte) == -1 && errno == ENOTTY);
}

static void no_files(void)
{
    struct sockaddr_in address;
    int listener = listener_new(&address), datagrams = socket(AF_INET, SOCK_DGRAM, 0), fds[2];
    int waiting = -1;
    no_file(listener, S_IFSOCK);
    no_file(datagrams, S_IFSOCK);
    CHECK((fcntl(datagrams, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(ioctl(listener, FIONREAD, &waiting) == -1 && errno == EINVAL);
    CHECK(ioctl(datagrams, FIONREAD, &waiting) == 0 && waiting == 0);
    CHECK(close(listener) == 0 && close(datagrams) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    no_file(fds[0], S_IFSOCK);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
    CHECK(pipe(fds) == 0);
    no_file(fds[0], S_IFIFO);
    CHECK((fcntl(fds[1], F_GETFL) & O_ACCMODE) == O_WRONLY);
    CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

/* What a socket of which too little is known, or that is asked for too much, says. */
static void refusals(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof(address);
    static char data[70000];
    int stream = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_DGRAM, 0);
    int other = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(recv(stream, data, 1, 0) == -1 && errno == ENOTCONN);
    CHECK(bind(stream, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(read(stream, data, 1) == -1 && errno == ENOTCONN);
    CHECK(bind(stream, (struct sockaddr *)&address, sizeof(address)) == -1 && errno == EINVAL);
    CHECK(send(other, data, 1, 0) == -1 && errno == EDESTADDRREQ);
    CHECK(bind(one, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(bind(one, (struct sockaddr *)&address, sizeof(address)) == -1 && errno == EINVAL);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(sendto(one, data, 65508, 0, (struct sockaddr *)&address, bytes) == -1);
    CHECK(errno == EMSGSIZE);
    CHECK(connect(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(send(one, data, sizeof(data), 0) == -1 && errno == EMSGSIZE);
    close(stream), close(one), close(other);
    stream = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(0xc0000201); /* of a network for documentation */
    CHECK(bind(stream, (struct sockaddr *)&address, sizeof(address)) == -1);
    CHECK(errno == EADDRNOTAVAIL);
    close(stream);
    CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP) == -1 && errno == EPROTONOSUPPORT);
    CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP) == -1 && errno == EPROTONOSUPPORT);
}

/* Who reads less than the datagram gets that, or is told of all with MSG_TRUNC, and of no ancillary data. */
static void cut_datagrams(void)
{
    struct sockaddr_in address = loopback(0), from;
    socklen_t bytes = sizeof(address);
    char data[8] = "", control[64];
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(sendto(two, "datagram", 8, 0, (struct sockaddr *)&address, bytes) == 8);
    bytes = sizeof(from);
    CHECK(recvfrom(one, data, 3, MSG_PEEK | MSG_TRUNC, (struct sockaddr *)&from, &bytes) == 8);
    CHECK(bytes == sizeof(from) && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(memcmp(data, "dat", 4) == 0 && recv(one, data, 3, MSG_TRUNC) == 8);
    struct iovec parts[2] = {{data, 2}, {data + 2, 1}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    CHECK(recvmsg(one, &message, 0) == 3 && message.msg_flags == MSG_TRUNC);
    CHECK(message.msg_controllen == 0 && recvmsg(one, &message, MSG_TRUNC) == 8);
    CHECK(recv(one, data, sizeof(data), 0) == 8 && memcmp(data, "datagram", 8) == 0);
    CHECK(recv(one, data, 1, MSG_DONTWAIT | MSG_TRUNC) == -1 && errno == EAGAIN);
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

/* Until so many bytes wait in a stream. */
static void await_bytes(int fd, int bytes)
{
    int waiting = 0;
    for (int i = 0; i < 5000 && waiting < bytes; i++) {
        usleep(1000);
        CHECK(ioctl(fd, FIONREAD, &waiting) == 0);
    }
    CHECK(waiting == bytes);
}

/* All that came before a reset, then the reset itself. */
static void resets_behind_data(void)
{
    struct linger none = {.l_onoff = 1};
    int client, server;
    char data[16];
    struct iovec parts[2] = {{data, 4}, {data + 4, 4}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    for (int i = 0; i < 3; i++) {
        pair_new(&client, &server);
        struct pollfd polled = {.fd = server};
        CHECK(send(client, "abcd", 4, 0) == 4);
        await_bytes(server, 4);
        CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
        CHECK(close(client) == 0 && poll(&polled, 1, 5000) == 1);
        CHECK((i == 0   ? recv(server, data, 8, MSG_WAITALL)
               : i == 1 ? recvmsg(server, &message, MSG_WAITALL)
                        : recvmsg(server, &message, 0)) == 4);
        CHECK(recv(server, data, 8, 0) == -1 && errno == ECONNRESET && close(server) == 0);
    }
}

/* Parts without room; looking at what several segments brought; more parts than there may be. */
static void parts_of_streams(void)
{
    int client, server;
    char data[16] = "";
    struct sockaddr_in from;
    static struct iovec many[IOV_MAX + 1];
    struct iovec parts[4] = {{NULL, 0}, {data, 3}, {NULL, 0}, {data + 3, 5}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
    pair_new(&client, &server);
    CHECK(recvmsg(server, &message, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    CHECK(write(client, "abcd", 4) == 4);
    await_bytes(server, 4);
    CHECK(write(client, "ef", 2) == 2);
    await_bytes(server, 6);
    CHECK(recv(server, data, sizeof(data), MSG_PEEK) == 6 && memcmp(data, "abcdef", 6) == 0);
    memset(data, 0, sizeof(data));
    message.msg_name = &from, message.msg_namelen = sizeof(from), message.msg_flags = -1;
    CHECK(recvmsg(server, &message, MSG_PEEK) == 6 && memcmp(data, "abcdef", 7) == 0);
    CHECK(message.msg_namelen == 0 && message.msg_flags == 0);
    message.msg_iovlen = 0;
    CHECK(recvmsg(server, &message, 0) == 0);
    message.msg_iovlen = 4;
    CHECK(recvmsg(server, &message, 0) == 6 && memcmp(data, "abcdef", 7) == 0);
    CHECK(read(server, data, 0) == 0);
    message.msg_name = NULL;
    CHECK(sendmsg(client, &message, 0) == 8 && readv(server, parts + 1, 1) == 3);
    CHECK(readv(server, parts, 4) == 5 && memcmp(data, "defdef", 6) != 0);
    CHECK(write(client, "xyz", 3) == 3 && readv(server, parts, 4) == 3); /* and waits no more */
    CHECK(write(client, "12345678", 8) == 8 && recvmsg(server, &message, MSG_WAITALL) == 8);
    for (int i = 0; i < IOV_MAX + 1; i++)
        many[i] = (struct iovec){data, 1};
    message.msg_iov = many, message.msg_iovlen = IOV_MAX;
    CHECK(sendmsg(client, &message, 0) == IOV_MAX);
    CHECK(recvmsg(server, &message, MSG_WAITALL) == IOV_MAX);
    message.msg_iovlen = IOV_MAX + 1;
    CHECK(sendmsg(client, &message, 0) == -1 && errno == EMSGSIZE);
    CHECK(recvmsg(server, &message, 0) == -1 && errno == EMSGSIZE);
    CHECK(writev(client, many, IOV_MAX + 1) == -1 && errno == EINVAL);
    CHECK(close(client) == 0 && close(server) == 0);
}

static void parts_of_datagrams(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof(address);
    char data[8] = "12345678";
    static char whole[IOV_MAX], large[40000];
    static struct iovec many[IOV_MAX];
    struct iovec parts[4] = {{NULL, 0}, {data, 3}, {NULL, 0}, {data + 3, 5}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(connect(two, (struct sockaddr *)&address, bytes) == 0);
    CHECK(sendmsg(two, &message, 0) == 8);
    memset(data, 0, sizeof(data));
    CHECK(recvmsg(one, &message, MSG_PEEK) == 8 && memcmp(data, "12345678", 8) == 0);
    memset(data, 0, sizeof(data));
    CHECK(readv(one, parts, 4) == 8 && memcmp(data, "12345678", 8) == 0);
    message.msg_iovlen = 0;
    CHECK(sendmsg(two, &message, 0) == 0 && recv(one, data, sizeof(data), 0) == 0);
    CHECK(send(two, "abc", 3, 0) == 3 && send(two, "d", 1, 0) == 1);
    CHECK(recvmsg(one, &message, 0) == 0 && message.msg_flags == MSG_TRUNC);
    CHECK(recv(one, data, sizeof(data), 0) == 1 && data[0] == 'd');
    for (int i = 0; i < IOV_MAX; i++)
        many[i] = (struct iovec){&whole[i], 1}, whole[i] = (char)i;
    message.msg_iov = many, message.msg_iovlen = IOV_MAX;
    CHECK(sendmsg(two, &message, 0) == IOV_MAX);
    memset(whole, 0, sizeof(whole));
    CHECK(recvmsg(one, &message, 0) == IOV_MAX && whole[IOV_MAX - 1] == (char)(IOV_MAX - 1));
    many[0] = (struct iovec){large, 40000}, many[1] = (struct iovec){large, 25508};
    message.msg_iovlen = 2;
    CHECK(sendmsg(two, &message, 0) == -1 && errno == EMSGSIZE);
    /* As much of a name as has room, and its whole length. */
    CHECK(send(two, "x", 1, 0) == 1);
    bytes = 4;
    CHECK(recvfrom(one, data, 1, 0, (struct sockaddr *)&address, &bytes) == 1);
    CHECK(bytes == sizeof(address));
    CHECK(close(one) == 0 && close(two) == 0);
}

static void parts_of_pipes(void)
{
    int fds[2];
    char data[4];
    struct iovec parts[2] = {{data, 2}, {data + 2, 2}};
    CHECK(pipe(fds) == 0 && write(fds[1], "ab", 2) == 2);
    CHECK(readv(fds[0], parts, 2) == 2); /* and waits no more */
    CHECK(writev(fds[1], parts, 2) == 4 && readv(fds[0], parts, 2) == 4);
    CHECK(close(fds[1]) == 0 && readv(fds[0], parts, 2) == 0 && close(fds[0]) == 0);
    CHECK(readv(fds[0], parts, 0) == -1 && errno == EBADF);
    CHECK(writev(fds[0], parts, 0) == -1 && errno == EBADF);
}

/* What a control message of a received datagram says. */
static void arrival(int one, int two, const struct sockaddr *to, socklen_t bytes, int level,
                    int option, int type, void *info, size_t info_bytes)
{
    char data[4], control[64];
    struct iovec part = {data, sizeof(data)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    int on = 1;
    CHECK(setsockopt(one, level, option, &on, sizeof(on)) == 0);
    CHECK(sendto(two, "ab", 2, 0, to, bytes) == 2 && sendto(two, "cd", 2, 0, to, bytes) == 2);
    message.msg_controllen = sizeof(control);
    CHECK(recvmsg(one, &message, 0) == 2 && message.msg_flags == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header != NULL && header->cmsg_level == level && header->cmsg_type == type);
    CHECK(header->cmsg_len == CMSG_LEN(info_bytes) && CMSG_NXTHDR(&message, header) == NULL);
    memcpy(info, CMSG_DATA(header), info_bytes);
    message.msg_controllen = 0;
    CHECK(recvmsg(one, &message, 0) == 2 && message.msg_flags == MSG_CTRUNC);
    on = 0;
    CHECK(setsockopt(one, level, option, &on, sizeof(on)) == 0);
    CHECK(sendto(two, "ef", 2, 0, to, bytes) == 2);
    message.msg_controllen = sizeof(control);
    CHECK(recvmsg(one, &message, 0) == 2 && message.msg_controllen == 0);
}

static void arrivals(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof(address);
    struct in_pktinfo info;
    char name[IF_NAMESIZE];
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    arrival(one, two, (struct sockaddr *)&address, bytes, IPPROTO_IP, IP_PKTINFO, IP_PKTINFO, &info,
            sizeof(info));
    CHECK(info.ipi_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(info.ipi_spec_dst.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(if_indextoname((unsigned)info.ipi_ifindex, name) == name && strncmp(name, "lo", 2) == 0);
    CHECK(close(one) == 0 && close(two) == 0);
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
    CHECK(fcntl(server, F_GETFD) == FD_CLOEXEC && fcntl(listener, F_GETFD) == 0);
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

/* Several datagrams by one call. */
static void many_datagrams(void)
{
    struct sockaddr_in address = loopback(0), from[3];
    socklen_t bytes = sizeof(address);
    char data[3][4] = {"a", "bc", "def"};
    struct iovec parts[3] = {{data[0], 1}, {data[1], 2}, {data[2], 3}};
    struct mmsghdr messages[3] = {0};
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 3; i++) {
        messages[i].msg_hdr.msg_iov = &parts[i], messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &address, messages[i].msg_hdr.msg_namelen = bytes;
    }
    CHECK(bind(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    CHECK(sendmmsg(two, messages, 3, 0) == 3 && messages[2].msg_len == 3);
    for (int i = 0; i < 3; i++) {
        parts[i].iov_len = sizeof(data[i]);
        messages[i].msg_hdr.msg_name = &from[i];
    }
    CHECK(recvmmsg(one, messages, 3, 0, NULL) == 3);
    CHECK(messages[0].msg_len == 1 && messages[1].msg_len == 2 && messages[2].msg_len == 3);
    CHECK(from[2].sin_port != 0 && from[2].sin_port == from[0].sin_port && data[1][1] == 'c');
    CHECK(recvmmsg(one, messages, 3, MSG_DONTWAIT, NULL) == -1 && errno == EAGAIN);
    CHECK(close(one) == 0 && close(two) == 0);
}

/* Neither errors in a queue nor bytes out of band. */
static void nothing_else(void)
{
    int client, server, fd = socket(AF_INET, SOCK_DGRAM, 0);
    char data[4];
    struct iovec part = {data, sizeof(data)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    pair_new(&client, &server);
    CHECK(recvmsg(fd, &message, MSG_ERRQUEUE) == -1 && errno == EAGAIN);
    CHECK(recv(fd, data, sizeof(data), MSG_ERRQUEUE) == -1 && errno == EAGAIN);
    CHECK(recv(server, data, sizeof(data), MSG_ERRQUEUE) == -1 && errno == EAGAIN);
    CHECK(sockatmark(server) == 0);
    CHECK(sockatmark(fd) == -1 && sockatmark(STDOUT_FILENO) == -1);
    CHECK(close(client) == 0 && close(server) == 0 && close(fd) == 0);
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

/* The loopback's name. */
static const char *loopback_name(void)
{
    static char name[IF_NAMESIZE];
    struct if_nameindex *all = if_nameindex();
    CHECK(all != NULL);
    for (const struct if_nameindex *one = all; one->if_index != 0; one++)
        if (strncmp(one->if_name, "lo", 2) == 0)
            strcpy(name, one->if_name); /* NOLINT: it fits */
    if_freenameindex(all);
    return name;
}

static uint32_t answered(const struct sockaddr *answer)
{
    struct sockaddr_in address;
    memcpy(&address, answer, sizeof(address));
    CHECK(address.sin_family == AF_INET);
    return ntohl(address.sin_addr.s_addr);
}

/* The older way to ask for them. */
static void interface_requests(void)
{
    struct ifreq one = {0}, all[8];
    struct ifconf list = {.ifc_len = 0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), loopbacks = 0;
    strcpy(one.ifr_name, loopback_name()); /* NOLINT: it fits */
    CHECK(ioctl(fd, SIOCGIFADDR, &one) == 0);
    CHECK(answered(&one.ifr_addr) == INADDR_LOOPBACK);
    CHECK(ioctl(fd, SIOCGIFNETMASK, &one) == 0);
    CHECK(answered(&one.ifr_netmask) == 0xff000000);
    CHECK(ioctl(fd, SIOCGIFFLAGS, &one) == 0);
    CHECK((one.ifr_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
    CHECK(ioctl(fd, SIOCGIFMTU, &one) == 0 && one.ifr_mtu == 65536);
    CHECK(ioctl(fd, SIOCGIFHWADDR, &one) == 0 && one.ifr_hwaddr.sa_family == 772);
    CHECK(ioctl(fd, SIOCGIFINDEX, &one) == 0);
    CHECK(one.ifr_ifindex == (int)if_nametoindex(loopback_name()));
    memset(one.ifr_name, 0, sizeof(one.ifr_name));
    CHECK(ioctl(fd, SIOCGIFNAME, &one) == 0 && strcmp(one.ifr_name, loopback_name()) == 0);
    memset(one.ifr_name, 'x', sizeof(one.ifr_name));
    CHECK(ioctl(fd, SIOCGIFADDR, &one) == -1 && errno == ENODEV);
    CHECK(ioctl(fd, 0x89ee, &one) == -1 && errno == ENOTTY);
    CHECK(ioctl(fd, SIOCGIFCONF, &list) == 0 && list.ifc_len >= (int)sizeof(one));
    list.ifc_len = sizeof(all), list.ifc_req = all;
    CHECK(ioctl(fd, SIOCGIFCONF, &list) == 0 && list.ifc_len % (int)sizeof(one) == 0);
    for (size_t i = 0; i < (size_t)list.ifc_len / sizeof(one); i++)
        loopbacks += answered(&all[i].ifr_addr) == INADDR_LOOPBACK;
    CHECK(loopbacks == 1);
    list.ifc_len = sizeof(one) - 1;
    CHECK(ioctl(fd, SIOCGIFCONF, &list) == 0 && list.ifc_len == 0);
    CHECK(close(fd) == 0);
}

/* What only one interface may bring. Linux lets not everybody choose it. */
static void bound_to_devices(void)
{
    struct sockaddr_in address = loopback(0);
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
    char name[IF_NAMESIZE] = "x";
    socklen_t bytes = sizeof(name), address_bytes = sizeof(address);
    CHECK(getsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, name, &bytes) == 0 && bytes == 0);
    CHECK(setsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, "none7", 5) == -1);
    CHECK(errno == ENODEV || errno == EPERM);
    const char *loopback = loopback_name();
    if (setsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, loopback, (socklen_t)strlen(loopback)) == 0) {
        bytes = sizeof(name);
        CHECK(getsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, name, &bytes) == 0);
        CHECK(bytes == strlen(loopback) + 1 && strcmp(name, loopback) == 0);
        bytes = 4;
        CHECK(getsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, name, &bytes) == -1);
        CHECK(errno == EINVAL);
        CHECK(bind(one, (struct sockaddr *)&address, sizeof(address)) == 0);
        CHECK(getsockname(one, (struct sockaddr *)&address, &address_bytes) == 0);
        CHECK(sendto(two, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1);
        CHECK(recv(one, name, 1, 0) == 1);
        CHECK(setsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, "", 0) == 0);
        bytes = sizeof(name);
        CHECK(getsockopt(one, SOL_SOCKET, SO_BINDTODEVICE, name, &bytes) == 0 && bytes == 0);
    } else
        CHECK(errno == EPERM);
    CHECK(close(one) == 0 && close(two) == 0);
}

static void interface_addresses(void)
{
    struct ifaddrs *all;
    CHECK(getifaddrs(&all) == 0);
    unsigned loopbacks = 0;
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        CHECK(if_nametoindex(one->ifa_name) != 0);
        if ((one->ifa_flags & (IFF_BROADCAST | IFF_NOARP)) == IFF_BROADCAST)
            CHECK((one->ifa_flags & IFF_MULTICAST) != 0);
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

/*
 * IPv6
 */

static struct sockaddr_in6 loopback6(in_port_t port)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

static void check_text6(const char *text, const char *canonical)
{
    struct in6_addr address;
    char back[INET6_ADDRSTRLEN];
    CHECK(inet_pton(AF_INET6, text, &address) == 1);
    CHECK(inet_ntop(AF_INET6, &address, back, sizeof(back)) != NULL);
    if (strcmp(back, canonical) != 0)
        printf("sockets: %s became %s\n", text, back);
    CHECK(strcmp(back, canonical) == 0);
    CHECK(inet_ntop(AF_INET6, &address, back, (socklen_t)strlen(canonical)) == NULL &&
          errno == ENOSPC);
}

static void texts6(void)
{
    static const char *const wrong[] = {
        "",
        ":",
        ":::",
        "1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "g::",
        "1:",
        ":1",
        "1:2:3:4:5:6:7:8::",
        "::1.2.3",
        "::1.2.3.256",
        "1.2.3.4::",
        "::1%en",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1 ",
        "::1:",
        "1.2.3.4",
    };
    struct in6_addr address;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK(inet_pton(AF_INET6, wrong[i], &address) == 0);
    check_text6("::", "::");
    check_text6("::1", "::1");
    check_text6("1::", "1::");
    check_text6("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
    check_text6("2001:0db8::0001:1:1:1:1", "2001:db8:0:1:1:1:1:1");
    check_text6("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");
    check_text6("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8");
    check_text6("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0");
    check_text6("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8");
    check_text6("::ffff:192.0.2.1", "::ffff:192.0.2.1");
    check_text6("::FFFF:c000:201", "::ffff:192.0.2.1");
    check_text6("64:ff9b::192.0.2.33", "64:ff9b::c000:221");
    CHECK(IN6_IS_ADDR_LOOPBACK(&in6addr_loopback) && IN6_IS_ADDR_UNSPECIFIED(&in6addr_any));
    CHECK(inet_pton(AF_INET6, "ff02::1", &address) == 1 && IN6_IS_ADDR_MC_LINKLOCAL(&address));
    CHECK(!IN6_IS_ADDR_MC_GLOBAL(&address) && !IN6_IS_ADDR_LINKLOCAL(&address));
}

static int listener6_new(struct sockaddr_in6 *address, int only)
{
    socklen_t bytes = sizeof(*address);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
    *address = (struct sockaddr_in6){.sin6_family = AF_INET6};
    CHECK(bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &bytes) == 0 && bytes == sizeof(*address));
    CHECK(address->sin6_family == AF_INET6 && address->sin6_port != 0);
    return fd;
}

/* A client of either family at the same listener; IPv4's has a mapped address. */
static void both_families_at_once(void)
{
    struct sockaddr_in6 address, peer;
    socklen_t bytes = sizeof(peer);
    char data[4];
    int listener = listener6_new(&address, 0);
    struct sockaddr_in6 there6 = loopback6(address.sin6_port);
    struct sockaddr_in there4 = loopback(address.sin6_port);
    int client6 = socket(AF_INET6, SOCK_STREAM, 0), client4 = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client6, (struct sockaddr *)&there4, sizeof(there6)) < 0);
    CHECK(connect(client6, (struct sockaddr *)&there6, sizeof(there6)) == 0);
    int server = accept(listener, (struct sockaddr *)&peer, &bytes);
    CHECK(server >= 0 && bytes == sizeof(peer) && IN6_IS_ADDR_LOOPBACK(&peer.sin6_addr));
    CHECK(send(client6, "six", 3, 0) == 3 && recv(server, data, 4, 0) == 3);
    CHECK(send(server, "yes", 3, 0) == 3 && recv(client6, data, 4, 0) == 3);
    close(server), close(client6);
    CHECK(connect(client4, (struct sockaddr *)&there4, sizeof(there4)) == 0);
    server = accept(listener, (struct sockaddr *)&peer, &bytes);
    CHECK(server >= 0 && peer.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    CHECK(getsockname(server, (struct sockaddr *)&peer, &bytes) == 0);
    CHECK(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr) && peer.sin6_addr.s6_addr[12] == 127);
    CHECK(send(client4, "four", 4, 0) == 4 && recv(server, data, 4, 0) == 4);
    close(server), close(client4), close(listener);

    /* A mapped address leads to IPv4. */
    struct sockaddr_in address4;
    listener = listener_new(&address4);
    there6 = loopback6(address4.sin_port);
    CHECK(inet_pton(AF_INET6, "::ffff:127.0.0.1", &there6.sin6_addr) == 1);
    client6 = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(connect(client6, (struct sockaddr *)&there6, sizeof(there6)) == 0);
    close(client6), close(listener);
}

static void ipv6_alone(void)
{
    struct sockaddr_in6 address;
    int only = 0, hops = 9;
    socklen_t bytes = sizeof(only);
    int listener = listener6_new(&address, 1), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in there = loopback(address.sin6_port);
    CHECK(getsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, &bytes) == 0 && only == 1);
    CHECK(connect(client, (struct sockaddr *)&there, sizeof(there)) < 0 && errno == ECONNREFUSED);
    close(client);
    CHECK(setsockopt(listener, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(hops)) == 0);
    hops = 0;
    CHECK(getsockopt(listener, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, &bytes) == 0 && hops == 9);
    hops = 256;
    CHECK(setsockopt(listener, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(hops)) < 0);
    CHECK(errno == EINVAL);
    close(listener);
}

static void datagrams6(void)
{
    struct sockaddr_in6 address = loopback6(0), from;
    socklen_t bytes = sizeof(address);
    char data[3000];
    int one = socket(AF_INET6, SOCK_DGRAM, 0), two = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    memset(data, 'z', sizeof(data));
    CHECK(sendto(two, data, sizeof(data), 0, (struct sockaddr *)&address, bytes) == sizeof(data));
    memset(data, 0, sizeof(data));
    CHECK(recvfrom(one, data, sizeof(data), 0, (struct sockaddr *)&from, &bytes) == sizeof(data));
    CHECK(data[2999] == 'z' && IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
    CHECK(sendto(one, "back", 4, 0, (struct sockaddr *)&from, bytes) == 4);
    CHECK(recv(two, data, sizeof(data), 0) == 4);
    close(one), close(two);
}

static void refused6(void)
{
    struct sockaddr_in6 nobody = loopback6(0);
    socklen_t bytes = sizeof(nobody);
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&nobody, bytes) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&nobody, &bytes) == 0 && close(fd) == 0);
    refused_datagrams((struct sockaddr *)&nobody, bytes);
}

static void arrivals6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t bytes = sizeof(address);
    struct in6_pktinfo info;
    int one = socket(AF_INET6, SOCK_DGRAM, 0), two = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(bind(one, (struct sockaddr *)&address, bytes) == 0);
    CHECK(getsockname(one, (struct sockaddr *)&address, &bytes) == 0);
    address.sin6_addr = in6addr_loopback;
    arrival(one, two, (struct sockaddr *)&address, bytes, IPPROTO_IPV6, IPV6_RECVPKTINFO,
            IPV6_PKTINFO, &info, sizeof(info));
    CHECK(IN6_IS_ADDR_LOOPBACK(&info.ipi6_addr));
    CHECK(info.ipi6_ifindex != 0);
    CHECK(close(one) == 0 && close(two) == 0);
}

static void options6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6);
    CHECK(option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 1);
    CHECK(option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP) == 1);
    CHECK(option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF) == 0);
    CHECK(option_after(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 0) == 0);
    CHECK(option_after(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, -1) == 1);
    CHECK(refuses(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 256, EINVAL));
    CHECK(option_after(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0) == 0);
    CHECK(refuses(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 250, ENODEV));
    struct if_nameindex *all = if_nameindex();
    int index = (int)all[0].if_index;
    CHECK(option_after(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index) == index);
    if_freenameindex(all);
    CHECK(option_after(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1) >= 64 && close(fd) == 0);
}

static void names6(void)
{
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM}, *list;
    char host[64], service[16];
    CHECK(getaddrinfo("fd00::7", "80", &hints, &list) == 0);
    const struct sockaddr_in6 *found = (const struct sockaddr_in6 *)list->ai_addr;
    CHECK(list->ai_family == AF_INET6 && list->ai_addrlen == sizeof(*found));
    CHECK(list->ai_next == NULL && found->sin6_port == htons(80));
    CHECK(getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof(host), service, sizeof(service),
                      NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    CHECK(strcmp(host, "fd00::7") == 0 && strcmp(service, "80") == 0);
    freeaddrinfo(list);
    hints.ai_flags = AI_NUMERICHOST;
    CHECK(getaddrinfo("10.0.0.1", "80", &hints, &list) != 0);
    hints.ai_flags = AI_NUMERICHOST | AI_V4MAPPED;
    CHECK(getaddrinfo("10.0.0.1", "80", &hints, &list) == 0);
    CHECK(IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)list->ai_addr)->sin6_addr));
    freeaddrinfo(list);
    hints.ai_family = AF_INET, hints.ai_flags = AI_NUMERICHOST;
    CHECK(getaddrinfo("::1", "80", &hints, &list) != 0);
    hints.ai_family = AF_INET6, hints.ai_flags = AI_PASSIVE;
    CHECK(getaddrinfo(NULL, "80", &hints, &list) == 0);
    CHECK(IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)list->ai_addr)->sin6_addr));
    freeaddrinfo(list);
}

/* A guest always has it, a Linux host need not. */
static bool has_ipv6(void)
{
#ifndef __skep__
    struct sockaddr_in6 address = loopback6(0);
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    bool works = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0)
        close(fd);
    return works;
#else
    return true;
#endif
}

int main(void)
{
    names();
    services_and_protocols();
    texts6();
    names6();
    if (has_ipv6()) {
        both_families_at_once();
        ipv6_alone();
        datagrams6();
        refused6();
        arrivals6();
        options6();
    }
    many_datagrams();
    nothing_else();
    interfaces();
    interface_addresses();
    interface_requests();
    bound_to_devices();
    datagrams();
    cut_datagrams();
    refused();
    datagrams_end();
    refusals();
    no_files();
    streams();
    options();
    socket_options();
    spans();
    header_options();
    tcp_options();
    queues();
    connection_info();
    multicast_options();
    group_requests();
    resets();
    used_addresses();
    shared_ports();
    back_log();
    user_timeout();
    inherited();
    more_to_come();
    connecting();
    reset_after_connecting(0);
    reset_after_connecting(SOCK_NONBLOCK);
    refused_at_once();
    resets_behind_data();
    messages();
    parts_of_streams();
    parts_of_datagrams();
    parts_of_pipes();
    arrivals();
    events();
    early_data();
    ends();
    threads();
    printf("sockets: all %d checks passed\n", checks);
    return 0;
}
