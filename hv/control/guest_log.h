/*
 * guest_log.h - what a guest printed, read by offsets that count all bytes that guests of its name have printed.
 *
 * Readers keep nothing here: one that is slow loses what ring 0 keeps no longer, and holds nobody up. Both functions take
 * the model's lock.
 */
#ifndef CONTROL_GUEST_LOG_H
#define CONTROL_GUEST_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem.h"

#define GUEST_LOG_OLDEST UINT64_MAX

/* Where a reader begins: at *offset, which becomes that of the oldest byte if it is GUEST_LOG_OLDEST. *end is the log's end
 * by now. 0, or -1 and the problem: no such guest, or bytes that are gone or not there yet. */
int guest_log_begin(const char *name, uint64_t *offset, uint64_t *end, struct problem *p);

#define GUEST_LOG_OVER (-1) /* the guest is gone, or has ended for good, and all is read */

/* Reads on from *offset: bytes, 0 = none now, or GUEST_LOG_OVER. A reader that was overtaken goes on behind what it lost;
 * *lost is grown by that. */
int guest_log_read(const char *name, uint64_t *offset, void *data, size_t room, uint64_t *lost);

#endif
