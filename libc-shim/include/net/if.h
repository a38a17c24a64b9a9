/*
 * net/if.h - the network's interfaces by name and number.
 */
#ifndef _NET_IF_H
#define _NET_IF_H

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IF_NAMESIZE 16 /* as on Linux; names here have 5 characters at most */
#define IFNAMSIZ    IF_NAMESIZE

/* What getifaddrs() and SIOCGIFFLAGS say of one. */
#define IFF_UP        0x1
#define IFF_BROADCAST 0x2
#define IFF_LOOPBACK  0x8
#define IFF_RUNNING   0x40
#define IFF_MULTICAST 0x1000
/* Nothing here has these. */
#define IFF_DEBUG       0x4
#define IFF_POINTOPOINT 0x10
#define IFF_NOTRAILERS  0x20
#define IFF_NOARP       0x80
#define IFF_PROMISC     0x100
#define IFF_ALLMULTI    0x200

#define IFHWADDRLEN 6

/* What ioctl() is asked of an interface by its name, and answers (SIOCGIF…). */
struct ifreq {
    char ifr_name[IFNAMSIZ];
    union {
        struct sockaddr ifr_addr, ifr_dstaddr, ifr_broadaddr, ifr_netmask, ifr_hwaddr;
        short ifr_flags;
        int ifr_ifindex, ifr_metric, ifr_mtu;
        char ifr_newname[IFNAMSIZ];
        char *ifr_data;
    };
};

/* SIOCGIFCONF: as many interfaces with IPv4 addresses as there is room for; without a buffer, the bytes that all take. */
struct ifconf {
    int ifc_len;
    union {
        char *ifc_buf;
        struct ifreq *ifc_req;
    };
};

struct if_nameindex {
    unsigned if_index;
    char *if_name;
};

/* 0: there is no such interface (ENODEV), or the network can't start (ENOMEM). */
unsigned if_nametoindex(const char *name);

/* Writes to name, which has IF_NAMESIZE bytes, and returns it; NULL: there is no such interface (ENXIO). */
char *if_indextoname(unsigned index, char *name);

/* All of them, behind which is one with index 0 and name NULL; NULL: ENOMEM. */
struct if_nameindex *if_nameindex(void);
void if_freenameindex(struct if_nameindex *all);

#ifdef __cplusplus
}
#endif

#endif
