/*
 * blockfloods.c - guests that make as much work for their disk as they can, for ever: floods.c with block devices.
 *
 * guest: memory=4 vcpus=2 volumes
 */
#include "block.h"

#define IN_FLIGHT 80u /* requests; more than ring 0 has slots for */
#define LARGEST   SKEP_BLOCK_BYTES_MAX

static struct ring ring;
static uint8_t *data;
static uint64_t mapped; /* sectors from the begin on that the volume's origin has */

static void begin(void)
{
    CHECK(info->block_count == 2);
    mapped = info->block[1].bytes / SECTOR;
    ring_make(&ring, SKEP_QUEUE_BLOCK_0, SKEP_QUEUE_SIZE_MAX);
    data = map_pages(LARGEST / PAGE);
    memset(data, 0x5a, LARGEST);
}

static uint16_t in_flight(uint16_t sent)
{
    return (uint16_t)(sent - atomic_load(&ring.used->index));
}

/* Offers the chains of requests 0 to IN_FLIGHT - 1 over and over, with a kick for every 16, and for as long as all are
 * underway. None may be refused. */
static void send_for_ever(void)
{
    uint16_t sent = atomic_load(&ring.avail->index);
    for (uint16_t n = 0;; sent++, n = (n + 1) % IN_FLIGHT) {
        while (in_flight(sent) >= IN_FLIGHT)
            ring_kick(&ring);
        ring_offer(&ring, 3 * n);
        if (sent % 16 == 15)
            ring_kick(&ring);
        CHECK(statuses[n] == UNANSWERED || statuses[n] == SKEP_BLOCK_S_OK);
    }
}

static void write_all(uint64_t sectors)
{
    for (uint64_t sector = 0; sector < sectors; sector += CHUNK_SECTORS) {
        uint16_t taken = atomic_load(&ring.used->index);
        request_set(&ring, 0, OUT, sector, data, CHUNK);
        ring_offer(&ring, 0);
        while (atomic_load(&ring.used->index) == taken)
            ring_kick(&ring);
        CHECK(statuses[0] == SKEP_BLOCK_S_OK);
    }
}

/* To places that the volume has for itself. */
static void writes(void)
{
    begin();
    write_all(mapped);
    for (uint16_t n = 0; n < IN_FLIGHT; n++)
        request_set(&ring, n, OUT, n * BLOCK_SECTORS, data, BLOCK);
    send_for_ever();
}

static void flushes(void)
{
    begin();
    for (uint16_t n = 0; n < IN_FLIGHT; n++)
        request_set(&ring, n, FLUSH, 0, NULL, 0);
    send_for_ever();
}

static void writes_and_flushes(void)
{
    begin();
    write_all(mapped);
    for (uint16_t n = 0; n < IN_FLIGHT; n++)
        request_set(&ring, n, n % 2 ? FLUSH : OUT, n * BLOCK_SECTORS, data, n % 2 ? 0 : BLOCK);
    send_for_ever();
}

/* Chunks that are taken and given back: the control service has to follow, and goes before everyone then. */
static void fresh_chunks(void)
{
    begin();
    for (uint16_t n = 0; n < IN_FLIGHT; n++) {
        uint64_t sector = mapped + n / 4 * CHUNK_SECTORS;
        if (n % 4 < 3)
            request_set(&ring, n, OUT, sector + n % 4 * BLOCK_SECTORS, data, BLOCK);
        else
            range_set(&ring, n, DISCARD, (struct skep_block_range){sector, CHUNK_SECTORS, 0});
    }
    send_for_ever();
}

static void large(uint32_t type, uint64_t from)
{
    for (uint16_t n = 0; n < IN_FLIGHT; n++)
        request_set(&ring, n, type, from + n % 12 * CHUNK_SECTORS, data, LARGEST);
    send_for_ever();
}

static void large_reads(void)
{
    begin();
    large(IN, 0);
}

static void large_reads_of_nothing(void)
{
    begin();
    large(IN, mapped);
}

static void large_writes(void)
{
    begin();
    write_all(mapped);
    large(OUT, 0);
}

/* Discards of all that the volume has not. */
static void empty_discards(void)
{
    begin();
    uint64_t left = info->block[0].bytes / SECTOR - mapped;
    for (uint16_t n = 0; n < IN_FLIGHT; n++)
        range_set(&ring, n, DISCARD, (struct skep_block_range){mapped, (uint32_t)left, 0});
    send_for_ever();
}

static void zeroes(void)
{
    begin();
    write_all(mapped);
    for (uint16_t n = 0; n < IN_FLIGHT; n++)
        range_set(&ring, n, ZEROES, (struct skep_block_range){n * BLOCK_SECTORS, BLOCK_SECTORS, 0});
    send_for_ever();
}

/* The smallest parts, each in two pages. */
static void reads_in_pieces(void)
{
    uint16_t parts = SKEP_BLOCK_PARTS_MAX - 2;
    uint64_t part = BLOCK / parts;
    begin();
    uint8_t *pages = map_pages(2);
    request_set(&ring, 0, IN, 0, data, BLOCK);
    for (uint16_t i = 0; i < parts; i++)
        ring_set(&ring, i + 1, (uint64_t)pages + PAGE - part / 2, (uint32_t)part,
                 SKEP_VRING_DESC_WRITE | SKEP_VRING_DESC_NEXT, i + 2);
    ring_set(&ring, parts + 1, (uint64_t)statuses, 1, SKEP_VRING_DESC_WRITE, 0);
    for (uint16_t sent = 0;; sent++) {
        while (in_flight(sent) >= IN_FLIGHT)
            ring_kick(&ring);
        ring_offer(&ring, 0);
        if (sent % 16 == 15)
            ring_kick(&ring);
        CHECK(statuses[0] == UNANSWERED || statuses[0] == SKEP_BLOCK_S_OK);
    }
}

const struct attack attacks[] = {
    {"writes", writes, "flood"},
    {"flushes", flushes, "flood"},
    {"writes-and-flushes", writes_and_flushes, "flood"},
    {"fresh-chunks", fresh_chunks, "flood slack=8"},
    {"large-reads", large_reads, "flood"},
    {"large-reads-of-nothing", large_reads_of_nothing, "flood"},
    {"large-writes", large_writes, "flood"},
    {"empty-discards", empty_discards, "flood"},
    {"zeroes", zeroes, "flood"},
    {"reads-in-pieces", reads_in_pieces, "flood"},
};
ATTACK_COUNT;
