/*
 * test_io_segment.c - TCP segments that are longer than a frame: lent to the card as they are, cut for another port, or
 * delivered over several of its buffers, and refused when a header says what isn't so.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "core/gmem.h"
#include "io/port.h"

#define ADDRESS_A ip(10, 0, 0, 20)
#define ADDRESS_B ip(10, 0, 0, 21)
#define WORLD     ip(192, 0, 2, 7)
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

static uint32_t get32(const uint8_t *at)
{
    return get16(at) << 16 | get16(at + 2);
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
    peer_send_segment(&a, &header, frame, bytes);
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
    return peers_end(state, &a, &b);
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
    peer_lay(&a, &header, frame, sizeof(frame));
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
    peer_lay(&a, &header, frame, sizeof(frame));
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header) + sizeof(frame), 0);
    port_send(peer_port(&a), 5, true); /* one frame */
    assert_int_equal(peer_port(&a)->cut, SIZE);
    put16(frame + AT_LENGTH, 40 + 999);
    header.gso_size = SKEP_NET_GSO_SIZE_MIN;
    peer_lay(&a, &header, frame, sizeof(frame));
    a.tx.desc[0].len = sizeof(header) + HEADERS + 999;
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_port(&a)->cut, 0);
    assert_int_equal(peer_counters(&a).tx_dropped, 1);
}

/* ---- parts, over several buffers ---- */

static int begin_merge(void **state)
{
    begin(state);
    peer_destroy(&b);
    receive_flags = SKEP_QUEUE_MERGE;
    peer_create(&b, 0xb, ADDRESS_B, 0);
    segment_make(mac_b, ADDRESS_B);
    return 0;
}

static void post(uint64_t offset, uint32_t bytes)
{
    peer_offer(&b, &b.rx, offset, bytes, SKEP_VRING_DESC_WRITE);
}

/* Buffers one behind the other, so that what they receive is, too. */
static void post_small(uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        post(PEER_BUFFERS * 4096 + i * bytes, bytes);
    }
}

/* Checks the headers of a part, and its payload if that lies behind them. */
static void assert_part(const uint8_t *packet, uint32_t at, uint32_t bytes, uint32_t buffers,
                        uint32_t together)
{
    struct skep_net_header got;
    const uint8_t *part = packet + sizeof(got);
    memcpy(&got, packet, sizeof(got));
    assert_int_equal(got.num_buffers, buffers);
    assert_int_equal(got.gso_type, SKEP_NET_GSO_TCP4);
    assert_int_equal(got.gso_size, SIZE);
    assert_int_equal(got.hdr_len, HEADERS);
    assert_int_equal(got.flags, SKEP_NET_HDR_NEEDS_CSUM);
    assert_int_equal(got.csum_start, 34);
    assert_int_equal(got.csum_offset, 16);
    assert_int_equal(get16(part + AT_LENGTH), 40 + bytes);
    assert_int_equal(sum_of(part + 14, 20, 0), 0xffff);
    assert_int_equal(get32(part + AT_SEQ), 0xffffff00 + at);
    assert_int_equal(part[AT_FLAGS], at + bytes == PAYLOAD ? ACK | FIN_PSH : ACK);
    assert_int_equal(get16(part + 50), sum_of(part + 26, 8, 6 + 20 + bytes));
    assert_memory_equal(part + HEADERS, frame + HEADERS + at, together - sizeof(got) - HEADERS);
}

static void used_bytes(uint32_t first, const uint32_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(b.rx.used->ring[first + i].id, first + i);
        assert_int_equal(b.rx.used->ring[first + i].len, bytes[i]);
    }
}

static void a_port_that_merges_gets_one(void **state)
{
    const uint32_t all = sizeof(header) + HEADERS + PAYLOAD;
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 2);
    used_bytes(0, (const uint32_t[]){2048, all - 2048}, 2);
    assert_part(b.page[PEER_BUFFERS], 0, PAYLOAD, 2, all);
    assert_true(peer_event(&b, 0));
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_counters(&a).tx_packets, 4);
    assert_int_equal(peer_counters(&a).tx_bytes, 4 * HEADERS + PAYLOAD);
    assert_int_equal(peer_counters(&b).rx_packets, 4);
    assert_int_equal(peer_counters(&b).rx_bytes, 4 * HEADERS + PAYLOAD);
    assert_int_equal(peer_port(&b)->rx.next_avail, 2);
}

/* The headers themselves are spread; buffers have several pieces, and cross pages. */
static void buffers_may_be_of_any_shape(void **state)
{
    const uint32_t all = sizeof(header) + HEADERS + PAYLOAD;
    uint64_t at = PEER_BUFFERS * 4096 + 4090;
    (void)state;
    post(at, 5);
    post(at + 5, 20);
    b.rx.desc[7] = (struct skep_vring_desc){b.base + at + 25, 2000, SKEP_VRING_DESC_WRITE, 0};
    post(at + 25, 0);
    b.rx.desc[2].flags |= SKEP_VRING_DESC_NEXT;
    b.rx.desc[2].next = 7;
    post(at + 2025, 4096);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 4);
    used_bytes(0, (const uint32_t[]){5, 20, 2000, all - 2025}, 4);
    static uint8_t together[sizeof(header) + HEADERS + PAYLOAD];
    for (uint32_t i = 0; i < all; i++) {
        together[i] = b.page[(at + i) / 4096][(at + i) % 4096];
    }
    assert_part(together, 0, PAYLOAD, 4, all);
}

static void what_fits_goes_in_whole_frames(void **state)
{
    const uint32_t all = sizeof(header) + HEADERS + 2 * SIZE;
    (void)state;
    post_small(4, 700);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 4);
    used_bytes(0, (const uint32_t[]){700, 700, all - 1400}, 3);
    assert_part(b.page[PEER_BUFFERS], 0, 2 * SIZE, 3, all);
    assert_int_equal(peer_counters(&b).rx_dropped, 1); /* the next frame; the last one fits */
    assert_int_equal(peer_counters(&b).rx_packets, 3);
    assert_int_equal(peer_used(&a.tx), 1);
}

static void too_few_buffers_get_frames(void **state)
{
    (void)state;
    peer_post(&b, 0);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 1);
    a_cut_is_checked(0);
    assert_int_equal(peer_counters(&b).rx_dropped, 3);
    assert_int_equal(peer_counters(&b).rx_packets, 1);
    assert_int_equal(peer_used(&a.tx), 1);
}

/* What ends the guest when it is a buffer's turn harms nothing before. */
static void a_buffer_of_others_ends_the_part(void **state)
{
    uint64_t read_only = b.guest->aspace.ranges.at[0].start;
    paddr_t at;
    (void)state;
    assert_int_equal(gmem_pin(b.guest, gva(read_only), false, &at), 0); /* it is there */
    gmem_unpin(at);
    peer_post(&b, 0);
    post(read_only - b.base, 4096);
    offer(sizeof(frame));
    a_cut_is_checked(0);
    assert_int_equal(b.guest->crash.reason, SKEP_CRASH_RING);
    assert_int_equal(b.guest->crash.address, read_only);
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(a.guest->state, SKEP_GUEST_RUNNING);
}

/* A chain is used as a whole or not at all; what a frame needs of it is there. */
static void a_buffer_that_ends_in_nothing_ends_the_part(void **state)
{
    (void)state;
    peer_post(&b, 0);
    post(PEER_PAGES * 4096 - 1200, 4096);
    offer(sizeof(frame));
    a_cut_is_checked(0);
    assert_int_equal(peer_used(&b.rx), 2);
    used_bytes(0, (const uint32_t[]){12 + HEADERS + SIZE, 12 + HEADERS + SIZE}, 2);
    assert_int_equal(peer_counters(&b).rx_dropped, 2);
    assert_int_equal(b.guest->state, SKEP_GUEST_RUNNING);
}

static void a_broken_ring_ends_the_part(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    b.rx.desc[1].addr = 0xffff800000000000;
    offer(sizeof(frame));
    a_cut_is_checked(0);
    assert_int_equal(b.guest->crash.reason, SKEP_CRASH_RING);
    assert_int_equal(peer_used(&b.rx), 1);
}

/* However many pages there are to it. */
static void a_part_is_bounded(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        post(PEER_BUFFERS * 4096 + 4090, 4096); /* in two pages */
    }
    for (uint32_t i = 1; i < RING_SIZE; i++) {
        a.tx.desc[i] = (struct skep_vring_desc){a.base + PEER_BUFFERS * 4096 + 100, 9000,
                                                i + 1 < RING_SIZE, (uint16_t)(i + 1)};
    }
    header.gso_size = 1460;
    put16(frame + AT_LENGTH, 40 + (RING_SIZE - 1) * 9000);
    peer_lay(&a, &header, frame, HEADERS);
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header) + HEADERS, 1);
    a.tx.desc[0].next = 1;
    port_send(peer_port(&a), 20, true);
    assert_in_range(peer_port(&a)->cut, 15 * 1460, 20 * 4096);
    assert_int_equal(peer_port(&a)->cut % 1460, 0);
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_port(&a)->cut, 0);
}

/* Payload that the sender hasn't got: the frame that it is missing in ends the guest. */
static void payload_of_others_ends_the_part(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    peer_lay(&a, &header, frame, sizeof(frame));
    a.tx.desc[1] = (struct skep_vring_desc){SKEP_GUEST_VA_MAX - 4096, PAYLOAD - 2 * SIZE, 0, 0};
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header) + HEADERS + 2 * SIZE, 1);
    a.tx.desc[0].next = 1;
    io_queue_kick(a.vcpu, 1);
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&b.rx), 2);
    assert_part(b.page[PEER_BUFFERS], 0, 2 * SIZE, 2, sizeof(header) + HEADERS + 2 * SIZE);
    assert_int_equal(a.guest->crash.reason, SKEP_CRASH_RING);
    assert_int_equal(b.guest->state, SKEP_GUEST_RUNNING);
}

/* Of a go that has sent something else, it is the next one's. */
static void a_part_is_a_go_of_its_own(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    peer_lay(&a, &header, frame, sizeof(frame));
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header), 0); /* too short: dropped */
    peer_offer(&a, &a.tx, TX_PAGE * 4096, sizeof(header) + sizeof(frame), 0);
    io_queue_kick(a.vcpu, 1);
    assert_int_equal(peer_used(&b.rx), 0);
    while (work_in_a_trap()) {
    }
    assert_int_equal(peer_used(&b.rx), 2);
    assert_int_equal(peer_used(&a.tx), 2);
}

/* ---- parts whose payload has buffers of its own ---- */

#define TO_PAYLOAD ((PEER_BUFFERS + 3) * 4096u) /* where these lie */

static int begin_payload(void **state)
{
    begin_merge(state);
    peer_payload_create(&b);
    for (uint32_t i = 0; i < 4; i++) {
        peer_post(&b, i);
    }
    return 0;
}

static void post_payload(uint64_t offset, uint32_t bytes)
{
    peer_offer(&b, &b.payload, offset, bytes, SKEP_VRING_DESC_WRITE);
}

static void assert_apart(uint32_t index, uint32_t at, uint32_t bytes, uint32_t buffers)
{
    uint8_t *packet = b.page[PEER_BUFFERS + index / 2] + index % 2 * 2048;
    assert_int_equal(b.rx.used->ring[index].len, sizeof(header) + HEADERS);
    assert_int_equal(packet[0], SKEP_NET_HDR_NEEDS_CSUM | SKEP_NET_HDR_PAYLOAD);
    packet[0] = SKEP_NET_HDR_NEEDS_CSUM;
    assert_part(packet, at, bytes, buffers, sizeof(header) + HEADERS);
}

static void assert_payload(uint64_t offset, uint32_t at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        assert_int_equal(b.page[(offset + i) / 4096][(offset + i) % 4096], frame[HEADERS + at + i]);
    }
}

static void payload_goes_apart(void **state)
{
    (void)state;
    post_payload(TO_PAYLOAD + 4000, 4096);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&b.payload), 1);
    assert_int_equal(b.payload.used->ring[0].len, PAYLOAD);
    assert_apart(0, 0, PAYLOAD, 1);
    assert_payload(TO_PAYLOAD + 4000, 0, PAYLOAD);
    assert_true(peer_event(&b, 0));
    assert_int_equal(peer_used(&a.tx), 1);
    assert_int_equal(peer_counters(&b).rx_packets, 4);
    assert_int_equal(peer_counters(&b).rx_bytes, 4 * HEADERS + PAYLOAD);
}

static void payload_may_take_several_buffers(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        post_payload(TO_PAYLOAD + i * 1500, 1500);
    }
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.rx), 1);
    assert_int_equal(peer_used(&b.payload), 3);
    assert_int_equal(b.payload.used->ring[2].len, PAYLOAD - 3000);
    assert_apart(0, 0, PAYLOAD, 3);
    assert_payload(TO_PAYLOAD, 0, PAYLOAD);
}

/* What is left is too short to go apart. */
static void payload_that_fits_goes_in_whole_frames(void **state)
{
    (void)state;
    post_payload(TO_PAYLOAD, 2 * SIZE + SIZE / 2);
    post_payload(SKEP_GUEST_VA_MAX - b.base, 4096);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.payload), 1);
    assert_int_equal(b.payload.used->ring[0].len, 2 * SIZE);
    assert_apart(0, 0, 2 * SIZE, 1);
    assert_payload(TO_PAYLOAD, 0, 2 * SIZE);
    assert_int_equal(peer_used(&b.rx), 2);
    assert_part(b.page[PEER_BUFFERS] + 2048, 2 * SIZE, PAYLOAD - 2 * SIZE, 1, 12 + HEADERS);
    assert_int_equal(peer_used(&a.tx), 1);
}

static void assert_together(void)
{
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.payload), 0);
    assert_int_equal(peer_used(&b.rx), 2);
    assert_part(b.page[PEER_BUFFERS], 0, PAYLOAD, 2, sizeof(header) + HEADERS + PAYLOAD);
    assert_int_equal(b.guest->state, SKEP_GUEST_RUNNING);
}

static void without_payload_buffers_it_comes_together(void **state)
{
    (void)state;
    assert_together();
}

/* Then a frame comes: to try both ways would take too long. What is left is too short to go apart. */
static void missing_memory_is_no_payload_buffer(void **state)
{
    (void)state;
    post_payload(PEER_PAGES * 4096 - 1200, 4096);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.payload), 0);
    assert_int_equal(peer_used(&b.rx), 3);
    a_cut_is_checked(0);
    assert_part(b.page[PEER_BUFFERS] + 2048, SIZE, PAYLOAD - SIZE, 2, sizeof(header) + HEADERS);
    assert_int_equal(b.guest->state, SKEP_GUEST_RUNNING);
}

static void others_memory_is_no_payload_buffer(void **state)
{
    (void)state;
    post_payload(0xffff800000000000 - b.base, 4096);
    assert_together();
}

static void a_broken_payload_ring_is_left_alone(void **state)
{
    (void)state;
    post_payload(TO_PAYLOAD, 4096);
    b.payload.desc[0].flags = 0; /* to be read */
    atomic_store(&b.payload.avail->index, RING_SIZE + 1);
    assert_together();
}

static void headers_need_a_buffer(void **state)
{
    (void)state;
    atomic_store(&b.rx.avail->index, 1);
    b.rx.desc[0].len = sizeof(header) + HEADERS - 1;
    post_payload(TO_PAYLOAD, 4096);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.payload), 0);
    assert_int_equal(peer_used(&b.rx), 0);
    assert_int_equal(peer_counters(&b).rx_dropped, 4);
}

/* Nothing is in a payload buffer when there is nowhere for the headers. */
static void headers_need_one_whole_buffer(void **state)
{
    (void)state;
    b.rx.desc[0].len = sizeof(header) + HEADERS - 1;
    post_payload(TO_PAYLOAD, 4096);
    memset(b.page[TO_PAYLOAD / 4096], 0x5e, 4096);
    offer(sizeof(frame));
    assert_int_equal(peer_used(&b.payload), 0);
    assert_int_equal(peer_used(&b.rx), 3);
    assert_int_equal(peer_counters(&b).rx_dropped, 1);
    for (uint32_t i = 0; i < 4096; i++) {
        assert_int_equal(b.page[TO_PAYLOAD / 4096][i], 0x5e);
    }
}

static void payload_queues_are_of_devices(void **state)
{
    struct skep_queue_setup setup = {.queue = SKEP_QUEUE_PAYLOAD_0,
                                     .size = RING_SIZE,
                                     .desc = b.base,
                                     .avail = b.base,
                                     .used = b.base};
    (void)state;
    assert_int_equal(io_queue_setup(b.vcpu, &setup), -SKEP_EBUSY);
    assert_int_equal(io_queue_kick(b.vcpu, SKEP_QUEUE_PAYLOAD_0), 0);
    for (setup.queue++; setup.queue < SKEP_QUEUE_COUNT; setup.queue++) {
        assert_int_equal(io_queue_setup(b.vcpu, &setup), -SKEP_ENODEV);
        assert_int_equal(io_queue_kick(b.vcpu, setup.queue), -SKEP_ENODEV);
    }
    assert_int_equal(io_queue_setup(b.vcpu, &setup), -SKEP_ENODEV);
    setup.queue = UINT32_MAX;
    assert_int_equal(io_queue_setup(b.vcpu, &setup), -SKEP_ENODEV);
}

static void other_flags_are_refused(void **state)
{
    struct skep_queue_setup setup = {
        .size = RING_SIZE, .desc = a.base, .avail = a.base, .used = a.base};
    struct queue queue = {0};
    (void)state;
    for (uint32_t i = 0; i < 32; i++) {
        setup.flags = 1u << i;
        for (setup.queue = 0; setup.queue < SKEP_QUEUE_COUNT; setup.queue++) {
            bool receives = setup.queue < SKEP_QUEUE_BLOCK_0 && setup.queue % 2 == 0;
            int error = queue_setup(&queue, a.guest, &setup);
            bool known = setup.flags == SKEP_QUEUE_MERGE || setup.flags == SKEP_QUEUE_MERGE6;
            assert_int_equal(error, known && receives ? 0 : -SKEP_EINVAL);
            queue_teardown(&queue);
        }
    }
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, begin, end)
#define TEST_MERGE(name) cmocka_unit_test_setup_teardown(name, begin_merge, end)
#define TEST_APART(name) cmocka_unit_test_setup_teardown(name, begin_payload, end)

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
        TEST(other_flags_are_refused),
        TEST_MERGE(a_port_that_merges_gets_one),
        TEST_MERGE(buffers_may_be_of_any_shape),
        TEST_MERGE(what_fits_goes_in_whole_frames),
        TEST_MERGE(too_few_buffers_get_frames),
        TEST_MERGE(a_buffer_of_others_ends_the_part),
        TEST_MERGE(a_buffer_that_ends_in_nothing_ends_the_part),
        TEST_MERGE(a_broken_ring_ends_the_part),
        TEST_MERGE(a_part_is_bounded),
        TEST_MERGE(payload_of_others_ends_the_part),
        TEST_MERGE(a_part_is_a_go_of_its_own),
        TEST_APART(payload_goes_apart),
        TEST_APART(payload_may_take_several_buffers),
        TEST_APART(payload_that_fits_goes_in_whole_frames),
        TEST_APART(without_payload_buffers_it_comes_together),
        TEST_APART(missing_memory_is_no_payload_buffer),
        TEST_APART(others_memory_is_no_payload_buffer),
        TEST_APART(a_broken_payload_ring_is_left_alone),
        TEST_APART(headers_need_a_buffer),
        TEST_APART(headers_need_one_whole_buffer),
        TEST_APART(payload_queues_are_of_devices),
    };
    return cmocka_run_group_tests(tests, fixture_boot, NULL);
}
