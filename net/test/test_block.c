/*
 * test_block.c - the guest's end of block devices against a back-end that the test plays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sched.h>
#include <cmocka.h>

#include "../lwip/network.h"
#include "backend.h"
#include "guestlib.h"
#include "skep/block.h"
#include "skep/guest.h"
#include "skep/virtqueue.h"

enum { DISK = 0, LARGE = 1, QUEUE = SKEP_QUEUE_BLOCK_0, HELD_MAX = 256, HEADER = 16 };
#define BYTES       (4u << 20)
#define LARGE_BYTES (5ull << 30)

/* What the back-end has taken and not given back. */
struct held {
    int head;
    struct skep_block_header header;
    struct skep_block_range range;
    unsigned queue;
};
static struct held held[HELD_MAX];
static unsigned held_count;
static uint8_t *disk;

/* Whom a change of guestlib.c's clock wakes isn't here. */
void network_wake(void)
{
}

/*
 * The back-end
 */

static struct skep_vring_desc *desc_of(unsigned queue)
{
    return (struct skep_vring_desc *)(uintptr_t)backend_queues[queue].setup.desc;
}

static void take_all(unsigned queue)
{
    for (int head; (head = backend_next(queue)) >= 0;) {
        struct held *to = &held[held_count++];
        assert_true(held_count < HELD_MAX);
        *to = (struct held){.head = head, .queue = queue};
        const struct skep_vring_desc *desc = &desc_of(queue)[head];
        assert_int_equal(desc->len, HEADER);
        assert_int_equal(desc->flags, SKEP_VRING_DESC_NEXT);
        memcpy(&to->header, (void *)(uintptr_t)desc->addr, HEADER);
        if (to->header.type == SKEP_BLOCK_T_DISCARD ||
            to->header.type == SKEP_BLOCK_T_WRITE_ZEROES) {
            desc = &desc_of(queue)[desc->next];
            assert_int_equal(desc->len, sizeof(to->range));
            memcpy(&to->range, (void *)(uintptr_t)desc->addr, sizeof(to->range));
        }
    }
}

/* The data between header and status. Returns its bytes. */
static uint64_t data_move(const struct held *which)
{
    bool reads = which->header.type == SKEP_BLOCK_T_IN;
    uint8_t *at = disk + which->header.sector * 512;
    uint64_t bytes = 0;
    const struct skep_vring_desc *desc = &desc_of(which->queue)[which->head];
    for (desc = &desc_of(which->queue)[desc->next]; desc->flags & SKEP_VRING_DESC_NEXT;
         desc = &desc_of(which->queue)[desc->next]) {
        void *data = (void *)(uintptr_t)desc->addr;
        assert_int_equal(desc->flags & SKEP_VRING_DESC_WRITE, reads ? SKEP_VRING_DESC_WRITE : 0);
        assert_true(desc->len > 0);
        memcpy(reads ? data : at, reads ? at : data, desc->len);
        at += desc->len;
        bytes += desc->len;
    }
    return bytes;
}

static void status_set(const struct held *which, uint8_t status)
{
    const struct skep_vring_desc *desc = &desc_of(which->queue)[which->head];
    unsigned count = 1;
    for (; desc->flags & SKEP_VRING_DESC_NEXT; count++)
        desc = &desc_of(which->queue)[desc->next];
    assert_true(count <= SKEP_BLOCK_PARTS_MAX);
    assert_int_equal(desc->len, 1);
    assert_int_equal(desc->flags, SKEP_VRING_DESC_WRITE);
    *(uint8_t *)(uintptr_t)desc->addr = status;
}

static void let_go(unsigned which, uint8_t status)
{
    assert_true(which < held_count);
    struct held done = held[which];
    memmove(&held[which], &held[which + 1], (--held_count - which) * sizeof(held[0]));
    bool moves = done.header.type == SKEP_BLOCK_T_IN || done.header.type == SKEP_BLOCK_T_OUT;
    if (moves && status == SKEP_BLOCK_S_OK && done.queue == QUEUE + DISK)
        data_move(&done);
    status_set(&done, status);
    backend_use(done.queue, done.head, 1);
}

static void on_event(unsigned queue)
{
    host_event(SKEP_EVENT_QUEUE_0 + queue);
}

/* Set up once: the library keeps its queues. */
static int group_setup(void **state)
{
    (void)state;
    struct skep_block *block = host_start_info.block;
    host_start_info.block_count = 2;
    atomic_store(&block[DISK].bytes, BYTES);
    block[DISK].block_bytes = 512;
    strcpy(block[DISK].name, "data");
    atomic_store(&block[LARGE].bytes, LARGE_BYTES);
    atomic_store(&block[LARGE].flags, SKEP_BLOCK_DISCARD);
    block[LARGE].block_bytes = 4096;
    block[LARGE].discard_bytes = 65536;
    strcpy(block[LARGE].name, "large");
    disk = malloc(BYTES);
    for (unsigned i = 0; i < BYTES; i++)
        disk[i] = (uint8_t)(i / 512 + i);
    backend_on_event = on_event;
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    free(disk);
    for (unsigned i = 0; i < 2; i++)
        skep_mem_unmap((void *)(uintptr_t)backend_queues[QUEUE + i].setup.desc, SKEP_PAGE_SIZE);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    take_all(QUEUE + DISK);
    take_all(QUEUE + LARGE);
    return held_count; /* 0 */
}

/*
 * Requests
 */

static unsigned done_count;
static struct skep_block_io *done_order[HELD_MAX];

static void on_done(struct skep_block_io *io)
{
    done_order[done_count++] = io;
}

static struct skep_block_io io_of(enum skep_block_op op, uint64_t offset,
                                  struct skep_block_part *part)
{
    return (struct skep_block_io){
        .op = op, .offset = offset, .parts = part, .part_count = part != NULL, .done = on_done};
}

static void nothing_is_set_up_before_it_is_used(void **state)
{
    (void)state;
    static uint8_t data[512];
    struct skep_block_part part = {data, sizeof(data)};
    struct skep_block_io io = io_of(SKEP_BLOCK_READ, 0, &part);
    assert_int_equal(backend_queues[QUEUE].setup.size, 0);
    skep_block_kick(DISK); /* harmless */
    backend_setup_result = -SKEP_ENODEV;
    assert_int_equal(skep_block_submit(DISK, &io), -SKEP_ENODEV);
    backend_setup_result = 0;
    assert_int_equal(skep_block_submit(DISK, &io), 0);
    assert_int_equal(backend_queues[QUEUE].setup.size, SKEP_VIRTQUEUE_SIZE_MAX);
    io = io_of(SKEP_BLOCK_READ, 0, &part);
    assert_int_equal(skep_block_submit(LARGE, &io), -SKEP_EINVAL);
    struct skep_block_io flush = io_of(SKEP_BLOCK_FLUSH, 0, NULL);
    assert_int_equal(skep_block_submit(LARGE, &flush), 0);
    skep_block_kick(DISK);
    skep_block_kick(LARGE);
    done_count = 0;
    take_all(QUEUE + DISK);
    take_all(QUEUE + LARGE);
    while (held_count > 0)
        let_go(0, SKEP_BLOCK_S_OK);
    assert_int_equal(done_count, 2);
}

static void devices_are_found(void **state)
{
    (void)state;
    struct skep_block_info info;
    assert_int_equal(skep_block_count(), 2);
    assert_int_equal(skep_block_info(2, &info), -SKEP_ENODEV);
    assert_int_equal(skep_block_info(LARGE, &info), 0);
    assert_int_equal(info.bytes, LARGE_BYTES);
    assert_int_equal(info.block_bytes, 4096);
    assert_int_equal(info.discard_bytes, 65536);
    assert_int_equal(info.flags, SKEP_BLOCK_DISCARD);
    assert_string_equal(info.name, "large");
    assert_int_equal(skep_block_find("large"), LARGE);
    assert_int_equal(skep_block_find("data"), DISK);
    assert_int_equal(skep_block_find("dat"), -SKEP_ENODEV);
    assert_int_equal(skep_block_find("data2"), -SKEP_ENODEV);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static uint8_t data[SKEP_BLOCK_BYTES_MAX + 512];
    struct skep_block_part part = {data, 512};
    struct skep_block_io io = io_of(SKEP_BLOCK_READ, 0, &part);
    assert_int_equal(skep_block_submit(2, &io), -SKEP_ENODEV);
    static const struct {
        uint64_t offset, bytes;
    } wrong[] = {{1, 512},
                 {0, 511},
                 {0, 0},
                 {BYTES, 512},
                 {BYTES - 512, 1024},
                 {UINT64_MAX - 511, 512},
                 {0, SKEP_BLOCK_BYTES_MAX + 512}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        part.bytes = wrong[i].bytes;
        io = io_of(SKEP_BLOCK_READ, wrong[i].offset, &part);
        assert_int_equal(skep_block_submit(DISK, &io), -SKEP_EINVAL);
        io = io_of(SKEP_BLOCK_WRITE_DURABLE, wrong[i].offset, &part);
        assert_int_equal(skep_block_submit(DISK, &io), -SKEP_EINVAL);
    }
    struct skep_block_part many[33];
    for (unsigned i = 0; i < 33; i++)
        many[i] = (struct skep_block_part){data, 512};
    io = io_of(SKEP_BLOCK_WRITE, 0, many);
    io.part_count = 33;
    assert_int_equal(skep_block_submit(DISK, &io), -SKEP_EINVAL);
    io = io_of((enum skep_block_op)77, 0, many);
    assert_int_equal(skep_block_submit(DISK, &io), -SKEP_EINVAL);
    assert_int_equal(skep_block_trim(DISK, 512, BYTES), -SKEP_EINVAL);
    assert_int_equal(skep_block_zero(DISK, 5, 512), -SKEP_EINVAL);
    assert_int_equal(skep_block_read(DISK, BYTES, data, 512), -SKEP_EINVAL);
    assert_int_equal(skep_block_write(DISK, 0, data, 100), -SKEP_EINVAL);
    assert_int_equal(skep_block_read(5, 0, data, 512), -SKEP_ENODEV);
    assert_int_equal(skep_block_flush(5), -SKEP_ENODEV);
    assert_int_equal(skep_block_trim(5, 0, 512), -SKEP_ENODEV);
    assert_int_equal(skep_block_read(DISK, BYTES, data, 0), 0);
    assert_int_equal(skep_block_trim(DISK, 0, 0), 0);
}

static void requests_are_done_in_any_order(void **state)
{
    (void)state;
    static uint8_t data[3][1024];
    struct skep_block_part parts[3];
    struct skep_block_io ios[3];
    unsigned kicks = backend_queues[QUEUE].kicks;
    done_count = 0;
    for (unsigned i = 0; i < 3; i++) {
        parts[i] = (struct skep_block_part){data[i], 1024};
        ios[i] = io_of(SKEP_BLOCK_READ, 4096 * (i + 1), &parts[i]);
        assert_int_equal(skep_block_submit(DISK, &ios[i]), 0);
    }
    take_all(QUEUE);
    assert_int_equal(held_count, 0); /* not shown before the kick */
    skep_block_kick(DISK);
    assert_int_equal(backend_queues[QUEUE].kicks, kicks + 1);
    take_all(QUEUE);
    assert_int_equal(held_count, 3);
    let_go(1, SKEP_BLOCK_S_OK);
    let_go(1, SKEP_BLOCK_S_OK);
    let_go(0, SKEP_BLOCK_S_OK);
    assert_int_equal(done_count, 3);
    assert_ptr_equal(done_order[0], &ios[1]);
    assert_ptr_equal(done_order[1], &ios[2]);
    assert_ptr_equal(done_order[2], &ios[0]);
    for (unsigned i = 0; i < 3; i++)
        assert_memory_equal(data[i], disk + 4096 * (i + 1), 1024);
}

static void parts_are_gathered_and_scattered(void **state)
{
    (void)state;
    static uint8_t out[40], in[2048 + 1];
    memset(out, 0xab, sizeof(out));
    memset(in, 0xcd, sizeof(in));
    struct skep_block_part write[] = {{out, 40}, {in + 1, 0}, {in + 1, 984}};
    struct skep_block_io io = io_of(SKEP_BLOCK_WRITE, 512, write);
    io.part_count = 3;
    done_count = 0;
    assert_int_equal(skep_block_submit(DISK, &io), 0);
    skep_block_kick(DISK);
    take_all(QUEUE);
    assert_int_equal(held[0].header.type, SKEP_BLOCK_T_OUT);
    assert_int_equal(held[0].header.sector, 1);
    let_go(0, SKEP_BLOCK_S_OK);
    assert_int_equal(io.result, 0);
    assert_int_equal(disk[512 + 39], 0xab);
    assert_int_equal(disk[512 + 40], 0xcd);
    assert_int_equal(disk[512 + 1023], 0xcd);
    struct skep_block_part read[] = {{in, 1}, {in + 1, 511}};
    io = io_of(SKEP_BLOCK_READ, 512, read);
    io.part_count = 2;
    assert_int_equal(skep_block_submit(DISK, &io), 0);
    skep_block_kick(DISK);
    take_all(QUEUE);
    let_go(0, SKEP_BLOCK_S_OK);
    assert_memory_equal(in, disk + 512, 512);
    assert_int_equal(in[512], 0xcd);
}

static void errors_have_their_names(void **state)
{
    (void)state;
    static uint8_t data[512];
    static const struct {
        uint8_t status;
        int result;
    } cases[] = {{SKEP_BLOCK_S_OK, 0},
                 {SKEP_BLOCK_S_IOERR, -SKEP_EIO},
                 {SKEP_BLOCK_S_UNSUPP, -SKEP_EINVAL},
                 {SKEP_BLOCK_S_NOSPC, -SKEP_ENOSPC},
                 {0xff, -SKEP_EIO}};
    struct skep_block_part part = {data, sizeof(data)};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct skep_block_io io = io_of(SKEP_BLOCK_WRITE, 0, &part);
        done_count = 0;
        assert_int_equal(skep_block_submit(DISK, &io), 0);
        skep_block_kick(DISK);
        take_all(QUEUE);
        let_go(0, cases[i].status);
        assert_int_equal(done_count, 1);
        assert_int_equal(io.result, cases[i].result);
    }
}

/* 200 requests of 3 descriptors each and a queue of 128: all are done, in turn, and no kick is missing. */
static void a_full_queue_makes_requests_wait(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static uint8_t data[COUNT][512];
    static struct skep_block_part parts[COUNT];
    static struct skep_block_io ios[COUNT];
    done_count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        parts[i] = (struct skep_block_part){data[i], 512};
        ios[i] = io_of(SKEP_BLOCK_READ, 512 * i, &parts[i]);
        assert_int_equal(skep_block_submit(DISK, &ios[i]), 0);
    }
    skep_block_kick(DISK);
    take_all(QUEUE);
    assert_int_equal(held_count, SKEP_VIRTQUEUE_SIZE_MAX / 3);
    for (unsigned round = 0; done_count < COUNT; round++) {
        assert_true(round < COUNT);
        while (held_count > 0)
            let_go(0, SKEP_BLOCK_S_OK);
        unsigned kicks = backend_queues[QUEUE].kicks;
        assert_true(kicks > 0);
        take_all(QUEUE);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_ptr_equal(done_order[i], &ios[i]);
        assert_memory_equal(data[i], disk + 512 * i, 512);
    }
}

static struct skep_block_io *follower;

static void submit_follower(struct skep_block_io *io)
{
    on_done(io);
    if (follower != NULL) {
        struct skep_block_io *next = follower;
        follower = NULL;
        assert_int_equal(skep_block_submit(DISK, next), 0);
        skep_block_kick(DISK);
    }
}

static void a_done_request_may_be_followed_at_once(void **state)
{
    (void)state;
    struct skep_block_io first = io_of(SKEP_BLOCK_FLUSH, 0, NULL);
    struct skep_block_io second = io_of(SKEP_BLOCK_FLUSH, 0, NULL);
    first.done = submit_follower;
    follower = &second;
    done_count = 0;
    assert_int_equal(skep_block_submit(DISK, &first), 0);
    skep_block_kick(DISK);
    take_all(QUEUE);
    let_go(0, SKEP_BLOCK_S_OK);
    assert_int_equal(done_count, 1);
    take_all(QUEUE);
    let_go(0, SKEP_BLOCK_S_OK);
    assert_int_equal(done_count, 2);
}

static void a_durable_write_is_flushed_after_its_end(void **state)
{
    (void)state;
    static uint8_t data[512] = {7};
    struct skep_block_part part = {data, sizeof(data)};
    for (unsigned failing = 0; failing < 3; failing++) {
        struct skep_block_io io = io_of(SKEP_BLOCK_WRITE_DURABLE, 1024, &part);
        done_count = 0;
        assert_int_equal(skep_block_submit(DISK, &io), 0);
        skep_block_kick(DISK);
        take_all(QUEUE);
        assert_int_equal(held_count, 1);
        assert_int_equal(held[0].header.type, SKEP_BLOCK_T_OUT);
        let_go(0, failing == 1 ? SKEP_BLOCK_S_NOSPC : SKEP_BLOCK_S_OK);
        if (failing == 1) {
            assert_int_equal(done_count, 1); /* no flush */
            assert_int_equal(io.result, -SKEP_ENOSPC);
            continue;
        }
        assert_int_equal(done_count, 0);
        take_all(QUEUE);
        assert_int_equal(held_count, 1);
        assert_int_equal(held[0].header.type, SKEP_BLOCK_T_FLUSH);
        assert_int_equal(held[0].header.sector, 0);
        let_go(0, failing == 2 ? SKEP_BLOCK_S_IOERR : SKEP_BLOCK_S_OK);
        assert_int_equal(done_count, 1);
        assert_int_equal(io.result, failing == 2 ? -SKEP_EIO : 0);
    }
}

static void long_ranges_are_cut(void **state)
{
    (void)state;
    const uint64_t gib = 1ull << 30;
    struct skep_block_io io = io_of(SKEP_BLOCK_TRIM, gib - 8192, NULL);
    io.bytes = 2 * gib + 12288;
    done_count = 0;
    assert_int_equal(skep_block_submit(LARGE, &io), 0);
    skep_block_kick(LARGE);
    uint64_t at = io.offset / 512;
    static const uint32_t sectors[] = {16, 1u << 21, 1u << 21, 8};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(done_count, 0);
        take_all(QUEUE + LARGE);
        assert_int_equal(held_count, 1);
        assert_int_equal(held[0].header.type, SKEP_BLOCK_T_DISCARD);
        assert_int_equal(held[0].header.sector, 0);
        assert_int_equal(held[0].range.sector, at);
        assert_int_equal(held[0].range.sectors, sectors[i]);
        assert_int_equal(held[0].range.flags, 0);
        at += sectors[i];
        let_go(0, SKEP_BLOCK_S_OK);
    }
    assert_int_equal(done_count, 1);
    assert_int_equal(io.result, 0);

    io = io_of(SKEP_BLOCK_ZERO, 0, NULL);
    io.bytes = 3 * gib;
    assert_int_equal(skep_block_submit(LARGE, &io), 0);
    skep_block_kick(LARGE);
    take_all(QUEUE + LARGE);
    assert_int_equal(held[0].header.type, SKEP_BLOCK_T_WRITE_ZEROES);
    let_go(0, SKEP_BLOCK_S_IOERR); /* the others aren't tried */
    assert_int_equal(done_count, 2);
    assert_int_equal(io.result, -SKEP_EIO);
    take_all(QUEUE + LARGE);
    assert_int_equal(held_count, 0);
}

/*
 * Threads
 */

static _Atomic bool stopping;
static _Atomic unsigned together_max, fail_at;

/* A device that answers by itself, newest first; request number fail_at fails. */
static void *device_main(void *argument)
{
    unsigned served = 0;
    (void)argument;
    while (!atomic_load(&stopping)) {
        take_all(QUEUE);
        if (held_count > atomic_load(&together_max))
            atomic_store(&together_max, held_count);
        while (held_count > 0)
            let_go(held_count - 1,
                   ++served == atomic_load(&fail_at) ? SKEP_BLOCK_S_IOERR : SKEP_BLOCK_S_OK);
        sched_yield();
    }
    return NULL;
}

static pthread_t device_start(unsigned failing)
{
    pthread_t thread;
    atomic_store(&stopping, false);
    atomic_store(&together_max, 0);
    atomic_store(&fail_at, failing);
    assert_int_equal(pthread_create(&thread, NULL, device_main, NULL), 0);
    return thread;
}

static void device_stop(pthread_t thread)
{
    atomic_store(&stopping, true);
    pthread_join(thread, NULL);
}

static void synchronous_calls_have_any_length(void **state)
{
    (void)state;
    const size_t bytes = (3u << 20) + 512;
    uint8_t *data = malloc(bytes + 1), *back = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        data[i + 1] = (uint8_t)(i * 31 + i / 4096);
    pthread_t device = device_start(0);
    assert_int_equal(skep_block_write(DISK, 1024, data + 1, bytes), 0);
    assert_int_equal(skep_block_flush(DISK), 0);
    assert_int_equal(skep_block_read(DISK, 1024, back + 1, bytes), 0);
    device_stop(device);
    assert_memory_equal(data + 1, back + 1, bytes);
    assert_memory_equal(data + 1, disk + 1024, bytes);
    assert_in_range(atomic_load(&together_max), 4, 8); /* several were underway */
    free(data);
    free(back);
}

/* The first error is told once nothing is underway any more: the memory may go. */
static void a_long_call_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    const size_t bytes = 3 * SKEP_BLOCK_BYTES_MAX;
    for (unsigned failing = 1; failing <= 4; failing++) {
        uint8_t *data = malloc(bytes);
        memset(data, 1, bytes);
        pthread_t device = device_start(failing);
        int result = skep_block_write(DISK, 0, data, bytes);
        free(data);
        device_stop(device);
        assert_int_equal(result, failing <= 3 ? -SKEP_EIO : 0);
        assert_int_equal(held_count, 0);
    }
}

enum { THREADS = 8, ROUNDS = 200, SLICE = 65536 };

static void *thread_main(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument;
    uint64_t base = (uint64_t)number * SLICE;
    uint8_t out[1536], in[1536];
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t offset = base + 512 * (round % 100);
        memset(out, (int)(number * 17 + round), sizeof(out));
        memset(in, 0, sizeof(in));
        if (skep_block_write(DISK, offset, out, sizeof(out)) != 0 ||
            (round % 16 == 0 && skep_block_flush(DISK) != 0) ||
            skep_block_read(DISK, offset, in, sizeof(in)) != 0 || memcmp(in, out, sizeof(in)) != 0)
            return argument;
    }
    return NULL;
}

static void threads_share_a_device(void **state)
{
    (void)state;
    pthread_t threads[THREADS], device = device_start(0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, (void *)(uintptr_t)(i + 1)),
                         0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed = &threads;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    device_stop(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_set_up_before_it_is_used),
        cmocka_unit_test_setup(devices_are_found, setup),
        cmocka_unit_test_setup(what_does_not_fit_is_refused, setup),
        cmocka_unit_test_setup(requests_are_done_in_any_order, setup),
        cmocka_unit_test_setup(parts_are_gathered_and_scattered, setup),
        cmocka_unit_test_setup(errors_have_their_names, setup),
        cmocka_unit_test_setup(a_full_queue_makes_requests_wait, setup),
        cmocka_unit_test_setup(a_done_request_may_be_followed_at_once, setup),
        cmocka_unit_test_setup(a_durable_write_is_flushed_after_its_end, setup),
        cmocka_unit_test_setup(long_ranges_are_cut, setup),
        cmocka_unit_test_setup(synchronous_calls_have_any_length, setup),
        cmocka_unit_test_setup(a_long_call_that_fails_leaves_nothing_behind, setup),
        cmocka_unit_test_setup(threads_share_a_device, setup),
    };
    return cmocka_run_group_tests_name("block", tests, group_setup, group_teardown);
}
