/*
 * journal.h - changes of metadata blocks, several at once, all or none.
 *
 * A transaction is written to the journal, a commit block and the blocks as they are to be, and is durable once that is
 * flushed; then they are written home. The commit block has the checksums of the others, so that one flush is enough: one
 * that is not there in full doesn't count. What may not be home is kept in the journal; when that is full, a flush brings
 * all home, and the head says where the journal begins from then on.
 *
 * One transaction at a time is put together: journal_edit() and journal_new() give blocks to change in memory, and then
 * journal_commit() or journal_abort(). 0, a negative SKEP_E… code or FORMAT_DAMAGED. After an error of the device nothing is
 * known of what is on it: the journal takes nothing more until it is opened anew.
 */
#ifndef CONTROL_STORAGE_JOURNAL_H
#define CONTROL_STORAGE_JOURNAL_H

#include <stdbool.h>

#include "storage/format.h"

struct journal_block {
    uint32_t number;
    uint8_t *data; /* of BDEV_BLOCK bytes */
};

struct journal {
    struct bdev *dev;
    const struct format_super *super;
    uint64_t sequence;            /* of the next transaction */
    uint64_t generation;          /* of the head */
    uint32_t tail, used;          /* blocks of the journal */
    bool failed;                  /* an error came back from a write or flush */
    struct journal_block *blocks; /* of the transaction underway; room for block_max */
    uint32_t block_count, block_max;
};

/* What opening found. */
struct journal_report {
    uint32_t replayed;      /* transactions */
    bool heads_damaged;     /* both: nothing is known about what is to be replayed */
    bool commit_damaged;    /* a transaction can't be read, but a later one is there, or a block of it is home */
    uint32_t damaged_block; /* of the disk: where */
    bool strange_home;      /* a transaction changes a block that is no metadata */
    bool old_home;          /* and not all that it has is home: what is there can't be believed */
};

/* Brings home what is durable. A journal that is damaged is left alone, and the disk with it. It takes no transactions
 * before journal_start(). */
int journal_open(struct journal *j, struct bdev *dev, const struct format_super *super,
                 struct journal_report *report);
bool journal_is_damaged(const struct journal_report *report);

/* Empties it, and takes transactions from now on. For a disk of which all was found to be well. */
int journal_start(struct journal *j);

void journal_close(struct journal *j);

/* Blocks that a transaction can have at most. */
uint32_t journal_room(const struct journal *j);

/* The block, as it is on the disk or was changed by this transaction. -SKEP_E2BIG: the transaction has no more room. */
int journal_edit(struct journal *j, uint32_t kind, uint32_t number, void **block);

/* A block whose former content doesn't matter, as zeroes. */
int journal_new(struct journal *j, uint32_t number, void **block);

/* Makes it durable; -SKEP_ENOMEM changes nothing, as journal_abort(). Blocks' headers are filled in; their kinds aren't. */
int journal_commit(struct journal *j);
void journal_abort(struct journal *j);

/* Empties the journal: a block that no map names can then be written without it, and no replay will undo that. */
int journal_checkpoint(struct journal *j);

#endif
