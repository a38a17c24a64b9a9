/*
 * restore_start.c - a restore that was committed, done by a start: to what is on the disk, before it is looked at.
 *
 * Each step can be done again, so a start that is cut off amid them is followed by one that does all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "core.h"
#include "guest.h"
#include "image.h"
#include "log.h"
#include "persist.h"
#include "restore.h"
#include "skep/abi.h"

#define HEAD_MAX 100u

/* The value, ended by a NUL, or NULL. */
static char *read_value(size_t *bytes)
{
    int64_t n = persist_get(RESTORE_VALUE, NULL, 0);
    char *text = NULL;

    if (n > 0 && n <= BACKUP_TEXT_MAX + HEAD_MAX)
        text = malloc((size_t)n + 1);
    if (text && persist_get(RESTORE_VALUE, text, (size_t)n) == n) {
        text[n] = '\0';
        *bytes = (size_t)n;
        return text;
    }
    if (n >= 0)
        log_line("restore: it can't be read");
    free(text);
    return NULL;
}

/* What is said in front of the text. */
static bool read_head(struct restore *r, bool *at_start, struct problem *p)
{
    const char *at = r->text;
    struct backup_line line;
    bool good;

    if (backup_read(&at, &line, p) < 0)
        return false;
    good = line.kind == BACKUP_RESTORE;
    if (good) {
        *at_start = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line.value, "at_start"));
        r->identity = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line.value, "identity"));
    }
    backup_line_free(&line);
    return good;
}

static int keep_image(struct restore *r, const struct backup_line *line, struct problem *p)
{
    struct backup_image image;

    (void)r;
    if (backup_read_image(line, &image, p) != 0)
        return -1;
    if (!image.has_file || image_is_kept(image.name, image.digest))
        return 0;
    return image_keep_record(image.name, image.digest, core_wall_ns(), image.labels, p);
}

/* As it is in the text, files included. */
static int keep_guest(struct restore *r, const struct backup_line *line, struct problem *p)
{
    if (restore_check_guest(r, line, p) != 0)
        return -1;
    return guest_keep_json(backup_string(line, "name"),
                           cJSON_GetObjectItemCaseSensitive(line->value, "spec"), p);
}

/* One that is deleted and in the text all the same comes back with it. */
static int delete_others(const struct restore *r, const char *prefix, const char *kind,
                         struct problem *p)
{
    char *names = persist_list(prefix), line[40 + SKEP_NAME_MAX];
    int result = 0;

    for (const char *kept = names; kept && *kept && result == 0; kept += strlen(kept) + 1) {
        snprintf(line, sizeof(line), "\n{\"%s\":{\"name\":\"%s\",", kind, kept + strlen(prefix));
        if (!strstr(r->text, line))
            result = persist_delete(kept, p);
    }
    free(names);
    return result;
}

static int apply_lines(struct restore *r, struct problem *p)
{
    if (delete_others(r, "guests/", "guest", p) != 0 || delete_others(r, "apps/", "app", p) != 0 ||
        restore_for_each(r, BACKUP_IMAGE, keep_image, p) != 0 ||
        restore_for_each(r, BACKUP_VOLUME, restore_volume, p) != 0 ||
        restore_for_each(r, BACKUP_GUEST, keep_guest, p) != 0 ||
        restore_for_each(r, BACKUP_APP, restore_keep_app, p) != 0)
        return -1;
    return restore_for_each(r, BACKUP_IDENTITY, restore_identity, p);
}

static int apply(struct restore *r, struct problem *p)
{
    int result;

    model_lock();
    result = apply_lines(r, p);
    model_unlock();
    return result;
}

/* The end has a record of its own. */
static int finish(const struct restore *r, struct problem *p)
{
    struct audit_call call = {.method = "START", .path = "/v1/backup", .caller = "skep"};
    int result;

    snprintf(call.detail, sizeof(call.detail), "%u guests restored", r->guests);
    audit_begin(&call);
    audit_expect(200);
    result = persist_delete(RESTORE_VALUE, p);
    audit_end(&call, result == 0 ? 200 : p->status);
    return result;
}

static void tell_missing(const struct restore *r)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, r->missing_volumes)
        log_line("restore: no volume '%s': %s",
                 cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name")),
                 cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "why")));
}

void restore_resume(bool first_start)
{
    struct restore r = {.committed = true};
    struct problem p = {0};
    bool at_start = false;

    r.text = read_value(&r.bytes);
    if (!r.text)
        return;
    r.missing_volumes = cJSON_CreateArray();
    r.made_volumes = cJSON_CreateArray();
    if (!read_head(&r, &at_start, &p)) {
        log_line("restore: it is left aside, since it isn't one: %s", p.detail);
    } else if (!at_start || first_start) {
        if (apply(&r, &p) != 0 || finish(&r, &p) != 0)
            log_line("restore: not finished, and tried again at the next start: %s", p.detail);
        else
            log_line("restore: %u guests restored", r.guests);
        tell_missing(&r);
    }
    restore_end(&r);
    free(r.text);
}
