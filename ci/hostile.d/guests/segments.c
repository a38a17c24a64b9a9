/*
 * segments.c - TCP segments that are longer than a frame, from a device to another that takes them over several buffers, or
 * their payload in buffers of its own: headers, lengths, sizes and rings that lie, on both sides, also while they are read.
 *
 * Where the card can't cut segments the devices aren't offered to send any (in ci/hostile; on a tap, as in
 * ci/system/test_segments.py, they are): then none may arrive.
 *
 * guest: memory=4 vcpus=2 network
 */
#include "net.h"

#define WRITE       SKEP_VRING_DESC_WRITE
#define NEXT        SKEP_VRING_DESC_NEXT
#define HEADERS     54u
#define SIZE        1000u
#define PAYLOAD     30000u
#define SEGMENT     (sizeof(struct skep_net_header) + HEADERS + PAYLOAD)
#define PAGES       8u /* that it lies in */
#define BUFFER      2000u
#define AT_LENGTH   16u
#define AT_FRAGMENT 20u
#define AT_PROTOCOL 23u
#define AT_SOURCE   26u
#define AT_OFFSET   46u
#define AT_FLAGS    47u

static struct ring tx, rx, apart; /* apart: device 1's payload queue */
static uint8_t *segment, *buffers, *payloads;
static bool offered;
static uint16_t offers; /* of sent segments */

static void put16(uint32_t at, uint32_t value)
{
    uint8_t *frame = segment + sizeof(struct skep_net_header);
    frame[at] = (uint8_t)(value >> 8);
    frame[at + 1] = (uint8_t)value;
}

static uint8_t *byte(uint32_t at)
{
    return segment + sizeof(struct skep_net_header) + at;
}

static struct skep_net_header *header(void)
{
    return (struct skep_net_header *)segment;
}

/* A good one. */
static void make(void)
{
    struct packet head;
    packet_make(&head, 0);
    head.header.flags = SKEP_NET_HDR_NEEDS_CSUM;
    head.header.gso_type = SKEP_NET_GSO_TCP4;
    head.header.gso_size = SIZE;
    head.header.csum_start = 34;
    head.header.csum_offset = 16;
    memcpy(segment, &head, sizeof(struct skep_net_header) + HEADERS);
    put16(AT_LENGTH, 40 + PAYLOAD);
    *byte(AT_PROTOCOL) = 6;
    memset(byte(38), 0, 16);
    *byte(AT_OFFSET) = 0x50;
    *byte(AT_FLAGS) = 0x10;
    for (uint32_t i = 0; i < PAYLOAD; i++)
        *byte(HEADERS + i) = (uint8_t)(i * 7 + i / 256);
}

static void begin_without_buffers(void)
{
    offered = (info->net[0].flags & SKEP_NET_TX_TSO4) != 0;
    CHECK(info->net[1].flags & SKEP_NET_RX_MERGE);
    ring_make(&tx, 1, RING_SIZE);
    ring_make_flags(&rx, 2, RING_SIZE, SKEP_QUEUE_MERGE);
    segment = map_pages(PAGES);
    buffers = map_pages(RING_SIZE / 2);
    memset(buffers, 0, RING_SIZE / 2 * PAGE);
    make();
}

static uint8_t *buffer(uint32_t index)
{
    return buffers + index * (PAGE / 2);
}

static void post(uint32_t index, uint64_t address, uint32_t bytes)
{
    ring_set(&rx, index, address, bytes, WRITE, 0);
    ring_offer(&rx, (uint16_t)index);
}

static void post_apart(uint32_t index, uint64_t address, uint32_t bytes)
{
    ring_set(&apart, index, address, bytes, WRITE, 0);
    ring_offer(&apart, (uint16_t)index);
}

static void begin_apart(void)
{
    CHECK(info->net[1].flags & SKEP_NET_RX_PAYLOAD);
    ring_make(&apart, SKEP_QUEUE_PAYLOAD_0 + 1, RING_SIZE);
    payloads = map_pages(RING_SIZE);
    memset(payloads, 0, RING_SIZE * PAGE);
}

static void begin(void)
{
    begin_without_buffers();
    for (uint32_t i = 0; i < RING_SIZE; i++)
        post(i, (uint64_t)buffer(i), BUFFER);
}

/* Sends what lies in `segment`, in one piece, and waits until it is given back. */
__attribute__((always_inline)) static inline void send(uint32_t bytes)
{
    uint16_t slot = (uint16_t)(offers++ % RING_SIZE);
    ring_set(&tx, slot, (uint64_t)segment, bytes, 0, 0);
    ring_offer(&tx, slot);
    CHECK(ring_kick(&tx) == 0);
    uint64_t deadline = (uint64_t)skep_hc_clock_read() + 10000000000ull;
    while (atomic_load(&tx.used->index) != offers) {
        CHECK((uint64_t)skep_hc_clock_read() < deadline);
        skep_hc_yield();
    }
}

static uint32_t read16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* The payload of one, likewise. */
static uint32_t take_apart(uint8_t *to, uint32_t count)
{
    uint32_t bytes = 0;
    CHECK(payloads != NULL && count >= 1);
    CHECK(count <= (uint16_t)(atomic_load(&apart.used->index) - apart.taken));
    for (uint32_t i = 0; i < count; i++) {
        struct skep_vring_used_elem used = apart.used->ring[apart.taken++ % RING_SIZE];
        CHECK(used.id < RING_SIZE && used.len <= PAGE);
        memcpy(to + bytes, payloads + used.id * PAGE, used.len);
        bytes += used.len;
        ring_offer(&apart, (uint16_t)used.id);
    }
    return bytes;
}

/* Looks at one packet that arrived, and gives its buffers back: whatever was sent, it is whole, of this guest, and says
 * what it is. How much payload; 0 = nothing has arrived. */
static uint32_t take(void)
{
    static uint8_t together[SKEP_QUEUE_SIZE_MAX * 2048];
    struct skep_net_header got;
    uint16_t left = (uint16_t)(atomic_load(&rx.used->index) - rx.taken);
    uint32_t bytes = 0, count = 1;
    if (left == 0)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        struct skep_vring_used_elem used = rx.used->ring[rx.taken++ % RING_SIZE];
        CHECK(used.id < RING_SIZE && used.len <= BUFFER);
        memcpy(together + bytes, buffer(used.id), used.len);
        bytes += used.len;
        memcpy(&got, together, sizeof(got));
        count = got.flags & SKEP_NET_HDR_PAYLOAD ? 1 : got.num_buffers;
        CHECK(count >= 1 && count <= left);
        ring_offer(&rx, (uint16_t)used.id);
    }
    if (got.flags & SKEP_NET_HDR_PAYLOAD) {
        CHECK(bytes == sizeof(got) + got.hdr_len);
        bytes += take_apart(together + bytes, got.num_buffers);
        got.flags = SKEP_NET_HDR_NEEDS_CSUM;
    }
    const uint8_t *frame = together + sizeof(got);
    uint32_t headers = 34 + (uint32_t)(frame[AT_OFFSET] >> 4) * 4;
    uint32_t payload = bytes - sizeof(got) - headers;
    CHECK(bytes > sizeof(got) + headers && read16(frame + AT_LENGTH) == headers - 14 + payload);
    CHECK(got.flags == SKEP_NET_HDR_NEEDS_CSUM && got.csum_start == 34 && got.csum_offset == 16);
    CHECK(memcmp(frame + AT_SOURCE, &info->net[0].address, 4) == 0);
    CHECK(memcmp(frame + 6, info->net[0].mac, 6) == 0);
    if (got.gso_type == SKEP_NET_GSO_NONE) {
        CHECK(count == 1 && headers + payload <= FRAME_MAX && got.gso_size == 0);
    } else {
        CHECK(got.gso_type == SKEP_NET_GSO_TCP4 && got.hdr_len == headers);
        CHECK(got.gso_size >= SKEP_NET_GSO_SIZE_MIN && headers + got.gso_size <= FRAME_MAX);
        CHECK(payload > got.gso_size);
    }
    return payload;
}

static void nothing_arrives(void)
{
    send(SEGMENT);
    CHECK(take() == 0);
}

/* A good segment arrives, in no matter how many parts. */
static void all_arrives(void)
{
    uint32_t bytes, all = 0;
    make();
    send(SEGMENT);
    while ((bytes = take()) != 0)
        all += bytes;
    CHECK(all == (offered ? PAYLOAD : 0));
}

/* ---- what is sent ---- */

static void lying_sizes(void)
{
    static const uint16_t sizes[] = {0, 1, 535, 1461, 30000, 30001, 32768, 65535};
    begin();
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        header()->gso_size = sizes[i];
        nothing_arrives();
    }
    all_arrives();
}

static void lying_types(void)
{
    begin();
    for (uint32_t type = 0; type < 256; type++) {
        header()->gso_type = (uint8_t)type;
        if (type != SKEP_NET_GSO_TCP4)
            nothing_arrives();
    }
    all_arrives();
}

static void lying_checksums(void)
{
    static const uint16_t odd[] = {0, 1, 14, 33, 35, 54, 64, 30065, 30066, 0x7fff, 0xfff0, 0xffff};
    begin();
    for (unsigned i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        header()->csum_start = odd[i];
        nothing_arrives();
        make();
        header()->csum_offset = odd[i];
        nothing_arrives();
        make();
    }
    header()->flags = SKEP_NET_HDR_DATA_VALID;
    nothing_arrives();
    all_arrives();
}

static void lying_lengths(void)
{
    static const uint32_t lengths[] = {0,    20,           39,           40,     1040,
                                       1500, PAYLOAD + 39, PAYLOAD + 41, 0x8000, 0xffff};
    begin();
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        put16(AT_LENGTH, lengths[i]);
        nothing_arrives();
    }
    all_arrives();
}

static void lying_headers(void)
{
    static const struct {
        uint32_t at;
        uint8_t value;
    } bad[] = {{14, 0x46},
               {14, 0x65},
               {14, 0x44},
               {AT_FRAGMENT, 0x20},
               {AT_FRAGMENT, 0x1f},
               {AT_PROTOCOL, 17},
               {AT_PROTOCOL, 1},
               {AT_OFFSET, 0x40},
               {AT_OFFSET, 0},
               {AT_FLAGS, 0x12},
               {AT_FLAGS, 0x14},
               {AT_FLAGS, 0x30},
               {AT_FLAGS, 0x90},
               {AT_SOURCE + 3, 99},
               {6 + 5, 0x66},
               {12, 0x86},
               {0, 0x33}};
    begin();
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        *byte(bad[i].at) = bad[i].value;
        nothing_arrives();
        make();
    }
    all_arrives();
}

/* The descriptor says otherwise than the headers do. */
static void lying_descriptors(void)
{
    static const uint32_t lengths[] = {12, 26, 66, 139, 140, 1066, SEGMENT - 1, SEGMENT + 1};
    begin();
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        send(lengths[i]);
        CHECK(take() == 0);
    }
    all_arrives();
}

/* Turns between a good header and worse ones. */
static _Noreturn void flip(uint64_t seed)
{
    for (;;) {
        uint64_t r = random_next(&seed);
        header()->gso_size = (uint16_t)(r >> 60 ? SIZE : r);
        put16(AT_LENGTH, r >> 56 & 3 ? 40 + PAYLOAD : (uint32_t)(r >> 16));
        *byte(AT_SOURCE + 3) = (uint8_t)(r >> 54 & 3 ? info->net[0].address >> 24 : r >> 8);
        *byte(AT_OFFSET) = r >> 52 & 3 ? 0x50 : (uint8_t)(r >> 24);
        header()->csum_start = r >> 50 & 3 ? 34 : (uint16_t)(r >> 32);
    }
}

static void headers_change(void)
{
    begin();
    CHECK(vcpu_run(1, flip, argument(0) * 7919 + 1) == 0);
    for (unsigned i = 0; i < argument(1); i++) {
        send(SEGMENT);
        while (take() != 0)
            continue;
    }
}

/* Descriptors and ring entries, both ways. */
static _Noreturn void spoil(uint64_t seed)
{
    for (;;) {
        uint64_t r = random_next(&seed);
        struct ring *ring = r >> 63 ? &tx : payloads != NULL && r >> 62 ? &apart : &rx;
        volatile uint64_t *desc = (volatile uint64_t *)&ring->desc[r % 8];
        desc[1] = (r >> 8 & 0x7fff) | (uint64_t)(r >> 63 ? 0 : WRITE) << 32 |
                  (r >> 30 & 7 ? 0 : (uint64_t)NEXT << 32) | (r >> 33 & 7) << 48;
        desc[0] = r >> 40 & 0xff ? (uint64_t)segment + (r >> 20 & 0xfff) : r;
        ring->avail->ring[r % RING_SIZE] = (uint16_t)(r >> 50 & 7);
    }
}

static void rings_change(void)
{
    begin();
    CHECK(vcpu_run(1, spoil, argument(0) * 7919 + 1) == 0);
    for (unsigned i = 0; i < argument(1); i++) {
        ring_offer(&tx, i % 8);
        ring_offer(&rx, i % 8);
        ring_kick(&tx);
        skep_hc_yield();
    }
}

static void payload_rings_change(void)
{
    begin_apart();
    for (uint32_t i = 0; i < RING_SIZE; i++)
        post_apart(i, (uint64_t)payloads + i * PAGE, PAGE);
    rings_change();
}

/* ---- what is received into ---- */

/* The first buffer is good, the second what the attack says. */
__attribute__((always_inline)) static inline void second_buffer(uint64_t address, uint32_t bytes)
{
    begin_without_buffers();
    if (!offered)
        return;
    post(0, (uint64_t)buffer(0), BUFFER);
    post(1, address, bytes);
    send(SEGMENT);
}

static void second_upper(void)
{
    second_buffer(UPPER_HALF + 0x100000, 40000);
}

static void second_text(void)
{
    second_buffer((uint64_t)second_text, 40000);
}

/* Its first page is there. */
static void second_unmapped(void)
{
    uint64_t page = info->heap_base + info->heap_bytes - 16 * PAGE;
    CHECK(skep_hc_mem_map(page, PAGE, 3) == (int64_t)page);
    second_buffer(page + PAGE - 20, 40000);
}

/* Nothing is half delivered: what isn't given back is as it was. */
static void few_buffers(void)
{
    begin_without_buffers();
    for (uint32_t few = 0; few < 3; few++) {
        memset(buffers, 0x5e, RING_SIZE / 2 * PAGE);
        for (uint32_t i = 0; i < few; i++)
            post(i, (uint64_t)buffer(i), 600);
        send(SEGMENT);
        CHECK(atomic_load(&rx.used->index) == rx.taken);
        for (uint32_t i = 0; i < RING_SIZE / 2 * PAGE; i++)
            CHECK(buffers[i] == 0x5e);
        /* They are still ring 0's; the next ones come behind them. */
    }
}

static void tiny_buffers(void)
{
    begin_without_buffers();
    memset(buffers, 0x5e, RING_SIZE / 2 * PAGE);
    for (uint32_t i = 0; i < RING_SIZE; i++)
        post(i, (uint64_t)buffers + i, i % 2);
    send(SEGMENT);
    CHECK(atomic_load(&rx.used->index) == rx.taken);
    for (uint32_t i = 0; i < RING_SIZE; i++)
        CHECK(buffers[i] == 0x5e);
}

/* The same memory for all, the same chain many times over, the segment's own pages, and the ring's. */
static void buffers_overlap(void)
{
    begin_without_buffers();
    for (uint32_t i = 0; i < RING_SIZE; i++) {
        ring_set(&rx, i, (uint64_t)segment + i * 100, 4000, WRITE, 0);
        ring_offer(&rx, (uint16_t)(i / 4));
    }
    for (unsigned i = 0; i < 4; i++) {
        make();
        send(SEGMENT);
    }
}

static void rings_are_buffers(void)
{
    begin_without_buffers();
    for (uint32_t i = 0; i < RING_SIZE; i++)
        post(i, (uint64_t)rx.used, PAGE);
    send(SEGMENT);
    send(SEGMENT);
}

/* Buffers go while they are filled: whatever happens, it happens in memory that is still this guest's. */
static _Noreturn void remap(uint64_t unused)
{
    for (;;) {
        skep_hc_mem_unmap((uint64_t)buffers, RING_SIZE / 2 * PAGE);
        skep_hc_mem_map((uint64_t)buffers, RING_SIZE / 2 * PAGE, 3);
        for (uint32_t i = 0; i < RING_SIZE / 2; i++)
            buffers[i * PAGE] = 1;
    }
}

static void buffers_go(void)
{
    begin();
    CHECK(vcpu_run(1, remap, 0) == 0);
    for (unsigned i = 0; i < 1000; i++) {
        send(SEGMENT);
        ring_offer(&rx, i % RING_SIZE);
    }
}

/* ---- payload that is received apart ---- */

/* What gets there, gets there in other buffers. */
__attribute__((always_inline)) static inline void apart_with(uint64_t address, uint32_t bytes)
{
    begin();
    begin_apart();
    post_apart(0, address, bytes);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t taken, all = 0;
        make();
        send(SEGMENT);
        while ((taken = take()) != 0)
            all += taken;
        CHECK((all > 0) == offered && all <= PAYLOAD);
    }
    CHECK(atomic_load(&apart.used->index) == 0);
}

static void apart_good(void)
{
    begin();
    begin_apart();
    for (uint32_t i = 0; i < RING_SIZE; i++)
        post_apart(i, (uint64_t)payloads + i * PAGE, PAGE - i % 3);
    for (unsigned i = 0; i < 20; i++)
        all_arrives();
    CHECK(!offered || apart.taken > 20);
}

static void apart_upper(void)
{
    apart_with(UPPER_HALF + 0x100000, 40000);
}

static void apart_text(void)
{
    apart_with((uint64_t)apart_text, PAGE);
}

static void apart_unmapped(void)
{
    uint64_t page = info->heap_base + info->heap_bytes - 16 * PAGE;
    CHECK(skep_hc_mem_map(page, PAGE, 3) == (int64_t)page);
    apart_with(page + PAGE - 20, 40000);
}

static void apart_without_end(void)
{
    begin();
    begin_apart();
    ring_set(&apart, 0, (uint64_t)payloads, PAGE, WRITE | NEXT, 0);
    ring_offer(&apart, 0);
    all_arrives();
    atomic_store(&apart.avail->index, 0x8000);
    all_arrives();
}

/* Rings, receive buffers and the segment itself are payload buffers, too. */
static void apart_in_rings(void)
{
    static struct ring *const rings[] = {&rx, &tx, &apart};
    begin();
    begin_apart();
    for (uint32_t i = 0; i < RING_SIZE; i++)
        post_apart(i, i < 3 ? (uint64_t)rings[i]->used & ~(PAGE - 1ull) : (uint64_t)segment, PAGE);
    for (unsigned i = 0; i < 4; i++) {
        make();
        ring_set(&tx, 0, (uint64_t)segment, SEGMENT, 0, 0);
        ring_offer(&tx, 0);
        ring_kick(&tx);
        skep_hc_yield();
    }
}

static _Noreturn void remap_apart(uint64_t unused)
{
    for (;;) {
        skep_hc_mem_unmap((uint64_t)payloads, RING_SIZE * PAGE);
        skep_hc_mem_map((uint64_t)payloads, RING_SIZE * PAGE, 3);
        for (uint32_t i = 0; i < RING_SIZE; i++)
            payloads[i * PAGE] = 1;
    }
}

static void payload_buffers_go(void)
{
    begin();
    begin_apart();
    CHECK(vcpu_run(1, remap_apart, 0) == 0);
    for (unsigned i = 0; i < 1000; i++) {
        post_apart(i % RING_SIZE, (uint64_t)payloads + i % RING_SIZE * PAGE, PAGE);
        send(SEGMENT);
        ring_offer(&rx, i % RING_SIZE);
    }
}

static void exit_under_way(void)
{
    begin();
    ring_set(&tx, 0, (uint64_t)segment, SEGMENT, 0, 0);
    for (unsigned i = 0; i < RING_SIZE; i++)
        ring_offer(&tx, 0);
    ring_kick(&tx);
}

const struct attack attacks[] = {
    {"lying-sizes", lying_sizes, "exit"},
    {"lying-types", lying_types, "exit"},
    {"lying-checksums", lying_checksums, "exit"},
    {"lying-lengths", lying_lengths, "exit"},
    {"lying-headers", lying_headers, "exit"},
    {"lying-descriptors", lying_descriptors, "exit"},
    {"headers-change", headers_change, "4x random=300 exit"},
    {"rings-change", rings_change, "6x random=2000 bad-ring lost | exit"},
    {"second-upper", second_upper, "bad-ring error=7 address=0xffffffff80100000 | exit"},
    {"second-text", second_text, "bad-ring error=8 | exit"},
    {"second-unmapped", second_unmapped, "bad-ring error=8 | exit"},
    {"few-buffers", few_buffers, "exit"},
    {"tiny-buffers", tiny_buffers, "exit"},
    {"buffers-overlap", buffers_overlap, "exit"},
    {"rings-are-buffers", rings_are_buffers, "bad-ring lost | exit"},
    {"buffers-go", buffers_go, "bad-ring lost | exit"},
    {"payload-rings-change", payload_rings_change, "6x random=2000 bad-ring lost | exit"},
    {"apart-good", apart_good, "exit"},
    {"apart-upper", apart_upper, "exit"},
    {"apart-text", apart_text, "exit"},
    {"apart-unmapped", apart_unmapped, "exit"},
    {"apart-without-end", apart_without_end, "exit"},
    {"apart-in-rings", apart_in_rings, "bad-ring lost | exit"},
    {"payload-buffers-go", payload_buffers_go, "bad-ring lost | exit"},
    {"exit-under-way", exit_under_way, "exit"},
};
ATTACK_COUNT;
