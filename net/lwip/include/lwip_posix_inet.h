/*
 * lwip_posix_inet.h - takes the place of <lwip/inet.h>, see lwip_posix_sockets.h.
 */
#ifndef SKEP_LWIP_POSIX_INET_H
#define SKEP_LWIP_POSIX_INET_H

#include <arpa/inet.h>
#include <netinet/in.h>

#include "lwip/ip4_addr.h"

#define inet_addr_from_ip4addr(target, source) ((target)->s_addr = ip4_addr_get_u32(source))
#define inet_addr_to_ip4addr(target, source)   (ip4_addr_set_u32(target, (source)->s_addr))

#endif
