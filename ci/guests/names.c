/*
 * names.c - what getaddrinfo(), and what there was before, find of a name server's answers, and in tables. The guest is that
 * server itself, so its address has to be the one that its network names.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* RFC 1035, section 4; RFC 3596 */
#define HEADER_BYTES  12
#define TYPE_A        1
#define TYPE_AAAA     28
#define CLASS_IN      1
#define ANSWER        0x84 /* with authority */
#define NO_SUCH_NAME  3
#define TO_FIRST_NAME 0xc00c

static const struct {
    const char *name; /* its first label */
    const char *v4, *v6;
} hosts[] = {{"both", "10.1.2.3", "fd00:5::1"}, {"old", "10.1.2.4", NULL}};

static uint8_t *put(uint8_t *to, unsigned number, int bytes)
{
    while (bytes-- > 0)
        *to++ = (uint8_t)(number >> (8 * bytes));
    return to;
}

/* The address of a question's name, NULL: it has none. */
static const char *find(const uint8_t *label, int type)
{
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (label[0] == strlen(hosts[i].name) && memcmp(label + 1, hosts[i].name, label[0]) == 0)
            return type == TYPE_A ? hosts[i].v4 : hosts[i].v6;
    return NULL;
}

/* Makes an answer of a question. Returns its bytes. */
static size_t answer(uint8_t *message, size_t bytes)
{
    CHECK(bytes > HEADER_BYTES + 5);
    uint8_t *end = message + bytes;
    int type = end[-4] << 8 | end[-3];
    const char *address = find(message + HEADER_BYTES, type);
    message[2] |= ANSWER;
    message[3] = address != NULL ? 0 : NO_SUCH_NAME;
    put(message + 6, address != NULL, 2);
    if (address == NULL)
        return bytes;
    int length = type == TYPE_A ? 4 : 16;
    end = put(put(put(end, TO_FIRST_NAME, 2), (unsigned)type, 2), CLASS_IN, 2);
    end = put(put(end, 60, 4), (unsigned)length, 2);
    CHECK(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, address, end) == 1);
    return (size_t)(end + length - message);
}

_Noreturn static void *serve(void *socket)
{
    struct sockaddr_in from;
    uint8_t message[512];
    for (;;) {
        socklen_t address_bytes = sizeof(from);
        ssize_t got = recvfrom(*(int *)socket, message, sizeof(message) - 64, 0,
                               (struct sockaddr *)&from, &address_bytes);
        CHECK(got > 0);
        size_t length = answer(message, (size_t)got);
        CHECK(sendto(*(int *)socket, message, length, 0, (struct sockaddr *)&from, address_bytes) ==
              (ssize_t)length);
    }
}

static void find_all(const char *what, const char *name, int family, int flags)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(name, "80", &hints, &list);
    printf("%s:%s", what, error == 0 ? "" : error == EAI_NONAME ? " name not known" : " failed");
    for (struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        char text[NI_MAXHOST], port[NI_MAXSERV];
        CHECK(getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), port, sizeof(port),
                          NI_NUMERICHOST | NI_NUMERICSERV) == 0);
        CHECK(strcmp(port, "80") == 0 && at->ai_socktype == SOCK_STREAM);
        printf(" %s", text);
    }
    puts("");
    if (error == 0)
        freeaddrinfo(list);
}

static void print_host(const char *what, const struct hostent *entry)
{
    char text[INET6_ADDRSTRLEN] = "none";
    if (entry != NULL) {
        CHECK(entry->h_addr_list[1] == NULL && entry->h_aliases[0] == NULL);
        CHECK(inet_ntop(entry->h_addrtype, entry->h_addr_list[0], text, sizeof(text)) != NULL);
    }
    printf("%s: %s %s\n", what, entry != NULL ? entry->h_name : "", text);
}

/* The ways to names from before getaddrinfo(). */
static void find_hosts(void)
{
    struct hostent entry, *out;
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)}, other = {htonl(0x0a010203)};
    char room[1024];
    int cause = 77;
    print_host("by name", gethostbyname("both.example"));
    print_host("of IPv6", gethostbyname2("both.example", AF_INET6));
    print_host("has none", gethostbyname2("old.example", AF_INET6));
    CHECK(h_errno == HOST_NOT_FOUND);
    CHECK(gethostbyname_r("old.example", &entry, room + 1, sizeof(room) - 1, &out, &cause) == 0);
    print_host("in room", out);
    CHECK(out == &entry && entry.h_name > room && entry.h_name < room + sizeof(room));
    CHECK(cause == NETDB_SUCCESS);
    CHECK(gethostbyname_r("old.example", &entry, room, 16, &out, &cause) == ERANGE && out == NULL);
    CHECK(cause == NETDB_INTERNAL && errno == ERANGE);
    CHECK(gethostbyname2_r("nobody.example", AF_INET, &entry, room, sizeof(room), &out, &cause) ==
          0);
    CHECK(out == NULL && cause == HOST_NOT_FOUND);
    errno = 0;
    CHECK(gethostbyname2("old.example", AF_UNIX) == NULL && h_errno == NETDB_INTERNAL);
    CHECK(errno == EAFNOSUPPORT);
    CHECK(gethostbyname2_r("old.example", AF_UNIX, &entry, room, sizeof(room), &out, &cause) ==
          EAFNOSUPPORT);
    CHECK(out == NULL && cause == NETDB_INTERNAL);
    print_host("by address", gethostbyaddr(&loopback, sizeof(loopback), AF_INET));
    print_host("by IPv6's", gethostbyaddr(&in6addr_loopback, sizeof(in6addr_loopback), AF_INET6));
    CHECK(gethostbyaddr(&other, sizeof(other), AF_INET) == NULL && h_errno == HOST_NOT_FOUND);
    CHECK(gethostbyaddr(&other, 3, AF_INET) == NULL && h_errno == NETDB_INTERNAL);
    CHECK(gethostbyaddr_r(&loopback, sizeof(loopback), AF_INET, &entry, room, sizeof(room), &out,
                          &cause) == 0);
    print_host("that in room", out);
}

static void look_at_tables(void)
{
    struct servent service, *found;
    struct protoent protocol, *its;
    char room[64];
    int count = 0;
    setservent(1);
    for (struct servent *at; (at = getservent()) != NULL; count++) {
        struct servent copy = *at; /* the next call's result is in the same place */
        at = getservbyname(copy.s_name, "udp");
        CHECK(at != NULL && strcmp(at->s_name, copy.s_name) == 0 && at->s_port == copy.s_port);
        CHECK(strcmp(copy.s_proto, "tcp") == 0 && strcmp(at->s_proto, "udp") == 0);
    }
    CHECK(count > 5 && getservent() == NULL);
    endservent();
    CHECK(getservent() != NULL);
    char name[] = "https", protocol_name[] = "tcp";
    CHECK(getservbyname_r(name, protocol_name, &service, room, sizeof(room), &found) == 0);
    name[0] = protocol_name[0] = 'x'; /* the result has its own */
    CHECK(found == &service && service.s_port == htons(443));
    CHECK(strcmp(service.s_name, "https") == 0 && strcmp(service.s_proto, "tcp") == 0);
    CHECK(getservbyname("http", "sctp") == NULL && getservbyport(htons(80), "") == NULL);
    CHECK(getservbyname("80", "tcp") == NULL);
    CHECK(getservbyport_r(htons(53), "udp", &service, room, sizeof(room), &found) == 0);
    CHECK(found == &service && strcmp(service.s_name, "domain") == 0);
    CHECK(getservbyname_r("no such", NULL, &service, room, sizeof(room), &found) == 0);
    CHECK(found == NULL);
    for (count = 0, setprotoent(0); getprotoent() != NULL; count++)
        ;
    CHECK(count == 4);
    endprotoent();
    CHECK(strcmp(getprotoent()->p_name, "ip") == 0);
    CHECK(getprotobyname_r("udp", &protocol, room, sizeof(room), &its) == 0);
    CHECK(its == &protocol && protocol.p_proto == IPPROTO_UDP);
    CHECK(getprotobynumber_r(255, &protocol, room, sizeof(room), &its) == 0 && its == NULL);
    sethostent(0), setnetent(0);
    h_errno = NETDB_SUCCESS;
    CHECK(gethostent() == NULL && getnetent() == NULL && getnetbyname("loopback") == NULL);
    CHECK(h_errno == HOST_NOT_FOUND);
    CHECK(getnetbyaddr(127, AF_INET) == NULL);
    endhostent(), endnetent();
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    pthread_t server;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(pthread_create(&server, NULL, serve, &fd) == 0);
    find_all("any", "both.example", AF_UNSPEC, 0);
    find_all("IPv4", "both.example", AF_INET, 0);
    find_all("IPv6", "both.example", AF_INET6, 0);
    find_all("mapped", "both.example", AF_INET6, AI_V4MAPPED);
    find_all("all", "both.example", AF_INET6, AI_ALL);
    find_all("all mapped", "both.example", AF_INET6, AI_ALL | AI_V4MAPPED);
    find_all("IPv4's name", "old.example", AF_INET6, 0);
    find_all("IPv4's name, mapped", "old.example", AF_INET6, AI_V4MAPPED);
    find_all("IPv4's name, all mapped", "old.example", AF_INET6, AI_ALL | AI_V4MAPPED);
    find_all("nobody's", "nobody.example", AF_UNSPEC, 0);
    find_hosts();
    look_at_tables();
    puts("names: ok");
    return 0;
}
