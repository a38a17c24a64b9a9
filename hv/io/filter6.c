/*
 * filter6.c - the switch's rules for IPv6.
 */
#include "io/filter6.h"

#include "core/string.h"
#include "io/bytes.h"

#define ETHERNET_BYTES 14u
#define ETHERTYPE_AT   12u
#define ETHERTYPE_IPV6 0x86ddu

/* RFC 8200; offsets in the frame. */
#define LENGTH_AT    18u
#define NEXT_AT      20u
#define HOP_LIMIT_AT 21u
#define SOURCE_AT    22u
#define TARGET_AT    38u
#define PAYLOAD_AT   54u

/* Headers: RFC 8200, section 4, and RFC 4302. */
#define HOP_BY_HOP   0u
#define UDP          17u
#define ROUTING      43u
#define FRAGMENT     44u
#define AUTHENTICATE 51u
#define ICMP         58u
#define NONE         59u
#define OPTIONS      60u
#define HEADERS_MAX  8u
#define OFFSET_MASK  0xfff8u /* of a fragment */

/* ICMPv6: RFC 4443, 2710, 3810; and neighbour discovery, RFC 4861. */
#define UNREACHABLE       1u
#define PARAMETER_PROBLEM 4u
#define ECHO_REQUEST      128u
#define ECHO_REPLY        129u
#define GROUP_REPORT      131u
#define GROUP_DONE        132u
#define GROUP_REPORT_2    143u
#define ROUTER_SOLICIT    133u
#define ROUTER_ADVERT     134u
#define SOLICIT           135u
#define ADVERT            136u
#define REDIRECT          137u
#define ND_HOP_LIMIT      255u
#define ND_TARGET_AT      8u /* in the message */
#define ROUTER_OPTIONS_AT 8u
#define OPTIONS_AT        24u
#define OPTION_SOURCE     1u
#define OPTION_TARGET     2u

#define DHCP_CLIENT_PORT 546u /* RFC 8415 */

static const uint8_t no_address[16];
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t solicited_prefix[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

bool filter6_is_ipv6(const uint8_t *frame)
{
    return be16(frame + ETHERTYPE_AT) == ETHERTYPE_IPV6;
}

int filter6_protocol(const uint8_t *frame, uint32_t bytes)
{
    bool is_packet =
        bytes >= PAYLOAD_AT && filter6_is_ipv6(frame) && frame[ETHERNET_BYTES] >> 4 == 6;
    return is_packet ? frame[NEXT_AT] : -1;
}

/* What the chain of headers ends in. */
struct payload {
    uint32_t protocol; /* NONE: a fragment other than the first, too */
    uint32_t at;
    bool is_behind; /* other headers than IPv6's */
};

static uint32_t header_bytes(uint32_t kind, const uint8_t *header)
{
    return kind == FRAGMENT       ? 8
           : kind == AUTHENTICATE ? (header[1] + 2u) * 4
                                  : (header[1] + 1u) * 8;
}

static bool is_extension(uint32_t kind)
{
    return kind == HOP_BY_HOP || kind == OPTIONS || kind == FRAGMENT || kind == AUTHENTICATE;
}

/* False: not all of the chain is there (RFC 7112), or a part of it isn't permitted. */
static bool payload_find(const uint8_t *frame, uint32_t bytes, struct payload *out)
{
    *out = (struct payload){.protocol = frame[NEXT_AT], .at = PAYLOAD_AT};
    for (uint32_t i = 0; is_extension(out->protocol); i++) {
        const uint8_t *header = frame + out->at;
        uint32_t kind = out->protocol;
        if (i == HEADERS_MAX || out->at + 8 > bytes || (kind == HOP_BY_HOP && i > 0)) {
            return false;
        }
        bool is_later = kind == FRAGMENT && (be16(header + 2) & OFFSET_MASK) != 0;
        out->protocol = is_later ? NONE : header[0];
        out->at += header_bytes(kind, header);
        out->is_behind = true;
        if (out->at > bytes) {
            return false;
        }
    }
    return out->protocol != ROUTING; /* it could lead by way of a router to who is out of reach */
}

/* Whether options that name a MAC name the port's; from no address, they name none. */
static bool options_permitted(const struct port *port, const uint8_t *at, const uint8_t *end,
                              bool is_from_none)
{
    while (at < end) {
        if (end - at < 8 || at[1] == 0 || end - at < at[1] * 8) {
            return false;
        }
        bool names = at[0] == OPTION_SOURCE || at[0] == OPTION_TARGET;
        if (names && (is_from_none || at[1] != 1 || memcmp(at + 2, port->mac, 6) != 0)) {
            return false;
        }
        at += at[1] * 8;
    }
    return true;
}

/* Of a solicitation or an advertisement; its first OPTIONS_AT bytes are there. */
static bool target_permitted(const struct port *port, const uint8_t *frame, bool is_from_none)
{
    const uint8_t *target = frame + PAYLOAD_AT + ND_TARGET_AT;
    if (frame[PAYLOAD_AT] == ADVERT) {
        return !is_from_none && switch_owns_address6(port, target);
    }
    bool is_probe = memcmp(frame + TARGET_AT, solicited_prefix, sizeof(solicited_prefix)) == 0 &&
                    switch_owns_address6(port, target);
    return is_from_none ? is_probe : target[0] != 0xff;
}

static bool discovery_permitted(const struct port *port, const uint8_t *frame, uint32_t bytes,
                                bool is_from_none)
{
    bool is_router = frame[PAYLOAD_AT] == ROUTER_SOLICIT;
    uint32_t end = PAYLOAD_AT + be16(frame + LENGTH_AT);
    uint32_t options = PAYLOAD_AT + (is_router ? ROUTER_OPTIONS_AT : OPTIONS_AT);
    return end <= bytes && options <= end && frame[HOP_LIMIT_AT] == ND_HOP_LIMIT &&
           frame[PAYLOAD_AT + 1] == 0 &&
           (is_router || target_permitted(port, frame, is_from_none)) &&
           options_permitted(port, frame + options, frame + end, is_from_none);
}

static bool icmp_permitted(const struct port *port, const uint8_t *frame, uint32_t bytes,
                           const struct payload *payload, bool is_from_none)
{
    uint32_t type = frame[payload->at];
    switch (type) {
    case GROUP_REPORT:
    case GROUP_REPORT_2:
    case GROUP_DONE:
        return true;
    case ROUTER_SOLICIT:
    case SOLICIT:
    case ADVERT:
        return !payload->is_behind && discovery_permitted(port, frame, bytes, is_from_none);
    case ECHO_REQUEST:
    case ECHO_REPLY:
        return !is_from_none;
    default:
        return type >= UNREACHABLE && type <= PARAMETER_PROBLEM && !is_from_none;
    }
}

bool filter6_permitted(const struct port *port, const uint8_t *head, uint32_t bytes)
{
    struct payload payload;
    if (!(port->flags6 & SKEP_NET6_ON) || filter6_protocol(head, bytes) < 0 ||
        !payload_find(head, bytes, &payload)) {
        return false;
    }
    bool is_from_none = memcmp(head + SOURCE_AT, no_address, sizeof(no_address)) == 0;
    if (!is_from_none && !switch_owns_address6(port, head + SOURCE_AT)) {
        return false;
    }
    /* What is looked at must be there: its first 8 bytes. */
    bool is_there = payload.at + 8 <= bytes;
    switch (payload.protocol) {
    case ICMP:
        return is_there && icmp_permitted(port, head, bytes, &payload, is_from_none);
    case UDP:
        return is_there && !is_from_none && be16(head + payload.at + 2) != DHCP_CLIENT_PORT;
    default:
        return !is_from_none;
    }
}

struct port *filter6_group_target(const uint8_t *frame, uint32_t bytes)
{
    bool concerns = filter6_protocol(frame, bytes) == (int)ICMP &&
                    bytes >= PAYLOAD_AT + OPTIONS_AT &&
                    (frame[PAYLOAD_AT] == SOLICIT || frame[PAYLOAD_AT] == ADVERT);
    return concerns ? switch_find_address6(frame + PAYLOAD_AT + ND_TARGET_AT) : NULL;
}

bool filter6_is_for_members(const uint8_t *frame, uint32_t bytes)
{
    struct payload payload;
    const uint8_t *target = frame + TARGET_AT;
    if (filter6_protocol(frame, bytes) < 0 || !payload_find(frame, bytes, &payload) ||
        (payload.protocol == ICMP && payload.at >= bytes)) {
        return false;
    }
    const uint8_t mac[6] = {0x33,       0x33,       target[12],
                            target[13], target[14], target[15]}; /* RFC 2464, section 7 */
    bool discovers = payload.protocol == ICMP && frame[payload.at] >= ROUTER_SOLICIT &&
                     frame[payload.at] <= REDIRECT;
    return !discovers && target[0] == 0xff && memcmp(frame, mac, sizeof(mac)) == 0;
}

bool filter6_is_advert(const uint8_t *frame, uint32_t bytes)
{
    return memcmp(frame, all_nodes_mac, sizeof(all_nodes_mac)) == 0 &&
           filter6_protocol(frame, bytes) == (int)ICMP && bytes > PAYLOAD_AT &&
           frame[PAYLOAD_AT] == ROUTER_ADVERT && frame[HOP_LIMIT_AT] == ND_HOP_LIMIT;
}
