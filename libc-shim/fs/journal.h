/*
 * journal.h - the journal inside an ext4 file system, in jbd2's format: written here, replayed by e2fsprogs' code.
 *
 * Results are 0 or a negative errno.
 */
#ifndef LIBC_SHIM_FS_JOURNAL_H
#define LIBC_SHIM_FS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"

/* Block numbers in the journal from `start` on lie on the disk from `home` on. */
struct fs_journal_run {
    uint32_t start;
    uint64_t home;
};

struct fs_journal {
    struct fs_cache *cache;
    uint32_t block_bytes;
    bool wide; /* block numbers have 64 bits */
    bool live; /* the disk's superblock of the journal says that there may be something in it */
    uint32_t first, end; /* the ring */
    uint32_t head, used; /* where the next transaction begins, and what the ones before take */
    uint32_t sequence;   /* of the next transaction */
    char *superblock;
    struct fs_journal_run *runs;
    uint32_t run_count;

    uint64_t *
        revoked; /* what the transaction that is being collected gave back while the journal had it */
    uint32_t revoked_count, revoked_room;
};

/* The journal has been replayed and is empty. Runs are in ascending order, and the journal's from now on. -EINVAL: it isn't
 * a journal that this code can write. */
int fs_journal_open(struct fs_journal *journal, struct fs_cache *cache, uint32_t block_bytes,
                    bool wide, struct fs_journal_run *runs, uint32_t run_count);
void fs_journal_close(struct fs_journal *journal);

/* The most blocks that a transaction can have. */
uint32_t fs_journal_room(const struct fs_journal *journal);

/* The block was given back in this transaction, and transactions before it are not to bring it back. */
int fs_journal_revoke(struct fs_journal *journal, uint64_t block);

/* Makes the journal one that is replayed; the file system's flag for that is on the disk already. */
int fs_journal_start(struct fs_journal *journal);

/* Writes all changed blocks of the cache and the revocations as one transaction. On success it is durable, and what was
 * written to the device before, as well. */
int fs_journal_commit(struct fs_journal *journal);

/* Whether the next transaction may need the room that the last ones take. */
bool fs_journal_wants_checkpoint(const struct fs_journal *journal);

/* Writes home what is in the journal. No block of the cache is changed. With stop the journal is empty then, for others as
 * well. */
int fs_journal_checkpoint(struct fs_journal *journal, bool stop);

#endif
