/* app.c - the table of apps, and what is kept of them. */
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "json.h"
#include "log.h"
#include "persist.h"
#include "skep/abi.h"

#define PREFIX     "apps/"
#define KEPT_BYTES (sizeof(PREFIX) + SKEP_NAME_MAX)
#define TEXT_MAX   (512u << 10) /* of a value: a document, each byte of which may take six */

static struct app *apps;

struct app *app_find(const char *name)
{
    struct app *app = apps;

    while (app && strcmp(app->name, name) != 0)
        app = app->next;
    return app;
}

struct app *app_after(const char *name)
{
    struct app *app = apps;

    while (app && strcmp(app->name, name) <= 0)
        app = app->next;
    return app;
}

static bool sees_all_of(const cJSON *json, const char *part)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, part))
    {
        if (!access_sees(item->string))
            return false;
    }
    return true;
}

bool app_is_seen(const struct app *app)
{
    return access_sees(app->name) && sees_all_of(app->record, "guests") &&
           sees_all_of(app->record, "volumes") && sees_all_of(app->removing, "guests") &&
           sees_all_of(app->removing, "volumes");
}

bool app_has_label(const struct app *app, const char *label)
{
    size_t bytes = strcspn(label, "=");
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(app->record, "labels"))
    {
        if (strlen(item->string) == bytes && strncmp(item->string, label, bytes) == 0)
            return strcmp(item->valuestring, label + bytes + 1) == 0;
    }
    return false;
}

unsigned app_count(void)
{
    unsigned count = 0;

    for (const struct app *app = apps; app; app = app->next)
        count++;
    return count;
}

static struct app *new_app(struct problem *p)
{
    struct app *app;

    if (app_count() >= APPS_MAX) {
        problem_set(p, 409, "There are %u apps, and no room for more: delete one first.", APPS_MAX);
        return NULL;
    }
    app = calloc(1, sizeof(*app));
    if (!app)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    return app;
}

struct app *app_add(const char *name, cJSON *record, struct problem *p)
{
    struct app *app = new_app(p), **at = &apps;

    if (!app)
        return NULL;
    snprintf(app->name, sizeof(app->name), "%s", name);
    app->record = record;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    app->next = *at;
    *at = app;
    return app;
}

void app_forget(struct app *app)
{
    struct app **at = &apps;

    while (*at != app)
        at = &(*at)->next;
    *at = app->next;
    cJSON_Delete(app->record);
    cJSON_Delete(app->applying);
    cJSON_Delete(app->removing);
    free(app);
}

void app_forget_all(void)
{
    while (apps)
        app_forget(apps);
}

static bool names(const cJSON *json, const char *part, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, part), name);
}

const struct app *app_owner(const char *part, const char *name)
{
    const struct app *app = apps;

    while (app && !names(app->record, part, name) && !names(app->removing, part, name))
        app = app->next;
    return app;
}

struct guest *app_find_guest(const struct app *app, const char *name)
{
    bool is_its = cJSON_IsTrue(app_part(app_part(app->record, "guests"), name)) ||
                  names(app->removing, "guests", name);

    return is_its ? guest_find(name) : NULL;
}

/* Whether the record has changed. */
static bool lose(struct app *app, const char *name)
{
    cJSON *is_its = app_part(app_part(app->record, "guests"), name);

    if (!cJSON_IsTrue(is_its) || names(app->applying, "guests", name))
        return false;
    cJSON_SetBoolValue(is_its, false);
    return true;
}

static void keep_or_log(const struct app *app)
{
    struct problem p;

    if (app_keep(app, &p) != 0)
        log_line("app '%s' is not on the disk as it is: %s", app->name, p.detail);
}

void app_lose_guest(const char *name)
{
    for (struct app *app = apps; app; app = app->next)
        if (lose(app, name))
            keep_or_log(app);
}

bool app_awaits_guest(const char *name)
{
    const struct app *app = apps;

    while (app && !names(app->applying, "guests", name) && !names(app->removing, "guests", name))
        app = app->next;
    return app != NULL;
}

bool app_has_volume(const struct app *app, const struct volume *v)
{
    const char *name = v->record.name;
    const cJSON *known = app_part(app_part(app->applying, "volumes"), name);
    char uuid[STORAGE_UUID_TEXT];

    if (!known)
        known = app_part(app_part(app->removing, "volumes"), name);
    if (!cJSON_IsString(known))
        return names(app->record, "volumes", name);
    storage_uuid_text(v->record.uuid, uuid);
    return strcmp(known->valuestring, uuid) == 0;
}

/*
 * On the disk
 */

static const struct {
    const char *name;
    size_t offset; /* in struct access_quotas */
} quota_fields[] = {
    {"guests", offsetof(struct access_quotas, guests)},
    {"memory_bytes", offsetof(struct access_quotas, memory_bytes)},
    {"vcpus", offsetof(struct access_quotas, vcpus)},
    {"volume_bytes", offsetof(struct access_quotas, volume_bytes)},
};
#define QUOTA_FIELDS (sizeof(quota_fields) / sizeof(*quota_fields))

static uint64_t *quota_of(struct principal *by, unsigned field)
{
    return (uint64_t *)((char *)&by->quotas + quota_fields[field].offset);
}

/* Of whom a scope holds for; nothing of others. */
static void add_by(cJSON *value, struct principal by)
{
    cJSON *json;

    if (!*by.prefix)
        return;
    json = cJSON_AddObjectToObject(value, "by");
    cJSON_AddStringToObject(json, "prefix", by.prefix);
    for (unsigned i = 0; i < QUOTA_FIELDS; i++)
        if (*quota_of(&by, i) != ACCESS_NO_QUOTA)
            json_add_item(json, quota_fields[i].name, json_create_integer(*quota_of(&by, i)));
}

static void take_by(const cJSON *json, struct principal *by)
{
    const char *prefix = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "prefix"));

    snprintf(by->prefix, sizeof(by->prefix), "%s", prefix ? prefix : "");
    for (unsigned i = 0; i < QUOTA_FIELDS; i++)
        if (!json_integer(cJSON_GetObjectItemCaseSensitive(json, quota_fields[i].name), 0,
                          ACCESS_NO_QUOTA, quota_of(by, i)))
            *quota_of(by, i) = ACCESS_NO_QUOTA;
}

static void kept_name(const char *name, char text[KEPT_BYTES])
{
    snprintf(text, KEPT_BYTES, PREFIX "%s", name);
}

static char *format_value(const struct app *app)
{
    cJSON *value = cJSON_CreateObject();
    char *text;

    cJSON_AddItemReferenceToObject(value, "record", app->record);
    if (app->applying)
        cJSON_AddItemReferenceToObject(value, "applying", app->applying);
    if (app->removing)
        cJSON_AddItemReferenceToObject(value, "removing", app->removing);
    cJSON_AddBoolToObject(value, "deleting", app->deleting);
    if (app_is_busy(app))
        add_by(value, app->by);
    text = cJSON_PrintUnformatted(value);
    cJSON_Delete(value);
    return text;
}

int app_keep(const struct app *app, struct problem *p)
{
    char kept[KEPT_BYTES], *text = format_value(app);
    int result;

    if (!text)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    kept_name(app->name, kept);
    result = persist_put(kept, text, strlen(text), p);
    free(text);
    return result;
}

int app_unkeep(const struct app *app, struct problem *p)
{
    char kept[KEPT_BYTES];

    kept_name(app->name, kept);
    return persist_delete(kept, p);
}

void app_keep_all(void)
{
    for (const struct app *app = apps; app; app = app->next)
        keep_or_log(app);
}

static bool is_object(const cJSON *json, const char *name)
{
    return cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(json, name));
}

static bool is_record(const cJSON *json)
{
    const cJSON *label;

    cJSON_ArrayForEach(label, cJSON_GetObjectItemCaseSensitive(json, "labels"))
    {
        if (!cJSON_IsString(label))
            return false;
    }
    return is_object(json, "labels") && is_object(json, "guests") && is_object(json, "volumes");
}

static cJSON *read_value(const char *kept)
{
    struct problem ignored;
    char *text = malloc(TEXT_MAX);
    int64_t bytes = text ? persist_get(kept, text, TEXT_MAX) : -SKEP_ENOMEM;
    cJSON *value = NULL;

    if (bytes >= 0 && bytes <= TEXT_MAX)
        value = json_parse(text, (size_t)bytes, &ignored);
    free(text);
    if (is_record(cJSON_GetObjectItemCaseSensitive(value, "record")))
        return value;
    cJSON_Delete(value);
    return NULL;
}

/* Those whose deletion is all that the former start came to. */
static void lose_missing(struct app *app)
{
    const cJSON *item;
    bool lost = false;

    cJSON_ArrayForEach(item, app_part(app->record, "guests"))
    {
        const struct guest *g = guest_find(item->string);
        if (!g || g->deleting)
            lost |= lose(app, item->string);
    }
    if (lost)
        keep_or_log(app);
}

static void load(const char *kept)
{
    const char *name = kept + strlen(PREFIX);
    cJSON *value = name_valid(name) ? read_value(kept) : NULL;
    struct problem ignored;
    struct app *app = NULL;

    if (value)
        app = app_add(name, cJSON_DetachItemFromObjectCaseSensitive(value, "record"), &ignored);
    if (app) {
        app->applying = cJSON_DetachItemFromObjectCaseSensitive(value, "applying");
        app->removing = cJSON_DetachItemFromObjectCaseSensitive(value, "removing");
        app->deleting = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(value, "deleting"));
        take_by(cJSON_GetObjectItemCaseSensitive(value, "by"), &app->by);
        app->due_ns = app_is_busy(app);
        lose_missing(app);
    } else {
        log_line("app '%s' can't be read, and is left aside", name);
    }
    cJSON_Delete(value);
}

void app_load_all(void)
{
    char *all = persist_list(PREFIX);

    for (const char *kept = all; kept && *kept; kept += strlen(kept) + 1)
        load(kept);
    free(all);
}

/*
 * Backups
 */

int app_check_record(const char *name, const cJSON *record, struct problem *p)
{
    if (name && name_valid(name) && is_record(record))
        return 0;
    return problem_set(p, 422, "The backup has an app without a right name or record.");
}

int app_keep_record(const char *name, const cJSON *record, struct problem *p)
{
    struct app app = {.record = cJSON_Duplicate(record, true)};
    int result;

    snprintf(app.name, sizeof(app.name), "%s", name);
    result = app_keep(&app, p);
    cJSON_Delete(app.record);
    return result;
}

void app_restore_none(void)
{
    char *all = persist_list(PREFIX);
    struct problem ignored;

    for (const char *kept = all; kept && *kept; kept += strlen(kept) + 1)
        persist_delete(kept, &ignored);
    free(all);
    app_forget_all();
}
