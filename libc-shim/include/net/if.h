/*
 * net/if.h - the network's interfaces by name and number.
 */
#ifndef _NET_IF_H
#define _NET_IF_H

#ifdef __cplusplus
extern "C" {
#endif

#define IF_NAMESIZE 16 /* as on Linux; names here have 5 characters at most */
#define IFNAMSIZ    IF_NAMESIZE

/* What getifaddrs() says of one. */
#define IFF_UP        0x1
#define IFF_BROADCAST 0x2
#define IFF_LOOPBACK  0x8
#define IFF_RUNNING   0x40

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
