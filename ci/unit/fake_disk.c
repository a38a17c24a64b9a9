/*
 * fake_disk.c - a disk whose requests, errors and failures are the test's to decide.
 */
#include "fake_disk.h"

#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/log.h"
#include "io/disks.h"

#define LIMIT_SECTORS 2048u

static struct fake_disk *fake_of(struct disk *disk)
{
    return (struct fake_disk *)disk;
}

/* ---- effects ---- */

static void copy(struct fake_disk *fake, const struct disk_request *request)
{
    uint8_t *at = fake->data + request->sector * DISK_SECTOR;
    for (uint32_t i = 0; i < request->piece_count; i++) {
        const struct disk_piece *piece = &request->pieces[i];
        void *memory = arch_direct(piece->address);
        if (request->op == DISK_READ) {
            memcpy(memory, at, piece->bytes);
        } else {
            memcpy(at, memory, piece->bytes);
        }
        at += piece->bytes;
    }
}

/* What is discarded reads as something else. */
static void fill(struct fake_disk *fake, const struct disk_request *request)
{
    memset(fake->data + request->sector * DISK_SECTOR, request->op == DISK_DISCARD ? 0xdd : 0,
           (size_t)request->sectors * DISK_SECTOR);
}

static uint64_t size_of(const struct fake_disk *fake)
{
    return atomic_load(&fake->disk.sectors) * DISK_SECTOR;
}

static void take_effect(struct fake_disk *fake, const struct disk_request *request)
{
    if (request->op == DISK_READ || request->op == DISK_WRITE) {
        copy(fake, request);
    } else if (request->op != DISK_FLUSH) {
        fill(fake, request);
    }
    bool cached = fake->disk.flags & SKEP_DISK_FLUSH;
    if (request->op == DISK_FLUSH) {
        memcpy(fake->medium, fake->data, size_of(fake));
    } else if (!cached && request->op != DISK_READ) {
        uint64_t at = request->sector * DISK_SECTOR;
        memcpy(fake->medium + at, fake->data + at, (size_t)request->sectors * DISK_SECTOR);
    }
}

static void log_add(struct fake_disk *fake, const struct disk_request *request, uint32_t queue)
{
    CHECK(fake->log_count < FAKE_DISK_LOG_MAX);
    fake->log[fake->log_count++] = (struct fake_disk_entry){
        request->op, request->sector, request->sectors, queue, request->error};
}

/* ---- the driver ---- */

static int submit(struct disk *disk, struct disk_request *request)
{
    struct fake_disk *fake = fake_of(disk);
    if (atomic_load(&disk->failed)) {
        return -SKEP_EIO;
    }
    if (fake->room == 0 || fake->held_count == FAKE_DISK_HELD_MAX) {
        fake->starved = true;
        return -SKEP_EAGAIN;
    }
    fake->room--;
    fake->held_queue[fake->held_count] = arch_cpu()->index % disk->queue_count;
    fake->held[fake->held_count++] = request;
    return 0;
}

static void kick(struct disk *disk)
{
    struct fake_disk *fake = fake_of(disk);
    fake->kick_count++;
    if (fake->immediate) {
        fake_disk_let_all_go(fake);
    }
}

static struct disk_request *ready_take(struct fake_disk *fake, uint32_t queue)
{
    struct disk_request **list = fake->ready[queue];
    struct disk_request *request = list[0];
    fake->ready_count[queue]--;
    for (uint32_t i = 0; i < fake->ready_count[queue]; i++) {
        list[i] = list[i + 1];
    }
    fake->room++;
    return request;
}

static bool poll(struct disk *disk, uint32_t queue, uint32_t budget)
{
    struct fake_disk *fake = fake_of(disk);
    bool any = false;
    for (; budget > 0 && fake->ready_count[queue] > 0; any = true) {
        struct disk_request *request = ready_take(fake, queue);
        uint32_t cost = disk_cost(request);
        budget -= cost < budget ? cost : budget;
        disk->client->done(disk, request);
    }
    if (any && fake->starved) {
        fake->starved = false;
        disk->client->room(disk);
    }
    return fake->ready_count[queue] > 0;
}

static uint32_t look(struct disk *disk)
{
    struct fake_disk *fake = fake_of(disk);
    fake->look_count++;
    fake->silent_count = fake->held_count > 0 ? fake->silent_count + 1 : 0;
    return fake->silent_count;
}

static const struct disk_driver driver = {
    .submit = submit, .kick = kick, .poll = poll, .look = look};

/* ---- the test's side ---- */

void fake_disk_add(struct fake_disk *fake, uint64_t bytes, uint32_t block_bytes, uint32_t flags,
                   uint32_t queue_count)
{
    memset(fake, 0, sizeof(*fake));
    fake->data = calloc(2, bytes);
    CHECK(fake->data != NULL);
    fake->medium = fake->data + bytes;
    fake->room = FAKE_DISK_HELD_MAX;
    fake->disk.driver = &driver;
    fake->disk.client = &disks_client;
    fake->disk.block_bytes = block_bytes;
    fake->disk.piece_bytes_max = DISK_BYTES_MAX;
    fake->disk.flags = flags;
    fake->disk.queue_count = queue_count;
    fake->disk.discard_max = flags & SKEP_DISK_DISCARD ? LIMIT_SECTORS : 0;
    fake->disk.zeroes_max = flags & SKEP_DISK_WRITE_ZEROES ? LIMIT_SECTORS : 0;
    atomic_store(&fake->disk.sectors, bytes / DISK_SECTOR);
    memcpy(fake->disk.serial, "fake", 5);
    CHECK(disks_add(&fake->disk) == 0);
}

static void held_to_ready(struct fake_disk *fake, uint32_t which)
{
    uint32_t queue = fake->held_queue[which];
    struct disk_request *request = fake->held[which];
    fake->held_count--;
    for (uint32_t i = which; i < fake->held_count; i++) {
        fake->held[i] = fake->held[i + 1];
        fake->held_queue[i] = fake->held_queue[i + 1];
    }
    log_add(fake, request, queue);
    CHECK(fake->ready_count[queue] < FAKE_DISK_HELD_MAX);
    fake->ready[queue][fake->ready_count[queue]++] = request;
    fake->disk.client->interrupt(&fake->disk, queue);
}

void fake_disk_let_go(struct fake_disk *fake, uint32_t which, int error)
{
    CHECK(which < fake->held_count);
    fake->held[which]->error = error;
    if (error == 0) {
        take_effect(fake, fake->held[which]);
    }
    held_to_ready(fake, which);
}

void fake_disk_let_all_go(struct fake_disk *fake)
{
    while (fake->held_count > 0) {
        fake_disk_let_go(fake, 0, 0);
    }
}

void fake_disk_fail(struct fake_disk *fake)
{
    atomic_store(&fake->disk.failed, true);
    fake->disk.client->changed(&fake->disk);
    while (fake->held_count > 0) {
        fake_disk_let_go(fake, 0, -SKEP_EIO);
    }
}

void fake_disk_room_set(struct fake_disk *fake, uint32_t room)
{
    fake->room = room;
    if (room > 0 && fake->starved) {
        fake->starved = false;
        fake->disk.client->room(&fake->disk);
    }
}

void fake_disk_resize(struct fake_disk *fake, uint64_t bytes)
{
    CHECK(bytes <= (uint64_t)(fake->medium - fake->data));
    atomic_store(&fake->disk.sectors, bytes / DISK_SECTOR);
    fake->disk.client->changed(&fake->disk);
}

void fake_disk_power_cut(struct fake_disk *fake)
{
    fake->held_count = 0;
    memset(fake->ready_count, 0, sizeof(fake->ready_count));
    fake->room = FAKE_DISK_HELD_MAX;
    fake->starved = false;
    atomic_store(&fake->disk.failed, false);
    memcpy(fake->data, fake->medium, size_of(fake));
}

void fake_disks_settle(void)
{
    while (disks_wanted()) {
        CHECK(disks_poll());
    }
}

void fake_disk_free(struct fake_disk *fake)
{
    free(fake->data);
    fake->data = fake->medium = NULL;
}
