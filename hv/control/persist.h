/*
 * persist.h - what the service keeps on a disk (state.h), if the machine has one.
 *
 * Without a disk all changes succeed and nothing is kept. With one, what can't be kept isn't done: the problem is 507,
 * and nothing has changed. What is kept, by name: "began", "identity", "token", "tokens", "images/NAME" with
 * "files/NAME.DIGEST", "guests/NAME", "apps/NAME", and "restore".
 *
 * Any thread may call any function; see state.h about changes of one name.
 */
#ifndef CONTROL_PERSIST_H
#define CONTROL_PERSIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "problem.h"

/* Opens the store, and tells the console what there is. In safe mode it is left alone, and nothing can be changed. */
void persist_start(bool safe_mode, bool first_start);
void persist_stop(void);

/* Opens it on a disk that the service has got since. True: just now, so nothing of what there is is on it. */
bool persist_begin(void);

/* Whether the machine has a disk for it; whether there is a store that can be read. */
bool persist_has_disk(void);
bool persist_is_open(void);

/* Whether it was there when the machine started: then all that was acknowledged since is in it. */
bool persist_is_complete(void);

/* 0, or -1 and the problem. The audit record of a change goes along (audit.h). */
int persist_put(const char *name, const void *data, size_t bytes, struct problem *p);
int persist_delete(const char *name, struct problem *p); /* also of what isn't there */

/* Puts it unless it is there just so. */
int persist_update(const char *name, const void *data, size_t bytes, struct problem *p);

/* As state_get(): without a store there is nothing. */
int64_t persist_get(const char *name, void *data, size_t room);

/* As state_list(); NULL if nothing can be listed. The caller frees it. */
char *persist_list(const char *prefix);

const char *persist_state_name(void);
cJSON *persist_to_json(void);

#endif
