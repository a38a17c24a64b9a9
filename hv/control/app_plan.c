/*
 * app_plan.c - an app's document: read, and checked as a whole before anything is changed.
 *
 * Guests are checked one after the other by the same function as alone, each with those before it on trial in the table
 * of guests, as they will be when it is made. So what two of them have in common shows: an address, a cycle of
 * start_after, the sum of a quota. Nobody sees the trial, since it begins and ends under the model's lock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "app.h"
#include "label.h"
#include "persist.h"
#include "quota.h"
#include "storage.h"

int app_blame(const char *part, const char *name, struct problem *p)
{
    char detail[sizeof(p->detail)];

    memcpy(detail, p->detail, sizeof(detail));
    return problem_set(p, p->status == 400 ? 422 : p->status, "%s.%.63s: %.300s", part, name,
                       detail);
}

static int no_memory(struct problem *p)
{
    return problem_set(p, 503, "There is no memory for the request now; try again.");
}

static bool has(const cJSON *json, const char *part, const char *name)
{
    return app_part(app_part(json, part), name) != NULL;
}

/*
 * Reading
 */

static int check_name(const char *part, const char *name, bool good, struct problem *p)
{
    if (!good)
        return problem_set(p, 422,
                           "%s: '%.80s' is no name: a few of a-z, 0-9 and -, not beginning with -, "
                           "at most 63 for a guest and 39 for a volume.",
                           part, name);
    if (!access_sees(name))
        return problem_set(p, 403,
                           "%s: '%s' doesn't begin with '%s', as all names must that this token is "
                           "for.",
                           part, name, access_prefix());
    return 0;
}

int app_guest_read(const cJSON *item, struct spec *spec, struct files *files, struct problem *p)
{
    const struct guest *g = guest_find(item->string);

    if (spec_from_json(spec, item, item->string, p) != 0 ||
        files_take(app_part(item, "files"), g ? g->files : 0, spec, files, p) != 0)
        return app_blame("guests", item->string, p);
    return 0;
}

static int read_guest(struct app_plan *plan, const cJSON *item, struct problem *p)
{
    struct app_guest *m = &plan->guests[plan->guest_count];

    if (check_name("guests", item->string, name_valid(item->string), p) != 0)
        return -1;
    m->name = item->string;
    m->spec = malloc(sizeof(*m->spec));
    if (!m->spec)
        return no_memory(p);
    plan->guest_count++;
    cJSON_AddTrueToObject(app_part(plan->record, "guests"), item->string);
    return app_guest_read(item, m->spec, &m->files, p);
}

cJSON *app_volume_body(const cJSON *item)
{
    cJSON *body = cJSON_Duplicate(item, true);

    cJSON_DeleteItemFromObjectCaseSensitive(body, "keep");
    return body;
}

static int read_volume(struct app_plan *plan, const cJSON *item, struct problem *p)
{
    struct app_volume *m = &plan->volumes[plan->volume_count];
    const cJSON *keep = app_part(item, "keep");

    if (check_name("volumes", item->string, volume_name_valid(item->string), p) != 0)
        return -1;
    if (!cJSON_IsObject(item))
        return problem_set(p, 422, "volumes.%s must be an object.", item->string);
    if (keep && !cJSON_IsBool(keep))
        return problem_set(p, 422, "volumes.%s: keep must be true or false.", item->string);
    m->name = item->string;
    m->body = item;
    plan->volume_count++;
    cJSON_AddItemToObject(app_part(plan->record, "volumes"), m->name, cJSON_Duplicate(item, true));
    return 0;
}

static int read_labels(struct app_plan *plan, const cJSON *item, struct problem *p)
{
    char texts[LABELS_TEXT];
    size_t bytes;

    if (labels_read(item, texts, &bytes, p) != 0)
        return -1;
    labels_to_json(app_part(plan->record, "labels"), texts, bytes);
    return 0;
}

static int read_members(struct app_plan *plan, const cJSON *item, unsigned most,
                        int (*read)(struct app_plan *plan, const cJSON *item, struct problem *p),
                        struct problem *p)
{
    const cJSON *member;

    if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) > (int)most)
        return problem_set(p, 422, "%s must be an object of at most %u members.", item->string,
                           most);
    cJSON_ArrayForEach(member, item) if (read(plan, member, p) != 0) return -1;
    return 0;
}

static int read_field(struct app_plan *plan, const cJSON *item, struct problem *p)
{
    if (strcmp(item->string, "labels") == 0)
        return read_labels(plan, item, p);
    if (strcmp(item->string, "guests") == 0)
        return read_members(plan, item, APP_GUESTS_MAX, read_guest, p);
    if (strcmp(item->string, "volumes") == 0)
        return read_members(plan, item, APP_VOLUMES_MAX, read_volume, p);
    return problem_set(p, 422, "'%.40s' is no known field; there are labels, guests, volumes.",
                       item->string);
}

static int read_body(struct app_plan *plan, struct problem *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(plan->body))
        return problem_set(p, 422, "The body must be a JSON object.");
    plan->record = cJSON_CreateObject();
    cJSON_AddObjectToObject(plan->record, "labels");
    cJSON_AddObjectToObject(plan->record, "guests");
    cJSON_AddObjectToObject(plan->record, "volumes");
    cJSON_ArrayForEach(item, plan->body) if (read_field(plan, item, p) != 0) return -1;
    return 0;
}

/*
 * Whose members are
 */

static int check_owner(const struct app_plan *plan, const char *part, const char *name,
                       bool foreign, struct problem *p)
{
    const struct app *owner = app_owner(part, name);

    if (owner && owner != plan->app)
        return problem_set(p, 409,
                           "%s: '%s' is of the app '%s': choose another name, or change that.",
                           part, name, access_shown(owner->name));
    if (foreign)
        return problem_set(p, 409,
                           "%s: there is '%s' already, which is of no app: choose another name, or "
                           "delete it first.",
                           part, name);
    return 0;
}

static int check_guest_owners(const struct app_plan *plan, struct problem *p)
{
    for (unsigned i = 0; i < plan->guest_count; i++) {
        const char *name = plan->guests[i].name;
        const struct guest *g = guest_find(name);
        bool is_its = plan->app && app_find_guest(plan->app, name);
        if (check_owner(plan, "guests", name, g && !g->deleting && !is_its, p) != 0)
            return -1;
    }
    return 0;
}

/*
 * What vanishes
 */

static void add_vanishing(const struct app *app, cJSON *to, const cJSON *from, const cJSON *record,
                          const char *part,
                          void (*add)(const struct app *app, cJSON *to, const cJSON *item))
{
    const cJSON *item;

    cJSON_ArrayForEach(item, app_part(from, part))
    {
        if (!has(record, part, item->string) && !has(to, part, item->string) &&
            !cJSON_IsTrue(app_part(item, "keep")))
            add(app, app_part(to, part), item);
    }
}

static void add_guest(const struct app *app, cJSON *to, const cJSON *item)
{
    (void)app;
    if (cJSON_IsTrue(item))
        cJSON_AddTrueToObject(to, item->string);
}

/* By its uuid: should another of the name be there when it is time to delete it, that one isn't the app's. */
static void add_volume(const struct app *app, cJSON *to, const cJSON *item)
{
    char uuid[STORAGE_UUID_TEXT];
    struct disk *disk;
    const struct volume *v;
    bool is_there;

    storage_lock();
    v = storage_find(item->string, &disk);
    is_there = v && app_has_volume(app, v);
    if (is_there)
        storage_uuid_text(v->record.uuid, uuid);
    storage_unlock();
    if (is_there)
        cJSON_AddStringToObject(to, item->string, uuid);
}

static void add_again(const struct app *app, cJSON *to, const cJSON *item)
{
    (void)app;
    cJSON_AddItemToObject(to, item->string, cJSON_Duplicate(item, true));
}

cJSON *app_vanishing(const struct app *app, const cJSON *record)
{
    const cJSON *removing = app ? app->removing : NULL, *former = app ? app->record : NULL;
    cJSON *vanishing = cJSON_CreateObject();

    cJSON_AddObjectToObject(vanishing, "guests");
    cJSON_AddObjectToObject(vanishing, "volumes");
    add_vanishing(app, vanishing, removing, record, "guests", add_again);
    add_vanishing(app, vanishing, removing, record, "volumes", add_again);
    add_vanishing(app, vanishing, former, record, "guests", add_guest);
    add_vanishing(app, vanishing, former, record, "volumes", add_volume);
    return vanishing;
}

static int check_user(const struct guest *g, const cJSON *removing, struct problem *p)
{
    for (uint32_t i = 0; i < g->spec->volume_count; i++) {
        const char *name = g->spec->volume[i].name;
        if (has(removing, "volumes", name))
            return problem_set(
                p, 409,
                "volumes: '%s' would be deleted, and guest '%s' uses it: change that "
                "one first, or say \"keep\": true.",
                name, access_shown(g->name));
    }
    return 0;
}

int app_check_unused(const cJSON *removing, struct problem *p)
{
    if (cJSON_GetArraySize(app_part(removing, "volumes")) == 0)
        return 0;
    for (const struct guest *g = guest_first(); g; g = guest_after(g->name))
        if (!has(removing, "guests", g->name) && check_user(g, removing, p) != 0)
            return -1;
    return 0;
}

/*
 * Volumes
 */

/* What is wished of a volume, numbers as numbers; the JSON it is made of is deleted. */
static cJSON *wished_of(cJSON *volume)
{
    char *text;
    cJSON *wished;

    cJSON_DeleteItemFromObjectCaseSensitive(volume, "status");
    text = cJSON_PrintUnformatted(volume);
    wished = cJSON_Parse(text);
    free(text);
    cJSON_Delete(volume);
    return wished;
}

/* Holds the storage's lock. That it is the app's, or free; and the uuid by which its step knows it. */
static int check_volume_owner(const struct app_plan *plan, struct app_volume *m,
                              const struct volume *v, struct problem *p)
{
    bool foreign = v && !(plan->app && app_has_volume(plan->app, v));
    uint8_t uuid[16];

    if (check_owner(plan, "volumes", m->name, foreign, p) != 0 ||
        (!v && storage_make_uuid(uuid, p) != 0))
        return -1;
    storage_uuid_text(v ? v->record.uuid : uuid, m->uuid);
    return 0;
}

/* Holds the storage's lock. What the volume would be, beside what it is; and by how much it grows. */
static int foresee_volume(const struct app_plan *plan, struct app_volume *m,
                          struct volumes_needs needs[SKEP_DISKS_MAX], uint64_t *growth,
                          struct problem *p)
{
    struct disk *disk;
    struct volume *v = storage_find(m->name, &disk);
    cJSON *body, *foreseen = NULL;
    int status;

    if (check_volume_owner(plan, m, v, p) != 0)
        return -1;
    body = app_volume_body(m->body);
    status = volume_foresee(m->name, body, needs, &foreseen, p);
    cJSON_Delete(body);
    if (status < 0)
        return app_blame("volumes", m->name, p);
    foreseen = wished_of(foreseen);
    *growth += (uint64_t)cJSON_GetNumberValue(app_part(foreseen, "size_bytes"));
    m->change = "created";
    if (v) {
        cJSON *there = wished_of(storage_volume_to_json(disk, v));
        *growth -= v->record.bytes;
        m->change = cJSON_Compare(there, foreseen, true) ? "none" : "applied";
        cJSON_Delete(there);
    }
    m->foreseen = foreseen;
    return 0;
}

static int check_volumes(struct app_plan *plan, struct problem *p)
{
    struct volumes_needs needs[SKEP_DISKS_MAX] = {{0}};
    uint64_t growth = 0;
    int result = 0;

    storage_lock();
    for (unsigned i = 0; i < plan->volume_count && result == 0; i++)
        result = foresee_volume(plan, &plan->volumes[i], needs, &growth, p);
    if (result == 0 && growth)
        result = quota_check_volume(growth, p);
    storage_unlock();
    return result;
}

/*
 * Guests
 */

static int begin_trial(struct app_guest *m, struct problem *p)
{
    struct guest *g = guest_find(m->name);
    struct spec *kept;

    if (!g) {
        m->on_trial = guest_add(m->name, m->spec, 0, p) != NULL;
        return m->on_trial ? 0 : -1;
    }
    kept = spec_keep(m->spec);
    if (!kept)
        return no_memory(p);
    m->former = guest_set_spec(g, kept);
    m->on_trial = true;
    return 0;
}

static void end_trial(struct app_guest *m)
{
    struct guest *g = m->on_trial ? guest_find(m->name) : NULL;

    m->on_trial = false;
    if (!g)
        return;
    if (!m->former) {
        guest_forget(g);
        return;
    }
    free(guest_set_spec(g, m->former));
    m->former = NULL;
    guest_schedule(g,
                   1); /* it may have waited for another guest, which the exchange has forgotten */
}

static int foresee_guest(struct app_guest *m, struct problem *p)
{
    if (guest_foresee(m->name, m->spec, &m->change, p) < 0)
        return app_blame("guests", m->name, p);
    return m->change == GUEST_UNCHANGED ? 0 : begin_trial(m, p);
}

static int check_guests(struct app_plan *plan, struct problem *p)
{
    int result = 0;

    guest_expect_volumes(app_part(plan->record, "volumes"));
    for (unsigned i = 0; i < plan->guest_count && result == 0; i++)
        result = foresee_guest(&plan->guests[i], p);
    guest_expect_volumes(NULL);
    if (result == 0)
        result = app_check_unused(plan->removing, p);
    for (unsigned i = 0; i < plan->guest_count; i++)
        end_trial(&plan->guests[i]);
    return result;
}

/* What new guests and those of another size ask for, all together. */
static int check_memory(const struct app_plan *plan, struct problem *p)
{
    uint64_t wanted = 0, returned = 0;

    for (unsigned i = 0; i < plan->guest_count; i++) {
        const struct app_guest *m = &plan->guests[i];
        const struct guest *g = guest_find(m->name);
        if (g && g->spec->memory_bytes == m->spec->memory_bytes)
            continue;
        wanted += m->spec->memory_bytes;
        returned += g && g->handle ? g->view.memory_promised : 0;
    }
    return wanted ? guest_check_memory("The sum of all guests' memory_bytes", wanted, returned, p)
                  : 0;
}

/*
 * The plan
 */

static int check_app(const struct app_plan *plan, struct problem *p)
{
    if (!persist_has_disk())
        return problem_set(p, 409,
                           "There is no disk to keep an app on: format one, PUT /v1/disks/{id} "
                           "{\"format\": true}.");
    if (plan->app && plan->app->deleting)
        return problem_set(p, 409, "The app '%s' is being deleted; try again when it is gone.",
                           plan->name);
    return 0;
}

int app_plan_make(struct app_plan *plan, const char *name, const cJSON *body, struct problem *p)
{
    *plan = (struct app_plan){.name = name, .app = app_find(name), .body = body};
    if (read_body(plan, p) != 0 || check_app(plan, p) != 0 || check_guest_owners(plan, p) != 0)
        return -1;
    plan->removing = app_vanishing(plan->app, plan->record);
    return check_volumes(plan, p) == 0 && check_guests(plan, p) == 0 ? check_memory(plan, p) : -1;
}

void app_plan_free(struct app_plan *plan)
{
    for (unsigned i = 0; i < plan->guest_count; i++) {
        files_free(&plan->guests[i].files);
        free(plan->guests[i].spec);
    }
    for (unsigned i = 0; i < plan->volume_count; i++)
        cJSON_Delete(plan->volumes[i].foreseen);
    cJSON_Delete(plan->record);
    cJSON_Delete(plan->removing);
}

static bool is_idle(const struct app_plan *plan)
{
    bool idle = !app_is_busy(plan->app) && cJSON_Compare(plan->app->record, plan->record, true);

    for (unsigned i = 0; i < plan->guest_count; i++)
        idle = idle && plan->guests[i].change == GUEST_UNCHANGED;
    for (unsigned i = 0; i < plan->volume_count; i++)
        idle = idle && strcmp(plan->volumes[i].change, "none") == 0;
    return idle;
}

const char *app_plan_change(const struct app_plan *plan)
{
    return !plan->app ? "created" : is_idle(plan) ? "none" : "applied";
}

static void add_deleted(cJSON *changes, const cJSON *removing)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, removing) cJSON_AddStringToObject(changes, item->string, "deleted");
}

cJSON *app_plan_changes(const struct app_plan *plan)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *guests = cJSON_AddObjectToObject(json, "guests");
    cJSON *volumes = cJSON_AddObjectToObject(json, "volumes");

    for (unsigned i = 0; i < plan->guest_count; i++)
        cJSON_AddStringToObject(guests, plan->guests[i].name,
                                guest_change_name(plan->guests[i].change));
    for (unsigned i = 0; i < plan->volume_count; i++)
        cJSON_AddStringToObject(volumes, plan->volumes[i].name, plan->volumes[i].change);
    add_deleted(guests, app_part(plan->removing, "guests"));
    add_deleted(volumes, app_part(plan->removing, "volumes"));
    return json;
}

static void foresee_in_json(cJSON *volume, const cJSON *foreseen, const char *field)
{
    cJSON_DeleteItemFromObjectCaseSensitive(volume, field);
    cJSON_AddItemToObject(volume, field, cJSON_Duplicate(app_part(foreseen, field), true));
}

cJSON *app_plan_to_json(const struct app_plan *plan)
{
    struct app foreseen = {.record = plan->record};
    cJSON *json, *volumes, *guests = cJSON_CreateObject();

    snprintf(foreseen.name, sizeof(foreseen.name), "%s", plan->name);
    json = app_to_json(&foreseen, false);
    for (unsigned i = 0; i < plan->guest_count; i++) {
        const struct app_guest *m = &plan->guests[i];
        cJSON *spec = spec_to_json(m->spec);
        cJSON_AddItemToObject(spec, "files", files_packed_to_json(&m->files, FILES_PUBLIC));
        cJSON_AddItemToObject(guests, m->name, spec);
    }
    cJSON_ReplaceItemInObjectCaseSensitive(app_part(json, "spec"), "guests", guests);
    volumes = app_part(app_part(json, "spec"), "volumes");
    for (unsigned i = 0; i < plan->volume_count; i++) {
        const struct app_volume *m = &plan->volumes[i];
        foresee_in_json(app_part(volumes, m->name), m->foreseen, "size_bytes");
        foresee_in_json(app_part(volumes, m->name), m->foreseen, "limits");
        foresee_in_json(app_part(volumes, m->name), m->foreseen, "labels");
    }
    return json;
}
