/*
 * fuzz_queue.c - the queues' back-end and the switch: rings with any contents, changed between ring 0's looks at them,
 * frames of any bytes through the filters, packets that come back from the card in any order, guests that end amid it.
 *
 * Three guests have two devices between them (the third asks for its address by DHCP); their rings and buffers are pages
 * that the operations write as they like, ring 0's own ends of them included. Where a lock has been given back another
 * CPU may act. Operations have 12 bytes, and frames follow theirs.
 */
#include <string.h>

#include "card.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "fake.h"
#include "io/io.h"
#include "io/queue.h"
#include "machine.h"
#include "peers.h"

#define PEERS     3u
#define RING_SIZE 8u
#define FRAME_MAX 4096u /* a segment has up to eight frames' payload */

/* Pages of a guest: for each queue one with descriptors, available and used ring; then buffers; then the ring of its first
 * device's payload queue. */
#define BUFFERS 4u
#define PAYLOAD (PEER_PAGES - 1)

enum code {
    OP_SEND,  /* a well-formed chain with a frame of the input's */
    OP_POST,  /* a receive or payload buffer */
    OP_CHAIN, /* a descriptor with any contents */
    OP_POKE,  /* any bytes anywhere in the guest's pages */
    OP_INDEX, /* the available index, any */
    OP_KICK,
    OP_WIRE,   /* a frame from the wire */
    OP_RETURN, /* the card gives a packet back */
    OP_ROOM,
    OP_WORK, /* io_work() of a CPU */
    OP_PAUSE,
    OP_END,
    OP_BETWEEN, /* the next operation happens within the one behind it */
    OP_UNMAP,
    OP_CODES
};

static const uint8_t macs[PEERS][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}};

static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};

/* ---- guests ---- */

static void peer_start(uint32_t number)
{
    struct peer *peer = &run.peers[number];
    struct skep_guest_spec spec = {
        .memory_bytes = 1 << 20,
        .net_count = number == 1 ? 2 : 1,
    };
    for (uint32_t i = 0; i < spec.net_count; i++) {
        memcpy(spec.net[i].mac, macs[number], 6);
        spec.net[i].mac[4] = (uint8_t)i;
        spec.net[i].address = number == 2 ? 0 : 0x1400000a + ((number + 4 * i) << 24);
        spec.net[i].flags = number == 2 ? SKEP_NET_DHCP : 0;
        spec.net6[i].flags = i == 0 ? SKEP_NET6_ON | (number == 2 ? SKEP_NET6_AUTO : 0) : 0;
        memcpy(spec.net6[i].address, (uint8_t[16]){0xfd, [15] = (uint8_t)number}, 16);
    }
    struct guest *guest = peer_create(peer, &spec);
    for (uint32_t queue = 0; queue < 2 * spec.net_count; queue++) {
        uint32_t flags = queue == 0 ? SKEP_QUEUE_MERGE | SKEP_QUEUE_MERGE6 : 0;
        peer_queue_start(peer, guest, queue, queue, RING_SIZE, flags);
    }
    peer_queue_start(peer, guest, SKEP_QUEUE_PAYLOAD_0, PAYLOAD, RING_SIZE, 0);
}

/* ---- rings, as the guest sees them ---- */

static struct skep_vring_desc *desc_of(const struct peer *peer, uint32_t queue, uint32_t i)
{
    return (struct skep_vring_desc *)peer->page[queue] + i % RING_SIZE;
}

/* A frame of the input's bytes; the sender's MAC and, for IPv4 and ARP, what makes it pass, if asked for by flags. */
static uint32_t frame_take(const struct operation *op, uint8_t *frame)
{
    uint32_t bytes = op->length % FRAME_MAX, given = bytes < 128 ? bytes : 128;
    const uint8_t *mac = macs[op->peer % PEERS];
    memset(frame, 0, FRAME_MAX);
    input_take(&run.input, frame, given);
    if (op->flags & 1) {
        memcpy(frame, op->flags & 8 ? everyone : macs[op->value % PEERS], 6);
        memcpy(frame + 6, mac, 6);
    }
    if (op->flags & 2) {
        uint32_t own = 0x1400000a + ((uint32_t)(op->peer % PEERS) << 24);
        uint32_t other = 0x1400000a + (op->value % PEERS << 24);
        bool arp = op->flags & 4;
        frame[12] = 8;
        frame[13] = arp ? 6 : 0;
        if (arp) {
            memcpy(frame + 14, (const uint8_t[8]){0, 1, 8, 0, 6, 4, 0, 1}, 8);
            memcpy(frame + 22, mac, 6);
        } else {
            frame[14] = 0x45;
        }
        memcpy(frame + (arp ? 28 : 26), &own, 4);
        memcpy(frame + (arp ? 38 : 30), &other, 4);
    }
    return bytes;
}

/* A TCP segment that is to be cut, nearly or quite as it has to be. */
static void segment_make(const struct operation *op, uint8_t *buffer, uint32_t bytes)
{
    struct skep_net_header header = {.flags = SKEP_NET_HDR_NEEDS_CSUM,
                                     .gso_type = SKEP_NET_GSO_TCP4,
                                     .gso_size = (uint16_t)(op->value % 2048),
                                     .csum_start = 34,
                                     .csum_offset = 16};
    uint8_t *frame = buffer + sizeof(header);
    if (op->queue & 8) {
        header.gso_type = SKEP_NET_GSO_TCP6;
        header.csum_start = 54;
        memcpy(buffer, &header, sizeof(header));
        memcpy(frame + 12, (const uint8_t[3]){0x86, 0xdd, 0x60}, 3);
        frame[18] = (uint8_t)((bytes - 54) >> 8);
        frame[19] = (uint8_t)(bytes - 54);
        frame[20] = 6;
        memcpy(frame + 22, (const uint8_t[16]){0xfd, [15] = op->peer % PEERS}, 16);
        memcpy(frame + 38, (const uint8_t[16]){0xfd, [15] = (uint8_t)(op->value % PEERS)}, 16);
        frame[66] = (uint8_t)(op->queue & 0xf0);
        frame[67] &= op->queue & 4 ? 0xff : 0x19;
        return;
    }
    memcpy(buffer, &header, sizeof(header));
    memcpy(frame + 12, (const uint8_t[3]){8, 0, 0x45}, 3);
    frame[16] = (uint8_t)((bytes - 14) >> 8);
    frame[17] = (uint8_t)(bytes - 14);
    memset(frame + 20, 0, 2);
    frame[23] = 6;
    frame[46] = (uint8_t)(op->queue & 0xf0);
    frame[47] &= op->queue & 4 ? 0xff : 0x19;
}

static void op_send(const struct peer *peer, const struct operation *op)
{
    static uint8_t buffer[12 + FRAME_MAX];
    uint32_t queue = (op->queue & 1) * 2 + 1;
    uint32_t bytes = frame_take(op, buffer + 12) + 12;
    uint32_t pieces = 1 + (op->flags >> 4) % 8, at = op->at % (3 * SKEP_PAGE_SIZE);
    input_take(&run.input, buffer, 12);
    if (op->queue & 2) {
        segment_make(op, buffer, bytes - 12);
    }
    uint32_t first = op->value >> 16;
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t part =
            i + 1 < pieces ? (bytes / pieces) & ~1u : bytes - (bytes / pieces & ~1u) * i;
        for (uint32_t j = 0; j < part; j++) {
            uint32_t to = at + j;
            peer->page[BUFFERS + to / SKEP_PAGE_SIZE][to % SKEP_PAGE_SIZE] =
                buffer[(bytes / pieces & ~1u) * i + j];
        }
        *desc_of(peer, queue, first + i) = (struct skep_vring_desc){
            peer->base + BUFFERS * PAGE_SIZE + at, part, i + 1 < pieces ? SKEP_VRING_DESC_NEXT : 0,
            (uint16_t)((first + i + 1) % RING_SIZE)};
        at += part;
    }
    peer_offer(peer, queue, RING_SIZE, first % RING_SIZE);
    peer_kick(peer, queue);
}

static void op_post(const struct peer *peer, const struct operation *op)
{
    uint32_t queue = op->queue & 2 ? PAYLOAD : (op->queue & 1) * 2;
    *desc_of(peer, queue, op->value) =
        (struct skep_vring_desc){peer->base + BUFFERS * PAGE_SIZE + op->at % (6 * PAGE_SIZE),
                                 op->length % 4096u, SKEP_VRING_DESC_WRITE, 0};
    peer_offer(peer, queue, RING_SIZE, op->value % RING_SIZE);
}

static void op_chain(const struct peer *peer, const struct operation *op)
{
    uint64_t address = peer->base + op->at;
    if (op->flags & 0x80) {
        address = (uint64_t)op->value << (op->flags & 31);
    }
    *desc_of(peer, op->queue & 3, op->peer >> 2) =
        (struct skep_vring_desc){address, op->length, op->flags & 7, (uint16_t)(op->value & 15)};
    peer_offer(peer, op->queue & 3, RING_SIZE, op->peer >> 2);
    peer_kick(peer, op->queue & 3);
}

static void op_wire(const struct operation *op)
{
    static uint8_t frame[FRAME_MAX];
    uint8_t header[12];
    uint32_t bytes = frame_take(op, frame);
    input_take(&run.input, header, sizeof(header));
    header[0] &= 3;
    card_receive(header, frame, bytes);
}

static void op_unmap(const struct peer *peer, const struct operation *op)
{
    struct guest *guest = peer_guest(peer);
    uint64_t done;
    if (guest) {
        spin_lock(&guest->lock);
        int64_t result = aspace_unmap(guest, peer->base + (PEER_PAGES + op->at % 4u) * PAGE_SIZE,
                                      PAGE_SIZE, 0, &done);
        spin_unlock(&guest->lock);
        run.way = way_add(run.way, (uint64_t)result);
    }
}

static void op_life(const struct peer *peer, const struct operation *op, bool end)
{
    struct guest *guest = peer_guest(peer);
    if (guest && end) {
        guest_end(guest, 0);
    } else if (guest && guest->state == SKEP_GUEST_PAUSED) {
        guest_start(guest);
    } else if (guest && (op->flags & 1)) {
        guest_pause(guest);
    }
}

/* The guest writes its pages only while it has them: what has ended may have been given back. */
static void of_peer(const struct operation *op)
{
    const struct peer *peer = &run.peers[op->peer % PEERS];
    const struct guest *guest = peer_guest(peer);
    if (!guest || guest->state == SKEP_GUEST_DYING) {
        return;
    }
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_SEND:
        op_send(peer, op);
        break;
    case OP_POST:
        op_post(peer, op);
        break;
    case OP_CHAIN:
        op_chain(peer, op);
        break;
    case OP_POKE:
        peer_poke(peer, op);
        break;
    case OP_INDEX:
        atomic_store(&peer_avail(peer, op->queue & 3)->index, op->at);
        break;
    case OP_KICK:
        peer_kick(peer, op->queue & 7);
        break;
    case OP_UNMAP:
        op_unmap(peer, op);
        break;
    default:
        op_life(peer, op, op->code % OP_CODES == OP_END);
        break;
    }
}

void operate(const struct operation *op)
{
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_WIRE:
        op_wire(op);
        break;
    case OP_RETURN:
        card_give_back(op->at);
        break;
    case OP_ROOM:
        card_room_set(op->at);
        break;
    case OP_WORK:
        run_work(op->peer);
        break;
    case OP_BETWEEN:
        run_between(op);
        break;
    default:
        of_peer(op);
        break;
    }
}

/* ---- inputs ---- */

void fuzz_start(void)
{
    machine_start();
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    machine_begin();
    run_begin(data, bytes);
    for (uint32_t i = 0; i < PEERS; i++) {
        peer_start(i);
    }
    run_operations();
    uint64_t way = way_add(run.way, card_way());
    machine_end();
    return way;
}
