/*
 * netdb.c - names of hosts and services.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/dns.h"
#include "lwip/tcpip.h"

#include "../lwip/network.h"
#include "skep/fd.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "skep/thread.h"

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

/* What it points to stays. Protocol NULL: TCP. False: no name, or another protocol than these two. */
static bool service_fill(struct servent *entry, const char *name, const char *protocol)
{
    bool is_udp = protocol != NULL && strcmp(protocol, "udp") == 0;
    if (name == NULL || (protocol != NULL && !is_udp && strcmp(protocol, "tcp") != 0))
        return false;
    *entry = (struct servent){
        .s_name = (char *)(uintptr_t)name,
        .s_aliases = no_aliases,
        .s_port = htons((uint16_t)service_find(name, 0)),
        .s_proto = (char *)(uintptr_t)(is_udp ? "udp" : "tcp"),
    };
    return true;
}

static struct servent *own_service(const char *name, const char *protocol)
{
    static _Thread_local struct servent entry;
    return service_fill(&entry, name, protocol) ? &entry : NULL;
}

/* The table's copy of a name, or NULL. */
static const char *service_known(const char *name)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (strcmp(name, services[i].name) == 0)
            return services[i].name;
    return NULL;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
    return own_service(service_known(name), protocol);
}

/* Its name, or NULL. */
static const char *service_name(uint16_t port)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (services[i].port == port)
            return services[i].name;
    return NULL;
}

struct servent *getservbyport(int port, const char *protocol)
{
    return own_service(service_name(ntohs((uint16_t)port)), protocol);
}

static _Thread_local size_t next_service;

__attribute__((weak)) void setservent(int unused)
{
    (void)unused;
    next_service = 0;
}

__attribute__((weak)) struct servent *getservent(void)
{
    if (next_service >= sizeof(services) / sizeof(services[0]))
        return NULL;
    return own_service(services[next_service++].name, NULL);
}

__attribute__((weak)) void endservent(void)
{
    next_service = 0;
}

__attribute__((weak)) int getservbyname_r(const char *name, const char *protocol,
                                          struct servent *entry, char *room, size_t bytes,
                                          struct servent **out)
{
    (void)room, (void)bytes;
    *out = service_fill(entry, service_known(name), protocol) ? entry : NULL;
    return 0;
}

__attribute__((weak)) int getservbyport_r(int port, const char *protocol, struct servent *entry,
                                          char *room, size_t bytes, struct servent **out)
{
    (void)room, (void)bytes;
    *out = service_fill(entry, service_name(ntohs((uint16_t)port)), protocol) ? entry : NULL;
    return 0;
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

static _Thread_local size_t next_protocol;

__attribute__((weak)) void setprotoent(int unused)
{
    (void)unused;
    next_protocol = 0;
}

__attribute__((weak)) struct protoent *getprotoent(void)
{
    bool is_there = next_protocol < sizeof(protocols) / sizeof(protocols[0]);
    return is_there ? &protocols[next_protocol++] : NULL;
}

__attribute__((weak)) void endprotoent(void)
{
    next_protocol = 0;
}

static int protocol_copy(const struct protoent *found, struct protoent *entry,
                         struct protoent **out)
{
    if (found != NULL)
        *entry = *found;
    *out = found != NULL ? entry : NULL;
    return 0;
}

__attribute__((weak)) int getprotobyname_r(const char *name, struct protoent *entry, char *room,
                                           size_t bytes, struct protoent **out)
{
    (void)room, (void)bytes;
    return protocol_copy(getprotobyname(name), entry, out);
}

__attribute__((weak)) int getprotobynumber_r(int number, struct protoent *entry, char *room,
                                             size_t bytes, struct protoent **out)
{
    (void)room, (void)bytes;
    return protocol_copy(getprotobynumber(number), entry, out);
}

/*
 * Hosts and networks that could be listed: none
 */

__attribute__((weak)) void sethostent(int unused)
{
    (void)unused;
}

__attribute__((weak)) struct hostent *gethostent(void)
{
    return NULL;
}

__attribute__((weak)) void endhostent(void)
{
}

__attribute__((weak)) void setnetent(int unused)
{
    (void)unused;
}

__attribute__((weak)) struct netent *getnetent(void)
{
    return NULL;
}

__attribute__((weak)) struct netent *getnetbyname(const char *name)
{
    (void)name;
    h_errno = HOST_NOT_FOUND;
    return NULL;
}

__attribute__((weak)) struct netent *getnetbyaddr(uint32_t net, int family)
{
    (void)net, (void)family;
    h_errno = HOST_NOT_FOUND;
    return NULL;
}

__attribute__((weak)) void endnetent(void)
{
}

/*
 * Hosts
 */

/* What a name stands for: an address of each family at most, with the port. */
struct found {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6, mapped; /* IPv4's as IPv6's */
    bool has_v4, has_v6, has_mapped;
    bool is_numeric;
};

/* IPv6 is asked for only where it is in use. */
static bool wants_v6(int family, int flags)
{
    if (family == AF_INET || skep_net_start() < 0)
        return false;
    LOCK_TCPIP_CORE();
    bool used = network6_is_used();
    UNLOCK_TCPIP_CORE();
    return used || (family == AF_INET6 && (flags & AI_ADDRCONFIG) == 0);
}

static bool wants_v4(int family, int flags)
{
    return family != AF_INET6 || (flags & AI_V4MAPPED) != 0;
}

/* What a name server was asked. The core lock guards it. Who asked may be gone when the answer comes. */
struct question {
    _Atomic uint32_t is_answered;
    bool is_abandoned, has_address;
    ip_addr_t address;
};

static void on_answer(const char *name, const ip_addr_t *address, void *argument)
{
    (void)name;
    struct question *question = argument;
    if (question->is_abandoned) {
        free(question);
        return;
    }
    question->has_address = address != NULL;
    if (address != NULL)
        question->address = *address;
    atomic_store_explicit(&question->is_answered, 1, memory_order_release);
    skep_wake(&question->is_answered, 1);
}

static err_t question_ask(struct question *question, const char *name, u8_t kind)
{
    LOCK_TCPIP_CORE();
    network_dns_used();
    err_t error = dns_gethostbyname_addrtype(name, &question->address, on_answer, question, kind);
    question->has_address = error == ERR_OK;
    UNLOCK_TCPIP_CORE();
    return error;
}

/* False: the thread is to end, and the answer's to free the question. */
static bool question_wait(struct question *question)
{
    int result = 0;
    while (result != -EINTR && !atomic_load_explicit(&question->is_answered, memory_order_acquire))
        result = network_wait_restarting(&question->is_answered, 0, SKEP_FOREVER);
    LOCK_TCPIP_CORE();
    bool is_answered = atomic_load_explicit(&question->is_answered, memory_order_relaxed) != 0;
    question->is_abandoned = !is_answered;
    UNLOCK_TCPIP_CORE();
    return is_answered;
}

static int dns_ask(const char *name, u8_t kind, ip_addr_t *out)
{
    struct question *question = calloc(1, sizeof(*question));
    if (question == NULL)
        return EAI_MEMORY;
    err_t asked = question_ask(question, name, kind);
    if (asked == ERR_INPROGRESS && !question_wait(question)) {
        skep_cancellation_point();
        return EAI_AGAIN;
    }
    int error = question->has_address ? 0 : asked == ERR_MEM ? EAI_MEMORY : EAI_NONAME;
    *out = question->address;
    free(question);
    return error;
}

static int dns_find(const char *name, int family, int flags, struct found *out)
{
    int error = skep_net_wait_ready(skep_clock_ns() + READY_WAIT_NS);
    if (error == -EINTR)
        skep_cancellation_point();
    if (error < 0)
        return EAI_AGAIN;
    ip_addr_t address;
    error = EAI_NONAME;
    if (wants_v6(family, flags)) {
        error = dns_ask(name, LWIP_DNS_ADDRTYPE_IPV6, &address);
        out->has_v6 = error == 0;
        if (out->has_v6)
            memcpy(&out->v6.sin6_addr, ip_2_ip6(&address)->addr, sizeof(out->v6.sin6_addr));
    }
    bool ask_too = !out->has_v6 || family == AF_UNSPEC || (flags & AI_ALL) != 0;
    if (wants_v4(family, flags) && ask_too) {
        error = dns_ask(name, LWIP_DNS_ADDRTYPE_IPV4, &address);
        out->has_v4 = error == 0;
        if (out->has_v4)
            out->v4.sin_addr.s_addr = ip_addr_get_ip4_u32(&address);
    }
    return out->has_v6 || out->has_v4 ? 0 : error;
}

/* An address in figures, of IPv6 with an interface's name or number behind a "%". */
static bool numeric_find(const char *name, struct found *out)
{
    char address[INET6_ADDRSTRLEN];
    size_t bytes = strcspn(name, "%");
    if (inet_aton(name, &out->v4.sin_addr)) {
        out->has_v4 = true;
        return true;
    }
    if (bytes >= sizeof(address))
        return false;
    memcpy(address, name, bytes);
    address[bytes] = '\0';
    if (inet_pton(AF_INET6, address, &out->v6.sin6_addr) != 1)
        return false;
    if (name[bytes] == '%') {
        const char *scope = name + bytes + 1;
        char *end;
        unsigned long number = strtoul(scope, &end, 10);
        out->v6.sin6_scope_id =
            *scope != '\0' && *end == '\0' ? (uint32_t)number : if_nametoindex(scope);
        if (out->v6.sin6_scope_id == 0)
            return false;
    }
    out->has_v6 = true;
    return true;
}

static void known_find(int family, int flags, uint32_t v4, const struct in6_addr *v6,
                       struct found *out)
{
    out->has_v4 = wants_v4(family, 0);
    out->has_v6 = wants_v6(family, flags & ~AI_ADDRCONFIG);
    out->v4.sin_addr.s_addr = v4;
    out->v6.sin6_addr = *v6;
}

/* 0, or an EAI_… code. */
static int host_find(const char *name, int family, int flags, struct found *out)
{
    out->is_numeric = numeric_find(name, out);
    if (out->is_numeric)
        return 0;
    if ((flags & AI_NUMERICHOST) != 0)
        return EAI_NONAME;
    if (strcmp(name, "localhost") == 0) {
        known_find(family, flags, htonl(INADDR_LOOPBACK), &in6addr_loopback, out);
        return 0;
    }
    return dns_find(name, family, flags, out);
}

/* A host's entry, and what it points to. */
struct host {
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } address;
    char *addresses[2];
    char name[256];
};

static void host_fill(struct host *host, int family, const char *name, struct hostent *entry)
{
    snprintf(host->name, sizeof(host->name), "%s", name);
    host->addresses[0] = (char *)&host->address;
    host->addresses[1] = NULL;
    *entry = (struct hostent){
        .h_name = host->name,
        .h_aliases = no_aliases,
        .h_addrtype = family,
        .h_length = family == AF_INET6 ? sizeof(host->address.v6) : sizeof(host->address.v4),
        .h_addr_list = host->addresses,
    };
}

static bool is_family(int family)
{
    return family == AF_INET || family == AF_INET6;
}

static int no_such_family(void)
{
    errno = EAFNOSUPPORT;
    return NETDB_INTERNAL;
}

/* NETDB_SUCCESS, or what h_errno is to be; of NETDB_INTERNAL errno tells more. */
static int host_by_name(const char *name, int family, struct host *host, struct hostent *entry)
{
    struct found found = {0};
    if (!is_family(family))
        return no_such_family();
    skep_cancellation_point();
    int error = host_find(name, family, 0, &found);
    if (error == 0 && !(family == AF_INET6 ? found.has_v6 : found.has_v4))
        error = EAI_NONAME;
    if (error != 0)
        return error == EAI_AGAIN ? TRY_AGAIN : HOST_NOT_FOUND;
    if (family == AF_INET6)
        host->address.v6 = found.v6.sin6_addr;
    else
        host->address.v4 = found.v4.sin_addr;
    host_fill(host, family, name, entry);
    return 0;
}

static bool is_loopback_of(const void *address, int family)
{
    struct in6_addr copy;
    if (family == AF_INET6)
        return memcmp(address, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
    memcpy(&copy, address, sizeof(struct in_addr));
    return copy.s6_addr32[0] == htonl(INADDR_LOOPBACK);
}

static int host_by_address(const void *address, socklen_t bytes, int family, struct host *host,
                           struct hostent *entry)
{
    size_t wanted = family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    if (!is_family(family) || bytes != wanted)
        return no_such_family();
    if (!is_loopback_of(address, family))
        return HOST_NOT_FOUND;
    memcpy(&host->address, address, bytes);
    host_fill(host, family, "localhost", entry);
    return 0;
}

static struct host *own_host(struct hostent **entry)
{
    static _Thread_local struct host host;
    static _Thread_local struct hostent own_entry;
    *entry = &own_entry;
    return &host;
}

static struct hostent *own_host_by_name(const char *name, int family)
{
    struct hostent *entry;
    struct host *host = own_host(&entry);
    int cause = host_by_name(name, family, host, entry);
    if (cause != 0)
        h_errno = cause;
    return cause == 0 ? entry : NULL;
}

struct hostent *gethostbyname(const char *name)
{
    return own_host_by_name(name, AF_INET);
}

__attribute__((weak)) struct hostent *gethostbyname2(const char *name, int family)
{
    return own_host_by_name(name, family);
}

__attribute__((weak)) struct hostent *gethostbyaddr(const void *address, socklen_t bytes,
                                                    int family)
{
    struct hostent *entry;
    struct host *host = own_host(&entry);
    int cause = host_by_address(address, bytes, family, host, entry);
    if (cause != 0)
        h_errno = cause;
    return cause == 0 ? entry : NULL;
}

/* Aligned, in the caller's room; NULL: that is too small. */
static struct host *room_host(char *room, size_t bytes)
{
    size_t skipped = -(uintptr_t)room % _Alignof(struct host);
    return bytes >= skipped && bytes - skipped >= sizeof(struct host)
               ? (struct host *)(void *)(room + skipped)
               : NULL;
}

/* 0: found, or certainly not. */
static int result_of(int cause, struct hostent *entry, struct hostent **out, int *cause_out)
{
    *out = cause == NETDB_SUCCESS ? entry : NULL;
    *cause_out = cause;
    return cause == TRY_AGAIN ? EAGAIN : cause == NETDB_INTERNAL ? errno : 0;
}

static int no_room(struct hostent **out, int *cause)
{
    errno = ERANGE;
    return result_of(NETDB_INTERNAL, NULL, out, cause);
}

static int host_into_room(const char *name, int family, struct hostent *entry, char *room,
                          size_t bytes, struct hostent **out, int *cause)
{
    struct host *host = room_host(room, bytes);
    if (host == NULL)
        return no_room(out, cause);
    return result_of(host_by_name(name, family, host, entry), entry, out, cause);
}

__attribute__((weak)) int gethostbyname2_r(const char *name, int family, struct hostent *entry,
                                           char *room, size_t bytes, struct hostent **out,
                                           int *cause)
{
    return host_into_room(name, family, entry, room, bytes, out, cause);
}

__attribute__((weak)) int gethostbyname_r(const char *name, struct hostent *entry, char *room,
                                          size_t bytes, struct hostent **out, int *cause)
{
    return host_into_room(name, AF_INET, entry, room, bytes, out, cause);
}

__attribute__((weak)) int gethostbyaddr_r(const void *address, socklen_t address_bytes, int family,
                                          struct hostent *entry, char *room, size_t bytes,
                                          struct hostent **out, int *cause)
{
    struct host *host = room_host(room, bytes);
    if (host == NULL)
        return no_room(out, cause);
    return result_of(host_by_address(address, address_bytes, family, host, entry), entry, out,
                     cause);
}

static const char *meaning(int error)
{
    switch (error) {
    case NETDB_INTERNAL:
        return "Resolver internal error";
    case NETDB_SUCCESS:
        return "Resolver Error 0 (no error)";
    case HOST_NOT_FOUND:
        return "Unknown host";
    case TRY_AGAIN:
        return "Host name lookup failure";
    case NO_RECOVERY:
        return "Unknown server error";
    case NO_DATA:
        return "No address associated with name";
    default:
        return "Unknown resolver error";
    }
}

__attribute__((weak)) const char *hstrerror(int error)
{
    return meaning(error);
}

__attribute__((weak)) void herror(const char *text)
{
    bool has_text = text != NULL && text[0] != '\0';
    fprintf(stderr, "%s%s%s\n", has_text ? text : "", has_text ? ": " : "", meaning(h_errno));
}

/*
 * getaddrinfo()
 */

#define AI_FLAGS                                                                         \
    (AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG | \
     AI_NUMERICSERV)

/* An entry of the result, allocated as one piece. */
struct entry {
    struct addrinfo info;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
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

static struct entry *entry_new(size_t kind, const struct sockaddr *address, const char *name)
{
    size_t name_bytes = name == NULL ? 0 : strlen(name) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + name_bytes);
    if (entry == NULL)
        return NULL;
    bool is_v6 = address->sa_family == AF_INET6;
    socklen_t bytes = is_v6 ? sizeof(entry->address.v6) : sizeof(entry->address.v4);
    memcpy(&entry->address, address, bytes);
    entry->info = (struct addrinfo){
        .ai_family = address->sa_family,
        .ai_socktype = kinds[kind].type,
        .ai_protocol = kinds[kind].protocol,
        .ai_addrlen = bytes,
        .ai_addr = &entry->address.any,
    };
    if (name != NULL) {
        memcpy(entry->name, name, name_bytes);
        entry->info.ai_canonname = entry->name;
    }
    return entry;
}

/* Appends the address for each kind of socket; `end` is where the next one goes, after that. */
static int entries_add(const struct addrinfo *hints, const struct sockaddr *address,
                       const char *canonical, struct addrinfo ***end)
{
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        if (!kind_wanted(kind, hints))
            continue;
        struct entry *entry = entry_new(kind, address, canonical);
        if (entry == NULL)
            return EAI_MEMORY;
        canonical = NULL; /* the first has it */
        **end = &entry->info;
        *end = &entry->info.ai_next;
    }
    return 0;
}

/* Those of the family that is wanted. Where a server is to be bound, IPv4's comes first, else IPv6's. */
static int entries_make(const struct addrinfo *hints, const struct found *found,
                        const char *canonical, struct addrinfo **result)
{
    struct addrinfo **end = result;
    const struct sockaddr *order[] = {(const struct sockaddr *)&found->v6,
                                      (const struct sockaddr *)&found->v4,
                                      (const struct sockaddr *)&found->mapped};
    bool has[] = {found->has_v6, found->has_v4, found->has_mapped};
    size_t first = (hints->ai_flags & AI_PASSIVE) != 0;
    int error = 0;
    *result = NULL;
    for (size_t i = 0; i < 3 && error == 0; i++) {
        size_t which = i < 2 ? i ^ first : i;
        if (has[which])
            error = entries_add(hints, order[which], *result == NULL ? canonical : NULL, &end);
    }
    if (error != 0)
        freeaddrinfo(*result);
    return error == 0 && *result == NULL ? EAI_SOCKTYPE : error;
}

/* Only addresses of the family, or IPv4's as IPv6's: if there is no other, or all are wanted. */
static void family_keep(struct found *found, int family, int flags)
{
    found->has_mapped = family == AF_INET6 && found->has_v4 && (flags & AI_V4MAPPED) != 0 &&
                        (!found->has_v6 || (flags & AI_ALL) != 0);
    if (found->has_mapped) {
        found->mapped =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = found->v4.sin_port};
        found->mapped.sin6_addr.s6_addr32[2] = htonl(0xffff);
        found->mapped.sin6_addr.s6_addr32[3] = found->v4.sin_addr.s_addr;
    }
    found->has_v4 &= family != AF_INET6;
    found->has_v6 &= family != AF_INET;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    static const struct addrinfo no_hints = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
    if (hints == NULL)
        hints = &no_hints;
    skep_cancellation_point();
    int family = hints->ai_family, flags = hints->ai_flags;
    if (node == NULL && service == NULL)
        return EAI_NONAME;
    if ((flags & ~AI_FLAGS) != 0 || (node == NULL && (flags & AI_CANONNAME) != 0))
        return EAI_BADFLAGS;
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return EAI_FAMILY;

    struct found found = {.v4.sin_family = AF_INET, .v6.sin6_family = AF_INET6};
    int port = service == NULL ? 0 : service_find(service, flags);
    if (port < 0)
        return port;
    found.v4.sin_port = found.v6.sin6_port = htons((uint16_t)port);
    int error = 0;
    if (node != NULL)
        error = host_find(node, family, flags, &found);
    else if ((flags & AI_PASSIVE) != 0)
        known_find(family, flags, INADDR_ANY, &in6addr_any, &found);
    else
        known_find(family, flags, htonl(INADDR_LOOPBACK), &in6addr_loopback, &found);
    if (error != 0)
        return error;
    family_keep(&found, family, flags);
    if (!found.has_v4 && !found.has_v6 && !found.has_mapped)
        return found.is_numeric ? EAI_ADDRFAMILY : EAI_NONAME;
    return entries_make(hints, &found, (flags & AI_CANONNAME) != 0 ? node : NULL, result);
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
    case EAI_BADFLAGS:
        return "Bad value for ai_flags";
    case EAI_NONAME:
        return "Name or service not known";
    case EAI_AGAIN:
        return "Temporary failure in name resolution";
    case EAI_FAIL:
        return "Non-recoverable failure in name resolution";
    case EAI_NODATA:
        return "No address associated with hostname";
    case EAI_FAMILY:
        return "ai_family not supported";
    case EAI_SOCKTYPE:
        return "ai_socktype not supported";
    case EAI_SERVICE:
        return "Servname not supported for ai_socktype";
    case EAI_ADDRFAMILY:
        return "Address family for hostname not supported";
    case EAI_MEMORY:
        return "Memory allocation failure";
    case EAI_SYSTEM:
        return "System error";
    case EAI_OVERFLOW:
        return "Result too large for supplied buffer";
    default:
        return "Unknown error";
    }
}

/*
 * getnameinfo()
 */

#define NI_FLAGS (NI_NUMERICHOST | NI_NUMERICSERV | NI_NOFQDN | NI_NAMEREQD | NI_DGRAM)

/* The address, of a link-local one with its interface, if it has one. */
static int host_format(const struct sockaddr *address, char *host, socklen_t bytes)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    bool is_v6 = address->sa_family == AF_INET6;
    const void *from =
        is_v6 ? (const void *)&v6->sin6_addr : &((const struct sockaddr_in *)address)->sin_addr;
    char name[IF_NAMESIZE];
    if (inet_ntop(address->sa_family, from, host, bytes) == NULL)
        return EAI_OVERFLOW;
    if (!is_v6 || v6->sin6_scope_id == 0 || if_indextoname(v6->sin6_scope_id, name) == NULL)
        return 0;
    size_t length = strlen(host);
    return (size_t)snprintf(host + length, bytes - length, "%%%s", name) < bytes - length
               ? 0
               : EAI_OVERFLOW;
}

static bool is_loopback(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr)
               : ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

/* The one name that is known without asking, else the address. */
static int host_name(const struct sockaddr *address, char *host, socklen_t bytes, int flags)
{
    if ((flags & NI_NUMERICHOST) == 0 && is_loopback(address))
        return (size_t)snprintf(host, bytes, "localhost") < bytes ? 0 : EAI_OVERFLOW;
    return (flags & NI_NAMEREQD) != 0 ? EAI_NONAME : host_format(address, host, bytes);
}

static int port_name(uint16_t port, char *service, socklen_t bytes, int flags)
{
    const char *name = (flags & NI_NUMERICSERV) != 0 ? NULL : service_name(port);
    int needed =
        name != NULL ? snprintf(service, bytes, "%s", name) : snprintf(service, bytes, "%u", port);
    return (size_t)needed < bytes ? 0 : EAI_OVERFLOW;
}

int getnameinfo(const struct sockaddr *address, socklen_t address_bytes, char *host,
                socklen_t host_bytes, char *service, socklen_t service_bytes, int flags)
{
    skep_cancellation_point();
    bool is_v4 = address_bytes >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET;
    bool is_v6 = address_bytes >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6;
    bool wants_host = host != NULL && host_bytes > 0;
    bool wants_service = service != NULL && service_bytes > 0;
    if ((flags & ~NI_FLAGS) != 0)
        return EAI_BADFLAGS;
    if (!wants_host && !wants_service)
        return EAI_NONAME;
    if (!is_v4 && !is_v6)
        return EAI_FAMILY;
    int error = wants_host ? host_name(address, host, host_bytes, flags) : 0;
    uint16_t port = is_v6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                          : ((const struct sockaddr_in *)address)->sin_port;
    if (error == 0 && wants_service)
        error = port_name(ntohs(port), service, service_bytes, flags);
    return error;
}
