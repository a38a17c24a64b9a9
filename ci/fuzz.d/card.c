/*
 * card.c - the network card of the harnesses. It reads what it is lent, when it is lent and when it gives it back.
 */
#include "card.h"

#include <string.h>

#include "core/frame.h"
#include "drivers/nic.h"
#include "harness.h"
#include "io/filter.h"
#include "io/uplink.h"

static struct nic card = {.mac = {0x52, 0x54, 0, 0, 0, 1},
                          .mtu = 1500,
                          .tx_csum = true,
                          .tx_tso4 = true,
                          .tx_tso6 = true};
static struct nic_packet packets[CARD_ROOM];
static uint32_t count, room;
static uint64_t way;

static uint32_t pieces_read(const struct nic_packet *packet)
{
    uint32_t bytes = packet->head_bytes;
    for (uint32_t i = 0; i < packet->piece_count; i++) {
        paddr_t address = packet->pieces[i].address;
        FUZZ_CHECK((address.value & PAGE_MASK) + packet->pieces[i].bytes <= PAGE_SIZE);
        FUZZ_CHECK(frame_pins(paddr_to_pfn(address)) > 0);
        FUZZ_CHECK(frame_type(paddr_to_pfn(address)) != SKEP_FRAME_FREE);
        static uint8_t sink[PAGE_SIZE];
        memcpy(sink, arch_direct(address), packet->pieces[i].bytes);
        bytes += packet->pieces[i].bytes;
    }
    return bytes;
}

static int transmit(struct nic *nic, uint32_t pair, const struct nic_packet *packet)
{
    (void)nic;
    (void)pair;
    if (count >= room) {
        return -SKEP_EAGAIN;
    }
    FUZZ_CHECK(packet->head_bytes && packet->head_bytes <= NIC_COPY_MAX);
    FUZZ_CHECK(packet->piece_count <= NIC_PIECES_MAX);
    FUZZ_CHECK((packet->owner != NULL) == (packet->piece_count > 0));
    uint32_t bytes = pieces_read(packet);
    bool cut = packet->header.gso_type != SKEP_NET_GSO_NONE;
    FUZZ_CHECK(bytes >= FRAME_BYTES_MIN && (cut || bytes <= FRAME_BYTES_MAX));
    FUZZ_CHECK(!cut || (bytes > packet->header.gso_size &&
                        packet->header.hdr_len + packet->header.gso_size <= FRAME_BYTES_MAX));
    way = way_add(way, bytes);
    packets[count++] = *packet;
    return 0;
}

static void kick(struct nic *nic, uint32_t pair)
{
    (void)nic;
    (void)pair;
    way = way_add(way, 1);
}

static bool poll(struct nic *nic, uint32_t pair, uint32_t budget)
{
    (void)nic;
    (void)pair;
    for (uint32_t i = 0; i < budget && count; i++) {
        card_give_back(0);
    }
    return count > 0;
}

static bool has_room(struct nic *nic, uint32_t pair)
{
    (void)nic;
    (void)pair;
    return count < room;
}

static bool passed(struct nic *nic, uint32_t pair, uint32_t mark)
{
    (void)nic;
    (void)pair;
    (void)mark;
    return true;
}

static const struct nic_driver driver = {transmit, kick, poll, has_room, passed};

void card_plug(void)
{
    card.driver = &driver;
    card.client = &uplink_client;
    card.pair_count = 1;
    uplink_set(&card);
}

void card_reset(void)
{
    count = 0;
    room = CARD_ROOM;
    way = 0;
}

uint32_t card_count(void)
{
    return count;
}

uint64_t card_way(void)
{
    return way;
}

void card_room_set(uint32_t new_room)
{
    room = new_room < CARD_ROOM ? new_room : CARD_ROOM;
    uplink_client.room(&card);
}

void card_give_back(uint32_t which)
{
    if (!count) {
        return;
    }
    which %= count;
    struct nic_packet packet = packets[which];
    packets[which] = packets[--count];
    pieces_read(&packet);
    if (packet.owner) {
        paddr_t pieces[NIC_PIECES_MAX];
        for (uint32_t i = 0; i < packet.piece_count; i++) {
            pieces[i] = packet.pieces[i].address;
        }
        uplink_client.sent(packet.owner, packet.cookie, pieces, packet.piece_count);
    }
    uplink_client.room(&card);
}

void card_receive(const uint8_t *header, const uint8_t *frame, uint32_t bytes)
{
    static struct {
        struct skep_net_header header;
        uint8_t frame[2048];
    } buffer;
    bytes = bytes < sizeof(buffer.frame) ? bytes : sizeof(buffer.frame);
    memcpy(&buffer.header, header, sizeof(buffer.header));
    memcpy(buffer.frame, frame, bytes);
    for (uint32_t i = 0; uplink_client.received(&card, &buffer.header, bytes); i++) {
        FUZZ_CHECK(i < MEMBERS_MAX);
    }
}
