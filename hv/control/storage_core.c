/*
 * storage_core.c - volumes in ring 0: opened with their maps, supplied with chunks, and their changes made durable.
 *
 * Order: a change is applied to the disk, then committed, then chunks are taken for pools. A service that ends in between
 * finds the change again, and applying it twice is as once. What ring 0's pools hold is asked of ring 0, not remembered.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "log.h"
#include "storage.h"

#define PIECE        512u /* map entries a call */
#define POOL_MIN     64u  /* chunks, unless the volume or the disk has fewer */
#define POOL_MAX     SKEP_VOLUME_POOL_MAX
#define ROUNDS       4u /* reads of changes in one go */
#define FREEZE_TRIES 10000u
#define RETRY_NS     100000000ull /* when there was no memory */

/* Guarded by the storage lock. */
static struct skep_volume_change changes[SKEP_VOLUME_CHANGES_MAX];
static uint32_t chunks[PIECE];

static int64_t get_status(const struct open_volume *o, struct skep_volume_status *status)
{
    return core_volume_read(o->handle, SKEP_VOLUME_STATUS, (uintptr_t)status, 0, 0);
}

void storage_core_offline(struct disk *disk, struct open_volume *o, const char *why)
{
    if (o->offline)
        return;
    o->offline = true;
    core_volume_set(o->handle, SKEP_VOLUME_FLAGS, SKEP_VOLUME_OFFLINE, 0, 0);
    log_line("volume '%s' is offline: %s", o->volume->record.name, why);
    events_add(EVENT_VOLUMES, "state", o->volume->record.name, NULL,
               "\"state\":\"offline\",\"error\":\"%s\"", why);
    if (disk->volumes->state == VOLUMES_FAILED)
        disk->state = DISK_FAILED;
    else if (disk->volumes->state == VOLUMES_DAMAGED)
        disk->state = DISK_DAMAGED;
}

/*
 * Opening
 */

static int64_t send_map(struct disk *disk, struct volume *v, uint64_t handle)
{
    int64_t result = 0;

    for (uint32_t first = 0; result >= 0 && first < v->chunk_count; first += PIECE) {
        uint32_t count = v->chunk_count - first < PIECE ? v->chunk_count - first : PIECE;
        /* Nothing is mapped in a volume that was just opened. */
        if (!v->maps[first / FORMAT_ENTRIES] && !v->maps[(first + count - 1) / FORMAT_ENTRIES])
            continue;
        if (volumes_map(disk->volumes, v, first, count, chunks) != 0)
            return -SKEP_EIO;
        result = core_volume_set(handle, SKEP_VOLUME_MAP, first, (uintptr_t)chunks, count);
    }
    return result < 0 ? result : 0;
}

static uint32_t flags_of(const struct disk *disk, const struct volume *v)
{
    bool writable = v->record.kind == FORMAT_VOLUME && disk->state == DISK_ONLINE;
    return writable ? 0 : SKEP_VOLUME_READ_ONLY;
}

static struct skep_volume_spec spec_of(const struct disk *disk, const struct volume *v)
{
    const struct volumes *vs = disk->volumes;
    struct skep_volume_spec spec = {.disk = storage_disk_index(disk),
                                    .chunk_bytes = vs->super.chunk_bytes,
                                    .first_byte = volumes_chunk_offset(vs, 0),
                                    .disk_chunks = vs->super.chunk_count,
                                    .flags = flags_of(disk, v),
                                    .bytes = v->record.bytes,
                                    .id = v->record.id,
                                    .limits = v->record.limits};

    memcpy(spec.name, v->record.name, sizeof(spec.name));
    return spec;
}

static struct open_volume *add_open(struct disk *disk, struct volume *v, uint64_t handle)
{
    struct open_volume *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    *o = (struct open_volume){.next = disk->open,
                              .volume = v,
                              .handle = handle,
                              .idle_ns = core_clock_ns(),
                              .pool_wanted = POOL_MIN};
    disk->open = o;
    return o;
}

int64_t storage_core_open(struct disk *disk, struct volume *v, struct open_volume **opened)
{
    struct skep_volume_spec spec = spec_of(disk, v);
    int64_t handle, result;

    if (v->damaged || disk->state == DISK_FAILED)
        return -SKEP_EIO;
    handle = core_volume_open(&spec);
    if (handle < 0)
        return handle;
    result = send_map(disk, v, (uint64_t)handle);
    *opened = result == 0 ? add_open(disk, v, (uint64_t)handle) : NULL;
    if (*opened) {
        storage_core_serve(disk, *opened);
        return 0;
    }
    core_volume_set((uint64_t)handle, SKEP_VOLUME_CLOSE, 0, 0, 0);
    return result ? result : -SKEP_ENOMEM;
}

/*
 * Changes, and closing, before which they all are durable
 */

static int64_t read_changes(const struct open_volume *o)
{
    return core_volume_read(o->handle, SKEP_VOLUME_CHANGES, (uintptr_t)changes,
                            SKEP_VOLUME_CHANGES_MAX, 0);
}

/* The first ones in `changes`; false: the volume is offline, or it is tried again later. */
static bool apply(struct disk *disk, struct open_volume *o, uint32_t count)
{
    int64_t result = volumes_apply(disk->volumes, o->volume, changes, count);

    if (result == 0)
        result =
            core_volume_set(o->handle, SKEP_VOLUME_COMMIT, changes[count - 1].sequence + 1, 0, 0);
    if (result >= 0)
        return true;
    if (result == -SKEP_ENOMEM) {
        o->retry_ns = core_clock_ns() + RETRY_NS;
        return false;
    }
    storage_core_offline(disk, o,
                         result == -SKEP_ENOSPC   ? "the disk's metadata area is full"
                         : result == -SKEP_EINVAL ? "ring 0's changes don't fit its map"
                                                  : "its changes can't be written to the disk");
    return false;
}

static uint32_t count_taken(uint32_t count)
{
    uint32_t taken = 0;

    for (uint32_t i = 0; i < count; i++)
        taken += changes[i].to != SKEP_CHUNK_NONE;
    return taken;
}

/* How many chunks were taken since the last look, or -1: they couldn't be made durable. */
static int64_t follow_changes(struct disk *disk, struct open_volume *o)
{
    int64_t count, taken = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        count = read_changes(o);
        if (count <= 0)
            break;
        taken += count_taken((uint32_t)count);
        if (!apply(disk, o, (uint32_t)count))
            return -1;
    }
    return taken;
}

static void remove_open(struct disk *disk, struct open_volume *o)
{
    struct open_volume **at = &disk->open;

    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    free(o);
}

bool storage_core_in_use(const struct open_volume *o)
{
    struct skep_volume_status status;
    return get_status(o, &status) == 0 && status.users;
}

int64_t storage_core_close(struct disk *disk, struct open_volume *o)
{
    uint32_t pool[SKEP_VOLUME_LIST_MAX];
    int64_t count, result;

    if (storage_core_in_use(o))
        return -SKEP_EBUSY;
    /* Without users nothing is taken any more: what is read here is all there is. */
    if (!o->offline)
        follow_changes(disk, o);
    count = core_volume_read(o->handle, SKEP_VOLUME_POOL, (uintptr_t)pool, SKEP_VOLUME_LIST_MAX, 0);
    result = core_volume_set(o->handle, SKEP_VOLUME_CLOSE, 0, 0, 0);
    if (result != 0 && result != -SKEP_ENOENT)
        return result;
    for (int64_t i = 0; i < count; i++)
        volumes_give_back(disk->volumes, pool[i]);
    remove_open(disk, o);
    return 0;
}

/*
 * Pools
 */

/* Twice what was taken since the last look, within bounds; when little is free, every pool gets a part of it. */
static uint32_t pool_target(const struct disk *disk, struct open_volume *o, uint32_t taken,
                            uint32_t pool_count)
{
    uint32_t most = disk->volumes->chunks.free_count / 4 + 1;

    o->pool_wanted = 2 * taken > o->pool_wanted  ? 2 * taken
                     : o->pool_wanted > POOL_MIN ? o->pool_wanted - o->pool_wanted / 8
                                                 : POOL_MIN;
    o->pool_wanted = o->pool_wanted < POOL_MIN   ? POOL_MIN
                     : o->pool_wanted > POOL_MAX ? POOL_MAX
                                                 : o->pool_wanted;
    if (most > o->pool_wanted)
        most = o->pool_wanted;
    if (most < pool_count)
        most = pool_count;
    return most < o->volume->chunk_count ? most : o->volume->chunk_count;
}

static void give(struct disk *disk, struct open_volume *o, uint32_t count)
{
    int taken = volumes_take(disk->volumes, count, chunks);
    int64_t given;

    if (taken < 0)
        storage_core_offline(disk, o, "chunks can't be zeroed on the disk");
    if (taken <= 0)
        return;
    given = core_volume_set(o->handle, SKEP_VOLUME_GIVE, (uintptr_t)chunks, (uint64_t)taken, 0);
    for (int64_t i = given < 0 ? 0 : given; i < taken; i++)
        volumes_give_back(disk->volumes, chunks[i]);
}

/* Writes that find the pool empty fail when there is nothing to wait for, and wait otherwise. */
static void tell_full(struct disk *disk, struct open_volume *o)
{
    struct skep_volume_status status;
    bool full;

    if (get_status(o, &status) != 0)
        return;
    full = status.pool_count == 0 && disk->volumes->chunks.free_count == 0;
    if (full == (status.full != 0) || core_volume_set(o->handle, SKEP_VOLUME_FULL, full, 0, 0) != 0)
        return;
    events_add(EVENT_VOLUMES, "state", o->volume->record.name, NULL, "\"state\":\"%s\"",
               full ? "full" : "online");
}

static void fill_pool(struct disk *disk, struct open_volume *o, uint32_t taken)
{
    struct skep_volume_status status;
    uint32_t target;

    if (flags_of(disk, o->volume) & SKEP_VOLUME_READ_ONLY || get_status(o, &status) != 0)
        return;
    o->idle_ns = status.users ? 0 : o->idle_ns ? o->idle_ns : core_clock_ns();
    target = pool_target(disk, o, taken, status.pool_count);
    if (status.pool_count < target)
        give(disk, o, target - status.pool_count);
    tell_full(disk, o);
}

void storage_core_serve(struct disk *disk, struct open_volume *o)
{
    int64_t taken;

    if (o->offline)
        return;
    o->retry_ns = UINT64_MAX;
    taken = follow_changes(disk, o);
    if (taken >= 0)
        fill_pool(disk, o, (uint32_t)taken);
}

/*
 * Copies of what is open
 */

/* The changes of before the moment. */
static uint32_t count_before(int64_t count, uint64_t sequence)
{
    uint32_t n = 0;

    while (n < count && changes[n].sequence < sequence)
        n++;
    return n;
}

int64_t storage_core_freeze(struct disk *disk, struct open_volume *o)
{
    struct skep_volume_status before = {0}, after = {0};
    uint32_t count;

    if (o->offline)
        return -SKEP_EIO;
    storage_core_serve(disk, o);
    for (unsigned i = 0; i < FREEZE_TRIES; i++) {
        int64_t result = get_status(o, &before);
        if (result == 0)
            result = core_volume_set(o->handle, SKEP_VOLUME_SHARE, 0, 0, 0);
        if (result == 0)
            result = get_status(o, &after);
        if (result < 0 && result != -SKEP_EAGAIN)
            return result;
        /* A change in between could have been before the moment or after it: once more. */
        if (result < 0 || before.sequence != after.sequence) {
            sched_yield();
            continue;
        }
        count = count_before(read_changes(o), after.sequence);
        return count && !apply(disk, o, count) ? -SKEP_EIO : 0;
    }
    return -SKEP_EBUSY;
}

/*
 * After the service's restart
 */

/* In this order: what leaves the pool meanwhile has been seen there, and only we take changes from their list. */
static void mark_taken(struct disk *disk, struct open_volume *o)
{
    uint32_t list[SKEP_VOLUME_LIST_MAX];
    int64_t count =
        core_volume_read(o->handle, SKEP_VOLUME_POOL, (uintptr_t)list, SKEP_VOLUME_LIST_MAX, 0);

    for (int64_t i = 0; i < count; i++)
        if (volumes_mark_taken(disk->volumes, list[i]) != 0)
            storage_core_offline(disk, o, "its pool has a chunk that is in use");
    for (uint64_t first = 0;; first += (uint64_t)count) {
        count = core_volume_read(o->handle, SKEP_VOLUME_TAKEN, first, (uintptr_t)list,
                                 SKEP_VOLUME_LIST_MAX);
        if (count <= 0)
            break;
        /* Those that a map names were applied already. */
        for (int64_t i = 0; i < count; i++)
            volumes_mark_taken(disk->volumes, list[i]);
    }
}

static void adopt(uint64_t handle)
{
    struct skep_volume_status status;
    struct disk *disk;
    struct volume *v;
    struct open_volume *o;

    if (core_volume_read(handle, SKEP_VOLUME_STATUS, (uintptr_t)&status, 0, 0) != 0)
        return;
    disk = storage_disk(status.spec.disk);
    v = disk && disk->volumes ? volumes_by_id(disk->volumes, status.spec.id) : NULL;
    o = v ? add_open(disk, v, handle) : NULL;
    if (!o) {
        core_volume_set(handle, SKEP_VOLUME_FLAGS, SKEP_VOLUME_OFFLINE, 0, 0);
        core_volume_set(handle, SKEP_VOLUME_CLOSE, 0, 0, 0);
        return;
    }
    o->idle_ns = status.users ? 0 : core_clock_ns();
    o->offline = status.spec.flags & SKEP_VOLUME_OFFLINE;
    mark_taken(disk, o);
}

/* All pools are known before any chunk is taken for one. */
void storage_core_adopt(void)
{
    int64_t handle = 0;

    while ((handle = core_volume_read((uint64_t)handle, SKEP_VOLUME_NEXT, 0, 0, 0)) > 0)
        adopt((uint64_t)handle);
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        struct disk *disk = storage_disk(i);
        for (struct open_volume *o = disk ? disk->open : NULL; o; o = o->next)
            storage_core_serve(disk, o);
    }
}
