/*
 * store.h - retained records: what the service remembers across its own restarts. Ring 0 keeps one
 * page a record and writes it atomically; here each gets a kind, a version and a checksum, so that
 * what was not written by this version of us is not believed.
 */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_kind {
    STORE_IDENTITY = 1,
    STORE_TOKEN,
    STORE_GUEST,
    STORE_CRASH,
    STORE_POWER,
    STORE_TOKENS
};

/* Fixed places. Each crash has STORE_CRASH_PARTS records from STORE_CRASH_FIRST on, each copy of the identity
 * likewise; then come those of the tokens that the API made; guests have those that follow. */
#define STORE_TOKEN_RECORD    0u
#define STORE_POWER_RECORD    1u
#define STORE_CRASH_FIRST     2u
#define STORE_CRASH_PARTS     5u
#define STORE_CRASHES         16u
#define STORE_IDENTITY_FIRST  (STORE_CRASH_FIRST + STORE_CRASHES * STORE_CRASH_PARTS)
#define STORE_IDENTITY_PARTS  3u
#define STORE_IDENTITY_COPIES 2u
#define STORE_TOKENS_FIRST    (STORE_IDENTITY_FIRST + STORE_IDENTITY_COPIES * STORE_IDENTITY_PARTS)
#define STORE_TOKENS_PARTS    5u
#define STORE_GUEST_FIRST     (STORE_TOKENS_FIRST + STORE_TOKENS_PARTS)

#define STORE_BYTES_MAX 4080u

/* True when the record is in the core's hands. */
bool store_write(unsigned record, enum store_kind kind, const void *data, size_t bytes);
bool store_erase(unsigned record);

/* Its bytes, if there is a valid record of this kind that fits into room; else 0. */
size_t store_read(unsigned record, enum store_kind kind, void *data, size_t room);

/* A value that takes up to `parts` records from `first` on. All carry its id: what is not there in full, with the same id
 * in each, is not believed. The reader gets memory to free, or NULL. */
bool store_write_parts(unsigned first, unsigned parts, enum store_kind kind, uint32_t id,
                       const void *data, size_t bytes);
void *store_read_parts(unsigned first, unsigned parts, enum store_kind kind, uint32_t *id,
                       size_t *bytes);

#endif
