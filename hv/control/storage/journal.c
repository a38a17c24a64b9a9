/*
 * journal.c - the redo log of metadata.
 *
 * Sequence numbers ascend by 1 and never repeat: opening skips one, so that what is left of a transaction that a power cut
 * broke off is never taken for a part of another one. Each commit is flushed before the next one is written, so a whole
 * transaction behind one that is not whole means damage, and is told apart from a cut.
 */
#include "storage/journal.h"

#include <stdlib.h>
#include <string.h>

#include "storage/crc32c.h"

static uint32_t place(const struct journal *j, uint32_t position)
{
    return j->super->journal_first + position % j->super->journal_blocks;
}

static uint64_t offset_of(uint32_t block)
{
    return (uint64_t)block * BDEV_BLOCK;
}

static int fail(struct journal *j, int error)
{
    j->failed = true;
    return error;
}

/*
 * The head
 */

static int write_head(struct journal *j)
{
    struct format_head *head = calloc(1, BDEV_BLOCK);
    uint32_t number;
    int result;

    if (!head)
        return -SKEP_ENOMEM;
    head->tail_sequence = j->sequence;
    head->tail = j->tail;
    number = FORMAT_HEAD_FIRST + (uint32_t)(++j->generation % 2);
    format_seal(j->super, head, FORMAT_HEAD, number, j->generation);
    result = j->dev->write(j->dev, offset_of(number), head, BDEV_BLOCK);
    if (result == 0)
        result = j->dev->flush(j->dev);
    free(head);
    return result ? fail(j, result) : 0;
}

/* The later one of those that are whole. */
static int read_head(struct journal *j, uint8_t *block, struct journal_report *report)
{
    const struct format_head *head = (const struct format_head *)block;
    bool found = false;

    for (uint32_t i = 0; i < 2; i++) {
        int result = format_read(j->dev, j->super, FORMAT_HEAD, FORMAT_HEAD_FIRST + i, block);
        if (result != 0 && result != FORMAT_DAMAGED)
            return result;
        if (result != 0 || (found && head->header.sequence < j->generation))
            continue;
        found = true;
        j->generation = head->header.sequence;
        j->sequence = head->tail_sequence;
        j->tail = head->tail % j->super->journal_blocks;
    }
    report->heads_damaged = !found;
    return 0;
}

int journal_checkpoint(struct journal *j)
{
    uint32_t used = j->used, tail = j->tail;
    int result;

    if (j->failed)
        return -SKEP_EIO;
    if (used == 0)
        return 0;
    result = j->dev->flush(j->dev);
    if (result != 0)
        return fail(j, result);
    j->tail = (tail + used) % j->super->journal_blocks;
    j->used = 0;
    result = write_head(j);
    if (result == -SKEP_ENOMEM) {
        j->tail = tail;
        j->used = used;
    }
    return result;
}

/*
 * Replay
 */

static bool commit_is_sane(const struct journal *j, const struct format_commit *c)
{
    return c->count >= 1 && c->count <= FORMAT_COMMIT_MAX && c->count < j->super->journal_blocks;
}

static bool home_is_sane(const struct journal *j, uint32_t block)
{
    return block >= j->super->table_first && block < j->super->system_first;
}

static bool is_metadata(uint32_t kind)
{
    return kind == FORMAT_TABLE || kind == FORMAT_INDEX || kind == FORMAT_MAP;
}

/* Whether all blocks of the transaction at this position are there. 1, 0, or an error. */
static int is_complete(struct journal *j, uint32_t position, const struct format_commit *c,
                       uint8_t *block)
{
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t number = place(j, position + 1 + i);
        int result = j->dev->read(j->dev, offset_of(number), block, BDEV_BLOCK);
        if (result != 0)
            return result;
        if (crc32c(0, block, BDEV_BLOCK) != c->entries[i].checksum)
            return 0;
    }
    return 1;
}

/* The sequence number of what is home; 0 if that is not whole. */
static int home_sequence(struct journal *j, uint32_t number, uint8_t *block, uint64_t *sequence)
{
    const struct format_header *h = (const struct format_header *)block;
    int result = j->dev->read(j->dev, offset_of(number), block, BDEV_BLOCK);

    *sequence =
        result == 0 && is_metadata(h->kind) && format_is_whole(j->super, block, h->kind, number)
            ? h->sequence
            : 0;
    return result;
}

/* The transaction behind those that were counted. 1, 0 = there is none, or an error. */
static int count_one(struct journal *j, struct format_commit *c, uint8_t *block,
                     struct journal_report *report)
{
    uint32_t position = j->tail + j->used;
    int result = format_read(j->dev, j->super, FORMAT_COMMIT, place(j, position), c);

    if (result != 0)
        return result == FORMAT_DAMAGED ? 0 : result;
    if (c->header.sequence != j->sequence || !commit_is_sane(j, c) ||
        j->used + 1 + c->count > j->super->journal_blocks)
        return 0;
    result = is_complete(j, position, c, block);
    if (result <= 0)
        return result;
    for (uint32_t i = 0; i < c->count; i++)
        report->strange_home |= !home_is_sane(j, c->entries[i].block);
    if (report->strange_home)
        return 0;
    j->used += 1 + c->count;
    j->sequence++;
    return 1;
}

/* What is newer at home stays: it came with a later transaction, whether that can still be read or not. */
static int bring_home(struct journal *j, uint32_t position, const struct format_commit *c,
                      uint8_t *block)
{
    uint64_t home;
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < c->count; i++) {
        result = home_sequence(j, c->entries[i].block, block, &home);
        if (result != 0 || home >= c->header.sequence)
            continue;
        result = j->dev->read(j->dev, offset_of(place(j, position + 1 + i)), block, BDEV_BLOCK);
        if (result == 0)
            result = j->dev->write(j->dev, offset_of(c->entries[i].block), block, BDEV_BLOCK);
    }
    return result;
}

static int bring_all_home(struct journal *j, struct format_commit *c, uint8_t *block,
                          struct journal_report *report)
{
    int result = 0;

    for (uint32_t done = 0; result == 0 && done < j->used; done += 1 + c->count) {
        result = format_read(j->dev, j->super, FORMAT_COMMIT, place(j, j->tail + done), c);
        if (result == 0)
            result = bring_home(j, j->tail + done, c, block);
        report->replayed += result == 0;
    }
    return result;
}

/*
 * Damage
 */

/* A block that the journal has, whole or only by its commit block. Transactions are written home after they are durable:
 * when one that was not counted is there, it was whole once. When the journal is known to be damaged, all that it names
 * must be home: what is missing may be older there. */
static int compare_home(struct journal *j, uint32_t number, uint64_t sequence, uint8_t *block,
                        struct journal_report *report)
{
    bool damaged = journal_is_damaged(report);
    uint64_t home;
    int result;

    if (!home_is_sane(j, number) || (!damaged && sequence < j->sequence))
        return 0;
    result = home_sequence(j, number, block, &home);
    if (result != 0)
        return result;
    if (damaged)
        report->old_home |= home < sequence;
    else
        report->commit_damaged = home >= sequence;
    return 0;
}

static int compare_commit(struct journal *j, const struct format_commit *c, uint8_t *block,
                          struct journal_report *report)
{
    int result = 0;

    if (!commit_is_sane(j, c))
        return 0;
    if (!report->heads_damaged)
        report->commit_damaged |= c->header.sequence > j->sequence;
    for (uint32_t i = 0; result == 0 && i < c->count; i++)
        result = compare_home(j, c->entries[i].block, c->header.sequence, block, report);
    return result;
}

/* All that is in the journal, also from before its tail, which is home since long. */
static int compare_all(struct journal *j, uint8_t *block, uint8_t *other,
                       struct journal_report *report)
{
    const struct format_header *h = (const struct format_header *)block;
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < j->super->journal_blocks; i++) {
        uint32_t number = place(j, i);
        result = j->dev->read(j->dev, offset_of(number), block, BDEV_BLOCK);
        if (result != 0)
            return result;
        if (format_is_whole(j->super, block, FORMAT_COMMIT, number))
            result = compare_commit(j, (const struct format_commit *)block, other, report);
        else if (is_metadata(h->kind) && format_is_whole(j->super, block, h->kind, h->block))
            result = compare_home(j, h->block, h->sequence, other, report);
    }
    return result;
}

static int find_damage(struct journal *j, uint8_t *block, uint8_t *other,
                       struct journal_report *report)
{
    int result = journal_is_damaged(report) ? 0 : compare_all(j, block, other, report);

    if (result == 0 && journal_is_damaged(report))
        result = compare_all(j, block, other, report);
    if (report->commit_damaged)
        report->damaged_block = place(j, j->tail + j->used);
    return result;
}

static int count_all(struct journal *j, struct format_commit *c, uint8_t *block,
                     struct journal_report *report)
{
    int more = !report->heads_damaged;

    while (more > 0)
        more = count_one(j, c, block, report);
    return more;
}

/* Nothing is written before it is known that the journal is well. */
static int replay(struct journal *j, uint8_t *block, uint8_t *other, struct journal_report *report)
{
    struct format_commit *c = (struct format_commit *)block;
    int result = read_head(j, block, report);

    if (result == 0)
        result = count_all(j, c, other, report);
    if (result == 0)
        result = find_damage(j, block, other, report);
    if (result != 0 || journal_is_damaged(report))
        return result;
    return bring_all_home(j, c, other, report);
}

bool journal_is_damaged(const struct journal_report *report)
{
    return report->heads_damaged || report->commit_damaged || report->strange_home;
}

int journal_open(struct journal *j, struct bdev *dev, const struct format_super *super,
                 struct journal_report *report)
{
    uint8_t *blocks = malloc(2 * BDEV_BLOCK);
    int result;

    *j = (struct journal){.dev = dev, .super = super, .failed = true};
    memset(report, 0, sizeof(*report));
    j->block_max = super->journal_blocks / 2 - 1;
    if (j->block_max > FORMAT_COMMIT_MAX)
        j->block_max = FORMAT_COMMIT_MAX;
    j->blocks = calloc(j->block_max, sizeof(*j->blocks));
    if (!blocks || !j->blocks) {
        free(blocks);
        return -SKEP_ENOMEM;
    }
    result = replay(j, blocks, blocks + BDEV_BLOCK, report);
    free(blocks);
    return result;
}

/* All is home after the flush, and what a cut left of one more transaction is never looked at again. */
int journal_start(struct journal *j)
{
    int result = j->dev->flush(j->dev);

    if (result != 0)
        return result;
    j->tail = (j->tail + j->used) % j->super->journal_blocks;
    j->used = 0;
    j->sequence++;
    result = write_head(j);
    j->failed = result != 0;
    return result;
}

void journal_close(struct journal *j)
{
    journal_abort(j);
    free(j->blocks);
    j->blocks = NULL;
}

/*
 * Transactions
 */

uint32_t journal_room(const struct journal *j)
{
    return j->block_max - j->block_count;
}

static int add(struct journal *j, uint32_t number, struct journal_block **added)
{
    uint8_t *data;

    if (j->failed)
        return -SKEP_EIO;
    if (j->block_count == j->block_max)
        return -SKEP_E2BIG;
    data = calloc(1, BDEV_BLOCK);
    if (!data)
        return -SKEP_ENOMEM;
    *added = &j->blocks[j->block_count++];
    **added = (struct journal_block){.number = number, .data = data};
    return 0;
}

int journal_edit(struct journal *j, uint32_t kind, uint32_t number, void **block)
{
    struct journal_block *b;
    int result;

    for (uint32_t i = j->block_count; i-- > 0;) {
        if (j->blocks[i].number == number) {
            *block = j->blocks[i].data;
            return 0;
        }
    }
    result = add(j, number, &b);
    if (result == 0)
        result = format_read(j->dev, j->super, kind, number, b->data);
    if (result == 0)
        *block = b->data;
    return result;
}

int journal_new(struct journal *j, uint32_t number, void **block)
{
    struct journal_block *b;
    int result = add(j, number, &b);

    if (result == 0)
        *block = b->data;
    return result;
}

void journal_abort(struct journal *j)
{
    for (uint32_t i = 0; i < j->block_count; i++)
        free(j->blocks[i].data);
    j->block_count = 0;
}

/* The commit block and the others, as they go into the journal. The caller frees it. */
static uint8_t *assemble(struct journal *j)
{
    uint8_t *all = calloc(j->block_count + 1, BDEV_BLOCK);
    struct format_commit *c = (struct format_commit *)all;

    if (!all)
        return NULL;
    c->count = j->block_count;
    for (uint32_t i = 0; i < j->block_count; i++) {
        struct journal_block *b = &j->blocks[i];
        const struct format_header *header = (const struct format_header *)b->data;
        format_seal(j->super, b->data, header->kind, b->number, j->sequence);
        c->entries[i].block = b->number;
        c->entries[i].checksum = crc32c(0, b->data, BDEV_BLOCK);
        memcpy(all + (size_t)(i + 1) * BDEV_BLOCK, b->data, BDEV_BLOCK);
    }
    format_seal(j->super, c, FORMAT_COMMIT, place(j, j->tail + j->used), j->sequence);
    return all;
}

/* The journal goes on at its start after its end. */
static int write_journal(struct journal *j, const uint8_t *all, uint32_t count)
{
    uint32_t at = (j->tail + j->used) % j->super->journal_blocks;
    uint32_t left = j->super->journal_blocks - at;
    uint32_t first = count < left ? count : left;
    int result = j->dev->write(j->dev, offset_of(place(j, at)), all, (size_t)first * BDEV_BLOCK);

    if (result == 0 && first < count)
        result = j->dev->write(j->dev, offset_of(place(j, 0)), all + (size_t)first * BDEV_BLOCK,
                               (size_t)(count - first) * BDEV_BLOCK);
    return result ? result : j->dev->flush(j->dev);
}

static int write_home(struct journal *j)
{
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < j->block_count; i++)
        result =
            j->dev->write(j->dev, offset_of(j->blocks[i].number), j->blocks[i].data, BDEV_BLOCK);
    return result;
}

static int commit(struct journal *j)
{
    uint32_t count = j->block_count + 1;
    uint8_t *all;
    int result = 0;

    if (j->used + count > j->super->journal_blocks)
        result = journal_checkpoint(j);
    if (result != 0)
        return result;
    all = assemble(j);
    if (!all)
        return -SKEP_ENOMEM;
    result = write_journal(j, all, count);
    free(all);
    if (result == 0)
        result = write_home(j);
    if (result != 0)
        return fail(j, result);
    j->used += count;
    j->sequence++;
    return 0;
}

int journal_commit(struct journal *j)
{
    int result = j->failed ? -SKEP_EIO : j->block_count == 0 ? 0 : commit(j);

    journal_abort(j);
    return result;
}
