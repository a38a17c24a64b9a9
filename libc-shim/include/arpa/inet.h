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
int inet_pton(int family, const char *text, void *out);
const char *inet_ntop(int family, const void *address, char *text, socklen_t bytes);

#ifdef __cplusplus
}
#endif

#endif
