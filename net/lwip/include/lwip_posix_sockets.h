/*
 * lwip_posix_sockets.h - takes the place of the types and constants in <lwip/sockets.h>: lwIP is
 * compiled with the headers that programs see.
 */
#ifndef SKEP_LWIP_POSIX_SOCKETS_H
#define SKEP_LWIP_POSIX_SOCKETS_H

#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "lwip/err.h"
#include "lwip/inet.h"
#include "lwip/ip_addr.h"
#include "lwip/netif.h"

#define SIN_ZERO_LEN        8
#define LWIP_SELECT_MAXNFDS FD_SETSIZE
typedef int msg_iovlen_t;

/* What only lwIP has. */
#define TCP_KEEPALIVE   0x02
#define SO_NO_CHECK     0x100a
#define IPPROTO_UDPLITE 136

#endif
