/*
 * block.c - the guest's end of block devices.
 *
 * Each device has a queue of 128 descriptors, set up at first use. A request becomes one chain after the other: most have
 * one, WRITE_DURABLE a write and then a flush, TRIM and ZERO one for each range. Requests that find no room in the queue
 * wait in a list, oldest first. Everything is completed by the queue's event, on the first vCPU.
 *
 * A device's lock guards its queue and list. No request's done() and no hypercall but the set-up's is made with it held.
 */
#include "skep/block.h"

#include <stdatomic.h>

#include "skep/guest.h"
#include "skep/hypercall.h"
#include "skep/thread.h"
#include "skep/virtqueue.h"

#define SECTOR     512u
#define QUEUE_SIZE SKEP_VIRTQUEUE_SIZE_MAX
#define CHAIN_MAX  SKEP_BLOCK_PARTS_MAX
#define WINDOW     8u /* requests underway for one synchronous call */
#define RANGE_BYTES \
    ((uint64_t)1 << 30) /* in one request; ends at multiples, as what gives back space does */
#define NO_STATUS 0xffu

struct device {
    struct skep_spinlock lock;
    bool is_set_up;
    struct skep_virtqueue queue;
    struct skep_block_io *flying[QUEUE_SIZE]; /* chain -> request */
    struct skep_block_io *first, **last;      /* that wait for room; last is NULL at first */
};

static struct device devices[SKEP_BLOCKS_MAX];

/* ---- what there is ---- */

unsigned skep_block_count(void)
{
    unsigned count = skep_start_info()->block_count;
    return count < SKEP_BLOCKS_MAX ? count : SKEP_BLOCKS_MAX;
}

static const struct skep_block *info_of(unsigned device)
{
    return device < skep_block_count() ? &skep_start_info()->block[device] : NULL;
}

int skep_block_info(unsigned device, struct skep_block_info *info)
{
    const struct skep_block *block = info_of(device);
    if (block == NULL)
        return -SKEP_ENODEV;
    info->bytes = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    info->flags = atomic_load_explicit(&block->flags, memory_order_relaxed);
    info->block_bytes = block->block_bytes;
    info->discard_bytes = block->discard_bytes;
    for (unsigned i = 0; i < sizeof(info->name); i++)
        info->name[i] = block->name[i];
    return 0;
}

static bool same_name(const char *a, const char *b)
{
    unsigned i = 0;
    while (a[i] != 0 && a[i] == b[i])
        i++;
    return a[i] == b[i];
}

int skep_block_find(const char *name)
{
    for (unsigned i = 0; i < skep_block_count(); i++)
        if (same_name(name, skep_start_info()->block[i].name))
            return (int)i;
    return -SKEP_ENODEV;
}

/* ---- chains ---- */

static bool has_range(const struct skep_block_io *io)
{
    return io->op == SKEP_BLOCK_TRIM || io->op == SKEP_BLOCK_ZERO;
}

static uint32_t type_of(const struct skep_block_io *io)
{
    switch (io->op) {
    case SKEP_BLOCK_READ:
        return SKEP_BLOCK_T_IN;
    case SKEP_BLOCK_WRITE:
        return SKEP_BLOCK_T_OUT;
    case SKEP_BLOCK_WRITE_DURABLE:
        return io->stage == 0 ? SKEP_BLOCK_T_OUT : SKEP_BLOCK_T_FLUSH;
    case SKEP_BLOCK_TRIM:
        return SKEP_BLOCK_T_DISCARD;
    case SKEP_BLOCK_ZERO:
        return SKEP_BLOCK_T_WRITE_ZEROES;
    default:
        return SKEP_BLOCK_T_FLUSH;
    }
}

/* The range that begins at this offset. */
static void range_set(struct skep_block_io *io, uint64_t offset)
{
    uint64_t end = (offset / RANGE_BYTES + 1) * RANGE_BYTES;
    if (end > io->offset + io->bytes)
        end = io->offset + io->bytes;
    io->range.sector = offset / SECTOR;
    io->range.sectors = (uint32_t)((end - offset) / SECTOR);
    io->range.flags = 0;
}

static unsigned chain_fill(struct skep_block_io *io, struct skep_vring_desc *chain)
{
    unsigned count = 0;
    bool moves = io->header.type == SKEP_BLOCK_T_IN || io->header.type == SKEP_BLOCK_T_OUT;
    uint16_t flags = io->header.type == SKEP_BLOCK_T_IN ? SKEP_VRING_DESC_WRITE : 0;
    chain[count++] =
        (struct skep_vring_desc){.addr = (uintptr_t)&io->header, .len = sizeof(io->header)};
    if (has_range(io))
        chain[count++] =
            (struct skep_vring_desc){.addr = (uintptr_t)&io->range, .len = sizeof(io->range)};
    for (unsigned i = 0; moves && i < io->part_count; i++)
        if (io->parts[i].bytes > 0)
            chain[count++] = (struct skep_vring_desc){.addr = (uintptr_t)io->parts[i].data,
                                                      .len = (uint32_t)io->parts[i].bytes,
                                                      .flags = flags};
    chain[count++] = (struct skep_vring_desc){
        .addr = (uintptr_t)&io->status, .len = 1, .flags = SKEP_VRING_DESC_WRITE};
    return count;
}

/* False: no room. Holds the lock. */
static bool chain_add(struct device *device, struct skep_block_io *io)
{
    struct skep_vring_desc chain[CHAIN_MAX];
    io->header.type = type_of(io);
    io->header.reserved = 0;
    io->header.sector = io->header.type == SKEP_BLOCK_T_IN || io->header.type == SKEP_BLOCK_T_OUT
                            ? io->offset / SECTOR
                            : 0;
    io->status = NO_STATUS;
    int head = skep_virtqueue_add(&device->queue, chain, chain_fill(io, chain));
    if (head < 0)
        return false;
    device->flying[head] = io;
    return true;
}

/* ---- the list ---- */

static void list_append(struct device *device, struct skep_block_io *io)
{
    io->next = NULL;
    if (device->first == NULL)
        device->last = &device->first;
    *device->last = io;
    device->last = &io->next;
}

/* As many as there is room for, in order. Holds the lock. */
static void list_send(struct device *device)
{
    while (device->first != NULL && chain_add(device, device->first))
        device->first = device->first->next;
}

/* ---- completion ---- */

static int result_of(uint8_t status)
{
    switch (status) {
    case SKEP_BLOCK_S_OK:
        return 0;
    case SKEP_BLOCK_S_NOSPC:
        return -SKEP_ENOSPC;
    case SKEP_BLOCK_S_UNSUPP:
        return -SKEP_EINVAL;
    default:
        return -SKEP_EIO;
    }
}

/* A chain of the request is done. True: it needs another one. */
static bool goes_on(struct skep_block_io *io)
{
    io->result = result_of(io->status);
    if (io->result < 0)
        return false;
    if (has_range(io)) {
        uint64_t end = (io->range.sector + io->range.sectors) * SECTOR;
        if (end < io->offset + io->bytes) {
            range_set(io, end);
            return true;
        }
        return false;
    }
    return io->op == SKEP_BLOCK_WRITE_DURABLE && io->stage++ == 0;
}

/* Takes all that the device is done with: a list, in that order. Holds the lock. */
static struct skep_block_io *done_take(struct device *device)
{
    struct skep_block_io *done = NULL, **end = &done;
    uint32_t bytes;
    for (int head; (head = skep_virtqueue_take(&device->queue, &bytes)) >= 0;) {
        struct skep_block_io *io = device->flying[head];
        device->flying[head] = NULL;
        if (goes_on(io)) {
            list_append(device, io);
            continue;
        }
        io->next = NULL;
        *end = io;
        end = &io->next;
    }
    return done;
}

/* The request is its owner's again, who may end its memory's life at once. */
static void finish(struct skep_block_io *io)
{
    if (io->done != NULL) {
        io->done(io);
        return;
    }
    _Atomic uint32_t *state = &io->state;
    /* Release: pairs with the acquire in skep_block_wait(), which then reads the result. */
    atomic_store_explicit(state, 1, memory_order_release);
    skep_wake(state, SKEP_WAKE_ALL);
}

static void finish_all(struct skep_block_io *done)
{
    while (done != NULL) {
        struct skep_block_io *next = done->next;
        finish(done);
        done = next;
    }
}

/* What the done() functions submit goes out in the next round, or in a last one. */
static void on_event(unsigned event, void *argument)
{
    struct device *device = &devices[event - SKEP_EVENT_QUEUE_0 - SKEP_QUEUE_BLOCK_0];
    struct skep_block_io *done;
    bool more;
    (void)argument;
    do {
        bool were_masked = skep_spin_lock(&device->lock);
        done = done_take(device);
        list_send(device);
        bool kick = skep_virtqueue_publish(&device->queue);
        more = skep_virtqueue_arm(&device->queue, 0);
        skep_spin_unlock(&device->lock, were_masked);
        if (kick)
            skep_hc_queue_kick(device->queue.number);
        finish_all(done);
    } while (more || done != NULL);
}

/* ---- submitting ---- */

/* Holds the lock. */
static int set_up(struct device *device, unsigned number)
{
    uint32_t queue = SKEP_QUEUE_BLOCK_0 + number;
    int64_t page = skep_mem_map(SKEP_PAGE_SIZE, SKEP_PROT_WRITE);
    if (page < 0)
        return (int)page;
    int error = skep_virtqueue_setup(&device->queue, queue, QUEUE_SIZE, (void *)page, 0);
    if (error < 0) {
        skep_mem_unmap((void *)page, SKEP_PAGE_SIZE);
        return error;
    }
    skep_virtqueue_arm(&device->queue, 0);
    skep_event_handler(SKEP_EVENT_QUEUE_0 + queue, on_event, NULL);
    device->is_set_up = true;
    return 0;
}

/* Whether the device has this run of blocks. */
static bool run_fits(const struct skep_block *block, uint64_t offset, uint64_t bytes)
{
    uint64_t end = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    return ((offset | bytes) & (block->block_bytes - 1)) == 0 && offset <= end &&
           bytes <= end - offset;
}

/* The bytes of all parts, 0 = more than may be. */
static uint64_t parts_bytes(const struct skep_block_io *io)
{
    uint64_t bytes = 0;
    if (io->part_count > SKEP_BLOCK_PARTS_MAX - 2)
        return 0;
    for (unsigned i = 0; i < io->part_count; i++) {
        if (io->parts[i].bytes > SKEP_BLOCK_BYTES_MAX)
            return 0;
        bytes += io->parts[i].bytes;
    }
    return bytes <= SKEP_BLOCK_BYTES_MAX ? bytes : 0;
}

static bool is_valid(const struct skep_block *block, struct skep_block_io *io)
{
    switch (io->op) {
    case SKEP_BLOCK_FLUSH:
        return true;
    case SKEP_BLOCK_READ:
    case SKEP_BLOCK_WRITE:
    case SKEP_BLOCK_WRITE_DURABLE:
        io->bytes = parts_bytes(io);
        break;
    case SKEP_BLOCK_TRIM:
    case SKEP_BLOCK_ZERO:
        break;
    default:
        return false;
    }
    return io->bytes > 0 && run_fits(block, io->offset, io->bytes);
}

int skep_block_submit(unsigned number, struct skep_block_io *io)
{
    const struct skep_block *block = info_of(number);
    if (block == NULL)
        return -SKEP_ENODEV;
    if (!is_valid(block, io))
        return -SKEP_EINVAL;
    io->stage = 0;
    io->result = 0;
    atomic_store_explicit(&io->state, 0, memory_order_relaxed);
    if (has_range(io))
        range_set(io, io->offset);

    struct device *device = &devices[number];
    bool were_masked = skep_spin_lock(&device->lock);
    int error = device->is_set_up ? 0 : set_up(device, number);
    if (error == 0) {
        list_append(device, io);
        list_send(device);
    }
    skep_spin_unlock(&device->lock, were_masked);
    return error;
}

void skep_block_kick(unsigned number)
{
    if (info_of(number) == NULL)
        return;
    struct device *device = &devices[number];
    bool were_masked = skep_spin_lock(&device->lock);
    bool kick = device->is_set_up && skep_virtqueue_publish(&device->queue);
    skep_spin_unlock(&device->lock, were_masked);
    if (kick)
        skep_hc_queue_kick(device->queue.number);
}

int skep_block_wait(unsigned number, struct skep_block_io *io)
{
    skep_block_kick(number);
    /* Acquire: pairs with the release in finish(). */
    while (atomic_load_explicit(&io->state, memory_order_acquire) == 0)
        skep_wait(&io->state, 0, SKEP_FOREVER);
    return io->result;
}

/* ---- synchronous calls ---- */

static int run(unsigned device, struct skep_block_io *io)
{
    int error = skep_block_submit(device, io);
    return error < 0 ? error : skep_block_wait(device, io);
}

struct transfer {
    struct skep_block_io ios[WINDOW];
    struct skep_block_part parts[WINDOW];
    unsigned first, count; /* that are underway */
    int error;             /* the first one */
};

static void error_keep(struct transfer *transfer, int error)
{
    if (transfer->error == 0)
        transfer->error = error;
}

static void oldest_wait(unsigned device, struct transfer *transfer)
{
    error_keep(transfer, skep_block_wait(device, &transfer->ios[transfer->first]));
    transfer->first = (transfer->first + 1) % WINDOW;
    transfer->count--;
}

static void piece_submit(unsigned device, struct transfer *transfer, enum skep_block_op op,
                         uint64_t offset, struct skep_block_part part)
{
    unsigned slot = (transfer->first + transfer->count) % WINDOW;
    transfer->parts[slot] = part;
    struct skep_block_io *io = &transfer->ios[slot];
    io->op = op;
    io->offset = offset;
    io->parts = &transfer->parts[slot];
    io->part_count = 1;
    io->done = NULL;
    int error = skep_block_submit(device, io);
    if (error < 0)
        error_keep(transfer, error);
    else
        transfer->count++;
}

/* What is underway together is kicked together, when somebody waits for the oldest. */
static int transfer_all(unsigned device, enum skep_block_op op, uint64_t offset, uint8_t *data,
                        size_t bytes)
{
    const struct skep_block *block = info_of(device);
    struct transfer transfer;
    transfer.first = transfer.count = 0;
    transfer.error = 0;
    if (block == NULL)
        return -SKEP_ENODEV;
    if (!run_fits(block, offset, bytes))
        return -SKEP_EINVAL;
    for (size_t at = 0; at < bytes && transfer.error == 0;) {
        size_t part = bytes - at < SKEP_BLOCK_BYTES_MAX ? bytes - at : SKEP_BLOCK_BYTES_MAX;
        if (transfer.count == WINDOW)
            oldest_wait(device, &transfer);
        piece_submit(device, &transfer, op, offset + at, (struct skep_block_part){data + at, part});
        at += part;
    }
    while (transfer.count > 0)
        oldest_wait(device, &transfer);
    return transfer.error;
}

int skep_block_read(unsigned device, uint64_t offset, void *data, size_t bytes)
{
    return transfer_all(device, SKEP_BLOCK_READ, offset, data, bytes);
}

int skep_block_write(unsigned device, uint64_t offset, const void *data, size_t bytes)
{
    return transfer_all(device, SKEP_BLOCK_WRITE, offset, (uint8_t *)(uintptr_t)data, bytes);
}

int skep_block_flush(unsigned device)
{
    return run(device, &(struct skep_block_io){.op = SKEP_BLOCK_FLUSH});
}

static int range_run(unsigned device, enum skep_block_op op, uint64_t offset, uint64_t bytes)
{
    const struct skep_block *block = info_of(device);
    if (block == NULL)
        return -SKEP_ENODEV;
    if (!run_fits(block, offset, bytes))
        return -SKEP_EINVAL;
    return bytes == 0
               ? 0
               : run(device, &(struct skep_block_io){.op = op, .offset = offset, .bytes = bytes});
}

int skep_block_trim(unsigned device, uint64_t offset, uint64_t bytes)
{
    return range_run(device, SKEP_BLOCK_TRIM, offset, bytes);
}

int skep_block_zero(unsigned device, uint64_t offset, uint64_t bytes)
{
    return range_run(device, SKEP_BLOCK_ZERO, offset, bytes);
}
