/* app_apply.c - does what an app's change or deletion asks for; app.h tells how that is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "audit.h"
#include "core.h"
#include "events.h"
#include "points.h"
#include "power.h"
#include "storage.h"

/* Between steps: what guests that end still have is free soon; what a change was refused for lasts longer. */
#define ENDING_NS     100000000ull
#define RETRY_NS      2500000000ull
#define DOUBLINGS_MAX 6u /* of these, by failures in a row */

bool app_is_busy(const struct app *app)
{
    return app->applying || app->removing;
}

static void tell(const struct app *app, const char *type)
{
    events_add(EVENT_APPS, type, app->name, audit_caller(), "\"guests\":%d,\"volumes\":%d",
               cJSON_GetArraySize(app_part(app->record, "guests")),
               cJSON_GetArraySize(app_part(app->record, "volumes")));
}

/*
 * Steps: 0, or -1 and the problem; of -1 without a problem (status 0) the reason is that a guest takes its time to end.
 */

/* Holds the storage's lock. By its uuid a volume that was made before the end of a former service is known for the app's. */
static int put_volume(const struct app *app, const char *name, const cJSON *body, struct problem *p)
{
    const cJSON *known = app_part(app_part(app->applying, "volumes"), name);
    struct disk *disk;
    const struct volume *v = storage_find(name, &disk);
    uint8_t uuid[16];

    if (v && !app_has_volume(app, v))
        return problem_set(p, 409,
                           "Somebody else has made a volume of this name meanwhile, which stays as "
                           "it is: delete it, or choose another name for the app's.");
    return volume_put(
        name, body,
        cJSON_IsString(known) && storage_uuid_read(known->valuestring, uuid) ? uuid : NULL, p);
}

static int make_volume(const struct app *app, const cJSON *item, struct problem *p)
{
    cJSON *body = app_volume_body(item);
    int status;

    storage_lock();
    status = put_volume(app, item->string, body, p);
    storage_unlock();
    cJSON_Delete(body);
    return status < 0 ? app_blame("volumes", item->string, p) : 0;
}

static int make_guest(const cJSON *item, struct problem *p)
{
    struct spec *spec = malloc(sizeof(*spec));
    struct files files = {0};
    enum guest_change change;
    int result = spec ? app_guest_read(item, spec, &files, p)
                      : problem_set(p, 503, "There is no memory for it now.");

    if (result == 0 && guest_put(item->string, spec, &files, &change, p) < 0)
        result = app_blame("guests", item->string, p);
    files_free(&files);
    free(spec);
    return result;
}

static int make_members(const struct app *app, struct problem *p)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, app_part(app->record, "volumes"))
    {
        if (make_volume(app, item, p) != 0)
            return -1;
    }
    cJSON_ArrayForEach(item, app_part(app->applying, "guests"))
    {
        if (make_guest(item, p) != 0)
            return -1;
    }
    return 0;
}

/* What is gone is forgotten at once: another one of the name is somebody else's. */
static void forget(struct app *app, const char *part, cJSON *item)
{
    cJSON_Delete(cJSON_DetachItemViaPointer(app_part(app->removing, part), item));
}

/* All of them are to end, whatever one needs. */
static int remove_guests(struct app *app, struct problem *p)
{
    cJSON *guests = app_part(app->removing, "guests"), *next;
    int result = 0;

    for (cJSON *item = guests ? guests->child : NULL; item; item = next) {
        struct guest *g = guest_find(item->string);
        int status = !g ? 204 : g->deleting ? 202 : guest_delete(g, p);
        next = item->next;
        if (status < 0)
            app_blame("guests", item->string, p);
        if (status == 204)
            forget(app, "guests", item);
        else
            result = -1;
    }
    return result;
}

/* Holds the storage's lock. */
static int remove_volume(const struct app *app, const cJSON *item, struct problem *p)
{
    struct disk *disk;
    struct volume *v = storage_find(item->string, &disk);

    if (!v || !app_has_volume(app, v))
        return 0;
    return storage_delete(disk, v, p) < 0 ? app_blame("volumes", item->string, p) : 0;
}

static int remove_volumes(struct app *app, struct problem *p)
{
    cJSON *volumes = app_part(app->removing, "volumes"), *next;
    int result = 0;

    storage_lock();
    for (cJSON *item = volumes ? volumes->child : NULL; item; item = next) {
        next = item->next;
        if (remove_volume(app, item, p) == 0)
            forget(app, "volumes", item);
        else
            result = -1;
    }
    storage_unlock();
    return result;
}

/* All is done: the value tells so, or is gone. */
static int finish(struct app *app, struct problem *p)
{
    struct app done = *app;

    done.applying = done.removing = NULL;
    if ((app->deleting ? app_unkeep(app, p) : app_keep(&done, p)) != 0)
        return -1;
    commit_point(POINT_APP_DONE);
    cJSON_Delete(app->applying);
    cJSON_Delete(app->removing);
    app->applying = app->removing = NULL;
    return 0;
}

static int do_steps(struct app *app, struct problem *p)
{
    if (app->applying && make_members(app, p) != 0)
        return -1;
    return remove_guests(app, p) == 0 && remove_volumes(app, p) == 0 ? finish(app, p) : -1;
}

/* Its own record of the audit trail is that of the whole, which the change was kept with. The app may be gone then. */
static void step(struct app *app)
{
    const struct principal *caller = access_caller();
    struct audit_call *call = audit_leave();
    struct problem p = {0};
    int result;

    access_begin(&app->by);
    result = do_steps(app, &p);
    access_begin(caller);
    audit_begin(call);
    snprintf(app->error, sizeof(app->error), "%.199s", p.detail);
    app->failures = p.status ? app->failures + (app->failures < DOUBLINGS_MAX) : 0;
    app->due_ns = 0;
    if (result == 0 && app->deleting) {
        tell(app, "deleted");
        app_forget(app);
    } else if (result != 0) {
        uint64_t pause_ns = app->applying && p.status ? RETRY_NS : ENDING_NS;
        app->due_ns = core_clock_ns() + (pause_ns << app->failures);
        core_notify_kick();
    }
}

/* The one that has been due for longest. */
bool app_step_due(void)
{
    struct app *first = NULL;

    for (struct app *app = power_is_ending() ? NULL : app_after(""); app; app = app->next)
        if (app->due_ns && (!first || app->due_ns < first->due_ns))
            first = app;
    if (!first || first->due_ns > core_clock_ns())
        return false;
    step(first);
    return true;
}

uint64_t app_next_deadline(void)
{
    uint64_t first = UINT64_MAX;

    for (const struct app *app = power_is_ending() ? NULL : app_after(""); app; app = app->next)
        if (app->due_ns && app->due_ns < first)
            first = app->due_ns;
    return first;
}

/*
 * What clients ask for
 */

static struct principal by_caller(void)
{
    const struct principal *caller = access_caller();
    return caller ? *caller : (struct principal){0};
}

/* The former ones go when the new ones are kept. */
static int keep_in_place(struct app *app, struct app *new, int status, struct problem *p)
{
    new->by = by_caller();
    new->failures = 0;
    audit_expect(status);
    if (app_keep(new, p) != 0)
        return -1;
    commit_point(POINT_APP_KEPT);
    if (app->record != new->record)
        cJSON_Delete(app->record);
    cJSON_Delete(app->applying);
    cJSON_Delete(app->removing);
    *app = *new;
    return 0;
}

static cJSON *copy_wishes(const struct app_plan *plan)
{
    cJSON *copy = cJSON_CreateObject(), *guests = app_part(plan->body, "guests"), *volumes;

    cJSON_AddItemToObject(copy, "guests",
                          guests ? cJSON_Duplicate(guests, true) : cJSON_CreateObject());
    volumes = cJSON_AddObjectToObject(copy, "volumes");
    for (unsigned i = 0; i < plan->volume_count; i++)
        cJSON_AddStringToObject(volumes, plan->volumes[i].name, plan->volumes[i].uuid);
    return copy;
}

static int change(struct app *app, const struct app_plan *plan, int status, struct problem *p)
{
    struct app new = *app;

    new.record = cJSON_Duplicate(plan->record, true);
    new.applying = copy_wishes(plan);
    new.removing = cJSON_Duplicate(plan->removing, true);
    if (!new.record || !new.applying || !new.removing)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    else if (keep_in_place(app, &new, status, p) == 0)
        return 0;
    cJSON_Delete(new.record);
    cJSON_Delete(new.applying);
    cJSON_Delete(new.removing);
    return -1;
}

/* For the record: what clients see of it but for its name and status. */
static cJSON *spec_of(cJSON *json)
{
    cJSON *spec = cJSON_DetachItemFromObjectCaseSensitive(json, "spec");

    cJSON_Delete(json);
    return spec;
}

int app_apply(const struct app_plan *plan, struct problem *p)
{
    int status = plan->app ? 200 : 201;
    struct app *app = plan->app;

    audit_detail("%u guests, %u volumes", plan->guest_count, plan->volume_count);
    if (strcmp(app_plan_change(plan), "none") == 0) {
        audit_idle();
        return 200;
    }
    audit_before(app ? spec_of(app_to_json(app, false)) : NULL);
    audit_after(spec_of(app_plan_to_json(plan)));
    if (!app && !(app = app_add(plan->name, NULL, p)))
        return -1;
    if (change(app, plan, status, p) != 0) {
        if (!plan->app)
            app_forget(app);
        return -1;
    }
    tell(app, plan->app ? "changed" : "created");
    step(app);
    return app_is_busy(app) ? 202 : status;
}

int app_delete(struct app *app, struct problem *p)
{
    char name[SKEP_NAME_MAX];
    struct app new = *app;

    memcpy(name, app->name, sizeof(name));
    if (!app->deleting) {
        new.applying = NULL;
        new.removing = app_vanishing(app, NULL);
        new.deleting = true;
        audit_before(spec_of(app_to_json(app, false)));
        if (app_check_unused(new.removing, p) != 0 || keep_in_place(app, &new, 202, p) != 0) {
            cJSON_Delete(new.removing);
            return -1;
        }
    }
    step(app);
    return app_find(name) ? 202 : 204;
}
