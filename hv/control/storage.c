/* storage.c - the table of disks, what clients ask of disks and volumes, and the thread that serves ring 0. */
#include "storage.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "events.h"
#include "json.h"
#include "log.h"
#include "persist.h"
#include "quota.h"
#include "skep_tls.h"
#include "storage/probe.h"
#include "thread.h"

#define SECOND   1000000000ull
#define IDLE_NS  (10 * SECOND) /* before a volume without a guest is closed */
#define NAMES_OF "1 to 39 of a-z, 0-9 and -, not beginning with -"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static bool has_work;
static struct disk disks[SKEP_DISKS_MAX];

void storage_lock(void)
{
    pthread_mutex_lock(&lock);
}

void storage_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

struct disk *storage_disk(uint32_t index)
{
    return index < SKEP_DISKS_MAX && disks[index].state != DISK_ABSENT ? &disks[index] : NULL;
}

uint32_t storage_disk_index(const struct disk *disk)
{
    return (uint32_t)(disk - disks);
}

struct volume *storage_find(const char *name, struct disk **disk)
{
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        struct volume *v = disks[i].volumes ? volumes_find(disks[i].volumes, name) : NULL;
        *disk = &disks[i];
        if (v)
            return v;
    }
    return NULL;
}

struct open_volume *storage_find_open(const struct disk *disk, const struct volume *volume)
{
    struct open_volume *o = disk->open;

    while (o && o->volume != volume)
        o = o->next;
    return o;
}

int storage_check_finished(const struct volume *v, struct problem *p)
{
    if (!(v->record.flags & FORMAT_UNFINISHED))
        return 0;
    return problem_set(p, 409,
                       "Volume '%s' belongs to a copy underway: wait for its operation, or cancel "
                       "it, by /v1/operations.",
                       v->record.name);
}

/*
 * Disks
 */

static void tell_damage(uint32_t index, const struct volumes *vs)
{
    for (uint32_t i = 0; i < vs->damage_count && i < VOLUMES_DAMAGE_MAX; i++)
        log_line("disk %" PRIu32 ": %s", index, vs->damage[i]);
    if (vs->super_repaired)
        log_line("disk %" PRIu32 ": a superblock was damaged, and is written anew", index);
}

static void attach(struct disk *disk)
{
    uint32_t index = storage_disk_index(disk);
    struct volumes *vs = calloc(1, sizeof(*vs));
    int result = vs ? volumes_open(vs, disk->dev) : -SKEP_ENOMEM;

    if (result == 0) {
        disk->volumes = vs;
        disk->state = vs->state == VOLUMES_ONLINE ? DISK_ONLINE : DISK_DAMAGED;
        tell_damage(index, vs);
        return;
    }
    free(vs);
    disk->state = DISK_FAILED;
    log_line("disk %" PRIu32 " can't be opened (error %d)", index, -result);
}

static void look_at(struct disk *disk, const struct skep_disk_info *info)
{
    disk->dev = core_disk_bdev(storage_disk_index(disk));
    if (!disk->dev)
        return;
    disk->content = info->state == SKEP_DISK_ONLINE ? probe_disk(disk->dev) : -SKEP_EIO;
    if (disk->content < 0)
        disk->state = DISK_FAILED;
    else if (disk->content == PROBE_SKEP)
        attach(disk);
    else
        disk->state = DISK_UNFORMATTED;
}

/* The service that made them is gone, and nobody else could have them. */
static void remove_unfinished(struct disk *disk)
{
    struct volume *next, *v = disk->state == DISK_ONLINE ? disk->volumes->first : NULL;

    for (; v; v = next) {
        char name[FORMAT_VOLUME_NAME];
        next = v->next;
        if (!(v->record.flags & FORMAT_UNFINISHED))
            continue;
        memcpy(name, v->record.name, sizeof(name));
        log_line("volume '%s' of a copy that was broken off is %s", name,
                 volumes_delete(disk->volumes, v) == 0 ? "deleted" : "left: its disk has failed");
    }
}

void storage_start(void)
{
    struct skep_disk_info info;

    storage_lock();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX && core_disk_info(i, &info) == 0; i++)
        look_at(&disks[i], &info);
    storage_core_adopt();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        remove_unfinished(&disks[i]);
        disks[i].told = disks[i].state;
    }
    storage_unlock();
}

/* The first that is or becomes Skep's; it stays that one. What is damaged of it may be elsewhere. */
static struct disk *system_disk(void)
{
    struct disk *chosen = NULL;

    for (uint32_t i = 0; !chosen && i < SKEP_DISKS_MAX; i++)
        chosen = disks[i].holds_state ? &disks[i] : NULL;
    for (uint32_t i = 0; !chosen && i < SKEP_DISKS_MAX; i++)
        chosen = disks[i].volumes ? &disks[i] : NULL;
    if (chosen)
        chosen->holds_state = true;
    return chosen;
}

struct bdev *storage_system_region(void)
{
    struct disk *disk;

    storage_lock();
    disk = system_disk();
    storage_unlock();
    return disk ? &disk->volumes->system : NULL;
}

bool storage_system_is_writable(void)
{
    const struct disk *disk;

    storage_lock();
    disk = system_disk();
    storage_unlock();
    return disk && disk->state == DISK_ONLINE;
}

const char *storage_system_id(void)
{
    static char id[12];
    const struct disk *disk = system_disk();

    if (disk)
        snprintf(id, sizeof(id), "%" PRIu32, storage_disk_index(disk));
    return id;
}

static void detach(struct disk *disk)
{
    while (disk->open) {
        struct open_volume *o = disk->open;
        disk->open = o->next;
        free(o);
    }
    if (disk->volumes)
        volumes_close(disk->volumes);
    free(disk->volumes);
    disk->volumes = NULL;
}

void storage_forget(void)
{
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
        detach(&disks[i]);
    memset(disks, 0, sizeof(disks));
}

static void tell_disk(const struct disk *disk, const char *type)
{
    char id[12];

    snprintf(id, sizeof(id), "%" PRIu32, storage_disk_index(disk));
    events_add(EVENT_DISKS, type, id, audit_caller(), "\"state\":\"%s\"",
               storage_state_text(disk->state));
}

/* What a call has done is told by it. */
static void tell_state(struct disk *disk)
{
    if (disk->told == disk->state)
        return;
    disk->told = disk->state;
    tell_disk(disk, "state");
}

/* Ring 0 asks nothing of a failed disk any more, and neither do we. */
static void check_disk(struct disk *disk)
{
    struct skep_disk_info info;

    if (disk->state == DISK_ABSENT)
        return;
    if (disk->state != DISK_FAILED) {
        if (core_disk_info(storage_disk_index(disk), &info) == 0 && info.state == SKEP_DISK_ONLINE)
            return;
        disk->state = DISK_FAILED;
        log_line("disk %" PRIu32 " has failed", storage_disk_index(disk));
    }
    if (disk->volumes)
        disk->volumes->state = VOLUMES_FAILED;
    for (struct open_volume *o = disk->open; o; o = o->next)
        storage_core_offline(disk, o, "its disk has failed");
}

static int in_use(const struct open_volume *o, struct problem *p)
{
    return problem_set(p, 409, "A guest uses volume '%s' of this disk: stop it first.",
                       o->volume->record.name);
}

static int check_unused(const struct disk *disk, struct problem *p)
{
    for (const struct volume *v = disk->volumes->first; v; v = v->next)
        if (v->streams)
            return problem_set(p, 409, "Volume '%s' is being read or written as a whole.",
                               v->record.name);
    for (const struct open_volume *o = disk->open; o; o = o->next)
        if (storage_core_in_use(o))
            return in_use(o, p);
    return 0;
}

static int close_all(struct disk *disk, struct problem *p)
{
    while (disk->open)
        if (storage_core_close(disk, disk->open) != 0)
            return in_use(disk->open, p);
    return 0;
}

/* A random one, RFC 9562's version 4. */
int storage_make_uuid(uint8_t uuid[16], struct problem *p)
{
    if (tls_random(uuid, 16) != 0)
        return problem_set(p, 503, "There is no randomness for a UUID now; try again.");
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

static int check_formattable(const struct disk *disk, bool force, struct problem *p)
{
    struct skep_disk_info info;

    if (disk->state == DISK_FAILED || core_disk_info(storage_disk_index(disk), &info) != 0)
        return problem_set(p, 409, "The disk has failed: it can't be read.");
    if (disk->holds_state && disk->state != DISK_DAMAGED)
        return problem_set(p, 409,
                           "Skep's own state is on this disk: it can be formatted only when the "
                           "machine has started without it.");
    if (info.flags & SKEP_DISK_READ_ONLY)
        return problem_set(p, 409, "The disk is read-only.");
    if (disk->dev->bytes < FORMAT_BYTES_MIN)
        return problem_set(p, 422, "The disk has %" PRIu64 " bytes; at least %llu are needed.",
                           disk->dev->bytes, FORMAT_BYTES_MIN);
    if (!force && (disk->content == PROBE_SKEP || disk->content == PROBE_SKEP_DAMAGED))
        return problem_set(p, 409,
                           "The disk is Skep's already. Formatting it deletes all its volumes: add "
                           "\"force\": true if that is what you want.");
    return disk->volumes ? check_unused(disk, p) : 0;
}

int storage_foresee_format(struct disk *disk, bool force, struct problem *p)
{
    return check_formattable(disk, force, p) == 0 ? 200 : -1;
}

int storage_format(struct disk *disk, bool force, struct problem *p)
{
    uint8_t uuid[16];
    int result;

    if (check_formattable(disk, force, p) != 0 || (disk->volumes && close_all(disk, p) != 0))
        return -1;
    if (storage_make_uuid(uuid, p) != 0)
        return -1;
    if (disk->holds_state)
        persist_stop();
    disk->holds_state = false;
    detach(disk);
    result = format_disk(disk->dev, uuid, core_wall_ns());
    disk->state = result == 0 ? DISK_UNFORMATTED : DISK_FAILED;
    if (result != 0)
        return problem_set(p, 503, "The disk failed while it was formatted.");
    disk->content = PROBE_SKEP;
    attach(disk);
    log_line("disk %" PRIu32 " is formatted", storage_disk_index(disk));
    disk->told = disk->state;
    tell_disk(disk, "formatted");
    return disk->volumes ? 200 : problem_set(p, 503, "The disk can't be opened.");
}

/*
 * The thread
 */

static uint64_t step_volume(struct disk *disk, struct open_volume *o)
{
    uint64_t now = core_clock_ns();

    storage_core_serve(disk, o);
    if (!o->idle_ns)
        return o->retry_ns;
    if (now - o->idle_ns >= IDLE_NS) {
        if (storage_core_close(disk, o) == 0)
            return UINT64_MAX;
        o->idle_ns = now;
    }
    return o->idle_ns + IDLE_NS < o->retry_ns ? o->idle_ns + IDLE_NS : o->retry_ns;
}

uint64_t storage_step(void)
{
    uint64_t next = UINT64_MAX;

    storage_lock();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        struct open_volume *o = disks[i].open;
        check_disk(&disks[i]);
        tell_state(&disks[i]);
        while (o) {
            struct open_volume *after = o->next;
            uint64_t due = step_volume(&disks[i], o);
            next = due < next ? due : next;
            o = after;
        }
    }
    storage_unlock();
    return next;
}

/* The thread sleeps on a lock of its own, so that who notifies never waits for a disk. */
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;

static void wake(void)
{
    pthread_mutex_lock(&work_lock);
    has_work = true;
    pthread_cond_signal(&work);
    pthread_mutex_unlock(&work_lock);
}

void storage_notify(const struct skep_notification *note)
{
    if (note->reason == SKEP_NOTIFY_VOLUME || note->reason == SKEP_NOTIFY_DISK ||
        note->reason == SKEP_NOTIFY_OVERFLOW)
        wake();
}

static void wait_for_work(uint64_t deadline_ns)
{
    uint64_t now = core_clock_ns();
    struct timespec until = thread_until(deadline_ns > now ? deadline_ns - now : 0);

    pthread_mutex_lock(&work_lock);
    while (!has_work && pthread_cond_timedwait(&work, &work_lock, &until) == 0)
        continue;
    has_work = false;
    pthread_mutex_unlock(&work_lock);
}

static void *serve(void *argument)
{
    for (;;)
        wait_for_work(storage_step());
    return argument;
}

bool storage_serve(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, serve, NULL) == 0;
}

/*
 * Volumes
 */

static struct volumes_needs *needs_before(const struct disk *disk, const struct storage_wish *wish)
{
    return wish->before ? &wish->before[storage_disk_index(disk)] : NULL;
}

static int explain(const struct disk *disk, int error, const struct storage_wish *wish,
                   struct problem *p)
{
    const struct volumes_needs *before = needs_before(disk, wish);
    const struct volumes *vs = disk->volumes;

    switch (-error) {
    case SKEP_EEXIST:
        return problem_set(p, 409, "There is a volume '%s' already.", wish->name);
    case SKEP_EINVAL:
        return problem_set(p, 422,
                           "size_bytes must be a multiple of 4096, up to %" PRIu64
                           ", and not less than the volume or its source has.",
                           (uint64_t)SKEP_CHUNKS_MAX * vs->super.chunk_bytes);
    case SKEP_ENOSPC:
        return problem_set(
            p, 409,
            "The disk has no room: %" PRIu64 " of its %" PRIu64
            " bytes are promised to volumes, or its table (%" PRIu32
            " volumes) or metadata area is full. Delete a volume, ask for less, or add "
            "\"overcommit\": true to have more promised than there is.",
            (volumes_promised(vs) + (before ? before->chunks : 0)) * vs->super.chunk_bytes,
            (uint64_t)vs->super.chunk_count * vs->super.chunk_bytes, volumes_slots(vs));
    case SKEP_ENOMEM:
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    case SKEP_EBUSY:
        return problem_set(p, 503, "The volume is too busy to be copied now; try again.");
    default:
        return problem_set(p, 503, "The disk is damaged or has failed; see GET /v1/disks.");
    }
}

/* The disk's state may be another one after an error. */
static int failed(struct disk *disk, int error, const struct storage_wish *wish, struct problem *p)
{
    if (disk->volumes->state == VOLUMES_FAILED)
        disk->state = DISK_FAILED;
    else if (disk->volumes->state == VOLUMES_DAMAGED)
        disk->state = DISK_DAMAGED;
    wake();
    return explain(disk, error, wish, p);
}

/* The only one that volumes can be on, unless the client names one. */
static struct disk *choose_disk(struct problem *p)
{
    struct disk *found = NULL;

    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        if (disks[i].state != DISK_ONLINE)
            continue;
        if (found) {
            problem_set(p, 422, "There are several disks: name one by \"disk\".");
            return NULL;
        }
        found = &disks[i];
    }
    if (!found)
        problem_set(p, 409,
                    "There is no disk for volumes: format one, PUT /v1/disks/{id} "
                    "{\"format\": true}.");
    return found;
}

static int copy(struct disk *disk, struct volume *source, const struct storage_wish *wish,
                const struct volumes_wish *new, struct volume **made)
{
    struct open_volume *o = wish->foreseen ? NULL : storage_find_open(disk, source);
    int result = o ? (int)storage_core_freeze(disk, o) : 0;

    return result ? result : volumes_copy(disk->volumes, source, wish->snapshot, new, made);
}

/* 201; or 200 for what would only be made, which is told. */
static int made(const struct disk *disk, struct volume *v, const struct storage_wish *wish)
{
    if (!wish->foreseen)
        return 201;
    *wish->foreseen = storage_new_to_json(disk, v);
    volumes_discard(v);
    return 200;
}

static int create_on(struct disk *disk, struct volume *source, const struct storage_wish *wish,
                     struct problem *p)
{
    struct volumes_wish new = {.name = wish->name,
                               .bytes = wish->bytes,
                               .created_ns = core_wall_ns(),
                               .limits = wish->limits,
                               .labels = wish->labels,
                               .overcommit = wish->overcommit,
                               .unfinished = wish->unfinished,
                               .dry_run = wish->foreseen != NULL,
                               .before = needs_before(disk, wish)};
    struct volume *v;
    int result;

    if (disk->state != DISK_ONLINE)
        return problem_set(p, 409, "Disk %" PRIu32 " takes no volumes; see GET /v1/disks.",
                           storage_disk_index(disk));
    if (quota_check_volume(!wish->has_bytes && source ? source->record.bytes : wish->bytes, p) !=
            0 ||
        (!wish->uuid && storage_make_uuid(new.uuid, p) != 0))
        return -1;
    if (wish->uuid)
        memcpy(new.uuid, wish->uuid, sizeof(new.uuid));
    result = source ? copy(disk, source, wish, &new, &v) : volumes_create(disk->volumes, &new, &v);
    return result == 0 ? made(disk, v, wish) : failed(disk, result, wish, p);
}

static void tell_volume(const struct volume *v, const char *type)
{
    events_add(EVENT_VOLUMES, type, v->record.name, audit_caller(), "\"size_bytes\":%" PRIu64,
               v->record.bytes);
}

int storage_create(const struct storage_wish *wish, struct problem *p)
{
    struct disk *disk = wish->disk;
    struct volume *source = NULL;
    int status;

    if (!volume_name_valid(wish->name))
        return problem_set(p, 400, "'%s' is no name of a volume: " NAMES_OF ".", wish->name);
    if (wish->source) {
        source = storage_find(wish->source, &disk);
        if (!source)
            return problem_set(p, 422, "There is no volume '%s' to copy.", wish->source);
        if (storage_check_finished(source, p) != 0)
            return -1;
        if (wish->disk && wish->disk != disk)
            return problem_set(p, 422,
                               "A clone or snapshot is on the disk of its source, %" PRIu32
                               "; copy_of makes a copy elsewhere.",
                               storage_disk_index(disk));
    } else if (!wish->has_bytes) {
        return problem_set(p, 422, "size_bytes is missing.");
    }
    if (!disk)
        disk = choose_disk(p);
    status = disk ? create_on(disk, source, wish, p) : -1;
    if (status == 201)
        tell_volume(storage_find(wish->name, &disk), "created");
    return status;
}

static bool has_other_limits(const struct volume *v, const struct storage_wish *wish)
{
    return wish->has_limits && memcmp(&v->record.limits, &wish->limits, sizeof(wish->limits)) != 0;
}

static bool has_other_labels(const struct volume *v, const struct storage_wish *wish)
{
    return wish->has_labels && memcmp(v->record.labels, wish->labels, sizeof(wish->labels)) != 0;
}

static const struct skep_volume_limits *limits_of(const struct volume *v,
                                                  const struct storage_wish *wish)
{
    return wish->has_limits ? &wish->limits : &v->record.limits;
}

static const char *labels_of(const struct volume *v, const struct storage_wish *wish)
{
    return wish->has_labels ? wish->labels : v->record.labels;
}

static int set_record(struct disk *disk, struct volume *v, const struct storage_wish *wish,
                      struct problem *p)
{
    const struct open_volume *o = storage_find_open(disk, v);
    int result = 0;

    if (has_other_limits(v, wish) || has_other_labels(v, wish))
        result = volumes_set(disk->volumes, v, limits_of(v, wish), labels_of(v, wish));
    if (result == 0 && o && wish->has_limits)
        core_volume_set(o->handle, SKEP_VOLUME_LIMITS, (uintptr_t)&v->record.limits, 0, 0);
    return result == 0 ? 200 : failed(disk, result, wish, p);
}

/* With limits and labels. */
static int set_bytes(struct disk *disk, struct volume *v, const struct storage_wish *wish,
                     struct problem *p)
{
    const struct open_volume *o = storage_find_open(disk, v);
    int result = volumes_resize(disk->volumes, v, wish->bytes, wish->overcommit, limits_of(v, wish),
                                labels_of(v, wish));
    int64_t in_core = 0;

    if (result != 0)
        return failed(disk, result, wish, p);
    if (o)
        in_core = core_volume_set(o->handle, SKEP_VOLUME_RESIZE, wish->bytes, 0, 0);
    if (in_core != 0)
        log_line("volume '%s' is larger now, which its guest sees at its next start (error %d)",
                 v->record.name, (int)-in_core);
    return 200;
}

static int foresee_change(const struct disk *disk, struct volume *v,
                          const struct storage_wish *wish, struct problem *p)
{
    int result = wish->has_bytes ? volumes_check_size(disk->volumes, v, wish->bytes,
                                                      wish->overcommit, needs_before(disk, wish))
                                 : 0;

    if (result != 0)
        return explain(disk, result, wish, p);
    *wish->foreseen = storage_changed_to_json(disk, v, wish);
    return 200;
}

int storage_change(struct disk *disk, struct volume *v, const struct storage_wish *wish,
                   struct problem *p)
{
    bool resized = wish->has_bytes && wish->bytes != v->record.bytes;
    bool described = has_other_limits(v, wish) || has_other_labels(v, wish);
    int status;

    if (disk->state != DISK_ONLINE)
        return problem_set(p, 409, "The volume's disk can't be written; see GET /v1/disks.");
    if (storage_check_finished(v, p) != 0)
        return -1;
    if (wish->has_bytes && wish->bytes < v->record.bytes)
        return problem_set(p, 422, "A volume can't be made smaller: it has %" PRIu64 " bytes.",
                           v->record.bytes);
    if (resized && v->record.kind == FORMAT_SNAPSHOT)
        return problem_set(p, 422, "A snapshot's size can't be changed; clone it.");
    if (wish->has_bytes && quota_check_volume(wish->bytes - v->record.bytes, p) != 0)
        return -1;
    if (wish->foreseen)
        return foresee_change(disk, v, wish, p);
    if (!resized && !described)
        audit_idle();
    if (resized && set_bytes(disk, v, wish, p) < 0)
        return -1;
    status = set_record(disk, v, wish, p);
    if (resized || (described && status > 0))
        tell_volume(v, "changed");
    return status;
}

int storage_delete(struct disk *disk, struct volume *v, struct problem *p)
{
    struct storage_wish wish = {.name = v->record.name};
    struct open_volume *o = storage_find_open(disk, v);
    char name[FORMAT_VOLUME_NAME];
    int result;

    if (disk->state != DISK_ONLINE)
        return problem_set(p, 409, "The volume's disk can't be written; see GET /v1/disks.");
    if (v->streams)
        return problem_set(p, 409, "A client or a copy is reading or writing the volume's data.");
    if (o && storage_core_close(disk, o) != 0)
        return problem_set(p, 409, "A guest uses the volume: stop and delete it first.");
    memcpy(name, v->record.name, sizeof(name));
    result = volumes_delete(disk->volumes, v);
    if (result != 0)
        return failed(disk, result, &wish, p);
    events_add(EVENT_VOLUMES, "deleted", name, audit_caller(), "%s", "");
    return 204;
}

int64_t storage_open(const char *name)
{
    struct disk *disk;
    struct volume *v = storage_find(name, &disk);
    struct open_volume *o = v ? storage_find_open(disk, v) : NULL;
    int64_t result;

    if (!v)
        return -SKEP_ENOENT;
    if (v->record.flags & FORMAT_UNFINISHED || (v->streams && v->record.kind == FORMAT_VOLUME))
        return -SKEP_EBUSY;
    result = o ? (o->offline ? -SKEP_EIO : 0) : storage_core_open(disk, v, &o);
    if (result != 0)
        return result;
    /* Not closed before the guest, which is about to be created, had the time to take it. */
    o->idle_ns = core_clock_ns();
    wake();
    return (int64_t)o->handle;
}
