/*
 * retain.h - the control service's memory across its own restarts: numbered records of one page each.
 *
 * A record is replaced in one step: the new page is complete before it takes the old one's place. Which records there
 * are and what they mean is the control service's business; it puts a checksum into each.
 */
#ifndef CORE_RETAIN_H
#define CORE_RETAIN_H

#include "core/types.h"

struct guest;

/* Takes the table for `capacity` records. Boot CPU, once. */
void retain_init(uint32_t capacity);
uint32_t retain_capacity(void);

/* Copies a record out. -SKEP_ENOENT when it was never written, -SKEP_EINVAL for an index out of range. */
int retain_read(struct guest *caller, uint32_t index, gva_t to);

/* Replaces a record by a page of the caller's memory, or erases it when `from` is 0. -SKEP_ENOMEM. */
int retain_write(struct guest *caller, uint32_t index, gva_t from);

#endif
