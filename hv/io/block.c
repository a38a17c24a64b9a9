/*
 * block.c - guests' block devices: attaching them, taking requests from their queues, and giving them back.
 */
#include "io/block_span.h"

#include "core/cpu.h"
#include "core/event.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/string.h"

/* In BLOCK_WORK's measure: header and status, and descriptors. */
#define TAKE_WORK        5
#define DESCRIPTORS_WORK 4u /* at one */

static struct volume raw[SKEP_DISKS_MAX];

/* Requests are decoded here, not on the small stack: each is used by its own CPU, within one call. */
static struct queue_request requests[CPUS_MAX];

struct volume *block_raw(uint32_t disk)
{
    struct volume *volume = &raw[disk];
    if (!volume->raw) {
        volume_init(volume, disk);
        volume->raw = true;
        string_copy(volume->spec.name, disks_get(disk)->serial, sizeof(volume->spec.name));
    }
    return volume;
}

static void disk_room(uint32_t index)
{
    (void)index;
    volume_unstall(VOLUME_ROOM);
}

static void disk_changed(uint32_t index)
{
    notify_push(index, SKEP_NOTIFY_DISK);
    volume_wake(block_raw(index));
    volume_wake_all();
}

static const struct disks_listener listener = {disk_room, disk_changed};

void block_init(void)
{
    span_init();
    disks_listen(&listener);
    for (uint32_t i = 0; i < disks_count(); i++) {
        block_raw(i);
    }
}

/* ---- what the guest is told ---- */

static uint32_t flags_of(const struct block *block)
{
    const struct volume *volume = block->volume;
    const struct disk *disk = disks_get(volume->disk);
    bool read_only = (block->flags & SKEP_BLOCK_READ_ONLY) ||
                     (volume->spec.flags & SKEP_VOLUME_READ_ONLY) ||
                     (disk->flags & SKEP_DISK_READ_ONLY);
    bool discard = !read_only && (!volume->raw || disk->discard_max > 0);
    return (read_only ? SKEP_BLOCK_READ_ONLY : 0) | (discard ? SKEP_BLOCK_DISCARD : 0) |
           (volume_offline(volume) ? SKEP_BLOCK_OFFLINE : 0);
}

static struct skep_block *info_of(const struct block *block)
{
    struct skep_start_info *info = frame_data(block->guest->start_info[0]);
    return &info->block[block->index];
}

/* True: something has changed. */
static bool show(const struct block *block)
{
    struct skep_block *info = info_of(block);
    uint32_t flags = flags_of(block);
    bool changed = info->bytes != block->volume->spec.bytes || info->flags != flags;
    atomic_store_explicit(&info->bytes, block->volume->spec.bytes, memory_order_relaxed);
    atomic_store_explicit(&info->flags, flags, memory_order_relaxed);
    return changed;
}

void block_show(struct volume *volume)
{
    if (volume->raw) {
        volume->spec.bytes = disks_get(volume->disk)->sectors * DISK_SECTOR;
    }
    for (const struct block *block = volume->blocks; block; block = block->next) {
        if (show(block)) {
            event_raise(block->guest->vcpus[0], SKEP_EVENT_CHANGE);
        }
    }
}

static void describe(const struct block *block)
{
    const struct volume *volume = block->volume;
    struct skep_start_info *start = frame_data(block->guest->start_info[0]);
    struct skep_block *info = info_of(block);
    uint32_t block_bytes = disks_get(volume->disk)->block_bytes;
    start->block_count = block->index + 1;
    info->block_bytes = block_bytes;
    info->discard_bytes = volume->raw ? block_bytes : volume->spec.chunk_bytes;
    memcpy(info->name, volume->spec.name, sizeof(info->name));
    show(block);
}

/* ---- attaching ---- */

static void block_free(struct guest *guest, struct block *block)
{
    spin_lock(&guest->lock);
    for (uint32_t i = 0; block->slots[i] != NULL; i++) {
        guest_frame_free(guest, frame_of(block->slots[i]));
    }
    guest->fixed_frames -= BLOCK_SLOT_FRAMES + 1;
    guest_frame_free(guest, frame_of(block));
    spin_unlock(&guest->lock);
}

struct block_slot *block_slot_at(const struct block *block, uint32_t index)
{
    return block->slots[index / BLOCK_SLOTS_PER_FRAME] + index % BLOCK_SLOTS_PER_FRAME;
}

/* Their frames are reserved; slot_begin() sets all that matters of a slot. Holds guest.lock. */
static void slots_make(struct guest *guest, struct block *block)
{
    for (uint32_t i = 0; i < BLOCK_SLOT_FRAMES; i++) {
        pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_OBJECT);
        CHECK(pfn);
        block->slots[i] = frame_data(pfn);
    }
    for (uint32_t i = 0; i < BLOCK_SLOTS; i++) {
        struct block_slot *slot = block_slot_at(block, i);
        slot->block = block;
        link_append(&block->free, &slot->link);
    }
}

/* Whether the promise has room for the slots' frames, guest_create() looks when it has all of the guest. */
static struct block *block_alloc(struct guest *guest)
{
    spin_lock(&guest->lock);
    pfn_t pfn = guest_frame_alloc(guest, SKEP_FRAME_OBJECT);
    guest->fixed_frames += pfn ? BLOCK_SLOT_FRAMES + 1 : 0;
    spin_unlock(&guest->lock);
    struct block *block = pfn ? frame_data(pfn) : NULL;
    if (block != NULL) {
        block->free.next = block->free.previous = &block->free;
    }
    return block;
}

int block_queue_setup(struct block *block, const struct skep_queue_setup *setup)
{
    struct guest *guest = block->guest;
    spin_lock(&block->volume->lock);
    int error = block->closed ? -SKEP_ENODEV : queue_setup(&block->queue, guest, setup);
    if (error == 0) {
        spin_lock(&guest->lock);
        slots_make(guest, block);
        spin_unlock(&guest->lock);
    }
    spin_unlock(&block->volume->lock);
    return error;
}

/* Holds volume.lock. */
static int enter(struct volume *volume, struct block *block)
{
    bool writes = !(block->flags & SKEP_BLOCK_READ_ONLY);
    if (writes && volume->writer != NULL) {
        return -SKEP_EBUSY;
    }
    if (volume->users == VOLUME_USERS_MAX) {
        return -SKEP_ENOSPC;
    }
    volume->users++;
    volume->writer = writes ? block : volume->writer;
    block_show(volume);
    describe(block);
    block->next = volume->blocks;
    volume->blocks = block;
    return 0;
}

int block_attach(struct guest *guest, uint32_t index, struct volume *volume, uint32_t flags)
{
    struct block *block = block_alloc(guest);
    if (block == NULL) {
        return -SKEP_ENOMEM;
    }
    block->guest = guest;
    block->index = index;
    block->flags = flags;
    block->volume = volume;
    spin_lock(&volume->lock);
    int error = volume->closing ? -SKEP_ENOENT : enter(volume, block);
    spin_unlock(&volume->lock);
    if (error < 0) {
        block_free(guest, block);
        return error;
    }
    guest->blocks[index] = block;
    return 0;
}

/* ---- closing ---- */

/* Takes the device out of its volume's list. Holds volume.lock. */
static void leave(struct block *block)
{
    struct block **at = &block->volume->blocks;
    while (*at != block) {
        at = &(*at)->next;
    }
    *at = block->next;
    link_remove(&block->kicked);
    queue_teardown(&block->queue);
}

/* The last request is back, or there was none. Holds volume.lock. */
static void forget(struct block *block)
{
    struct volume *volume = block->volume;
    volume->users--;
    volume->writer = volume->writer == block ? NULL : volume->writer;
    leave(block);
    if (volume->users == 0) {
        volume_tell(volume); /* the control service closes it some time later */
    }
}

bool block_close(struct block *block)
{
    struct volume *volume = block->volume;
    spin_lock(&volume->lock);
    block->closed = true;
    bool gone = block->active == 0;
    if (gone) {
        forget(block);
    }
    spin_unlock(&volume->lock);
    if (gone) {
        block->guest->blocks[block->index] = NULL;
        block_free(block->guest, block);
    } else {
        volume_wake(volume); /* those that are held end now; the last of them wakes the reaper */
    }
    return gone;
}

void block_slot_free(struct block_slot *slot)
{
    struct block *block = slot->block;
    gmem_unpin(slot->status_at);
    link_append(&block->free, &slot->link);
    block->active--;
    if (block->closed) {
        if (block->active == 0) {
            reap_wake(block->guest); /* if the reaper was there, it found this request missing */
        }
    } else if (block->starved) {
        block->starved = false;
        link_append(&block->volume->kicked, &block->kicked);
        volume_work_add(block->volume);
    }
}

void block_broken(struct block *block, int error, enum queue_fault fault, uint64_t address)
{
    bool no_memory = error == -SKEP_ENOMEM;
    block->closed = true;
    link_remove(&block->kicked);
    guest_crash(block->queue.vcpu, no_memory ? SKEP_CRASH_OUT_OF_MEMORY : SKEP_CRASH_RING, address,
                fault);
}

void block_finish(struct block_slot *slot, uint32_t status, uint32_t bytes_written)
{
    struct block *block = slot->block;
    if (!block->closed) {
        *(uint8_t *)arch_direct(slot->status_at) = (uint8_t)status;
        queue_push(&block->queue, slot->head, bytes_written + 1);
        if (queue_event_due(&block->queue)) {
            event_raise(block->queue.vcpu, block->queue.event);
        }
    }
    block->volume->errors += status == SKEP_BLOCK_S_IOERR;
    block_slot_free(slot);
}

/* ---- taking requests; volume.lock is held ---- */

/* What the type asks of the chain: how many parts of data, and which way. */
static bool form_valid(const struct queue_request *request, uint32_t type)
{
    uint32_t data = request->part_count - 2u;
    bool to_guest = request->readable == 1; /* all but the header are writable */
    switch (type) {
    case SKEP_BLOCK_T_IN:
        return data == 0 || to_guest;
    case SKEP_BLOCK_T_OUT:
        return data == 0 || !to_guest;
    case SKEP_BLOCK_T_FLUSH:
        return data == 0;
    case SKEP_BLOCK_T_DISCARD:
    case SKEP_BLOCK_T_WRITE_ZEROES:
        return data == 1 && !to_guest && request->parts[1].bytes == sizeof(struct skep_block_range);
    default:
        return true;
    }
}

static void position_set(struct block_slot *slot, uint64_t sector, uint64_t bytes)
{
    slot->malformed |= sector > UINT64_MAX / DISK_SECTOR;
    slot->offset = sector * DISK_SECTOR;
    slot->bytes = bytes;
}

static int range_read(struct block *block, const struct queue_request *request,
                      struct block_slot *slot)
{
    struct skep_block_range range;
    int error = gmem_copy_in(block->guest, &range, request->parts[1].address, sizeof(range));
    if (error == 0) {
        position_set(slot, range.sector, (uint64_t)range.sectors * DISK_SECTOR);
        slot->range_flags = range.flags;
    }
    return error;
}

static bool moves_data(const struct block_slot *slot)
{
    return slot->type == SKEP_BLOCK_T_IN || slot->type == SKEP_BLOCK_T_OUT;
}

static void parts_copy(const struct queue_request *request, struct block_slot *slot)
{
    for (uint32_t i = 1; moves_data(slot) && i + 1 < request->part_count; i++) {
        if (request->parts[i].bytes > 0) {
            slot->parts[slot->part_count++] = request->parts[i];
        }
    }
}

static bool has_range(const struct block_slot *slot)
{
    return slot->type == SKEP_BLOCK_T_DISCARD || slot->type == SKEP_BLOCK_T_WRITE_ZEROES;
}

/* Fills the slot, whose fields that a request before it left behind are all set anew. */
static void slot_begin(struct block_slot *slot, const struct queue_request *request,
                       const struct skep_block_header *header)
{
    slot->head = request->head;
    slot->wanting = slot->admitted = slot->malformed = false;
    slot->waits = slot->failed = false;
    slot->spanning = slot->writing = slot->replaces = false;
    slot->type = header->type;
    slot->range_flags = 0;
    slot->done = 0;
    slot->sequence = slot->block->volume->sequence;
    slot->part_count = 0;
    slot->request.piece_count = 0;
    position_set(slot, header->sector, request->bytes);
    parts_copy(request, slot);
}

/* The chain's header, form and status byte are looked at: 0, or an error with the fault. */
static int slot_fill(struct block *block, struct queue_request *request, struct block_slot *slot)
{
    struct skep_block_header header;
    gva_t status = request->parts[request->part_count - 1].address;
    request->fault = QUEUE_FAULT_ACCESS;
    request->fault_address = request->parts[0].address.value;
    int error = gmem_copy_in(block->guest, &header, request->parts[0].address, sizeof(header));
    if (error < 0) {
        return error;
    }
    slot_begin(slot, request, &header);
    if (!form_valid(request, header.type)) {
        request->fault = QUEUE_FAULT_REQUEST;
        request->fault_address = request->head;
        return -SKEP_EINVAL;
    }
    request->fault_address = request->parts[1].address.value;
    error = has_range(slot) ? range_read(block, request, slot) : 0;
    if (error == 0) {
        request->fault_address = status.value;
        error = gmem_pin(block->guest, status, true, &slot->status_at);
    }
    return error;
}

static struct block_slot *slot_of_link(struct work_link *link)
{
    return (struct block_slot *)((char *)link - offsetof(struct block_slot, link));
}

/* The next device of the volume has its turn after each request. */
static void taken(struct block_go *go, struct block *block, struct block_slot *slot)
{
    queue_take(&block->queue);
    block->active++;
    link_remove(&slot->link);
    link_append(&go->volume->ready, &slot->link);
    link_remove(&block->kicked);
    link_append(&go->volume->kicked, &block->kicked);
}

void block_take(struct block_go *go, struct block *block)
{
    struct queue_request *request = &requests[arch_cpu()->index];
    go->work -= TAKE_WORK;
    if (link_none(&block->free)) {
        block->starved = true;
        link_remove(&block->kicked);
        return;
    }
    int found = queue_peek_request(&block->queue, request);
    if (found == 0 && !queue_arm(&block->queue)) {
        link_remove(&block->kicked);
    }
    if (found == 0) {
        return;
    }
    struct block_slot *slot = slot_of_link(block->free.next);
    go->work -= request->part_count / DESCRIPTORS_WORK;
    int error = found < 0 ? found : slot_fill(block, request, slot);
    if (error < 0) {
        block_broken(block, error, request->fault, request->fault_address);
    } else {
        taken(go, block, slot);
    }
}

bool block_kick(struct block *block)
{
    struct volume *volume = block->volume;
    spin_lock(&volume->lock);
    bool may = !block->closed && !block->starved && block->queue.vcpu != NULL;
    if (may && block->kicked.next == NULL) {
        link_append(&volume->kicked, &block->kicked);
    }
    spin_unlock(&volume->lock);
    return may;
}
