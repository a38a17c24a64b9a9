/*
 * blocks.c - block devices under attack: requests of a wrong form, in others' memory and beyond the volume's end, chains
 * that change while they are read, pages and guests that are gone while the disk has them, and what others left on it.
 *
 * Device 0 is the guest's own clone of device 1, which may only be read; behind device 1's end it is still nowhere. The
 * last chunk of device 0 has one block only (ci/hostile.d/storage.py).
 *
 * guest: memory=4 vcpus=2 volumes
 */
#include "block.h"

#define WRITE SKEP_VRING_DESC_WRITE
#define NEXT  SKEP_VRING_DESC_NEXT

#define LARGE     SKEP_QUEUE_SIZE_MAX /* more places than ring 0 has slots for requests */
#define CHAIN_MAX SKEP_BLOCK_PARTS_MAX
#define ANSWER_NS 60000000000ull

static struct ring own, shared;
static uint8_t *data; /* a chunk */

static void begin(uint32_t size)
{
    CHECK(info->block_count == 2 && info->net_count == 0);
    CHECK(info->block[0].bytes > info->block[1].bytes && info->block[0].bytes % CHUNK == BLOCK);
    CHECK(info->block[1].flags & SKEP_BLOCK_READ_ONLY);
    ring_make(&own, SKEP_QUEUE_BLOCK_0, size);
    data = map_pages(CHUNK / PAGE);
}

static void begin_shared(void)
{
    ring_make(&shared, SKEP_QUEUE_BLOCK_0 + 1, RING_SIZE);
}

static uint64_t sectors_of(uint32_t device)
{
    return info->block[device].bytes / SECTOR;
}

/* ---- requests ---- */

/* Until ring 0 has given back so many more. Inline, as all that follows, so that the attack's own function is where the
 * crash record says that it was. */
__attribute__((always_inline)) static inline void finish(struct ring *ring, uint16_t count)
{
    uint64_t deadline = (uint64_t)skep_hc_clock_read() + ANSWER_NS;
    while ((uint16_t)(atomic_load(&ring->used->index) - ring->taken) < count) {
        CHECK((uint64_t)skep_hc_clock_read() < deadline);
        skep_hc_yield();
    }
    ring->taken += count;
}

__attribute__((always_inline)) static inline void go(struct ring *ring, uint16_t head)
{
    ring_offer(ring, head);
    CHECK(ring_kick(ring) == 0);
    finish(ring, 1);
}

/* The status of a request that runs alone. */
__attribute__((always_inline)) static inline uint8_t request(struct ring *ring, uint32_t type,
                                                             uint64_t sector, const void *at,
                                                             uint32_t bytes)
{
    request_set(ring, 0, type, sector, at, bytes);
    go(ring, 0);
    return *(volatile uint8_t *)&statuses[0];
}

static uint8_t range_request(struct ring *ring, uint32_t type, uint64_t sector, uint32_t sectors)
{
    range_set(ring, 0, type, (struct skep_block_range){sector, sectors, 0});
    go(ring, 0);
    return statuses[0];
}

static bool all_are(const uint8_t *bytes, uint64_t count, uint8_t value)
{
    for (uint64_t i = 0; i < count; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

/* ---- set-up ---- */

static int64_t setup(uint32_t number, uint32_t size, uint64_t desc, uint64_t avail, uint64_t used,
                     uint32_t vcpu, uint32_t reserved)
{
    struct skep_queue_setup call = {number, size, desc, avail, used, vcpu, reserved};
    return skep_hc_queue_setup(&call);
}

static void setup_refused(void)
{
    uint64_t p = (uint64_t)map_pages(3), a = p + PAGE, u = p + 2 * PAGE;
    static const uint32_t sizes[] = {0, 1, 3, 255, 257, 512, 0x80000000, 0xffffffff};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        CHECK(setup(8, sizes[i], p, a, u, 0, 0) == -SKEP_EINVAL);
    for (uint32_t queue = 10; queue < 20;
         queue++) { /* there are two devices, and queues up to 15 */
        CHECK(setup(queue, 16, p, a, u, 0, 0) == -SKEP_ENODEV);
        CHECK(skep_hc_queue_kick(queue) < 0);
    }
    CHECK(setup(0xffffffff, 16, p, a, u, 0, 0) == -SKEP_ENODEV);
    CHECK(skep_hc_queue_kick(0xffffffff) < 0);
    CHECK(setup(0, 16, p, a, u, 0, 0) == -SKEP_ENODEV);
    CHECK(setup(8, 16, p + 8, a, u, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(8, 256, p, a, u + PAGE - 2048, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(8, 16, p, a, u, 2, 0) == -SKEP_EINVAL);
    CHECK(setup(8, 16, p, a, u, 0, 1) == -SKEP_EINVAL);
    CHECK(skep_hc_queue_kick(8) == 0); /* of a queue that isn't set up: nothing */
    CHECK(setup(8, 16, p, a, u, 0, 0) == 0);
    CHECK(setup(8, 16, p, a, u, 0, 0) == -SKEP_EBUSY);
}

/* Rings in ring 0's memory, in pages that the guest may only read, or nowhere. */
static uint64_t bad_ring(uint64_t which)
{
    switch (which) {
    case 0:
        return UPPER_HALF + 0x100000;
    case 1:
        return DIRECT_MAP + 0x100000;
    case 2:
        return 0;
    case 3:
        return (uint64_t)info;
    default:
        return info->stack_base - PAGE;
    }
}

static void setup_anywhere(void)
{
    uint64_t good = (uint64_t)map_pages(3), bad = bad_ring(argument(0) / 3), part = argument(0) % 3;
    setup(8, 16, part == 0 ? bad : good, part == 1 ? bad : good + PAGE,
          part == 2 ? bad : good + 2 * PAGE, 0, 0);
}

/* ---- chains that ring 0 must refuse ---- */

static void index_ahead(void)
{
    begin(RING_SIZE);
    atomic_store(&own.avail->index, RING_SIZE + 1);
    ring_kick(&own);
    finish(&own, 1);
}

static void index_behind(void)
{
    begin(RING_SIZE);
    atomic_store(&own.avail->index, 0xffff);
    ring_kick(&own);
    finish(&own, 1);
}

static void head_beyond(void)
{
    begin(RING_SIZE);
    go(&own, RING_SIZE);
}

static void head_far(void)
{
    begin(RING_SIZE);
    go(&own, 0xffff);
}

static void next_beyond(void)
{
    begin(RING_SIZE);
    ring_set(&own, 0, (uint64_t)headers, sizeof(*headers), NEXT, 0xfffe);
    go(&own, 0);
}

static void loop_to_itself(void)
{
    begin(RING_SIZE);
    ring_set(&own, 5, (uint64_t)headers, sizeof(*headers), NEXT, 5);
    go(&own, 5);
}

static void loop_of_empty_parts(void)
{
    begin(RING_SIZE);
    request_set(&own, 0, OUT, 0, data, BLOCK);
    ring_set(&own, 1, (uint64_t)data, 0, NEXT, 1);
    go(&own, 0);
}

static void chain_too_long(void)
{
    begin(RING_SIZE);
    request_set(&own, 0, OUT, 0, data, BLOCK);
    for (uint16_t i = 1; i < CHAIN_MAX; i++)
        ring_set(&own, i, (uint64_t)data, BLOCK, NEXT, i + 1);
    ring_set(&own, CHAIN_MAX, (uint64_t)statuses, 1, WRITE, 0);
    go(&own, 0);
}

/* A request whose part of data has this length and flags. */
__attribute__((always_inline)) static inline void odd(uint64_t address, uint32_t bytes,
                                                      uint16_t flags)
{
    begin(RING_SIZE);
    request_set(&own, 0, IN, 0, data, BLOCK);
    ring_set(&own, 1, address, bytes, flags, 2);
    go(&own, 0);
}

static void flags_indirect(void)
{
    odd((uint64_t)data, BLOCK, WRITE | NEXT | 4);
}

static void flags_unknown(void)
{
    odd((uint64_t)data, BLOCK, NEXT | 0x8000);
}

static void length_all(void)
{
    odd((uint64_t)data, 0xffffffff, WRITE | NEXT);
}

static void length_too_long(void)
{
    odd((uint64_t)data, SKEP_BLOCK_BYTES_MAX + SECTOR, WRITE | NEXT);
}

/* The sum of all parts, or of two of them in 32 bits, is small. */
static void lengths_overflow(void)
{
    begin(RING_SIZE);
    request_set(&own, 0, IN, 0, data, BLOCK);
    ring_set(&own, 1, (uint64_t)data, SECTOR, WRITE | NEXT, 3);
    ring_set(&own, 3, (uint64_t)data, 0xffffff00, WRITE | NEXT, 4);
    ring_set(&own, 4, (uint64_t)data, BLOCK, WRITE | NEXT, 2);
    go(&own, 0);
}

static void lengths_sum(void)
{
    begin(RING_SIZE);
    request_set(&own, 0, IN, 0, data, BLOCK);
    for (uint16_t i = 1; i < CHAIN_MAX - 1; i++)
        ring_set(&own, i, (uint64_t)data, SKEP_BLOCK_BYTES_MAX, WRITE | NEXT, i + 1);
    ring_set(&own, CHAIN_MAX - 1, (uint64_t)statuses, 1, WRITE, 0);
    go(&own, 0);
}

/* Header, data or status outside of the guest's half. */
static void address_bad(void)
{
    static const uint64_t places[] = {UPPER_HALF + 0x100000,
                                      DIRECT_MAP + 0x100000,
                                      NONCANONICAL,
                                      SKEP_GUEST_VA_MAX - 40,
                                      ~0ull - 40,
                                      0};
    uint64_t part = argument(0) / 6, place = places[argument(0) % 6];
    begin(RING_SIZE);
    request_set(&own, 0, IN, 0, data, BLOCK);
    place += part == 2 && place == SKEP_GUEST_VA_MAX - 40 ? 40 : 0; /* of one byte */
    own.desc[part].addr = place;
    if (part == 0 && place == SKEP_GUEST_VA_MAX - 40)
        own.desc[0].addr = place = SKEP_GUEST_VA_MAX - 8;
    print("address 0x%x\n", place);
    go(&own, 0);
}

/* ---- chains that aren't header, data and status as the type wants them ---- */

static void form(uint16_t index, uint32_t bytes, uint16_t flags)
{
    own.desc[index].len = bytes;
    own.desc[index].flags = flags;
}

static void form_make(uint64_t which)
{
    request_set(&own, 0, OUT, 0, data, BLOCK);
    switch (which) {
    case 0: /* nothing but a header */
        form(0, sizeof(*headers), 0);
        break;
    case 1:
        form(0, sizeof(*headers) - 1, NEXT);
        break;
    case 2:
        form(0, sizeof(*headers) + 1, NEXT);
        break;
    case 3: /* nothing to be read */
        form(0, sizeof(*headers), WRITE | NEXT);
        form(1, BLOCK, WRITE | NEXT);
        break;
    case 4: /* nothing to be written */
        form(2, 1, 0);
        break;
    case 5:
        form(2, 2, WRITE);
        break;
    case 6:
        form(2, 0, WRITE);
        break;
    case 7: /* a write's data are to be written */
        form(1, BLOCK, WRITE | NEXT);
        break;
    case 8: /* a read's are to be read */
        headers[0].type = IN;
        break;
    case 9: /* data of both kinds */
        form(1, BLOCK, NEXT);
        ring_set(&own, 1, (uint64_t)data, BLOCK, NEXT, 3);
        ring_set(&own, 3, (uint64_t)data, BLOCK, WRITE | NEXT, 2);
        break;
    case 10:
        headers[0].type = FLUSH;
        break;
    case 11: /* a range that is too short, or long, or writable, or none */
        headers[0].type = DISCARD;
        form(1, sizeof(*ranges) - 1, NEXT);
        break;
    case 12:
        headers[0].type = ZEROES;
        form(1, 2 * sizeof(*ranges), NEXT);
        break;
    case 13:
        headers[0].type = DISCARD;
        form(1, sizeof(*ranges), WRITE | NEXT);
        break;
    default:
        headers[0].type = DISCARD;
        own.desc[0].next = 2;
        break;
    }
}

static void form_bad(void)
{
    begin(RING_SIZE);
    form_make(argument(0));
    go(&own, 0);
}

/* What may be read behind what may be written. */
static void order_bad(void)
{
    begin(RING_SIZE);
    request_set(&own, 0, IN, 0, data, BLOCK);
    ring_set(&own, 1, (uint64_t)data, BLOCK, WRITE | NEXT, 3);
    ring_set(&own, 3, (uint64_t)data, BLOCK, NEXT, 2);
    go(&own, 0);
}

/* ---- memory that the guest doesn't have, or may not write ---- */

enum { UNREADABLE = 3, UNWRITABLE = 6 };

/* A page with nothing behind it. */
static uint64_t lonely_page(void)
{
    uint64_t page = info->heap_base + info->heap_bytes - 16 * PAGE;
    CHECK(skep_hc_mem_map(page, PAGE, 3) == (int64_t)page);
    return page;
}

/* The first UNREADABLE can't even be read. */
static uint64_t place(uint64_t which)
{
    uint64_t page = lonely_page();
    switch (which) {
    case 0:
        page += PAGE;
        break;
    case 1:
        page = info->stack_base - PAGE;
        break;
    case 2:
        CHECK(skep_hc_mem_protect(page, PAGE, SKEP_PROT_NONE) == 0);
        break;
    case 3:
        CHECK(skep_hc_mem_protect(page, PAGE, SKEP_PROT_READ) == 0);
        break;
    case 4:
        page = (uint64_t)info;
        break;
    default:
        page = (uint64_t)place & ~(PAGE - 1); /* the image */
        break;
    }
    print("address 0x%x\n", page);
    return page;
}

__attribute__((always_inline)) static inline void into(uint16_t part, uint32_t type,
                                                       uint64_t sector)
{
    begin(RING_SIZE);
    if (type == DISCARD)
        range_set(&own, 0, type, (struct skep_block_range){0, CHUNK_SECTORS, 0});
    else
        request_set(&own, 0, type, sector, data, BLOCK);
    own.desc[part].addr = place(argument(0));
    go(&own, 0);
}

static void header_nowhere(void)
{
    into(0, OUT, 0);
}

static void range_nowhere(void)
{
    into(1, DISCARD, 0);
}

static void write_from_nowhere(void)
{
    into(1, OUT, 0);
}

/* Into the last block, which is nowhere yet. */
static void write_fresh_from_nowhere(void)
{
    into(1, OUT, sectors_of(0) - BLOCK_SECTORS);
}

static void read_to_anywhere(void)
{
    into(1, IN, 0);
}

static void read_hole_to_anywhere(void)
{
    into(1, IN, sectors_of(0) - BLOCK_SECTORS);
}

static void status_anywhere(void)
{
    into(2, IN, 0);
}

/* Only the last of its pages isn't there. */
static void read_past_the_end(void)
{
    begin(RING_SIZE);
    uint64_t page = lonely_page();
    print("address 0x%x\n", page + PAGE);
    request(&own, IN, 0, (void *)(page + PAGE - SECTOR), BLOCK);
}

static void write_past_the_end(void)
{
    begin(RING_SIZE);
    uint64_t page = lonely_page();
    print("address 0x%x\n", page + PAGE);
    request(&own, OUT, 0, (void *)(page + PAGE - SECTOR), BLOCK);
}

/* Ring 0 writes where it was told: data over rings, vCPU page, header and status are the guest's own to spoil. */
static void read_over_itself(void)
{
    begin(RING_SIZE);
    memset(data, UNANSWERED, CHUNK);
    request_set(&own, 0, IN, 0, data, BLOCK);
    own.desc[2].addr = (uint64_t)data + 100;
    go(&own, 0);
    CHECK(data[100] == SKEP_BLOCK_S_OK && !all_are(data, 100, UNANSWERED));
    CHECK(request(&own, IN, 0, vcpu_page(1), BLOCK) == SKEP_BLOCK_S_OK);
    static uint8_t page[3 * PAGE] __attribute__((aligned(PAGE)));
    CHECK(request(&own, IN, 0, page + 77, BLOCK) == SKEP_BLOCK_S_OK);
    request_set(&own, 0, IN, 0, headers, sizeof(headers) / BLOCK * BLOCK);
    go(&own, 0);
    request_set(&own, 0, IN, 0, own.desc, BLOCK);
    go(&own, 0);
}

/* ---- beyond the volume ---- */

static void sectors_refused(struct ring *ring, uint64_t sector)
{
    CHECK(request(ring, IN, sector, data, BLOCK) == SKEP_BLOCK_S_IOERR);
    CHECK(request(ring, OUT, sector, data, BLOCK) == SKEP_BLOCK_S_IOERR);
    CHECK(range_request(ring, DISCARD, sector, BLOCK_SECTORS) == SKEP_BLOCK_S_IOERR);
    CHECK(range_request(ring, ZEROES, sector, BLOCK_SECTORS) == SKEP_BLOCK_S_IOERR);
}

static void sectors_beyond(void)
{
    begin(RING_SIZE);
    begin_shared();
    uint64_t end = sectors_of(0);
    const uint64_t beyond[] = {
        end - 1,          end - 7,          end,        end + 1,   1ull << 32,
        1ull << 55,       (1ull << 55) + 8, 1ull << 56, ~0ull,     ~0ull - 7,
        (1ull << 55) - 8, ~0ull / SECTOR,   1ull << 63, ~0ull >> 1};
    memset(data, 0x77, CHUNK);
    for (unsigned i = 0; i < sizeof(beyond) / sizeof(*beyond); i++) {
        sectors_refused(&own, beyond[i]);
        CHECK(request(&shared, IN, beyond[i], data, BLOCK) == SKEP_BLOCK_S_IOERR);
    }
    /* What the clone has and its origin doesn't. */
    CHECK(request(&shared, IN, sectors_of(1), data, SECTOR) == SKEP_BLOCK_S_IOERR);
    CHECK(range_request(&own, ZEROES, 8, 0xffffffff) == SKEP_BLOCK_S_IOERR);
    CHECK(range_request(&own, DISCARD, 0, (uint32_t)end + 1) == SKEP_BLOCK_S_IOERR);
    CHECK(range_request(&own, DISCARD, 0, 0) == SKEP_BLOCK_S_IOERR);
    CHECK(request(&own, IN, 0, data, 0) == SKEP_BLOCK_S_IOERR);
    CHECK(request(&own, IN, 0, data, SECTOR - 1) == SKEP_BLOCK_S_IOERR);
}

/* The last chunk ends with the volume, not where it ends on the disk. */
static void last_chunk(void)
{
    begin(RING_SIZE);
    uint64_t last = sectors_of(0) - BLOCK_SECTORS;
    memset(data, 0x4c, CHUNK);
    CHECK(request(&own, OUT, last, data, 2 * BLOCK) == SKEP_BLOCK_S_IOERR);
    CHECK(request(&own, OUT, last, data, BLOCK) == SKEP_BLOCK_S_OK);
    CHECK(request(&own, IN, last + 1, data, BLOCK) == SKEP_BLOCK_S_IOERR);
    CHECK(request(&own, IN, last, data + BLOCK, 2 * BLOCK) == SKEP_BLOCK_S_IOERR);
    CHECK(request(&own, IN, last, data + BLOCK, BLOCK) == SKEP_BLOCK_S_OK);
    CHECK(all_are(data, 2 * BLOCK, 0x4c));
    CHECK(range_request(&own, ZEROES, last, BLOCK_SECTORS) == SKEP_BLOCK_S_OK);
    CHECK(request(&own, IN, last, data, BLOCK) == SKEP_BLOCK_S_OK);
    CHECK(all_are(data, BLOCK, 0));
}

static void types_unknown(void)
{
    static const uint32_t types[] = {2, 3, 5, 6, 7, 8, 10, 12, 14, 15, 0x80000000, 0xffffffff};
    begin(RING_SIZE);
    for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++)
        CHECK(request(&own, types[i], 0, data, BLOCK) == SKEP_BLOCK_S_UNSUPP);
    for (uint32_t flags = 1; flags; flags <<= 1) {
        range_set(&own, 0, ZEROES, (struct skep_block_range){0, CHUNK_SECTORS, flags});
        go(&own, 0);
        CHECK(statuses[0] == SKEP_BLOCK_S_UNSUPP);
    }
}

/* ---- what is others' ---- */

/* Of device 1 everything is read, before and after. */
static uint64_t shared_sum(void)
{
    uint64_t sum = 0;
    for (uint64_t sector = 0; sector < sectors_of(1); sector += CHUNK_SECTORS) {
        CHECK(request(&shared, IN, sector, data, CHUNK) == SKEP_BLOCK_S_OK);
        for (unsigned i = 0; i < CHUNK / 8; i++)
            sum = (sum ^ ((uint64_t *)data)[i]) * 0x9e3779b97f4a7c15ull;
    }
    return sum;
}

static void read_only(void)
{
    begin(RING_SIZE);
    begin_shared();
    uint64_t before = shared_sum();
    memset(data, 0x66, CHUNK);
    for (uint64_t sector = 0; sector < sectors_of(1); sector += CHUNK_SECTORS) {
        CHECK(request(&shared, OUT, sector, data, CHUNK) == SKEP_BLOCK_S_IOERR);
        CHECK(request(&shared, OUT, sector + 8, data, BLOCK) == SKEP_BLOCK_S_IOERR);
        CHECK(range_request(&shared, ZEROES, sector, CHUNK_SECTORS) == SKEP_BLOCK_S_IOERR);
        CHECK(range_request(&shared, DISCARD, sector, CHUNK_SECTORS) == SKEP_BLOCK_S_IOERR);
    }
    CHECK(request(&shared, FLUSH, 0, NULL, 0) == SKEP_BLOCK_S_OK);
    CHECK(shared_sum() == before);
}

/* Each chunk of the clone is changed: in part, as a whole, by zeroes, or given back. */
static void copies_on_write(void)
{
    begin(RING_SIZE);
    begin_shared();
    uint64_t before = shared_sum();
    static uint8_t old[CHUNK];
    for (uint64_t sector = 0; sector < sectors_of(1); sector += CHUNK_SECTORS) {
        uint64_t kind = sector / CHUNK_SECTORS % 4;
        CHECK(request(&own, IN, sector, old, CHUNK) == SKEP_BLOCK_S_OK);
        memset(data, 0x33, CHUNK);
        memset(old + 2 * BLOCK, kind < 2 ? 0x33 : 0, BLOCK);
        if (kind == 0)
            CHECK(request(&own, OUT, sector + 16, data, BLOCK) == SKEP_BLOCK_S_OK);
        else if (kind == 1)
            CHECK(request(&own, OUT, sector, old, CHUNK) == SKEP_BLOCK_S_OK);
        else if (kind == 2)
            CHECK(range_request(&own, ZEROES, sector + 16, BLOCK_SECTORS) == SKEP_BLOCK_S_OK);
        else
            CHECK(range_request(&own, DISCARD, sector, CHUNK_SECTORS) == SKEP_BLOCK_S_OK);
        if (kind == 3)
            memset(old, 0, CHUNK);
        CHECK(request(&own, IN, sector, data, CHUNK) == SKEP_BLOCK_S_OK);
        CHECK(memcmp(data, old, CHUNK) == 0);
    }
    CHECK(request(&own, FLUSH, 0, NULL, 0) == SKEP_BLOCK_S_OK);
    CHECK(shared_sum() == before);
}

/* Leaves the volume full of something, for those who come after it. */
static void leave_behind(void)
{
    begin(RING_SIZE);
    memset(data, 0xd1, CHUNK);
    for (uint64_t sector = 0; sector < sectors_of(0); sector += CHUNK_SECTORS) {
        uint64_t left = (sectors_of(0) - sector) * SECTOR;
        uint32_t bytes = left < CHUNK ? (uint32_t)left : CHUNK;
        CHECK(request(&own, OUT, sector, data, bytes) == SKEP_BLOCK_S_OK);
    }
    CHECK(request(&own, FLUSH, 0, NULL, 0) == SKEP_BLOCK_S_OK);
}

/* Behind the origin's end nothing was ever written to this volume. A part of a chunk is written: what of it isn't, is
 * zero and stays so; nor does the memory that the disk was to fill keep what was in it. */
static void read_left_behind(void)
{
    begin(RING_SIZE);
    uint64_t sector = sectors_of(1);
    for (; sector + CHUNK_SECTORS <= sectors_of(0); sector += CHUNK_SECTORS) {
        memset(data, 0x55, CHUNK);
        CHECK(request(&own, IN, sector, data, CHUNK) == SKEP_BLOCK_S_OK);
        CHECK(all_are(data, CHUNK, 0));
        memset(data, 0x55, BLOCK);
        CHECK(request(&own, OUT, sector + 40, data, BLOCK) == SKEP_BLOCK_S_OK);
        CHECK(request(&own, IN, sector, data, CHUNK) == SKEP_BLOCK_S_OK);
        CHECK(all_are(data, 5 * BLOCK, 0) && all_are(data + 5 * BLOCK, BLOCK, 0x55));
        CHECK(all_are(data + 6 * BLOCK, CHUNK - 6 * BLOCK, 0));
    }
    CHECK(request(&own, IN, sector, data, BLOCK) == SKEP_BLOCK_S_OK && all_are(data, BLOCK, 0));
}

/* What was given back and comes again is zero, whether the change was made durable or not. */
static void discard_and_read(void)
{
    begin(RING_SIZE);
    for (unsigned round = 0; round < 100; round++) {
        uint64_t sector = round % 40 * CHUNK_SECTORS;
        memset(data, 0xd1, CHUNK);
        CHECK(request(&own, OUT, sector, data, CHUNK) == SKEP_BLOCK_S_OK);
        CHECK(range_request(&own, DISCARD, sector, CHUNK_SECTORS) == SKEP_BLOCK_S_OK);
        if (round % 3 == 0)
            CHECK(request(&own, FLUSH, 0, NULL, 0) == SKEP_BLOCK_S_OK);
        CHECK(request(&own, OUT, sector, data, SECTOR) == SKEP_BLOCK_S_OK);
        CHECK(request(&own, IN, sector, data, CHUNK) == SKEP_BLOCK_S_OK);
        CHECK(all_are(data, SECTOR, 0xd1) && all_are(data + SECTOR, CHUNK - SECTOR, 0));
    }
}

/* ---- many ---- */

/* One chain is offered as often as the ring is long, which is more than there are slots. */
static void one_head_many_times(void)
{
    begin(LARGE);
    request_set(&own, 1, IN, 0, data, BLOCK);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < LARGE; i++)
            ring_offer(&own, 3);
        CHECK(ring_kick(&own) == 0);
        finish(&own, LARGE);
        for (unsigned i = 0; i < LARGE; i++)
            CHECK(own.used->ring[i].id == 3 && own.used->ring[i].len == BLOCK + 1);
    }
    CHECK(statuses[1] == SKEP_BLOCK_S_OK);
}

/* As many pins of one page as a device can have at once. */
static void pins(void)
{
    begin(RING_SIZE);
    bool write = argument(0) % 2;
    uint64_t page = write ? (uint64_t)pins & ~(PAGE - 1) : (uint64_t)data;
    request_set(&own, 0, write ? OUT : IN, 0, data, BLOCK);
    for (uint16_t i = 1; i < CHAIN_MAX - 1; i++)
        ring_set(&own, i, page, BLOCK, NEXT | (write ? 0 : WRITE), i + 1);
    ring_set(&own, CHAIN_MAX - 1, (uint64_t)statuses, 1, WRITE, 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < RING_SIZE; i++)
            ring_offer(&own, 0);
        CHECK(ring_kick(&own) == 0);
        finish(&own, RING_SIZE);
        CHECK(statuses[0] == SKEP_BLOCK_S_OK);
    }
}

/* Blocks in more pieces than a disk's request may have: each part lies in two pages, the second of which was supplied
 * long after the first, so that they don't lie together. */
static void pieces(void)
{
    begin(RING_SIZE);
    uint32_t block = info->block[0].block_bytes, parts = CHAIN_MAX - 2, part = BLOCK / parts;
    uint8_t *pages = map_pages(2 * parts);
    uint64_t last = sectors_of(0) - BLOCK_SECTORS;
    for (uint32_t i = 0; i < 2 * parts; i++)
        pages[(2 * i % (2 * parts) + i / parts) * PAGE] = 1;
    for (unsigned i = 0; i < BLOCK; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    CHECK(request(&own, OUT, last, data, BLOCK) == SKEP_BLOCK_S_OK);
    for (unsigned times = 0; times < 2; times++, part = SECTOR / parts) {
        request_set(&own, 0, IN, last, data, BLOCK);
        for (uint32_t i = 0; i < parts; i++)
            ring_set(&own, (uint16_t)(i + 1), (uint64_t)pages + (2 * i + 1) * PAGE - part / 2, part,
                     WRITE | NEXT, (uint16_t)(i + 2));
        ring_set(&own, CHAIN_MAX - 1, (uint64_t)statuses, 1, WRITE, 0);
        go(&own, 0);
        bool possible = part > SECTOR / parts && block == SECTOR;
        CHECK(statuses[0] == (possible ? SKEP_BLOCK_S_OK : SKEP_BLOCK_S_IOERR));
        for (unsigned i = 0; i < parts * part && possible; i++)
            CHECK(pages[(2 * (i / part) + 1) * PAGE - part / 2 + i % part] == data[i]);
    }
}

/* Anything, in any number: each is answered once. */
static void storm_make(uint16_t n, uint64_t *seed)
{
    static const uint32_t types[] = {IN, OUT, OUT, FLUSH, DISCARD, ZEROES, 9, IN};
    uint64_t r = random_next(seed), end = sectors_of(0) + BLOCK_SECTORS;
    uint32_t type = types[r % 8], bytes = (uint32_t)(1 + (r >> 8) % (CHUNK / BLOCK)) * BLOCK;
    uint64_t sector = (r >> 16) % end / BLOCK_SECTORS * BLOCK_SECTORS;
    if (type == DISCARD || type == ZEROES)
        range_set(&own, n, type,
                  (struct skep_block_range){sector, (uint32_t)(r >> 40) % (uint32_t)end, 0});
    else
        request_set(&own, n, type, sector, data, type == FLUSH ? 0 : bytes);
}

static void storm(void)
{
    uint64_t seed = argument(0) * 7919 + 1;
    begin(LARGE);
    uint16_t many = LARGE / 3;
    for (uint64_t i = 0; i < argument(1); i += many) {
        for (uint16_t n = 0; n < many; n++) {
            storm_make(n, &seed);
            ring_offer(&own, 3 * n);
            if (n % 8 == 7)
                CHECK(ring_kick(&own) == 0);
        }
        CHECK(ring_kick(&own) == 0);
        finish(&own, many);
        for (uint16_t n = 0; n < many; n++)
            CHECK(statuses[n] <= SKEP_BLOCK_S_UNSUPP);
    }
}

/* ---- while it is read ---- */

static volatile bool enough;

/* The header turns between a sector of the volume and others' sectors, a read and a write and nothing that there is. */
static _Noreturn void header_flip(uint64_t unused)
{
    static const uint64_t sectors[] = {0, 1ull << 55, 8, ~0ull, 16, 1ull << 20};
    static const uint32_t types[] = {IN, OUT, IN, DISCARD, IN, 9, FLUSH};
    for (unsigned i = 0;; i++) {
        *(volatile uint64_t *)&headers[0].sector = sectors[i % 6];
        if (enough)
            *(volatile uint32_t *)&headers[0].type = types[i % 7];
    }
}

/* What was read is from a sector that could be read: blocks 0 to 2 have different bytes. */
static void header_changes(void)
{
    begin(RING_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        memset(data, 0x10 + i, BLOCK);
        CHECK(request(&own, OUT, i * BLOCK_SECTORS, data, BLOCK) == SKEP_BLOCK_S_OK);
    }
    CHECK(vcpu_run(1, header_flip, 0) == 0);
    unsigned good = 0, bad = 0;
    for (unsigned i = 0; i < 20000 && (i < 2000 || good < 20 || bad < 20); i++) {
        memset(data, UNANSWERED, BLOCK);
        statuses[0] = UNANSWERED;
        request_set(&own, 0, IN, 0, data, BLOCK);
        go(&own, 0);
        uint8_t status = *(volatile uint8_t *)&statuses[0];
        CHECK(status == SKEP_BLOCK_S_OK || status == SKEP_BLOCK_S_IOERR);
        uint8_t first = status == SKEP_BLOCK_S_OK ? data[0] : UNANSWERED;
        CHECK(first == UNANSWERED || (first >= 0x10 && first < 0x13));
        CHECK(all_are(data, BLOCK, first));
        good += status == SKEP_BLOCK_S_OK;
        bad += status == SKEP_BLOCK_S_IOERR;
    }
    CHECK(good >= 20 && bad >= 20);
}

/* The type as well: its form may then be wrong. */
static void type_changes(void)
{
    begin(RING_SIZE);
    enough = true;
    CHECK(vcpu_run(1, header_flip, 0) == 0);
    for (unsigned i = 0; i < 20000; i++)
        request(&own, IN, 0, data, BLOCK);
}

/* Descriptors, headers, ranges and the available ring change without pause; whatever ring 0 read, it takes or refuses. */
static _Noreturn void spoil(uint64_t seed)
{
    for (;;) {
        uint64_t r = random_next(&seed);
        volatile uint64_t *desc = (volatile uint64_t *)&own.desc[r % 12];
        uint64_t rest = desc[1];
        desc[1] = r >> 59 ? rest : r >> 20;
        desc[0] = r >> 60 ? (uint64_t)data + r % BLOCK : r;
        ((volatile uint64_t *)headers)[r >> 8 & 7] = r >> 30 & 15;
        ((volatile uint64_t *)ranges)[r >> 12 & 7] = r >> 34 & 0xff;
        if (!(r >> 56 & 63))
            own.avail->ring[r % RING_SIZE] = (uint16_t)(r >> 40);
    }
}

static void ring_changes(void)
{
    uint64_t seed = argument(0) * 7919 + 1;
    begin(RING_SIZE);
    for (uint16_t n = 0; n < 4; n++)
        request_set(&own, n, n % 2 ? OUT : IN, n * BLOCK_SECTORS, data, BLOCK);
    CHECK(vcpu_run(1, spoil, seed) == 0);
    for (unsigned i = 0; i < argument(1); i++) {
        uint16_t n = i % 4;
        request_set(&own, n, n % 2 ? OUT : IN, n * BLOCK_SECTORS, data, BLOCK);
        go(&own, 3 * n);
    }
}

/* ---- under way ---- */

/* Pages are gone, and others at their addresses, while the disk reads and writes the first ones. */
static void unmap_under_way(void)
{
    begin(RING_SIZE);
    for (unsigned i = 0; i < 600; i++) {
        uint8_t *page = map_pages(1);
        memset(page, 0xd1, PAGE);
        uint64_t sector = i % 48 * CHUNK_SECTORS + i % 16 * BLOCK_SECTORS;
        request_set(&own, 0, i % 3 ? IN : OUT, sector, page, BLOCK);
        ring_offer(&own, 0);
        CHECK(ring_kick(&own) == 0);
        CHECK(skep_hc_mem_unmap((uint64_t)page, PAGE) == 0);
        CHECK(skep_hc_mem_map((uint64_t)page, PAGE, 3) == (int64_t)page);
        CHECK(all_are(page, PAGE, 0));
        bool done = atomic_load(&own.used->index) != own.taken;
        finish(&own, 1);
        /* What had not begun may still take place, with the page that is there now. */
        CHECK(statuses[0] == SKEP_BLOCK_S_OK && (!done || all_are(page, PAGE, 0)));
        CHECK(skep_hc_mem_unmap((uint64_t)page, PAGE) == 0);
    }
}

/* More requests than slots: copies of shared chunks, first writes, reads, flushes, discards. */
static void fill_the_disk(void)
{
    uint8_t *pages = map_pages(RING_SIZE);
    uint64_t chunks = sectors_of(1) / CHUNK_SECTORS, seed = argument(0) + 1;
    begin(LARGE);
    for (uint16_t n = 0; n < RING_SIZE; n++) {
        uint64_t sector = n % (2 * chunks) * CHUNK_SECTORS + BLOCK_SECTORS;
        uint64_t kind = random_next(&seed) >> 8;
        if (kind % 8 == 7)
            range_set(&own, n, DISCARD,
                      (struct skep_block_range){sector - BLOCK_SECTORS, CHUNK_SECTORS, 0});
        else if (kind % 8 == 6)
            request_set(&own, n, FLUSH, 0, NULL, 0);
        else
            request_set(&own, n, kind % 8 < 4 ? OUT : IN, sector, pages + n * PAGE, BLOCK);
        ring_offer(&own, 3 * n);
    }
    CHECK(ring_kick(&own) == 0);
}

static void exit_under_way(void)
{
    fill_the_disk();
}

static void exit_later(void)
{
    fill_the_disk();
    uint16_t wanted = (uint16_t)(argument(0) * 8);
    while (atomic_load(&own.used->index) < wanted)
        skep_hc_yield();
}

static void crash_under_way(void)
{
    fill_the_disk();
    __asm__ volatile("ud2");
}

/* Breaks the ring's rules while the disk has requests of it. */
static void break_under_way(void)
{
    fill_the_disk();
    ring_offer(&own, LARGE);
    ring_kick(&own);
    for (;;)
        skep_hc_yield();
}

/* Rings that are unmapped while they are in use stay ring 0's to use, and harm nobody. */
static void unmap_rings(void)
{
    fill_the_disk();
    CHECK(skep_hc_mem_unmap((uint64_t)own.desc, 3 * PAGE) == 0);
    uint8_t *fresh = map_pages(6);
    CHECK(all_are(fresh, 6 * PAGE, 0));
    for (unsigned i = 0; i < 100; i++)
        CHECK(skep_hc_queue_kick(own.number) == 0);
    skep_hc_wait((uint64_t)skep_hc_clock_read() + 50000000);
    CHECK(all_are(fresh, 6 * PAGE, 0));
}

const struct attack attacks[] = {
    {"leave-behind", leave_behind, "8x exit"},
    {"read-left-behind", read_left_behind, "8x exit"},
    {"setup-refused", setup_refused, "exit"},
    {"setup-anywhere", setup_anywhere, "15x bad-hypercall error=15"},
    {"index-ahead", index_ahead, "bad-ring error=1 address=65"},
    {"index-behind", index_behind, "bad-ring error=1 address=65535"},
    {"head-beyond", head_beyond, "bad-ring error=2 address=64"},
    {"head-far", head_far, "bad-ring error=2 address=65535"},
    {"next-beyond", next_beyond, "bad-ring error=3 address=0xfffe"},
    {"loop-to-itself", loop_to_itself, "bad-ring error=4 address=5"},
    {"loop-of-empty-parts", loop_of_empty_parts, "bad-ring error=4 address=0"},
    {"chain-too-long", chain_too_long, "bad-ring error=4 address=0"},
    {"flags-indirect", flags_indirect, "bad-ring error=5 address=7"},
    {"flags-unknown", flags_unknown, "bad-ring error=5 address=0x8001"},
    {"length-all", length_all, "bad-ring error=6 address=0xffffffff"},
    {"length-too-long", length_too_long, "bad-ring error=6 address=0x100200"},
    {"lengths-overflow", lengths_overflow, "bad-ring error=6 address=0xffffff00"},
    {"lengths-sum", lengths_sum, "bad-ring error=6 address=0x2000000"},
    {"address-bad", address_bad, "18x bad-ring error=7 address=said"},
    {"form-bad", form_bad, "15x bad-ring error=9 address=0"},
    {"order-bad", order_bad, "bad-ring error=5 address=1"},
    {"header-nowhere", header_nowhere, "3x bad-ring error=8 address=said"},
    {"range-nowhere", range_nowhere, "3x bad-ring error=8 address=said"},
    {"write-from-nowhere", write_from_nowhere, "3x bad-ring error=8 address=said"},
    {"write-fresh-from-nowhere", write_fresh_from_nowhere, "3x bad-ring error=8 address=said"},
    {"read-to-anywhere", read_to_anywhere, "6x bad-ring error=8 address=said"},
    {"read-hole-to-anywhere", read_hole_to_anywhere, "6x bad-ring error=8 address=said"},
    {"status-anywhere", status_anywhere, "6x bad-ring error=8 address=said"},
    {"read-past-the-end", read_past_the_end, "bad-ring error=8 address=said"},
    {"write-past-the-end", write_past_the_end, "bad-ring error=8 address=said"},
    {"read-over-itself", read_over_itself, "exit"},
    {"sectors-beyond", sectors_beyond, "exit"},
    {"last-chunk", last_chunk, "exit"},
    {"types-unknown", types_unknown, "exit"},
    {"read-only", read_only, "exit"},
    {"copies-on-write", copies_on_write, "exit"},
    {"discard-and-read", discard_and_read, "exit"},
    {"one-head-many-times", one_head_many_times, "exit"},
    {"pins", pins, "8x exit"},
    {"pieces", pieces, "exit"},
    {"storm", storm, "6x random=3000 exit"},
    {"header-changes", header_changes, "exit"},
    {"type-changes", type_changes, "bad-ring error=9 lost | exit"},
    {"ring-changes", ring_changes, "6x random=3000 bad-ring lost | exit"},
    {"unmap-under-way", unmap_under_way, "exit"},
    {"exit-under-way", exit_under_way, "4x exit"},
    {"exit-later", exit_later, "4x exit"},
    {"crash-under-way", crash_under_way, "4x invalid-opcode"},
    {"break-under-way", break_under_way, "4x bad-ring error=2 address=256"},
    {"unmap-rings", unmap_rings, "exit"},
};
ATTACK_COUNT;
