/*
 * test_loopback.c - lwIP's port under load: threads that talk over 127.0.0.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>
#include <cmocka.h>

#include "lwip/sockets.h"
#include "skep/net.h"

enum { PORT = 7, BYTES = 4 * 1024 * 1024, CLIENTS = 8, TURNS = 200 };

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){.sin_len = sizeof(struct sockaddr_in),
                                .sin_family = AF_INET,
                                .sin_port = lwip_htons(port),
                                .sin_addr.s_addr = lwip_htonl(INADDR_LOOPBACK)};
}

static int listen_with_places(uint16_t port, int places)
{
    struct sockaddr_in address = address_of(port);
    int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    int on = 1;
    assert_int_equal(lwip_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(lwip_bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(lwip_listen(fd, places), 0);
    return fd;
}

static int listen_on(uint16_t port)
{
    return listen_with_places(port, 16);
}

static int connect_from(uint16_t own_port, uint16_t port)
{
    struct sockaddr_in address = address_of(port), own = address_of(own_port);
    int on = 1, fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(lwip_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(lwip_bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    int error = lwip_connect(fd, (struct sockaddr *)&address, sizeof(address));
    assert_true(error == 0 || errno == EADDRINUSE);
    if (error == 0)
        return fd;
    lwip_close(fd);
    return -1;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = address_of(port);
    int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static uint8_t pattern(size_t position)
{
    return (uint8_t)(position * 31 + position / 251);
}

static void *sender(void *argument)
{
    (void)argument;
    static uint8_t data[8192];
    int fd = connect_to(PORT);
    for (size_t done = 0; done < BYTES; done += sizeof(data)) {
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = pattern(done + i);
        assert_int_equal(lwip_send(fd, data, sizeof(data), 0), sizeof(data));
    }
    lwip_close(fd);
    return NULL;
}

static void a_stream_arrives_whole(void **state)
{
    (void)state;
    static uint8_t data[5000];
    int listener = listen_on(PORT);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, sender, NULL), 0);
    int fd = lwip_accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    size_t done = 0;
    for (;;) {
        ssize_t bytes = lwip_recv(fd, data, sizeof(data), 0);
        assert_true(bytes >= 0);
        if (bytes == 0)
            break;
        for (ssize_t i = 0; i < bytes; i++)
            assert_int_equal(data[i], pattern(done + (size_t)i));
        done += (size_t)bytes;
    }
    assert_int_equal(done, BYTES);
    pthread_join(thread, NULL);
    lwip_close(fd);
    lwip_close(listener);
}

static void *client(void *argument)
{
    (void)argument;
    for (int turn = 0; turn < TURNS; turn++) {
        int fd = connect_to(PORT);
        assert_int_equal(lwip_send(fd, &turn, sizeof(turn), 0), sizeof(turn));
        int answer = 0;
        assert_int_equal(lwip_recv(fd, &answer, sizeof(answer), 0), sizeof(answer));
        assert_int_equal(answer, turn + 1);
        lwip_close(fd);
    }
    return NULL;
}

static void *server_of_one(void *argument)
{
    int fd = (int)(intptr_t)argument, number = 0;
    assert_int_equal(lwip_recv(fd, &number, sizeof(number), 0), sizeof(number));
    number++;
    assert_int_equal(lwip_send(fd, &number, sizeof(number), 0), sizeof(number));
    lwip_close(fd); /* first: hundreds of connections in TIME_WAIT */
    return NULL;
}

static void many_connections_in_many_threads(void **state)
{
    (void)state;
    int listener = listen_on(PORT);
    pthread_t clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, client, NULL), 0);
    for (int i = 0; i < CLIENTS * TURNS; i++) {
        int fd = lwip_accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, server_of_one, (void *)(intptr_t)fd), 0);
        pthread_detach(thread);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    lwip_close(listener);
}

static void receive_times_out(void **state)
{
    (void)state;
    int fd = lwip_socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = address_of(PORT);
    assert_int_equal(lwip_bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    struct timeval timeout = {.tv_usec = 20000};
    assert_int_equal(lwip_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    char byte;
    assert_int_equal(lwip_recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    /* What has arrived is waited for as long as it takes. */
    timeout.tv_usec = 0;
    assert_int_equal(lwip_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(lwip_sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)), 1);
    assert_int_equal(lwip_recv(fd, &byte, 1, 0), 1);
    lwip_close(fd);
}

static void a_closed_port_refuses(void **state)
{
    (void)state;
    struct sockaddr_in address = address_of(9);
    int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNRESET);
    lwip_close(fd);
}

static int start(void **state)
{
    (void)state;
    return skep_net_start();
}

/* The server closes first, so that its side lingers; the client's port comes round at once. */
static void a_port_that_comes_round_connects(void **state)
{
    (void)state;
    const uint16_t port = PORT + 5, own_port = 5000;
    const struct timeval patience = {.tv_sec = 10};
    int listener = listen_on(port);
    for (unsigned i = 0; i < 20; i++) {
        uint8_t byte;
        int client;
        unsigned tries = 0;
        while ((client = connect_from(own_port, port)) < 0 && ++tries < 1000)
            usleep(1000); /* the former one is still about to close */
        assert_true(client >= 0);
        int server = lwip_accept(listener, NULL, NULL);
        assert_true(server >= 0);
        lwip_close(server);
        lwip_setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        assert_int_equal(lwip_recv(client, &byte, 1, 0), 0);
        lwip_close(client);
    }
    lwip_close(listener);
}

static void set_time(int fd, int option, suseconds_t microseconds)
{
    struct timeval time = {.tv_usec = microseconds};
    assert_int_equal(lwip_setsockopt(fd, SOL_SOCKET, option, &time, sizeof(time)), 0);
}

/* As an interruption ends it, the time for sending does: the connection is opened nevertheless, and the next call waits
 * for that. */
static void a_connection_outlives_the_call(void **state)
{
    (void)state;
    const uint16_t port = PORT + 6;
    struct sockaddr_in address = address_of(port);
    int listener = listen_with_places(port, 1), first = connect_to(port);
    int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    set_time(fd, SO_SNDTIMEO, 20000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
        assert_int_equal(errno, EINPROGRESS);
    }
    int server = lwip_accept(listener, NULL, NULL);
    set_time(fd, SO_SNDTIMEO, 0);
    assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, EISCONN);
    lwip_close(server);
    server = lwip_accept(listener, NULL, NULL);
    char byte;
    assert_int_equal(lwip_send(fd, "x", 1, 0), 1);
    assert_int_equal(lwip_recv(server, &byte, 1, 0), 1);
    lwip_close(first), lwip_close(fd), lwip_close(server), lwip_close(listener);
}

/* One that fails or is closed after the call has ended. */
static void a_connection_ends_after_the_call(void **state)
{
    (void)state;
    const uint16_t port = PORT + 7;
    struct sockaddr_in address = address_of(port);
    int listener = listen_with_places(port, 1), first = connect_to(port);
    for (int i = 0; i < 2; i++) {
        int fd = lwip_socket(AF_INET, SOCK_STREAM, 0), error = 0;
        socklen_t bytes = sizeof(error);
        set_time(fd, SO_SNDTIMEO, 20000);
        assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
        assert_int_equal(errno, EINPROGRESS);
        if (i == 1) {
            lwip_close(listener); /* the next attempt is refused */
            set_time(fd, SO_SNDTIMEO, 0);
            assert_int_equal(lwip_connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
            assert_int_equal(errno, ECONNRESET);
            assert_int_equal(lwip_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
        }
        lwip_close(fd);
    }
    lwip_close(first);
}

/* What a call has sent when it ends counts, and arrives once. */
static void a_send_ends_in_part(void **state)
{
    (void)state;
    static uint8_t data[1 << 20];
    int listener = listen_on(PORT + 8), client = connect_to(PORT + 8);
    int server = lwip_accept(listener, NULL, NULL);
    ssize_t bytes;
    size_t sent = 0, received = 0;
    set_time(client, SO_SNDTIMEO, 20000);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = pattern(i);
    while ((bytes = lwip_send(client, data + sent, sizeof(data) - sent, 0)) > 0)
        sent += (size_t)bytes;
    assert_int_equal(bytes, -1);
    assert_int_equal(errno, EWOULDBLOCK);
    assert_in_range(sent, 1, sizeof(data) - 1);
    memset(data, 0, sizeof(data)); /* it was copied */
    assert_int_equal(lwip_shutdown(client, SHUT_WR), 0);
    while ((bytes = lwip_recv(server, data, sizeof(data), 0)) > 0) {
        for (ssize_t i = 0; i < bytes; i++)
            assert_int_equal(data[i], pattern(received + (size_t)i));
        received += (size_t)bytes;
    }
    assert_int_equal(received, sent);
    lwip_close(client), lwip_close(server), lwip_close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_arrives_whole),
        cmocka_unit_test(many_connections_in_many_threads),
        cmocka_unit_test(receive_times_out),
        cmocka_unit_test(a_closed_port_refuses),
        cmocka_unit_test(a_port_that_comes_round_connects),
        cmocka_unit_test(a_connection_outlives_the_call),
        cmocka_unit_test(a_connection_ends_after_the_call),
        cmocka_unit_test(a_send_ends_in_part),
    };
    return cmocka_run_group_tests_name("loopback", tests, start, NULL);
}
