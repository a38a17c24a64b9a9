/*
 * filter.h - which frames may pass, and to whom: the switch's rules, by fixed offsets only.
 *
 * From a guest: its own MAC as source; ARP with its own MAC and address (0 in a probe); IPv4 from its own address, or
 * from 0.0.0.0 if it asks a DHCP server and its spec says that it does; nothing that looks like a DHCP server's
 * answer; nothing towards the control service, unless its spec says so; of IGMP what hosts say; IPv6 by filter6.h. Everything
 * else is dropped: VLAN tags, IPv4 options, other protocols.
 */
#ifndef IO_FILTER_H
#define IO_FILTER_H

#include "io/switch.h"

#define FRAME_BYTES_MIN 14u
#define FRAME_BYTES_MAX 1514u /* without FCS, MTU 1500 */

enum verdict {
    VERDICT_DROP,
    VERDICT_UPLINK,
    VERDICT_PORT,   /* *to is the port, with a reference */
    VERDICT_MEMBER, /* likewise, and once it has got the frame there may be others: judge it again */
};

/* Judges a frame that a port sends by its first bytes, as many as matter: at least 128, or all. */
enum verdict filter_outgoing(struct port *port, const uint8_t *head, uint32_t bytes,
                             struct port **to);

/* The port that a frame from the wire concerns, with a reference, or NULL. Learns a port's address from a DHCP
 * server's acknowledgement of a request that the port sent: by xid and MAC. With walk->heard set, it is a member of a group,
 * and the next call gives another one. */
struct port *filter_incoming(const uint8_t *frame, uint32_t bytes, struct members_walk *walk);

/* Turns a sender's header into the receiver's. False when it asks for segmentation, which segment.h judges, or for a checksum
 * elsewhere than in the TCP or UDP header behind the IPv4 or IPv6 header. (A card writes the sum into its copy after the checks
 * here: anywhere else, it would let a guest change an address that was just checked.) */
bool filter_header(struct skep_net_header *header, const uint8_t *head, uint32_t head_bytes,
                   uint32_t frame_bytes);

#endif
