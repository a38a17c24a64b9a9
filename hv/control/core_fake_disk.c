/*
 * core_fake_disk.c - disks and volumes of the fake core: ring 0's maps, pools and logs of changes, with guests' writes made by
 * the tests. All of it is in one shared mapping, as the rest of the machine is.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bdev.h"
#include "core.h"
#include "test/fake.h"

#define DISKS      2u
#define VOLUMES    16u
#define CHUNKS_MAX 4096u /* of a volume */

struct fake_volume {
    bool used;
    uint32_t generation;
    struct skep_volume_status status;
    uint32_t map[CHUNKS_MAX];
    uint32_t pool[SKEP_VOLUME_POOL_MAX];
    struct skep_volume_change changes[SKEP_VOLUME_CHANGES_MAX];
    uint32_t change_count;
    uint32_t writers; /* of its users */
};

struct fake_disk {
    struct bdev dev; /* its functions are at the same place in all processes */
    uint8_t *data;
    struct skep_disk_info info;
};

static struct storage {
    pthread_mutex_t lock;
    uint32_t disk_count;
    struct fake_disk disks[DISKS];
    struct fake_volume volumes[VOLUMES];
} * s;

/*
 * Disks
 */

static struct fake_disk *disk_of(struct bdev *dev)
{
    return (struct fake_disk *)dev;
}

static bool is_wrong(const struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    return offset % BDEV_BLOCK || bytes % BDEV_BLOCK || bytes > dev->bytes ||
           offset > dev->bytes - bytes;
}

static int check(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    if (is_wrong(dev, offset, bytes))
        return -SKEP_EINVAL;
    return disk_of(dev)->info.state == SKEP_DISK_ONLINE ? 0 : -SKEP_EIO;
}

static int disk_read(struct bdev *dev, uint64_t offset, void *data, size_t bytes)
{
    int result = check(dev, offset, bytes);

    if (result == 0)
        memcpy(data, disk_of(dev)->data + offset, bytes);
    disk_of(dev)->info.reads++;
    return result;
}

static int disk_write(struct bdev *dev, uint64_t offset, const void *data, size_t bytes)
{
    int result = check(dev, offset, bytes);

    if (result == 0)
        memcpy(disk_of(dev)->data + offset, data, bytes);
    disk_of(dev)->info.writes++;
    return result;
}

static int disk_zero(struct bdev *dev, uint64_t offset, uint64_t bytes)
{
    int result = check(dev, offset, bytes);

    if (result == 0)
        memset(disk_of(dev)->data + offset, 0, bytes);
    return result;
}

static int disk_flush(struct bdev *dev)
{
    disk_of(dev)->info.flushes++;
    return check(dev, 0, 0);
}

void fake_storage_start(void)
{
    pthread_mutexattr_t shared;

    for (uint32_t i = 0; s && i < s->disk_count; i++)
        munmap(s->disks[i].data, s->disks[i].dev.bytes);
    if (s)
        munmap(s, sizeof(*s));
    s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
             -1, 0);
    if (s == MAP_FAILED)
        abort();
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->lock, &shared);
}

uint32_t fake_disk_add(const char *path, uint64_t bytes)
{
    struct fake_disk *d = &s->disks[s->disk_count];
    int fd = path ? open(path, O_RDWR) : -1;

    if (path)
        bytes = (uint64_t)lseek(fd, 0, SEEK_END);
    d->data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE | (path ? 0 : MAP_ANONYMOUS), fd, 0);
    if (d->data == MAP_FAILED)
        abort();
    if (fd >= 0)
        close(fd);
    d->dev = (struct bdev){.bytes = bytes,
                           .read = disk_read,
                           .write = disk_write,
                           .zero = disk_zero,
                           .flush = disk_flush};
    d->info = (struct skep_disk_info){
        .bytes = bytes, .block_bytes = 512, .state = SKEP_DISK_ONLINE, .flags = SKEP_DISK_FLUSH};
    snprintf(d->info.serial, sizeof(d->info.serial), "fake-%u", (unsigned)s->disk_count);
    return s->disk_count++;
}

void fake_disk_fail(uint32_t disk)
{
    s->disks[disk].info.state = SKEP_DISK_FAILED;
    fake_notify(disk, SKEP_NOTIFY_DISK);
}

uint8_t *fake_disk_data(uint32_t disk)
{
    return s->disks[disk].data;
}

int64_t core_disk_info(uint32_t disk, struct skep_disk_info *out)
{
    if (!s || disk >= s->disk_count)
        return -SKEP_ENOENT;
    *out = s->disks[disk].info;
    return 0;
}

struct bdev *core_disk_bdev(uint32_t disk)
{
    return s && disk < s->disk_count ? &s->disks[disk].dev : NULL;
}

/*
 * Volumes
 */

static void lock_volumes(void)
{
    if (pthread_mutex_lock(&s->lock) != 0)
        pthread_mutex_consistent(&s->lock);
}

static uint64_t handle_of(const struct fake_volume *v)
{
    return (uint64_t)v->generation << 32 | ((uint32_t)(v - s->volumes) + 1);
}

static struct fake_volume *volume_of(uint64_t handle)
{
    uint32_t index = (uint32_t)handle - 1;

    if (!s || index >= VOLUMES || !s->volumes[index].used ||
        s->volumes[index].generation != handle >> 32)
        return NULL;
    return &s->volumes[index];
}

static struct fake_volume *named(const char *name)
{
    for (uint32_t i = 0; i < VOLUMES; i++)
        if (s->volumes[i].used && strcmp(s->volumes[i].status.spec.name, name) == 0)
            return &s->volumes[i];
    return NULL;
}

static uint32_t chunk_count(const struct fake_volume *v)
{
    const struct skep_volume_spec *spec = &v->status.spec;
    return (uint32_t)((spec->bytes + spec->chunk_bytes - 1) / spec->chunk_bytes);
}

static int64_t open_locked(const struct skep_volume_spec *spec)
{
    struct fake_volume *v = s->volumes;
    uint32_t generation;

    while (v < s->volumes + VOLUMES && v->used)
        v++;
    if (v == s->volumes + VOLUMES)
        return -SKEP_ENOSPC;
    generation = v->generation + 1;
    memset(v, 0, sizeof(*v));
    v->used = true;
    v->generation = generation;
    v->status.spec = *spec;
    v->status.sequence = v->status.committed = 1;
    for (uint32_t i = 0; i < CHUNKS_MAX; i++)
        v->map[i] = SKEP_CHUNK_NONE;
    return (int64_t)handle_of(v);
}

int64_t core_volume_open(const struct skep_volume_spec *spec)
{
    int64_t result;

    if (!s || spec->disk >= s->disk_count || spec->bytes > (uint64_t)CHUNKS_MAX * spec->chunk_bytes)
        return -SKEP_EINVAL;
    lock_volumes();
    result = open_locked(spec);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static int64_t set_map(struct fake_volume *v, uint64_t first, const uint32_t *entries,
                       uint64_t count)
{
    if (first > chunk_count(v) || count > chunk_count(v) - first)
        return -SKEP_EINVAL;
    for (uint64_t i = 0; i < count; i++) {
        if (entries[i] != SKEP_CHUNK_NONE &&
            (entries[i] & ~SKEP_CHUNK_SHARED) >= v->status.spec.disk_chunks)
            return -SKEP_EINVAL;
        v->map[first + i] = entries[i];
        v->status.mapped += entries[i] != SKEP_CHUNK_NONE;
    }
    return 0;
}

static int64_t give(struct fake_volume *v, const uint32_t *chunks, uint64_t count)
{
    uint64_t taken = 0;

    while (taken < count && v->status.pool_count < SKEP_VOLUME_POOL_MAX)
        v->pool[v->status.pool_count++] = chunks[taken++];
    return (int64_t)taken;
}

static int64_t commit(struct fake_volume *v, uint64_t sequence)
{
    uint32_t gone = 0;

    if (sequence > v->status.sequence)
        return -SKEP_EINVAL;
    while (gone < v->change_count && v->changes[gone].sequence < sequence)
        gone++;
    v->change_count -= gone;
    memmove(v->changes, v->changes + gone, v->change_count * sizeof(*v->changes));
    v->status.committed = sequence;
    return 0;
}

static int64_t set_locked(struct fake_volume *v, enum skep_volume_set what, uint64_t a, uint64_t b,
                          uint64_t c)
{
    switch (what) {
    case SKEP_VOLUME_MAP:
        return set_map(v, a, (const uint32_t *)(uintptr_t)b, c);
    case SKEP_VOLUME_GIVE:
        return give(v, (const uint32_t *)(uintptr_t)a, b);
    case SKEP_VOLUME_COMMIT:
        return commit(v, a);
    case SKEP_VOLUME_SHARE:
        for (uint32_t i = 0; i < CHUNKS_MAX; i++)
            v->map[i] |= v->map[i] != SKEP_CHUNK_NONE ? SKEP_CHUNK_SHARED : 0;
        return 0;
    case SKEP_VOLUME_RESIZE:
        v->status.spec.bytes = a;
        return 0;
    case SKEP_VOLUME_LIMITS:
        v->status.spec.limits = *(const struct skep_volume_limits *)(uintptr_t)a;
        return 0;
    case SKEP_VOLUME_FLAGS:
        v->status.spec.flags = (uint32_t)a;
        return 0;
    case SKEP_VOLUME_FULL:
        v->status.full = a != 0;
        return 0;
    case SKEP_VOLUME_CLOSE:
        v->used = v->status.users != 0;
        return v->used ? -SKEP_EBUSY : 0;
    }
    return -SKEP_EINVAL;
}

int64_t core_volume_set(uint64_t volume, enum skep_volume_set what, uint64_t a, uint64_t b,
                        uint64_t c)
{
    struct fake_volume *v = volume_of(volume);
    int64_t result;

    if (!v)
        return -SKEP_ENOENT;
    lock_volumes();
    result = set_locked(v, what, a, b, c);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static int64_t next_volume(uint64_t handle)
{
    for (uint32_t i = (uint32_t)handle; s && i < VOLUMES; i++)
        if (s->volumes[i].used)
            return (int64_t)handle_of(&s->volumes[i]);
    return 0;
}

static int64_t copy_out(void *to, const void *from, uint64_t count, uint64_t room, size_t bytes)
{
    count = count < room ? count : room;
    memcpy(to, from, count * bytes);
    return (int64_t)count;
}

static int64_t take_out(const struct fake_volume *v, uint64_t first, uint32_t *to, uint64_t room)
{
    uint64_t done = 0;

    for (uint64_t i = first; i < v->change_count && done < room; i++)
        to[done++] = v->changes[i].to;
    return (int64_t)done;
}

static int64_t read_locked(struct fake_volume *v, enum skep_volume_read what, uint64_t a,
                           uint64_t b, uint64_t c)
{
    switch (what) {
    case SKEP_VOLUME_STATUS:
        *(struct skep_volume_status *)(uintptr_t)a = v->status;
        return 0;
    case SKEP_VOLUME_CHANGES:
        return copy_out((void *)(uintptr_t)a, v->changes, v->change_count, b, sizeof(*v->changes));
    case SKEP_VOLUME_MAPPED:
        return a >= chunk_count(v) ? 0
                                   : copy_out((void *)(uintptr_t)b, v->map + a, chunk_count(v) - a,
                                              c, sizeof(*v->map));
    case SKEP_VOLUME_POOL:
        return copy_out((void *)(uintptr_t)a, v->pool, v->status.pool_count, b, sizeof(*v->pool));
    case SKEP_VOLUME_TAKEN:
        return take_out(v, a, (uint32_t *)(uintptr_t)b, c);
    default:
        return -SKEP_EINVAL;
    }
}

int64_t core_volume_read(uint64_t volume, enum skep_volume_read what, uint64_t a, uint64_t b,
                         uint64_t c)
{
    struct fake_volume *v = volume_of(volume);
    int64_t result;

    if (what == SKEP_VOLUME_DISK)
        return core_disk_info((uint32_t)volume, (struct skep_disk_info *)(uintptr_t)a);
    if (what == SKEP_VOLUME_NEXT)
        return next_volume(volume);
    if (!v)
        return -SKEP_ENOENT;
    lock_volumes();
    result = read_locked(v, what, a, b, c);
    pthread_mutex_unlock(&s->lock);
    return result;
}

/*
 * What guests do
 */

static uint8_t *data_of(const struct fake_volume *v, uint32_t entry)
{
    const struct skep_volume_spec *spec = &v->status.spec;
    return s->disks[spec->disk].data + spec->first_byte +
           (uint64_t)(entry & ~SKEP_CHUNK_SHARED) * spec->chunk_bytes;
}

static void log_change(struct fake_volume *v, uint32_t chunk, uint32_t to)
{
    v->changes[v->change_count++] = (struct skep_volume_change){
        .sequence = v->status.sequence++, .chunk = chunk, .from = v->map[chunk], .to = to};
    v->map[chunk] = to;
    fake_notify(handle_of(v), SKEP_NOTIFY_VOLUME);
}

static bool write_locked(struct fake_volume *v, uint32_t chunk, uint64_t value)
{
    uint32_t entry = v->map[chunk], to;

    if (entry != SKEP_CHUNK_NONE && !(entry & SKEP_CHUNK_SHARED)) {
        memcpy(data_of(v, entry), &value, sizeof(value));
        return true;
    }
    if (v->status.pool_count == 0 || v->change_count == SKEP_VOLUME_CHANGES_MAX)
        return false;
    to = v->pool[--v->status.pool_count];
    if (entry != SKEP_CHUNK_NONE)
        memcpy(data_of(v, to), data_of(v, entry), v->status.spec.chunk_bytes);
    memcpy(data_of(v, to), &value, sizeof(value));
    v->status.mapped += entry == SKEP_CHUNK_NONE;
    log_change(v, chunk, to);
    return true;
}

bool fake_volume_write(const char *name, uint32_t chunk, uint64_t value)
{
    struct fake_volume *v = named(name);
    bool done;

    if (!v || v->status.spec.flags || chunk >= chunk_count(v))
        return false;
    lock_volumes();
    done = write_locked(v, chunk, value);
    pthread_mutex_unlock(&s->lock);
    return done;
}

uint64_t fake_volume_read(const char *name, uint32_t chunk)
{
    struct fake_volume *v = named(name);
    uint64_t value = 0;

    if (v && v->map[chunk] != SKEP_CHUNK_NONE)
        memcpy(&value, data_of(v, v->map[chunk]), sizeof(value));
    return value;
}

void fake_volume_discard(const char *name, uint32_t chunk)
{
    struct fake_volume *v = named(name);

    lock_volumes();
    if (v->map[chunk] != SKEP_CHUNK_NONE) {
        v->status.mapped--;
        log_change(v, chunk, SKEP_CHUNK_NONE);
    }
    pthread_mutex_unlock(&s->lock);
}

void fake_volume_use(const char *name, int more)
{
    struct fake_volume *v = named(name);

    if (!v)
        return;
    v->status.users += (uint32_t)more;
    fake_notify(handle_of(v), SKEP_NOTIFY_VOLUME);
}

const struct skep_volume_status *fake_volume_status(const char *name)
{
    struct fake_volume *v = named(name);
    return v ? &v->status : NULL;
}

void fake_volumes_power_cut(void)
{
    memset(s->volumes, 0, sizeof(s->volumes));
}

/*
 * Guests' block devices
 */

static bool is_writer(const struct skep_block_spec *block)
{
    return !(block->flags & SKEP_BLOCK_READ_ONLY);
}

void fake_blocks_release(const struct skep_guest_spec *spec)
{
    for (uint32_t i = 0; i < spec->block_count; i++) {
        struct fake_volume *v = volume_of(spec->block[i].volume);
        if (!v)
            continue;
        v->status.users--;
        v->writers -= is_writer(&spec->block[i]);
    }
}

int64_t fake_blocks_take(const struct skep_guest_spec *spec)
{
    for (uint32_t i = 0; i < spec->block_count; i++) {
        const struct fake_volume *v = volume_of(spec->block[i].volume);
        if (!v)
            return -SKEP_ENOENT;
        if (is_writer(&spec->block[i]) && (v->writers || v->status.spec.flags))
            return -SKEP_EBUSY;
    }
    for (uint32_t i = 0; i < spec->block_count; i++) {
        struct fake_volume *v = volume_of(spec->block[i].volume);
        v->status.users++;
        v->writers += is_writer(&spec->block[i]);
    }
    return 0;
}
