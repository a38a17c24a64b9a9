/*
 * test_io_fixture.c - guests and a network card for the tests of hv/io.
 */
#include "test_io_fixture.h"

#include <string.h>

#include "core/frame.h"
#include "core/gmem.h"
#include "fake.h"
#include "io/port.h"
#include "io/uplink.h"

#define RAM_BYTES    (96ull << 20)
#define GUEST_BYTES  (2ull << 20)
#define HEADER_BYTES ((uint32_t)sizeof(struct skep_net_header))

struct nic fake_nic;
struct sent sent[SENT_MAX];
uint32_t sent_count, sent_room, kick_count, poll_count;
uint64_t poll_ns;
bool card_holds, card_is_done, card_has_more;
uint32_t receive_flags;

const uint8_t card_mac[6] = {0x52, 0x54, 0, 0, 0, 1};
const uint8_t other_mac[6] = {0x52, 0x54, 0, 0, 0, 2};
const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};

static uint64_t image;
static uint64_t frames_before[SKEP_FRAME_TYPES];

/* ---- the card ---- */

static int card_transmit(struct nic *nic, uint32_t pair, const struct nic_packet *packet)
{
    (void)nic;
    if (sent_room == 0) {
        return -SKEP_EAGAIN;
    }
    assert_true(sent_count < SENT_MAX);
    sent_room--;
    struct sent *to = &sent[sent_count++];
    to->pair = pair;
    to->header = packet->header;
    to->bytes = to->head_bytes = packet->head_bytes;
    memcpy(to->frame, packet->head, packet->head_bytes);
    for (uint32_t i = 0; i < packet->piece_count; i++) {
        const struct nic_piece *piece = &packet->pieces[i];
        assert_true((piece->address.value & PAGE_MASK) + piece->bytes <= PAGE_SIZE);
        assert_true(frame_pins(paddr_to_pfn(piece->address)) > 0);
        memcpy(to->frame + to->bytes, arch_direct(piece->address), piece->bytes);
        to->bytes += piece->bytes;
        to->pieces[i] = piece->address;
    }
    to->piece_count = packet->piece_count;
    to->owner = packet->owner;
    to->cookie = packet->cookie;
    return (int)sent_count;
}

static void card_kick(struct nic *nic, uint32_t pair)
{
    kick_count++;
    if (card_is_done) {
        uplink_client.interrupt(nic, pair);
    }
}

static bool card_poll(struct nic *nic, uint32_t pair, uint32_t budget)
{
    (void)nic;
    (void)budget;
    assert_int_equal(pair, arch_cpu()->index);
    poll_count++;
    fake_clock_advance(poll_ns);
    return card_has_more;
}

static bool card_room(struct nic *nic, uint32_t pair)
{
    (void)nic;
    (void)pair;
    return sent_room > 0;
}

/* It has sent nothing while `card_holds`. */
static bool card_passed(struct nic *nic, uint32_t pair, uint32_t mark)
{
    (void)nic;
    assert_true(pair < fake_nic.pair_count && mark <= sent_count);
    return !card_holds;
}

static const struct nic_driver card_driver = {card_transmit, card_kick, card_poll, card_room,
                                              card_passed};

void card_done(uint32_t index)
{
    struct sent *packet = &sent[index];
    if (packet->owner != NULL) {
        uplink_client.sent(packet->owner, packet->cookie, packet->pieces, packet->piece_count);
    }
    packet->owner = NULL;
    sent_room++;
    uplink_client.room(&fake_nic);
}

void card_receive(const uint8_t *frame, uint32_t bytes, uint8_t flags)
{
    static struct {
        struct skep_net_header header;
        uint8_t frame[2048];
    } buffer;
    memset(&buffer.header, 0, sizeof(buffer.header));
    buffer.header.flags = flags;
    if (flags & SKEP_NET_HDR_NEEDS_CSUM) {
        buffer.header.csum_start = 34;
        buffer.header.csum_offset = 6;
    }
    memcpy(buffer.frame, frame, bytes);
    while (uplink_client.received(&fake_nic, &buffer.header, bytes)) {
    }
}

/* ---- set-up ---- */

int fixture_boot(void **state)
{
    (void)state;
    fake_nic = (struct nic){.driver = &card_driver,
                            .client = &uplink_client,
                            .mtu = 1500,
                            .tx_csum = true,
                            .pair_count = 1};
    memcpy(fake_nic.mac, card_mac, sizeof(card_mac));
    uplink_set(&fake_nic);
    fake_boot(RAM_BYTES, 2);
    image = fake_image();
    return image == 0;
}

int fixture_begin(void **state)
{
    (void)state;
    sent_count = kick_count = poll_count = 0;
    poll_ns = 0;
    card_holds = card_is_done = card_has_more = false;
    fake_nic.pair_count = 1;
    receive_flags = 0;
    sent_room = SENT_MAX;
    io_control_address_set(ip(10, 0, 0, 1), ip(255, 255, 255, 0));
    frame_counts(frames_before);
    return 0;
}

int fixture_end(void **state)
{
    uint64_t frames[SKEP_FRAME_TYPES];
    (void)state;
    frame_counts(frames);
    return memcmp(frames, frames_before, sizeof(frames));
}

uint32_t ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    uint8_t bytes[4] = {a, b, c, d};
    uint32_t address;
    memcpy(&address, bytes, sizeof(address));
    return address;
}

void mac_of(uint8_t mac[6], uint8_t number)
{
    memcpy(mac, (uint8_t[6]){2, 0, 0, 0, 0, number}, 6);
}

/* ---- guests ---- */

static void pages_find(struct peer *peer)
{
    for (uint32_t i = 0; i < PEER_PAGES; i++) {
        paddr_t at;
        assert_int_equal(gmem_pin(peer->guest, gva(peer->base + i * PAGE_SIZE), true, &at), 0);
        peer->page[i] = arch_direct(at);
        gmem_unpin(at);
    }
}

static void queue_create(struct peer *peer, struct peer_queue *queue, uint32_t number,
                         uint32_t page)
{
    struct skep_queue_setup setup = {
        .queue = number,
        .size = RING_SIZE,
        .desc = peer->base + page * PAGE_SIZE,
        .avail = peer->base + (page + 1) * PAGE_SIZE,
        .used = peer->base + (page + 2) * PAGE_SIZE,
        .flags = number == 0 ? receive_flags : 0,
    };
    queue->desc = (struct skep_vring_desc *)peer->page[page];
    queue->avail = (struct skep_vring_avail *)peer->page[page + 1];
    queue->used = (struct skep_vring_used *)peer->page[page + 2];
    queue->seen = 0;
    assert_int_equal(io_queue_setup(peer->vcpu, &setup), 0);
}

void peer_create(struct peer *peer, uint8_t number, uint32_t address, uint32_t flags)
{
    static const struct skep_net6 none;
    peer_create6(peer, number, address, flags, &none);
}

void peer_create6(struct peer *peer, uint8_t number, uint32_t address, uint32_t flags,
                  const struct skep_net6 *net6)
{
    struct skep_guest_spec spec = {
        .image = image,
        .memory_bytes = GUEST_BYTES,
        .stack_bytes = PEER_PAGES * PAGE_SIZE,
        .vcpu_count = 1,
        .vcpu_max = 1,
        .weight = 100,
        .console_bytes = 4096,
        .net_count = 1,
        .net = {{.flags = flags, .address = address}},
        .net6 = {*net6},
        .name = "peer",
    };
    mac_of(spec.net[0].mac, number);
    int64_t handle = guest_create(fake_find(1ull << 32 | 1), &spec);
    assert_true(handle > 0);
    memset(peer, 0, sizeof(*peer));
    peer->handle = (uint64_t)handle;
    peer->guest = fake_find(peer->handle);
    peer->vcpu = peer->guest->vcpus[0];
    peer->base = peer->guest->aspace.ranges.at[peer->guest->aspace.ranges.count - 1].end;
    for (uint32_t i = 0; i < peer->guest->aspace.ranges.count; i++) {
        const struct range *range = &peer->guest->aspace.ranges.at[i];
        if (range->kind == RANGE_ANON && range->end - range->start == PEER_PAGES * PAGE_SIZE) {
            peer->base = range->start;
        }
    }
    assert_int_equal(guest_start(peer->guest), 0);
    pages_find(peer);
    queue_create(peer, &peer->rx, 0, 0);
    queue_create(peer, &peer->tx, 1, 3);
}

void peer_payload_create(struct peer *peer)
{
    queue_create(peer, &peer->payload, SKEP_QUEUE_PAYLOAD_0, PEER_PAGES - 3);
}

void peer_destroy(struct peer *peer)
{
    guest_destroy(peer->guest);
    fake_settle();
    peer->guest = NULL;
}

struct port *peer_port(struct peer *peer)
{
    return peer->guest->ports[0];
}

void peer_offer(struct peer *peer, struct peer_queue *queue, uint64_t offset, uint32_t bytes,
                uint16_t flags)
{
    uint16_t index = atomic_load(&queue->avail->index);
    uint16_t slot = index & (RING_SIZE - 1);
    queue->desc[slot] = (struct skep_vring_desc){peer->base + offset, bytes, flags, 0};
    queue->avail->ring[slot] = slot;
    atomic_store(&queue->avail->index, (uint16_t)(index + 1));
}

void peer_post(struct peer *peer, uint32_t slot)
{
    peer_offer(peer, &peer->rx, PEER_BUFFERS * 4096 + slot * 2048, 2048, SKEP_VRING_DESC_WRITE);
}

void peer_send(struct peer *peer, const uint8_t *frame, uint32_t bytes)
{
    const struct skep_net_header clean = {0};
    peer_lay(peer, &clean, frame, bytes);
    peer_offer(peer, &peer->tx, TX_PAGE * 4096, HEADER_BYTES + bytes, 0);
    assert_int_equal(io_queue_kick(peer->vcpu, 1), 0);
}

void peer_lay(struct peer *peer, const struct skep_net_header *header, const uint8_t *frame,
              uint32_t bytes)
{
    memcpy(peer->page[TX_PAGE], header, sizeof(*header));
    memcpy(peer->page[TX_PAGE] + sizeof(*header), frame, bytes);
}

void peer_send_segment(struct peer *peer, const struct skep_net_header *header,
                       const uint8_t *frame, uint32_t bytes)
{
    peer_lay(peer, header, frame, bytes);
    peer_offer(peer, &peer->tx, TX_PAGE * 4096, sizeof(*header) + bytes, 0);
    io_queue_kick(peer->vcpu, 1);
    while (work_in_a_trap()) {
    }
}

int peers_end(void **state, struct peer *one, struct peer *other)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        card_done(i);
    }
    peer_destroy(one);
    peer_destroy(other);
    return fixture_end(state);
}

bool work_in_a_trap(void)
{
    fake_cpu->traps++;
    return io_work();
}

uint32_t peer_used(struct peer_queue *queue)
{
    uint16_t index = atomic_load(&queue->used->index);
    uint16_t count = (uint16_t)(index - queue->seen);
    queue->seen = index;
    return count;
}

bool peer_event(struct peer *peer, uint32_t queue)
{
    uint64_t bit = 1ull << (SKEP_EVENT_QUEUE_0 + queue);
    return atomic_fetch_and(&peer->vcpu->page->pending, ~bit) & bit;
}

struct skep_net_counters peer_counters(struct peer *peer)
{
    uint32_t address;
    struct skep_net_counters counters;
    io_net_status(peer->guest, 0, &address, &counters);
    return counters;
}

/* ---- frames ---- */

uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

uint32_t frame_arp(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint16_t operation,
                   uint32_t sender, uint32_t target)
{
    static const uint8_t fixed[8] = {8, 6, 0, 1, 8, 0, 6, 4};
    memset(frame, 0, 42);
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    memcpy(frame + 12, fixed, sizeof(fixed));
    put16(frame + 20, operation);
    memcpy(frame + 22, from, 6);
    memcpy(frame + 28, &sender, 4);
    memcpy(frame + 38, &target, 4);
    return 42;
}

uint32_t frame_udp(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint32_t source,
                   uint32_t target, uint16_t source_port, uint16_t target_port, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        frame[42 + i] = (uint8_t)i;
    }
    memset(frame, 0, 42);
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    put16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put16(frame + 16, 28 + bytes);
    frame[22] = 64;
    frame[23] = 17;
    memcpy(frame + 26, &source, 4);
    memcpy(frame + 30, &target, 4);
    put16(frame + 34, source_port);
    put16(frame + 36, target_port);
    put16(frame + 38, 8 + bytes);
    return 42 + bytes;
}
