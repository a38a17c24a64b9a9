/*
 * interfaces.c - the network's interfaces: by name, by number, and with their addresses.
 */
#include "socket_internal.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lwip/netif.h"
#include "lwip/tcpip.h"

#include "skep/net.h"

_Static_assert(NETIF_NAMESIZE <= IF_NAMESIZE, "lwIP writes names of this length");

/* Interfaces are there from the network's start, which the first socket or this brings about. */
static bool started(void)
{
    int error = skep_net_start();
    if (error < 0)
        errno = -error;
    return error == 0;
}

unsigned if_nametoindex(const char *name)
{
    if (!started())
        return 0;
    LOCK_TCPIP_CORE();
    unsigned index = netif_name_to_index(name);
    UNLOCK_TCPIP_CORE();
    if (index == NETIF_NO_INDEX)
        errno = ENODEV;
    return index;
}

char *if_indextoname(unsigned index, char *name)
{
    if (!started())
        return NULL;
    LOCK_TCPIP_CORE();
    char *found = index <= UINT8_MAX ? netif_index_to_name((uint8_t)index, name) : NULL;
    UNLOCK_TCPIP_CORE();
    if (found == NULL)
        errno = ENXIO;
    return found;
}

/* Holds the core lock. */
static size_t count_all(void)
{
    const struct netif *interface;
    size_t count = 0;
    NETIF_FOREACH(interface)
    {
        count++;
    }
    return count;
}

/* One allocation, in which the names come after the entries. Holds the core lock. */
static struct if_nameindex *list_names(void)
{
    size_t count = count_all();
    struct if_nameindex *all = calloc(1, (count + 1) * sizeof(*all) + count * IF_NAMESIZE);
    if (all == NULL)
        return NULL;
    char *name = (char *)(all + count + 1);
    struct if_nameindex *next = all;
    const struct netif *interface;
    NETIF_FOREACH(interface)
    {
        uint8_t index = netif_get_index(interface);
        *next++ =
            (struct if_nameindex){.if_index = index, .if_name = netif_index_to_name(index, name)};
        name += IF_NAMESIZE;
    }
    return all;
}

struct if_nameindex *if_nameindex(void)
{
    if (!started())
        return NULL;
    LOCK_TCPIP_CORE();
    struct if_nameindex *all = list_names();
    UNLOCK_TCPIP_CORE();
    return all; /* calloc() has set errno */
}

void if_freenameindex(struct if_nameindex *all)
{
    free(all);
}

/* An entry and what it points to. */
struct entry {
    struct ifaddrs entry;
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address, netmask;
    struct sockaddr_in broadcast;
    char name[IF_NAMESIZE];
};

static struct sockaddr *to_sockaddr(struct sockaddr_in *out, uint32_t address)
{
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = address};
    return (struct sockaddr *)out;
}

static struct sockaddr *to_sockaddr6(struct sockaddr_in6 *out, const void *address, size_t bytes)
{
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6};
    memcpy(&out->sin6_addr, address, bytes);
    return (struct sockaddr *)out;
}

static bool is_loopback(const struct netif *interface)
{
    return ip4_addr_isloopback(netif_ip4_addr(interface));
}

static unsigned flags_of(const struct netif *interface)
{
    bool broadcasts = (interface->flags & NETIF_FLAG_BROADCAST) != 0;
    return (netif_is_up(interface) ? IFF_UP : 0) | (broadcasts ? IFF_BROADCAST : 0) |
           (netif_is_link_up(interface) ? IFF_RUNNING : 0) |
           ((interface->flags & NETIF_FLAG_IGMP) != 0 ? IFF_MULTICAST : 0) |
           (is_loopback(interface) ? IFF_LOOPBACK : 0);
}

static void describe(const struct netif *interface, struct entry *out)
{
    out->entry = (struct ifaddrs){
        .ifa_name = netif_index_to_name(netif_get_index(interface), out->name),
        .ifa_flags = flags_of(interface),
    };
}

static void describe4(const struct netif *interface, struct entry *out)
{
    uint32_t address = netif_ip4_addr(interface)->addr, mask = netif_ip4_netmask(interface)->addr;
    describe(interface, out);
    out->entry.ifa_addr = to_sockaddr(&out->address.v4, address);
    out->entry.ifa_netmask = to_sockaddr(&out->netmask.v4, mask);
    if ((out->entry.ifa_flags & IFF_BROADCAST) != 0)
        out->entry.ifa_broadaddr = to_sockaddr(&out->broadcast, address | ~mask);
}

/* All are /64, but the loopback's. */
static void describe6(const struct netif *interface, int8_t index, struct entry *out)
{
    static const uint8_t ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};
    const ip6_addr_t *address = netif_ip6_addr(interface, index);
    describe(interface, out);
    out->entry.ifa_addr = to_sockaddr6(&out->address.v6, address->addr, sizeof(address->addr));
    out->address.v6.sin6_scope_id = ip6_addr_zone(address);
    size_t prefix = (out->entry.ifa_flags & IFF_LOOPBACK) != 0 ? 16 : 8;
    out->entry.ifa_netmask = to_sockaddr6(&out->netmask.v6, ones, prefix);
}

/* Its entries; how many. */
static size_t list_interface(const struct netif *interface, struct entry *out)
{
    size_t count = 0;
    if (!ip4_addr_isany(netif_ip4_addr(interface)))
        describe4(interface, &out[count++]);
    for (int8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(interface, i)))
            describe6(interface, i, &out[count++]);
    return count;
}

/* All entries are one allocation, which the first begins: the loopback's, if no other has an address. It has one more than
 * there can be, since the analyzer knows of no loopback. Holds the core lock. */
static int list_addresses(struct ifaddrs **all)
{
    size_t room = count_all() * (1 + LWIP_IPV6_NUM_ADDRESSES) + 1, count = 0;
    struct entry *entries = calloc(room, sizeof(*entries));
    if (entries == NULL)
        return -1;
    const struct netif *interface;
    NETIF_FOREACH(interface)
    {
        count += list_interface(interface, &entries[count]);
    }
    for (size_t i = 1; i < count; i++)
        entries[i - 1].entry.ifa_next = &entries[i].entry;
    *all = &entries->entry;
    return 0;
}

int getifaddrs(struct ifaddrs **all)
{
    if (!started())
        return -1;
    LOCK_TCPIP_CORE();
    int error = list_addresses(all);
    UNLOCK_TCPIP_CORE();
    return error; /* calloc() has set errno */
}

void freeifaddrs(struct ifaddrs *all)
{
    free(all);
}

/*
 * ioctl(). The core lock is held.
 */

#define LOOPBACK_MTU  65536 /* as on Linux; lwIP's has none */
#define TYPE_ETHERNET 1     /* ARPHRD_… */
#define TYPE_LOOPBACK 772

static int tell_address(struct sockaddr *out, uint32_t address)
{
    to_sockaddr((struct sockaddr_in *)out, address);
    return address != 0 ? 0 : -EADDRNOTAVAIL;
}

static void tell_hardware(const struct netif *interface, struct sockaddr *out)
{
    *out = (struct sockaddr){.sa_family = is_loopback(interface) ? TYPE_LOOPBACK : TYPE_ETHERNET};
    memcpy(out->sa_data, interface->hwaddr, interface->hwaddr_len);
}

static int tell_one(const struct netif *interface, unsigned long request, struct ifreq *out)
{
    uint32_t address = netif_ip4_addr(interface)->addr, mask = netif_ip4_netmask(interface)->addr;
    switch (request) {
    case SIOCGIFNAME:
        netif_index_to_name(netif_get_index(interface), out->ifr_name);
        return 0;
    case SIOCGIFINDEX:
        out->ifr_ifindex = netif_get_index(interface);
        return 0;
    case SIOCGIFFLAGS:
        out->ifr_flags = (short)flags_of(interface);
        return 0;
    case SIOCGIFMTU:
        out->ifr_mtu = is_loopback(interface) ? LOOPBACK_MTU : interface->mtu;
        return 0;
    case SIOCGIFHWADDR:
        tell_hardware(interface, &out->ifr_hwaddr);
        return 0;
    case SIOCGIFADDR:
        return tell_address(&out->ifr_addr, address);
    case SIOCGIFNETMASK:
        return tell_address(&out->ifr_netmask, address != 0 ? mask : 0);
    default: /* SIOCGIFBRDADDR */
        return tell_address(&out->ifr_broadaddr, address != 0 ? address | ~mask : 0);
    }
}

static int tell_all(struct ifconf *out)
{
    const struct netif *interface;
    size_t room = out->ifc_len < 0 ? 0 : (size_t)out->ifc_len / sizeof(struct ifreq), count = 0;
    NETIF_FOREACH(interface)
    {
        if (ip4_addr_isany(netif_ip4_addr(interface)) || (out->ifc_req != NULL && count == room))
            continue;
        if (out->ifc_req != NULL) {
            struct ifreq *one = &out->ifc_req[count];
            *one = (struct ifreq){0};
            netif_index_to_name(netif_get_index(interface), one->ifr_name);
            tell_address(&one->ifr_addr, netif_ip4_addr(interface)->addr);
        }
        count++;
    }
    out->ifc_len = (int)(count * sizeof(struct ifreq));
    return 0;
}

struct netif *skep_inet_interface(unsigned index)
{
    return index <= UINT8_MAX ? netif_get_by_index((u8_t)index) : NULL;
}

struct netif *skep_inet_interface_at(uint32_t address)
{
    struct netif *netif;
    NETIF_FOREACH(netif)
    {
        if (netif_ip4_addr(netif)->addr == address)
            return netif;
    }
    return NULL;
}

static int ask_one(unsigned long request, struct ifreq *out)
{
    char name[IF_NAMESIZE] = "";
    memcpy(name, out->ifr_name, sizeof(name) - 1);
    const struct netif *interface =
        request != SIOCGIFNAME ? netif_find(name) : skep_inet_interface((unsigned)out->ifr_ifindex);
    return interface != NULL ? tell_one(interface, request, out) : -ENODEV;
}

int skep_inet_interface_ioctl(unsigned long request, void *argument)
{
    switch (request) {
    case SIOCGIFNAME:
    case SIOCGIFCONF:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFINDEX:
        break;
    default:
        return -ENOTTY;
    }
    LOCK_TCPIP_CORE();
    int result = request == SIOCGIFCONF ? tell_all(argument) : ask_one(request, argument);
    UNLOCK_TCPIP_CORE();
    return result;
}
