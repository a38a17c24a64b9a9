/* audit_log.c - the form of an audit record, and finding the latest in the store's log. */
#include "audit_log.h"

#include <stdlib.h>
#include <string.h>

#include "skep_tls.h"

bool audit_split(char *text, const char *lines[AUDIT_LINES])
{
    for (unsigned i = 0; i < AUDIT_LINES; i++) {
        char *end = strchr(text, '\n');
        if (!end)
            return false;
        lines[i] = text;
        *end = '\0';
        text = end + 1;
    }
    return *text == '\0';
}

bool audit_record_id(const struct audit_record *r, bool sure, uint64_t *id)
{
    uint8_t digest[32];
    char *end;

    if (r->magic != AUDIT_MAGIC || r->bytes == 0 || r->bytes >= sizeof(r->text) ||
        r->text[0] < '1' || r->text[0] > '9' || r->text[r->bytes] != '\0')
        return false;
    *id = strtoull(r->text, &end, 10);
    if (*end != '\n' || !sure)
        return *end == '\n';
    tls_sha256(r->text, r->bytes, digest);
    return memcmp(digest, r->digest, sizeof(digest)) == 0;
}

/* Which block of the log this would be by its first record that has one; else 0. They count from 1 on. */
static uint64_t block_number(const struct audit_block *block, uint32_t at, uint32_t blocks)
{
    uint64_t id;

    for (unsigned slot = 0; slot < AUDIT_SLOTS; slot++)
        if (audit_record_id(&block->slots[slot], false, &id) && (id - 1) % AUDIT_SLOTS == slot &&
            (id - 1) / AUDIT_SLOTS % blocks == at)
            return (id - 1) / AUDIT_SLOTS + 1;
    return 0;
}

static int read_numbers(uint64_t *numbers, uint32_t blocks, struct audit_block *block)
{
    for (uint32_t i = 0; i < blocks; i++) {
        if (state_log_read(i, block) != 0)
            return -1;
        numbers[i] = block_number(block, i, blocks);
    }
    return 0;
}

static uint64_t latest_of(const uint64_t *numbers, uint32_t blocks)
{
    uint64_t latest = 0;

    for (uint32_t i = 0; i < blocks; i++)
        latest = numbers[i] > latest ? numbers[i] : latest;
    return latest;
}

/* Of the blocks up to the last one: how many follow each other. One is left out of the log, being overwritten next. */
static uint64_t count_back(const uint64_t *numbers, uint32_t blocks, uint64_t last)
{
    uint64_t count = 1;

    while (count < blocks - 1 && last > count &&
           numbers[(last - 1 - count) % blocks] == last - count)
        count++;
    return count;
}

/* The last record of a block that is whole, 0 if none is. One before it that isn't was damaged later, and is told so. */
static uint64_t last_of(const struct audit_block *block, uint64_t number)
{
    uint64_t first = (number - 1) * AUDIT_SLOTS + 1, last = 0, id;

    for (unsigned slot = 0; slot < AUDIT_SLOTS; slot++)
        if (audit_record_id(&block->slots[slot], true, &id) && id == first + slot)
            last = id;
    return last;
}

int audit_log_find(uint64_t *first, uint64_t *last, struct audit_block *tail)
{
    static uint64_t numbers[STATE_LOG_MAX]; /* at the start only */
    uint32_t blocks = state_log_blocks();
    uint64_t latest;

    *first = *last = 0;
    if (blocks < 2 || read_numbers(numbers, blocks, tail) != 0)
        return -1;
    /* One that was damaged is left aside, for the one before it. */
    while (*last == 0 && (latest = latest_of(numbers, blocks)) != 0) {
        uint32_t at = (uint32_t)((latest - 1) % blocks);
        if (state_log_read(at, tail) != 0)
            return -1;
        *last = last_of(tail, latest);
        *first = (latest - count_back(numbers, blocks, latest)) * AUDIT_SLOTS + 1;
        numbers[at] = 0;
    }
    if (*last == 0)
        memset(tail, 0, sizeof(*tail));
    return 0;
}
