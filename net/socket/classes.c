/*
 * classes.c - networks of classes, from before networks had masks.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* How many bits of an address, or of a network's number, are the host's. */
static unsigned host_bits(in_addr_t address)
{
    return address >> 31 == 0 ? 24 : address >> 30 == 2 ? 16 : 8;
}

in_addr_t inet_lnaof(struct in_addr address)
{
    in_addr_t host = ntohl(address.s_addr);
    return host & ((1u << host_bits(host)) - 1);
}

in_addr_t inet_netof(struct in_addr address)
{
    in_addr_t host = ntohl(address.s_addr);
    return host >> host_bits(host);
}

struct in_addr inet_makeaddr(in_addr_t net, in_addr_t host)
{
    if (net >= 1u << 24)
        return (struct in_addr){htonl(net | host)};
    unsigned bits = net < 128 ? 24 : net < 65536 ? 16 : 8;
    return (struct in_addr){htonl(net << bits | (host & ((1u << bits) - 1)))};
}

in_addr_t inet_network(const char *text)
{
    in_addr_t net = 0;
    for (int parts = 0; parts < 4; parts++) {
        char *end;
        unsigned long part = strtoul(text, &end, 0);
        if (*text < '0' || *text > '9' || part > 255)
            return INADDR_NONE;
        net = net << 8 | (in_addr_t)part;
        if (*end != '.')
            return end[strspn(end, " \t\n\v\f\r")] == '\0' ? net : INADDR_NONE;
        text = end + 1;
    }
    return INADDR_NONE;
}
