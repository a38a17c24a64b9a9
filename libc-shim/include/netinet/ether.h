/*
 * netinet/ether.h - Ethernet addresses as text.
 */
#ifndef _NETINET_ETHER_H
#define _NETINET_ETHER_H

#include <net/ethernet.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "2:0:0:0:0:1f": hexadecimal, without zeros in front. Results without _r are the calling thread's until its next call; the room
 * of ether_ntoa_r() has 18 bytes. NULL: the text is no address. */
char *ether_ntoa(const struct ether_addr *address);
char *ether_ntoa_r(const struct ether_addr *address, char *text);
struct ether_addr *ether_aton(const char *text);
struct ether_addr *ether_aton_r(const char *text, struct ether_addr *address);

#ifdef __cplusplus
}
#endif

#endif
