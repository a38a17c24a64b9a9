/*
 * filter6.h - the switch's rules for IPv6.
 *
 * From a guest that has IPv6 on: packets from its own addresses (switch_owns_address6()), or from none if they ask for
 * neighbours or routers or tell of groups. Neighbour discovery (RFC 4861) speaks for its own addresses and MAC only, is
 * whole, and follows the IPv6 header at once (RFC 6980). What routers and DHCP servers say is dropped, and so are routing
 * headers, chains of headers that don't end in what is looked at, and ICMPv6 of other types than hosts send.
 */
#ifndef IO_FILTER6_H
#define IO_FILTER6_H

#include "io/switch.h"

/* Whether a frame's type says that it is IPv6; it has FRAME_BYTES_MIN at least. */
bool filter6_is_ipv6(const uint8_t *frame);

/* Judges an IPv6 frame that a port sends by its first bytes, as filter_outgoing(). Its source MAC was checked. */
bool filter6_permitted(const struct port *port, const uint8_t *head, uint32_t bytes);

/* The port that a frame to a group concerns: which has the address that neighbours are asked for, or told of. With a
 * reference, or NULL. */
struct port *filter6_group_target(const uint8_t *frame, uint32_t bytes);

/* Whether members of the group that the frame's MAC names get it: an IPv6 packet to that group, and no discovery of
 * neighbours or routers. */
bool filter6_is_for_members(const uint8_t *frame, uint32_t bytes);

/* Whether a frame from the wire is a router's advertisement to everyone. */
bool filter6_is_advert(const uint8_t *frame, uint32_t bytes);

/* The protocol of the header that follows the IPv6 header at once; -1 = it is no IPv6. */
int filter6_protocol(const uint8_t *frame, uint32_t bytes);

#endif
