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

static int bring_home(struct journal *j, uint32_t position, const struct format_commit *c,
                      uint8_t *block)
{
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < c->count; i++) {
        result = j->dev->read(j->dev, offset_of(place(j, position + 1 + i)), block, BDEV_BLOCK);
        if (result == 0)
            result = j->dev->write(j->dev, offset_of(c->entries[i].block), block, BDEV_BLOCK);
    }
    return result;
}

/* The transaction that is next. 1, 0 = there is none, or an error. */
static int replay_one(struct journal *j, struct format_commit *c, uint8_t *block,
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
    result = bring_home(j, position, c, block);
    if (result != 0)
        return result;
    j->used += 1 + c->count;
    j->sequence++;
    report->replayed++;
    return 1;
}

/* Looks for transactions after the one that is not whole. */
static int find_later(struct journal *j, uint8_t *block, struct journal_report *report)
{
    const struct format_commit *c = (const struct format_commit *)block;

    for (uint32_t i = 0; i < j->super->journal_blocks; i++) {
        uint32_t number = place(j, i);
        int result = format_read(j->dev, j->super, FORMAT_COMMIT, number, block);
        if (result != 0 && result != FORMAT_DAMAGED)
            return result;
        if (result != 0 || c->header.sequence <= j->sequence)
            continue;
        report->commit_damaged = true;
        report->damaged_block = place(j, j->tail + j->used);
    }
    return 0;
}

static int replay(struct journal *j, uint8_t *block, uint8_t *other, struct journal_report *report)
{
    int result = read_head(j, block, report);

    if (result != 0 || report->heads_damaged)
        return result;
    do {
        result = replay_one(j, (struct format_commit *)block, other, report);
    } while (result > 0);
    if (result == 0)
        result = find_later(j, block, report);
    if (result != 0 || report->commit_damaged || report->strange_home)
        return result;
    /* All is home after this flush, and what a cut left of one more transaction is never looked at again. */
    result = j->dev->flush(j->dev);
    if (result != 0)
        return result;
    j->tail = (j->tail + j->used) % j->super->journal_blocks;
    j->used = 0;
    j->sequence++;
    return write_head(j);
}

int journal_open(struct journal *j, struct bdev *dev, const struct format_super *super,
                 struct journal_report *report)
{
    uint8_t *blocks = malloc(2 * BDEV_BLOCK);
    int result;

    *j = (struct journal){.dev = dev, .super = super};
    memset(report, 0, sizeof(*report));
    j->block_max = super->journal_blocks / 2 - 1;
    if (j->block_max > FORMAT_COMMIT_MAX)
        j->block_max = FORMAT_COMMIT_MAX;
    j->blocks = calloc(j->block_max, sizeof(*j->blocks));
    if (!blocks || !j->blocks) {
        free(blocks);
        return fail(j, -SKEP_ENOMEM);
    }
    result = replay(j, blocks, blocks + BDEV_BLOCK, report);
    free(blocks);
    j->failed =
        result != 0 || report->heads_damaged || report->commit_damaged || report->strange_home;
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
