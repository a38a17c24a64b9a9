/* store.c - retained records with checksums. */
#include "store.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "log.h"
#include "storage/crc32c.h"

#define STORE_MAGIC   0x52504b53u /* "SKPR" */
#define STORE_VERSION 3u

struct record {
    uint32_t magic;
    uint16_t version, kind;
    uint32_t bytes;
    uint32_t
        checksum; /* CRC-32C of what stands before and after: nobody but this service writes here */
    uint8_t data[STORE_BYTES_MAX];
};
_Static_assert(sizeof(struct record) == SKEP_PAGE_SIZE, "a record is a page");

/* Of what is in use: most records are a small part of their page. */
static uint32_t checksum_of(const struct record *r)
{
    return crc32c(crc32c(0, r, offsetof(struct record, checksum)), r->data, r->bytes);
}

bool store_write(unsigned record, enum store_kind kind, const void *data, size_t bytes)
{
    struct record r = {.magic = STORE_MAGIC, .version = STORE_VERSION};
    int64_t result;

    r.kind = (uint16_t)kind;
    r.bytes = (uint32_t)bytes;
    memcpy(r.data, data, bytes);
    r.checksum = checksum_of(&r);
    result = core_retain_write(record, &r);
    if (result != 0)
        log_line("record %u can't be retained (error %d)", record, (int)-result);
    return result == 0;
}

bool store_erase(unsigned record)
{
    int64_t result = core_retain_write(record, NULL);
    if (result != 0)
        log_line("record %u can't be erased (error %d)", record, (int)-result);
    return result == 0;
}

size_t store_read(unsigned record, enum store_kind kind, void *data, size_t room)
{
    struct record r;

    if (core_retain_read(record, &r) != 0)
        return 0;
    if (r.magic != STORE_MAGIC || r.version != STORE_VERSION || r.bytes > STORE_BYTES_MAX ||
        r.checksum != checksum_of(&r)) {
        log_line("record %u is damaged or of another version and left aside", record);
        return 0;
    }
    if (r.kind != kind || r.bytes > room)
        return 0;
    memcpy(data, r.data, r.bytes);
    return r.bytes;
}

/*
 * Values of several records
 */

struct part {
    uint32_t id;
    uint32_t bytes; /* in all */
    char data[STORE_BYTES_MAX - 8];
};
_Static_assert(sizeof(struct part) == STORE_BYTES_MAX, "a part fills a record");
#define PART_BYTES sizeof(((struct part *)0)->data)

bool store_write_parts(unsigned first, unsigned parts, enum store_kind kind, uint32_t id,
                       const void *data, size_t bytes)
{
    struct part part = {.id = id, .bytes = (uint32_t)bytes};
    size_t done = 0;

    if (bytes > PART_BYTES * parts)
        return false;
    for (unsigned i = 0; done < bytes; i++) {
        size_t some = bytes - done < PART_BYTES ? bytes - done : PART_BYTES;
        memcpy(part.data, (const char *)data + done, some);
        if (!store_write(first + i, kind, &part, offsetof(struct part, data) + some))
            return false;
        done += some;
    }
    return true;
}

void *store_read_parts(unsigned first, unsigned parts, enum store_kind kind, uint32_t *id,
                       size_t *bytes)
{
    struct part part = {0};
    char *whole = NULL;
    size_t done = 0;

    *bytes = 0;
    for (unsigned i = 0; i < parts && (i == 0 || done < *bytes); i++) {
        size_t some = store_read(first + i, kind, &part, sizeof(part));
        if (i == 0 && some > offsetof(struct part, data)) {
            *id = part.id;
            *bytes = part.bytes;
            whole = *bytes <= PART_BYTES * parts ? malloc(*bytes) : NULL;
        }
        some -= some ? offsetof(struct part, data) : 0;
        if (!whole || some == 0 || some > *bytes - done || part.id != *id || part.bytes != *bytes)
            break;
        memcpy(whole + done, part.data, some);
        done += some;
    }
    if (done == *bytes)
        return whole;
    free(whole);
    return NULL;
}
