/* volumes.c - creates, copies, resizes and deletes volumes, and reads their maps. */
#include "storage/volumes.h"

#include <stdlib.h>
#include <string.h>

/*
 * Look-up
 */

bool volume_name_valid(const char *name)
{
    size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return name[bytes] == '\0' && bytes >= 1 && bytes < FORMAT_VOLUME_NAME && name[0] != '-';
}

uint32_t volume_chunks(const struct volumes *vs, uint64_t bytes)
{
    uint64_t chunks = bytes / vs->super.chunk_bytes + (bytes % vs->super.chunk_bytes != 0);
    return chunks > SKEP_CHUNKS_MAX ? 0 : (uint32_t)chunks;
}

uint32_t volume_map_count(uint32_t chunk_count)
{
    return chunk_count / FORMAT_ENTRIES + 1;
}

struct volume *volumes_find(struct volumes *vs, const char *name)
{
    struct volume *v = vs->first;

    while (v && strcmp(v->record.name, name) != 0)
        v = v->next;
    return v;
}

struct volume *volumes_by_id(struct volumes *vs, uint64_t id)
{
    struct volume *v = vs->first;

    while (v && v->record.id != id)
        v = v->next;
    return v;
}

void volumes_insert(struct volumes *vs, struct volume *v)
{
    struct volume **at = &vs->first;

    while (*at && strcmp((*at)->record.name, v->record.name) < 0)
        at = &(*at)->next;
    v->next = *at;
    *at = v;
}

uint64_t volumes_promised(const struct volumes *vs)
{
    uint64_t sum = 0;

    for (const struct volume *v = vs->first; v; v = v->next)
        sum += v->record.kind == FORMAT_SNAPSHOT ? v->mapped : v->chunk_count;
    return sum;
}

uint32_t volumes_slots(const struct volumes *vs)
{
    return vs->super.table_blocks * FORMAT_SLOTS;
}

uint64_t volumes_chunk_offset(const struct volumes *vs, uint32_t chunk)
{
    return (uint64_t)vs->super.chunk_first * BDEV_BLOCK + (uint64_t)chunk * vs->super.chunk_bytes;
}

/*
 * Transactions
 */

int volumes_undo(struct volumes *vs, int error)
{
    for (uint32_t i = 0; i < vs->fresh_count; i++) {
        *vs->fresh[i].where = 0;
        usage_put_back(&vs->metas, vs->fresh[i].meta);
    }
    vs->fresh_count = 0;
    journal_abort(&vs->journal);
    if (vs->journal.failed)
        vs->state = VOLUMES_FAILED;
    else if (error == FORMAT_DAMAGED)
        vs->state = VOLUMES_DAMAGED;
    return error;
}

int volumes_commit(struct volumes *vs)
{
    int result = journal_commit(&vs->journal);

    if (result != 0)
        return volumes_undo(vs, result);
    for (uint32_t i = 0; i < vs->fresh_count; i++) {
        usage_ref(&vs->metas, vs->fresh[i].meta);
        usage_put_back(&vs->metas, vs->fresh[i].meta);
    }
    vs->fresh_count = 0;
    return 0;
}

/* Puts it into the transaction underway. */
int volumes_store_record(struct volumes *vs, const struct format_volume *record, uint32_t slot)
{
    void *block;
    int result = journal_edit(&vs->journal, FORMAT_TABLE,
                              vs->super.table_first + slot / FORMAT_SLOTS, &block);

    if (result == 0)
        ((struct format_table *)block)->volumes[slot % FORMAT_SLOTS] = *record;
    return result;
}

static int commit_record(struct volumes *vs, const struct format_volume *record, uint32_t slot)
{
    int result = volumes_store_record(vs, record, slot);
    return result ? volumes_undo(vs, result) : volumes_commit(vs);
}

static int check_writable(const struct volumes *vs)
{
    return vs->state == VOLUMES_ONLINE ? 0 : -SKEP_EIO;
}

/*
 * Creation
 */

static uint32_t free_slot(const struct volumes *vs, struct volumes_needs *before)
{
    uint32_t slots = volumes_slots(vs), others = before ? before->slots++ : 0;
    uint8_t *used = calloc(slots, 1);
    uint32_t slot = 0;

    if (!used)
        return slots;
    for (const struct volume *v = vs->first; v; v = v->next)
        used[v->slot] = 1;
    while (slot < slots && (used[slot] || others > 0))
        others -= !used[slot++];
    free(used);
    return slot;
}

static bool has_room(const struct volumes *vs, uint64_t more, bool overcommit,
                     struct volumes_needs *before)
{
    uint64_t promised = volumes_promised(vs) + (before ? before->chunks : 0);
    bool room = overcommit || promised + more <= vs->super.chunk_count;

    if (before && room)
        before->chunks += more;
    return room;
}

static bool has_metas(const struct volumes *vs, uint32_t more, struct volumes_needs *before)
{
    uint32_t others = before ? before->metas : 0;

    if (before)
        before->metas += more;
    return others + more <= vs->metas.free_count;
}

static void fill_record(struct volumes *vs, struct format_volume *r,
                        const struct volumes_wish *wish)
{
    *r = (struct format_volume){.kind = FORMAT_VOLUME,
                                .flags = wish->unfinished ? FORMAT_UNFINISHED : 0,
                                .id = vs->journal.sequence,
                                .family = vs->journal.sequence,
                                .bytes = wish->bytes,
                                .created_ns = wish->created_ns,
                                .limits = wish->limits};
    memcpy(r->uuid, wish->uuid, sizeof(r->uuid));
    memcpy(r->name, wish->name, strlen(wish->name));
    if (wish->labels)
        memcpy(r->labels, wish->labels, sizeof(r->labels));
}

/* A volume that is not in the list yet; 0 or an error. */
static int prepare(struct volumes *vs, const struct volumes_wish *wish, uint64_t bytes,
                   struct volume **made)
{
    struct volume *v;

    if (check_writable(vs) != 0)
        return -SKEP_EIO;
    if (!volume_name_valid(wish->name) || bytes == 0 || bytes % BDEV_BLOCK != 0 ||
        volume_chunks(vs, bytes) == 0)
        return -SKEP_EINVAL;
    if (volumes_find(vs, wish->name))
        return -SKEP_EEXIST;
    v = calloc(1, sizeof(*v));
    if (!v)
        return -SKEP_ENOMEM;
    fill_record(vs, &v->record, wish);
    v->record.bytes = bytes;
    v->chunk_count = volume_chunks(vs, bytes);
    v->slot = free_slot(vs, wish->before);
    v->maps = calloc(volume_map_count(v->chunk_count), sizeof(*v->maps));
    *made = v;
    return v->slot == volumes_slots(vs) ? -SKEP_ENOSPC : v->maps ? 0 : -SKEP_ENOMEM;
}

void volumes_discard(struct volume *v)
{
    if (v)
        free(v->maps);
    free(v);
}

static int discard(struct volume *v, int error)
{
    volumes_discard(v);
    return error;
}

int volumes_create(struct volumes *vs, const struct volumes_wish *wish, struct volume **created)
{
    struct volume *v = NULL;
    int result = prepare(vs, wish, wish->bytes, &v);

    if (result == 0 && !has_room(vs, v->chunk_count, wish->overcommit, wish->before))
        result = -SKEP_ENOSPC;
    if (result == 0 && !wish->dry_run)
        result = commit_record(vs, &v->record, v->slot);
    if (result != 0)
        return discard(v, result);
    if (!wish->dry_run)
        volumes_insert(vs, v);
    *created = v;
    return 0;
}

/*
 * Copies: the blocks of the copy's map are new ones, which nothing names yet, so they are written in place; what makes the
 * copy is its record. The journal is emptied before, since it may hold what such a block was in its former life.
 */

static int write_meta(struct volumes *vs, struct volume *v, uint32_t kind, uint32_t position,
                      uint32_t *number)
{
    struct format_header *h = &vs->entries.header;
    uint32_t n = usage_take(&vs->metas);

    if (n == USAGE_NONE)
        return -SKEP_ENOSPC;
    usage_ref(&vs->metas, n);
    usage_put_back(&vs->metas, n);
    *number = vs->super.meta_first + n;
    h->owner = v->record.id;
    h->position = position;
    format_seal(&vs->super, &vs->entries, kind, *number, vs->journal.sequence);
    return vs->dev->write(vs->dev, (uint64_t)*number * BDEV_BLOCK, &vs->entries, BDEV_BLOCK);
}

static int copy_map(struct volumes *vs, const struct volume *source, struct volume *v, uint32_t i)
{
    int result = volumes_read_entries(vs, FORMAT_MAP, source->maps[i], source->record.id, i);

    if (result == 0)
        result = write_meta(vs, v, FORMAT_MAP, i, &v->maps[i]);
    for (uint32_t e = 0; result == 0 && e < FORMAT_ENTRIES; e++) {
        if (vs->entries.entries[e] == SKEP_CHUNK_NONE)
            continue;
        usage_ref(&vs->chunks, vs->entries.entries[e]);
        v->mapped++;
    }
    return result;
}

static int copy_index(struct volumes *vs, const struct volume *source, struct volume *v,
                      uint32_t root)
{
    uint32_t first = root * FORMAT_ENTRIES, count = volume_map_count(source->chunk_count);
    uint32_t end = first + FORMAT_ENTRIES < count ? first + FORMAT_ENTRIES : count;
    int result = 0;

    if (source->record.roots[root] == 0)
        return 0;
    for (uint32_t i = first; result == 0 && i < end; i++)
        result = source->maps[i] ? copy_map(vs, source, v, i) : 0;
    if (result != 0)
        return result;
    memset(&vs->entries, 0, sizeof(vs->entries));
    for (uint32_t i = first; i < end; i++)
        vs->entries.entries[i - first] = v->maps[i];
    return write_meta(vs, v, FORMAT_INDEX, root, &v->record.roots[root]);
}

static uint32_t metas_of(const struct volume *v)
{
    uint32_t count = 0;

    for (uint32_t root = 0; root < FORMAT_ROOTS; root++)
        count += v->record.roots[root] != 0;
    for (uint32_t i = 0; i < volume_map_count(v->chunk_count); i++)
        count += v->maps[i] != 0;
    return count;
}

/* What is half done when the device fails here is undone by nothing but opening the disk anew. */
static int write_copy(struct volumes *vs, const struct volume *source, struct volume *v)
{
    int result = journal_checkpoint(&vs->journal);

    if (result == -SKEP_ENOMEM)
        return volumes_undo(vs, result);
    for (uint32_t root = 0; result == 0 && root < FORMAT_ROOTS; root++)
        result = copy_index(vs, source, v, root);
    if (result == 0)
        result = vs->dev->flush(vs->dev);
    if (result == 0)
        result = volumes_store_record(vs, &v->record, v->slot);
    if (result == 0)
        result = volumes_commit(vs);
    if (result == 0)
        return 0;
    volumes_undo(vs, result);
    if (result != FORMAT_DAMAGED) {
        vs->journal.failed = true;
        vs->state = VOLUMES_FAILED;
    }
    return result;
}

int volumes_copy(struct volumes *vs, struct volume *source, bool snapshot,
                 const struct volumes_wish *wish, struct volume **created)
{
    uint64_t bytes = wish->bytes ? wish->bytes : source->record.bytes;
    struct volume *v = NULL;
    int result = source->damaged ? -SKEP_EIO : prepare(vs, wish, bytes, &v);

    if (result == 0 && (bytes < source->record.bytes || (snapshot && wish->bytes)))
        result = -SKEP_EINVAL;
    if (result == 0 &&
        (!has_metas(vs, metas_of(source), wish->before) ||
         !has_room(vs, snapshot ? source->mapped : v->chunk_count, wish->overcommit, wish->before)))
        result = -SKEP_ENOSPC;
    if (result != 0)
        return discard(v, result);
    v->record.kind = snapshot ? FORMAT_SNAPSHOT : FORMAT_VOLUME;
    v->record.family = source->record.family;
    v->record.parent_id = source->record.id;
    memcpy(v->record.parent, source->record.name, sizeof(v->record.parent));
    result = wish->dry_run ? 0 : write_copy(vs, source, v);
    if (result != 0)
        return discard(v, result);
    if (!wish->dry_run)
        volumes_insert(vs, v);
    *created = v;
    return 0;
}

/*
 * Deletion and changes
 */

static void unlink_volume(struct volumes *vs, struct volume *v)
{
    struct volume **at = &vs->first;

    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
}

/* Chunks and blocks of what is no longer in the table. */
static int release(struct volumes *vs, const struct volume *v)
{
    for (uint32_t i = 0; i < volume_map_count(v->chunk_count); i++) {
        int result;
        if (v->maps[i] == 0)
            continue;
        result = volumes_read_entries(vs, FORMAT_MAP, v->maps[i], v->record.id, i);
        if (result != 0)
            return volumes_undo(vs, result);
        for (uint32_t e = 0; e < FORMAT_ENTRIES; e++)
            if (vs->entries.entries[e] != SKEP_CHUNK_NONE)
                usage_unref(&vs->chunks, vs->entries.entries[e]);
        usage_unref(&vs->metas, v->maps[i] - vs->super.meta_first);
    }
    for (uint32_t root = 0; root < FORMAT_ROOTS; root++)
        if (v->record.roots[root])
            usage_unref(&vs->metas, v->record.roots[root] - vs->super.meta_first);
    return 0;
}

int volumes_delete(struct volumes *vs, struct volume *v)
{
    const struct format_volume nothing = {.kind = FORMAT_FREE};
    int result = check_writable(vs);

    if (result == 0)
        result = commit_record(vs, &nothing, v->slot);
    if (result != 0)
        return result;
    unlink_volume(vs, v);
    /* It is gone; what couldn't be read here only stays unused until the disk is opened anew. */
    release(vs, v);
    return discard(v, 0);
}

int volumes_check_size(const struct volumes *vs, const struct volume *v, uint64_t bytes,
                       bool overcommit, struct volumes_needs *before)
{
    uint32_t chunks = volume_chunks(vs, bytes);
    int result = check_writable(vs);

    if (result != 0)
        return result;
    if (v->record.kind != FORMAT_VOLUME || bytes < v->record.bytes || bytes % BDEV_BLOCK != 0 ||
        chunks == 0)
        return -SKEP_EINVAL;
    return has_room(vs, chunks - v->chunk_count, overcommit || chunks == v->chunk_count, before)
               ? 0
               : -SKEP_ENOSPC;
}

int volumes_resize(struct volumes *vs, struct volume *v, uint64_t bytes, bool overcommit,
                   const struct skep_volume_limits *limits, const char *labels)
{
    struct format_volume record = v->record;
    uint32_t chunks = volume_chunks(vs, bytes), former = volume_map_count(v->chunk_count);
    uint32_t *maps;
    int result = volumes_check_size(vs, v, bytes, overcommit, NULL);

    if (result != 0)
        return result;
    maps = calloc(volume_map_count(chunks), sizeof(*maps));
    if (!maps)
        return -SKEP_ENOMEM;
    memcpy(maps, v->maps, former * sizeof(*maps));
    record.bytes = bytes;
    record.limits = *limits;
    memcpy(record.labels, labels, sizeof(record.labels));
    result = commit_record(vs, &record, v->slot);
    if (result != 0) {
        free(maps);
        return result;
    }
    free(v->maps);
    v->maps = maps;
    v->record = record;
    v->chunk_count = chunks;
    return 0;
}

/* A record whose change needs nothing else. */
static int change_record(struct volumes *vs, struct volume *v, const struct format_volume *record)
{
    int result = check_writable(vs);

    if (result == 0)
        result = commit_record(vs, record, v->slot);
    if (result == 0)
        v->record = *record;
    return result;
}

int volumes_set(struct volumes *vs, struct volume *v, const struct skep_volume_limits *limits,
                const char *labels)
{
    struct format_volume record = v->record;

    record.limits = *limits;
    memcpy(record.labels, labels, sizeof(record.labels));
    return change_record(vs, v, &record);
}

int volumes_finish(struct volumes *vs, struct volume *v)
{
    struct format_volume record = v->record;

    record.flags &= ~FORMAT_UNFINISHED;
    return change_record(vs, v, &record);
}

/*
 * Maps
 */

/* Those entries of one MAP block that are asked for. */
static int map_part(struct volumes *vs, const struct volume *v, uint32_t first, uint32_t count,
                    uint32_t *entries)
{
    uint32_t position = first / FORMAT_ENTRIES;
    int result = 0;

    if (v->maps[position])
        result = volumes_read_entries(vs, FORMAT_MAP, v->maps[position], v->record.id, position);
    for (uint32_t i = 0; result == 0 && i < count; i++) {
        uint32_t entry = SKEP_CHUNK_NONE;
        if (v->maps[position])
            entry = vs->entries.entries[first % FORMAT_ENTRIES + i];
        if (entry != SKEP_CHUNK_NONE && entry >= vs->super.chunk_count)
            return FORMAT_DAMAGED;
        if (entry != SKEP_CHUNK_NONE && usage_refs(&vs->chunks, entry) > 1)
            entry |= SKEP_CHUNK_SHARED;
        entries[i] = entry;
    }
    return result;
}

int volumes_map(struct volumes *vs, const struct volume *v, uint32_t first, uint32_t count,
                uint32_t *entries)
{
    int result = 0;

    if (v->damaged || vs->state == VOLUMES_FAILED)
        return -SKEP_EIO;
    if (first > v->chunk_count || count > v->chunk_count - first)
        return -SKEP_EINVAL;
    while (result == 0 && count > 0) {
        uint32_t part = FORMAT_ENTRIES - first % FORMAT_ENTRIES;
        part = part < count ? part : count;
        result = map_part(vs, v, first, part, entries);
        first += part;
        count -= part;
        entries += part;
    }
    return result == FORMAT_DAMAGED ? volumes_undo(vs, result) : result;
}
