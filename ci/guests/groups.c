/*
 * groups.c - takes part in groups (multicast) as it is told, for tests of whom datagrams to groups reach.
 *
 * It takes datagrams at port 5353, of IPv4 and IPv6, and prints each: "got TEXT". Those that begin with a dot are commands:
 *
 *   .join, .leave   239.239.1.2 and ff05::1:2
 *   .say TEXT       sends the text there, from port 5353
 *   .fill           joins other groups until none more may be
 *   .end TEXT       has nothing else than to be printed: what was sent before would have come
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 5353, GROUPS_TRIED = 64 };

static int four, six;
static struct sockaddr_in group4 = {.sin_family = AF_INET};
static struct sockaddr_in6 group6 = {.sin6_family = AF_INET6};

static void check(int result, const char *what)
{
    if (result < 0)
        printf("FAILED: %s: %s\n", what, strerror(errno));
}

static void set(int name4, int name6)
{
    struct ip_mreqn request4 = {.imr_multiaddr = group4.sin_addr};
    struct ipv6_mreq request6 = {.ipv6mr_multiaddr = group6.sin6_addr};
    check(setsockopt(four, IPPROTO_IP, name4, &request4, sizeof(request4)), "IPv4");
    check(setsockopt(six, IPPROTO_IPV6, name6, &request6, sizeof(request6)), "IPv6");
}

static void refuses(int name, int error)
{
    struct ip_mreq request = {.imr_multiaddr = group4.sin_addr};
    if (setsockopt(four, IPPROTO_IP, name, &request, sizeof(request)) == 0 || errno != error)
        printf("FAILED: option %d: %s\n", name, strerror(errno));
}

static void say(const char *text)
{
    check((int)sendto(four, text, strlen(text), 0, (struct sockaddr *)&group4, sizeof(group4)),
          "say by IPv4");
    check((int)sendto(six, text, strlen(text), 0, (struct sockaddr *)&group6, sizeof(group6)),
          "say by IPv6");
}

static int other_group(uint32_t number, int name)
{
    struct group_req request = {0};
    struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr = {htonl(0xefee0000 + number)}};
    memcpy(&request.gr_group, &group, sizeof(group));
    return setsockopt(four, IPPROTO_IP, name, &request, sizeof(request));
}

static void fill(void)
{
    uint32_t count = 0;
    while (count < GROUPS_TRIED && other_group(count, MCAST_JOIN_GROUP) == 0)
        count++;
    printf("refused as %s\n", errno == ENOBUFS ? "ENOBUFS" : strerror(errno));
    for (uint32_t i = 0; i < count; i++)
        check(other_group(i, MCAST_LEAVE_GROUP), "leave");
    printf("joined %u more\n", count);
}

static void take(int s)
{
    char text[256];
    ssize_t bytes = recv(s, text, sizeof(text) - 1, 0);
    if (bytes < 0)
        return;
    text[bytes] = 0;
    if (strcmp(text, ".join") == 0) {
        refuses(IP_DROP_MEMBERSHIP, EADDRNOTAVAIL);
        set(IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP);
        refuses(IP_ADD_MEMBERSHIP, EADDRINUSE);
    } else if (strcmp(text, ".leave") == 0)
        set(IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP);
    else if (strncmp(text, ".say ", 5) == 0)
        say(text + 5);
    else if (strcmp(text, ".fill") == 0)
        fill();
    printf("got %s by IPv%d\n", text, s == four ? 4 : 6);
    fflush(stdout);
}

int main(void)
{
    int yes = 1;
    group4.sin_port = group6.sin6_port = htons(PORT);
    inet_pton(AF_INET, "239.239.1.2", &group4.sin_addr);
    inet_pton(AF_INET6, "ff05::1:2", &group6.sin6_addr);
    const struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    const struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    four = socket(AF_INET, SOCK_DGRAM, 0);
    six = socket(AF_INET6, SOCK_DGRAM, 0);
    check(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)), "IPV6_V6ONLY");
    check(bind(four, (const struct sockaddr *)&any4, sizeof(any4)), "bind");
    check(bind(six, (const struct sockaddr *)&any6, sizeof(any6)), "bind");
    printf("ready\n");
    fflush(stdout);
    struct pollfd polled[2] = {{.fd = four, .events = POLLIN}, {.fd = six, .events = POLLIN}};
    while (poll(polled, 2, -1) > 0)
        for (int i = 0; i < 2; i++)
            if (polled[i].revents != 0)
                take(polled[i].fd);
    return 1;
}
