/*
 * netinet/tcp.h - options of level IPPROTO_TCP.
 */
#ifndef _NETINET_TCP_H
#define _NETINET_TCP_H

#define TCP_NODELAY   0x01
#define TCP_MAXSEG    0x02 /* to be read only */
#define TCP_KEEPIDLE  0x03 /* seconds */
#define TCP_KEEPINTVL 0x04 /* seconds */
#define TCP_KEEPCNT   0x05

#endif
