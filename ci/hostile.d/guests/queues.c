/*
 * queues.c - virtqueues that break their rules: loops, indexes and lengths out of range, addresses of others, rings and
 * frames that change while they are read, memory that is gone before the card has sent it.
 *
 * guest: memory=4 vcpus=2 network
 */
#include "net.h"

#define WRITE SKEP_VRING_DESC_WRITE
#define NEXT  SKEP_VRING_DESC_NEXT

static struct ring tx, rx;
static struct packet packet;

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
    static const uint32_t sizes[] = {0, 1, 3, 100, 255, 257, 512, 0x10000, 0x80000000, 0xffffffff};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        CHECK(setup(1, sizes[i], p, a, u, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(4, 16, p, a, u, 0, 0) == -SKEP_ENODEV);
    CHECK(setup(8, 16, p, a, u, 0, 0) == -SKEP_ENODEV);
    CHECK(setup(0xffffffff, 16, p, a, u, 0, 0) == -SKEP_ENODEV);
    CHECK(setup(1, 16, p + 8, a, u, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 16, p, a + 1, u, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 16, p, a, u + 2, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 256, p + 16, a, u, 0, 0) == -SKEP_EINVAL); /* each must lie within one page */
    CHECK(setup(1, 256, p, a + PAGE - 500, u, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 256, p, a, u + PAGE - 2048, 0, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 16, p, a, u, 2, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 16, p, a, u, 0xffffffff, 0) == -SKEP_EINVAL);
    CHECK(setup(1, 16, p, a, u, 0, 1) == -SKEP_EINVAL);
    CHECK(skep_hc_queue_kick(1) == 0); /* of a queue that isn't set up: nothing */
    CHECK(setup(1, 16, p, a, u, 0, 0) == 0);
    CHECK(setup(1, 16, p, a, u, 0, 0) == -SKEP_EBUSY);
}

/* Rings in ring 0's memory, in pages that the guest may only read, or nowhere. */
static const uint64_t *bad_places(void)
{
    static uint64_t places[9];
    uint64_t page = (uint64_t)map_pages(1);
    places[0] = UPPER_HALF + 0x100000;
    places[1] = DIRECT_MAP + 0x100000;
    places[2] = NONCANONICAL;
    places[3] = SKEP_GUEST_VA_MAX;
    places[4] = 0;
    places[5] = page + PAGE;
    places[6] = (uint64_t)info;
    places[7] = (uint64_t)bad_places & ~(PAGE - 1);
    places[8] = info->stack_base - PAGE;
    return places;
}

static void setup_anywhere(uint32_t part)
{
    uint64_t parts[3], good = (uint64_t)map_pages(3);
    for (uint32_t i = 0; i < 3; i++)
        parts[i] = i == part ? bad_places()[argument(0)] : good + i * PAGE;
    setup(1, 16, parts[0], parts[1], parts[2], 0, 0);
}

static void setup_desc_anywhere(void)
{
    setup_anywhere(0);
}

static void setup_avail_anywhere(void)
{
    setup_anywhere(1);
}

static void setup_used_anywhere(void)
{
    setup_anywhere(2);
}

/* All parts in one page, over one another, and over the vCPU's page: the guest spoils its own memory only. */
static void setup_overlapping(void)
{
    uint64_t page = (uint64_t)map_pages(1);
    CHECK(setup(1, 16, page, page, page, 0, 0) == 0);
    CHECK(setup(3, 16, (uint64_t)vcpu_page(1) + 1024, (uint64_t)vcpu_page(1) + 1024,
                (uint64_t)vcpu_page(1), 1, 0) == 0);
    for (unsigned i = 0; i < 1000; i++) {
        skep_hc_queue_kick(1);
        skep_hc_queue_kick(3);
    }
}

/* ---- chains; each is one that ring 0 must refuse ---- */

__attribute__((always_inline)) static inline void offer(uint16_t head)
{
    ring_offer(&tx, head);
    ring_kick(&tx);
}

__attribute__((always_inline)) static inline void one(uint64_t address, uint32_t bytes,
                                                      uint16_t flags, uint16_t next)
{
    net_start(&tx, &rx);
    ring_set(&tx, 0, address, bytes, flags, next);
    offer(0);
}

static void index_ahead(void)
{
    net_start(&tx, &rx);
    atomic_store(&tx.avail->index, RING_SIZE + 1);
    ring_kick(&tx);
}

static void index_behind(void)
{
    net_start(&tx, &rx);
    atomic_store(&tx.avail->index, 0xffff);
    ring_kick(&tx);
}

static void head_beyond(void)
{
    net_start(&tx, &rx);
    offer(RING_SIZE);
}

static void head_far(void)
{
    net_start(&tx, &rx);
    offer(0xffff);
}

static void next_beyond(void)
{
    one((uint64_t)&packet, 8, NEXT, RING_SIZE);
}

static void next_far(void)
{
    one((uint64_t)&packet, 8, NEXT, 0xfffe);
}

static void loop_to_itself(void)
{
    one((uint64_t)&packet, 8, NEXT, 0);
}

static void loop_of_empty_parts(void)
{
    one((uint64_t)&packet, 0, NEXT, 0);
}

static void loop_of_two(void)
{
    net_start(&tx, &rx);
    ring_set(&tx, 0, (uint64_t)&packet, 1, NEXT, 1);
    ring_set(&tx, 1, (uint64_t)&packet, 1, NEXT, 0);
    offer(0);
}

static void chain_too_long(void)
{
    net_start(&tx, &rx);
    for (uint16_t i = 0; i < 17; i++)
        ring_set(&tx, i, (uint64_t)&packet, 4, i < 16 ? NEXT : 0, i + 1);
    offer(0);
}

static void flags_write(void)
{
    one((uint64_t)&packet, 80, WRITE, 0);
}

static void flags_indirect(void)
{
    one((uint64_t)&packet, 80, 4, 0);
}

static void flags_unknown(void)
{
    one((uint64_t)&packet, 80, 0x8000, 0);
}

static void length_all(void)
{
    one((uint64_t)&packet, 0xffffffff, 0, 0);
}

static void length_too_long(void)
{
    one((uint64_t)&packet, 64 * 1024 + 1, 0, 0);
}

/* The sum of both is small in 32 bits. */
static void lengths_overflow(void)
{
    net_start(&tx, &rx);
    ring_set(&tx, 0, (uint64_t)&packet, 100, NEXT, 1);
    ring_set(&tx, 1, (uint64_t)&packet, 0xfffffff0, 0, 0);
    offer(0);
}

static void address_upper(void)
{
    one(UPPER_HALF + 0x100000, 80, 0, 0);
}

static void address_direct_map(void)
{
    one(DIRECT_MAP + 0x100000, 80, 0, 0);
}

static void address_non_canonical(void)
{
    one(NONCANONICAL, 80, 0, 0);
}

static void address_wraps(void)
{
    one(~0ull - 40, 80, 0, 0);
}

static void address_null(void)
{
    one(0, 80, 0, 0);
}

/* Begins in the guest's half and ends in the page that nobody has. */
static void address_across_the_end(void)
{
    one(SKEP_GUEST_VA_MAX - 40, 80, 0, 0);
}

/* The second part is checked as the first is. */
static void second_part_upper(void)
{
    packet_make(&packet, 0);
    net_start(&tx, &rx);
    ring_set(&tx, 0, (uint64_t)&packet, 12, NEXT, 1);
    ring_set(&tx, 1, UPPER_HALF + 0x100000, 60, 0, 0);
    offer(0);
}

/* A page behind which nothing will be mapped. */
static uint64_t lonely_page(void)
{
    uint64_t page = info->heap_base + info->heap_bytes - 16 * PAGE;
    CHECK(skep_hc_mem_map(page, PAGE, 3) == (int64_t)page);
    return page;
}

static void access_unmapped(void)
{
    uint64_t page = lonely_page();
    one(page + PAGE - 40, 80, 0, 0);
}

static void access_guard(void)
{
    one(info->stack_base - 100, 80, 0, 0);
}

static void access_protected(void)
{
    uint64_t page = (uint64_t)map_pages(1);
    CHECK(skep_hc_mem_protect(page, PAGE, SKEP_PROT_NONE) == 0);
    one(page, 80, 0, 0);
}

/* A frame to device 1, whose buffer is what the attack says. */
static void receive_into(uint64_t address, uint32_t bytes, uint16_t flags, uint16_t next)
{
    ring_make(&tx, 1, RING_SIZE);
    ring_make(&rx, 2, RING_SIZE);
    ring_set(&rx, 0, address, bytes, flags, next);
    ring_offer(&rx, 0);
    packet_make(&packet, 1);
    packet_send(&tx, &packet, FRAME_BYTES);
}

static void receive_upper(void)
{
    receive_into(UPPER_HALF + 0x100000, 2000, WRITE, 0);
}

static void receive_read_only_flag(void)
{
    receive_into((uint64_t)&packet, 1500, 0, 0);
}

static void receive_text(void)
{
    receive_into((uint64_t)receive_text, 2000, WRITE, 0);
}

static void receive_start_info(void)
{
    receive_into((uint64_t)info, 2000, WRITE, 0);
}

static void receive_guard(void)
{
    receive_into(info->stack_base - 4000, 2000, WRITE, 0);
}

static void receive_unmapped(void)
{
    receive_into(lonely_page() + PAGE - 20, 2000, WRITE, 0);
}

static void receive_loop(void)
{
    receive_into((uint64_t)&packet, 8, WRITE | NEXT, 0);
}

/* A buffer that is too small for the frame gets nothing, not even a part. */
static void receive_short(void)
{
    static uint8_t small[FRAME_BYTES + 64];
    receive_into((uint64_t)small, FRAME_BYTES + 11, WRITE, 0);
    for (unsigned i = 0; i < sizeof(small); i++)
        CHECK(small[i] == 0);
    CHECK(atomic_load(&rx.used->index) == 0);
}

/* Ring 0 writes where it was told: the vCPU's page is the guest's own to spoil. */
static void receive_vcpu_page(void)
{
    receive_into((uint64_t)vcpu_page(1), 2000, WRITE, 0);
}

/* ---- while it is read ---- */

static struct packet shared __attribute__((aligned(64)));

/* Turns between a good source address and another's, and flags and lengths of the header likewise. */
static _Noreturn void flip(uint64_t unused)
{
    volatile uint64_t *words = (volatile uint64_t *)&shared;
    struct packet good, bad;
    packet_make(&good, 7);
    bad = good;
    memset(bad.frame + 6, 0x66, 6);
    bad.frame[29] = 99;
    bad.header.gso_type = 1;
    bad.header.flags = SKEP_NET_HDR_NEEDS_CSUM;
    bad.header.csum_start = 60000;
    for (;;) {
        for (unsigned i = 0; i < 8; i++)
            words[i] = ((uint64_t *)&bad)[i];
        for (unsigned i = 0; i < 8; i++)
            words[i] = ((uint64_t *)&good)[i];
    }
}

/* Only what was good when it was looked at may arrive. */
static void frame_changes(void)
{
    unsigned arrived = 0;
    net_start(&tx, &rx);
    packet_make(&shared, 7);
    CHECK(vcpu_run(1, flip, 0) == 0);
    for (unsigned i = 0; i < 20000; i++) {
        packet_send(&tx, &shared, FRAME_BYTES);
        const struct packet *got = packet_received(&rx);
        if (got) {
            arrived++;
            CHECK(memcmp(got->frame + 6, info->net[0].mac, 6) == 0);
            CHECK(memcmp(got->frame + 26, &info->net[0].address, 4) == 0);
            CHECK(got->header.flags == 0 && got->header.gso_type == 0);
            CHECK(got->header.csum_start == 0);
        }
    }
    CHECK(arrived > 100);
}

/* Descriptors and indexes change without pause; whatever ring 0 read, it either takes or refuses. */
static _Noreturn void spoil(uint64_t seed)
{
    for (;;) {
        uint64_t r = random_next(&seed);
        volatile uint64_t *desc = (volatile uint64_t *)&tx.desc[r % 4];
        desc[1] = r >> 60 ? FRAME_BYTES + 12 : r >> 20;
        desc[0] = r >> 61 ? (uint64_t)&packet : r;
        if (!(r >> 56 & 63))
            tx.avail->ring[r % RING_SIZE] = (uint16_t)(r >> 40);
    }
}

static void ring_changes(void)
{
    uint64_t seed = argument(0) * 7919 + 1;
    net_start(&tx, &rx);
    packet_make(&packet, 3);
    CHECK(vcpu_run(1, spoil, seed) == 0);
    for (unsigned i = 0; i < argument(1); i++) {
        ring_offer(&tx, i % 4);
        ring_kick(&tx);
        packet_received(&rx);
    }
}

/* ---- under way ---- */

/* Long frames to the wire: their pages are lent to the card. */
static void packet_for_wire(struct packet *to)
{
    packet_make(to, 0);
    memcpy(to->frame, gateway_mac, 6);
    uint32_t gateway = GATEWAY_ADDRESS;
    memcpy(to->frame + 30, &gateway, 4);
    memset(to->frame + MARK_AT, 0, sizeof(MARK));
    memset(to->frame + 100, 0x5e, FRAME_MAX - 100);
}

static void lend(uint16_t slot, const uint8_t *pages)
{
    ring_set(&tx, slot, (uint64_t)pages, 12 + FRAME_MAX, 0, 0);
    ring_offer(&tx, slot);
    ring_kick(&tx);
}

/* The page is gone, and another at its address, while the card may still read the first. */
static void unmap_under_way(void)
{
    net_start(&tx, &rx);
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t *page = map_pages(1);
        packet_for_wire((struct packet *)page);
        lend(i % RING_SIZE, page);
        CHECK(skep_hc_mem_unmap((uint64_t)page, PAGE) == 0);
        CHECK(skep_hc_mem_map((uint64_t)page, PAGE, 3) == (int64_t)page);
        CHECK(*(volatile uint64_t *)page == 0 && *(volatile uint64_t *)(page + 1000) == 0);
        CHECK(skep_hc_mem_unmap((uint64_t)page, PAGE) == 0);
        while ((uint16_t)(i + 1 - atomic_load(&tx.used->index)) > 40)
            skep_hc_yield();
    }
}

static void fill_the_card(void)
{
    uint8_t *pages = map_pages(RING_SIZE);
    net_start(&tx, &rx);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        packet_for_wire((struct packet *)(pages + i * PAGE));
        ring_set(&tx, i, (uint64_t)pages + i * PAGE, 12 + FRAME_MAX, 0, 0);
        ring_offer(&tx, i);
    }
    ring_kick(&tx);
}

static void exit_under_way(void)
{
    fill_the_card();
}

static void crash_under_way(void)
{
    fill_the_card();
    __asm__ volatile("ud2");
}

/* Rings that are unmapped while they are in use stay ring 0's to use, and harm nobody. */
static void unmap_rings(void)
{
    net_start(&tx, &rx);
    CHECK(skep_hc_mem_unmap((uint64_t)tx.desc, 3 * PAGE) == 0);
    CHECK(skep_hc_mem_unmap((uint64_t)rx.desc, 3 * PAGE) == 0);
    uint8_t *fresh = map_pages(6);
    for (unsigned i = 0; i < 6 * PAGE; i++)
        CHECK(fresh[i] == 0);
    for (unsigned i = 0; i < 100; i++)
        CHECK(skep_hc_queue_kick(1) == 0);
    for (unsigned i = 0; i < 6 * PAGE; i++)
        CHECK(fresh[i] == 0);
}

const struct attack attacks[] = {
    {"setup-refused", setup_refused, "exit"},
    {"setup-desc-anywhere", setup_desc_anywhere, "9x bad-hypercall error=15"},
    {"setup-avail-anywhere", setup_avail_anywhere, "9x bad-hypercall error=15"},
    {"setup-used-anywhere", setup_used_anywhere, "9x bad-hypercall error=15"},
    {"setup-overlapping", setup_overlapping, "exit"},
    {"index-ahead", index_ahead, "bad-ring error=1 address=65"},
    {"index-behind", index_behind, "bad-ring error=1 address=65535"},
    {"head-beyond", head_beyond, "bad-ring error=2 address=64"},
    {"head-far", head_far, "bad-ring error=2 address=65535"},
    {"next-beyond", next_beyond, "bad-ring error=3 address=64"},
    {"next-far", next_far, "bad-ring error=3 address=0xfffe"},
    {"loop-to-itself", loop_to_itself, "bad-ring error=4"},
    {"loop-of-empty-parts", loop_of_empty_parts, "bad-ring error=4"},
    {"loop-of-two", loop_of_two, "bad-ring error=4"},
    {"chain-too-long", chain_too_long, "bad-ring error=4"},
    {"flags-write", flags_write, "bad-ring error=5 address=2"},
    {"flags-indirect", flags_indirect, "bad-ring error=5 address=4"},
    {"flags-unknown", flags_unknown, "bad-ring error=5 address=0x8000"},
    {"length-all", length_all, "bad-ring error=6 address=0xffffffff"},
    {"length-too-long", length_too_long, "bad-ring error=6 address=0x10001"},
    {"lengths-overflow", lengths_overflow, "bad-ring error=6 address=0xfffffff0"},
    {"address-upper", address_upper, "bad-ring error=7 address=0xffffffff80100000"},
    {"address-direct-map", address_direct_map, "bad-ring error=7 address=0xffff800000100000"},
    {"address-non-canonical", address_non_canonical, "bad-ring error=7 address=0x800000000000"},
    {"address-wraps", address_wraps, "bad-ring error=7"},
    {"address-null", address_null, "bad-ring error=7 address=0"},
    {"address-across-the-end", address_across_the_end, "bad-ring error=7"},
    {"second-part-upper", second_part_upper, "bad-ring error=7 address=0xffffffff80100000"},
    {"access-unmapped", access_unmapped, "bad-ring error=8"},
    {"access-guard", access_guard, "bad-ring error=8"},
    {"access-protected", access_protected, "bad-ring error=8"},
    {"receive-upper", receive_upper, "bad-ring error=7 address=0xffffffff80100000"},
    {"receive-read-only-flag", receive_read_only_flag, "bad-ring error=5 address=0"},
    {"receive-text", receive_text, "bad-ring error=8"},
    {"receive-start-info", receive_start_info, "bad-ring error=8"},
    {"receive-guard", receive_guard, "bad-ring error=8"},
    {"receive-unmapped", receive_unmapped, "bad-ring error=8"},
    {"receive-loop", receive_loop, "bad-ring error=4"},
    {"receive-short", receive_short, "exit"},
    {"receive-vcpu-page", receive_vcpu_page, "exit"},
    {"frame-changes", frame_changes, "exit"},
    {"ring-changes", ring_changes, "6x random=3000 bad-ring lost | exit"},
    {"unmap-under-way", unmap_under_way, "exit"},
    {"exit-under-way", exit_under_way, "exit"},
    {"crash-under-way", crash_under_way, "invalid-opcode"},
    {"unmap-rings", unmap_rings, "exit"},
};
ATTACK_COUNT;
