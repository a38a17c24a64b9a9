/*
 * frames6.c - frames of IPv6 that a guest must not send: from others' addresses, with lies about neighbours, as a router
 * or DHCP server, with neighbour discovery hidden behind other headers, with offload fields that don't fit.
 *
 * Each forgery is sent to the wire (by the router's MAC), to everyone, to the control service and to the guest's own
 * second device, which takes addresses from routers. There only the honest frame that follows may arrive, and ci/hostile
 * looks for marked ones on the wire.
 *
 * guest: memory=4 network6
 */
#include "net.h"

#define SOURCE_AT  22u
#define TARGET_AT  38u
#define PAYLOAD_AT 54u
#define ICMP       58u
#define UDP        17u
#define SOLICIT    135u
#define ADVERT     136u

static struct ring tx, rx;
static struct packet forged, honest;
static uint32_t bytes; /* of its frame */

/* Its end looks like an option, where one is looked for behind an extension header. */
static const uint8_t neighbour[16] = {0xfd, 0x5e, [8] = 200, 1, [15] = 0x99};
static const uint8_t router[16] = {0xfe, 0x80, [15] = 2};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

static const uint8_t *own(void)
{
    return info->net6[0].address;
}

/* The link-local address of a device. */
static void link_address(uint8_t to[16], const uint8_t mac[6])
{
    const uint8_t made[16] = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2],
                              0xff, 0xfe, mac[3],           mac[4], mac[5]};
    memcpy(to, made, 16);
}

/* A packet from device 0 to device 1, whose payload ends in the mark. */
static void ip_make(struct packet *packet, uint8_t protocol, uint32_t payload_bytes)
{
    static const uint8_t head[] = {0x86, 0xdd, 0x60, 0, 0, 0};
    memset(packet, 0, sizeof(*packet));
    memcpy(packet->frame, info->net[1].mac, 6);
    memcpy(packet->frame + 6, info->net[0].mac, 6);
    memcpy(packet->frame + 12, head, sizeof(head));
    packet->frame[19] = (uint8_t)payload_bytes;
    packet->frame[20] = protocol;
    packet->frame[21] = 255;
    memcpy(packet->frame + SOURCE_AT, own(), 16);
    link_address(packet->frame + TARGET_AT, info->net[1].mac);
    bytes = PAYLOAD_AT + payload_bytes;
}

static void only_honest_arrives(void)
{
    packet_send(&tx, &honest, PAYLOAD_AT + 20);
    const struct packet *got = packet_received(&rx);
    CHECK(got);
    if (memcmp(got->frame, honest.frame, PAYLOAD_AT + 20) != 0)
        fail("FAILED: a forged frame arrived: %x %x\n", *(uint64_t *)(got->frame + SOURCE_AT),
             *(uint64_t *)(got->frame + PAYLOAD_AT));
    CHECK(!packet_received(&rx));
}

static void send_forged(void)
{
    const uint8_t *const destinations[] = {info->net[1].mac, gateway_mac, all_nodes_mac,
                                           control_mac};
    memcpy(forged.frame + bytes, MARK, sizeof(MARK) - 1); /* behind the packet, in the frame */
    for (unsigned i = 0; i < 4; i++) {
        memcpy(forged.frame, destinations[i], 6);
        packet_send(&tx, &forged, bytes + sizeof(MARK) - 1);
        only_honest_arrives();
    }
}

/* A datagram that would be good, to be spoiled; then sent. */
static void begin(void)
{
    net_start(&tx, &rx);
    ip_make(&honest, UDP, 20);
    honest.frame[57] = 9;
    only_honest_arrives();
    ip_make(&forged, UDP, 20);
    forged.frame[57] = 9;
}

static void source_of(const uint8_t address[16])
{
    begin();
    memcpy(forged.frame + SOURCE_AT, address, 16);
    send_forged();
}

static void source_of_neighbour(void)
{
    source_of(neighbour);
}

static void source_of_router(void)
{
    source_of(router);
}

static void source_null(void)
{
    source_of((const uint8_t[16]){0});
}

static void source_of_other_device(void)
{
    uint8_t address[16];
    link_address(address, info->net[1].mac);
    source_of(address);
}

/* An address of its MAC in a network that nobody told it to join. */
static void source_in_another_network(void)
{
    uint8_t address[16];
    link_address(address, info->net[0].mac);
    address[0] = 0x20, address[1] = 1;
    source_of(address);
}

/* A solicitation or an advertisement, with a link-layer address. */
static void discovery_make(uint8_t type, const uint8_t about[16], const uint8_t mac[6])
{
    ip_make(&forged, ICMP, 32);
    forged.frame[PAYLOAD_AT] = type;
    memcpy(forged.frame + PAYLOAD_AT + 8, about, 16);
    forged.frame[PAYLOAD_AT + 24] = type == ADVERT ? 2 : 1;
    forged.frame[PAYLOAD_AT + 25] = 1;
    memcpy(forged.frame + PAYLOAD_AT + 26, mac, 6);
}

static void discovery(uint8_t type, const uint8_t about[16], const uint8_t mac[6])
{
    begin();
    discovery_make(type, about, mac);
    send_forged();
}

static void advert_of_neighbour(void)
{
    discovery(ADVERT, neighbour, info->net[0].mac);
}

static void advert_of_router(void)
{
    discovery(ADVERT, router, info->net[0].mac);
}

static void advert_at_other_mac(void)
{
    discovery(ADVERT, own(), info->net[1].mac);
}

static void solicit_from_other_mac(void)
{
    discovery(SOLICIT, neighbour, gateway_mac);
}

/* Behind an extension header of eight bytes. */
static void advert_behind(uint8_t header)
{
    uint8_t message[32];
    begin();
    discovery_make(ADVERT, neighbour, info->net[0].mac);
    memcpy(message, forged.frame + PAYLOAD_AT, sizeof(message));
    memcpy(forged.frame + PAYLOAD_AT + 8, message, sizeof(message));
    memset(forged.frame + PAYLOAD_AT, 0, 8);
    forged.frame[PAYLOAD_AT] = ICMP;
    forged.frame[19] = 40;
    forged.frame[20] = header;
    bytes += 8;
    send_forged();
}

static void advert_behind_hops(void)
{
    advert_behind(0);
}

static void advert_behind_options(void)
{
    advert_behind(60);
}

static void advert_in_a_fragment(void)
{
    advert_behind(44);
}

static void probe_for_neighbour(void)
{
    begin();
    discovery_make(SOLICIT, neighbour, info->net[0].mac);
    forged.frame[19] = 24;
    bytes -= 8;
    memset(forged.frame + SOURCE_AT, 0, 16);
    send_forged();
}

static void icmp_of(uint8_t type)
{
    begin();
    ip_make(&forged, ICMP, 48);
    forged.frame[PAYLOAD_AT] = type;
    send_forged();
}

static void router_advert(void)
{
    icmp_of(134);
}

static void redirect(void)
{
    icmp_of(137);
}

static void group_query(void)
{
    icmp_of(130);
}

static void dhcp_answer(void)
{
    begin();
    forged.frame[55] = 547 & 255, forged.frame[54] = 547 >> 8;
    forged.frame[57] = 546 & 255, forged.frame[56] = 546 >> 8;
    send_forged();
}

static void routing_header(void)
{
    begin();
    forged.frame[20] = 43;
    forged.frame[PAYLOAD_AT] = UDP;
    send_forged();
}

static void headers_without_end(void)
{
    begin();
    forged.frame[20] = 60;
    forged.frame[PAYLOAD_AT] = 60;
    forged.frame[PAYLOAD_AT + 1] = 255;
    send_forged();
}

static void offload_checksum_elsewhere(void)
{
    begin();
    forged.header.flags = SKEP_NET_HDR_NEEDS_CSUM;
    forged.header.csum_start = SOURCE_AT;
    forged.header.csum_offset = 6;
    send_forged();
}

const struct attack attacks[] = {
    {"source-of-neighbour", source_of_neighbour, "exit"},
    {"source-of-router", source_of_router, "exit"},
    {"source-null", source_null, "exit"},
    {"source-of-other-device", source_of_other_device, "exit"},
    {"source-in-another-network", source_in_another_network, "exit"},
    {"advert-of-neighbour", advert_of_neighbour, "exit"},
    {"advert-of-router", advert_of_router, "exit"},
    {"advert-at-other-mac", advert_at_other_mac, "exit"},
    {"solicit-from-other-mac", solicit_from_other_mac, "exit"},
    {"advert-behind-hops", advert_behind_hops, "exit"},
    {"advert-behind-options", advert_behind_options, "exit"},
    {"advert-in-a-fragment", advert_in_a_fragment, "exit"},
    {"probe-for-neighbour", probe_for_neighbour, "exit"},
    {"router-advert", router_advert, "exit"},
    {"redirect", redirect, "exit"},
    {"group-query", group_query, "exit"},
    {"dhcp-answer", dhcp_answer, "exit"},
    {"routing-header", routing_header, "exit"},
    {"headers-without-end", headers_without_end, "exit"},
    {"offload-checksum-elsewhere", offload_checksum_elsewhere, "exit"},
};
ATTACK_COUNT;
