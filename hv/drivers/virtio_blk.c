/*
 * virtio_blk.c - the driver of virtio disks (Virtio 1.2, section 5.2).
 *
 * Up to four request queues, each with an interrupt on a CPU of its own; a CPU submits on the queue of its index, modulo
 * their count. A request is a header, the client's pieces and a status byte. Header and status are in memory of the
 * driver's, a packet for each entry of a queue; so is the table of descriptors, if the device knows indirect ones: then
 * any request takes one entry.
 *
 * A device that returns what it doesn't hold, a status that there is none of, or that says itself that it needs a reset,
 * has failed. It is stopped, so that it reaches no memory any more, and the polls that follow hand back what it had with
 * -SKEP_EIO. It isn't started again.
 *
 */
#include "drivers/virtio_blk.h"

#include "core/cpu.h"
#include "core/frame.h"
#include "core/log.h"
#include "core/string.h"
#include "drivers/virtio_pci.h"

#define DEVICE_BLK_TRANSITIONAL 0x1001u
#define DEVICE_BLK              0x1042u

#define BLK_F_SIZE_MAX     (1ull << 1)
#define BLK_F_SEG_MAX      (1ull << 2)
#define BLK_F_RO           (1ull << 5)
#define BLK_F_BLK_SIZE     (1ull << 6)
#define BLK_F_FLUSH        (1ull << 9)
#define BLK_F_MQ           (1ull << 12)
#define BLK_F_DISCARD      (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

/* struct virtio_blk_config, section 5.2.4. */
#define CONFIG_CAPACITY    0u
#define CONFIG_SIZE_MAX    8u
#define CONFIG_SEG_MAX     12u
#define CONFIG_BLK_SIZE    20u
#define CONFIG_NUM_QUEUES  34u
#define CONFIG_DISCARD_MAX 36u
#define CONFIG_ZEROES_MAX  48u

#define TYPE_IN           0u
#define TYPE_OUT          1u
#define TYPE_FLUSH        4u
#define TYPE_GET_ID       8u
#define TYPE_DISCARD      11u
#define TYPE_WRITE_ZEROES 13u
#define ID_BYTES          20u

#define STATUS_OK     0u
#define STATUS_IOERR  1u
#define STATUS_UNSUPP 2u
#define STATUS_NONE   0xffu /* not written yet */

#define PARTS_MAX         (DISK_PIECES_MAX + 2u)
#define SIZE_INDIRECT     64u
#define BATCH_MAX         16u          /* requests handed back in one poll */
#define DRAIN_SCAN        64u          /* entries looked at in one poll of a failed disk */
#define CAPACITY_MAX      (1ull << 54) /* sectors, so that bytes fit 63 bits */
#define BLOCK_BYTES_LARGE 4096u

/* What the device reads and writes besides the client's pieces. */
struct packet {
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    struct {
        uint64_t sector;
        uint32_t sectors, flags;
    } range; /* of DISCARD and WRITE_ZEROES */
    uint8_t id[ID_BYTES];
    uint8_t status;
    uint8_t pad[11];
};
_Static_assert(sizeof(struct packet) == 64, "none crosses a page");

struct blk_queue {
    struct virtio_blk *blk;
    uint32_t index;

    struct spinlock lock; /* guards the rest */
    struct virtqueue ring;
    struct packet *packets;         /* one for each entry, by chain head */
    struct skep_vring_desc *tables; /* PARTS_MAX for each entry; NULL = no indirect descriptors */
    struct disk_request *requests[VIRTQUEUE_SIZE_MAX]; /* that the device has, by chain head */
    uint16_t since[VIRTQUEUE_SIZE_MAX];                /* virtio_blk.looks when it got them */
    bool starved;     /* a request was refused since the client heard of room */
    uint16_t drained; /* of a failed disk: requests below were handed back */
};

struct virtio_blk {
    struct disk disk; /* first */
    struct virtio_device device;
    struct blk_queue queues[DISK_QUEUES_MAX];
    _Atomic bool stopped;   /* after disk.failed: the device reaches no memory any more */
    _Atomic uint16_t looks; /* how often it was looked at; goes round */
};
#define VIRTIO_BLK_ORDER 2u
_Static_assert(sizeof(struct virtio_blk) <= SKEP_PAGE_SIZE << VIRTIO_BLK_ORDER,
               "its frames hold it");

static struct virtio_blk *blk_of(struct disk *disk)
{
    return (struct virtio_blk *)disk;
}

static bool has(const struct virtio_blk *blk, uint64_t feature)
{
    return blk->device.features & feature;
}

/* ---- failure ---- */

static bool failed(struct virtio_blk *blk)
{
    /* Acquire pairs with the exchange in blk_fail(). */
    return atomic_load_explicit(&blk->disk.failed, memory_order_acquire);
}

/* No lock is held. Who submits looks at `failed` with the queue's lock, and so does who drains: what was submitted
 * before is drained, and nothing is afterwards. */
static void blk_fail(struct virtio_blk *blk, const char *why)
{
    if (atomic_exchange(&blk->disk.failed, true)) {
        return;
    }
    log_line("virtio-blk: %04x: %s: the disk is given up", blk->device.pci.address, why);
    virtio_stop(&blk->device);
    /* Release pairs with the acquire in drain(): the device is stopped before memory is handed back. */
    atomic_store_explicit(&blk->stopped, true, memory_order_release);
    blk->disk.client->changed(&blk->disk);
    for (uint32_t i = 0; i < blk->disk.queue_count; i++) {
        blk->disk.client->interrupt(&blk->disk, i);
    }
}

static uint32_t left_of(uint32_t budget, const struct disk_request *request)
{
    uint32_t cost = disk_cost(request);
    return budget > cost ? budget - cost : 0;
}

/* Takes requests that a failed device still had. True: there may be more. */
static bool drain_take(struct blk_queue *queue, struct disk_request **requests, uint32_t budget,
                       uint32_t *count)
{
    spin_lock(&queue->lock);
    for (uint32_t i = 0; i < DRAIN_SCAN && queue->drained < queue->ring.size && budget > 0;
         i++, queue->drained++) {
        struct disk_request *request = queue->requests[queue->drained];
        queue->requests[queue->drained] = NULL;
        if (request != NULL) {
            request->error = -SKEP_EIO;
            requests[(*count)++] = request;
            budget = left_of(budget, request);
        }
    }
    bool more = queue->drained < queue->ring.size;
    spin_unlock(&queue->lock);
    return more;
}

/* ---- submitting ---- */

static uint32_t type_of(enum disk_op op)
{
    switch (op) {
    case DISK_READ:
        return TYPE_IN;
    case DISK_WRITE:
        return TYPE_OUT;
    case DISK_FLUSH:
        return TYPE_FLUSH;
    case DISK_DISCARD:
        return TYPE_DISCARD;
    default:
        return TYPE_WRITE_ZEROES;
    }
}

static struct virtqueue_part part_of(const void *data, uint32_t bytes)
{
    return (struct virtqueue_part){arch_direct_paddr(data), bytes};
}

static void packet_fill(struct packet *packet, const struct disk_request *request)
{
    bool ranged = request->op == DISK_DISCARD || request->op == DISK_WRITE_ZEROES;
    bool addressed = request->op == DISK_READ || request->op == DISK_WRITE;
    memset(packet, 0, sizeof(*packet));
    packet->header.type = type_of(request->op);
    packet->header.sector = addressed ? request->sector : 0;
    packet->range.sector = ranged ? request->sector : 0;
    packet->range.sectors = ranged ? request->sectors : 0;
    packet->status = STATUS_NONE;
}

/* How many parts, the first `readable` of which the device reads. */
static uint32_t parts_fill(struct virtqueue_part *parts, const struct packet *packet,
                           const struct disk_request *request, uint32_t *readable)
{
    uint32_t count = 0;
    parts[count++] = part_of(&packet->header, sizeof(packet->header));
    if (request->op == DISK_DISCARD || request->op == DISK_WRITE_ZEROES) {
        parts[count++] = part_of(&packet->range, sizeof(packet->range));
    }
    for (uint32_t i = 0; i < request->piece_count; i++) {
        const struct disk_piece *piece = &request->pieces[i];
        parts[count++] = (struct virtqueue_part){piece->address, piece->bytes};
    }
    *readable = request->op == DISK_READ ? 1 : count;
    parts[count++] = part_of(&packet->status, 1);
    return count;
}

/* Holds queue->lock. */
static int chain_add(struct blk_queue *queue, const struct virtqueue_part *parts, uint32_t count,
                     uint32_t readable)
{
    if (queue->tables != NULL) {
        struct skep_vring_desc *table = queue->tables + queue->ring.free_head * PARTS_MAX;
        return virtqueue_add_indirect(&queue->ring, table, parts, count, readable);
    }
    return virtqueue_add(&queue->ring, parts, count, readable);
}

static int submit_locked(struct blk_queue *queue, struct disk_request *request)
{
    struct virtqueue_part parts[PARTS_MAX];
    uint32_t readable;
    if (failed(queue->blk)) {
        return -SKEP_EIO;
    }
    if (queue->ring.free_count < (queue->tables != NULL ? 1 : request->piece_count + 3)) {
        queue->starved = true;
        return -SKEP_EAGAIN;
    }
    uint16_t head = queue->ring.free_head; /* that chain_add() will use */
    packet_fill(&queue->packets[head], request);
    uint32_t count = parts_fill(parts, &queue->packets[head], request, &readable);
    int error = chain_add(queue, parts, count, readable);
    if (error < 0) {
        return -SKEP_EIO; /* broken, as the next poll will find */
    }
    queue->requests[head] = request;
    queue->since[head] = atomic_load_explicit(&queue->blk->looks, memory_order_relaxed);
    return 0;
}

static struct blk_queue *own_queue(struct disk *disk)
{
    return &blk_of(disk)->queues[arch_cpu()->index % disk->queue_count];
}

static int blk_submit(struct disk *disk, struct disk_request *request)
{
    CHECK(request->piece_count <= DISK_PIECES_MAX);
    struct blk_queue *queue = own_queue(disk);
    spin_lock(&queue->lock);
    int error = submit_locked(queue, request);
    spin_unlock(&queue->lock);
    return error;
}

/* A stopped device's doorbell may be rung: nothing listens. */
static void blk_kick(struct disk *disk)
{
    struct blk_queue *queue = own_queue(disk);
    spin_lock(&queue->lock);
    bool due = virtqueue_kick_due(&queue->ring);
    spin_unlock(&queue->lock);
    if (due) {
        virtqueue_ring(&queue->ring);
    }
}

/* ---- completion ---- */

static int error_of(uint8_t status)
{
    switch (status) {
    case STATUS_OK:
        return 0;
    case STATUS_UNSUPP:
        return -SKEP_EINVAL;
    default:
        return -SKEP_EIO;
    }
}

/* Takes one request that the device is done with, or NULL. Holds queue->lock. */
static struct disk_request *request_take(struct blk_queue *queue, bool *bad)
{
    uint32_t bytes;
    int head = virtqueue_take(&queue->ring, &bytes);
    if (head < 0) {
        return NULL;
    }
    uint8_t status = __atomic_load_n(&queue->packets[head].status, __ATOMIC_RELAXED);
    if (status > STATUS_UNSUPP) {
        *bad = true; /* the request stays among those to be drained */
        return NULL;
    }
    struct disk_request *request = queue->requests[head];
    queue->requests[head] = NULL;
    virtqueue_release(&queue->ring, (uint16_t)head);
    request->error = error_of(status);
    return request;
}

static bool batch_take(struct blk_queue *queue, struct disk_request **requests, uint32_t budget,
                       uint32_t *count, bool *bad)
{
    spin_lock(&queue->lock);
    for (struct disk_request *request;
         budget > 0 && (request = request_take(queue, bad)) != NULL;) {
        requests[(*count)++] = request;
        budget = left_of(budget, request);
    }
    bool more = budget == 0 || virtqueue_arm(&queue->ring, false);
    *bad = *bad || queue->ring.broken;
    spin_unlock(&queue->lock);
    return more;
}

/* Whether somebody was refused, who may try again now: there is room, or the disk has failed. */
static bool starved_take(struct blk_queue *queue)
{
    spin_lock(&queue->lock);
    bool starved = queue->starved;
    queue->starved = false;
    spin_unlock(&queue->lock);
    return starved;
}

static void hand_back(struct blk_queue *queue, struct disk_request **requests, uint32_t count)
{
    struct disk *disk = &queue->blk->disk;
    for (uint32_t i = 0; i < count; i++) {
        disk->client->done(disk, requests[i]);
    }
    if ((count > 0 || failed(queue->blk)) && starved_take(queue)) {
        disk->client->room(disk);
    }
}

static bool drain(struct blk_queue *queue, uint32_t budget)
{
    struct disk_request *requests[BATCH_MAX];
    uint32_t count = 0;
    if (!atomic_load_explicit(&queue->blk->stopped, memory_order_acquire)) {
        return true; /* another CPU is about to stop it */
    }
    bool more = drain_take(queue, requests, budget, &count);
    hand_back(queue, requests, count);
    return more;
}

static bool blk_poll(struct disk *disk, uint32_t index, uint32_t budget)
{
    struct blk_queue *queue = &blk_of(disk)->queues[index];
    struct disk_request *requests[BATCH_MAX];
    uint32_t count = 0;
    bool bad = false;
    budget = budget < BATCH_MAX ? budget : BATCH_MAX;
    if (failed(queue->blk)) {
        return drain(queue, budget);
    }
    bool more = batch_take(queue, requests, budget, &count, &bad);
    hand_back(queue, requests, count);
    if (bad) {
        blk_fail(queue->blk, "broke the rules of its queue");
    }
    return more || bad;
}

/* Of a queue's requests, how many looks the oldest has been with the device; 0 = there are none. */
static uint32_t queue_age(struct blk_queue *queue, uint16_t looks)
{
    uint32_t oldest = 0;
    spin_lock(&queue->lock);
    for (uint32_t i = 0; i < queue->ring.size; i++) {
        uint16_t age = (uint16_t)(looks - queue->since[i]);
        if (queue->requests[i] == NULL) {
            continue;
        }
        queue->since[i] += age > UINT16_MAX / 2; /* so old it stays */
        oldest = age > oldest ? age : oldest;
    }
    spin_unlock(&queue->lock);
    return oldest;
}

/* A device that doesn't answer isn't given up: it may have its reset wait for what is underway, and the machine with it,
 * as QEMU's does; and without a reset it may still write to that memory. */
static uint32_t blk_look(struct disk *disk)
{
    struct virtio_blk *blk = blk_of(disk);
    uint16_t looks =
        (uint16_t)(atomic_fetch_add_explicit(&blk->looks, 1, memory_order_relaxed) + 1);
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < disk->queue_count && !failed(blk); i++) {
        uint32_t age = queue_age(&blk->queues[i], looks);
        oldest = age > oldest ? age : oldest;
        if (age > 0) {
            disk->client->interrupt(disk, i);
        }
    }
    return oldest;
}

static void queue_interrupt(void *argument)
{
    struct blk_queue *queue = argument;
    queue->blk->disk.client->interrupt(&queue->blk->disk, queue->index);
}

/* ---- configuration ---- */

static uint64_t config_value(const struct virtio_blk *blk, uint32_t offset, uint32_t bytes)
{
    uint64_t value = 0; /* little-endian, as x86 is */
    virtio_config_read(&blk->device, offset, (uint8_t *)&value, bytes);
    return value;
}

/* Whole blocks of what the device names. */
static uint64_t whole_blocks(const struct virtio_blk *blk, uint64_t sectors)
{
    return sectors & ~(uint64_t)(blk->disk.block_bytes / DISK_SECTOR - 1);
}

static uint64_t capacity_read(const struct virtio_blk *blk)
{
    uint64_t sectors = config_value(blk, CONFIG_CAPACITY, 8);
    return whole_blocks(blk, sectors < CAPACITY_MAX ? sectors : CAPACITY_MAX);
}

static void config_interrupt(void *argument)
{
    struct virtio_blk *blk = argument;
    if (failed(blk)) {
        return;
    }
    if (virtio_needs_reset(&blk->device)) {
        blk_fail(blk, "needs a reset");
        return;
    }
    uint64_t sectors = capacity_read(blk);
    if (atomic_exchange(&blk->disk.sectors, sectors) != sectors) {
        log_line("virtio-blk: %04x: has %lu MiB now", blk->device.pci.address, sectors >> 11);
        blk->disk.client->changed(&blk->disk);
    }
}

/* 512, or 4096 also for what lies between. 0 = anything else. */
static uint32_t block_bytes_of(const struct virtio_blk *blk)
{
    uint64_t bytes = has(blk, BLK_F_BLK_SIZE) ? config_value(blk, CONFIG_BLK_SIZE, 4) : DISK_SECTOR;
    if (bytes < DISK_SECTOR || bytes > BLOCK_BYTES_LARGE || (bytes & (bytes - 1)) != 0) {
        log_line("virtio-blk: %04x: blocks of %lu bytes", blk->device.pci.address, bytes);
        return 0;
    }
    return bytes == DISK_SECTOR ? DISK_SECTOR : BLOCK_BYTES_LARGE;
}

/* Requests aren't split: a device that is content with less than a client may ask for is not used. */
static bool limits_suffice(const struct virtio_blk *blk)
{
    uint64_t pieces = has(blk, BLK_F_SEG_MAX) ? config_value(blk, CONFIG_SEG_MAX, 4) : UINT32_MAX;
    uint64_t bytes = has(blk, BLK_F_SIZE_MAX) ? config_value(blk, CONFIG_SIZE_MAX, 4) : UINT32_MAX;
    if (pieces < DISK_PIECES_MAX || bytes < PAGE_SIZE) {
        log_line("virtio-blk: %04x: takes %lu pieces of %lu bytes, %u of %u are needed",
                 blk->device.pci.address, pieces, bytes, DISK_PIECES_MAX, SKEP_PAGE_SIZE);
        return false;
    }
    return true;
}

static uint32_t range_max(const struct virtio_blk *blk, uint64_t feature, uint32_t offset)
{
    bool usable = has(blk, feature) && !has(blk, BLK_F_RO);
    return usable ? (uint32_t)whole_blocks(blk, config_value(blk, offset, 4)) : 0;
}

static int config_take(struct virtio_blk *blk)
{
    struct disk *disk = &blk->disk;
    disk->block_bytes = block_bytes_of(blk);
    if (disk->block_bytes == 0 || !limits_suffice(blk)) {
        return -SKEP_ENODEV;
    }
    atomic_store(&disk->sectors, capacity_read(blk));
    disk->piece_bytes_max =
        has(blk, BLK_F_SIZE_MAX) ? (uint32_t)config_value(blk, CONFIG_SIZE_MAX, 4) : DISK_BYTES_MAX;
    disk->discard_max = range_max(blk, BLK_F_DISCARD, CONFIG_DISCARD_MAX);
    disk->zeroes_max = range_max(blk, BLK_F_WRITE_ZEROES, CONFIG_ZEROES_MAX);
    disk->flags = (has(blk, BLK_F_RO) ? SKEP_DISK_READ_ONLY : 0) |
                  (has(blk, BLK_F_FLUSH) ? SKEP_DISK_FLUSH : 0) |
                  (disk->discard_max > 0 ? SKEP_DISK_DISCARD : 0) |
                  (disk->zeroes_max > 0 ? SKEP_DISK_WRITE_ZEROES : 0);
    return 0;
}

/* ---- start ---- */

static const struct disk_driver driver = {
    .submit = blk_submit,
    .kick = blk_kick,
    .poll = blk_poll,
    .look = blk_look,
};

static uint32_t order_of(uint64_t bytes)
{
    uint32_t order = 0;
    while (PAGE_SIZE << order < bytes) {
        order++;
    }
    return order;
}

static void *memory_take(uint64_t bytes)
{
    pfn_t pfn = frame_alloc(order_of(bytes), SKEP_FRAME_DEVICE, OWNER_CORE);
    return pfn != PFN_NONE ? frame_data(pfn) : NULL;
}

static int slots_take(struct blk_queue *queue)
{
    uint64_t size = queue->ring.size;
    bool indirect = has(queue->blk, VIRTIO_F_INDIRECT_DESC);
    if (size < PARTS_MAX) {
        log_line("virtio-blk: %04x: a queue of %u is too short", queue->blk->device.pci.address,
                 queue->ring.size);
        return -SKEP_ENODEV;
    }
    queue->packets = memory_take(size * sizeof(struct packet));
    queue->tables =
        indirect ? memory_take(size * PARTS_MAX * sizeof(struct skep_vring_desc)) : NULL;
    return queue->packets == NULL || (indirect && queue->tables == NULL) ? -SKEP_ENOMEM : 0;
}

/* Queue and MSI-X entry have the CPU's number. */
static int queue_start(struct virtio_blk *blk, uint32_t index)
{
    struct blk_queue *queue = &blk->queues[index];
    bool indirect = has(blk, VIRTIO_F_INDIRECT_DESC);
    queue->blk = blk;
    queue->index = index;
    queue->lock.kind = LOCK_DISK;
    int error = pci_msix_enable(&blk->device.pci, index, index, queue_interrupt, queue);
    if (error == 0) {
        error = virtio_queue_start(&blk->device, &queue->ring, (uint16_t)index,
                                   indirect ? SIZE_INDIRECT : VIRTQUEUE_SIZE_MAX, (uint16_t)index);
    }
    return error == 0 ? slots_take(queue) : error;
}

/* Other CPUs start later, and then all do. Where interrupts run out fewer queues will do. */
static int queues_start(struct virtio_blk *blk)
{
    uint64_t wanted = has(blk, BLK_F_MQ) ? config_value(blk, CONFIG_NUM_QUEUES, 2) : 1;
    wanted = wanted < cpu_count() ? wanted : cpu_count();
    wanted = wanted < DISK_QUEUES_MAX ? wanted : DISK_QUEUES_MAX;
    int error;
    do {
        error = queue_start(blk, blk->disk.queue_count);
        blk->disk.queue_count += error == 0;
    } while (error == 0 && blk->disk.queue_count < wanted);
    return blk->disk.queue_count > 0 && error == -SKEP_ENOSPC ? 0 : error;
}

/* With no entry left for it, changes of the configuration are not heard of. */
static uint16_t config_vector(struct virtio_blk *blk)
{
    uint32_t entry = blk->disk.queue_count;
    int error = pci_msix_enable(&blk->device.pci, entry, 0, config_interrupt, blk);
    return error == 0 ? (uint16_t)entry : VIRTIO_NO_VECTOR;
}

/* What goes into logs and answers is printable and harmless in quotes. */
static void serial_set(struct disk *disk, const uint8_t *id)
{
    for (uint32_t i = 0; i < ID_BYTES && id[i] != 0; i++) {
        bool plain = id[i] >= ' ' && id[i] <= '~' && id[i] != '"' && id[i] != '\\';
        disk->serial[i] = plain ? (char)id[i] : '_';
    }
}

/* The first request, before anybody else has any. A device that doesn't answer it is not used. */
static int identify(struct virtio_blk *blk)
{
    struct blk_queue *queue = &blk->queues[0];
    struct packet *packet = &queue->packets[queue->ring.free_head];
    *packet = (struct packet){.header.type = TYPE_GET_ID, .status = STATUS_NONE};
    struct virtqueue_part parts[] = {part_of(&packet->header, sizeof(packet->header)),
                                     part_of(packet->id, ID_BYTES), part_of(&packet->status, 1)};
    int head = chain_add(queue, parts, ARRAY_COUNT(parts), 1);
    int error = virtio_answer(&blk->device, &queue->ring, head);
    if (error < 0) {
        return error;
    }
    if (packet->status == STATUS_OK) {
        serial_set(&blk->disk, packet->id);
    }
    return 0;
}

static void queues_arm(struct virtio_blk *blk)
{
    for (uint32_t i = 0; i < blk->disk.queue_count; i++) {
        virtqueue_arm(&blk->queues[i].ring, false);
    }
}

/* The order is section 3.1.1's: features, then queues, then DRIVER_OK, then the first kick. */
static int blk_start(struct virtio_blk *blk, const struct pci_device *pci)
{
    int error = virtio_open(&blk->device, pci);
    if (error == 0) {
        error = virtio_negotiate(&blk->device, BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_RO |
                                                   BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_MQ |
                                                   BLK_F_DISCARD | BLK_F_WRITE_ZEROES |
                                                   VIRTIO_F_INDIRECT_DESC);
    }
    if (error == 0) {
        error = config_take(blk);
    }
    if (error == 0) {
        error = queues_start(blk);
    }
    if (error == 0) {
        virtio_start(&blk->device, config_vector(blk));
        error = identify(blk);
    }
    if (error < 0) {
        virtio_fail(&blk->device);
        return error;
    }
    queues_arm(blk);
    return 0;
}

static void describe(const struct virtio_blk *blk)
{
    const struct disk *disk = &blk->disk;
    log_line("virtio-blk: %04x: %lu MiB, %u-byte blocks, serial \"%s\", %u queue%s%s%s%s%s%s",
             blk->device.pci.address, atomic_load(&disk->sectors) >> 11, disk->block_bytes,
             disk->serial, disk->queue_count, disk->queue_count == 1 ? "" : "s",
             disk->flags != 0 ? "," : "", disk->flags & SKEP_DISK_READ_ONLY ? " read-only" : "",
             disk->flags & SKEP_DISK_FLUSH ? " flush" : "",
             disk->flags & SKEP_DISK_DISCARD ? " discard" : "",
             disk->flags & SKEP_DISK_WRITE_ZEROES ? " zeroes" : "");
}

struct disk *virtio_blk_start(const struct pci_device *pci, const struct disk_client *client)
{
    bool is_blk = pci->device == DEVICE_BLK || pci->device == DEVICE_BLK_TRANSITIONAL;
    if (pci->vendor != VIRTIO_VENDOR || !is_blk) {
        return NULL;
    }
    struct virtio_blk *blk = memory_take(sizeof(*blk));
    if (blk == NULL) {
        return NULL; /* a machine this small does not get far anyway */
    }
    blk->disk.driver = &driver;
    blk->disk.client = client;
    int error = blk_start(blk, pci);
    if (error < 0) {
        log_line("virtio-blk: %04x: can't be used (%d)", pci->address, error);
        return NULL;
    }
    describe(blk);
    return &blk->disk;
}
