/*
 * netinet/ip.h - IPv4's header (RFC 791), and what IP_TOS is set to.
 */
#ifndef SKEP_NETINET_IP_H
#define SKEP_NETINET_IP_H

#include <netinet/in.h>
#include <stdint.h>

#define IPVERSION 4
#define IPDEFTTL  64
#define MAXTTL    255

#define IP_MAXPACKET 65535
#define IP_MSS       576

/* RFC 1349 */
#define IPTOS_TOS_MASK    0x1e
#define IPTOS_TOS(tos)    ((tos)&IPTOS_TOS_MASK)
#define IPTOS_LOWDELAY    0x10
#define IPTOS_THROUGHPUT  0x08
#define IPTOS_RELIABILITY 0x04
#define IPTOS_MINCOST     0x02

/* RFC 791 */
#define IPTOS_PREC_MASK            0xe0
#define IPTOS_PREC(tos)            ((tos)&IPTOS_PREC_MASK)
#define IPTOS_PREC_NETCONTROL      0xe0
#define IPTOS_PREC_INTERNETCONTROL 0xc0
#define IPTOS_PREC_CRITIC_ECP      0xa0
#define IPTOS_PREC_FLASHOVERRIDE   0x80
#define IPTOS_PREC_FLASH           0x60
#define IPTOS_PREC_IMMEDIATE       0x40
#define IPTOS_PREC_PRIORITY        0x20
#define IPTOS_PREC_ROUTINE         0x00

/* RFC 2474, 2597, 3168, 3246, 8622 */
#define IPTOS_CLASS_MASK    0xe0
#define IPTOS_CLASS(tos)    ((tos)&IPTOS_CLASS_MASK)
#define IPTOS_CLASS_DEFAULT IPTOS_CLASS_CS0
#define IPTOS_DSCP_AF11     0x28
#define IPTOS_DSCP_AF12     0x30
#define IPTOS_DSCP_AF13     0x38
#define IPTOS_DSCP_AF21     0x48
#define IPTOS_DSCP_AF22     0x50
#define IPTOS_DSCP_AF23     0x58
#define IPTOS_DSCP_AF31     0x68
#define IPTOS_DSCP_AF32     0x70
#define IPTOS_DSCP_AF33     0x78
#define IPTOS_DSCP_AF41     0x88
#define IPTOS_DSCP_AF42     0x90
#define IPTOS_DSCP_AF43     0x98
#define IPTOS_DSCP_MASK     0xfc
#define IPTOS_DSCP(tos)     ((tos)&IPTOS_DSCP_MASK)
#define IPTOS_CLASS_CS0     0x00
#define IPTOS_CLASS_CS1     0x20
#define IPTOS_CLASS_CS2     0x40
#define IPTOS_CLASS_CS3     0x60
#define IPTOS_CLASS_CS4     0x80
#define IPTOS_CLASS_CS5     0xa0
#define IPTOS_CLASS_CS6     0xc0
#define IPTOS_CLASS_CS7     0xe0
#define IPTOS_DSCP_EF       0xb8
#define IPTOS_DSCP_LE       0x04
#define IPTOS_ECN_MASK      0x03
#define IPTOS_ECN(tos)      ((tos)&IPTOS_ECN_MASK)
#define IPTOS_ECN_NOTECT    0
#define IPTOS_ECN_NOT_ECT   IPTOS_ECN_NOTECT
#define IPTOS_ECN_ECT1      1
#define IPTOS_ECN_ECT0      2
#define IPTOS_ECN_CE        3

/* Of ip_off */
#define IP_RF      0x8000
#define IP_DF      0x4000
#define IP_MF      0x2000
#define IP_OFFMASK 0x1fff

/* In the network's order of bytes. */
struct ip {
    unsigned int ip_hl : 4; /* in units of 4 bytes */
    unsigned int ip_v : 4;
    uint8_t ip_tos;
    uint16_t ip_len;
    uint16_t ip_id;
    uint16_t ip_off;
    uint8_t ip_ttl;
    uint8_t ip_p;
    uint16_t ip_sum;
    struct in_addr ip_src, ip_dst;
};

/* Linux' name of it, and names of its fields. */
struct iphdr {
    unsigned int ihl : 4;
    unsigned int version : 4;
    uint8_t tos;
    uint16_t tot_len;
    uint16_t id;
    uint16_t frag_off;
    uint8_t ttl;
    uint8_t protocol;
    uint16_t check;
    uint32_t saddr, daddr;
};

#endif
