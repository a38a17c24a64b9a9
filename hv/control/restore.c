/* restore.c - from a backup's text to the configuration of a machine that runs. */
#include "restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "audit.h"
#include "guest.h"
#include "identity.h"
#include "image.h"
#include "persist.h"
#include "power.h"
#include "skep_tls.h"
#include "storage.h"

int restore_for_each(struct restore *r, enum backup_kind kind, restore_action *action,
                     struct problem *p)
{
    const char *at = r->text;
    struct backup_line line;
    int result;

    while ((result = backup_read(&at, &line, p)) > 0) {
        result = line.kind == kind ? action(r, &line, p) : 0;
        backup_line_free(&line);
        if (result < 0)
            break;
    }
    return result;
}

/*
 * Checks
 */

static int check_identity(struct restore *r, const struct backup_line *line, struct problem *p)
{
    return r->identity ? identity_check_json(line->value, p) : 0;
}

static int check_image(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct backup_image image;

    (void)r;
    return backup_read_image(line, &image, p);
}

/* The caller frees the files. */
static int read_guest(const struct backup_line *line, struct spec *spec, struct files *files,
                      const char **name, struct problem *p)
{
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(line->value, "spec");
    char detail[sizeof(p->detail)];

    *files = (struct files){NULL, 0};
    *name = backup_string(line, "name");
    if (!*name || !name_valid(*name))
        return problem_set(p, 422, "The backup has a guest without a right name.");
    if (spec_from_json(spec, json, *name, p) == 0 &&
        files_take(cJSON_GetObjectItemCaseSensitive(json, "files"), 0, spec, files, p) == 0)
        return 0;
    memcpy(detail, p->detail, sizeof(detail));
    return problem_set(p, 422, "Guest '%s' of the backup can't be here: %.250s", *name, detail);
}

int restore_check_guest(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct files files;
    struct spec spec;
    const char *name;
    int result = read_guest(line, &spec, &files, &name, p);

    files_free(&files);
    r->guests++;
    return result;
}

static int read_volume(const struct backup_line *line, struct storage_wish *wish, struct problem *p)
{
    *wish = (struct storage_wish){.name = backup_string(line, "name")};
    if (!wish->name || !volume_name_valid(wish->name))
        return problem_set(p, 422, "The backup has a volume without a right name.");
    return volume_wish_read(wish, cJSON_GetObjectItemCaseSensitive(line->value, "spec"), true, p);
}

static int check_volume(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct storage_wish wish;

    (void)r;
    return read_volume(line, &wish, p);
}

int restore_check_app(struct restore *r, const struct backup_line *line, struct problem *p)
{
    (void)r;
    return app_check_record(backup_string(line, "name"),
                            cJSON_GetObjectItemCaseSensitive(line->value, "record"), p);
}

int restore_keep_app(struct restore *r, const struct backup_line *line, struct problem *p)
{
    return restore_check_app(r, line, p) == 0
               ? app_keep_record(backup_string(line, "name"),
                                 cJSON_GetObjectItemCaseSensitive(line->value, "record"), p)
               : -1;
}

static int check_first(const struct restore *r, struct problem *p)
{
    const char *at = r->text;
    struct backup_line line;
    bool good;

    if (strlen(r->text) != r->bytes)
        return problem_set(p, 422, "The backup's text has a NUL in it.");
    if (backup_read(&at, &line, p) < 0)
        return -1;
    good = line.kind == BACKUP_ABOUT;
    backup_line_free(&line);
    return good ? 0 : problem_set(p, 422, "The backup doesn't begin as one.");
}

static int note_namesake(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct backup_image image;
    const struct image *there;

    if (backup_read_image(line, &image, p) != 0)
        return -1;
    there = image_find(image.name);
    r->other_images += there && image.has_file && !image_same(there, image.digest);
    return 0;
}

/* Whether guests or images have to end first, which must be wished and possible. Holds the model's lock. */
static int check_room(struct restore *r, bool *at_start, struct problem *p)
{
    r->other_images = 0;
    if (restore_for_each(r, BACKUP_IMAGE, note_namesake, p) != 0)
        return -1;
    *at_start = guest_count() + app_count() + r->other_images > 0;
    if (r->identity && !persist_is_open())
        return problem_set(p, 409, "There is no disk to keep the backup's key and token on.");
    if (*at_start && !r->replace)
        return problem_set(p, 409,
                           "There are %u guests here, %u apps, and %u images of whose names the "
                           "backup has other files: delete them, or add ?replace=true, for which "
                           "the machine reboots, and which deletes the guests and apps that aren't "
                           "in the backup.",
                           guest_count(), app_count(), r->other_images);
    if (*at_start && !persist_is_open())
        return problem_set(p, 409,
                           "Without a disk nothing survives the reboot that replacing needs: "
                           "delete the guests, and the images that differ, first.");
    return 0;
}

/* Whose key it is stays a secret of the backup, unless it is wished here. */
static void blank_identity(struct restore *r)
{
    char *line = strstr(r->text, "\n{\"identity\":");

    if (line && !r->identity)
        memset(line + 1, ' ', strcspn(line + 1, "\n"));
}

static int check_lines(struct restore *r, struct problem *p)
{
    bool at_start;

    if (restore_for_each(r, BACKUP_IDENTITY, check_identity, p) != 0 ||
        restore_for_each(r, BACKUP_IMAGE, check_image, p) != 0 ||
        restore_for_each(r, BACKUP_VOLUME, check_volume, p) != 0 ||
        restore_for_each(r, BACKUP_GUEST, restore_check_guest, p) != 0 ||
        restore_for_each(r, BACKUP_APP, restore_check_app, p) != 0)
        return -1;
    return check_room(r, &at_start, p);
}

int restore_check(struct restore *r, struct problem *p)
{
    int result;

    if (check_first(r, p) != 0)
        return -1;
    model_lock();
    result = check_lines(r, p);
    model_unlock();
    blank_identity(r);
    return result;
}

/*
 * Images
 */

static int add_image(struct restore *r, struct image *image, struct problem *p)
{
    struct image **more = realloc(r->images, (r->image_count + 1) * sizeof(struct image *));

    if (!more) {
        image_discard(image);
        return problem_set(p, 503, "There is no memory for the restore now; try again.");
    }
    r->images = more;
    r->images[r->image_count++] = image;
    return 0;
}

int restore_take_file(struct restore *r, const struct backup_image *wanted, const uint8_t *elf,
                      struct problem *p)
{
    uint8_t digest[32];
    const struct image *there;
    struct image *image;
    bool same;

    tls_sha256(elf, wanted->bytes, digest);
    if (memcmp(digest, wanted->digest, sizeof(digest)) != 0)
        return problem_set(p, 422, "The file of image '%s' isn't the one that the backup names.",
                           wanted->name);
    model_lock();
    there = image_find(wanted->name);
    same = there && image_same(there, digest) && (there->kept || !persist_is_open());
    model_unlock();
    if (same)
        return 0;
    image = image_build(wanted->name, elf, wanted->bytes, p);
    if (!image)
        return -1;
    memcpy(image->labels, wanted->labels, sizeof(image->labels));
    if (r->dry_run) {
        image_discard(image);
        return 0;
    }
    if (add_image(r, image, p) != 0)
        return -1;
    return image_keep_file(wanted->name, digest, elf, wanted->bytes, p);
}

/* One that is there of the same file, but was not on the disk, stays. */
static int publish(struct restore *r, struct problem *p)
{
    for (; r->published < r->image_count; r->published++) {
        struct image *image = r->images[r->published], *there = image_find(image->name);
        bool same = there && image_same(there, image->digest);
        if ((same ? image_keep(there, p) : image_publish(image, p)) != 0)
            return -1;
        if (same) {
            image_discard(image);
            r->images[r->published] = NULL;
        }
    }
    return 0;
}

static void unpublish(struct restore *r)
{
    struct problem ignored;

    for (unsigned i = 0; i < r->published; i++)
        if (r->images[i])
            image_remove(r->images[i], &ignored);
}

static int note_missing_image(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct backup_image image;
    const struct image *there;

    if (backup_read_image(line, &image, p) != 0)
        return -1;
    there = image_find(image.name);
    if (!image.has_file && (!there || !image_same(there, image.digest))) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", image.name);
        cJSON_AddStringToObject(item, "digest", backup_string(line, "digest"));
        cJSON_AddItemToArray(r->missing_images, item);
    }
    return 0;
}

/*
 * Volumes and the identity
 */

static void note_missing_volume(struct restore *r, const char *name, const char *why)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddStringToObject(item, "why", why);
    cJSON_AddItemToArray(r->missing_volumes, item);
}

static struct disk *first_disk(void)
{
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
        if (storage_disk(i) && storage_disk(i)->state == DISK_ONLINE)
            return storage_disk(i);
    return NULL;
}

/* Its data isn't in the backup: one that is there stays as it is, another one is empty. */
int restore_volume(struct restore *r, const struct backup_line *line, struct problem *p)
{
    const char *kind = backup_string(line, "kind");
    struct problem why = {0};
    struct storage_wish wish;
    cJSON *foreseen = NULL;
    struct disk *disk;

    if (read_volume(line, &wish, p) != 0)
        return -1;
    storage_lock();
    wish.disk = first_disk();
    wish.foreseen = r->dry_run ? &foreseen : NULL;
    if (storage_find(wish.name, &disk))
        why.status = 0;
    else if (kind && strcmp(kind, "snapshot") == 0)
        problem_set(&why, 409, "It is a snapshot, and the backup doesn't have its data.");
    else if (storage_create(&wish, &why) > 0)
        cJSON_AddItemToArray(r->made_volumes, cJSON_CreateString(wish.name));
    storage_unlock();
    cJSON_Delete(foreseen);
    if (why.status)
        note_missing_volume(r, wish.name, why.detail);
    return 0;
}

int restore_identity(struct restore *r, const struct backup_line *line, struct problem *p)
{
    return r->identity ? identity_restore(line->value, p) : 0;
}

/*
 * The commit
 */

static int put_text(const struct restore *r, bool at_start, struct problem *p)
{
    char *value = malloc(r->bytes + 100);
    int head, result;

    if (!value)
        return problem_set(p, 503, "There is no memory for the restore now; try again.");
    head = snprintf(value, 100, "{\"restore\":{\"at_start\":%s,\"identity\":%s}}\n",
                    at_start ? "true" : "false", r->identity ? "true" : "false");
    memcpy(value + head, r->text, r->bytes);
    result = persist_put(RESTORE_VALUE, value, (size_t)head + r->bytes, p);
    free(value);
    return result;
}

static int take_back(struct problem *p)
{
    struct problem failed;

    if (persist_delete(RESTORE_VALUE, &failed) != 0)
        return problem_set(p, 507,
                           "The disk failed amid the restore: the next start finishes it, or finds "
                           "nothing of it. Look at the console and the disk, then reboot.");
    return -1;
}

static int restore_guest(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct files files;
    struct spec spec;
    const char *name;
    int result = read_guest(line, &spec, &files, &name, p);

    (void)r;
    if (result == 0)
        result = guest_restore(name, &spec, &files, p);
    files_free(&files);
    return result;
}

/* Volumes don't fail: what can't be had is told. */
static int apply_now(struct restore *r, struct problem *p)
{
    if (put_text(r, false, p) != 0)
        return -1;
    if (publish(r, p) != 0 || restore_for_each(r, BACKUP_GUEST, restore_guest, p) != 0 ||
        restore_for_each(r, BACKUP_APP, restore_keep_app, p) != 0 ||
        restore_for_each(r, BACKUP_IDENTITY, restore_identity, p) != 0) {
        guest_restore_none();
        app_restore_none();
        unpublish(r);
        return take_back(p);
    }
    r->committed = true;
    app_load_all();
    restore_for_each(r, BACKUP_VOLUME, restore_volume, p);
    audit_expect(200);
    return persist_delete(RESTORE_VALUE, p) == 0 ? 200 : take_back(p);
}

static int apply_at_start(struct restore *r, struct problem *p)
{
    if (put_text(r, true, p) != 0)
        return -1;
    if (power_begin(true, POWER_GRACE_NONE, p) != 0)
        return take_back(p);
    r->committed = true;
    return 202;
}

static cJSON *to_json(const struct restore *r, bool at_start)
{
    cJSON *json = cJSON_CreateObject(), *missing;

    cJSON_AddStringToObject(json, "restored", at_start ? "at the next start" : "now");
    cJSON_AddNumberToObject(json, "guests", r->guests);
    cJSON_AddStringToObject(json, "identity", r->identity ? "at the next start" : "unchanged");
    cJSON_AddItemToObject(json, "made_volumes", cJSON_Duplicate(r->made_volumes, true));
    missing = cJSON_AddObjectToObject(json, "missing");
    cJSON_AddItemToObject(missing, "images", cJSON_Duplicate(r->missing_images, true));
    cJSON_AddItemToObject(missing, "volumes", cJSON_Duplicate(r->missing_volumes, true));
    cJSON_AddStringToObject(json, "power", at_start ? "rebooting" : power_name());
    return json;
}

/* 200 or 202; what is only foreseen has no other success than 200. */
static int apply(struct restore *r, bool at_start, struct problem *p)
{
    if (!r->dry_run)
        return at_start ? apply_at_start(r, p) : apply_now(r, p);
    return at_start || restore_for_each(r, BACKUP_VOLUME, restore_volume, p) == 0 ? 200 : -1;
}

/* Holds the model's lock. */
static int commit(struct restore *r, cJSON **json, struct problem *p)
{
    bool at_start;
    int status;

    if (check_room(r, &at_start, p) != 0)
        return -1;
    status = apply(r, at_start, p);
    if (status < 0 || restore_for_each(r, BACKUP_IMAGE, note_missing_image, p) != 0)
        return -1;
    *json = to_json(r, at_start);
    return status;
}

int restore_commit(struct restore *r, cJSON **json, struct problem *p)
{
    int status;

    r->missing_images = cJSON_CreateArray();
    r->missing_volumes = cJSON_CreateArray();
    r->made_volumes = cJSON_CreateArray();
    audit_detail("%u guests, %u files of images%s", r->guests, r->image_count,
                 r->identity ? ", and the identity" : "");
    model_lock();
    status = commit(r, json, p);
    model_unlock();
    return status;
}

void restore_end(struct restore *r)
{
    for (unsigned i = r->published; i < r->image_count; i++) {
        if (!r->committed && !image_is_kept(r->images[i]->name, r->images[i]->digest))
            image_unkeep_file(r->images[i]);
        image_discard(r->images[i]);
    }
    free(r->images);
    cJSON_Delete(r->missing_images);
    cJSON_Delete(r->missing_volumes);
    cJSON_Delete(r->made_volumes);
}
