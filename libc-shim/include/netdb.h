/*
 * netdb.h - names of hosts and services.
 *
 * Hosts are looked up as numbers, then "localhost", then with DNS (A records, and AAAA where IPv6 is in use). Services are numbers
 * or one of a few well-known names; there is no /etc/services.
 */
#ifndef _NETDB_H
#define _NETDB_H

#include <netinet/in.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    socklen_t ai_addrlen;
    struct sockaddr *ai_addr;
    char *ai_canonname;
    struct addrinfo *ai_next;
};

struct hostent {
    char *h_name;
    char **h_aliases;
    int h_addrtype;
    int h_length;
    char **h_addr_list;
};
#define h_addr h_addr_list[0]

struct servent {
    char *s_name;
    char **s_aliases;
    int s_port; /* network byte order */
    char *s_proto;
};

struct protoent {
    char *p_name;
    char **p_aliases;
    int p_proto;
};

struct netent {
    char *n_name;
    char **n_aliases;
    int n_addrtype;
    uint32_t n_net;
};

#define AI_PASSIVE     0x01
#define AI_CANONNAME   0x02
#define AI_NUMERICHOST 0x04
#define AI_V4MAPPED    0x08
#define AI_ALL         0x10
#define AI_ADDRCONFIG  0x20
#define AI_NUMERICSERV 0x400

#define EAI_BADFLAGS   (-1)
#define EAI_NONAME     (-2)
#define EAI_AGAIN      (-3)
#define EAI_FAIL       (-4)
#define EAI_NODATA     (-5)
#define EAI_FAMILY     (-6)
#define EAI_SOCKTYPE   (-7)
#define EAI_SERVICE    (-8)
#define EAI_ADDRFAMILY (-9)
#define EAI_MEMORY     (-10)
#define EAI_SYSTEM     (-11)
#define EAI_OVERFLOW   (-12)

#define NI_MAXHOST     1025
#define NI_MAXSERV     32
#define NI_NUMERICHOST 1
#define NI_NUMERICSERV 2
#define NI_NOFQDN      4
#define NI_NAMEREQD    8
#define NI_DGRAM       16

/* The list is freed as a whole, by freeaddrinfo() on its first entry. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result);
void freeaddrinfo(struct addrinfo *list);
const char *gai_strerror(int error);
/* Names services that getservbyname() knows, and the loopback address; there is no reverse look-up, so that NI_NAMEREQD fails
 * with EAI_NONAME for any other. */
int getnameinfo(const struct sockaddr *address, socklen_t address_bytes, char *host,
                socklen_t host_bytes, char *service, socklen_t service_bytes, int flags);

#define NETDB_INTERNAL (-1) /* errno tells more */
#define NETDB_SUCCESS  0
#define HOST_NOT_FOUND 1
#define TRY_AGAIN      2
#define NO_RECOVERY    3
#define NO_DATA        4
extern _Thread_local int h_errno;
/* The result belongs to the calling thread until its next call. */
struct hostent *gethostbyname(const char *name);
/* NULL, NETDB_INTERNAL and errno EAFNOSUPPORT: another family than AF_INET and AF_INET6. */
struct hostent *gethostbyname2(const char *name, int family);
/* The one address that has a name without asking is the loopback: NULL, and HOST_NOT_FOUND, of all others. Another family, or
 * an address of another length: as of gethostbyname2(). */
struct hostent *gethostbyaddr(const void *address, socklen_t bytes, int family);
/* The same with what the result points to in `room`. Their result is 0, also if there is none, or the error, which errno
 * has, too: ERANGE (too little room), EAFNOSUPPORT; and EAGAIN, as *cause is TRY_AGAIN. *out is NULL without a result. *cause:
 * what h_errno would be, NETDB_SUCCESS with a result. */
int gethostbyname_r(const char *name, struct hostent *entry, char *room, size_t bytes,
                    struct hostent **out, int *cause);
int gethostbyname2_r(const char *name, int family, struct hostent *entry, char *room, size_t bytes,
                     struct hostent **out, int *cause);
int gethostbyaddr_r(const void *address, socklen_t address_bytes, int family, struct hostent *entry,
                    char *room, size_t bytes, struct hostent **out, int *cause);
/* By one of the names, not by number. protocol: "tcp", "udp", or NULL, which is answered with "tcp"; NULL of any other. */
struct servent *getservbyname(const char *name, const char *protocol);
/* port: in network byte order. */
struct servent *getservbyport(int port, const char *protocol);
/* ip, icmp, tcp and udp; the result is the library's own. NULL: another. */
struct protoent *getprotobyname(const char *name);
struct protoent *getprotobynumber(int number);
const char *hstrerror(int error);
void herror(const char *text); /* the text, and what h_errno means, on the standard error output */

/* As above, into an entry of the caller's. 0, and *out is NULL if there is none. The room isn't used. */
int getservbyname_r(const char *name, const char *protocol, struct servent *entry, char *room,
                    size_t bytes, struct servent **out);
int getservbyport_r(int port, const char *protocol, struct servent *entry, char *room, size_t bytes,
                    struct servent **out);
int getprotobyname_r(const char *name, struct protoent *entry, char *room, size_t bytes,
                     struct protoent **out);
int getprotobynumber_r(int number, struct protoent *entry, char *room, size_t bytes,
                       struct protoent **out);

/* The same tables one by one, for each thread on its own; NULL after the last. Of hosts and networks there are none. */
void setservent(int unused);
struct servent *getservent(void);
void endservent(void);
void setprotoent(int unused);
struct protoent *getprotoent(void);
void endprotoent(void);
void sethostent(int unused);
struct hostent *gethostent(void);
void endhostent(void);
void setnetent(int unused);
struct netent *getnetent(void);
struct netent *getnetbyname(const char *name);
struct netent *getnetbyaddr(uint32_t net, int family);
void endnetent(void);

#ifdef __cplusplus
}
#endif

#endif
