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
#include "io/block_span.h"

/* In BLOCK_WORK's measure. */
#define TURN_WORK    1
#define DISCARD_WORK 2 /* more, for some chunks that are looked at, or one that is unmapped */
#define WAIT_WORK    3
#define ZERO_WORK    10 /* for a page that may have to be supplied */
#define SKIP_CHUNKS  4u /* that are nowhere, in one turn of a discard */

/* ---- holding ---- */

enum turn block_hold(struct block_slot *slot, bool wanting)
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

/* ---- reading ---- */

/* A page at a time: the guest's may have to be supplied. */
static enum turn zero_fill(struct block_go *go, struct block_slot *slot, uint64_t bytes)
{
    uint64_t end = slot->done + bytes;
    span_seek(slot);
    while (slot->done < end && go->work > 0) {
        const struct queue_part *part = &slot->parts[slot->part];
        gva_t at = gva(part->address.value + slot->part_at);
        uint64_t step = PAGE_SIZE - (at.value & PAGE_MASK);
        step = step < part->bytes - slot->part_at ? step : part->bytes - slot->part_at;
        step = step < end - slot->done ? step : end - slot->done;
        int error = gmem_copy_out(slot->block->guest, at, span_zeroes(), step);
        if (error < 0) {
            return span_memory_failed(slot, error);
        }
        go->work -= ZERO_WORK;
        slot->done += step;
        span_advance(slot, (uint32_t)step);
    }
    return TURN_ON;
}

static enum turn read_turn(struct block_go *go, struct block_slot *slot)
{
    const struct volume *volume = go->volume;
    if (slot->done == slot->bytes) {
        return span_finish_well(slot);
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
    return space == VOLUME_SPACE_NONE ? span_finish(slot, SKEP_BLOCK_S_NOSPC)
                                      : block_hold(slot, true);
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
    return block_hold(slot, false);
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
        slot->to = volume_copy_begin(volume, extent->chunk);
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
        return span_finish_well(slot);
    }
    struct extent extent = extent_of(slot);
    if (slot->replaces) {
        return replace_go(slot, &extent);
    }
    if (volume_is_sharing(volume) || volume_copy_underway(volume, extent.chunk)) {
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
        if (volume_is_sharing(volume) || volume_copy_underway(volume, extent->chunk)) {
            return wait_for(slot, extent->chunk);
        }
        if (!volume_log_room(volume)) {
            return block_hold(slot, true);
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
            return span_finish_well(slot);
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
        return block_hold(slot, true);
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

/* A turn that ends in waiting for a chunk has looked at much, and has begun a copy perhaps. */
static enum turn data_turn(struct block_go *go, struct block_slot *slot)
{
    enum turn next = write_turn(slot);
    go->work -= slot->waits ? WAIT_WORK : 0;
    return next;
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
        return data_turn(go, slot);
    default:
        go->work -= DISCARD_WORK;
        return discard_turn(slot);
    }
}

static enum turn turn(struct block_go *go, struct block_slot *slot)
{
    go->work -= TURN_WORK;
    uint32_t status = slot->block->closed ? SKEP_BLOCK_S_IOERR : judge(slot);
    if (status != SKEP_BLOCK_S_OK) {
        return span_finish(slot, status);
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
