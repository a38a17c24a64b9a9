/*
 * ifaddrs.h - the network's interfaces and their addresses.
 */
#ifndef _IFADDRS_H
#define _IFADDRS_H

#include <net/if.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ifaddrs {
    struct ifaddrs *ifa_next;
    char *ifa_name;
    unsigned ifa_flags; /* IFF_… */
    struct sockaddr *ifa_addr;
    struct sockaddr *ifa_netmask;
    struct sockaddr *ifa_broadaddr; /* NULL: it has none */
    void *ifa_data;                 /* NULL */
};
#define ifa_dstaddr ifa_broadaddr

/* An entry for each address of each interface. -1: ENOMEM. */
int getifaddrs(struct ifaddrs **all);
void freeifaddrs(struct ifaddrs *all);

#ifdef __cplusplus
}
#endif

#endif
