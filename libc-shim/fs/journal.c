/*
 * journal.c - the journal inside an ext4 file system, in jbd2's format (version 2, without checksums).
 *
 * A transaction is: blocks of revocations; then a descriptor block, which names the homes of the blocks after it, and
 * those blocks, as often as it takes; a flush; a commit block; a flush. The first flush also covers the file data that was
 * written in place before, so that no committed metadata ever names blocks whose data isn't there.
 *
 * There is no checkpoint in the background: once more than half of the ring is in use, the commit that finds it so is
 * followed by one. Only then all blocks in memory are as committed, so no block is ever held in two versions.
 */
#include "journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "skep/block.h"

enum {
    MAGIC = (int)0xc03b3998,
    TYPE_DESCRIPTOR = 1,
    TYPE_COMMIT = 2,
    TYPE_SUPERBLOCK_V2 = 4,
    TYPE_REVOKE = 5,

    FEATURE_REVOKE = 1,
    FEATURE_64BIT = 2,

    TAG_ESCAPED = 1,   /* the block begins with the magic number, and with zeros in the journal */
    TAG_SAME_UUID = 2, /* no UUID follows */
    TAG_LAST = 8,
};

struct header {
    uint32_t magic, type, sequence;
};

/* All numbers of the format are big-endian. */
struct superblock {
    struct header header;
    uint32_t block_bytes, block_count, first;
    uint32_t sequence, start; /* of the oldest transaction; start 0 = none */
    uint32_t error;
    uint32_t compatible, incompatible, read_only_compatible;
    uint8_t uuid[16];
    uint32_t user_count;
};

static uint16_t big16(uint16_t number)
{
    return __builtin_bswap16(number);
}

static uint32_t big32(uint32_t number)
{
    return __builtin_bswap32(number);
}

static uint64_t big64(uint64_t number)
{
    return __builtin_bswap64(number);
}

#define SUPERBLOCK_BYTES 1024u
#define UUID_BYTES       16u
#define TAG_BYTES        8u  /* low number, checksum, flags */
#define TAG_BYTES_WIDE   12u /* and the high number */

/* What is written to the ring, collected into requests that are as long as may be. */
struct writer {
    struct fs_journal *journal;
    uint32_t position; /* in the ring, of the next block */
    uint32_t written;
    uint64_t home; /* of the first part, in blocks */
    unsigned part_count;
    struct skep_block_part parts[SKEP_BLOCK_PARTS_MAX - 2];
};

/* A transaction on its way: the descriptor that is being filled, and the blocks for it. */
struct transaction {
    struct writer writer;
    char *descriptor;
    size_t used; /* bytes of it */
    char *last_tag;
    uint32_t waiting_count;
    struct fs_block **waiting;
    char *escaped; /* a copy of a block that has to be escaped */
};

static uint64_t home_of(const struct fs_journal *journal, uint32_t position)
{
    uint32_t low = 0, high = journal->run_count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (journal->runs[middle].start <= position)
            low = middle;
        else
            high = middle;
    }
    return journal->runs[low].home + (position - journal->runs[low].start);
}

/*
 * Writing to the ring
 */

static int writer_send(struct writer *writer)
{
    if (writer->part_count == 0)
        return 0;
    struct fs_journal *journal = writer->journal;
    struct skep_block_io io = {
        .op = SKEP_BLOCK_WRITE,
        .offset = writer->home * journal->block_bytes,
        .parts = writer->parts,
        .part_count = writer->part_count,
    };
    journal->cache->unflushed = true;
    writer->part_count = 0;
    int result = skep_block_submit(journal->cache->device, &io);
    if (result == 0)
        result = skep_block_wait(journal->cache->device, &io);
    return result == 0 ? 0 : result == -SKEP_ENOSPC ? -ENOSPC : -EIO;
}

/* The data stays where it is until writer_send(). */
static int writer_add(struct writer *writer, char *data)
{
    struct fs_journal *journal = writer->journal;
    uint64_t home = home_of(journal, writer->position);
    bool full = writer->part_count == sizeof(writer->parts) / sizeof(*writer->parts) ||
                (writer->part_count + 1) * journal->block_bytes > SKEP_BLOCK_BYTES_MAX;
    if (full || home != writer->home + writer->part_count) {
        int result = writer_send(writer);
        if (result != 0)
            return result;
        writer->home = home;
    }
    writer->parts[writer->part_count++] = (struct skep_block_part){data, journal->block_bytes};
    writer->written++;
    if (++writer->position == journal->end)
        writer->position = journal->first;
    return 0;
}

static void put_header(const struct fs_journal *journal, void *block, uint32_t type)
{
    struct header *header = block;
    memset(block, 0, journal->block_bytes);
    header->magic = big32((uint32_t)MAGIC);
    header->type = big32(type);
    header->sequence = big32(journal->sequence);
}

/*
 * Revocations
 */

int fs_journal_revoke(struct fs_journal *journal, uint64_t block)
{
    if (journal->revoked_count == journal->revoked_room) {
        uint32_t room = journal->revoked_room ? journal->revoked_room * 2 : 64;
        uint64_t *grown = realloc(journal->revoked, room * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        journal->revoked = grown;
        journal->revoked_room = room;
    }
    journal->revoked[journal->revoked_count++] = block;
    return 0;
}

static uint32_t revocations_in_a_block(const struct fs_journal *journal)
{
    return (journal->block_bytes - 16) / (journal->wide ? 8 : 4);
}

static void fill_revocations(const struct fs_journal *journal, char *block, const uint64_t *numbers,
                             uint32_t count)
{
    put_header(journal, block, TYPE_REVOKE);
    char *out = block + 16;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t wide = big64(numbers[i]);
        uint32_t narrow = big32((uint32_t)numbers[i]);
        size_t bytes = journal->wide ? sizeof(wide) : sizeof(narrow);
        memcpy(out, journal->wide ? (const void *)&wide : (const void *)&narrow, bytes);
        out += bytes;
    }
    uint32_t used = big32((uint32_t)(out - block));
    memcpy(block + sizeof(struct header), &used, sizeof(used));
}

static int write_revocations(struct transaction *transaction)
{
    struct fs_journal *journal = transaction->writer.journal;
    uint32_t most = revocations_in_a_block(journal);
    for (uint32_t done = 0, count; done < journal->revoked_count; done += count) {
        count = journal->revoked_count - done < most ? journal->revoked_count - done : most;
        fill_revocations(journal, transaction->descriptor, journal->revoked + done, count);
        int result = writer_add(&transaction->writer, transaction->descriptor);
        if (result == 0)
            result = writer_send(&transaction->writer);
        if (result != 0)
            return result;
    }
    return 0;
}

/*
 * Descriptors, and the blocks that they name
 */

static size_t tag_bytes(const struct fs_journal *journal)
{
    return journal->wide ? TAG_BYTES_WIDE : TAG_BYTES;
}

static uint32_t tags_in_a_block(const struct fs_journal *journal)
{
    return (uint32_t)((journal->block_bytes - sizeof(struct header) - UUID_BYTES) /
                      tag_bytes(journal));
}

static void start_descriptor(struct transaction *transaction)
{
    put_header(transaction->writer.journal, transaction->descriptor, TYPE_DESCRIPTOR);
    transaction->used = sizeof(struct header);
    transaction->waiting_count = 0;
}

static bool begins_with_magic(const struct fs_block *block)
{
    uint32_t word;
    memcpy(&word, block->data, sizeof(word));
    return word == big32((uint32_t)MAGIC);
}

static void add_tag(struct transaction *transaction, const struct fs_block *block)
{
    const struct fs_journal *journal = transaction->writer.journal;
    bool is_first = transaction->waiting_count == 0;
    char *tag = transaction->descriptor + transaction->used;
    uint32_t low = big32((uint32_t)block->number), high = big32((uint32_t)(block->number >> 32));
    uint16_t flags = big16(
        (uint16_t)((begins_with_magic(block) ? TAG_ESCAPED : 0) | (is_first ? 0 : TAG_SAME_UUID)));
    memcpy(tag, &low, 4);
    memcpy(tag + 6, &flags, 2);
    if (journal->wide)
        memcpy(tag + 8, &high, 4);
    transaction->last_tag = tag;
    transaction->used += tag_bytes(journal);
    if (is_first) {
        const struct superblock *super = (const struct superblock *)journal->superblock;
        memcpy(transaction->descriptor + transaction->used, super->uuid, UUID_BYTES);
        transaction->used += UUID_BYTES;
    }
}

static int write_block(struct transaction *transaction, struct fs_block *block)
{
    if (!begins_with_magic(block))
        return writer_add(&transaction->writer, block->data);
    memcpy(transaction->escaped, block->data, transaction->writer.journal->block_bytes);
    memset(transaction->escaped, 0, 4);
    int result = writer_add(&transaction->writer, transaction->escaped);
    return result != 0 ? result : writer_send(&transaction->writer);
}

static int end_descriptor(struct transaction *transaction)
{
    if (transaction->waiting_count == 0)
        return 0;
    uint16_t flags;
    memcpy(&flags, transaction->last_tag + 6, 2);
    flags |= big16(TAG_LAST);
    memcpy(transaction->last_tag + 6, &flags, 2);
    int result = writer_add(&transaction->writer, transaction->descriptor);
    for (uint32_t i = 0; i < transaction->waiting_count && result == 0; i++)
        result = write_block(transaction, transaction->waiting[i]);
    if (result == 0)
        result = writer_send(&transaction->writer);
    start_descriptor(transaction);
    return result;
}

static int add_block(void *argument, struct fs_block *block)
{
    struct transaction *transaction = argument;
    add_tag(transaction, block);
    transaction->waiting[transaction->waiting_count++] = block;
    if (transaction->waiting_count < tags_in_a_block(transaction->writer.journal))
        return 0;
    return end_descriptor(transaction);
}

static int write_commit(struct transaction *transaction)
{
    struct fs_journal *journal = transaction->writer.journal;
    int result = fs_device_flush(journal->cache);
    if (result != 0)
        return result;
    put_header(journal, transaction->descriptor, TYPE_COMMIT);
    result = writer_add(&transaction->writer, transaction->descriptor);
    if (result == 0)
        result = writer_send(&transaction->writer);
    return result != 0 ? result : fs_device_flush(journal->cache);
}

static int write_transaction(struct transaction *transaction)
{
    struct fs_journal *journal = transaction->writer.journal;
    int result = write_revocations(transaction);
    start_descriptor(transaction);
    if (result == 0)
        result = fs_cache_each_changed(journal->cache, add_block, transaction);
    if (result == 0)
        result = end_descriptor(transaction);
    return result != 0 ? result : write_commit(transaction);
}

static uint32_t round_up(uint32_t count, uint32_t unit)
{
    return (count + unit - 1) / unit;
}

/* How much of the ring a transaction takes, with its commit block. */
static uint32_t length_of(const struct fs_journal *journal, uint32_t blocks, uint32_t revoked)
{
    return blocks + round_up(blocks, tags_in_a_block(journal)) +
           round_up(revoked, revocations_in_a_block(journal)) + 1;
}

int fs_journal_commit(struct fs_journal *journal)
{
    uint32_t length = length_of(journal, journal->cache->changed_count, journal->revoked_count);
    if (length > journal->end - journal->first - journal->used)
        return -ENOSPC;
    struct transaction transaction = {
        .writer = {.journal = journal, .position = journal->head},
        .descriptor = malloc(journal->block_bytes),
        .escaped = malloc(journal->block_bytes),
        .waiting = malloc(tags_in_a_block(journal) * sizeof(struct fs_block *)),
    };
    int result = -ENOMEM;
    if (transaction.descriptor != NULL && transaction.escaped != NULL &&
        transaction.waiting != NULL)
        result = write_transaction(&transaction);
    if (result == 0) {
        journal->head = transaction.writer.position;
        journal->used += transaction.writer.written;
        journal->sequence++;
        journal->revoked_count = 0;
        fs_cache_commit(journal->cache);
    }
    free(transaction.waiting);
    free(transaction.escaped);
    free(transaction.descriptor);
    return result;
}

/*
 * The journal's superblock
 */

static int write_superblock(struct fs_journal *journal, uint32_t start)
{
    struct superblock *super = (struct superblock *)journal->superblock;
    super->sequence = big32(journal->sequence);
    super->start = big32(start);
    return fs_device_write(journal->cache, home_of(journal, 0) * journal->block_bytes, super,
                           SUPERBLOCK_BYTES);
}

static int check_superblock(struct fs_journal *journal)
{
    struct superblock *super = (struct superblock *)journal->superblock;
    journal->first = big32(super->first);
    journal->end = big32(super->block_count);
    journal->sequence = big32(super->sequence);
    bool good = big32(super->header.magic) == (uint32_t)MAGIC &&
                big32(super->header.type) == TYPE_SUPERBLOCK_V2 &&
                big32(super->block_bytes) == journal->block_bytes && super->start == 0 &&
                super->error == 0 && journal->first >= 1 && journal->end > journal->first &&
                journal->end - journal->first >= 256;
    if (!good)
        return -EINVAL;
    /* It is empty: nobody misses the features (checksums) that it may have had. */
    super->compatible = 0;
    super->incompatible = big32(FEATURE_REVOKE | (journal->wide ? FEATURE_64BIT : 0));
    memset((char *)super + 0x50, 0, 8); /* type of checksums, blocks of fast commits */
    memset((char *)super + 0xfc, 0, 4); /* its own checksum */
    return 0;
}

int fs_journal_open(struct fs_journal *journal, struct fs_cache *cache, uint32_t block_bytes,
                    bool wide, struct fs_journal_run *runs, uint32_t run_count)
{
    *journal = (struct fs_journal){
        .cache = cache,
        .block_bytes = block_bytes,
        .wide = wide,
        .runs = runs,
        .run_count = run_count,
        .superblock = malloc(SUPERBLOCK_BYTES),
    };
    if (journal->superblock == NULL)
        return -ENOMEM;
    int result = fs_device_read(cache, home_of(journal, 0) * block_bytes, journal->superblock,
                                SUPERBLOCK_BYTES);
    if (result == 0)
        result = check_superblock(journal);
    journal->head = journal->first;
    return result;
}

void fs_journal_close(struct fs_journal *journal)
{
    free(journal->superblock);
    free(journal->runs);
    free(journal->revoked);
    memset(journal, 0, sizeof(*journal));
}

uint32_t fs_journal_room(const struct fs_journal *journal)
{
    return (journal->end - journal->first) / 4;
}

int fs_journal_start(struct fs_journal *journal)
{
    if (journal->live)
        return 0;
    int result = write_superblock(journal, journal->head);
    if (result == 0)
        result = fs_device_flush(journal->cache);
    if (result == 0)
        journal->live = true;
    return result;
}

bool fs_journal_wants_checkpoint(const struct fs_journal *journal)
{
    return journal->used > (journal->end - journal->first) / 2;
}

int fs_journal_checkpoint(struct fs_journal *journal, bool stop)
{
    int result = fs_cache_write_home(journal->cache);
    if (result == 0)
        result = fs_device_flush(journal->cache);
    if (result == 0)
        result = write_superblock(journal, stop ? 0 : journal->head);
    if (result == 0)
        result = fs_device_flush(journal->cache);
    if (result != 0)
        return result;
    journal->used = 0;
    journal->live = !stop;
    fs_cache_clean(journal->cache);
    return 0;
}
