/* backup.c - the configuration as a text, and its lines. */
#include "backup.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "app.h"
#include "core.h"
#include "elf_image.h"
#include "files.h"
#include "guest.h"
#include "hex.h"
#include "host.h"
#include "identity.h"
#include "image.h"
#include "json.h"
#include "label.h"
#include "storage.h"

static const char *const names[] = {
    [BACKUP_ABOUT] = "backup",    [BACKUP_IDENTITY] = "identity", [BACKUP_IMAGE] = "image",
    [BACKUP_VOLUME] = "volume",   [BACKUP_GUEST] = "guest",       [BACKUP_APP] = "app",
    [BACKUP_RESTORE] = "restore",
};
#define KINDS (sizeof(names) / sizeof(*names))

/*
 * Making one
 */

struct text {
    char *data;
    size_t bytes, room;
    bool too_large, no_memory;
};

static bool make_room(struct text *t, size_t bytes)
{
    size_t room = t->room ? t->room : 16384;
    char *data;

    if (t->bytes + bytes > BACKUP_TEXT_MAX) {
        t->too_large = true;
        return false;
    }
    while (t->bytes + bytes > room)
        room *= 2;
    data = room == t->room ? t->data : realloc(t->data, room);
    if (!data) {
        t->no_memory = true;
        return false;
    }
    t->data = data;
    t->room = room;
    return true;
}

/* Takes the value. */
static void add(struct text *t, enum backup_kind kind, cJSON *value)
{
    cJSON *json = cJSON_CreateObject();
    char *line;
    size_t bytes;

    cJSON_AddItemToObject(json, names[kind], value);
    line = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!line) {
        t->no_memory = true;
        return;
    }
    bytes = strlen(line);
    if (make_room(t, bytes + 1)) {
        memcpy(t->data + t->bytes, line, bytes);
        t->data[t->bytes + bytes] = '\n';
        t->bytes += bytes + 1;
    }
    free(line);
}

static cJSON *about(bool files)
{
    cJSON *json = cJSON_CreateObject();

    host_name_to_json(json);
    json_add_time(json, "made_at", core_wall_ns());
    cJSON_AddBoolToObject(json, "files", files);
    return json;
}

static void add_images(struct text *t, bool files)
{
    for (const struct image *i = image_first(); i; i = i->next) {
        cJSON *json = image_to_json(i);
        cJSON_AddBoolToObject(json, "file", files && i->kept);
        add(t, BACKUP_IMAGE, json);
    }
}

/* What a client would create it by, and its origin, which is lost. */
static cJSON *describe_volume(const struct disk *disk, struct volume *v)
{
    cJSON *all = storage_volume_to_json(disk, v), *json = cJSON_CreateObject(), *spec;

    cJSON_AddItemToObject(json, "name", cJSON_DetachItemFromObjectCaseSensitive(all, "name"));
    cJSON_AddItemToObject(json, "kind", cJSON_DetachItemFromObjectCaseSensitive(all, "kind"));
    cJSON_AddItemToObject(json, "copy_of", cJSON_DetachItemFromObjectCaseSensitive(all, "copy_of"));
    spec = cJSON_AddObjectToObject(json, "spec");
    cJSON_AddItemToObject(spec, "size_bytes",
                          cJSON_DetachItemFromObjectCaseSensitive(all, "size_bytes"));
    cJSON_AddItemToObject(spec, "limits", cJSON_DetachItemFromObjectCaseSensitive(all, "limits"));
    cJSON_AddItemToObject(spec, "labels", cJSON_DetachItemFromObjectCaseSensitive(all, "labels"));
    cJSON_Delete(all);
    return json;
}

static void add_volumes(struct text *t)
{
    storage_lock();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        const struct disk *disk = storage_disk(i);
        struct volume *v = disk && disk->volumes ? disk->volumes->first : NULL;
        for (; v; v = v->next)
            if (!(v->record.flags & FORMAT_UNFINISHED))
                add(t, BACKUP_VOLUME, describe_volume(disk, v));
    }
    storage_unlock();
}

static void add_guests(struct text *t)
{
    for (const struct guest *g = guest_first(); g && !t->too_large; g = guest_after(g->name)) {
        cJSON *json;
        if (g->deleting)
            continue;
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "name", g->name);
        cJSON_AddItemToObject(json, "spec", guest_spec_to_json(g->spec, g->files, FILES_WHOLE));
        add(t, BACKUP_GUEST, json);
    }
}

static void add_apps(struct text *t)
{
    for (const struct app *app = app_after(""); app; app = app->next) {
        cJSON *json;
        if (app->deleting)
            continue;
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "name", app->name);
        cJSON_AddItemToObject(json, "record", cJSON_Duplicate(app->record, true));
        add(t, BACKUP_APP, json);
    }
}

char *backup_make(bool files, size_t *bytes, struct problem *p)
{
    struct text t = {NULL, 0, 0, false, false};

    model_lock();
    add(&t, BACKUP_ABOUT, about(files));
    add(&t, BACKUP_IDENTITY, identity_to_json());
    add_images(&t, files);
    add_volumes(&t);
    add_guests(&t);
    add_apps(&t);
    model_unlock();
    *bytes = t.bytes;
    if (!t.too_large && !t.no_memory)
        return t.data;
    free(t.data);
    if (t.too_large)
        problem_set(p, 409, "The configuration has more than %u bytes, the most of a backup.",
                    BACKUP_TEXT_MAX);
    else
        problem_set(p, 503, "There is no memory for the backup now; try again.");
    return NULL;
}

/*
 * Reading one
 */

static int take_line(struct backup_line *line, cJSON *json, struct problem *p)
{
    line->json = json;
    line->value = cJSON_IsObject(json) ? json->child : NULL;
    for (unsigned kind = BACKUP_ABOUT; line->value && kind < KINDS; kind++)
        if (strcmp(line->value->string, names[kind]) == 0)
            line->kind = (enum backup_kind)kind;
    if (line->value && line->kind != BACKUP_END && cJSON_IsObject(line->value) &&
        !line->value->next)
        return 1;
    backup_line_free(line);
    return problem_set(p, 422,
                       "The backup has a line that isn't known here: it is of a later "
                       "version of Skep.");
}

int backup_read(const char **at, struct backup_line *line, struct problem *p)
{
    size_t bytes;
    cJSON *json;

    *line = (struct backup_line){.kind = BACKUP_END};
    *at += strspn(*at, " \n");
    if (**at == '\0')
        return 0;
    bytes = strcspn(*at, "\n");
    if (bytes > BACKUP_LINE_MAX)
        return problem_set(p, 422, "The backup has a line of more than %u bytes.", BACKUP_LINE_MAX);
    json = json_parse(*at, bytes, p);
    *at += bytes;
    return json ? take_line(line, json, p) : -1;
}

void backup_line_free(struct backup_line *line)
{
    cJSON_Delete(line->json);
    *line = (struct backup_line){.kind = BACKUP_END};
}

const char *backup_string(const struct backup_line *line, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line->value, name));
}

int backup_read_image(const struct backup_line *line, struct backup_image *image, struct problem *p)
{
    static const char prefix[] = "sha256:";
    const char *digest = backup_string(line, "digest");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(line->value, "size");

    image->name = backup_string(line, "name");
    image->has_file = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line->value, "file"));
    if (image->name && name_valid(image->name) && digest &&
        strncmp(digest, prefix, strlen(prefix)) == 0 &&
        hex_parse(digest + strlen(prefix), image->digest, sizeof(image->digest)) && size &&
        json_integer(size, 1, ELF_FILE_MAX, &image->bytes))
        return labels_take(cJSON_GetObjectItemCaseSensitive(line->value, "labels"), image->labels,
                           p);
    return problem_set(p, 422, "The backup has an image without a right name, digest or size.");
}
