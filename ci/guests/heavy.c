/*
 * heavy.c - makes each hypercall in the way that costs ring 0 most, for ci/bench: heavy WHAT [ARGUMENT].
 *
 *   memory   largest maps, protections and unmappings, of pages that are there, that are not, and of single ones
 *   calls    console, timers, waits, events and resumption
 *   vcpus    32 vCPUs, all started, all sent events, all waiting for a deadline
 *   packets  a full table of groups; frames in as many pieces as there may be, to the MAC of ARGUMENT, and buffers for as many
 *   segments TCP segments as long as a chain may be, likewise, and buffers that take them in parts
 *   blocks   requests of the largest size in the most pieces, to memory that isn't there yet, to chunks that are nowhere,
 *            that are shared, and all of a device at once; ends amid them
 *   crash    a page fault below a deep stack
 *   ring     a broken ring below one
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/block.h"
#include "skep/guest.h"
#include "skep/hypercall.h"
#include "skep/thread.h"

enum {
    PAGE = SKEP_PAGE_SIZE,
    BIG_BYTES = 24 << 20,
    SPARSE_BYTES = 1 << 30,
    PIECES = 256,
    CONSOLE_BYTES = 8192,
    ROUNDS = 50,
    DEPTH = 60,
};
#define GROUP_MAC 0x5e0001ull /* 01:00:5e:00:00:00 and on, the first byte lowest */

static void must(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    printf("heavy: %s: %lld\n", what, (long long)result);
    exit(1);
}

static uint64_t map(uint64_t bytes)
{
    int64_t address = skep_hc_mem_map(0, bytes, SKEP_PROT_READ | SKEP_PROT_WRITE);
    must(address, "map");
    return (uint64_t)address;
}

static void touch(uint64_t address, uint64_t bytes, uint64_t step)
{
    for (uint64_t at = 0; at < bytes; at += step)
        *(volatile uint64_t *)(address + at) = at;
}

static void protect(uint64_t address, uint64_t bytes, uint64_t prot)
{
    must(skep_hc_mem_protect(address, bytes, prot), "protect");
}

static void unmap(uint64_t address, uint64_t bytes)
{
    must(skep_hc_mem_unmap(address, bytes), "unmap");
}

/* Every page of it there; then page tables with one page each; then nothing at all. */
static void whole_ranges(void)
{
    static const struct {
        uint64_t bytes, step;
    } shapes[] = {{BIG_BYTES, PAGE}, {SPARSE_BYTES, 2 << 20}, {SPARSE_BYTES, SPARSE_BYTES}};
    for (unsigned i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        uint64_t at = map(shapes[i].bytes);
        touch(at, shapes[i].bytes, shapes[i].step);
        protect(at, shapes[i].bytes, SKEP_PROT_READ);
        protect(at, shapes[i].bytes, SKEP_PROT_NONE);
        protect(at, shapes[i].bytes, SKEP_PROT_READ | SKEP_PROT_WRITE);
        unmap(at, shapes[i].bytes);
    }
}

/* As many ranges as can be had: every second page of one becomes a range, until there is no room for more. */
static void single_pages(void)
{
    uint64_t at = map(2 * PIECES * PAGE);
    touch(at, 2 * PIECES * PAGE, PAGE);
    for (unsigned i = 0; i < PIECES; i++)
        skep_hc_mem_protect(at + 2 * i * PAGE, PAGE, SKEP_PROT_READ);
    protect(at, 2 * PIECES * PAGE, SKEP_PROT_READ);
    unmap(at, 2 * PIECES * PAGE);
}

static void heavy_memory(const char *argument)
{
    (void)argument;
    for (unsigned i = 0; i < 3; i++)
        whole_ranges();
    single_pages();
    /* Its end gives back what is still there. */
    touch(map(BIG_BYTES), BIG_BYTES, PAGE);
    touch(map(SPARSE_BYTES), SPARSE_BYTES / 2, 2 << 20);
}

static void heavy_calls(const char *argument)
{
    (void)argument;
    static char text[CONSOLE_BYTES];
    memset(text, '\n', sizeof(text));
    for (unsigned i = 0; i < ROUNDS; i++) {
        must(skep_hc_console_write(text, sizeof(text)), "console");
        must(skep_hc_console_read(text, sizeof(text)), "console");
        must(skep_hc_yield(), "yield");
        must(skep_hc_event_send(0, SKEP_EVENT_IPI), "event");
        must(skep_hc_timer_set(skep_clock_ns() + i), "timer");
        skep_hc_wait(skep_clock_ns() + 1000);
        skep_sleep_until(skep_clock_ns() + 10000);
    }
}

static void waiter(void *argument)
{
    (void)argument;
    for (;;)
        skep_hc_wait(skep_clock_ns() + 50000);
}

/* The library starts the vCPUs; a thread for each keeps them at it. */
static void heavy_vcpus(const char *argument)
{
    (void)argument;
    uint32_t count = atomic_load(&skep_start_info()->vcpu_count);
    for (uint32_t i = 1; i < count; i++)
        must(skep_thread_create(NULL, 0, waiter, NULL), "thread");
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 1; i < count; i++)
            must(skep_hc_event_send(i, SKEP_EVENT_IPI), "event");
        skep_sleep_until(skep_clock_ns() + 200000);
    }
    touch(map(BIG_BYTES), BIG_BYTES, PAGE);
}

/*
 * Packets: frames of the largest size in the most pieces, each piece across two pages.
 */

enum { QUEUE_SIZE = 256, CHAIN = 8, FRAME_BYTES = 1514, HEADER = 12 };

struct ring {
    struct skep_vring_desc *desc;
    struct skep_vring_avail *avail;
    struct skep_vring_used *used;
};

static struct ring ring_make(void)
{
    char *memory = aligned_alloc(PAGE, 3 * PAGE);
    memset(memory, 0, 3 * PAGE);
    return (struct ring){(void *)memory, (void *)(memory + PAGE), (void *)(memory + 2 * PAGE)};
}

static void ring_announce(const struct ring *ring, uint32_t number, uint32_t flags)
{
    struct skep_queue_setup setup = {.queue = number,
                                     .size = QUEUE_SIZE,
                                     .desc = (uintptr_t)ring->desc,
                                     .avail = (uintptr_t)ring->avail,
                                     .used = (uintptr_t)ring->used,
                                     .flags = flags};
    must(skep_hc_queue_setup(&setup), "queue_setup");
}

static struct ring ring_setup(uint32_t number, uint16_t flags, const void *header, char *data)
{
    struct ring ring = ring_make();
    /* Chains of CHAIN descriptors: the header, then pieces. */
    for (unsigned i = 0; i < QUEUE_SIZE; i++) {
        unsigned place = i % CHAIN, piece = (FRAME_BYTES + CHAIN - 2) / (CHAIN - 1);
        unsigned left = FRAME_BYTES - (place ? (place - 1) * piece : 0);
        ring.desc[i] = (struct skep_vring_desc){
            .addr = (uintptr_t)(place ? data + place * PAGE - piece / 2 : header),
            .len = place ? (left < piece ? left : piece) : HEADER,
            .flags = (uint16_t)(flags | (place + 1 < CHAIN ? SKEP_VRING_DESC_NEXT : 0)),
            .next = (uint16_t)(i + 1),
        };
    }
    for (unsigned i = 0; i < QUEUE_SIZE / CHAIN; i++)
        ring.avail->ring[i] = (uint16_t)(i * CHAIN);
    ring_announce(&ring, number, 0);
    return ring;
}

/* The first piece of each frame: Ethernet and IPv4, from this guest's addresses. */
static void frame_write(char *at, const char *peer)
{
    const struct skep_net *net = &skep_start_info()->net[0];
    uint8_t *frame = (uint8_t *)at;
    for (unsigned i = 0; i < 6; i++)
        frame[i] = (uint8_t)strtoul(peer + 3 * i, NULL, 16);
    memcpy(frame + 6, net->mac, 6);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 17;
    memcpy(frame + 26, &net->address, 4);
    memcpy(frame + 30, &net->address, 4);
}

static void offer(struct ring *ring, uint16_t chains)
{
    for (uint16_t i = 0; i < chains; i++) {
        uint16_t index = atomic_load(&ring->avail->index);
        ring->avail->ring[index % QUEUE_SIZE] = (uint16_t)(index % (QUEUE_SIZE / CHAIN) * CHAIN);
        atomic_store(&ring->avail->index, (uint16_t)(index + 1));
    }
}

/* As many groups as a port may be in, and one more. */
static void groups(void)
{
    int64_t result = 0;
    uint64_t count = 0;
    while ((result = skep_hc_net_group(0, GROUP_MAC + (count << 40), true)) == 0 && count < 256)
        count++;
    must(result == -SKEP_ENOSPC ? 0 : -1, "groups");
    while (count-- > 0)
        must(skep_hc_net_group(0, GROUP_MAC + (count << 40), false), "leave");
}

static void heavy_packets(const char *peer)
{
    static char header[HEADER], data[2][(CHAIN + 1) * PAGE] __attribute__((aligned(4096)));
    unsigned piece = (FRAME_BYTES + CHAIN - 2) / (CHAIN - 1);
    struct ring in = ring_setup(0, SKEP_VRING_DESC_WRITE, data[0], data[0]);
    struct ring out = ring_setup(1, 0, header, data[1]);
    uint16_t received = 0;
    frame_write(data[1] + PAGE - piece / 2, peer);
    printf("heavy: packets\n");
    groups();
    offer(&in, QUEUE_SIZE / CHAIN);
    for (;;) {
        uint16_t done = atomic_load(&in.used->index);
        offer(&in, (uint16_t)(done - received));
        received = done;
        if (atomic_load(&out.used->index) == atomic_load(&out.avail->index))
            offer(&out, QUEUE_SIZE / CHAIN);
        must(skep_hc_queue_kick(1), "kick");
        skep_sleep_until(skep_clock_ns() + 100000);
    }
}

/*
 * Segments: in CHAIN pieces, of which all but the headers are of two pages across three; buffers of half a page.
 */

enum { SLOT = PAGE / 2, HEADERS = 54, PIECE = 2 * PAGE, SEGMENT = (CHAIN - 1) * PIECE, MSS = 1460 };

static void segment_write(char *at, const char *peer)
{
    struct skep_net_header header = {.flags = SKEP_NET_HDR_NEEDS_CSUM,
                                     .gso_type = SKEP_NET_GSO_TCP4,
                                     .gso_size = MSS,
                                     .csum_start = 34,
                                     .csum_offset = 16};
    uint8_t *frame = (uint8_t *)at + HEADER;
    memcpy(at, &header, HEADER);
    frame_write(at + HEADER, peer);
    frame[16] = (uint8_t)((HEADERS - 14 + SEGMENT) >> 8);
    frame[17] = (uint8_t)(HEADERS - 14 + SEGMENT);
    frame[23] = 6;
    frame[46] = 0x50;
    frame[47] = 0x10;
}

static struct ring segments_out(const char *peer)
{
    static char first[HEADER + HEADERS], data[SEGMENT + PAGE] __attribute__((aligned(4096)));
    struct ring ring = ring_make();
    segment_write(first, peer);
    memset(data, 'x', sizeof(data));
    for (unsigned i = 0; i < QUEUE_SIZE; i++) {
        unsigned place = i % CHAIN;
        ring.desc[i] = (struct skep_vring_desc){
            .addr = (uintptr_t)(place ? data + (place - 1) * PIECE + PAGE / 2 : first),
            .len = place ? PIECE : sizeof(first),
            .flags = place + 1 < CHAIN ? SKEP_VRING_DESC_NEXT : 0,
            .next = (uint16_t)(i + 1),
        };
    }
    ring_announce(&ring, 1, 0);
    return ring;
}

static struct ring segments_in(void)
{
    static char slots[QUEUE_SIZE][SLOT] __attribute__((aligned(4096)));
    struct ring ring = ring_make();
    memset(slots, 'x', sizeof(slots));
    for (unsigned i = 0; i < QUEUE_SIZE; i++) {
        ring.desc[i] = (struct skep_vring_desc){
            .addr = (uintptr_t)slots[i], .len = SLOT, .flags = SKEP_VRING_DESC_WRITE};
        ring.avail->ring[i] = (uint16_t)i;
    }
    atomic_store(&ring.avail->index, QUEUE_SIZE);
    ring_announce(&ring, 0, SKEP_QUEUE_MERGE);
    return ring;
}

static void heavy_segments(const char *peer)
{
    struct ring in = segments_in(), out = segments_out(peer);
    uint16_t received = 0;
    printf("heavy: segments\n");
    for (;;) {
        uint16_t done = atomic_load(&in.used->index), index = atomic_load(&in.avail->index);
        for (; received != done; received++)
            in.avail->ring[index++ % QUEUE_SIZE] =
                (uint16_t)in.used->ring[received % QUEUE_SIZE].id;
        atomic_store(&in.avail->index, index);
        if (atomic_load(&out.used->index) == atomic_load(&out.avail->index))
            offer(&out, QUEUE_SIZE / CHAIN);
        must(skep_hc_queue_kick(1), "kick");
        skep_sleep_until(skep_clock_ns() + 100000);
    }
}

/*
 * Block requests: as many in flight as ring 0 has slots for, and more.
 */

enum {
    CHUNK = 64 << 10,
    LARGEST = SKEP_BLOCK_BYTES_MAX,
    PARTS = SKEP_BLOCK_PARTS_MAX - 2,
    IN_FLIGHT = 40,
};

static struct skep_block_io ios[IN_FLIGHT];
static struct skep_block_part parts[IN_FLIGHT][PARTS];

/* Request n, with its data in pages that weren't touched yet, each part across two of them. */
static void submit(unsigned n, enum skep_block_op op, uint64_t offset, uint64_t bytes)
{
    uint64_t at = map(bytes + PAGE) + 100;
    unsigned count = bytes < PARTS * PAGE ? 1 : PARTS;
    for (unsigned i = 0; i < count; i++)
        parts[n][i] = (struct skep_block_part){(void *)(at + i * bytes / count), bytes / count};
    ios[n] = (struct skep_block_io){
        .op = op, .offset = offset, .bytes = bytes, .parts = parts[n], .part_count = count};
    must(skep_block_submit(0, &ios[n]), "submit");
}

static void wait_all(void)
{
    skep_block_kick(0);
    for (unsigned n = 0; n < IN_FLIGHT; n++) {
        must(skep_block_wait(0, &ios[n]), "request");
        uint64_t at = (uintptr_t)parts[n][0].data & ~(uint64_t)(PAGE - 1);
        unmap(at, (parts[n][0].bytes * ios[n].part_count + 2 * PAGE - 1) & ~(uint64_t)(PAGE - 1));
    }
}

/* All from an offset on, so many bytes at a time. */
static void all_of(enum skep_block_op op, uint64_t offset, uint64_t end, uint64_t bytes,
                   uint64_t step)
{
    while (offset + IN_FLIGHT * step <= end) {
        for (unsigned n = 0; n < IN_FLIGHT; n++, offset += step)
            submit(n, op, offset, bytes);
        wait_all();
    }
}

static void heavy_blocks(const char *argument)
{
    struct skep_block_info device;
    (void)argument;
    must(skep_block_info(0, &device), "device");
    uint64_t half = device.bytes / 2, quarter = device.bytes / 4;
    all_of(SKEP_BLOCK_READ, 0, quarter, LARGEST, LARGEST);
    all_of(SKEP_BLOCK_WRITE, PAGE, half, PAGE, CHUNK);
    must(skep_block_flush(0), "flush");
    all_of(SKEP_BLOCK_READ, CHUNK / 2, quarter, LARGEST, LARGEST);
    all_of(SKEP_BLOCK_WRITE, CHUNK / 2, quarter, LARGEST, LARGEST);
    must(skep_block_zero(0, half + PAGE, half - PAGE), "zero");
    must(skep_block_zero(0, PAGE, CHUNK * 3), "zero");
    must(skep_block_trim(0, half, half), "trim");
    must(skep_block_trim(0, 0, quarter / 4), "trim");
    must(skep_block_flush(0), "flush");
    for (unsigned n = 0; n < IN_FLIGHT; n++)
        submit(n, n % 2 ? SKEP_BLOCK_READ : SKEP_BLOCK_WRITE, n * LARGEST, LARGEST);
    skep_block_kick(0);
}

static volatile uint64_t nowhere = 64;

static void fault(void)
{
    *(volatile unsigned *)nowhere = 1;
}

/* More chains than the ring has room for, of a queue that works otherwise. */
static void break_ring(void)
{
    static char header[HEADER], data[(CHAIN + 1) * PAGE];
    struct ring out = ring_setup(1, 0, header, data);
    atomic_store(&out.avail->index, QUEUE_SIZE + 1);
    skep_hc_queue_kick(1);
}

static __attribute__((noinline)) uint64_t deep(unsigned depth, void (*end)(void))
{
    if (depth == 0) {
        end();
        return 0;
    }
    return deep(depth - 1, end) + nowhere;
}

static void heavy_crash(const char *argument)
{
    (void)argument;
    printf("heavy: crash %u\n", (unsigned)deep(DEPTH, fault));
}

static void heavy_ring(const char *argument)
{
    (void)argument;
    printf("heavy: ring %u\n", (unsigned)deep(DEPTH, break_ring));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(const char *argument);
    } all[] = {{"memory", heavy_memory},     {"calls", heavy_calls},   {"vcpus", heavy_vcpus},
               {"packets", heavy_packets},   {"blocks", heavy_blocks}, {"crash", heavy_crash},
               {"segments", heavy_segments}, {"ring", heavy_ring}};
    printf("heavy: begin\n"); /* stdio takes its memory now, not when there is none */
    for (unsigned i = 0; argc > 1 && i < sizeof(all) / sizeof(*all); i++) {
        if (strcmp(argv[1], all[i].name) == 0)
            all[i].function(argc > 2 ? argv[2] : "");
    }
    printf("heavy: done\n");
    return 0;
}
