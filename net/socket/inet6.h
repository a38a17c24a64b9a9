/*
 * inet6.h - IPv6 addresses as text.
 */
#ifndef SKEP_INET6_H
#define SKEP_INET6_H

#include <netinet/in.h>
#include <stdbool.h>

/* Reads an address, without an interface; false: it is none, all of it. */
bool inet6_parse(const char *text, struct in6_addr *out);

/* Writes the canonical form of RFC 5952. */
void inet6_format(const struct in6_addr *address, char text[INET6_ADDRSTRLEN]);

#endif
