/*
 * test_io_groups.c - what is sent to groups: who may join one, and whom a frame to it reaches.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "io/port.h"

#define RX_FRAME(peer, slot) ((peer)->page[PEER_BUFFERS + (slot) / 2] + (slot) % 2 * 2048 + 12)

#define UDP    17
#define IGMP   2
#define ICMP6  58
#define NUMBER 0x10 /* of the first of many */

static struct peer a, b, c;
static uint8_t mac_a[6], mac_b[6], frame[2048];
static uint32_t address_a, group;

static const uint8_t group_mac[6] = {1, 0, 0x5e, 0x6f, 1, 2}; /* 239.239.1.2's, and 239.111.1.2's */
static const uint8_t group6_mac[6] = {0x33, 0x33, 0, 0, 1, 2};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t link_a[16] = {0xfe, 0x80, [8] = 0, 0, 0, 0xff, 0xfe, 0, 0, 0xa};

static int begin(void **state)
{
    const struct skep_net6 net6 = {.flags = SKEP_NET6_ON};
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    address_a = ip(10, 0, 0, 20);
    group = ip(239, 239, 1, 2);
    fixture_begin(state);
    peer_create6(&a, 0xa, address_a, 0, &net6);
    peer_create6(&b, 0xb, ip(10, 0, 0, 21), 0, &net6);
    peer_create(&c, 0xc, ip(10, 0, 0, 22), 0);
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&a, i);
        peer_post(&b, i);
        peer_post(&c, i);
    }
    return 0;
}

static int end(void **state)
{
    peer_destroy(&a);
    peer_destroy(&b);
    peer_destroy(&c);
    return fixture_end(state);
}

static int net_group(struct peer *peer, uint32_t device, const uint8_t mac[6], bool joins)
{
    uint64_t number = 0;
    memcpy(&number, mac, 6);
    return io_net_group(peer->guest, device, number, joins);
}

static int join(struct peer *peer, const uint8_t mac[6])
{
    return net_group(peer, 0, mac, true);
}

static int leave(struct peer *peer, const uint8_t mac[6])
{
    return net_group(peer, 0, mac, false);
}

static uint32_t frame_group(void)
{
    return frame_udp(frame, group_mac, mac_a, address_a, group, 5353, 5353, 40);
}

static uint32_t frame_group6(const uint8_t mac[6], uint8_t protocol, uint8_t type)
{
    memset(frame, 0, sizeof(frame));
    memcpy(frame, mac, 6);
    memcpy(frame + 6, mac_a, 6);
    frame[12] = 0x86, frame[13] = 0xdd, frame[14] = 0x60;
    frame[19] = 40;
    frame[20] = protocol;
    frame[21] = 255;
    memcpy(frame + 22, link_a, 16);
    frame[38] = 0xff, frame[39] = 2;
    memcpy(frame + 50, mac + 2, 4);
    frame[54] = type;
    return 94;
}

/* With all the work that it makes. */
static void send_all(struct peer *peer, uint32_t bytes)
{
    peer_send(peer, frame, bytes);
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&peer->tx), 1);
}

static void assert_dropped(uint32_t bytes)
{
    uint64_t before = peer_counters(&a).tx_dropped;
    send_all(&a, bytes);
    assert_int_equal(peer_counters(&a).tx_dropped, before + 1);
}

static void only_groups_are_joined(void **state)
{
    static const uint8_t no[][6] = {{255, 255, 255, 255, 255, 255}, {2, 0, 0, 0, 0, 0xb},
                                    {1, 0x80, 0xc2, 0, 0, 0},       {1, 0, 0x5e, 0x80, 0, 1},
                                    {3, 0x33, 0, 0, 0, 1},          {0},
                                    {0, 0, 0x5e, 1, 1, 1},          {0x32, 0x33, 0, 0, 0, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_int_equal(join(&b, no[i]), -SKEP_EINVAL);
        assert_int_equal(leave(&b, no[i]), -SKEP_ENOENT);
    }
    assert_int_equal(join(&c, group6_mac), -SKEP_EINVAL); /* it has no IPv6 */
    assert_int_equal(net_group(&b, 1, group_mac, true), -SKEP_ENODEV);
    assert_int_equal(leave(&b, group_mac), -SKEP_ENOENT);
    assert_int_equal(join(&b, group_mac), 0);
    assert_int_equal(join(&b, group_mac), -SKEP_EEXIST);
    assert_int_equal(leave(&c, group_mac), -SKEP_ENOENT);
    assert_int_equal(leave(&b, group_mac), 0);
    assert_int_equal(leave(&b, group_mac), -SKEP_ENOENT);
}

static void the_control_service_joins_none(void **state)
{
    (void)state;
    b.guest->ports[0]->is_control = true;
    assert_int_equal(join(&b, group_mac), -SKEP_EPERM);
    b.guest->ports[0]->is_control = false;
}

static void a_ports_table_is_bounded(void **state)
{
    uint8_t mac[6] = {1, 0, 0x5e, 0, 0, 0};
    (void)state;
    for (uint8_t i = 0; i < GROUPS_MAX; i++) {
        mac[5] = i;
        assert_int_equal(join(&b, mac), 0);
    }
    mac[5] = GROUPS_MAX;
    assert_int_equal(join(&b, mac), -SKEP_ENOSPC);
    assert_int_equal(join(&c, mac), 0);
    mac[5] = 7;
    assert_int_equal(leave(&b, mac), 0);
    mac[5] = GROUPS_MAX;
    assert_int_equal(join(&b, mac), 0);
}

/* And what one frame is copied to is, too. Each guest has as many devices as it may. */
static void a_groups_members_are_bounded(void **state)
{
    static struct peer many[MEMBERS_MAX / SKEP_NETS_MAX + 1];
    const struct skep_net6 none = {0};
    uint64_t copies = 0;
    (void)state;
    for (uint8_t i = 0; i <= MEMBERS_MAX; i++) {
        struct peer *peer = &many[i / SKEP_NETS_MAX];
        uint8_t number = (uint8_t)(NUMBER + i), device = i % SKEP_NETS_MAX;
        struct skep_net net = {.address = ip(10, 0, 1, i)};
        mac_of(net.mac, number);
        if (device == 0) {
            peer_create(peer, number, net.address, 0);
        } else {
            assert_int_equal(io_net_attach(peer->guest, device, &net, &none), 0);
        }
        assert_int_equal(net_group(peer, device, group_mac, true),
                         i < MEMBERS_MAX ? 0 : -SKEP_ENOSPC);
    }
    peer_send(&a, frame, frame_group());
    assert_true(work_in_a_trap()); /* no go has as many */
    while (work_in_a_trap()) {
    }
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        for (uint32_t j = 0; j < SKEP_NETS_MAX && many[i].guest->ports[j] != NULL; j++) {
            copies += many[i].guest->ports[j]->counters.rx_dropped; /* there are no buffers */
        }
        peer_destroy(&many[i]);
    }
    assert_int_equal(copies, MEMBERS_MAX);
    assert_int_equal(sent_count, 1);
    assert_int_equal(join(&b, group_mac), 0); /* who has ended is no member */
}

static void members_and_the_wire_get_what_is_sent(void **state)
{
    (void)state;
    assert_int_equal(join(&a, group_mac), 0);
    assert_int_equal(join(&b, group_mac), 0);
    uint32_t bytes = frame_group();
    send_all(&a, bytes);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_memory_equal(RX_FRAME(&b, 0), frame, bytes);
    assert_int_equal(peer_used(&a.rx), 0); /* its own are its library's matter */
    assert_int_equal(peer_used(&c.rx), 0);
    assert_int_equal(sent_count, 1);
    assert_memory_equal(sent[0].frame, frame, bytes);
    assert_int_equal(peer_counters(&a).tx_packets, 1);
    assert_int_equal(join(&c, group_mac), 0);
    assert_int_equal(leave(&b, group_mac), 0);
    send_all(&a, bytes);
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(peer_used(&c.rx), 1);
    assert_int_equal(sent_count, 2);
}

static void what_is_lent_to_the_card_is_copied_to_members(void **state)
{
    (void)state;
    assert_int_equal(join(&b, group_mac), 0);
    uint32_t bytes = frame_udp(frame, group_mac, mac_a, address_a, group, 1, 2, 1400);
    for (uint32_t i = 60; i < bytes; i++) {
        frame[i] = (uint8_t)(i * 7);
    }
    peer_send(&a, frame, bytes);
    while (work_in_a_trap()) {
    }
    assert_memory_equal(RX_FRAME(&b, 0), frame, bytes);
    assert_memory_equal(sent[0].frame, frame, bytes);
    card_done(0);
    assert_int_equal(peer_used(&a.tx), 1);
}

/* A full card doesn't have members get it twice. */
static void a_full_card_holds_nothing_but_itself_back(void **state)
{
    (void)state;
    assert_int_equal(join(&b, group_mac), 0);
    sent_room = 0;
    peer_send(&a, frame, frame_group());
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&a.tx), 0);
    sent_room = SENT_MAX;
    switch_work_unstall();
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(sent_count, 1);
}

static void members_get_what_comes_from_the_wire(void **state)
{
    (void)state;
    assert_int_equal(join(&b, group_mac), 0);
    assert_int_equal(join(&c, group_mac), 0);
    uint32_t bytes = frame_udp(frame, group_mac, other_mac, ip(10, 0, 0, 9), group, 1, 2, 40);
    card_receive(frame, bytes, 0);
    assert_int_equal(peer_used(&a.rx), 0);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&c.rx), 1);
    assert_memory_equal(RX_FRAME(&c, 0), frame, bytes);
    card_receive(frame, bytes, 0); /* the walk begins anew */
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&c.rx), 1);
    memcpy(frame + 6, mac_b, 6); /* its own, which the network gives back */
    card_receive(frame, bytes, 0);
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(peer_used(&c.rx), 1);
    memcpy(frame + 6, group6_mac, 6); /* from a group */
    card_receive(frame, bytes, 0);
    assert_int_equal(peer_used(&b.rx) + peer_used(&c.rx), 0);
}

/* A MAC of 32 groups; but what isn't for any of these is nobody's. */
static void packets_are_for_the_group_that_the_mac_says(void **state)
{
    (void)state;
    assert_int_equal(join(&b, group_mac), 0);
    send_all(&a, frame_udp(frame, group_mac, mac_a, address_a, ip(239, 111, 1, 2), 1, 2, 40));
    assert_int_equal(peer_used(&b.rx), 1);
    send_all(&a, frame_udp(frame, group_mac, mac_a, address_a, ip(239, 239, 1, 3), 1, 2, 40));
    send_all(&a, frame_udp(frame, group_mac, mac_a, address_a, ip(10, 0, 0, 21), 1, 2, 40));
    send_all(&a, frame_udp(frame, group_mac, mac_a, address_a, ip(10, 111, 1, 2), 1, 2, 40));
    send_all(&a, frame_udp(frame, everyone, mac_a, address_a, UINT32_MAX, 1, 2, 40));
    send_all(&a, frame_arp(frame, group_mac, mac_a, 1, address_a, ip(10, 0, 0, 9)));
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(sent_count, 6);
}

static void groups_of_ipv6_have_members(void **state)
{
    (void)state;
    assert_int_equal(join(&b, group6_mac), 0);
    send_all(&a, frame_group6(group6_mac, UDP, 0));
    assert_int_equal(peer_used(&b.rx), 1);
    card_receive(frame, frame_group6(group6_mac, UDP, 0), 0);
    assert_int_equal(peer_used(&b.rx), 1);
    frame_group6(group6_mac, UDP, 0);
    frame[53] ^= 1; /* another group */
    send_all(&a, 94);
    frame[53] ^= 1, frame[38] = 0xfe; /* none */
    card_receive(frame, 94, 0);
    assert_int_equal(peer_used(&b.rx), 0);
}

/* Members of the group of all nodes hear no more of them than before: also not behind other headers. */
static void neighbours_and_routers_are_as_they_were(void **state)
{
    (void)state;
    assert_int_equal(join(&b, all_nodes_mac), 0);
    for (uint8_t type = 133; type <= 137; type++) {
        uint32_t bytes = frame_group6(all_nodes_mac, ICMP6, type);
        card_receive(frame, bytes, 0);
        frame[20] = 60; /* options */
        frame[54] = ICMP6, frame[55] = 0, frame[62] = type;
        card_receive(frame, bytes, 0);
        while (work_in_a_trap()) {
        }
    }
    assert_int_equal(peer_used(&b.rx), 0);
    card_receive(frame, frame_group6(all_nodes_mac, ICMP6, 130), 0); /* who is a member? */
    assert_int_equal(peer_used(&b.rx), 1);
}

/* IGMP, of a type and with options of so many bytes, the first four as given. */
static uint32_t frame_igmp(uint8_t type, uint32_t options, uint32_t first)
{
    frame_udp(frame, group_mac, mac_a, address_a, group, 0, 0, 40);
    frame[14] = (uint8_t)(0x45 + options / 4);
    frame[23] = IGMP;
    memset(frame + 34, 0, 40);
    frame[34] = (uint8_t)(first >> 24), frame[35] = (uint8_t)(first >> 16);
    frame[34 + options] = type;
    return 34 + options + 8;
}

static void guests_tell_of_groups_and_dont_ask(void **state)
{
    static const uint8_t told[] = {0x12, 0x16, 0x17, 0x22};
    (void)state;
    for (size_t i = 0; i < sizeof(told); i++) {
        send_all(&a, frame_igmp(told[i], 4, 0x94040000));
        send_all(&a, frame_igmp(told[i], 0, (uint32_t)told[i] << 24));
    }
    assert_int_equal(sent_count, 2 * sizeof(told));
    assert_dropped(frame_igmp(0x11, 4, 0x94040000));
    assert_dropped(frame_igmp(0x11, 0, 0x11000000));
    assert_dropped(frame_igmp(0x16, 4, 0x83040000)); /* a route */
    assert_dropped(frame_igmp(0x16, 8, 0x94040000));
    assert_dropped(frame_igmp(0x16, 4, 0x94040000) - 1);
    frame_igmp(0x16, 4, 0x94040000);
    frame[21] = 1; /* a fragment */
    assert_dropped(46);
    frame_igmp(0x16, 4, 0x94040000);
    frame[30] = 10; /* to one host */
    assert_dropped(46);
    frame_igmp(0x16, 4, 0x94040000);
    frame[23] = UDP;
    assert_dropped(46);
}

/* Another guest leaves and joins whenever it has got a copy. */
static void who_joins_anew_holds_no_frame(void **state)
{
    (void)state;
    assert_int_equal(join(&b, group_mac), 0);
    assert_int_equal(join(&c, group_mac), 0);
    uint32_t bytes = frame_group();
    struct members_walk walk = {0};
    for (uint32_t i = 0; i < 2; i++) {
        struct port *port = switch_find_member(group_mac, mac_a, &walk);
        assert_non_null(port);
        switch_release(port);
        assert_int_equal(leave(&b, group_mac), 0);
        assert_int_equal(join(&b, group_mac), 0);
    }
    assert_null(switch_find_member(group_mac, mac_a, &walk));
    send_all(&a, bytes);
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&c.rx), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_groups_are_joined),
        TEST(the_control_service_joins_none),
        TEST(a_ports_table_is_bounded),
        TEST(a_groups_members_are_bounded),
        TEST(members_and_the_wire_get_what_is_sent),
        TEST(what_is_lent_to_the_card_is_copied_to_members),
        TEST(a_full_card_holds_nothing_but_itself_back),
        TEST(members_get_what_comes_from_the_wire),
        TEST(packets_are_for_the_group_that_the_mac_says),
        TEST(groups_of_ipv6_have_members),
        TEST(neighbours_and_routers_are_as_they_were),
        TEST(guests_tell_of_groups_and_dont_ask),
        TEST(who_joins_anew_holds_no_frame),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
