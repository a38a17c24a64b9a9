/*
 * segment.h - TCP segments that are longer than a frame may be, and how they are cut (gso_type and gso_size of Virtio
 * 1.2, section 5.1.6.2; the header's rules are RFC 9293's and RFC 791's).
 *
 * Only the copied headers are looked at, and nothing is kept between two calls. No locks.
 */
#ifndef IO_SEGMENT_H
#define IO_SEGMENT_H

#include "core/types.h"

/* Payload that is cut every `size` bytes, and the headers that each piece gets a copy of. */
struct segments {
    uint32_t tcp_at;        /* behind Ethernet and IPv4 or IPv6 */
    uint32_t header_bytes;  /* these and TCP; at most 114 */
    uint32_t payload_bytes; /* of all; more than size */
    uint32_t size; /* SKEP_NET_GSO_SIZE_MIN or more; with the headers no more than a frame */
    uint32_t count;
};

/* Looks at a frame that asks to be cut by its first head_bytes (at least 128), and turns the sender's header into the
 * card's. False, and then nothing is to be used, unless it is TCP over IPv4 without IPv4 options or fragments, or right
 * behind IPv6's header, as its gso_type says, whose checksum is left to the card, whose lengths agree with frame_bytes, whose
 * flags are those of plain data (no SYN, RST,
 * URG or CWR), and whose pieces are none too small and none longer than the MTU. */
bool segments_decode(struct segments *segments, struct skep_net_header *header, const uint8_t *head,
                     uint32_t head_bytes, uint32_t frame_bytes, uint32_t mtu);

/* How much payload the piece has that begins `at` bytes into it: 0 at the end, or beyond. */
uint32_t segments_bytes(const struct segments *segments, uint32_t at);

/* Turns the copied headers into those of a piece: as above, or longer, and then a segment that is to be cut itself. Its
 * checksum stays the receiver's or the card's to make: header says so, and the field has the pseudo-header's sum. */
void segments_cut(const struct segments *segments, uint32_t at, uint32_t bytes,
                  struct skep_net_header *header, uint8_t *head);

#endif
