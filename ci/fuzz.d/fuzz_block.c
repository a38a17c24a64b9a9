/*
 * fuzz_block.c - the block back-end: rings with any contents, changed between ring 0's looks at them, control calls with
 * any arguments, a disk that answers in any order, with errors, or fails, and guests that end amid it.
 *
 * Two guests share a volume, one of which only reads; the writer has a second volume. Where a lock has been given back
 * another CPU may act. Operations have 12 bytes.
 */
#include <string.h>

#include "core/frame.h"
#include "core/gmem.h"
#include "core/log.h"
#include "fake.h"
#include "io/block.h"
#include "io/io.h"
#include "machine.h"
#include "peers.h"

#define PEERS       2u
#define VOLUMES     2u
#define RING_SIZE   16u
#define HELD_MAX    64u
#define CHUNKS      6u
#define DISK_CHUNKS 40u
#define DISK_BYTES  (4ull << 20)

/* Pages of a guest: rings; headers and status bytes; data. */
#define HEADERS 2u
#define DATA    3u

enum code {
    OP_REQUEST, /* a well-formed chain */
    OP_DESC,    /* a descriptor with any contents, which is offered */
    OP_POKE,    /* any bytes anywhere in the guest's pages */
    OP_INDEX,   /* the available index, any */
    OP_KICK,
    OP_DONE, /* the disk is done with a request */
    OP_ROOM,
    OP_FAIL,
    OP_RESIZE,
    OP_WORK,
    OP_TIME,
    OP_SET,  /* a control call */
    OP_READ, /* another */
    OP_COMMIT,
    OP_GIVE,
    OP_END,
    OP_BETWEEN, /* the next operation happens within the one behind it */
    OP_CODES
};

static uint64_t volumes[VOLUMES];

/* ---- the disk ---- */

static struct {
    struct disk disk;
    struct disk_request *held[HELD_MAX];
    struct disk_request *ready[HELD_MAX];
    uint32_t held_count, ready_count, room;
    bool starved;
} drive;

/* What the disk may touch is a guest's pinned page or ring 0's own. */
static void pieces_check(const struct disk_request *request)
{
    for (uint32_t i = 0; i < request->piece_count; i++) {
        pfn_t pfn = paddr_to_pfn(request->pieces[i].address);
        enum skep_frame_type type = frame_type(pfn);
        FUZZ_CHECK(frame_pins(pfn) > 0 || type == SKEP_FRAME_CORE || type == SKEP_FRAME_OBJECT);
        FUZZ_CHECK(request->op == DISK_WRITE || type != SKEP_FRAME_IMAGE);
    }
}

static int drive_submit(struct disk *disk, struct disk_request *request)
{
    (void)disk;
    pieces_check(request);
    if (drive.held_count + drive.ready_count >= drive.room) {
        drive.starved = true;
        return -SKEP_EAGAIN;
    }
    drive.held[drive.held_count++] = request;
    return 0;
}

static void drive_kick(struct disk *disk)
{
    (void)disk;
}

static bool drive_poll(struct disk *disk, uint32_t queue, uint32_t budget)
{
    (void)queue;
    for (; budget > 0 && drive.ready_count > 0; budget--) {
        struct disk_request *request = drive.ready[--drive.ready_count];
        disks_client.done(disk, request);
    }
    if (drive.starved && drive.ready_count == 0) {
        drive.starved = false;
        disks_client.room(disk);
    }
    return drive.ready_count > 0;
}

static uint32_t drive_look(struct disk *disk)
{
    (void)disk;
    return drive.held_count;
}

static const struct disk_driver driver = {drive_submit, drive_kick, drive_poll, drive_look};

static void drive_reset(void)
{
    memset(drive.held, 0, sizeof(drive.held));
    drive.held_count = drive.ready_count = 0;
    drive.room = HELD_MAX;
    drive.starved = false;
    atomic_store(&drive.disk.failed, false);
    atomic_store(&drive.disk.sectors, DISK_BYTES / DISK_SECTOR);
}

/* What is read is written to its pages: who gave them back too early is found. */
static void drive_done(uint32_t which, int error)
{
    if (drive.held_count == 0) {
        return;
    }
    which %= drive.held_count;
    struct disk_request *request = drive.held[which];
    drive.held[which] = drive.held[--drive.held_count];
    pieces_check(request);
    for (uint32_t i = 0; i < request->piece_count && request->op == DISK_READ; i++) {
        memset(arch_direct(request->pieces[i].address), 0x5a, request->pieces[i].bytes);
    }
    request->error = error;
    drive.ready[drive.ready_count++] = request;
    disks_client.interrupt(&drive.disk, 0);
}

static void drive_fail(void)
{
    atomic_store(&drive.disk.failed, true);
    disks_client.changed(&drive.disk);
    while (drive.held_count > 0) {
        drive_done(0, -SKEP_EIO);
    }
}

/* ---- the control service ---- */

static uint64_t control_page(struct guest *control)
{
    const struct skep_start_info *info = frame_data(control->start_info[0]);
    return info->stack_base;
}

static int64_t set(uint64_t volume, uint64_t what, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t arguments[5] = {volume, what, a, b, c};
    struct guest *control = machine_control();
    int64_t result = control ? volume_set_call(control, arguments) : -SKEP_ENOENT;
    run.way = way_add(run.way, (uint64_t)result);
    return result;
}

static uint64_t put(const void *data, size_t bytes)
{
    struct guest *control = machine_control();
    uint64_t at = control_page(control);
    FUZZ_CHECK(gmem_copy_out(control, gva(at), data, bytes) == 0);
    return at;
}

static uint64_t volume_open(uint32_t number)
{
    struct skep_volume_spec spec = {
        .chunk_bytes = number == 0 ? 65536 : 131072,
        .disk_chunks = DISK_CHUNKS / (1 + number),
        .bytes = CHUNKS * 65536 - 4096,
        .name = "volume",
    };
    int64_t handle = volume_open_call(machine_control(), gva(put(&spec, sizeof(spec))));
    FUZZ_CHECK(handle > 0);
    uint32_t map[3] = {0, 1, 2 | SKEP_CHUNK_SHARED};
    FUZZ_CHECK(set((uint64_t)handle, SKEP_VOLUME_MAP, 0, put(map, sizeof(map)), 3) == 0);
    return (uint64_t)handle;
}

/* Any call with a page of the service's, filled from the input, where it wants an address. */
static void op_set(const struct operation *op)
{
    uint8_t data[64];
    input_take(&run.input, data, sizeof(data));
    uint64_t at = op->flags & 1 ? op->value : put(data, sizeof(data));
    uint64_t volume = volumes[op->queue % VOLUMES] + (op->flags & 2 ? op->value : 0);
    uint64_t what = op->at % 12u;
    if (op->flags & 4) {
        set(volume, what, at, op->length, op->value);
    } else {
        set(volume, what, op->value & 0xffffff, at, op->length % 17u);
    }
}

static void op_read(const struct operation *op)
{
    struct guest *control = machine_control();
    uint64_t at = op->flags & 1 ? op->value : control_page(control);
    uint64_t volume = op->flags & 2 ? op->value : volumes[op->queue % VOLUMES];
    const uint64_t arguments[5] = {volume, op->at % 9u, op->flags & 4 ? op->length : at,
                                   op->flags & 4 ? at : op->length, op->length};
    run.way = way_add(run.way, (uint64_t)volume_read_call(control, arguments));
}

static void op_commit(const struct operation *op)
{
    struct volume *volume = volume_find(volumes[op->queue % VOLUMES]);
    if (volume) {
        set(volume->handle, SKEP_VOLUME_COMMIT, volume->committed + op->at % 8u, 0, 0);
    }
}

static void op_give(const struct operation *op)
{
    uint32_t chunks[4] = {op->at % DISK_CHUNKS, op->length % DISK_CHUNKS, op->value % DISK_CHUNKS,
                          7};
    set(volumes[op->queue % VOLUMES], SKEP_VOLUME_GIVE, put(chunks, sizeof(chunks)),
        1 + op->flags % 4u, 0);
}

/* ---- guests ---- */

static void peer_start(uint32_t number)
{
    struct peer *peer = &run.peers[number];
    struct skep_guest_spec spec = {
        .memory_bytes = 2 << 20,
        .block_count = number == 0 ? 2 : 1,
        .block = {{.volume = volumes[0], .flags = number == 0 ? 0 : SKEP_BLOCK_READ_ONLY},
                  {.volume = volumes[1]}},
    };
    struct guest *guest = peer_create(peer, &spec);
    for (uint32_t i = 0; i < spec.block_count; i++) {
        peer_queue_start(peer, guest, SKEP_QUEUE_BLOCK_0 + i, i, RING_SIZE, 0);
    }
}

static struct skep_vring_desc *desc_of(const struct peer *peer, uint32_t queue, uint32_t i)
{
    return (struct skep_vring_desc *)peer->page[queue & 1] + i % RING_SIZE;
}

static void kick(const struct peer *peer, uint32_t queue)
{
    peer_kick(peer, SKEP_QUEUE_BLOCK_0 + (queue & 7));
}

static void offer(const struct peer *peer, uint32_t queue, uint32_t head)
{
    peer_offer(peer, queue & 1, RING_SIZE, head % RING_SIZE);
    kick(peer, queue & 1);
}

static const uint32_t types[] = {
    SKEP_BLOCK_T_IN,      SKEP_BLOCK_T_OUT,          SKEP_BLOCK_T_OUT,     SKEP_BLOCK_T_FLUSH,
    SKEP_BLOCK_T_DISCARD, SKEP_BLOCK_T_WRITE_ZEROES, SKEP_BLOCK_T_DISCARD, 99};

/* Of sectors near the chunks' edges; its data may lie across the guest's pages in two parts. */
static void op_request(const struct peer *peer, const struct operation *op)
{
    uint32_t type = types[op->flags & 7], first = op->value & 12u, bytes = op->length & 0xfe00u;
    uint64_t sector = (op->at & 7u) * 128 + (op->at >> 3 & 1 ? 120 : 0) + (op->at >> 4 & 15u);
    bool range = type == SKEP_BLOCK_T_DISCARD || type == SKEP_BLOCK_T_WRITE_ZEROES;
    bool data = type != SKEP_BLOCK_T_FLUSH;
    uint16_t way = SKEP_VRING_DESC_NEXT | (type == SKEP_BLOCK_T_IN ? SKEP_VRING_DESC_WRITE : 0);
    struct skep_block_header header = {.type = type, .sector = range ? 0 : sector};
    struct skep_block_range extent = {.sector = sector, .sectors = op->length & 0x3ffu};
    uint64_t base = peer->base + HEADERS * PAGE_SIZE + first * 64;
    memcpy(peer->page[HEADERS] + first * 64, &header, sizeof(header));
    memcpy(peer->page[HEADERS] + first * 64 + 16, &extent, sizeof(extent));
    uint64_t place = peer->base + DATA * PAGE_SIZE + (op->value >> 16) % (2 * PAGE_SIZE);
    bytes = bytes < 6 * SKEP_PAGE_SIZE || (op->flags & 8) ? bytes : 6 * SKEP_PAGE_SIZE;
    uint32_t half = op->flags & 16 ? bytes / 3 : bytes;
    *desc_of(peer, op->queue, first) = (struct skep_vring_desc){
        base, sizeof(header), SKEP_VRING_DESC_NEXT, (uint16_t)(data ? first + 1 : first + 3)};
    *desc_of(peer, op->queue, first + 1) = (struct skep_vring_desc){
        range ? base + 16 : place, range ? 16 : half, way, (uint16_t)(first + (range ? 3 : 2))};
    *desc_of(peer, op->queue, first + 2) =
        (struct skep_vring_desc){place + half, bytes - half, way, (uint16_t)(first + 3)};
    *desc_of(peer, op->queue, first + 3) =
        (struct skep_vring_desc){base + 32, 1, SKEP_VRING_DESC_WRITE, 0};
    offer(peer, op->queue, first);
}

static void op_desc(const struct peer *peer, const struct operation *op)
{
    uint64_t address =
        op->flags & 0x80 ? (uint64_t)op->value << (op->flags & 31) : peer->base + op->at;
    *desc_of(peer, op->queue, op->queue >> 1) =
        (struct skep_vring_desc){address, op->length, op->flags & 7, (uint16_t)(op->value & 31)};
    offer(peer, op->queue, op->queue >> 4);
}

static void of_peer(const struct operation *op)
{
    const struct peer *peer = &run.peers[op->peer % PEERS];
    struct guest *guest = peer_guest(peer);
    if (!guest || guest->state == SKEP_GUEST_DYING) {
        return;
    }
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_REQUEST:
        op_request(peer, op);
        break;
    case OP_DESC:
        op_desc(peer, op);
        break;
    case OP_POKE:
        peer_poke(peer, op);
        break;
    case OP_INDEX:
        atomic_store(&peer_avail(peer, op->queue & 1)->index, op->at);
        break;
    case OP_KICK:
        kick(peer, op->queue);
        break;
    default:
        guest_end(guest, 0);
        break;
    }
}

/* ---- operations ---- */

/* The control service's calls are made one at a time. */
static void of_control(const struct operation *op)
{
    if (run.depth > 0 || !machine_control()) {
        return;
    }
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_SET:
        op_set(op);
        break;
    case OP_READ:
        op_read(op);
        break;
    case OP_COMMIT:
        op_commit(op);
        break;
    default:
        op_give(op);
        break;
    }
}

void operate(const struct operation *op)
{
    switch ((enum code)(op->code % OP_CODES)) {
    case OP_DONE:
        drive_done(op->at, op->flags & 7 ? 0 : -SKEP_EIO);
        break;
    case OP_ROOM:
        drive.room = op->at % HELD_MAX;
        break;
    case OP_FAIL:
        if (op->at % 8u == 0) {
            drive_fail();
        }
        break;
    case OP_RESIZE:
        atomic_store(&drive.disk.sectors, op->at % (DISK_BYTES / DISK_SECTOR) & ~7u);
        disks_client.changed(&drive.disk);
        break;
    case OP_WORK:
        run_work(op->peer);
        break;
    case OP_TIME:
        fake_clock_advance((uint64_t)op->value);
        run_work(op->peer);
        break;
    case OP_SET:
    case OP_READ:
    case OP_COMMIT:
    case OP_GIVE:
        of_control(op);
        break;
    case OP_BETWEEN:
        run_between(op);
        break;
    default:
        of_peer(op);
        break;
    }
}

/* ---- inputs ---- */

void fuzz_start(void)
{
    drive.disk = (struct disk){.driver = &driver,
                               .client = &disks_client,
                               .block_bytes = 512,
                               .flags = SKEP_DISK_FLUSH | SKEP_DISK_WRITE_ZEROES,
                               .queue_count = 1,
                               .zeroes_max = 64,
                               .serial = "drive"};
    drive_reset();
    FUZZ_CHECK(disks_add(&drive.disk) == 0);
    machine_start();
}

static bool peers_gone(void)
{
    return !fake_find(run.peers[0].handle) && !fake_find(run.peers[1].handle);
}

/* Everybody lets go: guests first, since what they wait for may never come. */
static void finish(void)
{
    fake_between = NULL;
    drive.room = HELD_MAX;
    for (uint32_t i = 0; i < PEERS; i++) {
        struct guest *guest = guest_find(run.peers[i].handle);
        if (guest) {
            guest_destroy(guest);
            guest_release(guest);
        }
    }
    for (uint32_t i = 0; i < 4000 && (!peers_gone() || i < 50); i++) {
        while (drive.held_count > 0) {
            drive_done(0, 0);
        }
        for (uint32_t cpu = 0; cpu < MACHINE_CPUS; cpu++) {
            run_work(cpu);
        }
        fake_clock_advance(100000);
    }
    FUZZ_CHECK(peers_gone());
    for (uint32_t i = 0; i < VOLUMES; i++) {
        int64_t result;
        uint32_t tries = 0;
        do {
            result = set(volumes[i], SKEP_VOLUME_CLOSE, 0, 0, 0);
        } while (result == -SKEP_EAGAIN && tries++ < 100);
        FUZZ_CHECK(result == 0 || result == -SKEP_ENOENT);
    }
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    machine_begin();
    drive_reset();
    run_begin(data, bytes);
    for (uint32_t i = 0; i < VOLUMES; i++) {
        volumes[i] = volume_open(i);
    }
    for (uint32_t i = 0; i < PEERS; i++) {
        peer_start(i);
    }
    run_operations();
    finish();
    machine_end();
    return run.way;
}
