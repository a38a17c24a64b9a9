/*
 * netinet/in.h - Internet addresses. Everything in them is in network byte order.
 */
#ifndef _NETINET_IN_H
#define _NETINET_IN_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* newlib's sys/types.h declares them for programs that ask for more than POSIX. */
#ifndef _IN_ADDR_T_DECLARED
typedef uint32_t in_addr_t;
#define _IN_ADDR_T_DECLARED
#endif
#ifndef _IN_PORT_T_DECLARED
typedef uint16_t in_port_t;
#define _IN_PORT_T_DECLARED
#endif

struct in_addr {
    in_addr_t s_addr;
};

struct sockaddr_in {
    sa_family_t sin_family;
    in_port_t sin_port;
    struct in_addr sin_addr;
    char sin_zero[8];
};

struct in6_addr {
    union {
        uint8_t __bytes[16];
        uint32_t __words[4];
    } __u;
};
#define s6_addr   __u.__bytes
#define s6_addr32 __u.__words

struct sockaddr_in6 {
    sa_family_t sin6_family;
    in_port_t sin6_port;
    uint32_t sin6_flowinfo;
    struct in6_addr sin6_addr;
    uint32_t sin6_scope_id; /* of a link-local address: the interface's index */
};

struct ip_mreq {
    struct in_addr imr_multiaddr;
    struct in_addr imr_interface;
};

/* The same; an index that isn't 0 goes before the address. */
struct ip_mreqn {
    struct in_addr imr_multiaddr;
    struct in_addr imr_address;
    int imr_ifindex;
};

struct ipv6_mreq {
    struct in6_addr ipv6mr_multiaddr;
    unsigned int ipv6mr_interface; /* its index, 0 = any */
};

/* RFC 3678. */
struct group_req {
    unsigned int gr_interface; /* its index, 0 = any */
    struct sockaddr_storage gr_group;
};

struct group_source_req {
    unsigned int gsr_interface;
    struct sockaddr_storage gsr_group, gsr_source;
};

struct ip_mreq_source {
    struct in_addr imr_multiaddr, imr_interface, imr_sourceaddr;
};

extern const struct in6_addr in6addr_any;
extern const struct in6_addr in6addr_loopback;
#define IN6ADDR_ANY_INIT \
    {                    \
        {                \
            {            \
                0        \
            }            \
        }                \
    }
#define IN6ADDR_LOOPBACK_INIT                                  \
    {                                                          \
        {                                                      \
            {                                                  \
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 \
            }                                                  \
        }                                                      \
    }

#define INADDR_ANY       ((in_addr_t)0x00000000)
#define INADDR_BROADCAST ((in_addr_t)0xffffffff)
#define INADDR_LOOPBACK  ((in_addr_t)0x7f000001)
#define INADDR_NONE      ((in_addr_t)0xffffffff)

#define INADDR_UNSPEC_GROUP    ((in_addr_t)0xe0000000)
#define INADDR_ALLHOSTS_GROUP  ((in_addr_t)0xe0000001)
#define INADDR_ALLRTRS_GROUP   ((in_addr_t)0xe0000002)
#define INADDR_MAX_LOCAL_GROUP ((in_addr_t)0xe00000ff)

#define INET_ADDRSTRLEN  16
#define INET6_ADDRSTRLEN 46

/* Of those but TCP and UDP (and 0, which is either) only raw sockets can be made. */
#define IPPROTO_IP       0
#define IPPROTO_ICMP     1
#define IPPROTO_TCP      6
#define IPPROTO_UDP      17
#define IPPROTO_IPV6     41
#define IPPROTO_ICMPV6   58
#define IPPROTO_RAW      255
#define IPPROTO_HOPOPTS  0
#define IPPROTO_IGMP     2
#define IPPROTO_IPIP     4
#define IPPROTO_EGP      8
#define IPPROTO_ROUTING  43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_GRE      47
#define IPPROTO_ESP      50
#define IPPROTO_AH       51
#define IPPROTO_NONE     59
#define IPPROTO_DSTOPTS  60
#define IPPROTO_PIM      103
#define IPPROTO_SCTP     132
#define IPPROTO_UDPLITE  136
#define SOL_IP           IPPROTO_IP
#define SOL_IPV6         IPPROTO_IPV6
#define SOL_ICMPV6       IPPROTO_ICMPV6

#define IPPORT_RESERVED     1024
#define IPPORT_USERRESERVED 5000

/* Options of level IPPROTO_IP */
#define IP_TOS            1
#define IP_TTL            2
#define IP_MULTICAST_IF   32 /* struct in_addr: an interface's; or ip_mreq, ip_mreqn */
#define IP_MULTICAST_TTL  33 /* -1 = the default, 1 */
#define IP_MULTICAST_LOOP 34
#define IP_ADD_MEMBERSHIP \
    35 /* struct ip_mreq, ip_mreqn. ENOBUFS: the device has 32 groups, or too many have joined */
#define IP_DROP_MEMBERSHIP 36
#define MCAST_JOIN_GROUP   42 /* of both levels: struct group_req */
#define MCAST_LEAVE_GROUP  45
/* Sources can't be chosen: ENOPROTOOPT. */
#define IP_UNBLOCK_SOURCE         37
#define IP_BLOCK_SOURCE           38
#define IP_ADD_SOURCE_MEMBERSHIP  39
#define IP_DROP_SOURCE_MEMBERSHIP 40
#define MCAST_BLOCK_SOURCE        43
#define MCAST_UNBLOCK_SOURCE      44
#define MCAST_JOIN_SOURCE_GROUP   46
#define MCAST_LEAVE_SOURCE_GROUP  47
#define IP_PKTINFO                8 /* of what is received; and a control message with struct in_pktinfo */

struct in_pktinfo {
    unsigned int ipi_ifindex;
    struct in_addr ipi_spec_dst; /* the address that answers come from */
    struct in_addr ipi_addr;
};

struct in6_pktinfo {
    struct in6_addr ipi6_addr;
    unsigned int ipi6_ifindex;
};

/* Options of level IPPROTO_IPV6 */
#define IPV6_CHECKSUM        7  /* of a raw socket */
#define IPV6_UNICAST_HOPS    16 /* -1 = the default */
#define IPV6_MULTICAST_IF    17 /* its index */
#define IPV6_MULTICAST_HOPS  18
#define IPV6_MULTICAST_LOOP  19
#define IPV6_JOIN_GROUP      20 /* struct ipv6_mreq */
#define IPV6_LEAVE_GROUP     21
#define IPV6_ADD_MEMBERSHIP  IPV6_JOIN_GROUP
#define IPV6_DROP_MEMBERSHIP IPV6_LEAVE_GROUP
#define IPV6_V6ONLY          27
#define IPV6_RECVPKTINFO     49 /* of what is received */
#define IPV6_PKTINFO         50 /* a control message with struct in6_pktinfo */
#define IPV6_TCLASS          67

/* Classes of networks (RFC 791), which nobody goes by any more; the address in the host's order of bytes. */
#define IN_CLASSA(address)       (((uint32_t)(address)&0x80000000) == 0)
#define IN_CLASSA_NET            0xff000000
#define IN_CLASSA_NSHIFT         24
#define IN_CLASSA_HOST           0x00ffffff
#define IN_CLASSB(address)       (((uint32_t)(address)&0xc0000000) == 0x80000000)
#define IN_CLASSB_NET            0xffff0000
#define IN_CLASSB_NSHIFT         16
#define IN_CLASSB_HOST           0x0000ffff
#define IN_CLASSC(address)       (((uint32_t)(address)&0xe0000000) == 0xc0000000)
#define IN_CLASSC_NET            0xffffff00
#define IN_CLASSC_NSHIFT         8
#define IN_CLASSC_HOST           0x000000ff
#define IN_CLASSD(address)       (((uint32_t)(address)&0xf0000000) == 0xe0000000)
#define IN_MULTICAST(address)    IN_CLASSD(address)
#define IN_EXPERIMENTAL(address) (((uint32_t)(address)&0xe0000000) == 0xe0000000)
#define IN_BADCLASS(address)     (((uint32_t)(address)&0xf0000000) == 0xf0000000)
#define IN_LOOPBACKNET           127

#define IN6_IS_ADDR_V4MAPPED(a) \
    ((a)->__u.__words[0] == 0 && (a)->__u.__words[1] == 0 && (a)->__u.__words[2] == htonl(0xffff))
#define IN6_IS_ADDR_UNSPECIFIED(a) \
    (((a)->__u.__words[0] | (a)->__u.__words[1] | (a)->__u.__words[2] | (a)->__u.__words[3]) == 0)
#define IN6_IS_ADDR_LOOPBACK(a)                                                \
    (((a)->__u.__words[0] | (a)->__u.__words[1] | (a)->__u.__words[2]) == 0 && \
     (a)->__u.__words[3] == htonl(1))
#define IN6_IS_ADDR_V4COMPAT(a)                                                          \
    ((a)->__u.__words[0] == 0 && (a)->__u.__words[1] == 0 && (a)->__u.__words[2] == 0 && \
     ntohl((a)->__u.__words[3]) > 1)
#define IN6_IS_ADDR_LINKLOCAL(a)    ((a)->s6_addr[0] == 0xfe && ((a)->s6_addr[1] & 0xc0) == 0x80)
#define IN6_IS_ADDR_SITELOCAL(a)    ((a)->s6_addr[0] == 0xfe && ((a)->s6_addr[1] & 0xc0) == 0xc0)
#define IN6_IS_ADDR_MULTICAST(a)    ((a)->s6_addr[0] == 0xff)
#define __IN6_MC_SCOPE(a, scope)    (IN6_IS_ADDR_MULTICAST(a) && ((a)->s6_addr[1] & 15) == (scope))
#define IN6_IS_ADDR_MC_NODELOCAL(a) __IN6_MC_SCOPE(a, 1)
#define IN6_IS_ADDR_MC_LINKLOCAL(a) __IN6_MC_SCOPE(a, 2)
#define IN6_IS_ADDR_MC_SITELOCAL(a) __IN6_MC_SCOPE(a, 5)
#define IN6_IS_ADDR_MC_ORGLOCAL(a)  __IN6_MC_SCOPE(a, 8)
#define IN6_IS_ADDR_MC_GLOBAL(a)    __IN6_MC_SCOPE(a, 14)
#define IN6_ARE_ADDR_EQUAL(a, b)                                                                 \
    ((a)->__u.__words[0] == (b)->__u.__words[0] && (a)->__u.__words[1] == (b)->__u.__words[1] && \
     (a)->__u.__words[2] == (b)->__u.__words[2] && (a)->__u.__words[3] == (b)->__u.__words[3])

uint16_t htons(uint16_t host);
uint16_t ntohs(uint16_t net);
uint32_t htonl(uint32_t host);
uint32_t ntohl(uint32_t net);
#define htons(host) __builtin_bswap16(host)
#define ntohs(net)  __builtin_bswap16(net)
#define htonl(host) __builtin_bswap32(host)
#define ntohl(net)  __builtin_bswap32(net)

#ifdef __cplusplus
}
#endif

#endif
