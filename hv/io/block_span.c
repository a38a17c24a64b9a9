/*
 * block_span.c - what a block request has the disk do: spans, their pieces, and what becomes of the disk's answers.
 */
#include "io/block_span.h"

#include "core/frame.h"
#include "core/gmem.h"
#include "core/log.h"

/* In BLOCK_WORK's measure. */
#define SUBMIT_WORK  4
#define PART_WORK    1 /* for looking at a part, whose pages are pinned together */
#define PIECE_WORK   1
#define SUPPLY_WORK  8 /* more, for a page that wasn't there */
#define PINS_AT_ONCE 16u

/* What is written where nothing was given; each piece of such a request is this page. */
static pfn_t zeroes;

void span_init(void)
{
    zeroes = frame_alloc(0, SKEP_FRAME_CORE, OWNER_CORE);
    CHECK(zeroes);
}

const void *span_zeroes(void)
{
    return frame_data(zeroes);
}

/* ---- spans ---- */

static bool is_write(const struct block_slot *slot)
{
    return slot->request.op == DISK_WRITE || slot->request.op == DISK_WRITE_ZEROES;
}

static bool has_pieces(const struct block_slot *slot)
{
    return slot->request.op == DISK_READ || slot->request.op == DISK_WRITE;
}

/* The next piece is that of the slot's byte `done`. */
void span_seek(struct block_slot *slot)
{
    uint64_t at = slot->done;
    slot->part = 0;
    while (slot->part < slot->part_count && at >= slot->parts[slot->part].bytes) {
        at -= slot->parts[slot->part++].bytes;
    }
    slot->part_at = (uint32_t)at;
}

void span_advance(struct block_slot *slot, uint32_t bytes)
{
    slot->part_at += bytes;
    if (slot->part_at == slot->parts[slot->part].bytes) {
        slot->part++;
        slot->part_at = 0;
    }
}

static void span_done(struct disk_request *request);

/* From the slot's byte `done` on, at this byte of the disk. It counts from here: what the map said stays true. */
enum turn span_begin(struct block_slot *slot, enum disk_op op, uint64_t byte, uint64_t bytes)
{
    struct volume *volume = slot->block->volume;
    slot->request.op = op;
    slot->request.sector = byte / DISK_SECTOR;
    slot->request.piece_count = 0;
    slot->request.pieces = slot->pieces;
    slot->request.owner = slot;
    slot->request.done = span_done;
    slot->span = bytes;
    slot->pinned = 0;
    slot->spanning = true;
    slot->epoch = volume_enter(volume);
    slot->writing = is_write(slot);
    volume->writes += slot->writing;
    span_seek(slot);
    return TURN_ON;
}

static void writes_end(struct volume *volume)
{
    volume->writes--;
}

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static void pieces_unpin(struct block_slot *slot)
{
    for (uint32_t i = 0; slot->part_count > 0 && i < slot->request.piece_count; i++) {
        gmem_unpin_run(slot->pieces[i].address, slot->pieces[i].bytes);
    }
    slot->request.piece_count = 0;
}

static void span_end(struct block_slot *slot)
{
    struct volume *volume = slot->block->volume;
    pieces_unpin(slot);
    slot->spanning = false;
    if (slot->writing) {
        slot->writing = false;
        writes_end(volume);
    }
    volume_leave(volume, slot->epoch);
}

/* The request ends, wherever it is: nothing of it is on the disk. */
enum turn span_finish(struct block_slot *slot, uint32_t status)
{
    struct volume *volume = slot->block->volume;
    if (slot->spanning) {
        span_end(slot);
    }
    if (slot->replaces) {
        volume_copy_end(volume, slot->chunk, slot->to, false);
        slot->replaces = false;
        writes_end(volume);
        volume_wake(volume);
    }
    bool read = slot->type == SKEP_BLOCK_T_IN && status == SKEP_BLOCK_S_OK;
    block_finish(slot, status, read ? (uint32_t)slot->bytes : 0);
    return TURN_AWAY;
}

/* Nobody else writes to it meanwhile. */
static void add(_Atomic uint64_t *counter, uint64_t value)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + value, memory_order_relaxed);
}

/* For the volume and for the guest's device. */
static void count(struct block_slot *slot)
{
    const struct block *block = slot->block;
    struct guest_block_counters *device = &block->guest->block_counters[block->index];
    struct volume *volume = block->volume;
    switch (slot->type) {
    case SKEP_BLOCK_T_IN:
        volume->reads++;
        volume->read_bytes += slot->bytes;
        add(&device->reads, 1);
        add(&device->read_bytes, slot->bytes);
        break;
    case SKEP_BLOCK_T_OUT:
        volume->writes_done++;
        volume->written_bytes += slot->bytes;
        add(&device->writes, 1);
        add(&device->written_bytes, slot->bytes);
        break;
    case SKEP_BLOCK_T_FLUSH:
        volume->flushes++;
        add(&device->flushes, 1);
        break;
    default:
        volume->discards++;
        add(&device->discards, 1);
        break;
    }
}

enum turn span_finish_well(struct block_slot *slot)
{
    count(slot);
    return span_finish(slot, SKEP_BLOCK_S_OK);
}

/* ---- pieces ---- */

static uint64_t charged(const struct guest *guest)
{
    return __atomic_load_n(&guest->charged_frames, __ATOMIC_RELAXED);
}

/* The next pages that are pinned, of up to `bytes` in all: how many bytes are theirs. */
static uint32_t pages_add(struct block_slot *slot, const paddr_t pages[], uint32_t count,
                          uint32_t bytes)
{
    const struct disk *disk = disks_get(slot->block->volume->disk);
    uint32_t left = bytes;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = least(PAGE_SIZE - (pages[i].value & PAGE_MASK), left);
        slot->request.piece_count =
            disk_piece_add(disk, slot->pieces, slot->request.piece_count, pages[i], part);
        left -= part;
    }
    return bytes - left;
}

/* The next pages of a part, up to its end or the span's. 0, or an error of gmem_pin_pages(). */
static int pieces_add(struct block_go *go, struct block_slot *slot)
{
    struct guest *guest = slot->block->guest;
    const struct queue_part *part = &slot->parts[slot->part];
    gva_t at = gva(part->address.value + slot->part_at);
    uint32_t bytes = least(part->bytes - slot->part_at, slot->span - slot->pinned);
    uint64_t pages = ((at.value & PAGE_MASK) + bytes + PAGE_MASK) / PAGE_SIZE;
    uint64_t before = charged(guest);
    paddr_t pinned[PINS_AT_ONCE];
    pages = least(pages, DISK_PIECES_MAX - slot->request.piece_count);
    pages = least(pages, least(PINS_AT_ONCE, (uint64_t)go->work));
    int count = gmem_pin_pages(guest, at, slot->request.op == DISK_READ, (uint32_t)pages, pinned);
    go->work -= PART_WORK + (count > 0 ? count * PIECE_WORK : 0);
    go->work -= charged(guest) != before ? SUPPLY_WORK : 0;
    if (count < 0) {
        return count;
    }
    bytes = pages_add(slot, pinned, (uint32_t)count, bytes);
    slot->pinned += bytes;
    span_advance(slot, bytes);
    return 0;
}

static void zero_piece_add(struct block_slot *slot)
{
    uint64_t left = slot->span - slot->pinned;
    struct disk_piece *piece = &slot->pieces[slot->request.piece_count++];
    piece->address = pfn_to_paddr(zeroes);
    piece->bytes = left < PAGE_SIZE ? (uint32_t)left : SKEP_PAGE_SIZE;
    slot->pinned += piece->bytes;
}

/* Cuts so many bytes off the last piece, or what of it is in its last page if that is less: how many. */
static uint32_t piece_cut(struct block_slot *slot, uint32_t bytes)
{
    struct disk_piece *piece = &slot->pieces[slot->request.piece_count - 1];
    paddr_t last = {piece->address.value + piece->bytes - 1};
    uint32_t tail = least((last.value & PAGE_MASK) + 1, piece->bytes);
    if (tail > bytes) {
        piece->bytes -= bytes;
        return bytes;
    }
    gmem_unpin(last);
    piece->bytes -= tail;
    slot->request.piece_count -= piece->bytes == 0;
    return tail;
}

/* Cuts pieces off until they are whole blocks of the disk. */
static void pieces_trim(struct block_slot *slot)
{
    uint32_t excess = slot->pinned % disks_get(slot->block->volume->disk)->block_bytes;
    slot->pinned -= excess;
    while (excess > 0) {
        excess -= piece_cut(slot, excess);
    }
}

static bool pieces_full(const struct block_slot *slot)
{
    return !has_pieces(slot) || slot->pinned == slot->span ||
           slot->request.piece_count == DISK_PIECES_MAX;
}

static enum turn submit(struct block_go *go, struct block_slot *slot)
{
    struct volume *volume = go->volume;
    slot->request.sectors = (uint32_t)(slot->span / DISK_SECTOR);
    slot->request.error = 0;
    go->work -= SUBMIT_WORK;
    int error = disks_submit(volume->disk, &slot->request);
    if (error == -SKEP_EAGAIN) {
        /* Room that came after the refusal and before the volume was on the list would wake nobody; a refusal after that
         * is followed by a wake-up. */
        volume_stall(volume, VOLUME_ROOM);
        error = disks_submit(volume->disk, &slot->request);
    }
    if (error == -SKEP_EAGAIN) {
        return block_hold(slot, false);
    }
    go->kick |= error == 0;
    return error < 0 ? span_finish(slot, SKEP_BLOCK_S_IOERR) : TURN_AWAY;
}

/* The guest named memory that it doesn't have, or pinned a page more often than can be counted. */
enum turn span_memory_failed(struct block_slot *slot, int error)
{
    if (error == -SKEP_EFAULT || error == -SKEP_ENOMEM) {
        const struct queue_part *part = &slot->parts[slot->part];
        block_broken(slot->block, error, QUEUE_FAULT_ACCESS, part->address.value + slot->part_at);
    }
    return span_finish(slot, SKEP_BLOCK_S_IOERR);
}

enum turn span_turn(struct block_go *go, struct block_slot *slot)
{
    while (!pieces_full(slot) && go->work > 0) {
        int error = 0;
        if (slot->part_count > 0) {
            error = pieces_add(go, slot);
        } else {
            zero_piece_add(slot);
        }
        if (error < 0) {
            return span_memory_failed(slot, error);
        }
    }
    if (!pieces_full(slot)) {
        return TURN_ON;
    }
    if (has_pieces(slot) && slot->pinned < slot->span) {
        pieces_trim(slot);
        slot->span = slot->pinned;
    }
    if (slot->span == 0 && slot->request.op != DISK_FLUSH) {
        return span_finish(slot, SKEP_BLOCK_S_IOERR); /* a block in more pieces than there may be */
    }
    return submit(go, slot);
}

/* ---- the disk's answers ---- */

/* A part of what replaces a chunk is written; when it is all, it does. */
static void replaced(struct block_slot *slot)
{
    struct volume *volume = slot->block->volume;
    uint64_t at = slot->offset + slot->done;
    if (at % volume->spec.chunk_bytes == 0) {
        volume_copy_end(volume, slot->chunk, slot->to, true);
        slot->replaces = false;
        writes_end(volume);
        volume_wake(volume);
    }
}

static void span_done_locked(struct block_slot *slot, int error)
{
    struct volume *volume = slot->block->volume;
    span_end(slot);
    slot->done += slot->span;
    if (error == 0 && slot->replaces) {
        replaced(slot);
    }
    if (error < 0) {
        span_finish(slot, SKEP_BLOCK_S_IOERR);
    } else if (slot->done == slot->bytes || slot->type == SKEP_BLOCK_T_FLUSH) {
        span_finish_well(slot);
    } else {
        link_append(&volume->ready, &slot->link);
        volume_work_add(volume);
    }
}

static void span_done(struct disk_request *request)
{
    struct block_slot *slot = request->owner;
    struct volume *volume = slot->block->volume;
    spin_lock(&volume->lock);
    span_done_locked(slot, request->error);
    spin_unlock(&volume->lock);
}
