/*
 * filter.c - the switch's rules. Frames are byte arrays: nothing in them is aligned.
 */
#include "io/filter.h"

#include "core/string.h"
#include "io/bytes.h"
#include "io/filter6.h"

#define ETHERNET_BYTES 14u
#define ETHERTYPE_AT   12u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_ARP  0x0806u

/* RFC 826, for IPv4 over Ethernet; offsets in the frame. */
#define ARP_BYTES         42u
#define ARP_OPERATION_AT  20u
#define ARP_REQUEST       1u
#define ARP_REPLY         2u
#define ARP_SENDER_MAC_AT 22u
#define ARP_SENDER_AT     28u
#define ARP_TARGET_AT     38u

/* RFC 791; offsets in the frame. */
#define IPV4_BYTES_MIN     34u
#define IPV4_FRAGMENT_AT   20u
#define IPV4_FRAGMENT_MASK 0x3fffu /* offset and "more" */
#define IPV4_OFFSET_MASK   0x1fffu
#define IPV4_PROTOCOL_AT   23u
#define IPV4_SOURCE_AT     26u
#define IPV4_TARGET_AT     30u
#define IPV6_PAYLOAD_AT    54u
#define PROTOCOL_IGMP      2u
#define PROTOCOL_TCP       6u
#define PROTOCOL_UDP       17u
#define TCP_CHECKSUM_AT    16u
#define UDP_CHECKSUM_AT    6u
#define UDP_BYTES          8u

/* RFC 2236 and 3376: what hosts say. */
#define IGMP_BYTES    8u
#define IGMP_REPORT_1 0x12u
#define IGMP_REPORT_2 0x16u
#define IGMP_LEAVE    0x17u
#define IGMP_REPORT_3 0x22u

/* RFC 2131; offsets in the UDP payload. */
#define DHCP_SERVER_PORT   67u
#define DHCP_CLIENT_PORT   68u
#define DHCP_XID_AT        4u
#define DHCP_ADDRESS_AT    16u /* yiaddr */
#define DHCP_RELAY_AT      24u /* giaddr */
#define DHCP_CLIENT_MAC_AT 28u
#define DHCP_BYTES         34u
#define DHCP_REQUEST       1u
#define DHCP_REPLY         2u

/* Its options: RFC 2132. */
#define DHCP_COOKIE_AT   236u
#define DHCP_OPTIONS_AT  240u
#define DHCP_OPTIONS_MAX 64u
#define DHCP_OPTION_PAD  0u
#define DHCP_OPTION_TYPE 53u
#define DHCP_OPTION_END  255u
#define DHCP_ACK         5u

/* Addresses stay in network byte order. */
static uint32_t address_at(const uint8_t *at)
{
    uint32_t address;
    memcpy(&address, at, sizeof(address));
    return address;
}

static bool is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}

static bool is_arp(const uint8_t *frame, uint32_t bytes)
{
    static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4};
    return be16(frame + ETHERTYPE_AT) == ETHERTYPE_ARP && bytes >= ARP_BYTES &&
           memcmp(frame + ETHERNET_BYTES, ethernet_ipv4, sizeof(ethernet_ipv4)) == 0;
}

static bool is_group_address(const uint8_t *address)
{
    return address[0] >> 4 == 14;
}

/* Where the transport header starts, 0 = no IPv4. */
static uint32_t ipv4_payload(const uint8_t *frame, uint32_t bytes)
{
    if (be16(frame + ETHERTYPE_AT) != ETHERTYPE_IPV4 || bytes < IPV4_BYTES_MIN) {
        return 0;
    }
    uint8_t first = frame[ETHERNET_BYTES];
    uint32_t header = (uint32_t)(first & 15) * 4;
    return first >> 4 == 4 && header >= 20 && ETHERNET_BYTES + header <= bytes
               ? ETHERNET_BYTES + header
               : 0;
}

/* Whether this is the start of a UDP datagram between these ports. */
static bool is_udp(const uint8_t *frame, uint32_t bytes, uint32_t payload, uint32_t from,
                   uint32_t to)
{
    return frame[IPV4_PROTOCOL_AT] == PROTOCOL_UDP &&
           (be16(frame + IPV4_FRAGMENT_AT) & IPV4_OFFSET_MASK) == 0 &&
           bytes >= payload + UDP_BYTES && be16(frame + payload) == from &&
           be16(frame + payload + 2) == to;
}

/* How the control service gets its address is its own affair. */
static bool may_ask_dhcp(const struct port *port)
{
    return port->is_control || (port->flags & SKEP_NET_DHCP);
}

/* ---- from a port ---- */

/* The control service's address is closed to those without permission, whichever way the frame takes. */
static bool may_reach(const struct port *port, uint32_t address)
{
    return port->is_control || (port->flags & SKEP_NET_CONTROL_OK) || address == 0 ||
           address != switch_control_address();
}

static bool arp_permitted(const struct port *port, const uint8_t *frame)
{
    uint32_t operation = be16(frame + ARP_OPERATION_AT);
    uint32_t sender = address_at(frame + ARP_SENDER_AT);
    bool own = sender == atomic_load_explicit(&port->address, memory_order_relaxed);
    bool probe = operation == ARP_REQUEST && sender == 0;
    return (operation == ARP_REQUEST || operation == ARP_REPLY) && (own || probe) &&
           memcmp(frame + ARP_SENDER_MAC_AT, port->mac, 6) == 0 &&
           may_reach(port, address_at(frame + ARP_TARGET_AT));
}

/* A server's answer gives the client that the request names its address (dhcp_target()), so nobody asks for another
 * one: what goes to a server is whole, and names its sender. The answer to it is waited for from now on. */
static bool dhcp_request_permitted(struct port *port, const uint8_t *frame, uint32_t bytes,
                                   uint32_t payload)
{
    if (frame[IPV4_PROTOCOL_AT] != PROTOCOL_UDP ||
        (be16(frame + IPV4_FRAGMENT_AT) & IPV4_OFFSET_MASK) != 0) {
        return true; /* the first fragment of a request is refused */
    }
    if (bytes < payload + UDP_BYTES) {
        return false;
    }
    if (be16(frame + payload + 2) != DHCP_SERVER_PORT) {
        return true;
    }
    const uint8_t *dhcp = frame + payload + UDP_BYTES;
    bool good = (be16(frame + IPV4_FRAGMENT_AT) & IPV4_FRAGMENT_MASK) == 0 &&
                be16(frame + payload) == DHCP_CLIENT_PORT &&
                bytes >= payload + UDP_BYTES + DHCP_BYTES && dhcp[0] == DHCP_REQUEST &&
                dhcp[1] == 1 && dhcp[2] == 6 && address_at(dhcp + DHCP_RELAY_AT) == 0 &&
                memcmp(dhcp + DHCP_CLIENT_MAC_AT, port->mac, 6) == 0;
    if (good && may_ask_dhcp(port)) {
        atomic_store_explicit(&port->dhcp_asked, DHCP_ASKED | address_at(dhcp + DHCP_XID_AT),
                              memory_order_relaxed);
    }
    return good;
}

/* Who asks for members is a router. The one option that is permitted is for routers, too: RFC 2113. */
static bool igmp_permitted(const uint8_t *frame, uint32_t bytes, uint32_t payload)
{
    static const uint8_t router_alert[4] = {0x94, 4, 0, 0};
    bool is_plain = payload == IPV4_BYTES_MIN;
    if (bytes < payload + IGMP_BYTES || be16(frame + IPV4_FRAGMENT_AT) & IPV4_FRAGMENT_MASK ||
        !is_group_address(frame + IPV4_TARGET_AT) ||
        (!is_plain && (payload != IPV4_BYTES_MIN + sizeof(router_alert) ||
                       memcmp(frame + IPV4_BYTES_MIN, router_alert, sizeof(router_alert)) != 0))) {
        return false;
    }
    uint32_t type = frame[payload];
    return type == IGMP_REPORT_1 || type == IGMP_REPORT_2 || type == IGMP_LEAVE ||
           type == IGMP_REPORT_3;
}

static bool ipv4_permitted(struct port *port, const uint8_t *frame, uint32_t bytes,
                           uint32_t payload)
{
    uint32_t source = address_at(frame + IPV4_SOURCE_AT);
    bool is_igmp = frame[IPV4_PROTOCOL_AT] == PROTOCOL_IGMP;
    /* No options: a source route could lead to the control service by way of a router. */
    if ((is_igmp ? !igmp_permitted(frame, bytes, payload) : payload != IPV4_BYTES_MIN) ||
        is_udp(frame, bytes, payload, DHCP_SERVER_PORT, DHCP_CLIENT_PORT) ||
        !dhcp_request_permitted(port, frame, bytes, payload)) {
        return false;
    }
    if (source == 0) {
        return may_ask_dhcp(port) && address_at(frame + IPV4_TARGET_AT) == UINT32_MAX &&
               is_udp(frame, bytes, payload, DHCP_CLIENT_PORT, DHCP_SERVER_PORT);
    }
    return source == atomic_load_explicit(&port->address, memory_order_relaxed) &&
           may_reach(port, address_at(frame + IPV4_TARGET_AT));
}

static bool permitted(struct port *port, const uint8_t *frame, uint32_t bytes)
{
    if (memcmp(frame + 6, port->mac, 6) != 0) {
        return false;
    }
    if (is_arp(frame, bytes)) {
        return arp_permitted(port, frame);
    }
    if (filter6_is_ipv6(frame)) {
        return filter6_permitted(port, frame, bytes);
    }
    uint32_t payload = ipv4_payload(frame, bytes);
    return payload != 0 && ipv4_permitted(port, frame, bytes, payload);
}

/* IPv6 is for those that have it. */
static bool takes(const struct port *port, const uint8_t *frame)
{
    return (port->flags6 & SKEP_NET6_ON) || !filter6_is_ipv6(frame);
}

/* Whether members of the group that the frame's MAC names get it: an IP packet to that group. */
static bool is_for_members(const uint8_t *frame, uint32_t bytes)
{
    const uint8_t *target = frame + IPV4_TARGET_AT;
    if (filter6_is_ipv6(frame)) {
        return filter6_is_for_members(frame, bytes);
    }
    const uint8_t mac[6] = {1,         0,        0x5e, target[1] & 0x7f,
                            target[2], target[3]}; /* RFC 1112, section 6.4 */
    return ipv4_payload(frame, bytes) != 0 && is_group_address(target) &&
           memcmp(frame, mac, sizeof(mac)) == 0;
}

/* The one port that a frame to a group concerns. */
static struct port *group_target(const uint8_t *frame, uint32_t bytes)
{
    if (filter6_is_ipv6(frame)) {
        return filter6_group_target(frame, bytes);
    }
    bool asks = is_arp(frame, bytes) && be16(frame + ARP_OPERATION_AT) == ARP_REQUEST;
    return asks ? switch_find_address(address_at(frame + ARP_TARGET_AT)) : NULL;
}

enum verdict filter_outgoing(struct port *port, const uint8_t *head, uint32_t bytes,
                             struct port **to)
{
    if (bytes < FRAME_BYTES_MIN || !permitted(port, head, bytes)) {
        return VERDICT_DROP;
    }
    if (is_group(head) && is_for_members(head, bytes)) {
        *to = switch_find_member(head, head + 6, &port->walk);
        return *to != NULL ? VERDICT_MEMBER : VERDICT_UPLINK;
    }
    struct port *target = is_group(head) ? group_target(head, bytes) : switch_find_mac(head);
    if (target == NULL) {
        return VERDICT_UPLINK;
    }
    bool closed = !takes(target, head) ||
                  (target->is_control && !port->is_control && !(port->flags & SKEP_NET_CONTROL_OK));
    /* Who asks for its own address wants to know whether someone on the wire has it too. */
    if (target == port || closed) {
        switch_release(target);
        return target == port && is_group(head) ? VERDICT_UPLINK : VERDICT_DROP;
    }
    *to = target;
    return VERDICT_PORT;
}

/* ---- from the wire ---- */

/* The DHCP part of a server's answer, NULL when the frame is none. */
static const uint8_t *dhcp_answer(const uint8_t *frame, uint32_t bytes)
{
    uint32_t payload = ipv4_payload(frame, bytes);
    if (payload == 0 || !is_udp(frame, bytes, payload, DHCP_SERVER_PORT, DHCP_CLIENT_PORT) ||
        bytes < payload + UDP_BYTES + DHCP_BYTES) {
        return NULL;
    }
    const uint8_t *dhcp = frame + payload + UDP_BYTES;
    bool reply = dhcp[0] == DHCP_REPLY && dhcp[1] == 1 && dhcp[2] == 6;
    return reply ? dhcp : NULL;
}

/* Whether the answer is an acknowledgement: the first option of that kind counts. */
static bool dhcp_is_ack(const uint8_t *dhcp, const uint8_t *end)
{
    static const uint8_t cookie[4] = {99, 130, 83, 99};
    const uint8_t *at = dhcp + DHCP_OPTIONS_AT;
    if (end - dhcp < (int)DHCP_OPTIONS_AT || memcmp(dhcp + DHCP_COOKIE_AT, cookie, 4) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < DHCP_OPTIONS_MAX && end - at >= 3 && *at != DHCP_OPTION_END; i++) {
        if (*at == DHCP_OPTION_TYPE) {
            return at[2] == DHCP_ACK;
        }
        at += *at == DHCP_OPTION_PAD ? 1 : 2 + at[1];
    }
    return false;
}

/* What a server acknowledges becomes the port's address, if the port asked for it just now. Others on the wire, who
 * haven't seen the request, can't give it one. */
static void dhcp_learn(struct port *port, const uint8_t *dhcp, const uint8_t *end)
{
    uint64_t asked = DHCP_ASKED | address_at(dhcp + DHCP_XID_AT);
    uint32_t address = address_at(dhcp + DHCP_ADDRESS_AT);
    if (address != 0 && dhcp_is_ack(dhcp, end) &&
        atomic_compare_exchange_strong(&port->dhcp_asked, &asked, 0)) {
        switch_address_set(port, address);
    }
}

/* The port that a DHCP answer is for. */
static struct port *dhcp_target(const uint8_t *frame, const uint8_t *dhcp, const uint8_t *end)
{
    struct port *port = switch_find_mac(dhcp + DHCP_CLIENT_MAC_AT);
    if (port == NULL) {
        return NULL;
    }
    if (!is_group(frame) && memcmp(frame, port->mac, 6) != 0) {
        switch_release(port);
        return NULL;
    }
    dhcp_learn(port, dhcp, end);
    return port;
}

struct port *filter_incoming(const uint8_t *frame, uint32_t bytes, struct members_walk *walk)
{
    if (bytes < FRAME_BYTES_MIN || bytes > FRAME_BYTES_MAX) {
        return NULL;
    }
    const uint8_t *dhcp = dhcp_answer(frame, bytes);
    if (dhcp != NULL) {
        return dhcp_target(frame, dhcp, frame + bytes);
    }
    if (is_group(frame)) {
        bool spread = is_for_members(frame, bytes) && !is_group(frame + 6);
        return spread ? switch_find_member(frame, frame + 6, walk) : group_target(frame, bytes);
    }
    bool known = is_arp(frame, bytes) || ipv4_payload(frame, bytes) != 0 ||
                 filter6_protocol(frame, bytes) >= 0;
    struct port *port = known ? switch_find_mac(frame) : NULL;
    if (port != NULL && !takes(port, frame)) {
        switch_release(port);
        return NULL;
    }
    return port;
}

/* ---- headers ---- */

/* The protocol of the transport header and where it starts; 0 = there is none, or a part only. */
static int transport_find(const uint8_t *head, uint32_t bytes, uint32_t *payload)
{
    int protocol = filter6_protocol(head, bytes);
    *payload = IPV6_PAYLOAD_AT;
    if (protocol >= 0) {
        return protocol;
    }
    *payload = ipv4_payload(head, bytes);
    bool is_whole = *payload != 0 && (be16(head + IPV4_FRAGMENT_AT) & IPV4_FRAGMENT_MASK) == 0;
    return is_whole ? head[IPV4_PROTOCOL_AT] : 0;
}

static bool checksum_valid(const struct skep_net_header *header, const uint8_t *head,
                           uint32_t head_bytes, uint32_t frame_bytes)
{
    uint32_t payload = 0;
    int protocol = head_bytes >= FRAME_BYTES_MIN ? transport_find(head, head_bytes, &payload) : 0;
    if (header->csum_start != payload) {
        return false;
    }
    uint32_t at = protocol == PROTOCOL_TCP   ? TCP_CHECKSUM_AT
                  : protocol == PROTOCOL_UDP ? UDP_CHECKSUM_AT
                                             : 0;
    return at != 0 && header->csum_offset == at && payload + at + 2 <= frame_bytes;
}

bool filter_header(struct skep_net_header *header, const uint8_t *head, uint32_t head_bytes,
                   uint32_t frame_bytes)
{
    struct skep_net_header clean = {.num_buffers = 1};
    if (header->gso_type != 0) {
        return false;
    }
    if (header->flags & SKEP_NET_HDR_NEEDS_CSUM) {
        if (!checksum_valid(header, head, head_bytes, frame_bytes)) {
            return false;
        }
        clean.flags = SKEP_NET_HDR_NEEDS_CSUM;
        clean.csum_start = header->csum_start;
        clean.csum_offset = header->csum_offset;
    }
    *header = clean;
    return true;
}
