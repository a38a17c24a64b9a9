/*
 * test_io_volume.c - volumes: maps, first writes, copies of shared chunks, the log of changes, the pool.
 */
#include "block_fixture.h"

#define SECTORS (CHUNK / 512)

static struct rider rider;
static uint64_t volume;

static void opened(uint32_t chunks)
{
    volume = volume_opened(chunks);
    rider_create(&rider, volume, 0);
}

static void closed(void)
{
    rider_destroy(&rider);
    volume_closed(volume);
}

/* ---- opening and closing ---- */

static int64_t open_error(const struct skep_volume_spec *spec)
{
    memcpy(control_page, spec, sizeof(*spec));
    return control_do(SKEP_CTL_VOLUME_OPEN, control_page_at, 0, 0, 0, 0);
}

static void malformed_specs_are_refused(void **state)
{
    struct skep_volume_spec good = volume_spec(4), bad;
    (void)state;
    bad = good, bad.disk = 2;
    assert_int_equal(open_error(&bad), -SKEP_ENODEV);
    bad = good, bad.chunk_bytes = 32768;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.chunk_bytes = 98304;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.first_byte += 512;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.first_byte = UINT64_MAX - 4095;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.disk_chunks++;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.disk_chunks = UINT32_MAX;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.bytes = 0;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.bytes += 512;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.bytes = (uint64_t)SKEP_CHUNKS_MAX * CHUNK + 4096;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, bad.flags = 4;
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
    bad = good, memset(bad.name, 'x', sizeof(bad.name));
    assert_int_equal(open_error(&bad), -SKEP_EINVAL);
}

static void handles_are_listed_and_go_stale(void **state)
{
    (void)state;
    uint64_t first = volume_opened(4), second = volume_opened(4);
    assert_int_equal(volume_get(0, SKEP_VOLUME_NEXT, 0, 0, 0), first);
    assert_int_equal(volume_get(first, SKEP_VOLUME_NEXT, 0, 0, 0), second);
    assert_int_equal(volume_get(second, SKEP_VOLUME_NEXT, 0, 0, 0), 0);
    volume_closed(first);
    assert_int_equal(volume_get(first, SKEP_VOLUME_STATUS, control_page_at, 0, 0), -SKEP_ENOENT);
    assert_int_equal(volume_get(first, SKEP_VOLUME_NEXT, 0, 0, 0), -SKEP_ENOENT);
    uint64_t third = volume_opened(4);
    assert_int_equal((uint32_t)third, (uint32_t)first);
    assert_true(third != first);
    assert_int_equal(volume_set(first, SKEP_VOLUME_CLOSE, 0, 0, 0), -SKEP_ENOENT);
    assert_int_equal(volume_set(third, 0, 0, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_set(third, 99, 0, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_get(third, 99, 0, 0, 0), -SKEP_EINVAL);
    assert_int_equal(status_of(second).spec.id, 77);
    volume_closed(second);
    volume_closed(third);
}

/* 2 million chunks: the promise is for all of the map, memory only for what is used. */
static void largest_map_is_promised_at_once(void **state)
{
    struct skep_volume_spec spec = volume_spec(4);
    (void)state;
    uint64_t promised = promise_taken();
    spec.bytes = (uint64_t)SKEP_CHUNKS_MAX * CHUNK;
    uint64_t large = volume_opened_with(&spec);
    assert_true(promise_taken() - promised > 2048);
    map_one(large, SKEP_CHUNKS_MAX - 1, 5);
    map_one(large, 1024, 6);
    assert_int_equal(mapped(large, SKEP_CHUNKS_MAX - 1), 5);
    assert_int_equal(mapped(large, SKEP_CHUNKS_MAX - 2), SKEP_CHUNK_NONE);
    assert_int_equal(status_of(large).mapped, 2);
    assert_int_equal(volume_get(large, SKEP_VOLUME_MAPPED, SKEP_CHUNKS_MAX, control_page_at, 1), 0);
    uint32_t calls = 1;
    while (volume_set(large, SKEP_VOLUME_SHARE, 0, 0, 0) == -SKEP_EAGAIN) {
        calls++;
    }
    assert_in_range(calls, 2, SKEP_CHUNKS_MAX / 1024);
    assert_int_equal(mapped(large, SKEP_CHUNKS_MAX - 1), 5 | SKEP_CHUNK_SHARED);
    volume_closed(large);
    uint64_t rest = promise_limit() - promise_taken();
    assert_int_equal(promise_take(rest - 200), 0);
    assert_int_equal(open_error(&spec), -SKEP_ENOMEM);
    promise_give(rest - 200);
}

static void map_takes_what_the_disk_has(void **state)
{
    (void)state;
    volume = volume_opened(4);
    uint32_t bad = DISK_CHUNKS;
    memcpy(control_page, &bad, 4);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, 0, control_page_at, 1), -SKEP_EINVAL);
    bad = SKEP_CHUNK_NONE | SKEP_CHUNK_SHARED;
    memcpy(control_page, &bad, 4);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, 0, control_page_at, 1), -SKEP_EINVAL);
    bad = SKEP_CHUNK_NONE;
    memcpy(control_page, &bad, 4);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_GIVE, control_page_at, 1, 0), -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, 4, control_page_at, 1), -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, UINT64_MAX, control_page_at, 1),
                     -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, 0, control_page_at, 513), -SKEP_E2BIG);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, 0, 0x1000, 1), -SKEP_EFAULT);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_FULL, 2, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_FLAGS, 8, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 1, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_STATUS, 0x1000, 0, 0), -SKEP_EFAULT);
    map_one(volume, 3, (DISK_CHUNKS - 1) | SKEP_CHUNK_SHARED);
    rider_create(&rider, volume, 0);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_MAP, 0, control_page_at, 1), -SKEP_EBUSY);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_CLOSE, 0, 0, 0), -SKEP_EBUSY);
    closed();
}

static void one_guest_writes(void **state)
{
    struct rider reader;
    (void)state;
    opened(4);
    assert_int_equal(rider_refused(volume, 0), -SKEP_EBUSY);
    assert_int_equal(rider_refused(volume, 2), -SKEP_EINVAL);
    assert_int_equal(rider_refused(volume + (1ull << 32), 0), -SKEP_ENOENT);
    rider_create(&reader, volume, SKEP_BLOCK_READ_ONLY);
    assert_int_equal(status_of(volume).users, 2);
    uint32_t request = rider_add(&reader, SKEP_BLOCK_T_OUT, 0, 0, 512);
    settle();
    assert_int_equal(rider_status(&reader, request), SKEP_BLOCK_S_IOERR);
    rider_destroy(&rider);
    assert_int_equal(status_of(volume).users, 1);
    rider_create(&rider, volume, 0);
    rider_destroy(&reader);
    closed();
}

/* ---- reading and writing ---- */

static void unmapped_reads_as_zeroes(void **state)
{
    (void)state;
    opened(4);
    read_is(&rider, 0, 0, 2 * CHUNK);
    assert_int_equal(disk_a.log_count, 0);
    assert_int_equal(status_of(volume).read_bytes, 2 * CHUNK);
    closed();
}

static void first_write_takes_a_chunk(void **state)
{
    struct skep_volume_change change;
    (void)state;
    opened(8);
    pool_give(volume, 10, 4);
    write_ok(&rider, 3 * SECTORS + 8, 0x11, 4096);
    assert_int_equal(mapped(volume, 3), 10);
    assert_int_equal(disk_chunk(&disk_a, 10)[4096], 0x11);
    assert_int_equal(disk_chunk(&disk_a, 10)[4095], 0);
    assert_int_equal(changes(volume, &change), 1);
    assert_int_equal(change.sequence, 0);
    assert_int_equal(change.chunk, 3);
    assert_int_equal(change.from, SKEP_CHUNK_NONE);
    assert_int_equal(change.to, 10);
    read_is(&rider, 3 * SECTORS, 0, 4096);
    read_is(&rider, 3 * SECTORS + 8, 0x11, 4096);
    struct skep_volume_status status = status_of(volume);
    assert_int_equal(status.pool_count, 3);
    assert_int_equal(status.mapped, 1);
    assert_int_equal(status.sequence, 1);
    assert_int_equal(status.writes, 1);
    assert_int_equal(status.reads, 2);
    closed();
}

/* A guest's device counts what it did, and not what others do with the same volume. */
static void devices_count_for_themselves(void **state)
{
    struct skep_guest_status status, of_other;
    struct rider reader;
    (void)state;
    opened(8);
    pool_give(volume, 10, 4);
    write_ok(&rider, 0, 0x11, 4096);
    rider_create(&reader, volume, SKEP_BLOCK_READ_ONLY);
    read_is(&reader, 0, 0x11, 4096);
    read_is(&reader, 0, 0x11, 512);
    guest_status(rider.guest, &status);
    guest_status(reader.guest, &of_other);
    assert_int_equal(status.block[0].writes, 1);
    assert_int_equal(status.block[0].written_bytes, 4096);
    assert_int_equal(status.block[0].reads, 0);
    assert_int_equal(of_other.block[0].reads, 2);
    assert_int_equal(of_other.block[0].read_bytes, 4608);
    assert_int_equal(of_other.block[0].writes, 0);
    assert_int_equal(of_other.block[1].reads, 0);
    assert_int_equal(status_of(volume).reads, 2);
    rider_destroy(&reader);
    closed();
}

/* In brief the status has the same, as far as it goes; not a byte behind it is written. */
static void a_status_may_be_brief(void **state)
{
    struct skep_guest_status status;
    const uint8_t *copied = control_page;
    (void)state;
    opened(8);
    guest_status(rider.guest, &status);
    memset(control_page, 0xee, sizeof(status) + 1);
    assert_int_equal(control_do(SKEP_CTL_GUEST_STATUS, rider.guest->handle, control_page_at,
                                SKEP_GUEST_BRIEF_BYTES, 0, 0),
                     0);
    assert_memory_equal(copied, &status, SKEP_GUEST_BRIEF_BYTES);
    for (size_t i = SKEP_GUEST_BRIEF_BYTES; i <= sizeof(status); i++) {
        assert_int_equal(copied[i], 0xee);
    }
    assert_int_equal(control_do(SKEP_CTL_GUEST_STATUS, rider.guest->handle, control_page_at,
                                sizeof(status), 0, 0),
                     0);
    assert_memory_equal(copied, &status, sizeof(status));
    assert_true(status.memory_committed > 0);
    assert_int_equal(copied[sizeof(status)], 0xee);
    static const uint64_t others[] = {
        0,         1, SKEP_GUEST_BRIEF_BYTES - 1, SKEP_GUEST_BRIEF_BYTES + 1, sizeof(status) + 1,
        UINT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        assert_int_equal(control_do(SKEP_CTL_GUEST_STATUS, rider.guest->handle, control_page_at,
                                    others[i], 0, 0),
                         -SKEP_EINVAL);
    }
    closed();
}

/* Neighbours on the disk go in one request, others in their own. */
static void requests_are_split_where_chunks_part(void **state)
{
    (void)state;
    opened(8);
    pool_give(volume, 20, 2);
    write_ok(&rider, SECTORS / 2, 0x22, CHUNK);
    assert_int_equal(disk_a.log_count, 1);
    assert_int_equal(mapped(volume, 1), 21);
    rider_destroy(&rider);
    map_one(volume, 1, 30);
    memset(disk_chunk(&disk_a, 30), 0x22, CHUNK);
    rider_create(&rider, volume, 0);
    disk_a.log_count = 0;
    read_is(&rider, SECTORS / 2, 0x22, CHUNK);
    assert_int_equal(disk_a.log_count, 2);
    assert_int_equal(disk_a.log[0].sectors, SECTORS / 2);
    closed();
}

/* ---- flushes ---- */

static void flush_waits_for_the_commit(void **state)
{
    (void)state;
    opened(4);
    pool_give(volume, 10, 4);
    write_ok(&rider, 0, 0x33, 512);
    status_of(volume);
    notified(0, 0);
    uint32_t flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    settle();
    assert_int_equal(rider_status(&rider, flush), NOT_DONE);
    assert_int_equal(notified(volume, SKEP_NOTIFY_VOLUME), 1);
    struct skep_volume_status status = status_of(volume);
    assert_int_equal(status.held, 1);
    assert_int_equal(status.wanting, 1);
    disk_a.log_count = 0;
    commit_all(volume);
    work();
    assert_int_equal(rider_status(&rider, flush), NOT_DONE);
    assert_int_equal(disk_a.held_count, 1);
    assert_int_equal(disk_a.held[0]->op, DISK_FLUSH);
    settle();
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.medium[FIRST_BYTE + 10 * CHUNK], 0x33);
    flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    settle();
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_OK);
    assert_int_equal(status_of(volume).flushes, 2);
    closed();
}

/* One that was taken before a change doesn't wait for it. */
static void flush_waits_for_nothing_later(void **state)
{
    (void)state;
    opened(4);
    pool_give(volume, 10, 4);
    write_ok(&rider, 0, 1, 512);
    uint32_t flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    work();
    write_ok(&rider, SECTORS, 1, 512);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 1, 0, 0), 0);
    settle();
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_OK);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 0, 0, 0), -SKEP_EINVAL);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 3, 0, 0), -SKEP_EINVAL);
    closed();
}

/* ---- the pool ---- */

static void writes_wait_for_the_pool(void **state)
{
    (void)state;
    opened(4);
    notified(0, 0);
    uint32_t first = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    uint32_t second = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, first), NOT_DONE);
    assert_int_equal(notified(volume, SKEP_NOTIFY_VOLUME), 1);
    assert_int_equal(status_of(volume).wanting, 2);
    pool_give(volume, 40, 1);
    settle();
    assert_int_equal(rider_status(&rider, first), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, second), NOT_DONE);
    assert_int_equal(notified(volume, SKEP_NOTIFY_VOLUME), 1);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_FULL, 1, 0, 0), 0);
    settle();
    assert_int_equal(rider_status(&rider, second), SKEP_BLOCK_S_NOSPC);
    write_ok(&rider, 8, 5, 512); /* what has its place needs none */
    assert_int_equal(status_of(volume).full, 1);
    closed();
}

static void a_pool_that_is_half_empty_is_told(void **state)
{
    (void)state;
    opened(8);
    pool_give(volume, 10, 4);
    notified(0, 0);
    write_ok(&rider, 0, 1, 512);
    write_ok(&rider, SECTORS, 1, 512);
    assert_int_equal(notified(volume, SKEP_NOTIFY_VOLUME), 0);
    write_ok(&rider, 2 * SECTORS, 1, 512);
    assert_int_equal(notified(volume, SKEP_NOTIFY_VOLUME), 1);
    uint32_t *left = (uint32_t *)control_page;
    assert_int_equal(volume_get(volume, SKEP_VOLUME_POOL, control_page_at, 100, 0), 1);
    assert_int_equal(left[0], 13);
    closed();
}

static void the_pool_takes_what_it_has_room_for(void **state)
{
    (void)state;
    volume = volume_opened(4);
    for (uint32_t i = 0; i < 300; i++) {
        ((uint32_t *)control_page)[i] = i % DISK_CHUNKS;
    }
    assert_int_equal(volume_set(volume, SKEP_VOLUME_GIVE, control_page_at, 300, 0),
                     SKEP_VOLUME_POOL_MAX);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_GIVE, control_page_at, 1, 0), 0);
    volume_closed(volume);
}

/* Writing and discarding the same chunk makes changes without end: the log holds as many as it has places for. */
static void writes_wait_for_the_log(void **state)
{
    struct skep_volume_change change;
    (void)state;
    opened(4);
    for (uint32_t i = 0; i < SKEP_VOLUME_CHANGES_MAX / 2; i++) {
        pool_give(volume, i % 100, 1);
        write_ok(&rider, 0, 1, 512);
        uint32_t discard = rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, SECTORS);
        settle();
        assert_int_equal(rider_status(&rider, discard), SKEP_BLOCK_S_OK);
    }
    pool_give(volume, 100, 1);
    uint32_t request = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, request), NOT_DONE);
    assert_int_equal(status_of(volume).wanting, 1);
    assert_int_equal(changes(volume, &change), SKEP_PAGE_SIZE / sizeof(change));
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 1, 0, 0), 0);
    settle();
    assert_int_equal(rider_status(&rider, request), SKEP_BLOCK_S_OK);
    assert_int_equal(changes(volume, &change), SKEP_PAGE_SIZE / sizeof(change));
    assert_int_equal(change.sequence, 1);
    closed();
}

/* ---- shared chunks ---- */

static void shared(uint32_t chunk, uint32_t place, uint8_t value)
{
    map_one(volume, chunk, place | SKEP_CHUNK_SHARED);
    memset(disk_chunk(&disk_a, place), value, CHUNK);
}

static void shared_chunk_is_copied_before_it_is_written(void **state)
{
    struct skep_volume_change change;
    (void)state;
    volume = volume_opened(4);
    shared(1, 50, 0x50);
    rider_create(&rider, volume, 0);
    pool_give(volume, 60, 2);
    memset(rider_data(&rider, 0), 0x66, PAGE_SIZE);
    uint32_t first = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS + 8, 0, 4096);
    uint32_t second = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS + 24, 0, 4096);
    uint32_t read = rider_add(&rider, SKEP_BLOCK_T_IN, SECTORS + 8, 4, 4096);
    work();
    assert_int_equal(disk_a.held_count, 2); /* the copy's read, and the guest's */
    assert_int_equal(mapped(volume, 1), 50 | SKEP_CHUNK_SHARED);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_POOL, control_page_at, 100, 0), 2);
    assert_int_equal(changes(volume, &change), 0);
    settle();
    assert_int_equal(rider_status(&rider, first), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, second), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, read), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_data(&rider, 4)[0], 0x50);
    assert_int_equal(mapped(volume, 1), 60);
    assert_int_equal(changes(volume, &change), 1);
    assert_int_equal(change.from, 50 | SKEP_CHUNK_SHARED);
    assert_int_equal(change.to, 60);
    assert_int_equal(disk_chunk(&disk_a, 60)[4096], 0x66);
    assert_int_equal(disk_chunk(&disk_a, 60)[4095], 0x50);
    assert_int_equal(disk_chunk(&disk_a, 60)[CHUNK - 1], 0x50);
    assert_int_equal(disk_chunk(&disk_a, 50)[4096], 0x50);
    closed();
}

/* The map changes when all of it is written, and not before. */
static void whole_chunk_replaces_a_shared_one(void **state)
{
    struct skep_volume_change change;
    (void)state;
    volume = volume_opened(4);
    shared(1, 50, 0x50);
    rider_create(&rider, volume, 0);
    pool_give(volume, 60, 2);
    memset(rider_data(&rider, 0), 0x77, PAGE_SIZE);
    uint32_t whole = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, CHUNK);
    uint32_t part = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 20, 512);
    work();
    assert_int_equal(disk_a.held_count, 1);
    assert_int_equal(mapped(volume, 1), 50 | SKEP_CHUNK_SHARED);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_POOL, control_page_at, 100, 0), 2);
    disk_a.log_count = 0;
    settle();
    assert_int_equal(disk_a.log_count, 2); /* nothing was read */
    assert_int_equal(rider_status(&rider, whole), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, part), SKEP_BLOCK_S_OK);
    assert_int_equal(mapped(volume, 1), 60);
    assert_int_equal(changes(volume, &change), 1);
    closed();
}

/* What the failed copy was to be in is kept for the next one, and never given to a first write. */
static void failed_copy_spoils_no_chunk_of_the_pool(void **state)
{
    (void)state;
    volume = volume_opened(4);
    shared(1, 50, 0x50);
    rider_create(&rider, volume, 0);
    pool_give(volume, 60, 1);
    uint32_t request = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, 512);
    work();
    fake_disk_let_go(&disk_a, 0, 0);
    work();
    fake_disk_let_go(&disk_a, 0, -SKEP_EIO);
    settle();
    assert_int_equal(rider_status(&rider, request), SKEP_BLOCK_S_IOERR);
    assert_int_equal(mapped(volume, 1), 50 | SKEP_CHUNK_SHARED);
    assert_int_equal(status_of(volume).pool_count, 0);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_POOL, control_page_at, 100, 0), 1);
    uint32_t fresh = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, fresh), NOT_DONE);
    write_ok(&rider, SECTORS, 9, 512);
    assert_int_equal(mapped(volume, 1), 60);
    pool_give(volume, 61, 1);
    settle();
    assert_int_equal(rider_status(&rider, fresh), SKEP_BLOCK_S_OK);
    closed();
}

/* More chunks at once than there are copies. */
static void copies_are_waited_for(void **state)
{
    uint32_t requests[8];
    (void)state;
    volume = volume_opened(8);
    for (uint32_t i = 0; i < 8; i++) {
        shared(i, 50 + i, (uint8_t)(0x50 + i));
    }
    rider_create(&rider, volume, 0);
    pool_give(volume, 60, 8);
    for (uint32_t i = 0; i < 8; i++) {
        requests[i] = rider_add(&rider, SKEP_BLOCK_T_OUT, i * SECTORS, 0, 512);
    }
    work();
    assert_int_equal(disk_a.held_count, 4);
    settle();
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(rider_status(&rider, requests[i]), SKEP_BLOCK_S_OK);
        assert_int_equal(disk_chunk(&disk_a, mapped(volume, i))[512], 0x50 + i);
    }
    closed();
}

static int64_t share_once(void)
{
    const uint64_t arguments[5] = {volume, SKEP_VOLUME_SHARE};
    return volume_set_call(control, arguments);
}

static void sharing_waits_for_writes(void **state)
{
    (void)state;
    opened(4);
    pool_give(volume, 10, 4);
    uint32_t first = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    work();
    assert_int_equal(share_once(), -SKEP_EAGAIN);
    uint32_t second = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    uint32_t third = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, 512);
    uint32_t read = rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, first), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, second), NOT_DONE);
    assert_int_equal(rider_status(&rider, third), NOT_DONE);
    assert_int_equal(rider_status(&rider, read), SKEP_BLOCK_S_OK);
    assert_int_equal(mapped(volume, 0), 10);
    assert_int_equal(share_once(), 0);
    assert_int_equal(mapped(volume, 0), 10 | SKEP_CHUNK_SHARED);
    settle();
    assert_int_equal(rider_status(&rider, second), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, third), SKEP_BLOCK_S_OK);
    assert_true(mapped(volume, 0) != 10);
    assert_int_equal(mapped(volume, 1) & SKEP_CHUNK_SHARED, 0);
    closed();
}

/* Nobody would end what a control service began that is gone. */
static void control_that_ends_shares_no_more(void **state)
{
    (void)state;
    opened(4);
    pool_give(volume, 10, 4);
    uint32_t first = rider_add(&rider, SKEP_BLOCK_T_OUT, 0, 0, 512);
    work();
    assert_int_equal(share_once(), -SKEP_EAGAIN);
    uint32_t second = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 0, 512);
    settle();
    assert_int_equal(rider_status(&rider, first), SKEP_BLOCK_S_OK);
    assert_int_equal(rider_status(&rider, second), NOT_DONE);
    volume_shares_undo();
    settle();
    assert_int_equal(rider_status(&rider, second), SKEP_BLOCK_S_OK);
    assert_int_equal(share_once(), 0);
    assert_int_equal(mapped(volume, 1), 11 | SKEP_CHUNK_SHARED);
    closed();
}

/* ---- giving back ---- */

static void discard_takes_whole_chunks(void **state)
{
    struct skep_volume_change change;
    (void)state;
    volume = volume_opened(4);
    for (uint32_t i = 0; i < 4; i++) {
        map_one(volume, i, (20 + i) | (i == 2 ? SKEP_CHUNK_SHARED : 0));
    }
    rider_create(&rider, volume, 0);
    disk_a.log_count = 0;
    uint32_t request = rider_range(&rider, SKEP_BLOCK_T_DISCARD, SECTORS / 2, 3 * SECTORS);
    settle();
    assert_int_equal(rider_status(&rider, request), SKEP_BLOCK_S_OK);
    assert_int_equal(disk_a.log_count, 0);
    assert_int_equal(mapped(volume, 0), 20);
    assert_int_equal(mapped(volume, 1), SKEP_CHUNK_NONE);
    assert_int_equal(mapped(volume, 2), SKEP_CHUNK_NONE);
    assert_int_equal(mapped(volume, 3), 23);
    assert_int_equal(changes(volume, &change), 2);
    assert_int_equal(change.from, 21);
    assert_int_equal(change.to, SKEP_CHUNK_NONE);
    memcpy(&change, control_page + sizeof(change), sizeof(change));
    assert_int_equal(change.from, 22 | SKEP_CHUNK_SHARED);
    read_is(&rider, SECTORS, 0, CHUNK);
    closed();
}

/* The chunk could be somebody else's by then. */
static void change_is_shown_when_nobody_uses_the_chunk(void **state)
{
    struct skep_volume_change change;
    (void)state;
    volume = volume_opened(4);
    map_one(volume, 0, 20);
    map_one(volume, 1, 21);
    rider_create(&rider, volume, 0);
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512);
    work();
    uint32_t discard = rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, SECTORS);
    work();
    assert_int_equal(rider_status(&rider, discard), SKEP_BLOCK_S_OK);
    uint32_t flush = rider_add(&rider, SKEP_BLOCK_T_FLUSH, 0, 0, 0);
    rider_add(&rider, SKEP_BLOCK_T_IN, SECTORS, 4, 512); /* it was begun after the change */
    work();
    assert_int_equal(disk_a.held_count, 2);
    assert_int_equal(changes(volume, &change), 0);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 1, 0, 0), -SKEP_EINVAL);
    notified(0, 0);
    fake_disk_let_go(&disk_a, 0, 0);
    work();
    assert_int_equal(disk_a.held_count, 1);
    assert_int_equal(notified(volume, SKEP_NOTIFY_VOLUME), 1);
    assert_int_equal(changes(volume, &change), 1);
    assert_int_equal(volume_set(volume, SKEP_VOLUME_COMMIT, 1, 0, 0), 0);
    settle();
    assert_int_equal(rider_status(&rider, flush), SKEP_BLOCK_S_OK);
    closed();
}

/* A control service that is new must not take it for free. */
static void change_is_listed_before_it_is_shown(void **state)
{
    struct skep_volume_change change;
    const uint32_t *list = (uint32_t *)control_page;
    (void)state;
    volume = volume_opened(4);
    map_one(volume, 0, 20);
    rider_create(&rider, volume, 0);
    rider_add(&rider, SKEP_BLOCK_T_IN, 0, 0, 512); /* uses the chunk that the first change frees */
    work();
    rider_range(&rider, SKEP_BLOCK_T_DISCARD, 0, SECTORS);
    work();
    pool_give(volume, 40, 1);
    uint32_t request = rider_add(&rider, SKEP_BLOCK_T_OUT, SECTORS, 4, 512);
    work();
    assert_int_equal(changes(volume, &change), 0);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_POOL, control_page_at, 100, 0), 0);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_TAKEN, 0, control_page_at, 100), 2);
    assert_int_equal(list[0], SKEP_CHUNK_NONE);
    assert_int_equal(list[1], 40);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_TAKEN, 1, control_page_at, 100), 1);
    assert_int_equal(list[0], 40);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_TAKEN, UINT64_MAX, control_page_at, 100), 0);
    settle();
    assert_int_equal(rider_status(&rider, request), SKEP_BLOCK_S_OK);
    commit_all(volume);
    assert_int_equal(volume_get(volume, SKEP_VOLUME_TAKEN, 0, control_page_at, 100), 0);
    closed();
}

static void zeroes_are_written_where_a_chunk_stays(void **state)
{
    (void)state;
    volume = volume_opened(4);
    for (uint32_t i = 0; i < 3; i++) {
        map_one(volume, i, 20 + i);
    }
    rider_create(&rider, volume, 0);
    uint32_t request = rider_range(&rider, SKEP_BLOCK_T_WRITE_ZEROES, SECTORS / 2, 2 * SECTORS);
    settle();
    assert_int_equal(rider_status(&rider, request), SKEP_BLOCK_S_OK);
    assert_int_equal(mapped(volume, 1), SKEP_CHUNK_NONE);
    assert_int_equal(disk_chunk(&disk_a, 20)[CHUNK / 2 - 1], 0xaa);
    assert_int_equal(disk_chunk(&disk_a, 20)[CHUNK / 2], 0);
    assert_int_equal(disk_chunk(&disk_a, 22)[CHUNK / 2 - 1], 0);
    assert_int_equal(disk_chunk(&disk_a, 22)[CHUNK / 2], 0xaa);
    uint32_t partly = rider_range(&rider, SKEP_BLOCK_T_WRITE_ZEROES, SECTORS, 8);
    settle();
    assert_int_equal(rider_status(&rider, partly), SKEP_BLOCK_S_OK);
    assert_int_equal(mapped(volume, 1), SKEP_CHUNK_NONE);
    closed();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, block_fixture_begin, block_fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(malformed_specs_are_refused),
        TEST(handles_are_listed_and_go_stale),
        TEST(largest_map_is_promised_at_once),
        TEST(map_takes_what_the_disk_has),
        TEST(one_guest_writes),
        TEST(unmapped_reads_as_zeroes),
        TEST(devices_count_for_themselves),
        TEST(a_status_may_be_brief),
        TEST(first_write_takes_a_chunk),
        TEST(requests_are_split_where_chunks_part),
        TEST(flush_waits_for_the_commit),
        TEST(flush_waits_for_nothing_later),
        TEST(writes_wait_for_the_pool),
        TEST(a_pool_that_is_half_empty_is_told),
        TEST(the_pool_takes_what_it_has_room_for),
        TEST(writes_wait_for_the_log),
        TEST(shared_chunk_is_copied_before_it_is_written),
        TEST(whole_chunk_replaces_a_shared_one),
        TEST(failed_copy_spoils_no_chunk_of_the_pool),
        TEST(copies_are_waited_for),
        TEST(sharing_waits_for_writes),
        TEST(control_that_ends_shares_no_more),
        TEST(discard_takes_whole_chunks),
        TEST(change_is_shown_when_nobody_uses_the_chunk),
        TEST(change_is_listed_before_it_is_shown),
        TEST(zeroes_are_written_where_a_chunk_stays),
    };
    return cmocka_run_group_tests(tests, block_fixture_boot, NULL);
}
