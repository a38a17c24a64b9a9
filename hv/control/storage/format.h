/*
 * format.h - what a disk of Skep's looks like: its areas and the blocks of its metadata. docs/storage.md describes it
 * field by field.
 *
 * Everything is little-endian. Functions return 0, a negative SKEP_E… code of the device, or FORMAT_DAMAGED.
 */
#ifndef CONTROL_STORAGE_FORMAT_H
#define CONTROL_STORAGE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bdev.h"
#include "skep/control.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "what is in memory is what is on disk");

#define FORMAT_NAME      "SKEPDISK"
#define FORMAT_VERSION   1u
#define FORMAT_BYTES_MIN (32ull << 20)

/* A block was read whose checksum, kind or place is wrong; no SKEP_E… code has this value. */
#define FORMAT_DAMAGED (-1000)

/* Kinds of blocks: four letters each. */
#define FORMAT_SUPER  0x52505553u /* SUPR */
#define FORMAT_HEAD   0x44414548u /* HEAD: of the journal */
#define FORMAT_COMMIT 0x54494d43u /* CMIT: a transaction in the journal */
#define FORMAT_TABLE  0x4c425456u /* VTBL: records of volumes */
#define FORMAT_INDEX  0x58444956u /* VIDX: where a volume's maps are */
#define FORMAT_MAP    0x50414d56u /* VMAP: where a volume's chunks are */

/* At the start of each. The checksum is CRC-32C over the disk's uuid and the block with this field 0. */
struct format_header {
    uint32_t kind;
    uint32_t checksum;
    uint32_t block;    /* its own number */
    uint32_t position; /* INDEX, MAP: which of the volume's */
    uint64_t sequence; /* of the transaction that wrote it */
    uint64_t owner;    /* INDEX, MAP: id of the volume */
};
_Static_assert(sizeof(struct format_header) == 32, "disk format");

struct format_super {
    struct format_header header; /* its checksum doesn't cover the uuid twice: it starts from 0 */
    char name[8];
    uint32_t version;
    uint32_t block_bytes; /* 4096 */
    uint8_t uuid[16];
    uint64_t created_ns; /* UNIX time, 0 = it wasn't known */
    uint32_t blocks;     /* of the disk; the last one is the other superblock */
    uint32_t chunk_bytes;
    uint32_t journal_first, journal_blocks; /* the two heads before it are not counted */
    uint32_t table_first, table_blocks;
    uint32_t meta_first, meta_blocks; /* INDEX and MAP blocks */
    uint32_t system_first, system_blocks;
    uint32_t chunk_first; /* block of chunk 0 */
    uint32_t chunk_count;
};
_Static_assert(sizeof(struct format_super) == 120, "disk format");

#define FORMAT_HEAD_FIRST 1u /* the journal's heads are blocks 1 and 2 */

/* HEAD: the header's sequence grows with each one that is written, to blocks 1 and 2 in turn. */
struct format_head {
    struct format_header header;
    uint64_t tail_sequence; /* of the oldest transaction that may not be home */
    uint32_t tail;          /* where it is, from the journal's start */
    uint32_t reserved;
};

/* CMIT: followed in the journal by `count` blocks, as they are to be at home. */
#define FORMAT_COMMIT_MAX 507u
struct format_commit {
    struct format_header header;
    uint32_t count;
    uint32_t reserved;
    struct {
        uint32_t block;
        uint32_t checksum; /* of the whole block, header and all */
    } entries[FORMAT_COMMIT_MAX];
};
_Static_assert(sizeof(struct format_commit) == BDEV_BLOCK, "disk format");

#define FORMAT_VOLUME_NAME 40u
#define FORMAT_ROOTS       3u
#define FORMAT_LABELS      256u

enum format_volume_kind { FORMAT_FREE, FORMAT_VOLUME, FORMAT_SNAPSHOT };
#define FORMAT_UNFINISHED 1u /* a flag: a full copy that is being made, or what it is made of */

struct format_volume {
    uint32_t kind;   /* enum format_volume_kind */
    uint32_t flags;  /* FORMAT_UNFINISHED */
    uint64_t id;     /* sequence of the transaction that created it */
    uint64_t family; /* id of the volume that it descends from: chunks are shared within a family */
    uint64_t bytes;
    uint64_t created_ns; /* UNIX time, 0 = it wasn't known */
    uint8_t uuid[16];
    char name[FORMAT_VOLUME_NAME]; /* the rest is zeroes */
    uint64_t parent_id;            /* that it is a copy of, 0 = none; it may be gone */
    char parent[FORMAT_VOLUME_NAME];
    struct skep_volume_limits limits;
    uint32_t roots[FORMAT_ROOTS]; /* its INDEX blocks, 0 = none: nothing is mapped there */
    char labels[FORMAT_LABELS];   /* texts "NAME=value", each ended by a NUL, then zeroes */
    uint32_t reserved[17];
};
_Static_assert(sizeof(struct format_volume) == 504, "disk format");

#define FORMAT_SLOTS 8u /* records a TABLE block */
struct format_table {
    struct format_header header;
    struct format_volume volumes[FORMAT_SLOTS];
    uint64_t reserved[4];
};
_Static_assert(sizeof(struct format_table) == BDEV_BLOCK, "disk format");

/* INDEX: numbers of MAP blocks, 0 = none. MAP: numbers of chunks, SKEP_CHUNK_NONE = none. */
#define FORMAT_ENTRIES 1016u
struct format_entries {
    struct format_header header;
    uint32_t entries[FORMAT_ENTRIES];
};
_Static_assert(sizeof(struct format_entries) == BDEV_BLOCK, "disk format");
_Static_assert((uint64_t)FORMAT_ROOTS *FORMAT_ENTRIES *FORMAT_ENTRIES >= SKEP_CHUNKS_MAX,
               "roots for the largest volume");

/* Where things are on a disk of this size: fills all but the uuid, header and time. False: it is too small. */
bool format_plan(struct format_super *super, uint64_t bytes);

/* Makes a block whole. `super` gives the uuid. */
void format_seal(const struct format_super *super, void *block, uint32_t kind, uint32_t number,
                 uint64_t sequence);
bool format_is_whole(const struct format_super *super, void *block, uint32_t kind, uint32_t number);

/* Whether a volume's labels are texts that can be shown, each with a '=' in it, and zeroes behind the last one. */
bool format_labels_are_sane(const char labels[FORMAT_LABELS]);

/* Reads a block and checks it. */
int format_read(struct bdev *dev, const struct format_super *super, uint32_t kind, uint32_t number,
                void *block);

/* Which superblocks are good: bits 0 (first block) and 1 (last block); *super is a good one's. 0 = none, and the disk is
 * none of Skep's, or both are damaged. Negative: the device failed. */
int format_find(struct bdev *dev, struct format_super *super);

/* Writes the superblocks that are not in `good`. */
int format_write_supers(struct bdev *dev, const struct format_super *super, int good);

/* Makes an empty disk of Skep's. Whatever was on it is gone; a cut leaves none or a whole one. -SKEP_ENOSPC: too small. */
int format_disk(struct bdev *dev, const uint8_t uuid[16], uint64_t created_ns);

#endif
