/*
 * segment.c - judges TCP segments that are longer than a frame, and cuts them. Headers are byte arrays, as in filter.c.
 */
#include "io/segment.h"

#include "io/bytes.h"
#include "io/filter.h"
#include "io/filter6.h"

#define ETHERNET_BYTES   14u
#define TCP4_AT          34u /* without IPv4 options */
#define TCP6_AT          54u
#define TCP_BYTES_MIN    20u
#define TCP_BYTES_MAX    60u
#define IPV4_BYTES_AT    16u
#define IPV4_ID_AT       18u
#define IPV4_PROTOCOL_AT 23u
#define IPV4_CHECKSUM_AT 24u
#define IPV4_SOURCE_AT   26u /* and target */
#define IPV6_NEXT_AT     20u
#define IPV6_BYTES_AT    18u /* of what follows its header */
#define IPV6_SOURCE_AT   22u
#define PROTOCOL_TCP     6u

/* From tcp_at on. */
#define TCP_SEQUENCE_AT 4u
#define TCP_LENGTH_AT   12u
#define TCP_FLAGS_AT    13u
#define TCP_CHECKSUM_AT 16u

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

/* Where TCP's header is in a frame that asks so and is what it says, 0 = it isn't. */
static uint32_t tcp_find(const struct skep_net_header *asked, const uint8_t *head,
                         uint32_t head_bytes, uint32_t frame_bytes)
{
    uint32_t at = asked->csum_start;
    bool is_6 = asked->gso_type == SKEP_NET_GSO_TCP6;
    if ((!is_6 && asked->gso_type != SKEP_NET_GSO_TCP4) || at != (is_6 ? TCP6_AT : TCP4_AT) ||
        head_bytes < at + TCP_BYTES_MAX || filter6_is_ipv6(head) != is_6) {
        return 0;
    }
    uint32_t protocol = is_6 ? head[IPV6_NEXT_AT] : head[IPV4_PROTOCOL_AT];
    uint32_t bytes =
        is_6 ? TCP6_AT + be16(head + IPV6_BYTES_AT) : ETHERNET_BYTES + be16(head + IPV4_BYTES_AT);
    return protocol == PROTOCOL_TCP && bytes == frame_bytes ? at : 0;
}

/* 0 = they aren't those of plain data. */
static uint32_t headers_measure(const uint8_t *head, uint32_t tcp_at)
{
    const uint8_t *tcp = head + tcp_at;
    uint32_t tcp_bytes = (uint32_t)(tcp[TCP_LENGTH_AT] >> 4) * 4;
    bool plain = !(tcp[TCP_FLAGS_AT] & (TCP_SYN | TCP_RST | TCP_URG | TCP_CWR));
    return plain && tcp_bytes >= TCP_BYTES_MIN ? tcp_at + tcp_bytes : 0;
}

bool segments_decode(struct segments *segments, struct skep_net_header *header, const uint8_t *head,
                     uint32_t head_bytes, uint32_t frame_bytes, uint32_t mtu)
{
    struct skep_net_header asked = *header;
    header->gso_type = SKEP_NET_GSO_NONE;
    uint32_t tcp_at = tcp_find(&asked, head, head_bytes, frame_bytes);
    if (tcp_at == 0 || !(asked.flags & SKEP_NET_HDR_NEEDS_CSUM) ||
        !filter_header(header, head, head_bytes, frame_bytes)) {
        return false;
    }
    uint32_t bytes = headers_measure(head, tcp_at), size = asked.gso_size;
    if (bytes == 0 || size < SKEP_NET_GSO_SIZE_MIN || bytes + size > ETHERNET_BYTES + mtu ||
        frame_bytes <= bytes + size) {
        return false;
    }
    uint32_t payload = frame_bytes - bytes;
    *segments = (struct segments){tcp_at, bytes, payload, size, (payload + size - 1) / size};
    header->gso_type = asked.gso_type;
    header->gso_size = asked.gso_size;
    header->hdr_len = (uint16_t)bytes;
    return true;
}

uint32_t segments_bytes(const struct segments *segments, uint32_t at)
{
    uint32_t left = at < segments->payload_bytes ? segments->payload_bytes - at : 0;
    return left < segments->size ? left : segments->size;
}

/* Gives the pseudo-header's sum. */
static uint32_t ipv4_cut(uint8_t *head, uint32_t tcp_bytes, uint32_t number)
{
    be16_put(head + IPV4_BYTES_AT, TCP4_AT - ETHERNET_BYTES + tcp_bytes);
    be16_put(head + IPV4_ID_AT, be16(head + IPV4_ID_AT) + number);
    be16_put(head + IPV4_CHECKSUM_AT, 0);
    be16_put(head + IPV4_CHECKSUM_AT, ~sum(head + ETHERNET_BYTES, TCP4_AT - ETHERNET_BYTES, 0));
    return sum(head + IPV4_SOURCE_AT, 8, PROTOCOL_TCP + tcp_bytes);
}

/* The same. */
static uint32_t ipv6_cut(uint8_t *head, uint32_t tcp_bytes)
{
    be16_put(head + IPV6_BYTES_AT, tcp_bytes);
    return sum(head + IPV6_SOURCE_AT, 32, PROTOCOL_TCP + tcp_bytes);
}

void segments_cut(const struct segments *segments, uint32_t at, uint32_t bytes,
                  struct skep_net_header *header, uint8_t *head)
{
    uint8_t *tcp = head + segments->tcp_at;
    uint32_t tcp_bytes = segments->header_bytes - segments->tcp_at + bytes;
    uint32_t sequence = (be16(tcp + TCP_SEQUENCE_AT) << 16 | be16(tcp + TCP_SEQUENCE_AT + 2)) + at;
    uint32_t pseudo = segments->tcp_at == TCP6_AT ? ipv6_cut(head, tcp_bytes)
                                                  : ipv4_cut(head, tcp_bytes, at / segments->size);
    be16_put(tcp + TCP_SEQUENCE_AT, sequence >> 16);
    be16_put(tcp + TCP_SEQUENCE_AT + 2, sequence);
    if (at + bytes < segments->payload_bytes) {
        tcp[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    be16_put(tcp + TCP_CHECKSUM_AT, pseudo);
    if (bytes <= segments->size) {
        header->gso_type = SKEP_NET_GSO_NONE;
        header->gso_size = header->hdr_len = 0;
    }
}
