/*
 * frames.c - frames that a guest must not send: with others' addresses, as a DHCP server, to the control service, cut
 * short, with offload fields that don't fit.
 *
 * Each forgery is sent to the wire (by the router's MAC), to everyone, to the control service and to the guest's own
 * second device. There only the honest frame that follows may arrive, and ci/hostile looks for marked ones on the wire.
 *
 * guest: memory=4 network
 */
#include "net.h"

#define UDP_AT     34u
#define DHCP_AT    42u
#define DHCP_BYTES 300u

static struct ring tx, rx;
static struct packet forged;
static uint32_t bytes; /* of its frame */

static void set(uint32_t at, const void *data, uint32_t count)
{
    memcpy(forged.frame + at, data, count);
}

static void set16(uint32_t at, uint32_t value)
{
    forged.frame[at] = (uint8_t)(value >> 8);
    forged.frame[at + 1] = (uint8_t)value;
}

static void set_address(uint32_t at, uint32_t address)
{
    set(at, &address, 4);
}

/* Nothing has arrived on device 1 but, after a while, the honest frame with this number. */
static void only_honest_arrives(uint32_t number)
{
    struct packet honest;
    packet_make(&honest, number);
    packet_send(&tx, &honest, FRAME_BYTES);
    const struct packet *got = packet_received(&rx);
    CHECK(got);
    if (memcmp(got->frame, honest.frame, FRAME_BYTES) != 0)
        fail("FAILED: a forged frame arrived: %x %x\n", *(uint64_t *)(got->frame + 6),
             *(uint64_t *)(got->frame + 26));
    CHECK(!packet_received(&rx));
}

static void send_forged(void)
{
    const uint8_t *const destinations[] = {info->net[1].mac, gateway_mac, broadcast_mac,
                                           control_mac};
    for (unsigned i = 0; i < 4; i++) {
        memcpy(forged.frame, destinations[i], 6);
        packet_send(&tx, &forged, bytes);
        only_honest_arrives(i);
    }
}

/* A frame that would be good, to be spoiled; then sent. */
static void begin(void)
{
    net_start(&tx, &rx);
    packet_make(&forged, 0x5e5e5e);
    bytes = FRAME_BYTES;
    only_honest_arrives(77);
}

/* ---- whose frame it is ---- */

static void mac_of_other_device(void)
{
    begin();
    set(6, info->net[1].mac, 6);
    send_forged();
}

static void mac_of_control(void)
{
    begin();
    set(6, control_mac, 6);
    send_forged();
}

static void mac_of_router(void)
{
    begin();
    set(6, gateway_mac, 6);
    send_forged();
}

static void mac_broadcast(void)
{
    begin();
    set(6, broadcast_mac, 6);
    send_forged();
}

static void mac_null(void)
{
    begin();
    memset(forged.frame + 6, 0, 6);
    send_forged();
}

static void mac_almost(void)
{
    begin();
    forged.frame[11] ^= 1;
    send_forged();
}

static void source_of(uint32_t address)
{
    begin();
    set_address(26, address);
    send_forged();
}

static void source_of_neighbour(void)
{
    source_of(NEIGHBOUR_ADDRESS);
}

static void source_of_other_device(void)
{
    source_of(info->net[1].address);
}

static void source_of_control(void)
{
    source_of(CONTROL_ADDRESS);
}

static void source_of_router(void)
{
    source_of(GATEWAY_ADDRESS);
}

static void source_null(void)
{
    source_of(0);
}

static void source_broadcast(void)
{
    source_of(0xffffffff);
}

/* ---- address resolution ---- */

static void arp_begin(uint32_t operation, const uint8_t *mac, uint32_t sender, uint32_t target)
{
    static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4};
    begin();
    set(12, head, sizeof(head));
    set16(20, operation);
    set(22, mac, 6);
    set_address(28, sender);
    memset(forged.frame + 32, 0, 6);
    set_address(38, target);
}

static void arp_for(uint32_t operation, const uint8_t *mac, uint32_t sender)
{
    arp_begin(operation, mac, sender, info->net[1].address);
    send_forged();
}

static void arp_reply_for_neighbour(void)
{
    arp_for(2, info->net[0].mac, NEIGHBOUR_ADDRESS);
}

static void arp_reply_for_router(void)
{
    arp_for(2, info->net[0].mac, GATEWAY_ADDRESS);
}

static void arp_request_as_router(void)
{
    arp_for(1, info->net[0].mac, GATEWAY_ADDRESS);
}

static void arp_request_as_control(void)
{
    arp_for(1, info->net[0].mac, CONTROL_ADDRESS);
}

static void arp_own_address_at_other_mac(void)
{
    arp_for(2, info->net[1].mac, info->net[0].address);
}

static void arp_reply_without_address(void)
{
    arp_for(2, info->net[0].mac, 0);
}

static void arp_reverse(void)
{
    arp_for(3, info->net[0].mac, info->net[0].address);
}

static void arp_operation_null(void)
{
    arp_for(0, info->net[0].mac, info->net[0].address);
}

static void arp_of_other_hardware(void)
{
    arp_begin(1, info->net[0].mac, info->net[0].address, info->net[1].address);
    forged.frame[15] = 6;
    send_forged();
}

static void arp_of_other_protocol(void)
{
    arp_begin(1, info->net[0].mac, info->net[0].address, info->net[1].address);
    forged.frame[16] = 0x86;
    send_forged();
}

static void arp_for_control(void)
{
    arp_begin(1, info->net[0].mac, info->net[0].address, CONTROL_ADDRESS);
    send_forged();
}

static void arp_probe_for_control(void)
{
    arp_begin(1, info->net[0].mac, 0, CONTROL_ADDRESS);
    send_forged();
}

/* ---- kinds of frames ---- */

static void type_of(uint32_t type)
{
    begin();
    set16(12, type);
    send_forged();
}

static void type_ipv6(void)
{
    type_of(0x86dd);
}

static void type_vlan(void)
{
    type_of(0x8100);
}

static void type_control_pause(void)
{
    type_of(0x8808);
}

static void type_length(void)
{
    type_of(46);
}

static void type_discovery(void)
{
    type_of(0x88cc);
}

static void version_of(uint32_t first)
{
    begin();
    forged.frame[14] = (uint8_t)first;
    send_forged();
}

static void version_six(void)
{
    version_of(0x65);
}

static void options_route(void)
{
    version_of(0x46);
}

#define IGMP_QUESTION 0x11u
#define IGMP_REPORT   0x16u

/* IGMP with the option for routers, or another one in its place. */
static void igmp(uint8_t type, uint32_t option)
{
    begin();
    forged.frame[14] = 0x46;
    forged.frame[23] = 2;
    set_address(30, 0x020101e0); /* 224.1.1.2 */
    set16(34, option >> 16), set16(36, option & 0xffff);
    forged.frame[38] = type;
    send_forged();
}

/* Members would answer who plays a router. */
static void igmp_question(void)
{
    igmp(IGMP_QUESTION, 0x94040000);
}

static void igmp_report_by_a_route(void)
{
    igmp(IGMP_REPORT, 0x83040000);
}

static int64_t net_group(uint64_t device, uint64_t mac, bool joins)
{
    return skep_hypercall3(SKEP_HC_NET_GROUP, device, mac, joins);
}

/* MACs of neighbours, of everybody and of other protocols don't become one's own, and tables stay as large as they are. */
static void groups_in_a_loop(void)
{
    uint64_t neighbour = 0, first = 0x5e0001, count = 0;
    begin();
    memcpy(&neighbour, gateway_mac, 6);
    for (unsigned round = 0; round < 500; round++) {
        CHECK(net_group(0, neighbour, true) == -SKEP_EINVAL);
        CHECK(net_group(0, 0xffffffffffff, true) == -SKEP_EINVAL);
        CHECK(net_group(0, 0x0000c28001, true) == -SKEP_EINVAL);
        for (count = 0; net_group(0, first | (count + 2) << 40, true) == 0; count++)
            CHECK(count < 32);
        CHECK(net_group(0, first | (count + 2) << 40, true) == -SKEP_ENOSPC);
        CHECK(net_group(0, first | 2ull << 40, true) == -SKEP_EEXIST);
        for (uint64_t i = 0; i < count; i++)
            CHECK(net_group(0, first | (i + 2) << 40, false) == 0);
        CHECK(net_group(0, first | 2ull << 40, false) == -SKEP_ENOENT);
    }
    only_honest_arrives(count);
}

/* What a device has joined, and what it has left. */
static void frames_to_groups(void)
{
    static const uint8_t group[6] = {1, 0, 0x5e, 1, 1, 2};
    begin();
    memset(forged.frame + MARK_AT, 0, sizeof(MARK) - 1); /* they may go to the wire */
    memcpy(forged.frame, group, 6);
    set_address(30, 0x020101e0);
    packet_send(&tx, &forged, bytes);
    CHECK(!packet_received(&rx));
    CHECK(net_group(1, 0x0201015e0001, true) == 0);
    packet_send(&tx, &forged, bytes);
    CHECK(packet_received(&rx));
    CHECK(!packet_received(&rx));
    forged.frame[30] = 10; /* to a host, by the group's MAC */
    packet_send(&tx, &forged, bytes);
    CHECK(!packet_received(&rx));
    forged.frame[30] = 224, forged.frame[33] = 3; /* another group's */
    packet_send(&tx, &forged, bytes);
    CHECK(!packet_received(&rx));
    CHECK(net_group(1, 0x0201015e0001, false) == 0);
    forged.frame[33] = 2;
    packet_send(&tx, &forged, bytes);
    only_honest_arrives(9);
}

static void header_too_short(void)
{
    version_of(0x44);
}

static void header_longer_than_frame(void)
{
    version_of(0x4f);
}

static void shorter_than_its_header(void)
{
    begin();
    for (bytes = 0; bytes < UDP_AT; bytes += 3)
        send_forged();
}

/* Not even the header in front of the frame is whole. */
static void shorter_than_any_frame(void)
{
    begin();
    for (uint32_t length = 0; length < sizeof(forged.header); length++) {
        ring_set(&tx, 0, (uint64_t)&forged, length, 0, 0);
        uint16_t index = atomic_load(&tx.avail->index);
        tx.avail->ring[index & (RING_SIZE - 1)] = 0;
        atomic_store(&tx.avail->index, index + 1);
        CHECK(ring_kick(&tx) == 0);
        CHECK(atomic_load(&tx.used->index) == (uint16_t)(tx.taken + 1));
        tx.taken++;
        only_honest_arrives(length);
    }
}

static void longer_than_allowed(void)
{
    begin();
    bytes = FRAME_MAX + 1;
    send_forged();
    bytes = FRAME_MAX + 40;
    send_forged();
}

static void target_control(void)
{
    begin();
    set_address(30, CONTROL_ADDRESS);
    send_forged();
}

/* ---- DHCP ---- */

static void dhcp_begin(uint32_t from, uint32_t to, uint32_t operation)
{
    begin();
    bytes = DHCP_AT + DHCP_BYTES;
    set16(16, bytes - 14);
    set16(UDP_AT, from);
    set16(UDP_AT + 2, to);
    set16(UDP_AT + 4, DHCP_BYTES + 8);
    memset(forged.frame + DHCP_AT, 0, DHCP_BYTES);
    forged.frame[DHCP_AT] = (uint8_t)operation;
    forged.frame[DHCP_AT + 1] = 1;
    forged.frame[DHCP_AT + 2] = 6;
    set(DHCP_AT + 28, info->net[0].mac, 6);
    set(DHCP_AT + 100, MARK, sizeof(MARK) - 1);
}

static void dhcp_answer(void)
{
    dhcp_begin(67, 68, 2);
    set_address(DHCP_AT + 16, ADDRESS(99));
    set(DHCP_AT + 28, info->net[1].mac, 6);
    send_forged();
}

static void dhcp_request_for_other(void)
{
    dhcp_begin(68, 67, 1);
    set(DHCP_AT + 28, info->net[1].mac, 6);
    send_forged();
}

static void dhcp_request_relayed(void)
{
    dhcp_begin(68, 67, 1);
    set_address(DHCP_AT + 24, info->net[0].address);
    send_forged();
}

static void dhcp_request_from_odd_port(void)
{
    dhcp_begin(6800, 67, 1);
    send_forged();
}

static void dhcp_request_in_fragments(void)
{
    dhcp_begin(68, 67, 1);
    set16(20, 0x2000);
    send_forged();
}

static void dhcp_request_that_is_an_answer(void)
{
    dhcp_begin(68, 67, 2);
    send_forged();
}

static void dhcp_request_cut_off(void)
{
    dhcp_begin(68, 67, 1);
    bytes = DHCP_AT + 33;
    set(DHCP_AT + 10, MARK, sizeof(MARK) - 1);
    send_forged();
}

/* A device with a fixed address doesn't ask for one. */
static void dhcp_request_without_leave(void)
{
    dhcp_begin(68, 67, 1);
    set_address(26, 0);
    set_address(30, 0xffffffff);
    send_forged();
}

static void udp_header_cut_off(void)
{
    begin();
    for (bytes = UDP_AT; bytes < UDP_AT + 8; bytes++)
        send_forged();
}

/* ---- offload fields ---- */

static void header_of(uint32_t flags, uint32_t gso, uint32_t start, uint32_t offset)
{
    forged.header.flags = (uint8_t)flags;
    forged.header.gso_type = (uint8_t)gso;
    forged.header.csum_start = (uint16_t)start;
    forged.header.csum_offset = (uint16_t)offset;
    send_forged();
}

static void offload_segments(void)
{
    begin();
    for (uint32_t type = 1; type < 256; type++)
        header_of(0, type, 0, 0);
}

static void offload_checksum_elsewhere(void)
{
    static const uint16_t odd[] = {0,  1,  13,   14,     33,     35,     56,
                                   63, 64, 1500, 0x7fff, 0x8000, 0xfff8, 0xffff};
    begin();
    for (unsigned i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        header_of(SKEP_NET_HDR_NEEDS_CSUM, 0, odd[i], 6);
        header_of(SKEP_NET_HDR_NEEDS_CSUM, 0, UDP_AT, odd[i]);
    }
}

static void offload_checksum_of_fragment(void)
{
    begin();
    set16(20, 0x2000);
    header_of(SKEP_NET_HDR_NEEDS_CSUM, 0, UDP_AT, 6);
}

static void offload_checksum_of_other_protocol(void)
{
    begin();
    forged.frame[23] = 1;
    header_of(SKEP_NET_HDR_NEEDS_CSUM, 0, UDP_AT, 6);
    forged.frame[23] = 6;
    header_of(SKEP_NET_HDR_NEEDS_CSUM, 0, UDP_AT, 6);
}

static void offload_checksum_behind_the_end(void)
{
    begin();
    forged.frame[23] = 6;
    bytes = UDP_AT + 17;
    header_of(SKEP_NET_HDR_NEEDS_CSUM, 0, UDP_AT, 16);
}

/* A word of the sender is no word of the switch: who receives hears that nothing was checked. */
static void offload_believed(void)
{
    struct packet honest;
    begin();
    packet_make(&honest, 9);
    honest.header.flags = SKEP_NET_HDR_DATA_VALID | 0xf8;
    honest.header.hdr_len = 0xffff;
    honest.header.gso_size = 0xffff;
    honest.header.csum_start = 0x1234;
    honest.header.num_buffers = 77;
    packet_send(&tx, &honest, FRAME_BYTES);
    const struct packet *got = packet_received(&rx);
    CHECK(got && got->header.flags == 0 && got->header.gso_type == 0);
    CHECK(got->header.hdr_len == 0 && got->header.gso_size == 0);
    CHECK(got->header.csum_start == 0 && got->header.num_buffers == 1);
}

/* ---- does the control service answer? ---- */

static struct ring own; /* of device 0 */
static struct packet answers[RING_SIZE];

static void listen(void)
{
    ring_make(&own, 0, RING_SIZE);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        ring_set(&own, i, (uint64_t)&answers[i], sizeof(struct packet), SKEP_VRING_DESC_WRITE, 0);
        ring_offer(&own, i);
    }
}

static void arp_fill(uint32_t sender, uint32_t target)
{
    static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
    packet_make(&forged, 0);
    memset(forged.frame + 12, 0, FRAME_BYTES - 12);
    set(12, head, sizeof(head));
    set(22, info->net[0].mac, 6);
    set_address(28, sender);
    set_address(38, target);
}

/* Sends, and then asks the router something: nothing may have answered before. */
static void no_answer(const uint8_t *to)
{
    memcpy(forged.frame, to, 6);
    packet_send(&tx, &forged, FRAME_BYTES);
    arp_fill(info->net[0].address, GATEWAY_ADDRESS);
    memcpy(forged.frame, broadcast_mac, 6);
    packet_send(&tx, &forged, FRAME_BYTES);
    while (atomic_load(&own.used->index) == own.taken)
        skep_hc_yield();
    const struct packet *got = &answers[own.used->ring[own.taken++ % RING_SIZE].id];
    CHECK(memcmp(got->frame + 6, gateway_mac, 6) == 0);
}

/* Questions that it would answer, were they to reach it. */
static void control_is_silent(void)
{
    net_start(&tx, &rx);
    listen();
    for (unsigned round = 0; round < 10; round++) {
        arp_fill(info->net[0].address, CONTROL_ADDRESS);
        no_answer(broadcast_mac);
        arp_fill(info->net[0].address, CONTROL_ADDRESS);
        no_answer(control_mac);
        arp_fill(info->net[0].address, GATEWAY_ADDRESS);
        no_answer(control_mac);
    }
}

const struct attack attacks[] = {
    {"mac-of-other-device", mac_of_other_device, "exit"},
    {"mac-of-control", mac_of_control, "exit"},
    {"mac-of-router", mac_of_router, "exit"},
    {"mac-broadcast", mac_broadcast, "exit"},
    {"mac-null", mac_null, "exit"},
    {"mac-almost", mac_almost, "exit"},
    {"source-of-neighbour", source_of_neighbour, "exit"},
    {"source-of-other-device", source_of_other_device, "exit"},
    {"source-of-control", source_of_control, "exit"},
    {"source-of-router", source_of_router, "exit"},
    {"source-null", source_null, "exit"},
    {"source-broadcast", source_broadcast, "exit"},
    {"arp-reply-for-neighbour", arp_reply_for_neighbour, "exit"},
    {"arp-reply-for-router", arp_reply_for_router, "exit"},
    {"arp-request-as-router", arp_request_as_router, "exit"},
    {"arp-request-as-control", arp_request_as_control, "exit"},
    {"arp-own-address-at-other-mac", arp_own_address_at_other_mac, "exit"},
    {"arp-reply-without-address", arp_reply_without_address, "exit"},
    {"arp-reverse", arp_reverse, "exit"},
    {"arp-operation-null", arp_operation_null, "exit"},
    {"arp-of-other-hardware", arp_of_other_hardware, "exit"},
    {"arp-of-other-protocol", arp_of_other_protocol, "exit"},
    {"arp-for-control", arp_for_control, "exit"},
    {"arp-probe-for-control", arp_probe_for_control, "exit"},
    {"type-ipv6", type_ipv6, "exit"},
    {"type-vlan", type_vlan, "exit"},
    {"type-control-pause", type_control_pause, "exit"},
    {"type-length", type_length, "exit"},
    {"type-discovery", type_discovery, "exit"},
    {"version-six", version_six, "exit"},
    {"options-route", options_route, "exit"},
    {"igmp-question", igmp_question, "exit"},
    {"igmp-report-by-a-route", igmp_report_by_a_route, "exit"},
    {"groups-in-a-loop", groups_in_a_loop, "exit"},
    {"frames-to-groups", frames_to_groups, "exit"},
    {"header-too-short", header_too_short, "exit"},
    {"header-longer-than-frame", header_longer_than_frame, "exit"},
    {"shorter-than-its-header", shorter_than_its_header, "exit"},
    {"shorter-than-any-frame", shorter_than_any_frame, "exit"},
    {"longer-than-allowed", longer_than_allowed, "exit"},
    {"target-control", target_control, "exit"},
    {"dhcp-answer", dhcp_answer, "exit"},
    {"dhcp-request-for-other", dhcp_request_for_other, "exit"},
    {"dhcp-request-relayed", dhcp_request_relayed, "exit"},
    {"dhcp-request-from-odd-port", dhcp_request_from_odd_port, "exit"},
    {"dhcp-request-in-fragments", dhcp_request_in_fragments, "exit"},
    {"dhcp-request-that-is-an-answer", dhcp_request_that_is_an_answer, "exit"},
    {"dhcp-request-cut-off", dhcp_request_cut_off, "exit"},
    {"dhcp-request-without-leave", dhcp_request_without_leave, "exit"},
    {"udp-header-cut-off", udp_header_cut_off, "exit"},
    {"offload-segments", offload_segments, "exit"},
    {"offload-checksum-elsewhere", offload_checksum_elsewhere, "exit"},
    {"offload-checksum-of-fragment", offload_checksum_of_fragment, "exit"},
    {"offload-checksum-of-other-protocol", offload_checksum_of_other_protocol, "exit"},
    {"offload-checksum-behind-the-end", offload_checksum_behind_the_end, "exit"},
    {"offload-believed", offload_believed, "exit"},
    {"control-is-silent", control_is_silent, "exit"},
};
ATTACK_COUNT;
