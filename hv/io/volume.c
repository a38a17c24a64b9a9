/*
 * volume.c - a volume's map, pool, log of changes, and limits. volume.h says how they belong together.
 */
#include "io/volume.h"

#include "core/frame.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/string.h"
#include "io/disks.h"

#define PAGE_ENTRIES (SKEP_PAGE_SIZE / 4) /* of the map, and of its roots */
#define LOG_ENTRIES  (SKEP_PAGE_SIZE / (uint32_t)sizeof(struct change))

#define NS_SECOND 1000000000ull
#define BURST_MAX (1ull << 33) /* bytes; in ns it fits into 64 bits at any rate */

struct change {
    uint32_t chunk, from, to, reserved;
};
_Static_assert(2 * LOG_ENTRIES == SKEP_VOLUME_CHANGES_MAX, "two pages hold the log");
_Static_assert(2 * PAGE_ENTRIES * PAGE_ENTRIES == SKEP_CHUNKS_MAX, "two roots hold the map");

static void list_init(struct work_link *list)
{
    list->next = list->previous = list;
}

void volume_init(struct volume *volume, uint32_t disk)
{
    volume->disk = disk;
    volume->lock.kind = LOCK_VOLUME;
    list_init(&volume->ready);
    list_init(&volume->held);
    list_init(&volume->limited);
    list_init(&volume->kicked);
}

bool volume_offline(const struct volume *volume)
{
    return (volume->spec.flags & SKEP_VOLUME_OFFLINE) || disks_get(volume->disk)->failed;
}

/* ---- the map ---- */

/* A page that is promised to the volume and made when it is first needed. */
static void *page_make(pfn_t *pfn)
{
    if (!*pfn) {
        *pfn = frame_alloc(0, SKEP_FRAME_OBJECT, OWNER_CORE);
        CHECK(*pfn);
    }
    return frame_data(*pfn);
}

static uint32_t *map_page(const struct volume *volume, uint32_t chunk)
{
    pfn_t root = volume->roots[chunk / (PAGE_ENTRIES * PAGE_ENTRIES)];
    const pfn_t *pages = root ? frame_data(root) : NULL;
    pfn_t page = pages ? pages[chunk / PAGE_ENTRIES % PAGE_ENTRIES] : PFN_NONE;
    return page ? frame_data(page) : NULL;
}

static uint32_t *map_page_make(struct volume *volume, uint32_t chunk)
{
    uint32_t *entries = map_page(volume, chunk);
    if (entries) {
        return entries;
    }
    pfn_t *pages = page_make(&volume->roots[chunk / (PAGE_ENTRIES * PAGE_ENTRIES)]);
    entries = page_make(&pages[chunk / PAGE_ENTRIES % PAGE_ENTRIES]);
    for (uint32_t i = 0; i < PAGE_ENTRIES; i++) {
        entries[i] = SKEP_CHUNK_NONE;
    }
    return entries;
}

uint32_t volume_entry(const struct volume *volume, uint32_t chunk)
{
    const uint32_t *entries = chunk < volume->chunks ? map_page(volume, chunk) : NULL;
    return entries ? entries[chunk % PAGE_ENTRIES] : SKEP_CHUNK_NONE;
}

void volume_entry_set(struct volume *volume, uint32_t chunk, uint32_t entry)
{
    CHECK(chunk < volume->chunks);
    uint32_t *at = &map_page_make(volume, chunk)[chunk % PAGE_ENTRIES];
    volume->mapped += (entry != SKEP_CHUNK_NONE) - (*at != SKEP_CHUNK_NONE);
    *at = entry;
}

/* The same for entries of one page. */
static void page_set(struct volume *volume, uint32_t chunk, const uint32_t *entries, uint32_t count)
{
    uint32_t first = 0, mapped = volume->mapped;
    while (first < count && entries[first] == SKEP_CHUNK_NONE) {
        first++;
    }
    if (first == count && map_page(volume, chunk) == NULL) {
        return;
    }
    uint32_t *at = map_page_make(volume, chunk) + chunk % PAGE_ENTRIES;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t entry = entries[i];
        mapped += (entry != SKEP_CHUNK_NONE) - (at[i] != SKEP_CHUNK_NONE);
        at[i] = entry;
    }
    volume->mapped = mapped;
}

void volume_entries_set(struct volume *volume, uint32_t chunk, const uint32_t *entries,
                        uint32_t count)
{
    CHECK(chunk <= volume->chunks && count <= volume->chunks - chunk);
    while (count > 0) {
        uint32_t left = PAGE_ENTRIES - chunk % PAGE_ENTRIES, part = count < left ? count : left;
        page_set(volume, chunk, entries, part);
        chunk += part;
        entries += part;
        count -= part;
    }
}

uint64_t volume_chunk_byte(const struct volume *volume, uint32_t disk_chunk)
{
    return volume->spec.first_byte + ((uint64_t)disk_chunk << volume->chunk_shift);
}

/* Grows with each control service. Relaxed: who reads the old number is woken once more. */
static _Atomic uint32_t share_life;

bool volume_is_sharing(const struct volume *volume)
{
    return volume->sharing &&
           volume->share_life == atomic_load_explicit(&share_life, memory_order_relaxed);
}

void volume_share_begin(struct volume *volume)
{
    volume->sharing = true;
    volume->share_life = atomic_load_explicit(&share_life, memory_order_relaxed);
    volume->share_next = 0;
}

void volume_shares_undo(void)
{
    atomic_fetch_add_explicit(&share_life, 1, memory_order_relaxed);
    volume_wake_all();
}

uint32_t volume_share(struct volume *volume, uint32_t chunk, uint32_t end)
{
    uint32_t *entries = map_page(volume, chunk);
    uint32_t page_end = chunk - chunk % PAGE_ENTRIES + PAGE_ENTRIES;
    end = end < page_end ? end : page_end;
    for (uint32_t i = chunk; i < end && entries; i++) {
        uint32_t *entry = &entries[i % PAGE_ENTRIES];
        *entry |= *entry != SKEP_CHUNK_NONE ? SKEP_CHUNK_SHARED : 0;
    }
    return end;
}

/* ---- the log ---- */

void volume_tell(struct volume *volume)
{
    if (!volume->told && !volume->raw) {
        volume->told = true;
        notify_push(volume->handle, SKEP_NOTIFY_VOLUME);
    }
}

/* Shows what may be shown: the requests that were underway when it was changed have ended. */
static void settle(struct volume *volume)
{
    while (volume->settled < volume->sequence) {
        if (volume->settling && volume->underway[volume->epoch ^ 1] > 0) {
            return;
        }
        if (volume->settling) {
            volume->settling = false;
            volume->settled = volume->boundary;
        } else if (volume->underway[volume->epoch] == 0) {
            volume->settled = volume->sequence;
        } else {
            volume->settling = true;
            volume->boundary = volume->sequence;
            volume->epoch ^= 1;
        }
    }
    volume->settling &= volume->underway[volume->epoch ^ 1] > 0;
}

static struct change *change_at(struct volume *volume, uint64_t sequence)
{
    uint32_t at = (uint32_t)(sequence % SKEP_VOLUME_CHANGES_MAX);
    return (struct change *)page_make(&volume->log[at / LOG_ENTRIES]) + at % LOG_ENTRIES;
}

static uint64_t log_left(const struct volume *volume)
{
    return SKEP_VOLUME_CHANGES_MAX - (volume->sequence - volume->committed) - volume->copying_count;
}

static void change(struct volume *volume, uint32_t chunk, uint32_t to)
{
    struct change *entry = change_at(volume, volume->sequence);
    CHECK(volume->sequence - volume->committed < SKEP_VOLUME_CHANGES_MAX);
    *entry = (struct change){.chunk = chunk, .from = volume_entry(volume, chunk), .to = to};
    volume_entry_set(volume, chunk, to);
    /* Nobody used a chunk that has just got its place. */
    volume->settled += entry->from == SKEP_CHUNK_NONE && volume->settled == volume->sequence;
    volume->sequence++;
    settle(volume);
    if (log_left(volume) < SKEP_VOLUME_CHANGES_MAX / 2) {
        volume_tell(volume);
    }
}

bool volume_log_room(struct volume *volume)
{
    bool room = log_left(volume) > 0;
    if (!room) {
        volume_tell(volume);
    }
    return room;
}

void volume_unmap(struct volume *volume, uint32_t chunk)
{
    change(volume, chunk, SKEP_CHUNK_NONE);
}

uint32_t volume_changes(struct volume *volume, struct skep_volume_change *changes, uint32_t count)
{
    uint32_t done = 0;
    volume->told = false;
    for (uint64_t i = volume->committed; i < volume->settled && done < count; i++) {
        const struct change *entry = change_at(volume, i);
        changes[done++] = (struct skep_volume_change){
            .sequence = i, .chunk = entry->chunk, .from = entry->from, .to = entry->to};
    }
    return done;
}

uint32_t volume_enter(struct volume *volume)
{
    volume->underway[volume->epoch]++;
    return volume->epoch;
}

void volume_leave(struct volume *volume, uint32_t epoch)
{
    uint64_t before = volume->settled;
    CHECK(volume->underway[epoch] > 0);
    volume->underway[epoch]--;
    settle(volume);
    if (volume->settled > before && volume->wanting > 0) {
        volume_tell(volume);
    }
}

/* ---- the pool ---- */

enum volume_space volume_space(struct volume *volume, bool copy)
{
    if (!volume_log_room(volume)) {
        return VOLUME_SPACE_NOT_YET;
    }
    if (volume->pool_count > 0 || (copy && volume->spoilt_count > 0)) {
        return VOLUME_SPACE;
    }
    volume_tell(volume);
    return volume->full ? VOLUME_SPACE_NONE : VOLUME_SPACE_NOT_YET;
}

uint32_t volume_pool_next(const struct volume *volume)
{
    return volume->pool[volume->pool_first];
}

static uint32_t pool_take(struct volume *volume)
{
    uint32_t chunk = volume_pool_next(volume);
    volume->pool_first = (volume->pool_first + 1) % SKEP_VOLUME_POOL_MAX;
    volume->pool_count--;
    if (volume->pool_count < volume->pool_given / 2) {
        volume_tell(volume);
    }
    return chunk;
}

uint32_t volume_map_first(struct volume *volume, uint32_t chunk)
{
    uint32_t to = pool_take(volume);
    change(volume, chunk, to);
    return to;
}

uint32_t volume_copy_begin(struct volume *volume, uint32_t chunk)
{
    uint32_t to =
        volume->spoilt_count > 0 ? volume->spoilt[--volume->spoilt_count] : pool_take(volume);
    CHECK(volume->copying_count < VOLUME_COPIES_MAX);
    volume->copying[volume->copying_count++] = (struct volume_copy){chunk, to};
    return to;
}

bool volume_copy_underway(const struct volume *volume, uint32_t chunk)
{
    for (uint32_t i = 0; i < volume->copying_count; i++) {
        if (volume->copying[i].chunk == chunk) {
            return true;
        }
    }
    return false;
}

static void copying_remove(struct volume *volume, uint32_t chunk)
{
    uint32_t i = 0;
    while (i < volume->copying_count && volume->copying[i].chunk != chunk) {
        i++;
    }
    CHECK(i < volume->copying_count);
    volume->copying[i] = volume->copying[--volume->copying_count];
}

void volume_copy_end(struct volume *volume, uint32_t chunk, uint32_t to, bool done)
{
    copying_remove(volume, chunk);
    if (done) {
        change(volume, chunk, to);
    } else {
        CHECK(volume->spoilt_count < VOLUME_COPIES_MAX);
        volume->spoilt[volume->spoilt_count++] = to;
    }
}

uint32_t volume_pool_list(const struct volume *volume, uint32_t *chunks, uint32_t count)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < volume->pool_count && done < count; i++) {
        chunks[done++] = volume->pool[(volume->pool_first + i) % SKEP_VOLUME_POOL_MAX];
    }
    for (uint32_t i = 0; i < volume->spoilt_count && done < count; i++) {
        chunks[done++] = volume->spoilt[i];
    }
    for (uint32_t i = 0; i < volume->copying_count && done < count; i++) {
        chunks[done++] = volume->copying[i].to;
    }
    return done;
}

uint32_t volume_taken_list(struct volume *volume, uint64_t first, uint32_t *chunks, uint32_t count)
{
    uint64_t left = volume->sequence - volume->committed;
    uint32_t done = 0;
    for (uint64_t i = first; i < left && done < count; i++) {
        chunks[done++] = change_at(volume, volume->committed + i)->to;
    }
    return done;
}

/* ---- limits ---- */

/* A limit is a debt that is paid at its rate, here as the time when it is clear. A request may go when the debt with its
 * own cost is no more than the burst, or when there is none. */
static uint64_t due_of(uint64_t clear_ns, uint64_t now, uint64_t cost_ns, uint64_t burst_ns)
{
    if (clear_ns <= now || clear_ns + cost_ns <= now + burst_ns) {
        return 0;
    }
    return cost_ns < burst_ns ? clear_ns - (burst_ns - cost_ns) : clear_ns;
}

/* How long the amount takes at this rate. */
static uint64_t time_of(uint64_t amount, uint64_t rate)
{
    amount = amount < BURST_MAX ? amount : BURST_MAX;
    return rate > 0 ? amount * NS_SECOND / rate : 0;
}

static void charge(uint64_t *clear_ns, uint64_t now, uint64_t cost_ns)
{
    *clear_ns = (*clear_ns > now ? *clear_ns : now) + cost_ns;
}

uint64_t volume_admit(struct volume *volume, uint64_t bytes)
{
    const struct skep_volume_limits *limits = &volume->spec.limits;
    if (limits->bytes_second == 0 && limits->requests_second == 0) {
        return 0;
    }
    uint64_t now = arch_clock_ns();
    uint64_t bytes_ns = time_of(bytes, limits->bytes_second);
    uint64_t request_ns = time_of(1, limits->requests_second);
    uint64_t bytes_due = due_of(volume->bytes_clear_ns, now, bytes_ns,
                                time_of(limits->bytes_burst, limits->bytes_second));
    uint64_t request_due = due_of(volume->requests_clear_ns, now, request_ns,
                                  time_of(limits->requests_burst, limits->requests_second));
    uint64_t due = bytes_due > request_due ? bytes_due : request_due;
    if (due == 0) {
        charge(&volume->bytes_clear_ns, now, bytes_ns);
        charge(&volume->requests_clear_ns, now, request_ns);
    }
    return due;
}
