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

enum store_kind { STORE_IDENTITY = 1, STORE_TOKEN, STORE_GUEST };

/* Fixed places; guests have the records from STORE_GUEST_FIRST on. */
#define STORE_IDENTITY_RECORD 0u
#define STORE_TOKEN_RECORD    1u
#define STORE_GUEST_FIRST     2u

#define STORE_BYTES_MAX 4040u

/* True when the record is in the core's hands. */
bool store_write(unsigned record, enum store_kind kind, const void *data, size_t bytes);
bool store_erase(unsigned record);

/* True if there is a valid record of this kind and exactly this size. */
bool store_read(unsigned record, enum store_kind kind, void *data, size_t bytes);

#endif
