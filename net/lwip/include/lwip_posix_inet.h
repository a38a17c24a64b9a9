/*
 * lwip_posix_inet.h - takes the place of <lwip/inet.h>, see lwip_posix_sockets.h.
 */
#ifndef SKEP_LWIP_POSIX_INET_H
#define SKEP_LWIP_POSIX_INET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "lwip/ip4_addr.h"
#include "lwip/ip6_addr.h"

#define inet_addr_from_ip4addr(target, source) ((target)->s_addr = ip4_addr_get_u32(source))
#define inet_addr_to_ip4addr(target, source)   (ip4_addr_set_u32(target, (source)->s_addr))
#define inet6_addr_from_ip6addr(target, source) \
    memcpy((target)->s6_addr, (source)->addr, sizeof((target)->s6_addr))
#define inet6_addr_to_ip6addr(target, source)                              \
    (memcpy((target)->addr, (source)->s6_addr, sizeof((source)->s6_addr)), \
     ip6_addr_clear_zone(target))

#endif
