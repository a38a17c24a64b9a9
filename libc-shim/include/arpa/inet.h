/*
 * arpa/inet.h - addresses as text. AF_INET and AF_INET6; another family fails with EAFNOSUPPORT.
 */
#ifndef _ARPA_INET_H
#define _ARPA_INET_H

#include <netinet/in.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The result of inet_ntoa() is in a buffer of the calling thread that its next call overwrites. */
in_addr_t inet_addr(const char *text);
int inet_aton(const char *text, struct in_addr *out);
char *inet_ntoa(struct in_addr address);

/* Networks of classes A to C, as BSD has them: a network's number is the address without the host's part, in host byte order. */
in_addr_t inet_network(const char *text); /* of up to four parts; INADDR_NONE */
in_addr_t inet_lnaof(struct in_addr address);
in_addr_t inet_netof(struct in_addr address);
struct in_addr inet_makeaddr(in_addr_t net, in_addr_t host);
int inet_pton(int family, const char *text, void *out);
const char *inet_ntop(int family, const void *address, char *text, socklen_t bytes);

#ifdef __cplusplus
}
#endif

#endif
