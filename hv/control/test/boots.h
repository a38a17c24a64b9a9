/* boots.h - the service's starts and ends on the fake machine, for tests of what is kept. */
#ifndef CONTROL_BOOTS_H
#define CONTROL_BOOTS_H

#include <stdbool.h>
#include <stddef.h>

#include <cJSON.h>

#include "guest.h"
#include "problem.h"
#include "storage/fsck.h"

#define BOOTS_DISK_BYTES (2u << 20)

/* Around each test: a first start with an empty disk, and the end of all. */
int boots_setup(void **state);
int boots_teardown(void **state);

void boots_end(void);
void boots_begin(bool safe_mode, bool first);

/* Without a disk: nothing of the service's own is left of guests, images and crashes; and a restart after that. */
void boots_forget(void);
void boots_restart(bool safe_mode);

/* The power goes and comes again. */
void boots_cold(void);

/* What the thread that follows notifications does, until nothing is dying. */
void boots_settle(void);

/* Whether this is somebody's token. */
bool boots_obeys(const char *token);

/* An image; files of different versions differ. */
int boots_upload(const char *name, size_t version, struct problem *p);

/* A guest, of its spec as JSON. */
int boots_put_json(const char *name, const cJSON *json, enum guest_change *change,
                   struct problem *p);
int boots_put_text(const char *name, const char *text, struct problem *p);
int boots_put(const char *name, const char *text);

/* An app's document; NULL = it is deleted. The status of that. */
int boots_put_app(const char *name, const char *text);

/* All that clients see of what was wished; the caller frees it. */
char *boots_snapshot(void);

/* Changes, amid which the power is cut. */
struct boots_changes {
    unsigned count;               /* 1 to BOOTS_CHANGES_MAX */
    void (*make)(unsigned index); /* until it is done; each writes to the disk */
    char *(*look)(void);          /* what there is, after a start, too; the caller frees it */
    void (*check)(void);          /* after each start; NULL = nothing more */
    uint32_t seed;
};
#define BOOTS_CHANGES_MAX 32u

/* Makes them, and then boots from what each cut behind each operation may have left: what there is must be as before the
 * change, or as after it. */
void boots_cut_everywhere(const struct boots_changes *changes);

/* What skep-fsck finds on a disk; it must be without an error. */
struct fsck_result boots_disk_found(uint32_t index);

#endif
