/*
 * storage_data.c - whole volumes for clients, a chunk at a time. Others get their turn with the lock in between; the volume's
 * count of streams keeps it from being deleted, opened for a guest, or losing its disk to a format.
 */
#include <stdlib.h>
#include <string.h>

#include "storage.h"

#define BATCH 64u /* changes made durable at once */

static int in_use(struct problem *p)
{
    return problem_set(p, 409, "A guest uses the volume: stop it first, or read a snapshot.");
}

static bool is_snapshot(const struct storage_stream *s)
{
    return s->volume->record.kind == FORMAT_SNAPSHOT;
}

static int check(struct storage_stream *s, struct problem *p)
{
    if (s->writes && (is_snapshot(s) || s->disk->state != DISK_ONLINE))
        return problem_set(
            p, 409, "The volume can't be written: it is a snapshot, or its disk is damaged.");
    if (s->volume->damaged || s->disk->state == DISK_FAILED)
        return problem_set(p, 409, "The volume is offline: its disk is damaged or has failed.");
    if (s->volume->streams && (s->writes || !is_snapshot(s)))
        return problem_set(p, 409, "Another client is reading or writing the volume's data.");
    s->bytes = s->volume->record.bytes;
    s->chunk_bytes = s->disk->volumes->super.chunk_bytes;
    return 0;
}

static int begin(struct storage_stream *s, struct problem *p)
{
    struct open_volume *o = storage_find_open(s->disk, s->volume);

    if (check(s, p) != 0)
        return -1;
    /* Closing it makes durable what guests did. */
    if (!is_snapshot(s) && o && storage_core_close(s->disk, o) != 0)
        return in_use(p);
    s->changes = s->writes ? calloc(BATCH, sizeof(*s->changes)) : NULL;
    if (s->writes && !s->changes)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    s->volume->streams++;
    return 0;
}

static int find(struct storage_stream *s, const char *name, bool writes, struct problem *p)
{
    *s = (struct storage_stream){.writes = writes};
    s->volume = storage_find(name, &s->disk);
    return s->volume ? 0 : problem_set(p, 404, "There is no volume '%s'.", name);
}

int storage_stream_open(struct storage_stream *s, const char *name, bool writes, struct problem *p)
{
    return find(s, name, writes, p) == 0 ? begin(s, p) : -1;
}

int storage_stream_begin(struct storage_stream *s, const char *name, bool writes, struct problem *p)
{
    int result;

    storage_lock();
    result = find(s, name, writes, p);
    if (result == 0)
        result = storage_check_finished(s->volume, p);
    if (result == 0)
        result = begin(s, p);
    storage_unlock();
    return result;
}

/* Chunks that writes can get at most: what others have in their pools may come back. */
static uint32_t count_room(const struct storage_stream *s)
{
    const struct usage *chunks = &s->disk->volumes->chunks;
    return chunks->free_count + chunks->taken_count + s->volume->mapped;
}

static int foresee(struct storage_stream *s, uint32_t parts, struct problem *p)
{
    const struct open_volume *o = storage_find_open(s->disk, s->volume);

    if (storage_check_finished(s->volume, p) != 0 || check(s, p) != 0)
        return -1;
    if (o && storage_core_in_use(o))
        return in_use(p);
    if (parts > count_room(s))
        return problem_set(p, 409, "The disk is too full for the data.");
    return 0;
}

int storage_stream_foresee(struct storage_stream *s, const char *name, uint32_t parts,
                           struct problem *p)
{
    int result;

    storage_lock();
    result = find(s, name, true, p);
    if (result == 0)
        result = foresee(s, parts, p);
    storage_unlock();
    return result;
}

static int read_part(struct storage_stream *s, uint32_t n, void *data)
{
    struct volumes *vs = s->disk->volumes;
    uint32_t entry;
    int result = volumes_map(vs, s->volume, n, 1, &entry);

    if (result != 0)
        return -SKEP_EIO;
    if (entry == SKEP_CHUNK_NONE) {
        memset(data, 0, s->chunk_bytes);
        return 0;
    }
    return vs->dev->read(vs->dev, volumes_chunk_offset(vs, entry & ~SKEP_CHUNK_SHARED), data,
                         s->chunk_bytes);
}

int storage_stream_read(struct storage_stream *s, uint32_t n, void *data)
{
    int result;

    storage_lock();
    result = read_part(s, n, data);
    storage_unlock();
    return result;
}

static int make_durable(struct storage_stream *s)
{
    int result = volumes_apply(s->disk->volumes, s->volume, s->changes, s->change_count);

    for (uint32_t i = 0; result != 0 && i < s->change_count; i++)
        if (s->changes[i].to != SKEP_CHUNK_NONE)
            volumes_give_back(s->disk->volumes, s->changes[i].to);
    s->change_count = 0;
    if (s->disk->volumes->state == VOLUMES_FAILED)
        s->disk->state = DISK_FAILED;
    else if (s->disk->volumes->state == VOLUMES_DAMAGED)
        s->disk->state = DISK_DAMAGED;
    return result;
}

bool storage_is_zero(const uint8_t *data, size_t bytes)
{
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

/* A chunk of zeroes needs no place; any other gets a new one, so that copies keep theirs. */
static int write_part(struct storage_stream *s, uint32_t n, const uint8_t *data)
{
    struct volumes *vs = s->disk->volumes;
    uint32_t to = SKEP_CHUNK_NONE;
    int result = 0;

    if (!storage_is_zero(data, s->chunk_bytes)) {
        result = volumes_take(vs, 1, &to);
        if (result <= 0)
            return result < 0 ? result : -SKEP_ENOSPC;
        result = vs->dev->write(vs->dev, volumes_chunk_offset(vs, to), data, s->chunk_bytes);
    }
    if (result != 0) {
        volumes_give_back(vs, to);
        return result;
    }
    s->changes[s->change_count++] = (struct skep_volume_change){.chunk = n, .to = to};
    return s->change_count == BATCH ? make_durable(s) : 0;
}

int storage_stream_write(struct storage_stream *s, uint32_t n, const void *data)
{
    int result;

    storage_lock();
    result = write_part(s, n, data);
    storage_unlock();
    return result;
}

int storage_stream_close(struct storage_stream *s)
{
    int result = s->writes ? make_durable(s) : 0;

    s->volume->streams--;
    free(s->changes);
    return result;
}

int storage_stream_end(struct storage_stream *s)
{
    int result;

    storage_lock();
    result = storage_stream_close(s);
    storage_unlock();
    return result;
}
