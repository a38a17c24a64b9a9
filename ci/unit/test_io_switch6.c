/*
 * test_io_switch6.c - the switch's rules for IPv6: whose addresses guests may use, what they may say of neighbours, and
 * which port a frame reaches.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "io/port.h"

#define RX_FRAME(peer, slot) ((peer)->page[PEER_BUFFERS + (slot) / 2] + (slot) % 2 * 2048 + 12)

#define ICMP    58
#define SOLICIT 135
#define ADVERT  136

/* a: a static address; b: addresses from routers; c: none. */
static struct peer a, b, c;
static uint8_t mac_a[6], mac_b[6], mac_c[6];
static uint8_t frame[2048];

static const uint8_t none[16];
static const uint8_t static_a[16] = {0xfd, [15] = 0x20};
static const uint8_t link_a[16] = {0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 0xa};
static const uint8_t link_b[16] = {0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 0xb};
static const uint8_t link_c[16] = {0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 0xc};
static const uint8_t auto_a[16] = {0x20, 1, 0xd, 0xb8, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 0xa};
static const uint8_t auto_b[16] = {0x20, 1, 0xd, 0xb8, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 0xb};
static const uint8_t world[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};
static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

static int begin(void **state)
{
    struct skep_net6 given = {.flags = SKEP_NET6_ON, .prefix_bits = 64};
    const struct skep_net6 automatic = {.flags = SKEP_NET6_ON | SKEP_NET6_AUTO};
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    mac_of(mac_c, 0xc);
    memcpy(given.address, static_a, 16);
    fixture_begin(state);
    peer_create6(&a, 0xa, ip(10, 0, 0, 20), 0, &given);
    peer_create6(&b, 0xb, ip(10, 0, 0, 21), 0, &automatic);
    peer_create(&c, 0xc, ip(10, 0, 0, 22), 0);
    return 0;
}

static int end(void **state)
{
    peer_destroy(&a);
    peer_destroy(&b);
    peer_destroy(&c);
    return fixture_end(state);
}

/* ---- frames ---- */

static uint32_t frame_ip6(const uint8_t *to, const uint8_t *from, const uint8_t *source,
                          const uint8_t *target, uint8_t protocol, uint16_t payload_bytes)
{
    memset(frame, 0, sizeof(frame));
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    frame[12] = 0x86, frame[13] = 0xdd, frame[14] = 0x60;
    frame[18] = (uint8_t)(payload_bytes >> 8), frame[19] = (uint8_t)payload_bytes;
    frame[20] = protocol;
    frame[21] = 255;
    memcpy(frame + 22, source, 16);
    memcpy(frame + 38, target, 16);
    return 54u + payload_bytes;
}

static uint32_t frame_udp6(const uint8_t *from, const uint8_t *source, const uint8_t *to,
                           const uint8_t *target, uint16_t port)
{
    uint32_t bytes = frame_ip6(to, from, source, target, 17, 20);
    frame[56] = (uint8_t)(port >> 8), frame[57] = (uint8_t)port;
    return bytes;
}

static uint32_t frame_icmp6(const uint8_t *from, const uint8_t *source, const uint8_t *target,
                            uint8_t type)
{
    uint32_t bytes = frame_ip6(other_mac, from, source, target, ICMP, 8);
    frame[54] = type;
    return bytes;
}

/* Of type SOLICIT or ADVERT, with an option that names a MAC, or none. */
static uint32_t frame_nd(const uint8_t *from, const uint8_t *source, uint8_t type,
                         const uint8_t *about, const uint8_t *named)
{
    uint8_t group[16] = {0xff, 2, [11] = 1, 0xff, about[13], about[14], about[15]};
    uint8_t to[6] = {0x33, 0x33, 0xff, about[13], about[14], about[15]};
    uint32_t bytes = frame_ip6(type == SOLICIT ? to : all_nodes_mac, from, source,
                               type == SOLICIT ? group : all_nodes, ICMP, named != NULL ? 32 : 24);
    frame[54] = type;
    memcpy(frame + 62, about, 16);
    if (named != NULL) {
        frame[78] = type == SOLICIT ? 1 : 2, frame[79] = 1;
        memcpy(frame + 80, named, 6);
    }
    return bytes;
}

/* Puts an extension header of 8 bytes before the payload. */
static uint32_t behind(uint8_t header, uint32_t bytes)
{
    memmove(frame + 62, frame + 54, bytes - 54);
    memset(frame + 54, 0, 8);
    frame[54] = frame[20];
    frame[20] = header;
    frame[19] += 8;
    return bytes + 8;
}

static void assert_dropped(struct peer *peer, uint32_t bytes)
{
    uint64_t before = peer_counters(peer).tx_dropped;
    peer_send(peer, frame, bytes);
    assert_int_equal(peer_counters(peer).tx_dropped, before + 1);
    assert_int_equal(peer_used(&peer->tx), 1);
}

static void assert_passes(struct peer *peer, uint32_t bytes)
{
    uint32_t before = sent_count;
    peer_send(peer, frame, bytes);
    assert_int_equal(sent_count, before + 1);
    assert_int_equal(peer_used(&peer->tx), 1);
}

/* ---- what a guest may send ---- */

static void only_own_addresses_are_used(void **state)
{
    (void)state;
    assert_passes(&a, frame_udp6(mac_a, static_a, other_mac, world, 53));
    assert_passes(&a, frame_udp6(mac_a, link_a, other_mac, world, 53));
    assert_passes(&b, frame_udp6(mac_b, link_b, other_mac, world, 53));
    assert_passes(&b, frame_udp6(mac_b, auto_b, other_mac, world, 53));
    assert_dropped(&a, frame_udp6(mac_a, auto_a, other_mac, world, 53)); /* isn't automatic */
    assert_dropped(&a, frame_udp6(mac_a, link_b, other_mac, world, 53));
    assert_dropped(&a, frame_udp6(mac_a, world, other_mac, world, 53));
    assert_dropped(&a, frame_udp6(mac_a, none, other_mac, world, 53));
    assert_dropped(&a, frame_udp6(mac_b, static_a, other_mac, world, 53));
    assert_dropped(&b, frame_udp6(mac_b, static_a, other_mac, world, 53));
    assert_dropped(&b, frame_udp6(mac_b, auto_a, other_mac, world, 53));
    assert_dropped(&c, frame_udp6(mac_c, link_c, other_mac, world, 53)); /* has no IPv6 */
    uint8_t group_b[16];
    memcpy(group_b, auto_b, 16);
    group_b[0] = 0xff;
    assert_dropped(&b, frame_udp6(mac_b, group_b, other_mac, world, 53));
    group_b[0] = 0;
    assert_dropped(&b, frame_udp6(mac_b, group_b, other_mac, world, 53));
    group_b[0] = 0xfe, group_b[1] = 0x81; /* no link-local address but that of fe80::/64 */
    assert_dropped(&b, frame_udp6(mac_b, group_b, other_mac, world, 53));
    uint32_t bytes = frame_udp6(mac_a, static_a, other_mac, world, 53);
    frame[14] = 0x40;
    assert_dropped(&a, bytes);
    frame_udp6(mac_a, static_a, other_mac, world, 53);
    assert_dropped(&a, 53);
}

static void neighbours_are_told_the_truth(void **state)
{
    (void)state;
    assert_passes(&a, frame_nd(mac_a, static_a, SOLICIT, world, mac_a));
    assert_passes(&a, frame_nd(mac_a, static_a, SOLICIT, world, NULL));
    assert_passes(&a, frame_nd(mac_a, static_a, ADVERT, static_a, mac_a));
    assert_passes(&a, frame_nd(mac_a, link_a, ADVERT, link_a, NULL));
    assert_dropped(&a, frame_nd(mac_a, static_a, SOLICIT, world, mac_b));
    assert_dropped(&a, frame_nd(mac_a, static_a, SOLICIT, all_nodes, mac_a));
    assert_dropped(&a, frame_nd(mac_a, static_a, ADVERT, static_a, mac_b));
    assert_dropped(&a, frame_nd(mac_a, static_a, ADVERT, world, mac_a));
    assert_dropped(&a, frame_nd(mac_a, static_a, ADVERT, link_b, mac_a));
    assert_dropped(&a, frame_nd(mac_a, none, ADVERT, static_a, mac_a));
    uint32_t bytes = frame_nd(mac_a, static_a, ADVERT, static_a, mac_a);
    frame[21] = 254; /* came from another network */
    assert_dropped(&a, bytes);
    bytes = frame_nd(mac_a, static_a, ADVERT, static_a, mac_a);
    frame[79] = 0; /* an option of no length */
    assert_dropped(&a, bytes);
    bytes = frame_nd(mac_a, static_a, ADVERT, static_a, mac_a);
    frame[79] = 2; /* one longer than the message */
    assert_dropped(&a, bytes);
    frame_nd(mac_a, static_a, ADVERT, static_a, mac_a);
    frame[19] = 31;
    assert_dropped(&a, 54 + 31);
    frame_nd(mac_a, static_a, ADVERT, static_a, mac_a);
    assert_dropped(&a, 54 + 24); /* shorter than it says */
    bytes = frame_nd(mac_a, static_a, ADVERT, static_a, NULL);
    frame[55] = 1;
    assert_dropped(&a, bytes);
}

static void probes_are_for_own_addresses(void **state)
{
    (void)state;
    assert_passes(&a, frame_nd(mac_a, none, SOLICIT, static_a, NULL));
    assert_passes(&b, frame_nd(mac_b, none, SOLICIT, auto_b, NULL));
    assert_dropped(&a, frame_nd(mac_a, none, SOLICIT, world, NULL));
    assert_dropped(&a, frame_nd(mac_a, none, SOLICIT, static_a, mac_a));
    uint32_t bytes = frame_nd(mac_a, none, SOLICIT, static_a, NULL);
    memcpy(frame + 38, world, 16);
    assert_dropped(&a, bytes);
}

static void discovery_hides_behind_no_header(void **state)
{
    static const uint8_t headers[] = {0, 44, 51, 60};
    /* Its end looks like an option, where one is looked for behind the extension header. */
    static const uint8_t victim[16] = {0xfd, [8] = 200, 1};
    (void)state;
    for (uint32_t i = 0; i < sizeof(headers); i++) {
        uint32_t bytes = frame_nd(mac_a, static_a, ADVERT, static_a, mac_a);
        assert_dropped(&a, behind(headers[i], bytes));
        bytes = frame_nd(mac_a, static_a, ADVERT, victim, mac_a);
        assert_dropped(&a, behind(headers[i], bytes));
        bytes = frame_nd(mac_a, static_a, ADVERT, link_b, mac_a);
        assert_dropped(&a, behind(headers[i], behind(60, bytes)));
        bytes = frame_icmp6(mac_a, static_a, world, 128);
        assert_passes(&a, behind(headers[i], bytes));
    }
    assert_dropped(&a, behind(43, frame_icmp6(mac_a, static_a, world, 128)));
    assert_dropped(&a, behind(60, behind(0, frame_icmp6(mac_a, static_a, world, 128))));
    uint32_t bytes = frame_icmp6(mac_a, static_a, world, 128);
    for (uint32_t i = 0; i < 9; i++) {
        bytes = behind(60, bytes);
    }
    assert_dropped(&a, bytes);
    bytes = behind(60, frame_icmp6(mac_a, static_a, world, 128));
    frame[55] = 7; /* ends beyond the frame */
    assert_dropped(&a, bytes);
    behind(60, frame_icmp6(mac_a, static_a, world, 128));
    assert_dropped(&a, 54 + 8 + 4);
    bytes = behind(44, frame_udp6(mac_a, static_a, other_mac, world, 53));
    frame[57] = 8; /* a later fragment */
    assert_passes(&a, bytes);
    memcpy(frame + 22, none, 16);
    assert_dropped(&a, bytes);
}

static void routers_and_servers_are_not_played(void **state)
{
    static const uint8_t hosts[] = {1, 2, 3, 4, 128, 129, 131, 132, 143};
    (void)state;
    for (uint32_t type = 0; type < 256; type++) {
        uint32_t bytes = frame_icmp6(mac_a, static_a, world, (uint8_t)type);
        if (memchr(hosts, (int)type, sizeof(hosts)) != NULL || type == 133) {
            assert_passes(&a, bytes);
        } else {
            assert_dropped(&a, bytes);
        }
    }
    assert_passes(&a, behind(0, frame_icmp6(mac_a, none, world, 143)));
    assert_passes(&a, frame_icmp6(mac_a, none, world, 133));
    assert_dropped(&a, frame_icmp6(mac_a, none, world, 128));
    assert_dropped(&a, frame_udp6(mac_a, link_a, mac_b, link_b, 546));
    assert_passes(&a, frame_udp6(mac_a, link_a, other_mac, link_b, 547));
}

/* ---- whom frames reach ---- */

static void neighbours_are_asked_and_no_others(void **state)
{
    (void)state;
    peer_post(&a, 0);
    peer_post(&b, 0);
    peer_post(&c, 0);
    peer_send(&a, frame, frame_nd(mac_a, static_a, SOLICIT, link_b, mac_a));
    assert_int_equal(peer_used(&b.rx), 1);
    peer_post(&b, 1);
    peer_send(&a, frame, frame_nd(mac_a, static_a, SOLICIT, auto_b, mac_a));
    assert_int_equal(peer_used(&b.rx), 1);
    card_receive(frame, frame_nd(other_mac, world, SOLICIT, static_a, other_mac), 0);
    assert_int_equal(peer_used(&a.rx), 1);
    peer_post(&a, 1);
    card_receive(frame, frame_nd(other_mac, world, ADVERT, static_a, other_mac), 0);
    assert_int_equal(peer_used(&a.rx), 1); /* somebody else has it, too */
    card_receive(frame, frame_nd(other_mac, world, SOLICIT, link_c, other_mac), 0);
    card_receive(frame, frame_nd(other_mac, world, SOLICIT, auto_a, other_mac), 0);
    card_receive(frame, frame_nd(other_mac, world, SOLICIT, world, other_mac), 0);
    assert_int_equal(peer_used(&a.rx) + peer_used(&b.rx) + peer_used(&c.rx), 0);
    assert_int_equal(sent_count, 0);
}

static void packets_reach_the_port_with_the_mac(void **state)
{
    (void)state;
    peer_post(&b, 0);
    peer_post(&c, 0);
    uint32_t bytes = frame_udp6(mac_a, static_a, mac_b, link_b, 53);
    peer_send(&a, frame, bytes);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_memory_equal(RX_FRAME(&b, 0), frame, bytes);
    peer_post(&b, 1);
    card_receive(frame, frame_udp6(other_mac, world, mac_b, auto_b, 53), 0);
    assert_int_equal(peer_used(&b.rx), 1);
    card_receive(frame, frame_udp6(other_mac, world, mac_c, link_c, 53), 0);
    assert_int_equal(peer_used(&c.rx), 0);
    peer_used(&a.tx);
    assert_dropped(&a, frame_udp6(mac_a, static_a, mac_c, link_c, 53));
    assert_dropped(&a,
                   frame_udp6(mac_a, static_a, card_mac, link_c, 443)); /* the control service's */
}

static uint32_t router_advert(uint16_t payload_bytes)
{
    uint32_t bytes = frame_ip6(all_nodes_mac, other_mac, link_c, all_nodes, ICMP, payload_bytes);
    frame[54] = 134;
    return bytes;
}

static void routers_reach_who_listens_to_them(void **state)
{
    (void)state;
    peer_post(&a, 0);
    peer_post(&b, 0);
    uint32_t bytes = router_advert(56);
    card_receive(frame, bytes, 0);
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&a.rx), 0);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_memory_equal(RX_FRAME(&b, 0), frame, bytes);
    card_receive(frame, router_advert(ADVERT_BYTES_MAX - 53), 0);
    bytes = router_advert(56);
    frame[21] = 64;
    card_receive(frame, bytes, 0);
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(peer_counters(&b).rx_dropped, 0);
}

/* ---- checksums and attaching ---- */

static uint64_t sent_with(uint8_t protocol, uint16_t start, uint16_t offset, uint16_t payload)
{
    const uint32_t page = PEER_BUFFERS + 6;
    struct skep_net_header header = {
        .flags = SKEP_NET_HDR_NEEDS_CSUM, .csum_start = start, .csum_offset = offset};
    uint32_t bytes = frame_ip6(other_mac, mac_a, static_a, world, protocol, payload);
    memcpy(a.page[page], &header, 12);
    memcpy(a.page[page] + 12, frame, bytes);
    uint64_t before = peer_counters(&a).tx_packets;
    peer_offer(&a, &a.tx, page * 4096, 12 + bytes, 0);
    io_queue_kick(a.vcpu, 1);
    return peer_counters(&a).tx_packets - before;
}

static void a_transport_checksum_is_completed(void **state)
{
    (void)state;
    assert_int_equal(sent_with(17, 54, 6, 20), 1);
    assert_int_equal(sent_with(6, 54, 16, 20), 1);
    assert_int_equal(sent[1].header.csum_start, 54);
    assert_int_equal(sent_with(6, 54, 6, 20), 0);
    assert_int_equal(sent_with(6, 54, 16, 17), 0);
    assert_int_equal(sent_with(17, 34, 6, 20), 0);
    assert_int_equal(sent_with(ICMP, 54, 2, 20), 0);
    assert_int_equal(sent_with(44, 62, 6, 40), 0);
}

static void attach_refuses_what_is_taken_or_malformed(void **state)
{
    const struct skep_net net = {.mac = {2, 0, 0, 0, 0, 0xe}};
    struct skep_net6 net6 = {.flags = SKEP_NET6_ON};
    (void)state;
    memcpy(net6.address, static_a, 16);
    assert_int_equal(io_net_attach(c.guest, 1, &net, &net6), -SKEP_EEXIST);
    net6.address[0] = 0xff;
    assert_int_equal(io_net_attach(c.guest, 1, &net, &net6), -SKEP_EINVAL);
    net6.address[0] = 0xfd, net6.address[1] = 1, net6.flags = 4 | SKEP_NET6_ON;
    assert_int_equal(io_net_attach(c.guest, 1, &net, &net6), -SKEP_EINVAL);
    net6.flags = SKEP_NET6_ON;
    assert_int_equal(io_net_attach(c.guest, 1, &net, &net6), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_own_addresses_are_used),         TEST(neighbours_are_told_the_truth),
        TEST(probes_are_for_own_addresses),        TEST(discovery_hides_behind_no_header),
        TEST(routers_and_servers_are_not_played),  TEST(neighbours_are_asked_and_no_others),
        TEST(packets_reach_the_port_with_the_mac), TEST(routers_reach_who_listens_to_them),
        TEST(a_transport_checksum_is_completed),   TEST(attach_refuses_what_is_taken_or_malformed),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
