/*
 * test_virtio_blk.c - the driver of virtio disks against a PCI device that the test plays.
 *
 * Selecting queues changes nothing: there is one. The device works while the driver waits for its first answer, by polling;
 * after that only when the test calls device_run().
 */
#include "test.h"

#include <stdatomic.h>

#include "core/cpu.h"
#include "core/log.h"
#include "drivers/ring.h"
#include "drivers/virtio_blk.h"
#include "drivers/virtio_pci.h"
#include "io/disks.h"
#include "virtio_fixture.h"

#define MASTER     4u
#define QUEUE_SIZE 256u

#define F_SIZE_MAX (1u << 1)
#define F_ALWAYS \
    (1u << 0 | F_SIZE_MAX | 1u << 2) /* VERSION_1 (in the upper half), SIZE_MAX, SEG_MAX */
#define F_RO       (1u << 5)
#define F_BLK_SIZE (1u << 6)
#define F_FLUSH    (1u << 9)
#define F_RANGES   (1u << 13 | 1u << 14)
#define F_INDIRECT (1u << 28)
#define F_EVENTS   (1u << 29)
#define F_ALL      (F_ALWAYS | F_BLK_SIZE | F_FLUSH | F_RANGES | F_INDIRECT | F_EVENTS)

#define DISK_BYTES (1u << 20)

/* ---- the device ---- */

static uint8_t disk_data[DISK_BYTES];

static uint32_t interrupts;

static bool deaf;      /* answers nothing */
static uint8_t answer; /* status of requests */
static const char *serial;
static uint16_t seen; /* of the available ring */
static uint32_t served;
static uint32_t longest;   /* chain */
static uint32_t types[64]; /* of the requests served, in order */
static struct skep_block_range last_range;

static void device_plug(uint32_t features)
{
    device_new(0x1042, 4, QUEUE_SIZE, features);
    put(CONFIG + 0, DISK_BYTES / 512, 8);
    put(CONFIG + 8, 0x10000, 4);
    put(CONFIG + 12, 126, 4);
    put(CONFIG + 20, 512, 4);
    put(CONFIG + 36, 1001, 4);
    put(CONFIG + 48, 2002, 4);
    deaf = false;
    answer = 0;
    serial = "a serial";
    seen = 0;
    served = longest = interrupts = 0;
}

static struct skep_vring_used *used_ring(void)
{
    return arch_direct(paddr(get(COMMON + 0x30, 8)));
}

static void give_back(uint32_t id)
{
    struct skep_vring_used *used = used_ring();
    uint16_t index = atomic_load(&used->index), size = (uint16_t)get(COMMON + 0x18, 2);
    used->ring[index & (size - 1)] = (struct skep_vring_used_elem){id, 1};
    atomic_store(&used->index, (uint16_t)(index + 1));
}

/* Interrupts as the driver asked for it. */
static void interrupt(uint16_t before)
{
    struct skep_vring_avail *avail = arch_direct(paddr(get(COMMON + 0x28, 8)));
    uint16_t size = (uint16_t)get(COMMON + 0x18, 2);
    uint16_t event = *ring_used_event(avail, size);
    if (ring_event_due(event, atomic_load(&used_ring()->index), before)) {
        interrupts++;
        msi[0].handler(msi[0].argument);
    }
}

struct chain {
    struct skep_vring_desc at[64];
    uint32_t count;
};

static struct chain chain_of(uint16_t head)
{
    struct chain chain = {.count = 0};
    const struct skep_vring_desc *table = arch_direct(paddr(get(COMMON + 0x20, 8)));
    struct skep_vring_desc desc = table[head];
    if (desc.flags & 4) {
        CHECK(get(COMMON + 0x04, 4) & F_INDIRECT);
        CHECK(desc.len % sizeof(desc) == 0);
        table = arch_direct(paddr(desc.addr));
        desc = table[0];
    }
    for (;; desc = table[desc.next]) {
        CHECK(chain.count < 64);
        chain.at[chain.count++] = desc;
        if (!(desc.flags & SKEP_VRING_DESC_NEXT)) {
            return chain;
        }
    }
}

static void transfer(const struct chain *chain, const struct skep_block_header *header)
{
    uint8_t *at = disk_data + header->sector * 512;
    bool reads = header->type == SKEP_BLOCK_T_IN;
    for (uint32_t i = 1; i + 1 < chain->count; i++) {
        void *memory = arch_direct(paddr(chain->at[i].addr));
        CHECK(!(chain->at[i].flags & SKEP_VRING_DESC_WRITE) == !reads);
        CHECK(at + chain->at[i].len <= disk_data + DISK_BYTES);
        memcpy(reads ? memory : at, reads ? at : memory, chain->at[i].len);
        at += chain->at[i].len;
    }
}

static void serve(uint16_t head)
{
    struct chain chain = chain_of(head);
    struct skep_block_header header;
    CHECK(chain.at[0].len == sizeof(header) && !(chain.at[0].flags & SKEP_VRING_DESC_WRITE));
    memcpy(&header, arch_direct(paddr(chain.at[0].addr)), sizeof(header));
    const struct skep_vring_desc *last = &chain.at[chain.count - 1];
    CHECK(last->len == 1 && (last->flags & SKEP_VRING_DESC_WRITE));
    if (header.type == 8) { /* GET_ID */
        CHECK(chain.at[1].len == 20);
        strncpy(arch_direct(paddr(chain.at[1].addr)), serial, 20);
    } else if (header.type <= 1 && answer == 0) {
        transfer(&chain, &header);
    } else if (header.type >= SKEP_BLOCK_T_DISCARD) {
        memcpy(&last_range, arch_direct(paddr(chain.at[1].addr)), sizeof(last_range));
    }
    longest = chain.count > longest ? chain.count : longest;
    types[served++ % 64] = header.type;
    *(uint8_t *)arch_direct(paddr(last->addr)) = header.type == 8 ? 0 : answer;
    give_back(head);
}

/* Serves at most `count` requests. */
static void device_run(uint32_t count)
{
    if (deaf || !(((volatile uint8_t *)bar)[STATUS] & 4)) {
        return;
    }
    struct skep_vring_avail *avail = arch_direct(paddr(get(COMMON + 0x28, 8)));
    uint16_t size = (uint16_t)get(COMMON + 0x18, 2), before = atomic_load(&used_ring()->index);
    for (; count > 0 && seen != atomic_load(&avail->index); count--, seen++) {
        serve(avail->ring[seen & (size - 1)]);
    }
    if (atomic_load(&used_ring()->index) != before) {
        interrupt(before);
    }
}

static void device_answer(void)
{
    device_run(1);
}

/* ---- the client ---- */

static uint32_t wanted, rooms, changes;
static uint32_t done_count, done_errors;

static void on_interrupt(struct disk *disk, uint32_t queue)
{
    (void)disk;
    assert_int_equal(queue, 0);
    wanted++;
}

static void on_done(struct disk *disk, struct disk_request *request)
{
    assert_non_null(disk);
    assert_int_equal(fake_cpu->arch.locks, 0);
    done_count++;
    done_errors += request->error != 0;
}

static void on_room(struct disk *disk)
{
    assert_non_null(disk);
    rooms++;
}

static void on_changed(struct disk *disk)
{
    assert_non_null(disk);
    changes++;
}

static const struct disk_client client = {on_interrupt, on_done, on_room, on_changed};

static uint8_t *memory;
static paddr_t memory_at;
static struct disk_piece pieces[DISK_PIECES_MAX];

static struct disk *start(void)
{
    static const struct pci_device pci = {0x10, 0x1af4, 0x1042};
    fake_waiting = device_answer;
    struct disk *disk = virtio_blk_start(&pci, &client);
    fake_waiting = NULL;
    for (uint32_t i = 0; i < msi_count; i++) {
        assert_int_equal(msi[i].cpu, 0);
    }
    wanted = rooms = changes = done_count = done_errors = served = longest = interrupts = 0;
    return disk;
}

static struct disk *plugged(uint32_t features)
{
    device_plug(features);
    struct disk *disk = start();
    assert_non_null(disk);
    return disk;
}

static struct disk_request request_of(enum disk_op op, uint64_t sector, uint32_t sectors)
{
    struct disk_request request = {.op = op, .sector = sector, .sectors = sectors, .error = 1};
    if (op == DISK_READ || op == DISK_WRITE) {
        pieces[0] = (struct disk_piece){memory_at, sectors * 512};
        request.pieces = pieces;
        request.piece_count = 1;
    }
    return request;
}

static void poll_all(struct disk *disk)
{
    for (uint32_t i = 0; disk->driver->poll(disk, 0, 4); i++) {
        assert_true(i < 200);
    }
}

static int group_setup(void **state)
{
    (void)state;
    memset(config_space, 0xff, sizeof(config_space));
    fake_boot(64ull << 20, 1);
    pfn_t pfn = frame_alloc(6, SKEP_FRAME_DEVICE, OWNER_CORE);
    memory = frame_data(pfn);
    memory_at = pfn_to_paddr(pfn);
    return pfn == PFN_NONE;
}

/* ---- start ---- */

static void a_disk_is_described(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    assert_int_equal(atomic_load(&disk->sectors), DISK_BYTES / 512);
    assert_int_equal(disk->block_bytes, 512);
    assert_int_equal(disk->flags, SKEP_DISK_FLUSH | SKEP_DISK_DISCARD | SKEP_DISK_WRITE_ZEROES);
    assert_int_equal(disk->discard_max, 1001);
    assert_int_equal(disk->zeroes_max, 2002);
    assert_int_equal(disk->queue_count, 1);
    assert_string_equal(disk->serial, "a serial");
    assert_int_equal(get(STATUS, 1) & 0xc, 0xc); /* DRIVER_OK, FEATURES_OK */
}

static void large_blocks_round_what_is_named(void **state)
{
    (void)state;
    device_plug(F_ALL);
    put(CONFIG + 20, 4096, 4);
    put(CONFIG + 0, 1003, 8);
    serial = "twenty letters, all!";
    struct disk *disk = start();
    assert_int_equal(disk->block_bytes, 4096);
    assert_int_equal(atomic_load(&disk->sectors), 1000);
    assert_int_equal(disk->discard_max, 1000);
    assert_string_equal(disk->serial, "twenty letters, all!");
    device_plug(F_ALL);
    put(CONFIG + 20, 1024, 4);
    assert_int_equal(start()->block_bytes, 4096);
    device_plug(F_ALWAYS | F_RO | F_RANGES);
    serial = "a\"b\\\x01\xff";
    disk = start();
    assert_int_equal(disk->block_bytes, 512);
    assert_int_equal(disk->flags, SKEP_DISK_READ_ONLY);
    assert_string_equal(disk->serial, "a_b___");
}

static void refused(uint32_t at, uint64_t value, uint32_t bytes)
{
    device_plug(F_ALL);
    put(at, value, bytes);
    assert_null(start());
    assert_int_equal(get(STATUS, 1), 128); /* FAILED, after a reset */
}

static void what_is_not_enough_is_refused(void **state)
{
    (void)state;
    refused(CONFIG + 8, 4095, 4);
    refused(CONFIG + 12, DISK_PIECES_MAX - 1, 4);
    refused(CONFIG + 20, 256, 4);
    refused(CONFIG + 20, 8192, 4);
    refused(CONFIG + 20, 3000, 4);
    refused(CONFIG + 20, 0, 4);
    refused(COMMON + 0x18, 32, 2);          /* a queue shorter than a request */
    refused(COMMON + 0x04, F_ALL & ~1u, 4); /* not VERSION_1 */
    device_plug(F_ALL);
    msi_limit = 0;
    assert_null(start());
    device_plug(F_ALL);
    deaf = true;
    assert_null(start());
    static const struct pci_device net = {0x10, 0x1af4, 0x1041}, other = {0x10, 0x8086, 0x1042};
    assert_null(virtio_blk_start(&net, &client));
    assert_null(virtio_blk_start(&other, &client));
}

/* ---- requests ---- */

static void largest_request(uint32_t features, uint32_t entries)
{
    struct disk *disk = plugged(features);
    struct disk_request request = request_of(DISK_WRITE, 16, 256);
    for (uint32_t i = 0; i < DISK_PIECES_MAX; i++) { /* 100 bytes, 32 pages, the rest */
        uint32_t bytes = i == 0 ? 100 : i < 32 ? 4096 : (131072 - 100 - 31 * 4096) / 2;
        pieces[i] = (struct disk_piece){paddr(memory_at.value + i * PAGE_SIZE), bytes};
        memset(memory + i * PAGE_SIZE, (int)i + 1, PAGE_SIZE);
    }
    request.piece_count = DISK_PIECES_MAX;
    assert_int_equal(disk->driver->submit(disk, &request), 0);
    disk->driver->kick(disk);
    device_run(1);
    assert_int_equal(wanted, 1);
    assert_false(disk->driver->poll(disk, 0, 4));
    assert_int_equal(request.error, 0);
    assert_int_equal(longest, entries);
    assert_int_equal(disk_data[16 * 512 + 99], 1);
    assert_int_equal(disk_data[16 * 512 + 100], 2);
    assert_int_equal(disk_data[16 * 512 + 131071], 34);
    request.op = DISK_READ;
    memset(memory, 0, 64 * PAGE_SIZE);
    assert_int_equal(disk->driver->submit(disk, &request), 0);
    device_run(1);
    poll_all(disk);
    assert_int_equal(memory[99], 1);
    assert_int_equal(memory[100], 0); /* not beyond its piece */
    assert_int_equal(memory[PAGE_SIZE], 2);
    assert_int_equal(memory[33 * PAGE_SIZE], 34);
}

static void the_largest_request_is_one_chain(void **state)
{
    (void)state;
    largest_request(F_ALL, DISK_PIECES_MAX + 2);
    largest_request(F_ALL & ~F_INDIRECT, DISK_PIECES_MAX + 2);
}

static void each_operation_has_its_type(void **state)
{
    static const uint32_t expected[] = {0, 1, 4, 11, 13};
    (void)state;
    struct disk *disk = plugged(F_ALL);
    for (uint32_t op = DISK_READ; op <= DISK_WRITE_ZEROES; op++) {
        struct disk_request request =
            request_of((enum disk_op)op, 8 * op, op == DISK_FLUSH ? 0 : 8);
        assert_int_equal(disk->driver->submit(disk, &request), 0);
        device_run(1);
        poll_all(disk);
        assert_int_equal(request.error, 0);
        assert_int_equal(types[op], expected[op]);
        assert_true(op < DISK_DISCARD || last_range.sector == 8 * op);
        assert_true(op < DISK_DISCARD || (last_range.sectors == 8 && last_range.flags == 0));
    }
}

static void errors_are_told_apart(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    struct disk_request request = request_of(DISK_READ, 0, 8);
    answer = 1;
    disk->driver->submit(disk, &request);
    device_run(1);
    poll_all(disk);
    assert_int_equal(request.error, -SKEP_EIO);
    answer = 2;
    disk->driver->submit(disk, &request);
    device_run(1);
    poll_all(disk);
    assert_int_equal(request.error, -SKEP_EINVAL);
    assert_false(atomic_load(&disk->failed));
    assert_int_equal(changes, 0);
}

static struct disk_request many[QUEUE_SIZE];

static uint32_t fill(struct disk *disk)
{
    uint32_t count = 0;
    for (; count < QUEUE_SIZE; count++) {
        many[count] = request_of(DISK_READ, count, 1);
        if (disk->driver->submit(disk, &many[count]) == -SKEP_EAGAIN) {
            break;
        }
    }
    return count;
}

static void a_full_queue_says_when_there_is_room(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    assert_int_equal(fill(disk), 64);
    assert_int_equal(rooms, 0);
    device_run(QUEUE_SIZE);
    assert_int_equal(interrupts,
                     1); /* for the first of them: none is asked for until all are taken */
    assert_true(disk->driver->poll(disk, 0, 4));
    assert_int_equal(done_count, 4);
    assert_int_equal(rooms, 1);
    poll_all(disk);
    assert_int_equal(done_count, 64);
    assert_int_equal(rooms, 1);
    disk = plugged(F_ALL & ~F_INDIRECT);
    assert_int_equal(fill(disk), 85); /* of 3 descriptors, in 256 */
    device_run(QUEUE_SIZE);
    poll_all(disk);
    assert_int_equal(done_count, 85);
    assert_int_equal(done_errors, 0);
}

/* ---- failure ---- */

/* What it had comes back with an error, the device can't reach memory any more, and nothing is taken. */
static void failed_whole(struct disk *disk, uint32_t underway)
{
    struct disk_request request = request_of(DISK_READ, 0, 1);
    assert_true(atomic_load(&disk->failed));
    assert_int_equal(changes, 1);
    assert_int_equal(get(STATUS, 1), 0);
    assert_int_equal(config_space[4] & MASTER, 0);
    assert_true(wanted > 0);
    poll_all(disk);
    assert_int_equal(done_count, underway);
    assert_int_equal(done_errors, underway);
    assert_int_equal(disk->driver->submit(disk, &request), -SKEP_EIO);
    disk->driver->kick(disk);
    assert_false(disk->driver->poll(disk, 0, 4));
    assert_int_equal(changes, 1);
}

static void an_unknown_status_fails_the_disk(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    fill(disk);
    assert_int_equal(rooms, 0);
    answer = 3;
    device_run(1);
    assert_true(disk->driver->poll(disk, 0, 4));
    failed_whole(disk, 64);
    assert_int_equal(rooms, 1); /* who was refused hears of the end */
}

static void a_chain_that_it_does_not_hold_fails_the_disk(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {63, 64, 65535, UINT32_MAX};
    for (uint32_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct disk *disk = plugged(F_ALL);
        struct disk_request request = request_of(DISK_READ, 0, 1);
        assert_int_equal(disk->driver->submit(disk, &request), 0);
        give_back(wrong[i]);
        assert_true(disk->driver->poll(disk, 0, 4));
        failed_whole(disk, 1);
    }
}

static void a_chain_that_comes_back_twice_fails_the_disk(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    struct disk_request request = request_of(DISK_READ, 0, 1);
    assert_int_equal(disk->driver->submit(disk, &request), 0);
    device_run(1);
    give_back(used_ring()->ring[(atomic_load(&used_ring()->index) - 1) & 63].id);
    assert_true(disk->driver->poll(disk, 0, 4));
    assert_int_equal(done_count, 1); /* the first time was in order */
    assert_int_equal(done_errors, 0);
    done_count = 0;
    failed_whole(disk, 0);
}

static void a_device_that_does_not_answer_is_noticed(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    assert_int_equal(disk->driver->look(disk), 0);
    struct disk_request requests[2] = {request_of(DISK_READ, 0, 1), request_of(DISK_READ, 0, 1)};
    assert_int_equal(disk->driver->submit(disk, &requests[0]), 0);
    for (uint32_t i = 1; i <= 1000; i++) {
        assert_int_equal(disk->driver->look(disk), i);
        assert_int_equal(wanted, i);
        assert_false(disk->driver->poll(disk, 0, 4));
    }
    assert_int_equal(disk->driver->submit(disk, &requests[1]), 0);
    assert_int_equal(disk->driver->look(disk), 1001); /* the older one's */
    device_run(1);
    poll_all(disk);
    assert_int_equal(disk->driver->look(disk), 2);
    device_run(1);
    poll_all(disk);
    assert_int_equal(disk->driver->look(disk), 0);
    assert_false(atomic_load(&disk->failed));
}

static void what_was_done_without_an_interrupt_is_found(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    struct skep_vring_avail *avail = arch_direct(paddr(get(COMMON + 0x28, 8)));
    struct disk_request request = request_of(DISK_READ, 0, 1);
    assert_int_equal(disk->driver->submit(disk, &request), 0);
    serve(avail->ring[seen++]);
    assert_int_equal(wanted, 0);
    assert_int_equal(disk->driver->look(disk), 1);
    assert_int_equal(wanted, 1);
    assert_false(disk->driver->poll(disk, 0, 4));
    assert_int_equal(request.error, 0);
    assert_int_equal(disk->driver->look(disk), 0);
}

static void a_device_may_ask_for_a_reset(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    fill(disk);
    put(STATUS, get(STATUS, 1) | 64, 1);
    msi[1].handler(msi[1].argument);
    failed_whole(disk, 64);
    msi[1].handler(msi[1].argument); /* harmless */
    assert_int_equal(changes, 1);
}

static void the_capacity_may_change(void **state)
{
    (void)state;
    struct disk *disk = plugged(F_ALL);
    msi[1].handler(msi[1].argument);
    assert_int_equal(changes, 0);
    put(CONFIG + 0, 4096, 8);
    msi[1].handler(msi[1].argument);
    assert_int_equal(changes, 1);
    assert_int_equal(atomic_load(&disk->sectors), 4096);
    put(CONFIG + 0, UINT64_MAX, 8);
    msi[1].handler(msi[1].argument);
    assert_int_equal(atomic_load(&disk->sectors), 1ull << 54);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_is_described),
        cmocka_unit_test(large_blocks_round_what_is_named),
        cmocka_unit_test(what_is_not_enough_is_refused),
        cmocka_unit_test(the_largest_request_is_one_chain),
        cmocka_unit_test(each_operation_has_its_type),
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(a_full_queue_says_when_there_is_room),
        cmocka_unit_test(an_unknown_status_fails_the_disk),
        cmocka_unit_test(a_chain_that_it_does_not_hold_fails_the_disk),
        cmocka_unit_test(a_chain_that_comes_back_twice_fails_the_disk),
        cmocka_unit_test(a_device_that_does_not_answer_is_noticed),
        cmocka_unit_test(what_was_done_without_an_interrupt_is_found),
        cmocka_unit_test(a_device_may_ask_for_a_reset),
        cmocka_unit_test(the_capacity_may_change),
    };
    return cmocka_run_group_tests_name("virtio-blk", tests, group_setup, NULL);
}
