/*
 * download.c - fetches /bytes/COUNT of a web guest (examples/httpd.c), so that its stream to another guest can be tested
 * and measured: download ADDRESS COUNT ROUNDS [check].
 *
 * Each round is a connection of its own, with a marker before and behind it. It prints how long each took; `check` has it
 * compare each byte, too.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"

enum { PORT = 80, PERIOD = 251 };

static char buffer[65536];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int ask(const char *address, unsigned long count)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    bool is_6 = inet_pton(AF_INET6, address, &to6.sin6_addr) == 1;
    inet_pton(AF_INET, address, &to.sin_addr);
    int s = socket(is_6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, is_6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to,
                         is_6 ? sizeof(to6) : sizeof(to)) != 0)
        fail("connect");
    int length =
        snprintf(buffer, sizeof(buffer), "GET /bytes/%lu HTTP/1.1\r\nHost: web\r\n\r\n", count);
    if (send(s, buffer, (size_t)length, 0) != length)
        fail("send");
    return s;
}

/* What comes behind the head's end; of that, how much is in the buffer. */
static size_t skip_head(int s)
{
    size_t got = 0;
    char *end;
    do {
        ssize_t n = recv(s, buffer + got, sizeof(buffer) - 1 - got, 0);
        if (n <= 0)
            fail("recv");
        got += (size_t)n;
        buffer[got] = 0;
    } while ((end = strstr(buffer, "\r\n\r\n")) == NULL);
    size_t rest = got - (size_t)(end + 4 - buffer);
    memmove(buffer, end + 4, rest);
    return rest;
}

static void compare(size_t at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)buffer[i] != (at + i) % PERIOD) {
            printf("byte %zu is %d\n", at + i, (unsigned char)buffer[i]);
            exit(1);
        }
    }
}

static void download(const char *address, unsigned long count, bool check)
{
    int s = ask(address, count);
    size_t done = 0, bytes = skip_head(s);
    for (;;) {
        if (check)
            compare(done, bytes);
        done += bytes;
        if (done >= count)
            break;
        ssize_t n = recv(s, buffer, sizeof(buffer), 0);
        if (n <= 0)
            fail("recv");
        bytes = (size_t)n;
    }
    close(s);
}

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    unsigned long count = strtoul(argv[2], NULL, 10);
    for (long round = strtol(argv[3], NULL, 10); round > 0; round--) {
        long long begin = now_us();
        mark(22);
        download(argv[1], count, argc > 4);
        mark(23);
        printf("%lu bytes in %lld us\n", count, now_us() - begin);
        fflush(stdout);
    }
    return 0;
}
