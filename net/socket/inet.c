/*
 * inet.c - Internet addresses as text and in byte orders, as POSIX has them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "inet6.h"
#include "lwip/ip4_addr.h"

/* Functions, for those who take an address or look for a symbol. */
uint16_t(htons)(uint16_t host)
{
    return htons(host);
}

uint16_t(ntohs)(uint16_t net)
{
    return ntohs(net);
}

uint32_t(htonl)(uint32_t host)
{
    return htonl(host);
}

uint32_t(ntohl)(uint32_t net)
{
    return ntohl(net);
}

int inet_aton(const char *text, struct in_addr *out)
{
    ip4_addr_t address;
    if (!ip4addr_aton(text, &address))
        return 0;
    out->s_addr = address.addr;
    return 1;
}

in_addr_t inet_addr(const char *text)
{
    struct in_addr address;
    return inet_aton(text, &address) ? address.s_addr : INADDR_NONE;
}

int inet_pton(int family, const char *text, void *out)
{
    if (family == AF_INET6)
        return inet6_parse(text, out);
    if (family != AF_INET) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    unsigned dots = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '.' && (*at < '0' || *at > '9'))
            return 0;
        dots += *at == '.';
    }
    return dots == 3 ? inet_aton(text, out) : 0;
}

static const char *ntop6(const void *address, char *text, socklen_t bytes)
{
    char whole[INET6_ADDRSTRLEN];
    struct in6_addr copy;
    memcpy(&copy, address, sizeof(copy));
    inet6_format(&copy, whole);
    size_t whole_bytes = strlen(whole) + 1;
    if (whole_bytes <= bytes)
        return memcpy(text, whole, whole_bytes);
    errno = ENOSPC;
    return NULL;
}

const char *inet_ntop(int family, const void *address, char *text, socklen_t bytes)
{
    if (family == AF_INET6)
        return ntop6(address, text, bytes);
    if (family != AF_INET) {
        errno = EAFNOSUPPORT;
        return NULL;
    }
    ip4_addr_t copy = {((const struct in_addr *)address)->s_addr};
    if (ip4addr_ntoa_r(&copy, text, (int)bytes) != NULL)
        return text;
    errno = ENOSPC;
    return NULL;
}

char *inet_ntoa(struct in_addr address)
{
    static _Thread_local char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address, text, sizeof(text));
    return text;
}
