/*
 * block_copy.c - copies of shared chunks, which are made before the first write to a part of one.
 *
 * The old chunk is read into memory of ring 0's own, written to a chunk of the pool, and then the map changes. Writes to
 * the chunk are held meanwhile; reads go to the old one. There are few copies on the machine; who finds none free waits.
 */
#include "core/frame.h"
#include "core/lock.h"
#include "core/log.h"
#include "io/block.h"

#define COPY_WORK   8 /* of a step, in BLOCK_WORK's measure */
#define COPIES_MAX  4u
#define COPY_FRAMES 32u /* of the largest chunk */

enum copy_state { COPY_READ, COPY_READING, COPY_WRITE, COPY_WRITING };

struct copy {
    struct volume *_Atomic volume; /* NULL = free; who has it guards the rest by its lock */
    enum copy_state state;
    uint32_t chunk, from, to;
    uint32_t epoch;
    struct disk_request request;
    struct disk_piece pieces[COPY_FRAMES];
    pfn_t frames[COPY_FRAMES]; /* taken when they are first needed */
};

static struct copy copies[COPIES_MAX];

/* Only control calls open and close volumes, one at a time. */
static uint32_t volume_count;

int block_copies_take(void)
{
    int error = volume_count == 0 ? promise_take(COPIES_MAX * COPY_FRAMES) : 0;
    volume_count += error == 0;
    return error;
}

/* No copy is underway, as no volume is left, and no CPU is within a go of one. */
void block_copies_give(void)
{
    if (--volume_count > 0) {
        return;
    }
    for (uint32_t i = 0; i < COPIES_MAX * COPY_FRAMES; i++) {
        pfn_t *pfn = &copies[i / COPY_FRAMES].frames[i % COPY_FRAMES];
        if (*pfn) {
            frame_free(*pfn, 0);
            *pfn = PFN_NONE;
        }
    }
    promise_give(COPIES_MAX * COPY_FRAMES);
}

static struct copy *copy_claim(struct volume *volume)
{
    for (uint32_t i = 0; i < COPIES_MAX; i++) {
        struct volume *nobody = NULL;
        /* Acquire pairs with the release in copy_end(): the last one has let go of the rest. */
        if (atomic_compare_exchange_strong_explicit(&copies[i].volume, &nobody, volume,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return &copies[i];
        }
    }
    return NULL;
}

static bool is_of(const struct copy *copy, const struct volume *volume)
{
    return atomic_load_explicit(&copy->volume, memory_order_relaxed) == volume;
}

/* All of a chunk is read into them before anything is written. */
static void pieces_fill(struct copy *copy, const struct disk *disk, uint32_t chunk_bytes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < chunk_bytes / SKEP_PAGE_SIZE; i++) {
        if (!copy->frames[i]) {
            copy->frames[i] = frame_alloc_raw(SKEP_FRAME_OBJECT, OWNER_CORE);
            CHECK(copy->frames[i]);
        }
        count = disk_piece_add(disk, copy->pieces, count, pfn_to_paddr(copy->frames[i]),
                               SKEP_PAGE_SIZE);
    }
    copy->request.pieces = copy->pieces;
    copy->request.piece_count = count;
    copy->request.sectors = chunk_bytes / DISK_SECTOR;
}

bool block_copy_start(struct volume *volume, uint32_t chunk, uint32_t from)
{
    struct copy *copy = copy_claim(volume);
    if (copy == NULL) {
        /* One may have ended before the volume was on the list; those that end after it wake it. */
        volume_stall(volume, VOLUME_COPY);
        copy = copy_claim(volume);
    }
    if (copy == NULL) {
        return false;
    }
    copy->state = COPY_READ;
    copy->chunk = chunk;
    copy->from = from;
    copy->to = volume_copy_begin(volume, chunk);
    copy->epoch = volume_enter(volume);
    pieces_fill(copy, disks_get(volume->disk), volume->spec.chunk_bytes);
    volume->copies++;
    volume->writes++;
    return true;
}

/* Requests that wait for a copy that could not be made end with an error. */
static void waiting_fail(const struct volume *volume, uint32_t chunk)
{
    const struct block *writer = volume->writer; /* a new one perhaps, which has no slots yet */
    for (uint32_t i = 0; writer != NULL && writer->slots[0] != NULL && i < BLOCK_SLOTS; i++) {
        struct block_slot *slot = block_slot_at(writer, i);
        slot->failed |= slot->waits && slot->chunk == chunk;
    }
}

static void copy_end(struct copy *copy, bool done)
{
    struct volume *volume = copy->volume;
    if (!done) {
        waiting_fail(volume, copy->chunk);
    }
    volume_copy_end(volume, copy->chunk, copy->to, done);
    volume_leave(volume, copy->epoch);
    volume->copies--;
    volume->writes--;
    /* Release pairs with the acquire in copy_claim(). */
    atomic_store_explicit(&copy->volume, NULL, memory_order_release);
    volume_wake(volume);
    volume_unstall(VOLUME_COPY);
}

static void copy_done(struct disk_request *request)
{
    struct copy *copy = request->owner;
    struct volume *volume = copy->volume;
    spin_lock(&volume->lock);
    if (request->error == 0 && copy->state == COPY_READING) {
        copy->state = COPY_WRITE;
        volume_work_add(volume);
    } else {
        copy_end(copy, request->error == 0);
    }
    spin_unlock(&volume->lock);
}

static void submit(struct block_go *go, struct copy *copy)
{
    struct volume *volume = go->volume;
    bool read = copy->state == COPY_READ;
    uint32_t chunk = read ? copy->from : copy->to;
    copy->request.op = read ? DISK_READ : DISK_WRITE;
    copy->request.sector = volume_chunk_byte(volume, chunk) / DISK_SECTOR;
    copy->request.owner = copy;
    copy->request.done = copy_done;
    copy->state = read ? COPY_READING : COPY_WRITING;
    int error = disks_submit(volume->disk, &copy->request);
    if (error == -SKEP_EAGAIN) {
        volume_stall(volume, VOLUME_ROOM); /* as in block_go.c's submit() */
        error = disks_submit(volume->disk, &copy->request);
    }
    if (error == -SKEP_EAGAIN) {
        copy->state = read ? COPY_READ : COPY_WRITE;
    } else if (error < 0) {
        copy_end(copy, false);
    }
    go->kick |= error == 0;
}

void block_copies_go(struct block_go *go)
{
    for (uint32_t i = 0; go->volume->copies > 0 && i < COPIES_MAX; i++) {
        struct copy *copy = &copies[i];
        if (is_of(copy, go->volume) && (copy->state == COPY_READ || copy->state == COPY_WRITE)) {
            submit(go, copy);
            go->work -= COPY_WORK;
        }
    }
}
