/*
 * app.h - apps: guests and volumes that one document describes, and that are made, changed and removed together.
 *
 * An app keeps little: its labels, the names of its guests and volumes, and of volumes what the document says. The specs
 * of members are their own. So what is changed by a member's own route is what the app shows. A guest that is deleted by
 * its own route is the app's no more, and neither is one that comes in its place: the record then says so.
 *
 * It is kept on the disk as the value "apps/NAME", and there are none without one. A change is checked as a whole first
 * (app_plan.c); then it is kept with what is to be done, which makes it the app's; then that is done (app_apply.c), each
 * step of which may be done twice. What is left undone, by a step that fails or because the service or the machine ended,
 * is taken up again: after a while, and at each start.
 *
 * All functions are called with the model's lock held, and without the storage's.
 */
#ifndef CONTROL_APP_H
#define CONTROL_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "access.h"
#include "files.h"
#include "guest.h"
#include "problem.h"
#include "spec.h"
#include "storage.h"

#define APPS_MAX        128u
#define APP_GUESTS_MAX  16u
#define APP_VOLUMES_MAX 16u

struct app {
    struct app *next; /* by name */
    char name[SKEP_NAME_MAX];
    cJSON *
        record; /* {"labels": {NAME: VALUE}, "guests": {NAME: is its}, "volumes": {NAME: {"keep", …}}} */
    cJSON *
        applying; /* {"guests": {NAME: spec}, "volumes": {NAME: uuid}} of a change that isn't made in full; or NULL */
    cJSON *
        removing; /* {"guests": {NAME: true}, "volumes": {NAME: uuid}} that it has no more and are there; or NULL */
    bool deleting; /* the app goes, too, when those are removed */
    struct principal
        by;          /* who asked for the latest change: its prefix and quotas hold for each step */
    uint64_t due_ns; /* when the next step is due, core_clock_ns; 0 = not */
    unsigned failures; /* in a row */
    char error[200];   /* why the latest one didn't do it all, "" = it did */
};

/* Of a record or document: "labels", "guests", "volumes", or one of what these have. NULL = it isn't there. */
static inline cJSON *app_part(const cJSON *json, const char *part)
{
    return cJSON_GetObjectItemCaseSensitive(json, part);
}

/*
 * The table (app.c)
 */

struct app *app_find(const char *name);
struct app *app_after(const char *name); /* the next name's, NULL = none; "" gives the first */
bool app_is_seen(const struct app *app); /* by this thread's caller: with all of its members */
bool app_has_label(const struct app *app, const char *label); /* "NAME=value" */

/* A new one, not kept, which takes the record; NULL and the problem. */
struct app *app_add(const char *name, cJSON *record, struct problem *p);
void app_forget(struct app *app);
void app_forget_all(void); /* for tests of restarts */

/* Writes its value, or erases it; 0, or -1 and the problem. */
int app_keep(const struct app *app, struct problem *p);
int app_unkeep(const struct app *app, struct problem *p);

/* At the start, when there are guests: reads what is kept. What is underway is due then. */
void app_load_all(void);

/* One of a backup: its record is checked; is kept; and all that are kept are taken back, where there were none before. 0, or
 * -1 and the problem. */
int app_check_record(const char *name, const cJSON *record, struct problem *p);
int app_keep_record(const char *name, const cJSON *record, struct problem *p);
void app_restore_none(void);

/* The disk is another one: what there is is put there. */
void app_keep_all(void);

unsigned app_count(void);

/* Whose the guest or volume is (part: "guests" or "volumes"); NULL = no app's. */
const struct app *app_owner(const char *part, const char *name);

/* The app's guest of this name, NULL = there is none, or it isn't the app's. */
struct guest *app_find_guest(const struct app *app, const char *name);

/* A guest is deleted, by itself: no app has it any more, unless a change underway makes it again. */
void app_lose_guest(const char *name);

/* Whether a change of an app is about to make or delete the guest: until that is done, nobody else makes one. */
bool app_awaits_guest(const char *name);

/* Whether the volume, of a name that the app has, is the app's: while a change is underway, the one of its uuid is, whoever
 * makes another meanwhile. Holds the storage's lock. */
bool app_has_volume(const struct app *app, const struct volume *v);

/*
 * What clients see (app_json.c)
 */

cJSON *app_to_json(const struct app *app, bool in_list);

/*
 * What a document wants (app_plan.c)
 */

struct app_guest {
    const char *name;
    struct spec *spec;
    struct files files;
    enum guest_change change;
    struct spec *former; /* while the new one is on trial; NULL = the guest is new */
    bool on_trial;
};

struct app_volume {
    const char *name;
    const cJSON *body;            /* what PUT of a volume takes, and "keep" */
    cJSON *foreseen;              /* as it would be */
    const char *change;           /* "created", "applied" or "none" */
    char uuid[STORAGE_UUID_TEXT]; /* that it has, or will have */
};

struct app_plan {
    const char *name;
    struct app *app; /* NULL = there is none yet */
    const cJSON *body;
    cJSON *record;   /* as it is to be */
    cJSON *removing; /* what vanishes */
    struct app_guest guests[APP_GUESTS_MAX];
    struct app_volume volumes[APP_VOLUMES_MAX];
    unsigned guest_count, volume_count;
};

/* Reads the document and checks it as a whole: 0, or -1 and the problem. The plan is freed in any case, before the body. */
int app_plan_make(struct app_plan *plan, const char *name, const cJSON *body, struct problem *p);
void app_plan_free(struct app_plan *plan);
cJSON *app_plan_to_json(const struct app_plan *plan); /* the app as it would be */
cJSON *app_plan_changes(const struct app_plan *plan); /* {"guests": {NAME: change}, "volumes": …} */
const char *app_plan_change(
    const struct app_plan *plan); /* of the app: "created", "applied" or "none" */

/* What an app has that isn't in the record (NULL = nothing is), but for volumes that are to be kept; with what it is
 * removing already. */
cJSON *app_vanishing(const struct app *app, const cJSON *record);

/* 0, or -1 and the problem: a guest that stays uses what is to be removed. */
int app_check_unused(const cJSON *removing, struct problem *p);

/* A guest of a document: 0, or -1 and the problem. The caller frees the files. */
int app_guest_read(const cJSON *item, struct spec *spec, struct files *files, struct problem *p);

/* What PUT of a volume takes. The caller deletes it. */
cJSON *app_volume_body(const cJSON *item);

/* Puts "guests.web: " in front of what is wrong, and returns -1. */
int app_blame(const char *part, const char *name, struct problem *p);

/*
 * Doing it (app_apply.c)
 */

/* 201 or 200 if it is done, 202 if something is left to do, or -1 and the problem: then nothing has changed. */
int app_apply(const struct app_plan *plan, struct problem *p);

/* 204 if it is gone, 202 if it takes a moment, or -1 and the problem. */
int app_delete(struct app *app, struct problem *p);

/* Whether a change or removal is underway. */
bool app_is_busy(const struct app *app);

/* Goes on with one app of those that are due, unless the machine is about to end; whether there was one. When the next step is
 * due without a notification; UINT64_MAX = never. */
bool app_step_due(void);
uint64_t app_next_deadline(void);

#endif
