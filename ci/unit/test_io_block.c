/*
 * test_io_block.c - block devices of guests: chains of every kind, pieces of memory, ends of guests and of disks, and disks as
 * a whole.
 */
#include "block_fixture.h"

#include "core/guest_internal.h"

#define SECTORS (CHUNK / 512)

static struct rider rider;
static uint64_t volume;

static void opened(uint32_t chunks)
{
    volume = volume_opened(chunks);
    for (uint32_t i = 0; i < chunks; i++) {
        map_one(volume, i, 20 + i);
        memset(disk_chunk(&disk_a, 20 + i), (int)(0x20 + i), CHUNK);
    }
    rider_create(&rider, volume, 0);
}

static void closed(void)
{
    rider_destroy(&rider);
    volume_closed(volume);
}

/* ---- chains ---- */

/* Request 0 is a good one for a page, which `spoil` makes a bad one. The guest ends, with this fault. */
static void broken_by(void (*spoil)(struct skep_vring_desc *desc), enum queue_fault fault)
{
    opened(1);
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 4096);
    settle();
    rider.desc[1].flags = SKEP_VRING_DESC_WRITE | SKEP_VRING_DESC_NEXT;
    spoil(rider.desc);
    rider_offer(&rider, 0);
    work();
    assert_int_equal(rider.guest->crash.reason, SKEP_CRASH_RING);
    assert_int_equal(rider.guest->crash.error, fault);
    closed();
}

static void spoil_header_length(struct skep_vring_desc *desc)
{
    desc[0].len = 15;
}

static void spoil_header_flags(struct skep_vring_desc *desc)
{
    desc[0].flags |= SKEP_VRING_DESC_WRITE;
}

static void spoil_status_length(struct skep_vring_desc *desc)
{
    desc[2].len = 2;
}

static void spoil_status_flags(struct skep_vring_desc *desc)
{
    desc[1].flags = SKEP_VRING_DESC_NEXT;
    desc[2].flags = 0;
}

static void spoil_status_missing(struct skep_vring_desc *desc)
{
    desc[0].flags = 0;
}

static void spoil_data_way(struct skep_vring_desc *desc)
{
    desc[1].flags = SKEP_VRING_DESC_NEXT;
}

static void spoil_order(struct skep_vring_desc *desc)
{
    desc[2] = desc[1];
    desc[2].flags = SKEP_VRING_DESC_NEXT;
    desc[2].next = 3;
    desc[3] = (struct skep_vring_desc){desc[0].addr, 1, SKEP_VRING_DESC_WRITE, 0};
}

static void spoil_both_ways(struct skep_vring_desc *desc)
{
    desc[3] = desc[2];
    desc[2] = desc[1];
    desc[1].flags = SKEP_VRING_DESC_NEXT;
    desc[2].flags = SKEP_VRING_DESC_NEXT | SKEP_VRING_DESC_WRITE;
    desc[2].next = 3;
}

/* A write, whose data would be right without the second part. */
static void spoil_write_both_ways(struct skep_vring_desc *desc)
{
    ((struct skep_block_header *)rider.page[3])->type = SKEP_BLOCK_T_OUT;
    spoil_both_ways(desc);
}

static void spoil_indirect(struct skep_vring_desc *desc)
{
    desc[1].flags |= 4;
}

static void spoil_length(struct skep_vring_desc *desc)
{
    desc[1].len = SKEP_BLOCK_BYTES_MAX + 1;
}

static void spoil_sum(struct skep_vring_desc *desc)
{
    desc[3] = desc[2];
    desc[1].len = desc[2].len = SKEP_BLOCK_BYTES_MAX;
    desc[2].flags = SKEP_VRING_DESC_NEXT | SKEP_VRING_DESC_WRITE;
    desc[2].next = 3;
}

/* The sum is 512 in 32 bits. */
static void spoil_overflow(struct skep_vring_desc *desc)
{
    spoil_sum(desc);
    desc[1].len = 0x80000000u;
    desc[2].len = 0x80000200u;
}

static void spoil_address(struct skep_vring_desc *desc)
{
    desc[1].addr = SKEP_GUEST_VA_MAX - 4095;
}

static void spoil_wrap(struct skep_vring_desc *desc)
{
    desc[1].addr = UINT64_MAX - 4095;
}

static void spoil_mapping(struct skep_vring_desc *desc)
{
    desc[1].addr = SKEP_GUEST_VA_MIN;
}

static void spoil_header_mapping(struct skep_vring_desc *desc)
{
    desc[0].addr = SKEP_GUEST_VA_MIN;
}

static void spoil_status_mapping(struct skep_vring_desc *desc)
{
    desc[2].addr = SKEP_GUEST_VA_MIN;
}

/* Start-info can be read by the guest, and not written. */
static void spoil_rights(struct skep_vring_desc *desc)
{
    const struct skep_start_info *info = frame_data(rider.guest->start_info[0]);
    desc[1].addr = info->vcpu_pages - SKEP_START_INFO_PAGES * PAGE_SIZE;
}

static void spoil_next(struct skep_vring_desc *desc)
{
    desc[1].next = 256;
}

static void spoil_loop(struct skep_vring_desc *desc)
{
    desc[1].len = 16;
    desc[1].next = 1;
}

static void malformed_chains_end_the_guest(void **state)
{
    (void)state;
    broken_by(spoil_header_length, QUEUE_FAULT_REQUEST);
    broken_by(spoil_header_flags, QUEUE_FAULT_REQUEST);
    broken_by(spoil_status_length, QUEUE_FAULT_REQUEST);
    broken_by(spoil_status_flags, QUEUE_FAULT_REQUEST);
    broken_by(spoil_status_missing, QUEUE_FAULT_REQUEST);
    broken_by(spoil_data_way, QUEUE_FAULT_REQUEST);
    broken_by(spoil_both_ways, QUEUE_FAULT_REQUEST);
    broken_by(spoil_write_both_ways, QUEUE_FAULT_REQUEST);
    broken_by(spoil_order, QUEUE_FAULT_FLAGS);
    broken_by(spoil_indirect, QUEUE_FAULT_FLAGS);
    broken_by(spoil_length, QUEUE_FAULT_LENGTH);
    broken_by(spoil_sum, QUEUE_FAULT_LENGTH);
    broken_by(spoil_overflow, QUEUE_FAULT_LENGTH);
    broken_by(spoil_address, QUEUE_FAULT_ADDRESS);
    broken_by(spoil_wrap, QUEUE_FAULT_ADDRESS);
    broken_by(spoil_mapping, QUEUE_FAULT_ACCESS);
    broken_by(spoil_header_mapping, QUEUE_FAULT_ACCESS);
    broken_by(spoil_status_mapping, QUEUE_FAULT_ACCESS);
    broken_by(spoil_rights, QUEUE_FAULT_ACCESS);
    broken_by(spoil_next, QUEUE_FAULT_NEXT);
    broken_by(spoil_loop, QUEUE_FAULT_CHAIN);
}

static void broken_indexes_end_the_guest(void **state)
{
    (void)state;
    opened(1);
    atomic_store(&rider.avail->index, 257);
    rider_kick(&rider);
    assert_int_equal(rider.guest->crash.error, QUEUE_FAULT_INDEX);
    closed();
    opened(1);
    rider.avail->ring[0] = 256;
    atomic_store(&rider.avail->index, 1);
    rider_kick(&rider);
    assert_int_equal(rider.guest->crash.error, QUEUE_FAULT_HEAD);
    closed();
}

/* The other types' data go the other way, or are none, or a range. */
static void data_are_as_the_type_wants_them(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < 14; type++) {
        opened(1);
        rider_add(&rider, type, 0, 0, 512);
        settle();
        bool bad = type == SKEP_BLOCK_T_FLUSH || type == SKEP_BLOCK_T_DISCARD ||
                   type == SKEP_BLOCK_T_WRITE_ZEROES;
        assert_int_equal(rider.guest->crash.reason, bad ? SKEP_CRASH_RING : SKEP_CRASH_NONE);
        uint8_t status = type <= 1 ? SKEP_BLOCK_S_OK : SKEP_BLOCK_S_UNSUPP;
        if (!bad) {
            assert_int_equal(rider_status(&rider, 0), status);
        }
        closed();
    }
}

/* ---- requests that are merely wrong ---- */

static uint8_t outcome(uint32_t type, uint64_t sector, uint32_t bytes)
{
    uint32_t request = rider_add(&rider, type, sector, 0, bytes);
    settle();
    return rider_status(&rider, request);
}

static uint8_t range_outcome(uint32_t type, uint64_t sector, uint32_t sectors)
{
    uint32_t request = rider_range(&rider, type, sector, sectors);
    settle();
    return rider_status(&rider, request);
}

static void wrong_requests_have_errors(void **state)
{
    (void)state;
    opened(2);
    const uint32_t types[] = {SKEP_BLOCK_T_IN, SKEP_BLOCK_T_OUT};
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(outcome(types[i], 2 * SECTORS - 1, 512), SKEP_BLOCK_S_OK);
        assert_int_equal(outcome(types[i], 2 * SECTORS, 512), SKEP_BLOCK_S_IOERR);
        assert_int_equal(outcome(types[i], 2 * SECTORS - 1, 1024), SKEP_BLOCK_S_IOERR);
        assert_int_equal(outcome(types[i], UINT64_MAX, 512), SKEP_BLOCK_S_IOERR);
        assert_int_equal(outcome(types[i], 1ull << 55, 512), SKEP_BLOCK_S_IOERR);
        assert_int_equal(outcome(types[i], 0, 511), SKEP_BLOCK_S_IOERR);
        assert_int_equal(outcome(types[i], 0, 0), SKEP_BLOCK_S_IOERR);
    }
    assert_int_equal(range_outcome(SKEP_BLOCK_T_DISCARD, UINT64_MAX - 3, 8), SKEP_BLOCK_S_IOERR);
    assert_int_equal(range_outcome(SKEP_BLOCK_T_DISCARD, 0, UINT32_MAX), SKEP_BLOCK_S_IOERR);
    assert_int_equal(range_outcome(SKEP_BLOCK_T_WRITE_ZEROES, 0, 0), SKEP_BLOCK_S_IOERR);
    uint32_t request = rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, 8);
    ((struct skep_block_range *)rider.page[5])[request].flags = 1;
    settle();
    rider_offer(&rider, request);
    settle();
    assert_int_equal(rider_status(&rider, request), SKEP_BLOCK_S_UNSUPP);
    assert_int_equal(rider.guest->crash.reason, SKEP_CRASH_NONE);
    closed();
}

/* ---- memory ---- */

/* Neither pages nor parts begin where sectors do. */
static void memory_may_lie_anywhere(void **state)
{
    (void)state;
    opened(2);
    for (uint32_t i = 0; i < 4 * SKEP_PAGE_SIZE; i++) {
        rider_data(&rider, i / SKEP_PAGE_SIZE)[i % SKEP_PAGE_SIZE] = (uint8_t)(i * 7);
    }
    rider_add(&rider, SKEP_BLOCK_T_OUT, 3, 0, 1024);
    settle();
    uint64_t data = rider.base + RIDER_DATA * PAGE_SIZE;
    rider.desc[1] = (struct skep_vring_desc){data + 4093, 4099, SKEP_VRING_DESC_NEXT, 3};
    rider.desc[3] = (struct skep_vring_desc){data + 12281, 2045, SKEP_VRING_DESC_NEXT, 4};
    rider.desc[4] = (struct skep_vring_desc){data, 0, SKEP_VRING_DESC_NEXT, 2};
    rider.page[4][0] = NOT_DONE;
    rider_offer(&rider, 0);
    settle();
    assert_int_equal(rider_status(&rider, 0), SKEP_BLOCK_S_OK);
    const uint8_t *disk = disk_chunk(&disk_a, 20) + 3 * 512;
    for (uint32_t i = 0; i < 6144; i++) {
        uint32_t at = i < 4099 ? 4093 + i : 12281 + i - 4099;
        assert_int_equal(disk[i], (uint8_t)(at * 7));
    }
    closed();
}

/* For a disk whose pieces are this short, memory that lies together is as good as memory that doesn't. */
static void pieces_shorten(uint32_t bytes)
{
    disk_a.disk.piece_bytes_max = bytes;
}

/* Parts that each cross two pages need more pieces than the disk takes at once. */
static void many_pieces_go_in_several_requests(void **state)
{
    (void)state;
    opened(2);
    rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    settle();
    uint64_t data = rider.base + RIDER_DATA * PAGE_SIZE;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t at = i == 0 ? 1 : 39 + i;
        rider.desc[at] =
            (struct skep_vring_desc){data + 2 * i * PAGE_SIZE + 4095, 2048, SKEP_VRING_DESC_NEXT,
                                     (uint16_t)(i == 31 ? 2 : 40 + i)};
        memset(rider_data(&rider, 2 * i) + 4095, (int)i, 1);
        memset(rider_data(&rider, 2 * i + 1), (int)i, 2047);
    }
    disk_a.log_count = 0;
    pieces_shorten(2047);
    rider_offer(&rider, 0);
    settle();
    pieces_shorten(DISK_BYTES_MAX);
    assert_int_equal(rider_status(&rider, 0), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.log_count, 2);
    for (uint32_t i = 0; i < CHUNK; i++) {
        assert_int_equal(disk_chunk(&disk_a, 20)[i], i / 2048);
    }
    closed();
}

/* A block in so many pieces can't be asked of the disk. */
static void scattered_blocks_are_refused(void **state)
{
    (void)state;
    opened(1);
    rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    settle();
    uint64_t data = rider.base + RIDER_DATA * PAGE_SIZE;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t at = i == 0 ? 1 : 39 + i;
        rider.desc[at] =
            (struct skep_vring_desc){data + 2 * i * PAGE_SIZE + 4094, 16, SKEP_VRING_DESC_NEXT,
                                     (uint16_t)(i == 31 ? 2 : 40 + i)};
    }
    pieces_shorten(15);
    rider_offer(&rider, 0);
    settle();
    pieces_shorten(DISK_BYTES_MAX);
    assert_int_equal(rider_status(&rider, 0), SKEP_BLOCK_S_IOERR);
    for (uint32_t i = 0; i < RIDER_PAGES; i++) {
        assert_true(frame_pins(frame_of(rider.page[i])) <= 1);
    }
    closed();
}

/* ---- many at once ---- */

static void more_requests_than_slots_wait_in_the_queue(void **state)
{
    (void)state;
    opened(2);
    for (uint32_t i = 0; i < 60; i++) {
        rider_add(&rider, SKEP_BLOCK_T_IN, i, i, 512);
    }
    work();
    assert_int_equal(disk_a.held_count, BLOCK_SLOTS);
    settle();
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(rider_status(&rider, i), SKEP_BLOCK_S_OK);
        assert_int_equal(rider_data(&rider, i)[0], 0x20);
    }
    assert_int_equal(atomic_load(&rider.used->index), 60);
    closed();
}

static void full_disk_queue_is_waited_for(void **state)
{
    uint32_t requests[6];
    (void)state;
    opened(2);
    fake_disk_room_set(&disk_a, 2);
    for (uint32_t i = 0; i < 6; i++) {
        requests[i] = rider_add(&rider, SKEP_BLOCK_T_IN, i, i, 512);
    }
    work();
    assert_int_equal(disk_a.held_count, 2);
    assert_int_equal(status_of(volume).held, 4);
    settle();
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(rider_status(&rider, requests[i]), SKEP_BLOCK_S_OK);
    }
    fake_disk_room_set(&disk_a, FAKE_DISK_HELD_MAX);
    closed();
}

static bool queue_event(void)
{
    uint64_t bit = 1ull << (SKEP_EVENT_QUEUE_0 + SKEP_QUEUE_BLOCK_0);
    return atomic_fetch_and(&rider.vcpu->page->pending, ~bit) & bit;
}

static void event_comes_when_it_is_wanted(void **state)
{
    (void)state;
    opened(1);
    uint16_t *used_event = &rider.avail->ring[256];
    *used_event = 1;
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    settle();
    assert_false(queue_event());
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    settle();
    assert_true(queue_event());
    assert_int_equal(rider.used->ring[1].len, 513);
    closed();
}

/* ---- ends ---- */

static void guest_ends_with_requests_underway(void **state)
{
    (void)state;
    opened(2);
    pool_give(volume, 60, 4);
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 4096);
    rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 4, 4096);
    rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, SECTORS);
    rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0); /* held: the discard isn't committed */
    work();
    assert_int_equal(disk_a.held_count, 2);
    guest_destroy(rider.guest);
    fake_settle();
    work();
    fake_settle();
    assert_int_equal(status_of(volume).users, 1);
    assert_int_equal(status_of(volume).wanting, 0);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_CLOSE, 0, 0, 0), -SKEP_EBUSY);
    fake_disk_let_go(&disk_a, 0, 0);
    work();
    fake_settle();
    assert_int_equal(status_of(volume).users, 1);
    fake_disk_let_go(&disk_a, 0, 0);
    work();
    fake_settle();
    assert_int_equal(status_of(volume).users, 0);
    assert_int_equal(rider_refused(volume, 2), -SKEP_EINVAL);
    volume_closed(volume);
}

/* Nothing on the machine comes by for it but the reaper. */
static void guest_ends_with_a_held_request(void **state)
{
    (void)state;
    opened(2);
    rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, SECTORS);
    rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    work();
    assert_int_equal(status_of(volume).wanting, 1);
    guest_destroy(rider.guest);
    for (int i = 0; i < 40; i++) {
        fake_interrupts();
        fake_clock_advance(1000000);
    }
    assert_int_equal(status_of(volume).users, 0);
    volume_closed(volume);
}

/* The copy goes on; what was to replace a chunk is undone. */
static void guest_ends_amid_copies(void **state)
{
    (void)state;
    volume = volume_opened(2);
    map_one(volume, 0, 20 | SKEP_CHUNK_SHARED);
    map_one(volume, 1, 21 | SKEP_CHUNK_SHARED);
    rider_create(&rider, volume, 0);
    pool_give(volume, 60, 2);
    rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, CHUNK);
    work();
    assert_int_equal(disk_a.held_count, 2);
    guest_destroy(rider.guest);
    fake_settle();
    uint32_t write = disk_a.held[0]->op == DISK_WRITE ? 0 : 1;
    assert_int_equal(disk_a.held[write]->op, DISK_WRITE);
    assert_int_equal(disk_a.held[1 - write]->op, DISK_READ);
    fake_disk_let_go(&disk_a, write, -SKEP_EIO);
    work();
    fake_settle();
    assert_int_equal(status_of(volume).users, 0);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_CLOSE, 0, 0, 0), -SKEP_EBUSY);
    settle();
    assert_int_equal(mapped(volume, 0), 60);
    assert_int_equal(mapped(volume, 1), 21 | SKEP_CHUNK_SHARED);
    volume_closed(volume);
}

static void errors_of_the_disk_are_told(void **state)
{
    (void)state;
    opened(2);
    uint32_t read = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    uint32_t write = rider_add(&rider, SKEP_BLOCK_T_OUT, 8, 0, 512);
    uint32_t flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    work();
    while (disk_a.held_count > 0) {
        fake_disk_let_go(&disk_a, 0, -SKEP_EIO);
    }
    work();
    assert_int_equal(rider_status(&rider, read), SKEP_BLOCK_S_IOERR);
    assert_int_equal(rider_status(&rider, write), SKEP_BLOCK_S_IOERR);
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_IOERR);
    assert_int_equal(status_of(volume).errors, 3);
    read_is(&rider, 0, 0x20, 512);
    closed();
}

/* Held ones end, too, and the guest hears of it. */
static void failed_disk_ends_all_requests(void **state)
{
    (void)state;
    opened(2);
    rider_range(&rider, SKEP_BLOCK_T_DISCARD, SECTORS, SECTORS);
    uint32_t read = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    uint32_t flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    uint32_t write = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, 512);
    work();
    notified(0, 0);
    fake_disk_fail(&disk_a);
    settle();
    assert_int_equal(notified(0, SKEP_NOTIFY_DISK), 1);
    assert_int_equal(rider_status(&rider, read), SKEP_BLOCK_S_IOERR);
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_IOERR);
    assert_int_equal(rider_status(&rider, write), SKEP_BLOCK_S_IOERR);
    const struct skep_start_info *info = frame_data(rider.guest->start_info[0]);
    assert_true(info->block[0].flags & SKEP_BLOCK_OFFLINE);
    assert_int_equal(outcome(SKEP_BLOCK_T_IN, 0, 512), SKEP_BLOCK_S_IOERR);
    struct skep_disk_info disk;
    assert_int_equal(volume_get(0, SKEP_VOLUME_DISK, control_page_at, 0, 0), 0);
    memcpy(&disk, control_page, sizeof(disk));
    assert_int_equal(disk.state, SKEP_DISK_FAILED);
    atomic_store(&disk_a.disk.failed, false);
    fake_disk_resize(&disk_a, DISK_BYTES); /* so that it is looked at again */
    work();
    closed();
}

/* ---- disks as a whole ---- */

static void disks_are_listed(void **state)
{
    struct skep_disk_info disk;
    (void)state;
    assert_int_equal(volume_get(1, SKEP_VOLUME_DISK, control_page_at, 0, 0), 0);
    memcpy(&disk, control_page, sizeof(disk));
    assert_int_equal(disk.bytes, DISK_BYTES);
    assert_int_equal(disk.block_bytes, 4096);
    assert_int_equal(disk.state, SKEP_DISK_ONLINE);
    assert_int_equal(volume_get(2, SKEP_VOLUME_DISK, control_page_at, 0, 0), -SKEP_ENOENT);
    assert_int_equal(volume_get(UINT64_MAX, SKEP_VOLUME_DISK, control_page_at, 0, 0), -SKEP_ENOENT);
}

/* Attached as the control service's are, to a guest with a memory that the test sees. The control service, which has
 * them, has to let go first. */
static void raw_opened(uint32_t disk)
{
    volume = volume_opened(1);
    rider_create(&rider, volume, SKEP_BLOCK_READ_ONLY);
    struct volume *raw = block_raw(disk);
    raw->writer = NULL;
    assert_int_equal(block_attach(rider.guest, 1, raw, 0), 0);
    rider_queue(&rider, 1, 256);
    rider.device = 1;
}

static uint8_t raw_outcome(uint32_t type, uint64_t sector, uint32_t page, uint32_t bytes)
{
    bool range = type == SKEP_BLOCK_T_DISCARD || type == SKEP_BLOCK_T_WRITE_ZEROES;
    uint32_t request = range ? rider_range(&rider, type, sector, bytes / 512)
                             : rider_add(&rider, type, sector, page, bytes);
    settle();
    return rider_status(&rider, request);
}

static void raw_closed(uint32_t disk)
{
    rider_destroy(&rider);
    block_raw(disk)->writer = control->blocks[disk];
    volume_closed(volume);
}

static void control_has_the_disks(void **state)
{
    (void)state;
    const struct skep_start_info *info = frame_data(control->start_info[0]);
    assert_int_equal(info->block_count, 2);
    assert_int_equal(info->block[0].bytes, DISK_BYTES);
    assert_int_equal(info->block[0].flags, SKEP_BLOCK_DISCARD);
    assert_int_equal(info->block[0].block_bytes, 512);
    assert_int_equal(info->block[1].block_bytes, 4096);
    assert_int_equal(info->block[1].flags, 0);
    assert_non_null(control->blocks[1]);
    fake_disk_resize(&disk_b, DISK_BYTES / 2);
    work();
    assert_int_equal(info->block[1].bytes, DISK_BYTES / 2);
    fake_disk_resize(&disk_b, DISK_BYTES);
    work();
}

static void raw_devices_are_the_disk(void **state)
{
    (void)state;
    raw_opened(0);
    memset(rider_data(&rider, 0), 0x42, PAGE_SIZE);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_OUT, DISK_BYTES / 512 - 8, 0, 4096), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.data[DISK_BYTES - 1], 0x42);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_IN, DISK_BYTES / 512 - 8, 3, 4096), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_data(&rider, 3)[5], 0x42);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_IN, DISK_BYTES / 512 - 7, 3, 4096),
                     SKEP_BLOCK_S_IOERR);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_FLUSH, 0, 0, 0), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.medium[DISK_BYTES - 1], 0x42);
    disk_a.log_count = 0;
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_WRITE_ZEROES, 0, 0, 3 << 20), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.log_count, 3); /* as much as it can at once */
    assert_int_equal(disk_a.log[2].op, DISK_WRITE_ZEROES);
    assert_int_equal(disk_a.data[(3 << 20) - 1], 0);
    assert_int_equal(disk_a.data[3 << 20], 0xaa);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_DISCARD, 8, 0, 4096), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.data[4096], 0xdd);
    raw_closed(0);
}

/* One that can't write zeroes by itself, with large blocks. */
static void zeroes_are_written_to_simple_disks(void **state)
{
    (void)state;
    raw_opened(1);
    memset(disk_b.data, 0x77, 1 << 20);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_WRITE_ZEROES, 8, 0, 4096 * 40), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_b.data[4095], 0x77);
    assert_int_equal(disk_b.data[4096], 0);
    assert_int_equal(disk_b.data[41 * 4096 - 1], 0);
    assert_int_equal(disk_b.data[41 * 4096], 0x77);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_DISCARD, 8, 0, 4096), SKEP_BLOCK_S_UNSUPP);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_IN, 1, 0, 4096), SKEP_BLOCK_S_IOERR);
    assert_int_equal(raw_outcome(SKEP_BLOCK_T_IN, 8, 0, 512), SKEP_BLOCK_S_IOERR);
    raw_closed(1);
}

/* ---- set-up of queues, and creation ---- */

static void queues_are_set_up_once(void **state)
{
    struct skep_queue_setup setup = {.queue = SKEP_QUEUE_BLOCK_0, .size = 256};
    (void)state;
    opened(1);
    setup.desc = rider.base + 5 * PAGE_SIZE;
    setup.avail = rider.base + 6 * PAGE_SIZE;
    setup.used = rider.base + 7 * PAGE_SIZE;
    assert_int_equal(io_queue_setup(rider.vcpu, &setup), -SKEP_EBUSY);
    setup.queue++;
    assert_int_equal(io_queue_setup(rider.vcpu, &setup), -SKEP_ENODEV);
    setup.queue = UINT32_MAX;
    assert_int_equal(io_queue_setup(rider.vcpu, &setup), -SKEP_ENODEV);
    assert_int_equal(io_queue_kick(rider.vcpu, SKEP_QUEUE_BLOCK_0 + 1), -SKEP_ENODEV);
    assert_int_equal(io_queue_kick(rider.vcpu, UINT32_MAX), -SKEP_ENODEV);
    closed();
}

static void devices_are_paid_by_the_guest(void **state)
{
    (void)state;
    opened(1);
    uint64_t committed = guest_frames_committed(rider.guest);
    closed();
    volume = volume_opened(1);
    struct skep_guest_spec spec = {
        .image = fake_image(),
        .memory_bytes = 2ull << 20,
        .stack_bytes = RIDER_PAGES * PAGE_SIZE,
        .vcpu_count = 1,
        .vcpu_max = 1,
        .weight = 100,
        .console_bytes = 4096,
        .block_count = 1,
        .block = {{.volume = volume}},
        .name = "small",
    };
    spec.memory_bytes = (committed - 1) * PAGE_SIZE;
    assert_int_equal(guest_create(control, &spec), -SKEP_ENOMEM);
    spec.memory_bytes = committed * PAGE_SIZE;
    int64_t handle = guest_create(control, &spec);
    assert_true(handle > 0);
    assert_int_equal(status_of(volume).users, 1);
    guest_gone(fake_find((uint64_t)handle));
    spec.block_count = SKEP_BLOCKS_MAX + 1;
    assert_int_equal(guest_create(control, &spec), -SKEP_EINVAL);
    volume_closed(volume);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, block_fixture_begin, block_fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(malformed_chains_end_the_guest),
        TEST(broken_indexes_end_the_guest),
        TEST(data_are_as_the_type_wants_them),
        TEST(wrong_requests_have_errors),
        TEST(memory_may_lie_anywhere),
        TEST(many_pieces_go_in_several_requests),
        TEST(scattered_blocks_are_refused),
        TEST(more_requests_than_slots_wait_in_the_queue),
        TEST(full_disk_queue_is_waited_for),
        TEST(event_comes_when_it_is_wanted),
        TEST(guest_ends_with_requests_underway),
        TEST(guest_ends_with_a_held_request),
        TEST(guest_ends_amid_copies),
        TEST(errors_of_the_disk_are_told),
        TEST(failed_disk_ends_all_requests),
        TEST(disks_are_listed),
        TEST(control_has_the_disks),
        TEST(raw_devices_are_the_disk),
        TEST(zeroes_are_written_to_simple_disks),
        TEST(queues_are_set_up_once),
        TEST(devices_are_paid_by_the_guest),
    };
    return cmocka_run_group_tests(tests, block_fixture_boot, NULL);
}
