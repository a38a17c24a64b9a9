/*
 * volume_calls.c - the control calls about volumes and disks. What they pass is copied once, and the copy is checked.
 *
 * Only the control service's calls come here, one at a time (scratch_lock).
 */
#include "core/frame.h"
#include "core/gmem.h"
#include "core/log.h"
#include "core/string.h"
#include "io/block.h"
#include "io/disks.h"
#include "io/volume.h"

#define ENTRIES_MAX  SKEP_VOLUME_LIST_MAX
#define SHARE_CHUNKS 1024u /* at a call */
#define CLOSE_PAGES  64u
#define PAGE_ENTRIES (SKEP_PAGE_SIZE / 4)

/* Large arguments and results, which are too large for the stack. */
static union {
    uint32_t entries[ENTRIES_MAX];
    struct skep_volume_change changes[SKEP_PAGE_SIZE / sizeof(struct skep_volume_change)];
    struct skep_volume_spec spec;
    struct skep_volume_status status;
    struct skep_volume_limits limits;
    struct skep_disk_info disk;
} scratch;

/* ---- opening ---- */

static uint32_t chunks_of(uint64_t bytes, uint32_t chunk_bytes)
{
    return (uint32_t)((bytes + chunk_bytes - 1) / chunk_bytes);
}

static bool bytes_valid(uint64_t bytes, uint32_t chunk_bytes)
{
    return bytes > 0 && bytes % SKEP_PAGE_SIZE == 0 &&
           bytes <= (uint64_t)SKEP_CHUNKS_MAX * chunk_bytes;
}

static bool spec_valid(const struct skep_volume_spec *spec, const struct disk *disk)
{
    uint64_t chunk = spec->chunk_bytes, bytes = disk->sectors * DISK_SECTOR;
    return (chunk == 65536 || chunk == 131072) && spec->first_byte % SKEP_PAGE_SIZE == 0 &&
           spec->disk_chunks <= SKEP_CHUNK_NONE && spec->first_byte <= bytes &&
           spec->disk_chunks * chunk <= bytes - spec->first_byte &&
           !(spec->flags & ~(SKEP_VOLUME_READ_ONLY | SKEP_VOLUME_OFFLINE)) &&
           bytes_valid(spec->bytes, spec->chunk_bytes) && !spec->name[sizeof(spec->name) - 1];
}

/* What a volume of so many chunks may come to hold: itself, the log, the map's pages and their tables. */
static uint64_t frames_of(uint32_t chunks)
{
    uint64_t pages = (chunks + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
    return 1 + 2 + pages + (pages + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
}

static struct volume *volume_make(const struct skep_volume_spec *spec)
{
    uint32_t chunks = chunks_of(spec->bytes, spec->chunk_bytes);
    uint64_t frames = frames_of(chunks);
    if (promise_take(frames)) {
        return NULL;
    }
    pfn_t pfn = frame_alloc(0, SKEP_FRAME_OBJECT, OWNER_CORE);
    CHECK(pfn);
    struct volume *volume = frame_data(pfn);
    volume_init(volume, spec->disk);
    volume->spec = *spec;
    volume->chunk_shift = spec->chunk_bytes == 65536 ? 16 : 17;
    volume->chunks = chunks;
    volume->promise_frames = frames;
    return volume;
}

/* The last step: its own frame. */
static void volume_unmake(struct volume *volume)
{
    uint64_t frames = volume->promise_frames;
    frame_free(frame_of(volume), 0);
    promise_give(frames);
}

static int64_t volume_open(const struct skep_volume_spec *spec)
{
    const struct disk *disk = disks_get(spec->disk);
    if (!disk) {
        return -SKEP_ENODEV;
    }
    if (!spec_valid(spec, disk)) {
        return -SKEP_EINVAL;
    }
    int error = block_copies_take();
    if (error) {
        return error;
    }
    struct volume *volume = volume_make(spec);
    error = volume ? volume_table_add(volume) : -SKEP_ENOMEM;
    if (!error) {
        return (int64_t)volume->handle;
    }
    if (volume) {
        volume_unmake(volume);
    }
    block_copies_give();
    return error;
}

int64_t volume_open_call(struct guest *caller, gva_t from)
{
    int error = gmem_copy_in(caller, &scratch.spec, from, sizeof(scratch.spec));
    return error ? error : volume_open(&scratch.spec);
}

/* ---- closing ---- */

static bool is_used(const struct volume *volume)
{
    return volume->users > 0 || volume->copies > 0 || volume->underway[0] + volume->underway[1] > 0;
}

/* Gives back some of the map's pages. True: there are none left. */
static bool map_free(struct volume *volume)
{
    uint32_t left = CLOSE_PAGES;
    for (uint32_t i = 0; i < ARRAY_COUNT(volume->roots); i++) {
        pfn_t root = volume->roots[i];
        pfn_t *pages = root ? frame_data(root) : NULL;
        while (pages && volume->close_next < PAGE_ENTRIES) {
            pfn_t page = pages[volume->close_next++];
            if (page) {
                frame_free(page, 0);
            }
            if (page && --left == 0) {
                return false;
            }
        }
        if (root) {
            frame_free(root, 0);
            volume->roots[i] = PFN_NONE;
            volume->close_next = 0;
            return false;
        }
    }
    return true;
}

/* Nobody finds it any more once it is closing. */
static int64_t volume_close(struct volume *volume)
{
    spin_lock(&volume->lock);
    volume->closing |= !is_used(volume);
    bool done = volume->closing && map_free(volume);
    bool closing = volume->closing;
    spin_unlock(&volume->lock);
    if (!done) {
        return closing ? -SKEP_EAGAIN : -SKEP_EBUSY;
    }
    if (volume_table_remove(volume)) {
        return -SKEP_EAGAIN; /* a CPU looks whether it has work: not for long */
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(volume->log); i++) {
        if (volume->log[i]) {
            frame_free(volume->log[i], 0);
        }
    }
    volume_unmake(volume);
    block_copies_give();
    return 0;
}

/* ---- changing; all hold volume.lock ---- */

/* NONE, or a chunk that the disk has; with the shared bit or without. */
static bool entries_valid(const struct volume *volume, uint32_t count, bool map)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t entry = scratch.entries[i];
        bool none = map && entry == SKEP_CHUNK_NONE;
        entry &= map ? ~SKEP_CHUNK_SHARED : UINT32_MAX;
        if (!none && entry >= volume->spec.disk_chunks) {
            return false;
        }
    }
    return true;
}

static int64_t map_set(struct volume *volume, uint64_t chunk, uint64_t count)
{
    if (is_used(volume)) {
        return -SKEP_EBUSY;
    }
    if (chunk > volume->chunks || count > volume->chunks - chunk ||
        !entries_valid(volume, (uint32_t)count, true)) {
        return -SKEP_EINVAL;
    }
    volume_entries_set(volume, (uint32_t)chunk, scratch.entries, (uint32_t)count);
    return 0;
}

static int64_t give(struct volume *volume, uint64_t count)
{
    uint32_t taken = 0;
    if (!entries_valid(volume, (uint32_t)count, false)) {
        return -SKEP_EINVAL;
    }
    while (taken < count && volume->pool_count < SKEP_VOLUME_POOL_MAX) {
        uint32_t at = (volume->pool_first + volume->pool_count++) % SKEP_VOLUME_POOL_MAX;
        volume->pool[at] = scratch.entries[taken++];
    }
    volume->pool_given = volume->pool_count;
    volume->told = false;
    volume_wake(volume);
    return taken;
}

static int64_t commit(struct volume *volume, uint64_t sequence)
{
    if (sequence < volume->committed || sequence > volume->settled) {
        return -SKEP_EINVAL;
    }
    volume->committed = sequence;
    volume->told = false;
    volume_wake(volume);
    return 0;
}

/* Marks a part of the map. Writes are held from the first call on, until all of it is marked. */
static int64_t share(struct volume *volume)
{
    if (!volume_is_sharing(volume)) {
        volume_share_begin(volume);
    }
    if (volume->writes > 0) {
        return -SKEP_EAGAIN;
    }
    uint32_t end = volume->chunks - volume->share_next < SHARE_CHUNKS
                       ? volume->chunks
                       : volume->share_next + SHARE_CHUNKS;
    while (volume->share_next < end) {
        volume->share_next = volume_share(volume, volume->share_next, end);
    }
    if (end < volume->chunks) {
        return -SKEP_EAGAIN;
    }
    volume->sharing = false;
    volume_wake(volume);
    return 0;
}

static int64_t resize(struct volume *volume, uint64_t bytes)
{
    if (bytes < volume->spec.bytes || !bytes_valid(bytes, volume->spec.chunk_bytes)) {
        return -SKEP_EINVAL;
    }
    uint32_t chunks = chunks_of(bytes, volume->spec.chunk_bytes);
    uint64_t frames = frames_of(chunks);
    int error = promise_take(frames - volume->promise_frames);
    if (!error) {
        volume->promise_frames = frames;
        volume->chunks = chunks;
        volume->spec.bytes = bytes;
        block_show(volume);
    }
    return error;
}

static int64_t limits_set(struct volume *volume)
{
    volume->spec.limits = scratch.limits;
    volume->bytes_clear_ns = volume->requests_clear_ns = 0;
    volume_wake(volume);
    return 0;
}

static int64_t flags_set(struct volume *volume, uint64_t flags)
{
    if (flags & ~(uint64_t)(SKEP_VOLUME_READ_ONLY | SKEP_VOLUME_OFFLINE)) {
        return -SKEP_EINVAL;
    }
    volume->spec.flags = (uint32_t)flags;
    block_show(volume);
    volume_wake(volume);
    return 0;
}

static int64_t full_set(struct volume *volume, uint64_t full)
{
    if (full > 1) {
        return -SKEP_EINVAL;
    }
    volume->full = full;
    volume_wake(volume);
    return 0;
}

static int64_t set(struct volume *volume, const uint64_t *a)
{
    switch (a[1]) {
    case SKEP_VOLUME_MAP:
        return map_set(volume, a[2], a[4]);
    case SKEP_VOLUME_GIVE:
        return give(volume, a[3]);
    case SKEP_VOLUME_COMMIT:
        return commit(volume, a[2]);
    case SKEP_VOLUME_SHARE:
        return share(volume);
    case SKEP_VOLUME_RESIZE:
        return resize(volume, a[2]);
    case SKEP_VOLUME_LIMITS:
        return limits_set(volume);
    case SKEP_VOLUME_FLAGS:
        return flags_set(volume, a[2]);
    case SKEP_VOLUME_FULL:
        return full_set(volume, a[2]);
    default:
        return -SKEP_EINVAL;
    }
}

/* Copies in what the call's address means. */
static int argument_read(struct guest *caller, const uint64_t *a)
{
    uint64_t count = a[1] == SKEP_VOLUME_MAP ? a[4] : a[3];
    switch (a[1]) {
    case SKEP_VOLUME_MAP:
    case SKEP_VOLUME_GIVE:
        return count > ENTRIES_MAX ? -SKEP_E2BIG
                                   : gmem_copy_in(caller, scratch.entries,
                                                  gva(a[1] == SKEP_VOLUME_MAP ? a[3] : a[2]),
                                                  count * sizeof(scratch.entries[0]));
    case SKEP_VOLUME_LIMITS:
        return gmem_copy_in(caller, &scratch.limits, gva(a[2]), sizeof(scratch.limits));
    default:
        return 0;
    }
}

int64_t volume_set_call(struct guest *caller, const uint64_t a[5])
{
    struct volume *volume = volume_find(a[0]);
    if (!volume || (volume->closing && a[1] != SKEP_VOLUME_CLOSE)) {
        return -SKEP_ENOENT;
    }
    if (a[1] == SKEP_VOLUME_CLOSE) {
        return volume_close(volume);
    }
    int error = argument_read(caller, a);
    if (error) {
        return error;
    }
    spin_lock(&volume->lock);
    int64_t result = set(volume, a);
    spin_unlock(&volume->lock);
    return result;
}

/* ---- reading ---- */

static int64_t disk_read(struct guest *caller, uint64_t index, gva_t to)
{
    memset(&scratch.disk, 0, sizeof(scratch.disk));
    if (index >= SKEP_DISKS_MAX || disks_info((uint32_t)index, &scratch.disk)) {
        return -SKEP_ENOENT;
    }
    return gmem_copy_out(caller, to, &scratch.disk, sizeof(scratch.disk));
}

static void status_fill(struct volume *volume, struct skep_volume_status *status)
{
    *status = (struct skep_volume_status){
        .spec = volume->spec,
        .users = volume->users,
        .pool_count = volume->pool_count,
        .sequence = volume->sequence,
        .committed = volume->committed,
        .mapped = volume->mapped,
        .held = volume->held_count + volume->limited_count,
        .wanting = volume->wanting,
        .full = volume->full,
        .reads = volume->reads,
        .writes = volume->writes_done,
        .flushes = volume->flushes,
        .discards = volume->discards,
        .errors = volume->errors,
        .read_bytes = volume->read_bytes,
        .written_bytes = volume->written_bytes,
    };
    volume->told = false;
}

/* Fills the scratch area: bytes, and how many entries that is. */
static uint64_t fill(struct volume *volume, const uint64_t *a, uint64_t *count)
{
    switch (a[1]) {
    case SKEP_VOLUME_STATUS:
        status_fill(volume, &scratch.status);
        *count = 0;
        return sizeof(scratch.status);
    case SKEP_VOLUME_CHANGES:
        *count = volume_changes(volume, scratch.changes,
                                a[3] < ARRAY_COUNT(scratch.changes)
                                    ? (uint32_t)a[3]
                                    : (uint32_t)ARRAY_COUNT(scratch.changes));
        return *count * sizeof(scratch.changes[0]);
    case SKEP_VOLUME_MAPPED:
        *count = a[2] < volume->chunks ? volume->chunks - a[2] : 0;
        *count = *count < a[4] ? *count : a[4];
        *count = *count < ENTRIES_MAX ? *count : ENTRIES_MAX;
        for (uint32_t i = 0; i < *count; i++) {
            scratch.entries[i] = volume_entry(volume, (uint32_t)a[2] + i);
        }
        break;
    case SKEP_VOLUME_TAKEN:
        *count = volume_taken_list(volume, a[2], scratch.entries,
                                   a[4] < ENTRIES_MAX ? (uint32_t)a[4] : ENTRIES_MAX);
        break;
    default:
        *count = volume_pool_list(volume, scratch.entries,
                                  a[3] < ENTRIES_MAX ? (uint32_t)a[3] : ENTRIES_MAX);
        break;
    }
    return *count * sizeof(scratch.entries[0]);
}

int64_t volume_read_call(struct guest *caller, const uint64_t a[5])
{
    uint64_t count = 0;
    if (a[1] == SKEP_VOLUME_DISK) {
        return disk_read(caller, a[0], gva(a[2]));
    }
    struct volume *volume = volume_find(a[0]);
    if (a[1] == SKEP_VOLUME_NEXT) {
        return volume || a[0] == 0 ? (int64_t)volume_next(volume) : -SKEP_ENOENT;
    }
    if (!volume || volume->closing) {
        return -SKEP_ENOENT;
    }
    if (a[1] < SKEP_VOLUME_STATUS || a[1] > SKEP_VOLUME_TAKEN) {
        return -SKEP_EINVAL;
    }
    spin_lock(&volume->lock);
    uint64_t bytes = fill(volume, a, &count);
    spin_unlock(&volume->lock);
    bool from_first = a[1] == SKEP_VOLUME_MAPPED || a[1] == SKEP_VOLUME_TAKEN;
    uint64_t to = from_first ? a[3] : a[2];
    int error = gmem_copy_out(caller, gva(to), &scratch, bytes);
    return error ? error : (int64_t)count;
}
