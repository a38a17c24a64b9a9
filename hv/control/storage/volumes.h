/*
 * volumes.h - the volumes of one disk: their table, their maps, and the chunks that they have.
 *
 * A volume is an array of chunks, each of which is somewhere on the disk or nowhere yet. Copies (snapshots and clones)
 * share chunks with what they were made of; a chunk that two maps name is never written again by ring 0, which copies it
 * first. Chunks and metadata blocks that no map names are free: there is no list of them on the disk, only counts in
 * memory, so that a power cut can leave none behind.
 *
 * The caller takes turns: no two calls for one disk at the same time. Calls block on the disk. 0, a negative SKEP_E… code or
 * FORMAT_DAMAGED; what a call that failed was to do hasn't happened, unless the disk's state is VOLUMES_FAILED afterwards:
 * then nobody knows until it is opened anew. A change whose call has returned 0 is durable.
 */
#ifndef CONTROL_STORAGE_VOLUMES_H
#define CONTROL_STORAGE_VOLUMES_H

#include <stdbool.h>

#include "storage/format.h"
#include "storage/journal.h"
#include "storage/usage.h"

#define VOLUMES_DAMAGE_MAX  8u
#define VOLUMES_DAMAGE_TEXT 96u

enum volumes_state {
    VOLUMES_ONLINE,
    VOLUMES_DAMAGED, /* metadata isn't what its checksums say: nothing is written; volumes that are whole can be read */
    VOLUMES_FAILED, /* the device failed a write: nothing is asked of it any more */
};

struct volume {
    struct volume *next; /* by name */
    struct format_volume record;
    uint32_t slot;
    uint32_t chunk_count; /* of its size */
    uint32_t mapped;      /* chunks that it has */
    bool damaged;         /* its map is not known in full */
    uint32_t *maps;       /* its MAP blocks, 0 = none */
    uint32_t streams;     /* the caller's: clients that read or write it as a whole */
};

struct volumes {
    struct bdev *dev;
    struct format_super super;
    struct bdev system; /* the region for Skep's own state */
    enum volumes_state state;
    struct journal journal;
    struct usage chunks, metas;
    struct volume *first;

    /* What was found when it was opened. */
    struct journal_report report;
    bool super_repaired;
    uint32_t damage_count; /* of which the first ones have texts */
    char damage[VOLUMES_DAMAGE_MAX][VOLUMES_DAMAGE_TEXT];

    /* Metadata blocks of the transaction underway, and where their numbers are kept. */
    struct {
        uint32_t meta, *where;
    } fresh[FORMAT_COMMIT_MAX];
    uint32_t fresh_count;
    struct format_entries entries; /* a block that is looked at */
};

/* Opens a disk of Skep's: replays the journal and counts. -SKEP_ENODEV: it is none; -SKEP_ENOMEM. A damaged one is opened,
 * in state VOLUMES_DAMAGED. The structure stays where it is until volumes_close(). */
int volumes_open(struct volumes *vs, struct bdev *dev);
void volumes_close(struct volumes *vs);

struct volume *volumes_find(struct volumes *vs, const char *name);
struct volume *volumes_by_id(struct volumes *vs, uint64_t id);

/* Chunks that all volumes together may come to need: their sizes, and what snapshots have. */
uint64_t volumes_promised(const struct volumes *vs);
uint32_t volumes_slots(const struct volumes *vs);

/* What dry runs need that would be done before this one, on one disk: each adds what it needs itself. */
struct volumes_needs {
    uint64_t chunks; /* promised */
    uint32_t slots, metas;
};

struct volumes_wish {
    const char *name;
    uint64_t bytes;      /* a multiple of 4096; of a copy: 0 = as large as its source */
    uint64_t created_ns; /* UNIX time */
    uint8_t uuid[16];
    struct skep_volume_limits limits;
    const char *labels; /* FORMAT_LABELS bytes; NULL = none */
    bool overcommit;    /* may be larger than what is left */
    bool unfinished;    /* until volumes_finish() */
    bool
        dry_run; /* what is created is the caller's, to be freed by volumes_discard(), and nothing on the disk */
    struct volumes_needs *before; /* of a dry run; NULL = nothing would be done before */
};

/* -SKEP_EEXIST: there is one of this name. -SKEP_EINVAL: name or size. -SKEP_ENOSPC: the table or metadata area is full, or
 * the disk has fewer chunks than would be promised (unless overcommit). */
int volumes_create(struct volumes *vs, const struct volumes_wish *wish, struct volume **created);

/* A snapshot, or else a clone that can be written, of what the durable map says now. */
int volumes_copy(struct volumes *vs, struct volume *source, bool snapshot,
                 const struct volumes_wish *wish, struct volume **created);

void volumes_discard(struct volume *v);

int volumes_delete(struct volumes *vs, struct volume *v);
int volumes_finish(struct volumes *vs, struct volume *v);

/* Larger only (-SKEP_EINVAL). Limits and labels are those that it has from then on: all of it is kept, or nothing. */
int volumes_resize(struct volumes *vs, struct volume *v, uint64_t bytes, bool overcommit,
                   const struct skep_volume_limits *limits, const char *labels);
int volumes_check_size(const struct volumes *vs, const struct volume *v, uint64_t bytes,
                       bool overcommit, struct volumes_needs *before); /* whether it can be */

/* Both at once; labels have FORMAT_LABELS bytes, as in a record (format.h). */
int volumes_set(struct volumes *vs, struct volume *v, const struct skep_volume_limits *limits,
                const char *labels);

/* Entries of the map; what more than one volume has is marked SKEP_CHUNK_SHARED. */
int volumes_map(struct volumes *vs, const struct volume *v, uint32_t first, uint32_t count,
                uint32_t *entries);

/* Takes free chunks, which read as zeroes; how many (< count: there are no more), or an error. They are taken until a change
 * or volumes_give_back() says otherwise; a power cut frees them. */
int volumes_take(struct volumes *vs, uint32_t count, uint32_t *chunks);
void volumes_give_back(struct volumes *vs, uint32_t chunk);

/* After the service's restart: this chunk is in somebody's pool. -SKEP_EINVAL: a map names it, or there is none such. */
int volumes_mark_taken(struct volumes *vs, uint32_t chunk);

/* Makes ring 0's changes durable: all of them that are not committed, oldest first, at most SKEP_VOLUME_CHANGES_MAX. Some or
 * all may have been applied before. Taken chunks that they name and that no map names in the end are free again.
 * -SKEP_EINVAL: they name what was not given, or what isn't there; nothing was done. */
int volumes_apply(struct volumes *vs, struct volume *v, const struct skep_volume_change *changes,
                  uint32_t count);

uint64_t volumes_chunk_offset(const struct volumes *vs, uint32_t chunk); /* on the disk, in bytes */

/* For each other (volumes_open.c, volumes.c, volumes_change.c). */
uint32_t volume_chunks(const struct volumes *vs, uint64_t bytes);
uint32_t volume_map_count(uint32_t chunk_count); /* enough for so many, and never 0 */
bool volume_name_valid(const char *name);
void volumes_insert(struct volumes *vs, struct volume *v);
int volumes_read_entries(struct volumes *vs, uint32_t kind, uint32_t number, uint64_t owner,
                         uint32_t position);
/* After a call that failed: takes the transaction's fresh blocks back, and sees what the disk's state is. */
int volumes_undo(struct volumes *vs, int error);
int volumes_commit(struct volumes *vs);
int volumes_store_record(struct volumes *vs, const struct format_volume *record, uint32_t slot);

#endif
