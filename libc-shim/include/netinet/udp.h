/*
 * netinet/udp.h - UDP's header (RFC 768), by BSD's names and by Linux'.
 */
#ifndef SKEP_NETINET_UDP_H
#define SKEP_NETINET_UDP_H

#include <stdint.h>

#define SOL_UDP 17 /* IPPROTO_UDP: it has no options here (ENOPROTOOPT) */

/* In the network's order of bytes. */
struct udphdr {
    union {
        struct {
            uint16_t uh_sport, uh_dport;
            uint16_t uh_ulen;
            uint16_t uh_sum;
        };
        struct {
            uint16_t source, dest;
            uint16_t len;
            uint16_t check;
        };
    };
};

#endif
