/*
 * test_io_segment6.c - long TCP segments over IPv6: lent to the card, cut for another port or delivered as parts, and refused
 * when a header says what isn't so. test_io_segment.c has what doesn't depend on IP's version.
 */
#include "test_io_fixture.h"

#include <string.h>

#define HEADERS   74u
#define SIZE      1000u
#define PAYLOAD   3500u /* with its headers in one page */
#define AT_BYTES  18u   /* in the frame: of what follows IPv6's header */
#define AT_NEXT   20u
#define AT_SOURCE 22u
#define AT_TCP    54u

static const uint8_t address_a[16] = {0xfd, [15] = 0xa}, address_b[16] = {0xfd, [15] = 0xb};
static const uint8_t world[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};
static uint8_t mac_a[6], mac_b[6];
static struct peer a, b;
static struct skep_net_header header;
static uint8_t frame[HEADERS + PAYLOAD];

/* The pseudo-header's sum. */
static uint32_t pseudo_sum(const uint8_t *packet, uint32_t tcp_bytes)
{
    uint32_t sum = tcp_bytes + 6;
    for (uint32_t i = 0; i < 32; i += 2) {
        sum += get16(packet + AT_SOURCE + i);
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* A good one. */
static void segment_make(const uint8_t *to, const uint8_t *target)
{
    memset(frame, 0, HEADERS);
    memcpy(frame, to, 6);
    memcpy(frame + 6, mac_a, 6);
    put16(frame + 12, 0x86dd);
    frame[14] = 0x60;
    put16(frame + AT_BYTES, 20 + PAYLOAD);
    frame[AT_NEXT] = 6;
    memcpy(frame + AT_SOURCE, address_a, 16);
    memcpy(frame + AT_SOURCE + 16, target, 16);
    put16(frame + AT_TCP + 6, 0xff00); /* the sequence number, in which frames carry over */
    frame[AT_TCP + 12] = 0x50;
    frame[AT_TCP + 13] = 0x19; /* FIN, PSH, ACK */
    for (uint32_t i = 0; i < PAYLOAD; i++) {
        frame[HEADERS + i] = (uint8_t)(i * 7 + i / 256);
    }
    header = (struct skep_net_header){.flags = SKEP_NET_HDR_NEEDS_CSUM,
                                      .gso_type = SKEP_NET_GSO_TCP6,
                                      .gso_size = SIZE,
                                      .csum_start = AT_TCP,
                                      .csum_offset = 16};
}

static void offer(void)
{
    peer_send_segment(&a, &header, frame, sizeof(frame));
}

static void create(struct peer *peer, uint8_t number, const uint8_t *address)
{
    struct skep_net6 net6 = {.flags = SKEP_NET6_ON, .prefix_bits = 64};
    memcpy(net6.address, address, 16);
    peer_create6(peer, number, ip(10, 0, 0, number), 0, &net6);
}

static void begin_with(void **state, uint32_t flags)
{
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    fixture_begin(state);
    fake_nic.tx_tso4 = fake_nic.tx_tso6 = true;
    receive_flags = flags;
    create(&a, 0xa, address_a);
    create(&b, 0xb, address_b);
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    segment_make(mac_b, address_b);
}

static int begin(void **state)
{
    begin_with(state, SKEP_QUEUE_MERGE); /* which is about IPv4 */
    return 0;
}

static int begin_merge(void **state)
{
    begin_with(state, SKEP_QUEUE_MERGE6);
    return 0;
}

static int end(void **state)
{
    return peers_end(state, &a, &b);
}

static void the_card_gets_it_whole(void **state)
{
    (void)state;
    segment_make(other_mac, world);
    offer();
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0].bytes, sizeof(frame));
    assert_memory_equal(sent[0].frame, frame, sizeof(frame));
    assert_int_equal(sent[0].header.gso_type, SKEP_NET_GSO_TCP6);
    assert_int_equal(sent[0].header.gso_size, SIZE);
    assert_int_equal(sent[0].header.hdr_len, HEADERS);
    assert_int_equal(peer_counters(&a).tx_packets, 4);
    assert_int_equal(peer_counters(&a).tx_bytes, 4 * HEADERS + PAYLOAD);
}

/* Headers and payload of what b received: a frame or a part from `at` on, in one piece so far. */
static void assert_piece(const uint8_t *packet, uint32_t at, uint32_t bytes, uint32_t together)
{
    assert_int_equal(get16(packet + AT_BYTES), 20 + bytes);
    assert_int_equal(get16(packet + AT_TCP + 4) << 16 | get16(packet + AT_TCP + 6), 0xff00 + at);
    assert_int_equal(packet[AT_TCP + 13], at + bytes == PAYLOAD ? 0x19 : 0x10);
    assert_int_equal(get16(packet + AT_TCP + 16), pseudo_sum(packet, 20 + bytes));
    assert_memory_equal(packet, frame, AT_BYTES);
    assert_memory_equal(packet + AT_NEXT, frame + AT_NEXT, AT_TCP + 4 - AT_NEXT);
    assert_memory_equal(packet + HEADERS, frame + HEADERS + at, together);
}

static void another_port_gets_frames(void **state)
{
    (void)state;
    offer();
    assert_int_equal(peer_used(&b.rx), 4);
    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t *packet = b.page[PEER_BUFFERS + i / 2] + i % 2 * 2048;
        struct skep_net_header got;
        memcpy(&got, packet, sizeof(got));
        uint32_t bytes = i < 3 ? SIZE : PAYLOAD - 3 * SIZE;
        assert_int_equal(got.gso_type, SKEP_NET_GSO_NONE);
        assert_int_equal(got.flags, SKEP_NET_HDR_NEEDS_CSUM);
        assert_piece(packet + sizeof(got), i * SIZE, bytes, bytes);
    }
    assert_int_equal(peer_counters(&b).rx_bytes, 4 * HEADERS + PAYLOAD);
}

static void a_port_that_merges_gets_one(void **state)
{
    struct skep_net_header got;
    (void)state;
    offer();
    assert_int_equal(peer_used(&b.rx), 2);
    memcpy(&got, b.page[PEER_BUFFERS], sizeof(got));
    assert_int_equal(got.num_buffers, 2);
    assert_int_equal(got.gso_type, SKEP_NET_GSO_TCP6);
    assert_int_equal(got.gso_size, SIZE);
    assert_int_equal(got.hdr_len, HEADERS);
    assert_piece(b.page[PEER_BUFFERS] + sizeof(got), 0, PAYLOAD, PAYLOAD);
}

static void assert_refused(void)
{
    uint64_t before = peer_counters(&a).tx_dropped;
    offer();
    assert_int_equal(peer_counters(&a).tx_dropped, before + 1);
    assert_int_equal(peer_used(&b.rx), 0);
    segment_make(mac_b, address_b);
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    put16(frame + AT_BYTES, 20 + PAYLOAD - 1), assert_refused();
    put16(frame + AT_BYTES, 20 + PAYLOAD + 1), assert_refused();
    frame[AT_NEXT] = 17, assert_refused();
    frame[AT_NEXT] = 0, assert_refused(); /* another header first */
    frame[14] = 0x40, assert_refused();
    frame[AT_TCP + 12] = 0x40, assert_refused();
    frame[AT_TCP + 13] |= 2, assert_refused();
    header.gso_type = SKEP_NET_GSO_TCP4, assert_refused();
    header.csum_start = 34, assert_refused();
    header.csum_offset = 6, assert_refused();
    header.flags = 0, assert_refused();
    header.gso_size = SKEP_NET_GSO_SIZE_MIN - 1, assert_refused();
    header.gso_size = 1441, assert_refused();
}

/* IPv4 with options of 20 bytes has TCP where IPv6 has it. */
static void ipv4_is_refused(void **state)
{
    uint32_t source = ip(10, 0, 0, 0xa), target = ip(10, 0, 0, 0xb);
    (void)state;
    put16(frame + 12, 0x0800);
    frame[14] = 0x4a;
    put16(frame + 16, sizeof(frame) - 14);
    put16(frame + AT_BYTES, 20 + PAYLOAD); /* its id */
    put16(frame + 20, 0);
    frame[23] = 6;
    memcpy(frame + 26, &source, 4);
    memcpy(frame + 30, &target, 4);
    assert_refused();
}

static void who_was_not_offered_it_is_refused(void **state)
{
    (void)state;
    peer_destroy(&a);
    fake_nic.tx_tso6 = false;
    create(&a, 0xa, address_a);
    assert_refused();
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, begin, end)
#define TEST_MERGE(name) cmocka_unit_test_setup_teardown(name, begin_merge, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_card_gets_it_whole),
        TEST(another_port_gets_frames),
        TEST(headers_that_lie_are_refused),
        TEST(ipv4_is_refused),
        TEST(who_was_not_offered_it_is_refused),
        TEST_MERGE(a_port_that_merges_gets_one),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
