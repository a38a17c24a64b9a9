/* app_json.c - apps as clients see them. */
#include <string.h>

#include "app.h"
#include "storage.h"

static const cJSON *part_of(const struct app *app, const char *part)
{
    return cJSON_GetObjectItemCaseSensitive(app->record, part);
}

/* The worst of all members is the app's. */
enum fitness { READY, STARTING, DEGRADED };

static enum fitness judge_guest(const struct guest *g)
{
    if (!g)
        return DEGRADED;
    if (g->spec->desired != SPEC_RUNNING || guest_is_up(g))
        return READY;
    return guest_has_ended(g) || guest_is_crash_looping(g) ? DEGRADED : STARTING;
}

/* A list takes what is known of them, and asks ring 0 for nothing. */
static enum fitness look_at_guests(const struct app *app, bool in_list, cJSON *states)
{
    enum fitness worst = READY;
    const cJSON *item;

    cJSON_ArrayForEach(item, part_of(app, "guests"))
    {
        struct guest *g = app_find_guest(app, item->string);
        enum fitness fitness;
        if (g && !in_list)
            guest_refresh(g);
        fitness = judge_guest(g);
        worst = fitness > worst ? fitness : worst;
        cJSON_AddStringToObject(states, item->string, g ? guest_state_text(g) : "missing");
    }
    return worst;
}

static enum fitness look_at_volumes(const struct app *app, cJSON *states)
{
    enum fitness worst = READY;
    const cJSON *item;

    storage_lock();
    cJSON_ArrayForEach(item, part_of(app, "volumes"))
    {
        struct skep_volume_status status;
        struct disk *disk;
        const struct volume *v = storage_find(item->string, &disk);
        uint64_t allocated;
        const char *state =
            v && app_has_volume(app, v) ? storage_look(disk, v, &status, &allocated) : "missing";
        worst = strcmp(state, "online") == 0 ? worst : DEGRADED;
        cJSON_AddStringToObject(states, item->string, state);
    }
    storage_unlock();
    return worst;
}

static const char *state_text(const struct app *app, enum fitness fitness)
{
    static const char *const names[] = {"ready", "starting", "degraded"};

    if (app->deleting)
        return "deleting";
    return app_is_busy(app) ? "changing" : names[fitness];
}

static void add_status(cJSON *json, const struct app *app, bool in_list)
{
    cJSON *status = cJSON_AddObjectToObject(json, "status");
    cJSON *guests = cJSON_CreateObject(), *volumes = cJSON_CreateObject();
    enum fitness of_guests = look_at_guests(app, in_list, guests);
    enum fitness of_volumes = look_at_volumes(app, volumes);

    cJSON_AddStringToObject(status, "state",
                            state_text(app, of_volumes > of_guests ? of_volumes : of_guests));
    if (*app->error && !access_sees(app->by.prefix))
        cJSON_AddStringToObject(status, "error",
                                "It is told to those who see as much as who asked for it.");
    else if (*app->error)
        cJSON_AddStringToObject(status, "error", app->error);
    else
        cJSON_AddNullToObject(status, "error");
    cJSON_AddItemToObject(status, "guests", guests);
    cJSON_AddItemToObject(status, "volumes", volumes);
}

/* What the document says, with what can have been changed since. */
static cJSON *describe_volume(const struct app *app, const cJSON *wished)
{
    static const char *const fields[] = {"size_bytes", "limits", "labels"};
    cJSON *json = cJSON_Duplicate(wished, true), *there;
    struct disk *disk;
    struct volume *v = storage_find(wished->string, &disk);

    if (!v || !app_has_volume(app, v))
        return json;
    there = storage_volume_to_json(disk, v);
    for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(json, fields[i]);
        cJSON_AddItemToObject(json, fields[i],
                              cJSON_DetachItemFromObjectCaseSensitive(there, fields[i]));
    }
    cJSON_Delete(there);
    return json;
}

static void add_spec(cJSON *json, const struct app *app)
{
    cJSON *spec = cJSON_AddObjectToObject(json, "spec"), *guests, *volumes;
    const cJSON *item;

    cJSON_AddItemToObject(spec, "labels", cJSON_Duplicate(part_of(app, "labels"), true));
    volumes = cJSON_AddObjectToObject(spec, "volumes");
    guests = cJSON_AddObjectToObject(spec, "guests");
    storage_lock();
    cJSON_ArrayForEach(item, part_of(app, "volumes"))
        cJSON_AddItemToObject(volumes, item->string, describe_volume(app, item));
    storage_unlock();
    cJSON_ArrayForEach(item, part_of(app, "guests"))
    {
        const struct guest *g = app_find_guest(app, item->string);
        if (g)
            cJSON_AddItemToObject(guests, item->string,
                                  guest_spec_to_json(g->spec, g->files, FILES_PUBLIC));
    }
}

cJSON *app_to_json(const struct app *app, bool in_list)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "name", app->name);
    if (in_list)
        cJSON_AddItemToObject(json, "labels", cJSON_Duplicate(part_of(app, "labels"), true));
    else
        add_spec(json, app);
    add_status(json, app, in_list);
    return json;
}
