/*
 * test_io_switch.c - the switch's rules, local delivery, the card's lending of pages, and taking ports down.
 */
#include "test_io_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "fake.h"
#include "io/port.h"

#define ADDRESS_A            ip(10, 0, 0, 20)
#define ADDRESS_B            ip(10, 0, 0, 21)
#define HEAD_BYTES           128
#define CONTROL              ip(10, 0, 0, 1)
#define WORLD                ip(192, 0, 2, 7)
#define XID                  77
#define RX_FRAME(peer, slot) ((peer)->page[PEER_BUFFERS + (slot) / 2] + (slot) % 2 * 2048 + 12)
#define TX_PAGE              (PEER_BUFFERS + 6)

/* Frames of one piece for the card: each costs its piece and three more. */
#define PER_KICK (PORT_KICK_WORK / 4)
#define PER_TURN (PORT_TURN_WORK / 4)

static const struct skep_net6 no_net6;
static uint8_t mac_a[6], mac_b[6];
static uint8_t frame[2048];
static struct peer a, b;

static int begin(void **state)
{
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    fixture_begin(state);
    peer_create(&a, 0xa, ADDRESS_A, 0);
    peer_create(&b, 0xb, ADDRESS_B, 0);
    return 0;
}

static int end(void **state)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        card_done(i);
    }
    if (a.guest != NULL) {
        peer_destroy(&a);
    }
    if (b.guest != NULL) {
        peer_destroy(&b);
    }
    return fixture_end(state);
}

static void assert_dropped(struct peer *peer, uint32_t bytes)
{
    uint64_t before = peer_counters(peer).tx_dropped;
    uint32_t sent_before = sent_count;
    peer_send(peer, frame, bytes);
    assert_int_equal(peer_counters(peer).tx_dropped, before + 1);
    assert_int_equal(peer_used(&peer->tx), 1);
    assert_int_equal(sent_count, sent_before);
}

/* ---- what a guest may send ---- */

static void udp_to_the_world_passes(void **state)
{
    (void)state;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 5000, 53, 10));
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0].piece_count, 0);
    assert_memory_equal(sent[0].frame, frame, 52);
    assert_int_equal(kick_count, 1);
    assert_int_equal(peer_used(&a.tx), 1); /* copied whole: given back at once */
    assert_int_equal(peer_counters(&a).tx_packets, 1);
    assert_int_equal(peer_counters(&a).tx_bytes, 52);
    assert_int_equal(peer_counters(&a).tx_copied, 52);
}

static void foreign_macs_and_addresses_are_dropped(void **state)
{
    (void)state;
    assert_dropped(&a, frame_udp(frame, other_mac, mac_b, ADDRESS_A, WORLD, 1, 2, 0));
    assert_dropped(&a, frame_udp(frame, other_mac, card_mac, ADDRESS_A, WORLD, 1, 2, 0));
    assert_dropped(&a, frame_udp(frame, other_mac, mac_a, ADDRESS_B, WORLD, 1, 2, 0));
    assert_dropped(&a, frame_udp(frame, other_mac, mac_a, CONTROL, WORLD, 1, 2, 0));
    assert_dropped(&a, frame_udp(frame, everyone, mac_a, 0, UINT32_MAX, 68, 67, 300));
    assert_dropped(&a, frame_arp(frame, everyone, mac_a, 1, ADDRESS_B, WORLD));
    assert_dropped(&a, frame_arp(frame, everyone, mac_a, 2, CONTROL, CONTROL));
    frame_arp(frame, everyone, mac_a, 1, ADDRESS_A, WORLD);
    memcpy(frame + 22, mac_b, 6);
    assert_dropped(&a, 42);
    frame_arp(frame, everyone, mac_a, 3, ADDRESS_A, WORLD);
    assert_dropped(&a, 42);
}

static void other_protocols_are_dropped(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 40);
    frame[12] = 0x86, frame[13] = 0xdd; /* IPv6 */
    assert_dropped(&a, bytes);
    frame[12] = 0x81, frame[13] = 0; /* VLAN */
    assert_dropped(&a, bytes);
    frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 0);
    frame[14] = 0x44; /* a header shorter than the least */
    assert_dropped(&a, 42);
    frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 40);
    frame[14] = 0x46; /* options */
    assert_dropped(&a, 82);
    frame[14] = 0x4f; /* one longer than the frame */
    assert_dropped(&a, 42);
    assert_dropped(&a, 20);
    assert_dropped(&a, 1515);
}

static void dhcp_servers_are_not_played(void **state)
{
    (void)state;
    assert_dropped(&a, frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 67, 68, 300));
}

static uint32_t dhcp_request(const uint8_t from[6], const uint8_t client[6], uint32_t source)
{
    uint32_t bytes = frame_udp(frame, everyone, from, source, UINT32_MAX, 68, 67, 240);
    memset(frame + 42, 0, 240);
    frame[42] = 1, frame[43] = 1, frame[44] = 6;
    frame[46] = XID;
    memcpy(frame + 42 + 28, client, 6);
    return bytes;
}

/* The answer would give its address to the client that the request names. */
static void dhcp_is_not_asked_for_others(void **state)
{
    (void)state;
    peer_send(&a, frame, dhcp_request(mac_a, mac_a, ADDRESS_A));
    assert_int_equal(sent_count, 1);
    assert_int_equal(peer_used(&a.tx), 1);
    assert_dropped(&a, dhcp_request(mac_a, mac_b, ADDRESS_A));
    assert_dropped(&a, dhcp_request(mac_a, card_mac, ADDRESS_A));
    uint32_t bytes = dhcp_request(mac_a, mac_a, ADDRESS_A);
    frame[20] = 0x20; /* fragments, which could overlap */
    assert_dropped(&a, bytes);
    bytes = dhcp_request(mac_a, mac_a, ADDRESS_A);
    frame[42 + 24] = 10; /* by way of a relay */
    assert_dropped(&a, bytes);
    dhcp_request(mac_a, mac_a, ADDRESS_A);
    assert_dropped(&a, 42 + 33); /* cut short */
}

/* ---- the control service ---- */

static void control_is_out_of_reach(void **state)
{
    (void)state;
    assert_dropped(&a, frame_udp(frame, card_mac, mac_a, ADDRESS_A, CONTROL, 1, 443, 0));
    assert_dropped(&a, frame_udp(frame, card_mac, mac_a, ADDRESS_A, WORLD, 1, 443, 0));
    assert_dropped(&a, frame_udp(frame, other_mac, mac_a, ADDRESS_A, CONTROL, 1, 443, 0));
    assert_dropped(&a, frame_udp(frame, everyone, mac_a, ADDRESS_A, CONTROL, 1, 443, 0));
    assert_dropped(&a, frame_arp(frame, everyone, mac_a, 1, ADDRESS_A, CONTROL));
    assert_dropped(&a, frame_arp(frame, card_mac, mac_a, 2, ADDRESS_A, CONTROL));
    assert_dropped(&a, frame_arp(frame, card_mac, mac_a, 2, ADDRESS_A, WORLD));
}

static void control_is_in_reach_when_the_spec_says_so(void **state)
{
    struct peer c;
    (void)state;
    peer_create(&c, 0xc, ip(10, 0, 0, 22), SKEP_NET_CONTROL_OK);
    uint8_t mac_c[6];
    mac_of(mac_c, 0xc);
    peer_send(&c, frame, frame_arp(frame, everyone, mac_c, 1, ip(10, 0, 0, 22), CONTROL));
    assert_int_equal(peer_counters(&c).tx_packets, 1);
    assert_int_equal(peer_counters(&c).tx_dropped, 0);
    assert_int_equal(sent_count, 0); /* delivered here, or counted there as dropped */
    peer_destroy(&c);
}

static void control_keeps_its_address(void **state)
{
    struct skep_net net = {.mac = {2, 0, 0, 0, 0, 0xe}, .address = CONTROL};
    (void)state;
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EEXIST);
    memcpy(net.mac, card_mac, 6);
    net.address = WORLD;
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EEXIST);
    assert_null(a.guest->ports[1]);
}

/* ---- ports ---- */

static void attach_refuses_what_is_taken_or_malformed(void **state)
{
    struct skep_net net = {.mac = {2, 0, 0, 0, 0, 0xb}, .address = WORLD};
    (void)state;
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EEXIST);
    net.mac[5] = 0xe;
    net.address = ADDRESS_B;
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EEXIST);
    net.address = ip(224, 0, 0, 1);
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EINVAL);
    net.address = WORLD;
    net.mac[0] = 3;
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EINVAL);
    memset(net.mac, 0, 6);
    assert_int_equal(io_net_attach(a.guest, 1, &net, &no_net6), -SKEP_EINVAL);
    assert_int_equal(io_net_attach(a.guest, 4, &net, &no_net6), -SKEP_EINVAL);
}

static void many_ports_are_found_and_forgotten(void **state)
{
    (void)state;
    uint64_t promise = a.guest->charged_frames;
    for (uint8_t round = 0; round < 50; round++) {
        struct skep_net net = {.mac = {2, 1, 0, 0, 0, round}, .address = ip(10, 1, 0, round)};
        assert_int_equal(io_net_attach(b.guest, 2, &net, &no_net6), 0);
        struct port *port = switch_find_address(net.address);
        assert_ptr_equal(port, b.guest->ports[2]);
        assert_ptr_equal(switch_find_mac(net.mac), port);
        switch_release(port);
        switch_port_remove(port);
        assert_null(switch_find_mac(net.mac));
        assert_false(switch_port_forget(port)); /* one more reference */
        switch_release(port);
        assert_true(switch_port_forget(port));
        spin_lock(&b.guest->lock);
        guest_frame_free(b.guest, frame_of(port));
        spin_unlock(&b.guest->lock);
    }
    assert_int_equal(a.guest->charged_frames, promise);
}

static void description_has_what_the_switch_settled(void **state)
{
    struct skep_net net = {.mtu = 9000, .flags = SKEP_NET_CONTROL_OK};
    (void)state;
    io_net_describe(a.guest, 0, &net);
    assert_memory_equal(net.mac, mac_a, 6);
    assert_int_equal(net.mtu, 1500);
    assert_int_equal(net.flags,
                     SKEP_NET_TX_CSUM | SKEP_NET_RX_CSUM | SKEP_NET_RX_MERGE | SKEP_NET_RX_PAYLOAD);
}

/* ---- between guests ---- */

static void local_frames_arrive_with_a_clean_header(void **state)
{
    (void)state;
    peer_post(&b, 0);
    uint32_t bytes = frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 1, 2, 1000);
    peer_send(&a, frame, bytes);
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_true(peer_event(&b, 0));
    assert_int_equal(b.rx.used->ring[0].len, 12 + bytes);
    assert_memory_equal(RX_FRAME(&b, 0), frame, bytes);
    assert_int_equal(RX_FRAME(&b, 0)[-12], 0);
    assert_int_equal(RX_FRAME(&b, 0)[-2], 1); /* num_buffers */
    assert_int_equal(peer_counters(&b).rx_bytes, bytes);
    assert_int_equal(sent_count, 0);
}

static void arp_requests_reach_their_target_only(void **state)
{
    (void)state;
    peer_post(&b, 0);
    peer_post(&a, 0);
    peer_send(&a, frame, frame_arp(frame, everyone, mac_a, 1, ADDRESS_A, ADDRESS_B));
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&a.rx), 0);
    assert_int_equal(sent_count, 0);
    peer_send(&a, frame, frame_arp(frame, everyone, mac_a, 1, ADDRESS_A, WORLD));
    peer_send(&a, frame,
              frame_arp(frame, everyone, mac_a, 1, ADDRESS_A, ADDRESS_A));    /* gratuitous */
    peer_send(&a, frame, frame_arp(frame, everyone, mac_a, 1, 0, ADDRESS_A)); /* probe */
    assert_int_equal(sent_count, 3);
    assert_int_equal(peer_used(&b.rx), 0);
}

static void no_buffer_drops_and_counts(void **state)
{
    (void)state;
    peer_send(&a, frame, frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 1, 2, 10));
    assert_int_equal(peer_counters(&b).rx_dropped, 1);
    peer_offer(&b, &b.rx, PEER_BUFFERS * 4096, 60, SKEP_VRING_DESC_WRITE); /* too small: it stays */
    peer_send(&a, frame, frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 1, 2, 10));
    assert_int_equal(peer_counters(&b).rx_dropped, 2);
    assert_int_equal(peer_used(&b.rx), 0);
}

/* ---- checksums ---- */

static void offer_with_header(struct skep_net_header header, uint32_t bytes)
{
    memcpy(a.page[TX_PAGE], &header, 12);
    memcpy(a.page[TX_PAGE] + 12, frame, bytes);
    peer_offer(&a, &a.tx, TX_PAGE * 4096, 12 + bytes, 0);
    io_queue_kick(a.vcpu, 1);
}

static void only_a_transport_checksum_is_completed(void **state)
{
    struct skep_net_header header = {
        .flags = SKEP_NET_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10);
    (void)state;
    offer_with_header(header, bytes);
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0].header.flags, SKEP_NET_HDR_NEEDS_CSUM);
    assert_int_equal(sent[0].header.csum_start, 34);
    header.csum_start = 14, header.csum_offset = 12; /* the source address, after it was checked */
    offer_with_header(header, bytes);
    header.csum_start = 65535, header.csum_offset = 65535;
    offer_with_header(header, bytes);
    header.csum_start = 34, header.csum_offset = 16; /* TCP's place */
    offer_with_header(header, bytes);
    header.csum_start = 36, header.csum_offset = 6; /* not where the header begins */
    offer_with_header(header, bytes);
    assert_int_equal(sent_count, 1);
    assert_int_equal(peer_counters(&a).tx_dropped, 4);
}

static void a_checksum_lies_within_a_whole_datagram(void **state)
{
    struct skep_net_header header = {
        .flags = SKEP_NET_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10);
    (void)state;
    frame[20] = 0x20; /* more fragments follow */
    offer_with_header(header, bytes);
    frame[20] = 0;
    frame[23] = 6, header.csum_offset = 16; /* TCP, cut off before its checksum ends */
    offer_with_header(header, 34 + 17);
    assert_int_equal(sent_count, 0);
    assert_int_equal(peer_counters(&a).tx_dropped, 2);
}

static void segmentation_is_refused_and_claims_are_not_believed(void **state)
{
    struct skep_net_header header = {.gso_type = 1, .gso_size = 1000};
    uint32_t bytes = frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 1, 2, 10);
    (void)state;
    offer_with_header(header, bytes);
    assert_int_equal(peer_counters(&a).tx_dropped, 1);
    peer_post(&b, 0);
    header = (struct skep_net_header){.flags = SKEP_NET_HDR_DATA_VALID | 0xf0, .num_buffers = 77};
    offer_with_header(header, bytes);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(RX_FRAME(&b, 0)[-12], 0);
}

/* ---- from the wire ---- */

static void wire_frames_reach_the_port_with_the_mac(void **state)
{
    (void)state;
    peer_post(&a, 0);
    uint32_t bytes = frame_udp(frame, mac_a, other_mac, WORLD, ADDRESS_A, 1, 2, 100);
    card_receive(frame, bytes, SKEP_NET_HDR_DATA_VALID);
    assert_int_equal(peer_used(&a.rx), 1);
    assert_int_equal(RX_FRAME(&a, 0)[-12], SKEP_NET_HDR_DATA_VALID);
    assert_memory_equal(RX_FRAME(&a, 0), frame, bytes);
    card_receive(frame, bytes, 0);
    assert_int_equal(peer_counters(&a).rx_dropped, 1);
    frame_udp(frame, other_mac, other_mac, WORLD, ADDRESS_A, 1, 2, 100);
    card_receive(frame, bytes, 0); /* somebody else's: not even counted */
    assert_int_equal(peer_counters(&a).rx_dropped, 1);
}

static void wire_broadcasts_reach_whom_they_concern(void **state)
{
    (void)state;
    peer_post(&a, 0);
    peer_post(&b, 0);
    card_receive(frame, frame_arp(frame, everyone, other_mac, 1, WORLD, ADDRESS_B), 0);
    assert_int_equal(peer_used(&b.rx), 1);
    card_receive(frame, frame_arp(frame, everyone, other_mac, 1, WORLD, ip(10, 0, 0, 99)), 0);
    card_receive(frame, frame_udp(frame, everyone, other_mac, WORLD, UINT32_MAX, 137, 137, 50), 0);
    assert_int_equal(peer_used(&a.rx), 0);
    assert_int_equal(peer_counters(&a).rx_dropped, 0);
}

/* Of this type (RFC 2132, 9.6), behind options that don't matter. */
static uint32_t dhcp_answer_of(uint8_t type, const uint8_t *to, const uint8_t client[6],
                               uint32_t address)
{
    const uint8_t options[12] = {99, 130, 83, 99, 0, 51, 1, 5, 53, 1, type, 255};
    uint32_t bytes = frame_udp(frame, to, other_mac, WORLD, UINT32_MAX, 67, 68, 248);
    memset(frame + 42, 0, 248);
    frame[42] = 2, frame[43] = 1, frame[44] = 6;
    frame[46] = XID;
    memcpy(frame + 42 + 16, &address, 4);
    memcpy(frame + 42 + 28, client, 6);
    memcpy(frame + 42 + 236, options, sizeof(options));
    return bytes;
}

static uint32_t dhcp_answer(const uint8_t *to, const uint8_t client[6], uint32_t address)
{
    return dhcp_answer_of(5, to, client, address);
}

static void dhcp_answers_give_a_port_its_address(void **state)
{
    struct peer c;
    uint8_t mac_c[6];
    (void)state;
    mac_of(mac_c, 0xc);
    peer_create(&c, 0xc, 0, SKEP_NET_DHCP);
    peer_send(&c, frame, dhcp_request(mac_c, mac_c, 0));
    assert_int_equal(sent_count, 1);
    assert_int_equal(peer_used(&c.tx), 1);
    assert_dropped(&c, frame_udp(frame, everyone, mac_c, 0, UINT32_MAX, 68, 53, 240));
    assert_dropped(&c, frame_udp(frame, other_mac, mac_c, ip(10, 0, 0, 30), WORLD, 1, 2, 0));
    peer_post(&c, 0);
    card_receive(frame, dhcp_answer(everyone, mac_c, ip(10, 0, 0, 30)), 0);
    assert_int_equal(peer_used(&c.rx), 1);
    peer_send(&c, frame, frame_udp(frame, other_mac, mac_c, ip(10, 0, 0, 30), WORLD, 1, 2, 0));
    assert_int_equal(sent_count, 2);
    card_receive(frame, dhcp_answer(everyone, mac_c, ip(10, 0, 0, 31)), 0); /* a second answer */
    peer_send(&c, frame, dhcp_request(mac_c, mac_c, ip(10, 0, 0, 30)));
    card_receive(frame, dhcp_answer(everyone, mac_c, ADDRESS_A), 0); /* somebody has it */
    peer_send(&c, frame, dhcp_request(mac_c, mac_c, ip(10, 0, 0, 30)));
    card_receive(frame, dhcp_answer(everyone, mac_c, CONTROL), 0);
    peer_send(&c, frame, dhcp_request(mac_c, mac_c, ip(10, 0, 0, 30)));
    card_receive(frame, dhcp_answer(mac_a, mac_c, ip(10, 0, 0, 31)), 0); /* to one, for the other */
    card_receive(frame, dhcp_answer(everyone, mac_a, ip(10, 0, 0, 32)),
                 0); /* one that has no DHCP */
    assert_int_equal(peer_port(&c)->address, ip(10, 0, 0, 30));
    assert_int_equal(peer_port(&a)->address, ADDRESS_A);
    peer_destroy(&c);
}

/* Whoever is on the wire may answer what was never asked. */
static void only_an_asked_acknowledgement_gives_an_address(void **state)
{
    struct peer c;
    uint8_t mac_c[6];
    uint32_t address = ip(10, 0, 0, 30);
    (void)state;
    mac_of(mac_c, 0xc);
    peer_create(&c, 0xc, 0, SKEP_NET_DHCP);
    card_receive(frame, dhcp_answer(everyone, mac_c, address), 0); /* to nothing */
    assert_int_equal(peer_port(&c)->address, 0);
    peer_send(&c, frame, dhcp_request(mac_c, mac_c, 0));
    card_receive(frame, dhcp_answer_of(2, everyone, mac_c, address), 0); /* an offer */
    uint32_t bytes = dhcp_answer(everyone, mac_c, address);
    frame[47] = 1; /* to another request */
    card_receive(frame, bytes, 0);
    bytes = dhcp_answer(everyone, mac_c, address);
    frame[42 + 236] = 0; /* no cookie, no options */
    card_receive(frame, bytes, 0);
    bytes = dhcp_answer(everyone, mac_c, address);
    frame[42 + 236 + 6] = 250; /* an option that goes beyond the end */
    card_receive(frame, bytes, 0);
    card_receive(frame, dhcp_answer(everyone, mac_c, address) - 4, 0); /* cut before the type */
    assert_int_equal(peer_port(&c)->address, 0);
    card_receive(frame, dhcp_answer(everyone, mac_c, address), 0);
    assert_int_equal(peer_port(&c)->address, address);
    peer_destroy(&c);
}

/* With a static address it never asks, so nobody gives it another one. */
static void control_learns_nothing_unasked(void **state)
{
    struct port *port = switch_find_mac(card_mac);
    (void)state;
    assert_true(port->is_control);
    card_receive(frame, dhcp_answer(everyone, card_mac, ip(10, 0, 0, 99)), 0);
    assert_int_equal(port->address, CONTROL);
    assert_int_equal(switch_control_address(), CONTROL);
    switch_release(port);
}

/* ---- lending pages ---- */

static void payload_is_lent_and_comes_back(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1400);
    peer_send(&a, frame, bytes);
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0].head_bytes, HEAD_BYTES);
    assert_int_equal(sent[0].piece_count, 1);
    assert_memory_equal(sent[0].frame, frame, bytes);
    assert_int_equal(peer_counters(&a).tx_bytes, bytes);
    assert_int_equal(peer_counters(&a).tx_copied, HEAD_BYTES);
    assert_int_equal(peer_used(&a.tx), 0);
    pfn_t pfn = paddr_to_pfn(sent[0].pieces[0]);
    assert_int_equal(frame_pins(pfn), 1);
    card_done(0);
    assert_int_equal(frame_pins(pfn), 0);
    assert_int_equal(peer_used(&a.tx), 1);
    assert_true(peer_event(&a, 1));
}

static void header_is_sent_as_it_was_judged(void **state)
{
    (void)state;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1400));
    memset(a.page[TX_PAGE] + 12, 0xee, HEAD_BYTES); /* the guest changes its mind */
    assert_memory_equal(sent[0].frame, frame, HEAD_BYTES);
    assert_ptr_not_equal(arch_direct(sent[0].pieces[0]), a.page[TX_PAGE] + 12);
    assert_ptr_equal(arch_direct(sent[0].pieces[0]), a.page[TX_PAGE] + 12 + HEAD_BYTES);
}

static void a_full_card_holds_frames_back(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1000);
    sent_room = 1;
    peer_send(&a, frame, bytes);
    peer_send(&a, frame, bytes);
    assert_int_equal(sent_count, 1);
    assert_int_equal(peer_counters(&a).tx_dropped, 0);
    assert_false(work_in_a_trap());
    card_done(0);
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, 2);
    card_done(1);
    assert_int_equal(peer_used(&a.tx), 2);
}

static void long_queues_are_worked_off_in_turns(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10);
    sent_room = 0;
    peer_send(&a, frame, bytes);
    for (uint32_t i = 1; i < RING_SIZE; i++) {
        peer_offer(&a, &a.tx, TX_PAGE * 4096, 12 + bytes, 0);
    }
    peer_send(&b, frame, frame_udp(frame, other_mac, mac_b, ADDRESS_B, WORLD, 1, 2, 10));
    sent_room = SENT_MAX;
    switch_work_unstall();
    assert_true(work_in_a_trap()); /* that of b's kick, which had its go */
    assert_int_equal(sent_count, 0);
    assert_true(work_in_a_trap());
    assert_int_equal(sent_count, 1); /* b's, which the card never refused */
    assert_true(io_work());          /* a second share of one trap: nothing is done */
    assert_int_equal(sent_count, 1);
    for (uint32_t went = PER_TURN; went < RING_SIZE; went += PER_TURN) {
        assert_true(work_in_a_trap());
        assert_int_equal(sent_count, 1 + went);
    }
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, 1 + RING_SIZE);
}

/* ---- the cost to neighbours ---- */

static void offer_many(struct peer *peer, uint32_t bytes, uint32_t count)
{
    memset(peer->page[TX_PAGE], 0, 12);
    memcpy(peer->page[TX_PAGE] + 12, frame, bytes);
    for (uint32_t i = 0; i < count; i++) {
        peer_offer(peer, &peer->tx, TX_PAGE * 4096, 12 + bytes, 0);
    }
}

/* A kick does a bounded part, and sees to it that its CPU comes back for the rest. */
static void a_kick_does_a_bounded_part(void **state)
{
    (void)state;
    offer_many(&a, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10), RING_SIZE);
    atomic_store(&fake_cpu->resched, 0);
    assert_int_equal(io_queue_kick(a.vcpu, 1), 0);
    assert_int_equal(sent_count, PER_KICK);
    assert_int_equal(atomic_load(&fake_cpu->resched), 1);
    assert_true(work_in_a_trap()); /* its own has had its go */
    assert_int_equal(sent_count, PER_KICK);
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, RING_SIZE);
}

/* Who kicks again and again while work is left joins it, and each such trap does a part of that. */
static void kicks_join_the_work_that_is_left(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10);
    offer_many(&a, bytes, RING_SIZE);
    assert_int_equal(io_queue_kick(a.vcpu, 1), 0);
    assert_true(work_in_a_trap());
    assert_int_equal(sent_count, PER_KICK);
    peer_send(&b, frame, frame_udp(frame, other_mac, mac_b, ADDRESS_B, WORLD, 1, 2, 10));
    assert_int_equal(sent_count, PER_KICK);
    assert_true(work_in_a_trap());
    assert_int_equal(sent_count, RING_SIZE);
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, RING_SIZE + 1);
    assert_memory_equal(sent[RING_SIZE].frame + 6, mac_b, 6);
}

/* Pieces cost, and a frame that has many is not joined by others. */
static void a_frame_in_many_pieces_is_a_go_of_its_own(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 100);
    memcpy(a.page[TX_PAGE] + 12, frame, bytes);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        uint16_t more = i + 1u < RING_SIZE ? SKEP_VRING_DESC_NEXT : 0;
        uint32_t part = more ? 16 : 12 + bytes - 16 * (RING_SIZE - 1);
        a.tx.desc[i] = (struct skep_vring_desc){a.base + TX_PAGE * 4096 + i * 16, part, more,
                                                (uint16_t)(i + 1)};
    }
    memset(a.page[TX_PAGE], 0, 12);
    memset(a.tx.avail->ring, 0, 2 * sizeof(uint16_t) * RING_SIZE);
    atomic_store(&a.tx.avail->index, RING_SIZE);
    assert_int_equal(io_queue_kick(a.vcpu, 1), 0);
    assert_int_equal(sent_count, 1);
    assert_true(work_in_a_trap()); /* that of the kick */
    assert_int_equal(sent_count, 1);
    assert_true(work_in_a_trap());
    assert_int_equal(sent_count, 2);
}

/* Who kicks all the time takes no place on the card before those who wait for one. */
static void a_flood_of_kicks_passes_nobody(void **state)
{
    (void)state;
    sent_room = 1;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1400));
    peer_send(&b, frame, frame_udp(frame, other_mac, mac_b, ADDRESS_B, WORLD, 1, 2, 10));
    assert_int_equal(sent_count, 1); /* b waits for room */
    card_done(0);
    for (int i = 0; i < 3; i++) {
        peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10));
    }
    assert_int_equal(sent_count, 1);
    work_in_a_trap();
    assert_int_equal(sent_count, 2);
    assert_memory_equal(sent[1].frame + 6, mac_b, 6);
    sent_room = SENT_MAX;
    switch_work_unstall();
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, 5);
}

/* What was accepted for a paused guest is there when it goes on; what has no room is dropped, and nobody waits. */
static void a_paused_guest_keeps_what_was_accepted(void **state)
{
    (void)state;
    uint32_t bytes = frame_udp(frame, mac_b, mac_a, ADDRESS_A, ADDRESS_B, 1, 2, 10);
    peer_post(&b, 0);
    peer_post(&b, 1);
    assert_int_equal(guest_pause(b.guest), 0);
    for (int i = 0; i < 3; i++) {
        frame[42] = (uint8_t)i;
        peer_send(&a, frame, bytes);
    }
    assert_int_equal(peer_counters(&a).tx_packets, 3);
    assert_int_equal(peer_used(&a.tx), 3);
    assert_int_equal(peer_counters(&b).rx_dropped, 1);
    assert_int_equal(guest_start(b.guest), 0);
    assert_true(peer_event(&b, 0));
    assert_int_equal(peer_used(&b.rx), 2);
    assert_int_equal(RX_FRAME(&b, 0)[42], 0);
    assert_int_equal(RX_FRAME(&b, 1)[42], 1);
}

/* And what it has offered itself is sent, as the card takes it. */
static void a_paused_guest_sends_what_it_offered(void **state)
{
    (void)state;
    sent_room = 0;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1400));
    assert_int_equal(guest_pause(a.guest), 0);
    sent_room = SENT_MAX;
    switch_work_unstall();
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, 1);
    card_done(0);
    assert_int_equal(guest_start(a.guest), 0);
    assert_int_equal(peer_used(&a.tx), 1);
    assert_true(peer_event(&a, 1));
}

/* A storm on the wire, or of a guest, reaches nobody's queue. */
static void broadcasts_are_not_spread(void **state)
{
    (void)state;
    peer_post(&a, 0);
    peer_post(&b, 0);
    for (int i = 0; i < 100; i++) {
        card_receive(frame, frame_udp(frame, everyone, other_mac, WORLD, UINT32_MAX, 1, 2, 10), 0);
    }
    peer_send(&a, frame, frame_udp(frame, everyone, mac_a, ADDRESS_A, UINT32_MAX, 1, 2, 10));
    assert_int_equal(sent_count, 1);
    assert_int_equal(peer_used(&a.rx), 0);
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(peer_counters(&a).rx_dropped + peer_counters(&b).rx_dropped, 0);
}

static void counters_outlive_the_port(void **state)
{
    struct skep_guest_status *status = calloc(1, sizeof(*status));
    (void)state;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10));
    guest_end(a.guest, 0);
    fake_settle();
    assert_int_equal(a.guest->state, SKEP_GUEST_EXITED);
    guest_status(a.guest, status);
    assert_int_equal(status->net_count, 1);
    assert_int_equal(status->net[0].tx_packets, 1);
    assert_int_equal(status->net[0].tx_bytes, 52);
    free(status);
}

/* ---- the end of a guest ---- */

static void pages_in_flight_keep_a_guest_dying(void **state)
{
    (void)state;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1400));
    pfn_t pfn = paddr_to_pfn(sent[0].pieces[0]);
    struct guest *guest = a.guest;
    guest_end(guest, 0);
    fake_settle();
    assert_int_equal(guest->state, SKEP_GUEST_DYING);
    assert_int_equal(io_guest_detach(guest), -SKEP_EAGAIN);
    assert_null(switch_find_mac(mac_a));
    assert_null(switch_find_address(ADDRESS_A));
    assert_int_equal(frame_type(pfn), SKEP_FRAME_GUEST);
    card_done(0);
    fake_settle();
    assert_int_equal(guest->state, SKEP_GUEST_EXITED);
    assert_null(guest->ports[0]);
    struct skep_guest_status status;
    guest_status(guest, &status);
    assert_int_equal(status.net_count, 1);
    assert_int_equal(status.net[0].tx_packets, 1); /* counters outlive the port */
}

static void a_stalled_guest_can_end(void **state)
{
    (void)state;
    sent_room = 0;
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 1400));
    peer_destroy(&a);
    sent_room = SENT_MAX;
    switch_work_unstall();
    assert_false(work_in_a_trap());
    assert_int_equal(sent_count, 0);
}

static void mac_and_address_are_free_again(void **state)
{
    (void)state;
    peer_destroy(&a);
    peer_create(&a, 0xa, ADDRESS_A, 0);
    peer_send(&a, frame, frame_udp(frame, other_mac, mac_a, ADDRESS_A, WORLD, 1, 2, 10));
    assert_int_equal(sent_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(udp_to_the_world_passes),
        TEST(foreign_macs_and_addresses_are_dropped),
        TEST(other_protocols_are_dropped),
        TEST(dhcp_servers_are_not_played),
        TEST(dhcp_is_not_asked_for_others),
        TEST(control_is_out_of_reach),
        TEST(control_is_in_reach_when_the_spec_says_so),
        TEST(control_keeps_its_address),
        TEST(attach_refuses_what_is_taken_or_malformed),
        TEST(many_ports_are_found_and_forgotten),
        TEST(description_has_what_the_switch_settled),
        TEST(local_frames_arrive_with_a_clean_header),
        TEST(arp_requests_reach_their_target_only),
        TEST(no_buffer_drops_and_counts),
        TEST(only_a_transport_checksum_is_completed),
        TEST(a_checksum_lies_within_a_whole_datagram),
        TEST(segmentation_is_refused_and_claims_are_not_believed),
        TEST(wire_frames_reach_the_port_with_the_mac),
        TEST(wire_broadcasts_reach_whom_they_concern),
        TEST(dhcp_answers_give_a_port_its_address),
        TEST(only_an_asked_acknowledgement_gives_an_address),
        TEST(control_learns_nothing_unasked),
        TEST(payload_is_lent_and_comes_back),
        TEST(header_is_sent_as_it_was_judged),
        TEST(a_full_card_holds_frames_back),
        TEST(long_queues_are_worked_off_in_turns),
        TEST(a_kick_does_a_bounded_part),
        TEST(kicks_join_the_work_that_is_left),
        TEST(a_frame_in_many_pieces_is_a_go_of_its_own),
        TEST(a_flood_of_kicks_passes_nobody),
        TEST(a_paused_guest_keeps_what_was_accepted),
        TEST(a_paused_guest_sends_what_it_offered),
        TEST(broadcasts_are_not_spread),
        TEST(counters_outlive_the_port),
        TEST(pages_in_flight_keep_a_guest_dying),
        TEST(a_stalled_guest_can_end),
        TEST(mac_and_address_are_free_again),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
