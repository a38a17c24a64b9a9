/* storage_copy.c - full copies of volumes, a chunk at a time. */
#include "storage_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* A name that no volume has, for the snapshot. */
static void choose_name(char name[FORMAT_VOLUME_NAME])
{
    struct disk *disk;
    unsigned n = 0;

    do
        snprintf(name, FORMAT_VOLUME_NAME, "copy-%u", ++n);
    while (storage_find(name, &disk));
}

/* Logged if it can't be: then the next start does it. */
static void delete_volume(const char *name)
{
    struct problem p;
    struct disk *disk;
    struct volume *v = storage_find(name, &disk);

    if (v && storage_delete(disk, v, &p) < 0)
        log_line("volume '%s' of a copy can't be deleted: %s", name, p.detail);
}

static int check_wish(const struct storage_wish *wish, const struct volume *source,
                      struct problem *p)
{
    if (storage_check_finished(source, p) != 0)
        return -1;
    if (wish->has_bytes && wish->bytes < source->record.bytes)
        return problem_set(p, 422, "size_bytes must not be less than the source's %" PRIu64 ".",
                           source->record.bytes);
    return 0;
}

/* Both streams, and room for what goes from one to the other. */
static int open_streams(struct storage_copy *c, const char *from, const char *to, struct problem *p)
{
    if (storage_stream_open(&c->from, from, false, p) != 0)
        return -1;
    if (storage_stream_open(&c->to, to, true, p) == 0) {
        c->step_bytes =
            c->from.chunk_bytes > c->to.chunk_bytes ? c->from.chunk_bytes : c->to.chunk_bytes;
        c->data = malloc(c->step_bytes);
        if (c->data)
            return 0;
        storage_stream_close(&c->to);
        problem_set(p, 503, "There is no memory for the request now; try again.");
    }
    storage_stream_close(&c->from);
    return -1;
}

static int make(struct storage_copy *c, const struct storage_wish *wish,
                const struct storage_wish *target, struct problem *p)
{
    char name[FORMAT_VOLUME_NAME];
    const struct storage_wish snapshot = {.name = name,
                                          .source = wish->source,
                                          .snapshot = true,
                                          .unfinished = true,
                                          .overcommit = wish->overcommit};

    choose_name(name);
    if (storage_create(&snapshot, p) < 0)
        return -1;
    if (storage_create(target, p) > 0) {
        if (open_streams(c, name, target->name, p) == 0)
            return 202;
        delete_volume(target->name);
    }
    delete_volume(name);
    return -1;
}

int storage_copy_begin(struct storage_copy *c, const struct storage_wish *wish, struct problem *p)
{
    struct storage_wish target = *wish;
    struct disk *disk;
    const struct volume *source = storage_find(wish->source, &disk);

    if (!source)
        return problem_set(p, 422, "There is no volume '%s' to copy.", wish->source);
    if (check_wish(wish, source, p) != 0)
        return -1;
    target.source = NULL;
    target.unfinished = true;
    target.has_bytes = true;
    target.disk = wish->disk ? wish->disk : disk;
    target.bytes = wish->has_bytes ? wish->bytes : source->record.bytes;
    return wish->foreseen ? storage_create(&target, p) : make(c, wish, &target, p);
}

/* Parts of either volume that make up the step at this byte. */
static int move(struct storage_copy *c, struct storage_stream *s, uint64_t at)
{
    uint32_t chunk = s->chunk_bytes;
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < c->step_bytes; i += chunk) {
        uint32_t n = (uint32_t)((at + i) / chunk);
        if (at + i >= s->bytes)
            memset(c->data + i, 0, chunk);
        else if (s->writes)
            result = storage_stream_write(s, n, c->data + i);
        else
            result = storage_stream_read(s, n, c->data + i);
    }
    return result;
}

int storage_copy_step(struct storage_copy *c, uint64_t *at)
{
    int result = move(c, &c->from, *at);

    if (result == 0)
        result = move(c, &c->to, *at);
    if (result == 0)
        *at = c->from.bytes - *at > c->step_bytes ? *at + c->step_bytes : c->from.bytes;
    return result;
}

static int close_streams(struct storage_copy *c)
{
    int result = storage_stream_close(&c->to);

    storage_stream_close(&c->from);
    free(c->data);
    return result;
}

void storage_copy_drop(struct storage_copy *c)
{
    close_streams(c);
    delete_volume(c->to.volume->record.name);
    delete_volume(c->from.volume->record.name);
}

int storage_copy_end(struct storage_copy *c, bool drop)
{
    int result;

    storage_lock();
    result = close_streams(c);
    if (result == 0 && !drop)
        result = volumes_finish(c->to.disk->volumes, c->to.volume);
    if (result != 0 || drop)
        delete_volume(c->to.volume->record.name);
    delete_volume(c->from.volume->record.name);
    storage_unlock();
    return result;
}
