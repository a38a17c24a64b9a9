/*
 * audit_log.h - the records of the audit trail as they are kept, for audit.c and audit_json.c.
 *
 * A record is a text of lines in one or several sectors of a block, its last sector filled up with zeroes. The sectors of a
 * block are filled in order; a block is written as a whole, with what was there already as it was, so that a power cut,
 * which leaves each sector as it was or as it is to be, can spoil the last record only. Blocks are used in turn, each with
 * as many records as fit, and one is always left out, since a cut may leave it half overwritten. See docs/storage.md.
 */
#ifndef CONTROL_AUDIT_LOG_H
#define CONTROL_AUDIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bdev.h"
#include "state.h"

#define AUDIT_MAGIC   0x52415453u /* "STAR": of one sector, without values */
#define AUDIT_MAGIC_2 0x32415453u /* "STA2": as written now */
#define AUDIT_SECTOR  512u
#define AUDIT_SLOTS   (BDEV_BLOCK / AUDIT_SECTOR) /* of a block */

/* Lines of a record's text. */
enum audit_line {
    AUDIT_ID,
    AUDIT_TIME,
    AUDIT_METHOD,
    AUDIT_PATH,
    AUDIT_CALLER,
    AUDIT_STATUS,
    AUDIT_VALUE,        /* of the store, that the record went with; "" = none */
    AUDIT_VALUE_BEFORE, /* its digest, "" = it wasn't there */
    AUDIT_VALUE_AFTER,
    AUDIT_DETAIL,
    AUDIT_PREVIOUS, /* digest of the record before */
    AUDIT_LINES_1,
    AUDIT_BEFORE = AUDIT_LINES_1, /* what clients saw before the change, JSON; "" = nothing */
    AUDIT_AFTER,
    AUDIT_CUT, /* what isn't in these since they would be too large, JSON; "" = nothing */
    AUDIT_LINES
};

#define AUDIT_HEAD     40u
#define AUDIT_TEXT_MAX (BDEV_BLOCK - AUDIT_HEAD)
struct audit_record {
    uint32_t magic, bytes;
    uint8_t
        digest[32]; /* of the text: AUDIT_MAGIC's SHA-256, AUDIT_MAGIC_2's first half of SHA-512 */
    char text[AUDIT_TEXT_MAX];
};
_Static_assert(sizeof(struct audit_record) == BDEV_BLOCK, "a block at most");
_Static_assert(offsetof(struct audit_record, text) == AUDIT_HEAD, "without gaps");

struct audit_block {
    uint8_t data[BDEV_BLOCK] __attribute__((aligned(8)));
};

/* Sectors of a record with so many bytes of text. */
unsigned audit_slots(uint32_t bytes);

/* The lines of a text, cut apart in place; false if it is none. One of former times has "" for those that it hasn't. */
bool audit_split(char *text, const char *lines[AUDIT_LINES]);

/* Whether there is a record in so many bytes, whole if it must be `sure`, and its id. */
bool audit_record_id(const void *data, size_t room, bool sure, uint64_t *id);

/* The record of a block from the slot on whose id is above this one, which is whole if it must be `sure`: its slot, and its
 * id; AUDIT_SLOTS if there is none. */
unsigned audit_next(const struct audit_block *block, unsigned slot, bool sure, uint64_t *id);
const struct audit_record *audit_at(const struct audit_block *block, unsigned slot);

/* The block with the last record, and how far it is filled. */
struct audit_tail {
    struct audit_block block;
    uint32_t at; /* in the log */
    unsigned used;
};

/* Looks through the store's log: the id of the first record of each block that counts, 0 = none; the tail, and the id of its
 * last record, 0 if there is none at all. -1 if the log can't be read. */
int audit_log_find(uint64_t firsts[STATE_LOG_MAX], uint64_t *last, struct audit_tail *tail);

/* Reads the record of this id: from the store's log, or from memory. False if it isn't there (any more). */
bool audit_read(uint64_t id, struct audit_record *record);

/* What there is. Digest: of the last one. */
struct audit_extent {
    bool on_disk;
    uint64_t first, last;
    uint8_t digest[32];
};
void audit_extent(struct audit_extent *extent);

#endif
