/*
 * test_io_segment.c - TCP segments that are longer than a frame: lent to the card as they are, cut for another port,
 * and refused when a header says what isn't so.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "io/port.h"

#define ADDRESS_A ip(10, 0, 0, 20)
#define ADDRESS_B ip(10, 0, 0, 21)
#define WORLD     ip(192, 0, 2, 7)
#define TX_PAGE   (PEER_BUFFERS + 6)
#define HEADERS   54u
#define SIZE      1000u
#define PAYLOAD   3500u /* with its headers in one page */
#define AT_LENGTH 16u   /* in the frame: of IPv4's packet */
#define AT_ID     18u
#define AT_SUM    24u
#define AT_SEQ    38u
#define AT_OFFSET 46u
#define AT_FLAGS  47u
#define FIN_PSH   9u
#define ACK       16u

static uint8_t mac_a[6], mac_b[6];
static struct peer a, b;
static struct skep_net_header header;
static uint8_t frame[HEADERS + PAYLOAD];

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t sum_of(const uint8_t *at, uint32_t bytes, uint32_t sum)
{
    for (uint32_t i = 0; i < bytes; i++) {
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* A good one. */
static void segment_make(const uint8_t *to, uint32_t target)
{
    uint32_t source = ADDRESS_A;
    memset(frame, 0, HEADERS);
    memcpy(frame, to, 6);
    memcpy(frame + 6, mac_a, 6);
    put16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put16(frame + AT_LENGTH, 40 + PAYLOAD);
    put16(frame + AT_ID, 0xffff);
    frame[22] = 64;
    frame[23] = 6;
    memcpy(frame + 26, &source, 4);
    memcpy(frame + 30, &target, 4);
    put16(frame + AT_SEQ, 0xffff);
    put16(frame + AT_SEQ + 2, 0xff00);
    frame[AT_OFFSET] = 0x50;
    frame[AT_FLAGS] = ACK | FIN_PSH;
    for (uint32_t i = 0; i < PAYLOAD; i++) {
        frame[HEADERS + i] = (uint8_t)(i * 7 + i / 256);
    }
    header = (struct skep_net_header){.flags = SKEP_NET_HDR_NEEDS_CSUM,
                                      .gso_type = SKEP_NET_GSO_TCP4,
                                      .gso_size = SIZE,
                                      .csum_start = 34,
                                      .csum_offset = 16};
}

static void offer(uint32_t bytes)
{
    memcpy(a.page[TX_PAGE], &header, sizeof(header));
    memcpy(a.page[TX_PAGE] + sizeof(header), frame, bytes);
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header) + bytes, 0);
    io_queue_kick(a.vcpu, 1);
    while (work_in_a_trap()) {
    }
}

static int begin(void **state)
{
    mac_of(mac_a, 0xa);
    mac_of(mac_b, 0xb);
    fixture_begin(state);
    fake_nic.tx_tso4 = true;
    peer_create(&a, 0xa, ADDRESS_A, 0);
    peer_create(&b, 0xb, ADDRESS_B, 0);
    segment_make(other_mac, WORLD);
    return 0;
}

static int end(void **state)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        card_done(i);
    }
    peer_destroy(&a);
    peer_destroy(&b);
    return fixture_end(state);
}

static void the_card_gets_it_whole(void **state)
{
    (void)state;
    header.hdr_len = 7; /* not believed */
    offer(sizeof(frame));
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0].bytes, sizeof(frame));
    assert_memory_equal(sent[0].frame, frame, sizeof(frame));
    assert_int_equal(sent[0].header.gso_type, SKEP_NET_GSO_TCP4);
    assert_int_equal(sent[0].header.gso_size, SIZE);
    assert_int_equal(sent[0].header.hdr_len, HEADERS);
    assert_int_equal(sent[0].header.flags, SKEP_NET_HDR_NEEDS_CSUM);
    assert_int_equal(peer_counters(&a).tx_packets, 4);
    assert_int_equal(peer_counters(&a).tx_bytes, 4 * HEADERS + PAYLOAD);
}

/* Frame i of those that b received: in half a page each. */
static const uint8_t *received(uint32_t i)
{
    return b.page[PEER_BUFFERS + i / 2] + i % 2 * 2048 + 12;
}

static void a_cut_is_checked(uint32_t i)
{
    const uint8_t *cut = received(i);
    struct skep_net_header got;
    memcpy(&got, cut - 12, sizeof(got));
    uint32_t at = i * SIZE, bytes = PAYLOAD - at < SIZE ? PAYLOAD - at : SIZE;
    assert_int_equal(got.gso_type, SKEP_NET_GSO_NONE);
    assert_int_equal(got.gso_size, 0);
    assert_int_equal(got.flags, SKEP_NET_HDR_NEEDS_CSUM);
    assert_int_equal(get16(cut + AT_LENGTH), 40 + bytes);
    assert_int_equal(get16(cut + AT_ID), (0xffff + i) & 0xffff);
    assert_int_equal(sum_of(cut + 14, 20, 0), 0xffff);
    assert_int_equal(get32(cut + AT_SEQ), 0xffffff00 + at);
    assert_int_equal(cut[AT_FLAGS], at + bytes == PAYLOAD ? ACK | FIN_PSH : ACK);
    assert_int_equal(get16(cut + 50), sum_of(cut + 26, 8, 6 + 20 + bytes));
    assert_memory_equal(cut + HEADERS, frame + HEADERS + at, bytes);
}

static void another_port_gets_frames(void **state)
{
    (void)state;
    segment_make(mac_b, ADDRESS_B);
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 4);
    for (uint32_t i = 0; i < 4; i++) {
        a_cut_is_checked(i);
    }
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_counters(&a).tx_packets, 4);
    assert_int_equal(peer_counters(&b).rx_bytes, 4 * HEADERS + PAYLOAD);
}

static void assert_refused(void)
{
    uint64_t before = peer_counters(&a).tx_dropped;
    offer(sizeof(frame));
    assert_int_equal(peer_counters(&a).tx_dropped, before + 1);
    assert_int_equal(sent_count, 0);
    segment_make(other_mac, WORLD);
}

static void lengths_that_lie_are_refused(void **state)
{
    (void)state;
    put16(frame + AT_LENGTH, 40 + PAYLOAD - 1), assert_refused();
    put16(frame + AT_LENGTH, 40 + PAYLOAD + 1), assert_refused();
    frame[14] = 0x46, assert_refused(); /* IPv4 options */
    frame[AT_OFFSET] = 0x40, assert_refused();
    frame[20] = 0x20, assert_refused(); /* a fragment */
    frame[23] = 17, assert_refused();   /* UDP */
    header.csum_offset = 6, assert_refused();
    header.flags = 0, assert_refused();
    header.csum_start = 38, assert_refused();
    header.gso_type = SKEP_NET_GSO_NONE, assert_refused(); /* then it is too long */
    header.gso_type = 4, assert_refused();
}

static void sizes_out_of_range_are_refused(void **state)
{
    static const uint16_t sizes[] = {0, 1, SKEP_NET_GSO_SIZE_MIN - 1, 1461, PAYLOAD, 65535};
    (void)state;
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        header.gso_size = sizes[i];
        assert_refused();
    }
    header.gso_size = 1460;
    offer(sizeof(frame));
    assert_int_equal(sent_count, 1);
}

static void only_plain_data_is_cut(void **state)
{
    static const uint8_t flags[] = {2, 4, 32, 128}; /* SYN, RST, URG, CWR */
    (void)state;
    for (uint32_t i = 0; i < sizeof(flags); i++) {
        frame[AT_FLAGS] |= flags[i];
        assert_refused();
    }
}

static void who_was_not_offered_it_is_refused(void **state)
{
    (void)state;
    peer_destroy(&a);
    fake_nic.tx_tso4 = false;
    peer_create(&a, 0xa, ADDRESS_A, 0);
    assert_refused();
}

static void headers_may_lie_in_several_pieces(void **state)
{
    (void)state;
    memcpy(a.page[TX_PAGE], &header, sizeof(header));
    memcpy(a.page[TX_PAGE] + sizeof(header), frame, sizeof(frame));
    a.tx.desc[1] = (struct skep_vring_desc){a.base + TX_PAGE * 4096 + 40, 20, 1, 2};
    a.tx.desc[2] = (struct skep_vring_desc){a.base + TX_PAGE * 4096 + 60,
                                            sizeof(header) + sizeof(frame) - 60, 0, 0};
    peer_offer(&a, &a.tx, TX_PAGE * 4096, 40, 1);
    a.tx.desc[0].next = 1;
    io_queue_kick(a.vcpu, 1);
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0].bytes, sizeof(frame));
    assert_memory_equal(sent[0].frame, frame, sizeof(frame));
}

/* The one before was cut into frames of which some were delivered. */
static void a_segment_that_shrinks_meanwhile_ends(void **state)
{
    (void)state;
    segment_make(mac_b, ADDRESS_B);
    memcpy(a.page[TX_PAGE], &header, sizeof(header));
    memcpy(a.page[TX_PAGE] + sizeof(header), frame, sizeof(frame));
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header) + sizeof(frame), 0);
    port_send(peer_port(&a), 5, true); /* one frame */
    assert_int_equal(peer_port(&a)->cut, SIZE);
    put16(frame + AT_LENGTH, 40 + 999);
    header.gso_size = SKEP_NET_GSO_SIZE_MIN;
    memcpy(a.page[TX_PAGE], &header, sizeof(header));
    memcpy(a.page[TX_PAGE] + sizeof(header), frame, sizeof(frame));
    a.tx.desc[0].len = sizeof(header) + HEADERS + 999;
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_port(&a)->cut, 0);
    assert_int_equal(peer_counters(&a).tx_dropped, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_card_gets_it_whole),
        TEST(another_port_gets_frames),
        TEST(lengths_that_lie_are_refused),
        TEST(sizes_out_of_range_are_refused),
        TEST(only_plain_data_is_cut),
        TEST(who_was_not_offered_it_is_refused),
        TEST(headers_may_lie_in_several_pieces),
        TEST(a_segment_that_shrinks_meanwhile_ends),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
