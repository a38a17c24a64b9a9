/*
 * net.c - see net.h.
 */
#include "net.h"

const uint8_t gateway_mac[6] = {0x52, 0x55, 10, 0, 2, 2};
const uint8_t control_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
const uint8_t broadcast_mac[6] = {255, 255, 255, 255, 255, 255};

static struct packet *buffers;

void ring_make_flags(struct ring *ring, uint32_t number, uint32_t size, uint32_t flags)
{
    uint8_t *pages = map_pages(3);
    memset(pages, 0, 3 * PAGE);
    *ring = (struct ring){
        .number = number,
        .size = size,
        .desc = (struct skep_vring_desc *)pages,
        .avail = (struct skep_vring_avail *)(pages + PAGE),
        .used = (struct skep_vring_used *)(pages + 2 * PAGE),
    };
    struct skep_queue_setup setup = {.queue = number,
                                     .size = size,
                                     .desc = (uint64_t)ring->desc,
                                     .avail = (uint64_t)ring->avail,
                                     .used = (uint64_t)ring->used,
                                     .flags = flags};
    int64_t result = skep_hc_queue_setup(&setup);
    if (result)
        fail("FAILED: queue %u: %d\n", number, (uint64_t)result);
}

void ring_make(struct ring *ring, uint32_t number, uint32_t size)
{
    ring_make_flags(ring, number, size, 0);
}

void ring_set(struct ring *ring, uint32_t index, uint64_t address, uint32_t bytes, uint16_t flags,
              uint16_t next)
{
    ring->desc[index] = (struct skep_vring_desc){address, bytes, flags, next};
}

void ring_offer(struct ring *ring, uint16_t head)
{
    uint16_t index = atomic_load(&ring->avail->index);
    ring->avail->ring[index & (ring->size - 1)] = head;
    atomic_store(&ring->avail->index, index + 1);
}

void net_start(struct ring *tx, struct ring *rx)
{
    CHECK(info->net_count == 2);
    ring_make(tx, 1, RING_SIZE);
    ring_make(rx, 2, RING_SIZE);
    buffers = (struct packet *)map_pages((RING_SIZE * sizeof(struct packet) + PAGE - 1) / PAGE);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        ring_set(rx, i, (uint64_t)&buffers[i], sizeof(struct packet), SKEP_VRING_DESC_WRITE, 0);
        ring_offer(rx, i);
    }
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

void packet_make(struct packet *packet, uint32_t number)
{
    uint8_t *frame = packet->frame;
    memset(packet, 0, sizeof(*packet));
    memcpy(frame, info->net[1].mac, 6);
    memcpy(frame + 6, info->net[0].mac, 6);
    put16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put16(frame + 16, FRAME_BYTES - 14);
    frame[22] = 64;
    frame[23] = 17; /* UDP */
    memcpy(frame + 26, &info->net[0].address, 4);
    memcpy(frame + 30, &info->net[1].address, 4);
    put16(frame + 34, 5000);
    put16(frame + 36, 5001);
    put16(frame + 38, FRAME_BYTES - 34);
    memcpy(frame + 42, &number, 4);
    memcpy(frame + MARK_AT, MARK, sizeof(MARK) - 1);
}

void packet_send(struct ring *tx, const struct packet *packet, uint32_t frame_bytes)
{
    uint16_t slot = atomic_load(&tx->avail->index) & (RING_SIZE - 1);
    ring_set(tx, slot, (uint64_t)packet, sizeof(packet->header) + frame_bytes, 0, 0);
    ring_offer(tx, slot);
    CHECK(ring_kick(tx) == 0);
    uint64_t deadline = (uint64_t)skep_hc_clock_read() + 10000000000ull;
    while (atomic_load(&tx->used->index) == tx->taken) {
        CHECK((uint64_t)skep_hc_clock_read() < deadline);
        skep_hc_yield();
    }
    tx->taken++;
}

const struct packet *packet_received(struct ring *rx)
{
    if (atomic_load(&rx->used->index) == rx->taken)
        return NULL;
    uint32_t id = rx->used->ring[rx->taken++ & (RING_SIZE - 1)].id;
    CHECK(id < RING_SIZE);
    ring_offer(rx, (uint16_t)id);
    return &buffers[id];
}
