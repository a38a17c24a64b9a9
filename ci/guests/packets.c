/*
 * packets.c - ends of connections, for tests of what becomes of packets while a guest is paused.
 *
 *   packets sink             counts datagrams on port 7 and echoes the first; on TCP port 80 takes what comes and
 *                            answers with its length and the sum of its bytes
 *   packets source ADDRESS   learns the link address of a sink; then, for each connection to port 80, sends it
 *                            datagrams, as many as the first byte says, and answers when they are gone
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DATAGRAM_PORT = 7, STREAM_PORT = 80, DATAGRAM_BYTES = 600 };

static int listen_on(int type, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int s = socket(AF_INET, type, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        (type == SOCK_STREAM && listen(s, 4) != 0)) {
        perror("socket");
        exit(1);
    }
    return s;
}

static void *count_datagrams(void *argument)
{
    int s = listen_on(SOCK_DGRAM, DATAGRAM_PORT);
    char data[2048];
    for (unsigned count = 1;; count++) {
        struct sockaddr_in from;
        socklen_t length = sizeof(from);
        ssize_t n = recvfrom(s, data, sizeof(data), 0, (struct sockaddr *)&from, &length);
        if (n < 0)
            return argument;
        if (count == 1)
            sendto(s, data, (size_t)n, 0, (struct sockaddr *)&from, length);
        printf("datagrams %u\n", count);
        fflush(stdout);
    }
}

static void sink_stream(int connection)
{
    static unsigned char data[16384];
    unsigned long long length = 0, sum = 0;
    char answer[64];
    ssize_t n;
    while ((n = recv(connection, data, sizeof(data), 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum += data[i];
        length += (unsigned long long)n;
    }
    snprintf(answer, sizeof(answer), "%llu %llu\n", length, sum);
    send(connection, answer, strlen(answer), 0);
}

static void sink(void)
{
    pthread_t thread;
    int s = listen_on(SOCK_STREAM, STREAM_PORT);
    if (pthread_create(&thread, NULL, count_datagrams, NULL) != 0)
        exit(1);
    printf("sink\n");
    fflush(stdout);
    for (;;) {
        int connection = accept(s, NULL, NULL);
        sink_stream(connection);
        close(connection);
    }
}

static void source(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(DATAGRAM_PORT)};
    char data[DATAGRAM_BYTES] = "datagram";
    int d = socket(AF_INET, SOCK_DGRAM, 0), s = listen_on(SOCK_STREAM, STREAM_PORT);
    inet_pton(AF_INET, address, &to.sin_addr);
    if (sendto(d, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        recv(d, data, sizeof(data), 0) != sizeof(data))
        exit(1);
    printf("source\n");
    fflush(stdout);
    for (;;) {
        unsigned char count = 0;
        int connection = accept(s, NULL, NULL);
        recv(connection, &count, 1, 0);
        for (unsigned i = 0; i < count; i++)
            sendto(d, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to));
        send(connection, "sent", 4, 0);
        close(connection);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "source") == 0)
        source(argv[2]);
    sink();
}
