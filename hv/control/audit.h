/*
 * audit.h - the trail of what clients changed: one record a call, each with the digest of the one before it.
 *
 * On a disk the records are in the log of the store (state.h). That of a change of something kept is written with the
 * change, by the same flush: audit_expect() says that the next value which this thread keeps is the change. Other records
 * have a write and a flush of their own. Either way a record is durable before the call is answered. Without a disk the
 * latest are in memory, and move to the first disk that comes.
 *
 * Any thread may call any function. A call's functions are called by the thread that serves it.
 */
#ifndef CONTROL_AUDIT_H
#define CONTROL_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "audit_value.h"

#define AUDIT_PATH_MAX   96u
#define AUDIT_CALLER_MAX 40u
#define AUDIT_DETAIL_MAX 80u
#define AUDIT_PAGE_MAX   200u         /* records of one answer, */
#define AUDIT_PAGE_BYTES (128u << 10) /* and of their texts, but for the last one */

/* A call that changes something, while it is served. No field has a control character. */
struct audit_call {
    const char *method;
    char path[AUDIT_PATH_MAX], caller[AUDIT_CALLER_MAX], detail[AUDIT_DETAIL_MAX];
    int expected;         /* status of the change that is about to be kept, 0 = none */
    int recorded;         /* status of the record that went with it, 0 = none */
    uint64_t id;          /* of that record */
    bool idle;            /* nothing changes, so there is no record */
    char *before, *after; /* texts of what is changed, NULL = none; freed by the end */
    char cut[AUDIT_CUT_MAX];
};

/* The records of a store that has just been opened go on; what was in memory so far moves there. */
void audit_start(void);
void audit_stop(void);

/* From here to the end the call is this thread's. The end makes the record, unless one with this status went with a
 * change. */
void audit_begin(struct audit_call *call);
void audit_end(struct audit_call *call, int status);

/* About this thread's call, if it has one. */
void audit_expect(int status);
void audit_idle(void);
__attribute__((format(printf, 1, 2))) void audit_detail(const char *format, ...);

/* What the call changes, as clients see it before and after; the JSON is used up, and NULL is nothing. It is said when the
 * change is about to be kept, or made, and goes into the record of a change that is made. */
void audit_before(cJSON *json);
void audit_after(cJSON *json);

/* The thread's call, which what follows is no part of until audit_begin() takes it again; NULL = it has none. */
struct audit_call *audit_leave(void);

/* Who makes this thread's call, NULL = it has none. */
const char *audit_caller(void);

/* What the service does by itself. */
void audit_note(const char *method, const char *path, const char *detail, int status);

/* state_put() and state_delete(), with the record of this thread's call if it expects one. */
int audit_put(const char *name, const void *data, size_t bytes);
int audit_delete(const char *name);

/* At most `limit` records from the one after `after` on, and whether their digests are right. */
cJSON *audit_to_json(uint64_t after, uint32_t limit);

#endif
