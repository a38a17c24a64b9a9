/* address.h - IPv4 and MAC addresses as text. Addresses are in network byte order. */
#ifndef CONTROL_ADDRESS_H
#define CONTROL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX 20 /* "255.255.255.255/32" and a NUL */
#define MAC_TEXT_MAX     18

/* "A.B.C.D", nothing around it. */
bool address_parse(const char *text, uint32_t *address);

/* "A.B.C.D/len" of a host: no network or broadcast address, no multicast, loopback or 0.0.0.0/8;
 * otherwise *why says what is wrong. */
bool address_parse_host(const char *text, uint32_t *address, uint32_t *netmask, const char **why);

void address_format(char text[ADDRESS_TEXT_MAX], uint32_t address);
void address_format_host(char text[ADDRESS_TEXT_MAX], uint32_t address, uint32_t netmask);

bool mac_parse(const char *text, uint8_t mac[6]);
void mac_format(char text[MAC_TEXT_MAX], const uint8_t mac[6]);

#endif
