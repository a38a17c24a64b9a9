/*
 * refused.c - sends datagrams to a port of another guest's where nobody listens, and is told so.
 *
 *   refused ADDRESS          of either family
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define PORT 9

static int connected_to(const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    CHECK(is_v4 || inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    CHECK(connect(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                  is_v4 ? sizeof(v4) : sizeof(v6)) == 0);
    return fd;
}

int main(int argc, char **argv)
{
    char byte;
    CHECK(argc == 2);
    int fd = connected_to(argv[1]);
    for (int i = 0; i < 10; i++) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        CHECK(send(fd, "anybody?", 8, 0) == 8);
        CHECK(poll(&waiting, 1, 20000) == 1 && waiting.revents == POLLERR);
        CHECK(recv(fd, &byte, 1, 0) == -1 && errno == ECONNREFUSED);
    }
    close(fd);
    printf("refused: ok\n");
    return 0;
}
