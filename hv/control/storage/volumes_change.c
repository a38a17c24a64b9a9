/*
 * volumes_change.c - free chunks for ring 0's pools, and what ring 0 made of them.
 *
 * Of several changes of one chunk only the last one counts: no flush of the guest's was answered in between. So a batch is
 * brought down to its net effect, which can be applied twice, and its map blocks can go into as many transactions as the
 * journal needs, in any order.
 */
#include <stdlib.h>
#include <string.h>

#include "storage/volumes.h"

/* The net effect on one chunk of the volume. */
struct effect {
    uint32_t chunk, order;
    uint32_t from, to; /* `from`: what the durable map says */
};

int volumes_take(struct volumes *vs, uint32_t count, uint32_t *chunks)
{
    int result = 0;

    if (vs->state != VOLUMES_ONLINE)
        return -SKEP_EIO;
    for (uint32_t i = 0; i < count; i++) {
        chunks[i] = usage_take(&vs->chunks);
        if (chunks[i] == USAGE_NONE)
            return (int)i;
        /* Durable before the transaction that names it: flush_chunks(). */
        result = vs->dev->zero(vs->dev, volumes_chunk_offset(vs, chunks[i]), vs->super.chunk_bytes);
        if (result == 0)
            continue;
        for (uint32_t n = 0; n <= i; n++)
            usage_put_back(&vs->chunks, chunks[n]);
        vs->journal.failed = true;
        return volumes_undo(vs, result);
    }
    return (int)count;
}

void volumes_give_back(struct volumes *vs, uint32_t chunk)
{
    if (chunk < vs->super.chunk_count)
        usage_put_back(&vs->chunks, chunk);
}

int volumes_mark_taken(struct volumes *vs, uint32_t chunk)
{
    if (chunk >= vs->super.chunk_count || usage_refs(&vs->chunks, chunk) != 0)
        return -SKEP_EINVAL;
    usage_mark_taken(&vs->chunks, chunk);
    return 0;
}

/*
 * The net effect
 */

static int by_chunk(const void *a, const void *b)
{
    const struct effect *x = a, *y = b;

    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int by_target(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t collapse(const struct skep_volume_change *changes, uint32_t count,
                         struct effect *effects)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++)
        effects[i] = (struct effect){.chunk = changes[i].chunk, .order = i, .to = changes[i].to};
    qsort(effects, count, sizeof(*effects), by_chunk);
    for (uint32_t i = 0; i < count; i++)
        if (i + 1 == count || effects[i + 1].chunk != effects[i].chunk)
            effects[kept++] = effects[i];
    return kept;
}

/* What the durable map says of the effect's chunk; *loaded is the MAP block in vs->entries. */
static int look_up(struct volumes *vs, const struct volume *v, struct effect *e, uint32_t *loaded)
{
    uint32_t position = e->chunk / FORMAT_ENTRIES;
    int result = 0;

    if (e->chunk >= v->chunk_count)
        return -SKEP_EINVAL;
    if (v->maps[position] && *loaded != position) {
        result = volumes_read_entries(vs, FORMAT_MAP, v->maps[position], v->record.id, position);
        *loaded = position;
    }
    e->from = v->maps[position] ? vs->entries.entries[e->chunk % FORMAT_ENTRIES] : SKEP_CHUNK_NONE;
    if (e->from != SKEP_CHUNK_NONE && e->from >= vs->super.chunk_count)
        result = FORMAT_DAMAGED;
    return result;
}

/* Whether the effects can follow what the map says: drops those that are there already. */
static int compare(struct volumes *vs, const struct volume *v, struct effect *effects,
                   uint32_t *count)
{
    uint32_t kept = 0, loaded = UINT32_MAX;

    for (uint32_t i = 0; i < *count; i++) {
        struct effect e = effects[i];
        int result = look_up(vs, v, &e, &loaded);
        if (result != 0)
            return volumes_undo(vs, result);
        if (e.from == e.to)
            continue;
        if (e.to != SKEP_CHUNK_NONE &&
            (e.to >= vs->super.chunk_count || !usage_is_taken(&vs->chunks, e.to)))
            return -SKEP_EINVAL;
        effects[kept++] = e;
    }
    *count = kept;
    return 0;
}

/* No chunk can be in two places. */
static int check_targets(const struct effect *effects, uint32_t count, uint32_t *targets)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < count; i++)
        if (effects[i].to != SKEP_CHUNK_NONE)
            targets[n++] = effects[i].to;
    qsort(targets, n, sizeof(*targets), by_target);
    for (uint32_t i = 1; i < n; i++)
        if (targets[i] == targets[i - 1])
            return -SKEP_EINVAL;
    return 0;
}

/*
 * Transactions
 */

/* A new metadata block in the transaction, whose number goes to *where. */
static int add_meta(struct volumes *vs, const struct volume *v, uint32_t kind, uint32_t position,
                    uint32_t *where, void **block)
{
    struct format_header *h;
    uint32_t n = usage_take(&vs->metas);
    int result;

    if (n == USAGE_NONE)
        return -SKEP_ENOSPC;
    vs->fresh[vs->fresh_count].meta = n;
    vs->fresh[vs->fresh_count++].where = where;
    *where = vs->super.meta_first + n;
    result = journal_new(&vs->journal, *where, block);
    if (result != 0)
        return result;
    h = *block;
    h->kind = kind;
    h->owner = v->record.id;
    h->position = position;
    return 0;
}

static int edit_index(struct volumes *vs, struct volume *v, uint32_t root, void **block)
{
    int result;

    if (v->record.roots[root])
        return journal_edit(&vs->journal, FORMAT_INDEX, v->record.roots[root], block);
    result = add_meta(vs, v, FORMAT_INDEX, root, &v->record.roots[root], block);
    return result ? result : volumes_store_record(vs, &v->record, v->slot);
}

static int edit_map(struct volumes *vs, struct volume *v, uint32_t position, void **block)
{
    struct format_entries *index, *map;
    void *index_block;
    int result;

    if (v->maps[position])
        return journal_edit(&vs->journal, FORMAT_MAP, v->maps[position], block);
    result = edit_index(vs, v, position / FORMAT_ENTRIES, &index_block);
    if (result == 0)
        result = add_meta(vs, v, FORMAT_MAP, position, &v->maps[position], block);
    if (result != 0)
        return result;
    index = index_block;
    index->entries[position % FORMAT_ENTRIES] = v->maps[position];
    map = *block;
    for (uint32_t i = 0; i < FORMAT_ENTRIES; i++)
        map->entries[i] = SKEP_CHUNK_NONE;
    return 0;
}

static int edit_chunk(struct volumes *vs, struct volume *v, const struct effect *e)
{
    void *block;
    int result = edit_map(vs, v, e->chunk / FORMAT_ENTRIES, &block);

    if (result == 0)
        ((struct format_entries *)block)->entries[e->chunk % FORMAT_ENTRIES] = e->to;
    return result;
}

/* The counts follow what is durable: only now can what was left be taken by others. */
static void count_effect(struct volumes *vs, struct volume *v, const struct effect *e)
{
    if (e->to != SKEP_CHUNK_NONE) {
        usage_ref(&vs->chunks, e->to);
        usage_put_back(&vs->chunks, e->to);
        v->mapped++;
    }
    if (e->from != SKEP_CHUNK_NONE) {
        usage_unref(&vs->chunks, e->from);
        v->mapped--;
    }
}

#define BLOCKS_A_CHUNK 4u /* record, index, map, and one to spare */

static int commit_effects(struct volumes *vs, struct volume *v, const struct effect *effects,
                          uint32_t count)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i <= count; i++) {
        int result = 0;
        if (i == count || journal_room(&vs->journal) < BLOCKS_A_CHUNK) {
            result = volumes_commit(vs);
            for (; result == 0 && done < i; done++)
                count_effect(vs, v, &effects[done]);
        }
        if (result == 0 && i < count)
            result = edit_chunk(vs, v, &effects[i]);
        if (result != 0)
            return volumes_undo(vs, result);
    }
    return 0;
}

/* Taken chunks that another change of the batch replaced. */
static void put_back_passed(struct volumes *vs, const struct skep_volume_change *changes,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (changes[i].to != SKEP_CHUNK_NONE)
            volumes_give_back(vs, changes[i].to);
}

/* What a map names must be on the disk before the map is: a cut may keep a whole transaction of which not all else that was
 * written before has been kept, and then the map would name zeroes, or what the chunk held for another volume. */
static int flush_chunks(struct volumes *vs)
{
    int result = vs->dev->flush(vs->dev);

    vs->journal.failed |= result != 0;
    return result ? volumes_undo(vs, result) : 0;
}

static int apply(struct volumes *vs, struct volume *v, const struct skep_volume_change *changes,
                 uint32_t count, struct effect *effects, uint32_t *targets)
{
    uint32_t kept = collapse(changes, count, effects);
    int result = compare(vs, v, effects, &kept);

    if (result == 0)
        result = check_targets(effects, kept, targets);
    if (result == 0 && kept)
        result = flush_chunks(vs);
    if (result == 0)
        result = commit_effects(vs, v, effects, kept);
    if (result == 0)
        put_back_passed(vs, changes, count);
    return result;
}

int volumes_apply(struct volumes *vs, struct volume *v, const struct skep_volume_change *changes,
                  uint32_t count)
{
    struct effect *effects;
    uint32_t *targets;
    int result = -SKEP_ENOMEM;

    if (vs->state != VOLUMES_ONLINE || v->damaged)
        return -SKEP_EIO;
    if (count == 0)
        return 0;
    if (v->record.kind != FORMAT_VOLUME || count > SKEP_VOLUME_CHANGES_MAX)
        return -SKEP_EINVAL;
    effects = calloc(count, sizeof(*effects));
    targets = calloc(count, sizeof(*targets));
    if (effects && targets)
        result = apply(vs, v, changes, count, effects, targets);
    free(targets);
    free(effects);
    return result;
}
