/*
 * netdb.c - names of hosts and services.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/api.h"
#include "lwip/tcpip.h"

#include "../lwip/network.h"
#include "skep/guest.h"
#include "skep/net.h"

#define READY_WAIT_NS (15 * 1000000000ull)

_Thread_local int h_errno;

/*
 * Services
 */

static const struct {
    const char *name;
    uint16_t port;
} services[] = {
    {"http", 80}, {"https", 443}, {"domain", 53}, {"ntp", 123},    {"ssh", 22},
    {"smtp", 25}, {"telnet", 23}, {"mqtt", 1883}, {"redis", 6379},
};

/* The port, or an EAI_… code. */
static int service_find(const char *name, int flags)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    if (*name >= '0' && *name <= '9' && *end == '\0')
        return number <= UINT16_MAX ? (int)number : EAI_SERVICE;
    if ((flags & AI_NUMERICSERV) != 0)
        return EAI_NONAME;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (strcmp(name, services[i].name) == 0)
            return services[i].port;
    return EAI_SERVICE;
}

static char *no_aliases[] = {NULL};

static struct servent *service_of(const char *name, int port, const char *protocol)
{
    static _Thread_local struct servent entry;
    entry = (struct servent){
        .s_name = (char *)(uintptr_t)name,
        .s_aliases = no_aliases,
        .s_port = htons((uint16_t)port),
        .s_proto = (char *)(uintptr_t)(protocol != NULL ? protocol : "tcp"),
    };
    return &entry;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
    int port = service_find(name, 0);
    return port < 0 ? NULL : service_of(name, port, protocol);
}

struct servent *getservbyport(int port, const char *protocol)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (htons(services[i].port) == port)
            return service_of(services[i].name, services[i].port, protocol);
    return NULL;
}

/*
 * Protocols
 */

static struct protoent protocols[] = {
    {(char *)"ip", no_aliases, IPPROTO_IP},
    {(char *)"icmp", no_aliases, IPPROTO_ICMP},
    {(char *)"tcp", no_aliases, IPPROTO_TCP},
    {(char *)"udp", no_aliases, IPPROTO_UDP},
};

struct protoent *getprotobyname(const char *name)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (strcmp(name, protocols[i].p_name) == 0)
            return &protocols[i];
    return NULL;
}

struct protoent *getprotobynumber(int number)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (protocols[i].p_proto == number)
            return &protocols[i];
    return NULL;
}

/*
 * Hosts
 */

static int dns_find(const char *name, struct in_addr *out)
{
    if (skep_net_wait_ready(skep_clock_ns() + READY_WAIT_NS) < 0)
        return EAI_AGAIN;
    LOCK_TCPIP_CORE();
    network_dns_used();
    UNLOCK_TCPIP_CORE();
    ip_addr_t address;
    switch (netconn_gethostbyname(name, &address)) {
    case ERR_OK:
        out->s_addr = ip_addr_get_ip4_u32(&address);
        return 0;
    case ERR_MEM:
        return EAI_MEMORY;
    case ERR_TIMEOUT:
        return EAI_AGAIN;
    default:
        return EAI_NONAME;
    }
}

/* 0, or an EAI_… code. */
static int host_find(const char *name, int flags, struct in_addr *out)
{
    if (inet_aton(name, out))
        return 0;
    if ((flags & AI_NUMERICHOST) != 0)
        return EAI_NONAME;
    if (strcmp(name, "localhost") == 0) {
        out->s_addr = htonl(INADDR_LOOPBACK);
        return 0;
    }
    return dns_find(name, out);
}

struct hostent *gethostbyname(const char *name)
{
    static _Thread_local struct hostent entry;
    static _Thread_local struct in_addr address;
    static _Thread_local char *addresses[2];
    static _Thread_local char copy[256];
    int error = host_find(name, 0, &address);
    if (error != 0) {
        h_errno = error == EAI_AGAIN ? TRY_AGAIN : HOST_NOT_FOUND;
        return NULL;
    }
    snprintf(copy, sizeof(copy), "%s", name);
    addresses[0] = (char *)&address;
    entry = (struct hostent){
        .h_name = copy,
        .h_aliases = no_aliases,
        .h_addrtype = AF_INET,
        .h_length = sizeof(address),
        .h_addr_list = addresses,
    };
    return &entry;
}

const char *hstrerror(int error)
{
    return error == TRY_AGAIN ? "The name server doesn't answer" : "No such host";
}

/*
 * getaddrinfo()
 */

/* An entry of the result, allocated as one piece. */
struct entry {
    struct addrinfo info;
    struct sockaddr_in address;
    char name[];
};

static const struct {
    int type, protocol;
} kinds[] = {{SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, IPPROTO_UDP}};

static bool kind_wanted(size_t kind, const struct addrinfo *hints)
{
    return (hints->ai_socktype == 0 || hints->ai_socktype == kinds[kind].type) &&
           (hints->ai_protocol == 0 || hints->ai_protocol == kinds[kind].protocol);
}

static struct entry *entry_new(size_t kind, const struct sockaddr_in *address, const char *name)
{
    size_t name_bytes = name == NULL ? 0 : strlen(name) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + name_bytes);
    if (entry == NULL)
        return NULL;
    entry->address = *address;
    entry->info = (struct addrinfo){
        .ai_family = AF_INET,
        .ai_socktype = kinds[kind].type,
        .ai_protocol = kinds[kind].protocol,
        .ai_addrlen = sizeof(entry->address),
        .ai_addr = (struct sockaddr *)&entry->address,
    };
    if (name != NULL) {
        memcpy(entry->name, name, name_bytes);
        entry->info.ai_canonname = entry->name;
    }
    return entry;
}

static int entries_make(const struct addrinfo *hints, const struct sockaddr_in *address,
                        const char *canonical, struct addrinfo **result)
{
    struct addrinfo **end = result;
    *result = NULL;
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        if (!kind_wanted(kind, hints))
            continue;
        struct entry *entry = entry_new(kind, address, *result == NULL ? canonical : NULL);
        if (entry == NULL) {
            freeaddrinfo(*result);
            return EAI_MEMORY;
        }
        *end = &entry->info;
        end = &entry->info.ai_next;
    }
    return *result == NULL ? EAI_SOCKTYPE : 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    static const struct addrinfo no_hints;
    if (hints == NULL)
        hints = &no_hints;
    if (node == NULL && service == NULL)
        return EAI_NONAME;
    if (hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET)
        return EAI_FAMILY;

    struct sockaddr_in address = {.sin_family = AF_INET};
    int port = service == NULL ? 0 : service_find(service, hints->ai_flags);
    if (port < 0)
        return port;
    address.sin_port = htons((uint16_t)port);
    if (node != NULL) {
        int error = host_find(node, hints->ai_flags, &address.sin_addr);
        if (error != 0)
            return error;
    } else if ((hints->ai_flags & AI_PASSIVE) == 0) {
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return entries_make(hints, &address, (hints->ai_flags & AI_CANONNAME) != 0 ? node : NULL,
                        result);
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list); /* struct entry begins with it */
        list = next;
    }
}

const char *gai_strerror(int error)
{
    switch (error) {
    case 0:
        return "Success";
    case EAI_NONAME:
        return "Name or service not known";
    case EAI_AGAIN:
        return "The name server doesn't answer";
    case EAI_FAMILY:
        return "Address family not supported";
    case EAI_SOCKTYPE:
        return "Socket type not supported";
    case EAI_SERVICE:
        return "Service not known";
    case EAI_MEMORY:
        return "Out of memory";
    case EAI_OVERFLOW:
        return "Buffer too small";
    default:
        return "Name resolution failed";
    }
}

int getnameinfo(const struct sockaddr *address, socklen_t address_bytes, char *host,
                socklen_t host_bytes, char *service, socklen_t service_bytes, int flags)
{
    if (address_bytes < sizeof(struct sockaddr_in) || address->sa_family != AF_INET)
        return EAI_FAMILY;
    if ((flags & NI_NAMEREQD) != 0)
        return EAI_NONAME;
    const struct sockaddr_in *internet = (const struct sockaddr_in *)address;
    if (host != NULL && host_bytes > 0 &&
        inet_ntop(AF_INET, &internet->sin_addr, host, host_bytes) == NULL)
        return EAI_OVERFLOW;
    if (service != NULL && service_bytes > 0 &&
        (size_t)snprintf(service, service_bytes, "%u", ntohs(internet->sin_port)) >= service_bytes)
        return EAI_OVERFLOW;
    return 0;
}
