/* guest.h - guests, for other commands. */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "api.h"

/* Whether the state is one of a guest that has ended: exited, killed, crashed or stopped. */
bool guest_has_ended(const char *state);

/* What a guest is like, looked at until it is as wanted. EXIT_NO, told, when it isn't within so many seconds; EXIT_OK
 * with an answer of 404 when it is gone. The caller ends the answer in any case. */
typedef bool guest_condition(const cJSON *status, void *arg);
int guest_wait(const char *name, guest_condition *condition, void *arg, unsigned long seconds,
               struct answer *a);

/* Changes the desired state by a merge patch. */
int guest_wish(const char *name, const char *state, struct answer *a);

/* Copies what the guest prints from offset on (UINT64_MAX = from the oldest byte that is kept). */
int guest_log(const char *name, uint64_t offset, bool follow);

/* The reason and the backtrace of a crash, on standard error. */
void crash_explain(const cJSON *crash);

#endif
