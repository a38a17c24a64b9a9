/*
 * block_go.c - what becomes of a block request, from its slot to its end.
 *
 * A slot that can go on is in volume.ready. It has turns until it is on the disk, or held, or its request has ended, or
 * the go's work is used up. A read or write goes by spans: bytes that lie together on the disk, pinned piece by piece
 * (which may take several goes) and submitted as one request. A held slot is in volume.held, and looked at again when
 * anything has happened that it might wait for; it decides anew then, so no wake-up is aimed at one request.
 */
#include "core/frame.h"
#include "core/gmem.h"
#include "core/log.h"
#include "io/block.h"

/* In BLOCK_WORK's measure. */
#define TURN_WORK   1
#define SUBMIT_WORK 3
#define PIECE_WORK  1
#define SUPPLY_WORK 4 /* more, for a page that wasn't there */

#define SKIP_CHUNKS 64u /* that are nowhere, in one turn of a discard */

enum turn {
    TURN_ON,   /* it can have another turn */
    TURN_AWAY, /* it is on the disk or held, or its request has ended */
};

/* What is written where nothing was given; each piece of such a request is this page. */
static pfn_t zeroes;

void block_go_init(void)
{
    zeroes = frame_alloc(0, SKEP_FRAME_CORE, OWNER_CORE);
    CHECK(zeroes);
}

/* ---- holding ---- */

/* Until volume.retry; `wanting`: for the control service's sake. */
static enum turn hold(struct block_slot *slot, bool wanting)
{
    struct volume *volume = slot->block->volume;
    link_append(&volume->held, &slot->link);
    slot->wanting = wanting;
    volume->held_count++;
    volume->wanting += wanting;
    return TURN_AWAY;
}

static void retry(struct volume *volume)
{
    link_splice(&volume->ready, &volume->held);
    link_splice(&volume->ready, &volume->limited);
    volume->held_count = volume->limited_count = volume->wanting = 0;
    block_show(volume);
}

static enum turn limit(struct block_slot *slot, uint64_t due_ns)
{
    struct volume *volume = slot->block->volume;
    link_append(&volume->limited, &slot->link);
    if (volume->limited_count++ == 0) {
        volume_due_set(volume, due_ns);
    }
    return TURN_AWAY;
}

static bool moves_data(const struct block_slot *slot)
{
    return slot->type == SKEP_BLOCK_T_IN || slot->type == SKEP_BLOCK_T_OUT;
}

static uint64_t admit(struct block_slot *slot)
{
    uint64_t due = volume_admit(slot->block->volume, moves_data(slot) ? slot->bytes : 0);
    slot->admitted = due == 0;
    return due;
}

static struct block_slot *slot_of_link(struct work_link *link)
{
    return (struct block_slot *)((char *)link - offsetof(struct block_slot, link));
}

/* Lets those go that are due, in order. */
static void limited_go(struct block_go *go)
{
    struct volume *volume = go->volume;
    while (volume->limited_count > 0 && go->work > 0) {
        struct block_slot *slot = slot_of_link(volume->limited.next);
        uint64_t due = admit(slot);
        go->work -= TURN_WORK;
        if (due > 0) {
            volume_due_set(volume, due);
            return;
        }
        link_remove(&slot->link);
        link_append(&volume->ready, &slot->link);
        volume->limited_count--;
    }
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
static void seek(struct block_slot *slot)
{
    uint64_t at = slot->done;
    slot->part = 0;
    while (slot->part < slot->part_count && at >= slot->parts[slot->part].bytes) {
        at -= slot->parts[slot->part++].bytes;
    }
    slot->part_at = (uint32_t)at;
}

static void span_done(struct disk_request *request);

/* From the slot's byte `done` on, at this byte of the disk. It counts from here: what the map said stays true. */
static enum turn span_begin(struct block_slot *slot, enum disk_op op, uint64_t byte, uint64_t bytes)
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
    seek(slot);
    return TURN_ON;
}

static void writes_end(struct volume *volume)
{
    volume->writes--;
}

static void pieces_unpin(struct block_slot *slot)
{
    while (slot->request.piece_count > 0) {
        const struct disk_piece *piece = &slot->pieces[--slot->request.piece_count];
        if (slot->part_count > 0) {
            gmem_unpin(piece->address);
        }
    }
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
static enum turn finish(struct block_slot *slot, uint32_t status)
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

static void count(struct block_slot *slot)
{
    struct volume *volume = slot->block->volume;
    switch (slot->type) {
    case SKEP_BLOCK_T_IN:
        volume->reads++;
        volume->read_bytes += slot->bytes;
        break;
    case SKEP_BLOCK_T_OUT:
        volume->writes_done++;
        volume->written_bytes += slot->bytes;
        break;
    case SKEP_BLOCK_T_FLUSH:
        volume->flushes++;
        break;
    default:
        volume->discards++;
        break;
    }
}

static enum turn finish_well(struct block_slot *slot)
{
    count(slot);
    return finish(slot, SKEP_BLOCK_S_OK);
}

/* ---- pieces ---- */

static uint64_t charged(const struct guest *guest)
{
    return __atomic_load_n(&guest->charged_frames, __ATOMIC_RELAXED);
}

/* The next piece: up to the end of its page, of its part, or of the span. 0, or an error of gmem_pin(). */
static int piece_add(struct block_go *go, struct block_slot *slot)
{
    struct guest *guest = slot->block->guest;
    const struct queue_part *part = &slot->parts[slot->part];
    uint64_t at = part->address.value + slot->part_at, before = charged(guest);
    uint64_t bytes = PAGE_SIZE - (at & PAGE_MASK), left = slot->span - slot->pinned;
    bytes = bytes < part->bytes - slot->part_at ? bytes : part->bytes - slot->part_at;
    bytes = bytes < left ? bytes : left;
    struct disk_piece *piece = &slot->pieces[slot->request.piece_count];
    int error = gmem_pin(guest, gva(at), slot->request.op == DISK_READ, &piece->address);
    go->work -= PIECE_WORK + (charged(guest) != before ? SUPPLY_WORK : 0);
    if (error < 0) {
        return error;
    }
    piece->bytes = (uint32_t)bytes;
    slot->request.piece_count++;
    slot->pinned += (uint32_t)bytes;
    slot->part_at += (uint32_t)bytes;
    if (slot->part_at == part->bytes) {
        slot->part++;
        slot->part_at = 0;
    }
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

/* Cuts pieces off until they are whole blocks of the disk. */
static void pieces_trim(struct block_slot *slot)
{
    uint32_t excess = slot->pinned % disks_get(slot->block->volume->disk)->block_bytes;
    slot->pinned -= excess;
    while (excess > 0) {
        struct disk_piece *last = &slot->pieces[slot->request.piece_count - 1];
        if (last->bytes > excess) {
            last->bytes -= excess;
            return;
        }
        excess -= last->bytes;
        gmem_unpin(last->address);
        slot->request.piece_count--;
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
        return hold(slot, false);
    }
    go->kick |= error == 0;
    return error < 0 ? finish(slot, SKEP_BLOCK_S_IOERR) : TURN_AWAY;
}

/* The guest named memory that it doesn't have, or pinned a page more often than can be counted. */
static enum turn piece_failed(struct block_slot *slot, int error)
{
    if (error == -SKEP_EFAULT || error == -SKEP_ENOMEM) {
        const struct queue_part *part = &slot->parts[slot->part];
        block_broken(slot->block, error, QUEUE_FAULT_ACCESS, part->address.value + slot->part_at);
    }
    return finish(slot, SKEP_BLOCK_S_IOERR);
}

static enum turn span_turn(struct block_go *go, struct block_slot *slot)
{
    while (!pieces_full(slot) && go->work > 0) {
        int error = 0;
        if (slot->part_count > 0) {
            error = piece_add(go, slot);
        } else {
            zero_piece_add(slot);
        }
        if (error < 0) {
            return piece_failed(slot, error);
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
        return finish(slot, SKEP_BLOCK_S_IOERR); /* a block in more pieces than there may be */
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
        finish(slot, SKEP_BLOCK_S_IOERR);
    } else if (slot->done == slot->bytes || slot->type == SKEP_BLOCK_T_FLUSH) {
        finish_well(slot);
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

/* ---- where it is; not for raw volumes ---- */

/* A part of a request within a chunk. */
struct extent {
    uint32_t chunk, entry;
    uint64_t in; /* bytes from the chunk's begin */
    uint64_t bytes;
};

static struct extent extent_of(const struct block_slot *slot)
{
    const struct volume *volume = slot->block->volume;
    uint64_t at = slot->offset + slot->done, left = slot->bytes - slot->done;
    struct extent extent = {.chunk = (uint32_t)(at >> volume->chunk_shift),
                            .in = at & (volume->spec.chunk_bytes - 1)};
    uint64_t rest = volume->spec.chunk_bytes - extent.in;
    extent.bytes = left < rest ? left : rest;
    extent.entry = volume_entry(volume, extent.chunk);
    return extent;
}

static uint32_t place_of(uint32_t entry)
{
    return entry & ~SKEP_CHUNK_SHARED;
}

static bool is_shared(uint32_t entry)
{
    return entry & SKEP_CHUNK_SHARED;
}

static uint64_t extent_byte(const struct volume *volume, const struct extent *extent, uint32_t to)
{
    return volume_chunk_byte(volume, to) + extent->in;
}

/* Adds chunks that follow in the volume and on the disk. */
static uint64_t run_bytes(const struct block_slot *slot, const struct extent *extent, bool write)
{
    const struct volume *volume = slot->block->volume;
    uint64_t left = slot->bytes - slot->done, bytes = extent->bytes;
    uint32_t next = place_of(extent->entry) + 1;
    for (uint32_t chunk = extent->chunk + 1; bytes < left && bytes < DISK_BYTES_MAX; chunk++) {
        uint32_t entry = volume_entry(volume, chunk);
        if (entry == SKEP_CHUNK_NONE || place_of(entry) != next++ || (write && is_shared(entry))) {
            break;
        }
        bytes += left - bytes < volume->spec.chunk_bytes ? left - bytes : volume->spec.chunk_bytes;
    }
    return bytes < DISK_BYTES_MAX ? bytes : DISK_BYTES_MAX;
}

/* The map's entry of a chunk may not be changed by anybody else now. */
static bool is_busy(const struct volume *volume, uint32_t chunk)
{
    for (uint32_t i = 0; volume->writer != NULL && i < BLOCK_SLOTS; i++) {
        const struct block_slot *slot = block_slot_at(volume->writer, i);
        if (slot->replaces && slot->chunk == chunk) {
            return true;
        }
    }
    return block_copy_underway(volume, chunk);
}

/* ---- reading ---- */

/* A page at a time: the guest's may have to be supplied. */
static enum turn zero_fill(struct block_go *go, struct block_slot *slot, uint64_t bytes)
{
    uint64_t end = slot->done + bytes;
    seek(slot);
    while (slot->done < end && go->work > 0) {
        const struct queue_part *part = &slot->parts[slot->part];
        gva_t at = gva(part->address.value + slot->part_at);
        uint64_t step = PAGE_SIZE - (at.value & PAGE_MASK);
        step = step < part->bytes - slot->part_at ? step : part->bytes - slot->part_at;
        step = step < end - slot->done ? step : end - slot->done;
        int error = gmem_copy_out(slot->block->guest, at, frame_data(zeroes), step);
        if (error < 0) {
            return piece_failed(slot, error);
        }
        go->work -= PIECE_WORK + 1;
        slot->done += step;
        seek(slot);
    }
    return TURN_ON;
}

static enum turn read_turn(struct block_go *go, struct block_slot *slot)
{
    const struct volume *volume = go->volume;
    if (slot->done == slot->bytes) {
        return finish_well(slot);
    }
    struct extent extent = extent_of(slot);
    if (extent.entry == SKEP_CHUNK_NONE) {
        return zero_fill(go, slot, extent.bytes);
    }
    return span_begin(slot, DISK_READ, extent_byte(volume, &extent, place_of(extent.entry)),
                      run_bytes(slot, &extent, false));
}

/* ---- writing ---- */

/* A write, of the guest's bytes or of zeroes. */
static enum turn write_begin(struct block_slot *slot, uint64_t byte, uint64_t bytes)
{
    const struct disk *disk = disks_get(slot->block->volume->disk);
    bool zero = slot->part_count == 0;
    uint64_t at_once =
        zero && disk->zeroes_max > 0 ? disk->zeroes_max * (uint64_t)DISK_SECTOR : DISK_BYTES_MAX;
    at_once -= at_once % disk->block_bytes;
    return span_begin(slot, zero && disk->zeroes_max > 0 ? DISK_WRITE_ZEROES : DISK_WRITE, byte,
                      bytes < at_once ? bytes : at_once);
}

static enum turn no_space(struct block_slot *slot, enum volume_space space)
{
    return space == VOLUME_SPACE_NONE ? finish(slot, SKEP_BLOCK_S_NOSPC) : hold(slot, true);
}

/* Chunks behind the first one that have no place get one if they can, since they are likely to lie together. */
static void map_ahead(const struct block_slot *slot, const struct extent *extent)
{
    struct volume *volume = slot->block->volume;
    uint64_t last = (slot->offset + slot->bytes - 1) >> volume->chunk_shift;
    uint32_t next = place_of(extent->entry) + 1;
    for (uint32_t chunk = extent->chunk + 1; chunk <= last && volume->pool_count > 0; chunk++) {
        if (volume_entry(volume, chunk) != SKEP_CHUNK_NONE || volume_pool_next(volume) != next++ ||
            volume_space(volume, false) != VOLUME_SPACE) {
            return;
        }
        volume_map_first(volume, chunk);
    }
}

static enum turn write_first(struct block_slot *slot, struct extent *extent)
{
    struct volume *volume = slot->block->volume;
    enum volume_space space = volume_space(volume, false);
    if (space != VOLUME_SPACE) {
        return no_space(slot, space);
    }
    extent->entry = volume_map_first(volume, extent->chunk);
    map_ahead(slot, extent);
    return write_begin(slot, extent_byte(volume, extent, extent->entry),
                       run_bytes(slot, extent, true));
}

/* Until the chunk, or the volume, may be changed again. */
static enum turn wait_for(struct block_slot *slot, uint32_t chunk)
{
    slot->chunk = chunk;
    slot->waits = true;
    return hold(slot, false);
}

/* What is left of the chunk goes to the place that replaces the shared one. */
static enum turn replace_go(struct block_slot *slot, const struct extent *extent)
{
    return write_begin(slot, extent_byte(slot->block->volume, extent, slot->to), extent->bytes);
}

/* A chunk that others use, too: it is replaced if all of it is written, else copied first. */
static enum turn write_shared(struct block_slot *slot, const struct extent *extent)
{
    struct volume *volume = slot->block->volume;
    enum volume_space space = volume_space(volume, true);
    if (space != VOLUME_SPACE) {
        return no_space(slot, space);
    }
    if (extent->bytes == volume->spec.chunk_bytes) {
        slot->chunk = extent->chunk;
        slot->to = volume_copy_begin(volume);
        slot->replaces = true;
        volume->writes++;
        return replace_go(slot, extent);
    }
    if (block_copy_start(volume, extent->chunk, place_of(extent->entry))) {
        volume_work_add(volume);
    }
    return wait_for(slot, extent->chunk);
}

static enum turn write_turn(struct block_slot *slot)
{
    struct volume *volume = slot->block->volume;
    if (slot->done == slot->bytes) {
        return finish_well(slot);
    }
    struct extent extent = extent_of(slot);
    if (slot->replaces) {
        return replace_go(slot, &extent);
    }
    if (volume_is_sharing(volume) || is_busy(volume, extent.chunk)) {
        return wait_for(slot, extent.chunk);
    }
    if (extent.entry == SKEP_CHUNK_NONE && slot->part_count == 0) {
        slot->done += extent.bytes;
        return TURN_ON;
    }
    if (extent.entry == SKEP_CHUNK_NONE) {
        return write_first(slot, &extent);
    }
    if (is_shared(extent.entry)) {
        return write_shared(slot, &extent);
    }
    bool zero = slot->part_count == 0; /* whole chunks behind it can be unmapped */
    return write_begin(slot, extent_byte(volume, &extent, extent.entry),
                       zero ? extent.bytes : run_bytes(slot, &extent, true));
}

/* ---- giving back ---- */

/* Takes a whole chunk out of the map. */
static enum turn unmap(struct block_slot *slot, const struct extent *extent)
{
    struct volume *volume = slot->block->volume;
    if (extent->entry != SKEP_CHUNK_NONE) {
        if (volume_is_sharing(volume) || is_busy(volume, extent->chunk)) {
            return wait_for(slot, extent->chunk);
        }
        if (!volume_log_room(volume)) {
            return hold(slot, true);
        }
        volume_unmap(volume, extent->chunk);
    }
    slot->done += extent->bytes;
    return TURN_ON;
}

/* Whole chunks give their space back; for zeroes the rest is written, else it is left. */
static enum turn discard_turn(struct block_slot *slot)
{
    const struct volume *volume = slot->block->volume;
    for (uint32_t i = 0; i < SKIP_CHUNKS; i++) {
        if (slot->done == slot->bytes) {
            return finish_well(slot);
        }
        struct extent extent = extent_of(slot);
        bool whole = extent.bytes == volume->spec.chunk_bytes;
        if (!whole && slot->type == SKEP_BLOCK_T_WRITE_ZEROES) {
            return write_turn(slot);
        }
        if (whole && extent.entry != SKEP_CHUNK_NONE) {
            return unmap(slot, &extent);
        }
        slot->done += extent.bytes;
    }
    return TURN_ON;
}

static enum turn flush_turn(struct block_slot *slot)
{
    struct volume *volume = slot->block->volume;
    if (volume->committed < slot->sequence) {
        volume_tell(volume);
        return hold(slot, true);
    }
    return span_begin(slot, DISK_FLUSH, 0, 0);
}

/* ---- a disk as a whole ---- */

static enum turn raw_turn(struct block_slot *slot)
{
    const struct disk *disk = disks_get(slot->block->volume->disk);
    uint64_t byte = slot->offset + slot->done, left = slot->bytes - slot->done;
    uint64_t discard = disk->discard_max * (uint64_t)DISK_SECTOR;
    discard -= discard % disk->block_bytes;
    switch (slot->type) {
    case SKEP_BLOCK_T_IN:
        return span_begin(slot, DISK_READ, byte, left);
    case SKEP_BLOCK_T_DISCARD:
        return span_begin(slot, DISK_DISCARD, byte, left < discard ? left : discard);
    default:
        return write_begin(slot, byte, left);
    }
}

/* ---- turns ---- */

/* Whether it asks for a run of whole blocks of the device. Nothing overflows: what is left of the capacity is compared. */
static bool in_range(const struct block_slot *slot)
{
    const struct volume *volume = slot->block->volume;
    uint64_t block = disks_get(volume->disk)->block_bytes, bytes = volume->spec.bytes;
    return !slot->malformed && slot->bytes > 0 && slot->offset % block == 0 &&
           slot->bytes % block == 0 && slot->offset <= bytes && slot->bytes <= bytes - slot->offset;
}

static bool is_known(const struct block_slot *slot)
{
    switch (slot->type) {
    case SKEP_BLOCK_T_IN:
    case SKEP_BLOCK_T_OUT:
    case SKEP_BLOCK_T_FLUSH:
        return true;
    case SKEP_BLOCK_T_DISCARD:
        return slot->range_flags == 0 &&
               (!slot->block->volume->raw || disks_get(slot->block->volume->disk)->discard_max > 0);
    case SKEP_BLOCK_T_WRITE_ZEROES:
        return slot->range_flags == 0;
    default:
        return false;
    }
}

static bool is_read_only(const struct block_slot *slot)
{
    const struct volume *volume = slot->block->volume;
    return (slot->block->flags & SKEP_BLOCK_READ_ONLY) ||
           (volume->spec.flags & SKEP_VOLUME_READ_ONLY) ||
           (disks_get(volume->disk)->flags & SKEP_DISK_READ_ONLY);
}

/* SKEP_BLOCK_S_OK, or how the request ends at once. */
static uint32_t judge(const struct block_slot *slot)
{
    if (!is_known(slot)) {
        return SKEP_BLOCK_S_UNSUPP;
    }
    if (volume_offline(slot->block->volume) || slot->failed) {
        return SKEP_BLOCK_S_IOERR;
    }
    if (slot->type == SKEP_BLOCK_T_FLUSH) {
        return SKEP_BLOCK_S_OK;
    }
    bool writes = slot->type != SKEP_BLOCK_T_IN;
    return in_range(slot) && !(writes && is_read_only(slot)) ? SKEP_BLOCK_S_OK : SKEP_BLOCK_S_IOERR;
}

static enum turn type_turn(struct block_go *go, struct block_slot *slot)
{
    slot->waits = false;
    if (slot->type == SKEP_BLOCK_T_FLUSH) {
        return flush_turn(slot);
    }
    if (go->volume->raw) {
        return raw_turn(slot);
    }
    switch (slot->type) {
    case SKEP_BLOCK_T_IN:
        return read_turn(go, slot);
    case SKEP_BLOCK_T_OUT:
        return write_turn(slot);
    default:
        return discard_turn(slot);
    }
}

static enum turn turn(struct block_go *go, struct block_slot *slot)
{
    go->work -= TURN_WORK;
    uint32_t status = slot->block->closed ? SKEP_BLOCK_S_IOERR : judge(slot);
    if (status != SKEP_BLOCK_S_OK) {
        return finish(slot, status);
    }
    if (slot->spanning) {
        return span_turn(go, slot);
    }
    if (!slot->admitted) {
        uint64_t due = go->volume->limited_count > 0 ? 1 : admit(slot);
        if (due > 0) {
            return limit(slot, due);
        }
    }
    return type_turn(go, slot);
}

static void slot_go(struct block_go *go, struct block_slot *slot)
{
    enum turn next = TURN_ON;
    link_remove(&slot->link);
    while (next == TURN_ON && go->work > 0) {
        next = turn(go, slot);
    }
    if (next == TURN_ON) {
        link_append(&go->volume->ready, &slot->link);
    }
}

static struct block *block_of_link(struct work_link *link)
{
    return (struct block *)((char *)link - offsetof(struct block, kicked));
}

static bool has_work(const struct volume *volume)
{
    return !link_none(&volume->ready) || !link_none(&volume->kicked);
}

/* Requests that were taken before go before new ones. Holds volume.lock. */
static void go_some(struct block_go *go)
{
    struct volume *volume = go->volume;
    if (atomic_exchange_explicit(&volume->retry, false, memory_order_acquire)) {
        retry(volume);
    }
    block_copies_go(go);
    limited_go(go);
    while (go->work > 0 && has_work(volume)) {
        if (!link_none(&volume->ready)) {
            slot_go(go, slot_of_link(volume->ready.next));
        } else {
            block_take(go, block_of_link(volume->kicked.next));
        }
    }
}

bool block_go(struct volume *volume)
{
    struct block_go go = {.volume = volume, .work = BLOCK_WORK};
    spin_lock(&volume->lock);
    go_some(&go);
    bool more = has_work(volume);
    if (more) {
        volume_work_add(volume);
    }
    spin_unlock(&volume->lock);
    if (go.kick) {
        disks_kick(volume->disk);
    }
    return more;
}

bool block_work(void)
{
    struct volume *volume = volume_work_next();
    if (volume != NULL) {
        block_go(volume);
        volume_release(volume);
    }
    return volume != NULL;
}

uint32_t block_pool_list(const struct volume *volume, uint32_t *chunks, uint32_t room)
{
    uint32_t done = volume_pool_list(volume, chunks, room);
    for (uint32_t i = 0; volume->writer != NULL && i < BLOCK_SLOTS && done < room; i++) {
        const struct block_slot *slot = block_slot_at(volume->writer, i);
        if (slot->replaces) {
            chunks[done++] = slot->to;
        }
    }
    return done + block_copies_list(volume, chunks + done, room - done);
}
