/* audit_log.c - the form of an audit record, and finding the latest in the store's log. */
#include "audit_log.h"

#include <stdlib.h>
#include <string.h>

#include "skep_tls.h"

unsigned audit_slots(uint32_t bytes)
{
    return (AUDIT_HEAD + bytes) / AUDIT_SECTOR + 1; /* with the text's NUL */
}

const struct audit_record *audit_at(const struct audit_block *block, unsigned slot)
{
    return (const struct audit_record *)(const void *)(block->data + slot * AUDIT_SECTOR);
}

bool audit_split(char *text, const char *lines[AUDIT_LINES])
{
    unsigned count = 0;

    for (; *text && count < AUDIT_LINES; count++) {
        char *end = strchr(text, '\n');
        if (!end)
            return false;
        lines[count] = text;
        *end = '\0';
        text = end + 1;
    }
    if (*text || (count != AUDIT_LINES && count != AUDIT_LINES_1))
        return false;
    for (; count < AUDIT_LINES; count++)
        lines[count] = text;
    return true;
}

bool audit_record_id(const void *data, size_t room, bool sure, uint64_t *id)
{
    const struct audit_record *r = data;
    uint8_t digest[32];
    char *end;

    if ((r->magic != AUDIT_MAGIC && r->magic != AUDIT_MAGIC_2) || r->bytes == 0 ||
        r->bytes >= room - AUDIT_HEAD || r->text[0] < '1' || r->text[0] > '9' ||
        r->text[r->bytes] != '\0')
        return false;
    *id = strtoull(r->text, &end, 10);
    if (*end != '\n' || !sure)
        return *end == '\n';
    (r->magic == AUDIT_MAGIC ? tls_sha256 : tls_sha512_half)(r->text, r->bytes, digest);
    return memcmp(digest, r->digest, sizeof(digest)) == 0;
}

/* A text has no NUL, and so nothing amid a record looks like the head of one. Hence no length is believed here: that of a
 * damaged record would hide those behind it. */
unsigned audit_next(const struct audit_block *block, unsigned slot, bool sure, uint64_t *id)
{
    uint64_t found;

    for (; slot < AUDIT_SLOTS; slot++)
        if (audit_record_id(audit_at(block, slot), BDEV_BLOCK - slot * AUDIT_SECTOR, sure,
                            &found) &&
            found > *id) {
            *id = found;
            break;
        }
    return slot;
}

static int read_firsts(uint64_t *firsts, uint32_t blocks, struct audit_block *block)
{
    for (uint32_t i = 0; i < blocks; i++) {
        firsts[i] = 0;
        if (state_log_read(i, block) != 0)
            return -1;
        audit_next(block, 0, false, &firsts[i]);
    }
    return 0;
}

static uint32_t latest_of(const uint64_t *firsts, uint32_t blocks)
{
    uint32_t latest = 0;

    for (uint32_t i = 0; i < blocks; i++)
        latest = firsts[i] > firsts[latest] ? i : latest;
    return latest;
}

/* The last record of the tail that is whole, 0 if none is. One before it that isn't was damaged later, and is told so. One
 * of a former turn, which a cut has left behind the new first one, has a lower id. */
static uint64_t find_last(struct audit_tail *tail, uint64_t first)
{
    uint64_t last = first - 1;

    tail->used = 0;
    for (unsigned slot = 0; (slot = audit_next(&tail->block, slot, true, &last)) < AUDIT_SLOTS;
         slot++)
        tail->used = slot + audit_slots(audit_at(&tail->block, slot)->bytes);
    return tail->used ? last : 0;
}

/* Those from the tail back that follow each other count, but for the one that is overwritten next. */
static void forget_strays(uint64_t *firsts, uint32_t blocks, uint32_t tail)
{
    uint64_t next = firsts[tail];
    bool follows = true;

    for (uint32_t i = 1; i < blocks; i++) {
        uint64_t *first = &firsts[(tail + blocks - i) % blocks];
        follows =
            follows && i < blocks - 1 && *first && *first < next && next - *first < 2 * AUDIT_SLOTS;
        next = *first;
        if (!follows)
            *first = 0;
    }
}

int audit_log_find(uint64_t firsts[STATE_LOG_MAX], uint64_t *last, struct audit_tail *tail)
{
    uint32_t blocks = state_log_blocks();

    *last = 0;
    memset(firsts, 0, STATE_LOG_MAX * sizeof(*firsts));
    if (blocks < 2 || read_firsts(firsts, blocks, &tail->block) != 0)
        return -1;
    /* One that was damaged is left aside, for the one before it. */
    while (*last == 0 && firsts[tail->at = latest_of(firsts, blocks)] != 0) {
        if (state_log_read(tail->at, &tail->block) != 0)
            return -1;
        *last = find_last(tail, firsts[tail->at]);
        if (*last == 0)
            firsts[tail->at] = 0;
    }
    if (*last)
        forget_strays(firsts, blocks, tail->at);
    else
        memset(tail, 0, sizeof(*tail));
    return 0;
}
