/*
 * audit_log.h - the records of the audit trail as they are kept, for audit.c and audit_json.c.
 *
 * A record is a text of lines in a sector of its own: a power cut leaves the sector as it was or as it is to be. The
 * sectors of a block are filled in order; a block is written as a whole, with those that were there already as they were.
 * Blocks are used in turn, and one is always left out, since a cut may leave it half overwritten. See docs/storage.md.
 */
#ifndef CONTROL_AUDIT_LOG_H
#define CONTROL_AUDIT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "bdev.h"
#include "state.h"

#define AUDIT_MAGIC    0x52415453u /* "STAR" */
#define AUDIT_TEXT_MAX 472u

/* Lines of a record's text. */
enum audit_line {
    AUDIT_ID,
    AUDIT_TIME,
    AUDIT_METHOD,
    AUDIT_PATH,
    AUDIT_CALLER,
    AUDIT_STATUS,
    AUDIT_VALUE,  /* of the store, that the record went with; "" = none */
    AUDIT_BEFORE, /* its digest, "" = it wasn't there */
    AUDIT_AFTER,
    AUDIT_DETAIL,
    AUDIT_PREVIOUS, /* digest of the record before */
    AUDIT_LINES
};

struct audit_record {
    uint32_t magic, bytes;
    uint8_t digest[32]; /* SHA-256 of the text */
    char text[AUDIT_TEXT_MAX];
};
_Static_assert(sizeof(struct audit_record) == 512, "a sector");

#define AUDIT_SLOTS (BDEV_BLOCK / sizeof(struct audit_record)) /* of a block */

struct audit_block {
    struct audit_record slots[AUDIT_SLOTS];
};

/* The lines of a text, cut apart in place; false if it is none. */
bool audit_split(char *text, const char *lines[AUDIT_LINES]);

/* Whether it is whole, and its id; without a look at the digest if it needn't be `sure`. */
bool audit_record_id(const struct audit_record *r, bool sure, uint64_t *id);

/* Finds the latest record of the store's log, its block, and the oldest that can be read; all 0 if there is none. -1 if the
 * log can't be read. */
int audit_log_find(uint64_t *first, uint64_t *last, struct audit_block *tail);

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
