/*
 * crashes.h - the latest crashes, kept after their guests are gone, and retained across the service's restarts.
 *
 * There are at most STORE_CRASHES; a new one takes the place of the oldest. All functions are called with the model's
 * lock held.
 */
#ifndef CONTROL_CRASHES_H
#define CONTROL_CRASHES_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "core.h"

/* Reads what a former service retained. */
void crashes_load(void);
void crashes_forget(void); /* for tests of restarts: the table, not the records */

/* Keeps the crash of ring 0's guest with this status; its id. */
uint32_t crashes_add(const char *name, uint64_t handle, uint64_t log_base,
                     const struct skep_guest_status *status);

uint32_t crashes_find(uint64_t handle); /* its id, 0 = not kept */

/* The record as JSON, NULL if it isn't kept (any more). Both leave out those of guests that the caller doesn't see. */
const char *crashes_text(uint32_t id);
/* Short ones, the latest first: of those before this id, at most so many. */
cJSON *crashes_to_json(uint64_t before, uint64_t most);

/* crash.c: all that is known of a crash, built now. */
cJSON *crash_to_json(const char *name, uint64_t handle, uint64_t log_base,
                     const struct skep_guest_status *status);

#endif
