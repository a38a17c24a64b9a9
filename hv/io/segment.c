/*
 * segment.c - judges TCP segments that are longer than a frame, and cuts them. Headers are byte arrays, as in filter.c.
 */
#include "io/segment.h"

#include "io/bytes.h"
#include "io/filter.h"

#define ETHERNET_BYTES   14u
#define TCP_AT           34u /* without IPv4 options */
#define TCP_BYTES_MIN    20u
#define HEAD_BYTES_MIN   (TCP_AT + 60u) /* the longest headers */
#define IPV4_BYTES_AT    16u
#define IPV4_ID_AT       18u
#define IPV4_PROTOCOL_AT 23u
#define IPV4_CHECKSUM_AT 24u
#define IPV4_SOURCE_AT   26u /* and target */
#define PROTOCOL_TCP     6u
#define TCP_SEQUENCE_AT  (TCP_AT + 4)
#define TCP_LENGTH_AT    (TCP_AT + 12)
#define TCP_FLAGS_AT     (TCP_AT + 13)
#define TCP_CHECKSUM_AT  (TCP_AT + 16)

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_URG 0x20u
#define TCP_CWR 0x80u

/* A sum of 16-bit words in one's complement. */
static uint32_t sum(const uint8_t *at, uint32_t bytes, uint32_t start)
{
    for (uint32_t i = 0; i < bytes; i += 2) {
        start += be16(at + i);
    }
    start = (start & 0xffff) + (start >> 16);
    return (start & 0xffff) + (start >> 16);
}

/* 0 = they aren't those of plain data. */
static uint32_t headers_measure(const uint8_t *head, uint32_t head_bytes, uint32_t frame_bytes)
{
    if (head_bytes < HEAD_BYTES_MIN || be16(head + IPV4_BYTES_AT) != frame_bytes - ETHERNET_BYTES) {
        return 0;
    }
    uint32_t tcp_bytes = (uint32_t)(head[TCP_LENGTH_AT] >> 4) * 4;
    bool plain = !(head[TCP_FLAGS_AT] & (TCP_SYN | TCP_RST | TCP_URG | TCP_CWR));
    return plain && tcp_bytes >= TCP_BYTES_MIN ? TCP_AT + tcp_bytes : 0;
}

bool segments_decode(struct segments *segments, struct skep_net_header *header, const uint8_t *head,
                     uint32_t head_bytes, uint32_t frame_bytes, uint32_t mtu)
{
    struct skep_net_header asked = *header;
    header->gso_type = SKEP_NET_GSO_NONE;
    if (asked.gso_type != SKEP_NET_GSO_TCP4 || !(asked.flags & SKEP_NET_HDR_NEEDS_CSUM) ||
        asked.csum_start != TCP_AT || !filter_header(header, head, head_bytes, frame_bytes) ||
        head[IPV4_PROTOCOL_AT] != PROTOCOL_TCP) {
        return false;
    }
    uint32_t bytes = headers_measure(head, head_bytes, frame_bytes), size = asked.gso_size;
    if (bytes == 0 || size < SKEP_NET_GSO_SIZE_MIN || bytes + size > ETHERNET_BYTES + mtu ||
        frame_bytes <= bytes + size) {
        return false;
    }
    uint32_t payload = frame_bytes - bytes;
    *segments = (struct segments){bytes, payload, size, (payload + size - 1) / size};
    header->gso_type = SKEP_NET_GSO_TCP4;
    header->gso_size = asked.gso_size;
    header->hdr_len = (uint16_t)bytes;
    return true;
}

uint32_t segments_bytes(const struct segments *segments, uint32_t at)
{
    uint32_t left = at < segments->payload_bytes ? segments->payload_bytes - at : 0;
    return left < segments->size ? left : segments->size;
}

static void ipv4_cut(uint8_t *head, uint32_t bytes, uint32_t number)
{
    be16_put(head + IPV4_BYTES_AT, bytes);
    be16_put(head + IPV4_ID_AT, be16(head + IPV4_ID_AT) + number);
    be16_put(head + IPV4_CHECKSUM_AT, 0);
    be16_put(head + IPV4_CHECKSUM_AT, ~sum(head + ETHERNET_BYTES, TCP_AT - ETHERNET_BYTES, 0));
}

void segments_cut(const struct segments *segments, uint32_t at, uint32_t bytes,
                  struct skep_net_header *header, uint8_t *head)
{
    uint32_t tcp_bytes = segments->header_bytes - TCP_AT + bytes;
    uint32_t sequence =
        (be16(head + TCP_SEQUENCE_AT) << 16 | be16(head + TCP_SEQUENCE_AT + 2)) + at;
    ipv4_cut(head, TCP_AT - ETHERNET_BYTES + tcp_bytes, at / segments->size);
    be16_put(head + TCP_SEQUENCE_AT, sequence >> 16);
    be16_put(head + TCP_SEQUENCE_AT + 2, sequence);
    if (at + bytes < segments->payload_bytes) {
        head[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    be16_put(head + TCP_CHECKSUM_AT, sum(head + IPV4_SOURCE_AT, 8, PROTOCOL_TCP + tcp_bytes));
    if (bytes <= segments->size) {
        header->gso_type = SKEP_NET_GSO_NONE;
        header->gso_size = header->hdr_len = 0;
    }
}
