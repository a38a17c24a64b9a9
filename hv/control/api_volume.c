/* api_volume.c - handlers for disks and volumes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "api.h"
#include "audit.h"
#include "json.h"
#include "label.h"
#include "service.h"
#include "storage.h"

/* 2^53: up to there a JSON number is exact. */
#define NUMBER_MAX 9007199254740992ull

/*
 * Disks
 */

/* The disk of this id, or NULL and the problem. */
static struct disk *find_disk(const char *id, int status, struct problem *p)
{
    char *end;
    unsigned long index = strtoul(id, &end, 10);
    struct disk *disk = NULL;

    if (*id >= '0' && *id <= '9' && *end == '\0' && (end == id + 1 || *id != '0') &&
        index < SKEP_DISKS_MAX)
        disk = storage_disk((uint32_t)index);
    if (!disk)
        problem_set(p, status, "There is no disk '%.40s'.", id);
    return disk;
}

int api_disk_list(struct request *r)
{
    cJSON *items = api_new_list(r);

    storage_lock();
    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
        if (storage_disk(i))
            cJSON_AddItemToArray(items, storage_disk_to_json(storage_disk(i)));
    storage_unlock();
    return 200;
}

int api_disk_get(struct request *r)
{
    const struct disk *disk;

    storage_lock();
    disk = find_disk(r->name, 404, &r->problem);
    if (disk)
        r->json = storage_disk_to_json(disk);
    storage_unlock();
    return disk ? 200 : -1;
}

static int take_bool(const cJSON *item, bool *value, struct problem *p)
{
    if (!cJSON_IsBool(item))
        return problem_set(p, 422, "%s must be true or false.", item->string);
    *value = cJSON_IsTrue(item);
    return 0;
}

static int read_format(const cJSON *body, bool *force, struct problem *p)
{
    const cJSON *item;
    bool format = false;

    if (!cJSON_IsObject(body))
        return problem_set(p, 422, "The body must be a JSON object.");
    cJSON_ArrayForEach(item, body)
    {
        bool *to = strcmp(item->string, "format") == 0  ? &format
                   : strcmp(item->string, "force") == 0 ? force
                                                        : NULL;
        if (!to)
            return problem_set(p, 422, "'%.40s' is no known field; there are format, force.",
                               item->string);
        if (take_bool(item, to, p) != 0)
            return -1;
    }
    if (!format)
        return problem_set(p, 422,
                           "Say {\"format\": true}: the disk becomes Skep's, and all data on it is "
                           "lost.");
    return 0;
}

/* For the record: what formatting changes of it. */
static cJSON *describe_disk(const struct disk *disk)
{
    static const char *const names[] = {"id",         "state", "content",      "serial",
                                        "size_bytes", "uuid",  "formatted_at", "volumes"};
    cJSON *json = cJSON_CreateObject(), *all = storage_disk_to_json(disk);

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
        cJSON_AddItemToObject(json, names[i],
                              cJSON_DetachItemFromObjectCaseSensitive(all, names[i]));
    cJSON_Delete(all);
    return json;
}

static int format_disk_of(struct disk *disk, bool force, struct problem *p)
{
    int status;

    audit_before(describe_disk(disk));
    status = storage_format(disk, force, p);
    audit_after(describe_disk(disk));
    return status;
}

int api_disk_put(struct request *r)
{
    cJSON *body = api_read_json(r);
    bool force = false;
    struct disk *disk;
    int status = -1;

    if (!body)
        return -1;
    storage_lock();
    disk = find_disk(r->name, 404, &r->problem);
    if (disk && read_format(body, &force, &r->problem) == 0)
        status = (r->dry_run ? storage_foresee_format : format_disk_of)(disk, force, &r->problem);
    if (status > 0)
        r->json = r->dry_run ? storage_formatted_to_json(disk) : storage_disk_to_json(disk);
    storage_unlock();
    cJSON_Delete(body);
    if (status > 0 && !r->dry_run)
        service_keep();
    return status;
}

/*
 * Volumes
 */

int api_no_volume(struct request *r)
{
    return problem_set(&r->problem, 404, "There is no volume '%s'.", r->name);
}

/* The first of a disk whose name comes after this one. */
static struct volume *first_after(uint32_t index, const char *after)
{
    const struct disk *disk = storage_disk(index);
    struct volume *v = disk && disk->volumes ? disk->volumes->first : NULL;

    while (v && strcmp(v->record.name, after) <= 0)
        v = v->next;
    return v;
}

static bool is_wanted(const struct volume *v, const char *query)
{
    return access_sees(v->record.name) &&
           labels_are_wanted(query, v->record.labels, sizeof(v->record.labels));
}

/* Each disk's are sorted by name. */
static void list_volumes(cJSON *items, const char *after, uint64_t left, const char *query)
{
    struct volume *next[SKEP_DISKS_MAX];

    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
        next[i] = first_after(i, after);
    while (left) {
        uint32_t least = SKEP_DISKS_MAX;
        for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++)
            if (next[i] && (least == SKEP_DISKS_MAX ||
                            strcmp(next[i]->record.name, next[least]->record.name) < 0))
                least = i;
        if (least == SKEP_DISKS_MAX)
            break;
        if (is_wanted(next[least], query)) {
            cJSON_AddItemToArray(items, storage_volume_to_json(storage_disk(least), next[least]));
            left--;
        }
        next[least] = next[least]->next;
    }
}

int api_volume_list(struct request *r)
{
    char after[SKEP_NAME_MAX] = "";
    uint64_t limit = UINT64_MAX;

    if (api_query_page(r, after, &limit) != 0 || api_check_labels(r) != 0)
        return -1;
    api_new_list(r);
    storage_lock();
    list_volumes(cJSON_GetObjectItem(r->json, "items"), after, limit, r->http->query);
    storage_unlock();
    return 200;
}

static void answer_volume(struct request *r, const struct disk *disk, struct volume *v)
{
    r->json = storage_volume_to_json(disk, v);
    api_tag_json(r->etag, r->json);
}

static void tag_volume(const struct disk *disk, struct volume *v, char etag[ETAG_MAX])
{
    cJSON *json = storage_volume_to_json(disk, v);

    api_tag_json(etag, json);
    cJSON_Delete(json);
}

/* For the record: without what changes by itself. */
static cJSON *describe_volume(const struct disk *disk, struct volume *v)
{
    cJSON *json = storage_volume_to_json(disk, v);

    cJSON_DeleteItemFromObjectCaseSensitive(json, "status");
    return json;
}

static int check_match(struct request *r, const struct disk *disk, struct volume *v)
{
    char etag[ETAG_MAX];

    if (!api_has_match(r))
        return 0;
    if (v)
        tag_volume(disk, v, etag);
    return api_check_match(r, v ? etag : NULL);
}

int api_volume_get(struct request *r)
{
    struct disk *disk;
    struct volume *v;

    storage_lock();
    v = storage_find(r->name, &disk);
    if (v)
        answer_volume(r, disk, v);
    storage_unlock();
    return v ? 200 : api_no_volume(r);
}

static int take_number(const cJSON *item, uint64_t max, uint64_t *value, struct problem *p)
{
    if (json_integer(item, 0, max, value))
        return 0;
    return problem_set(p, 422, "%s must be an integer from 0 to %" PRIu64 ".", item->string, max);
}

static int take_limit(const cJSON *item, struct skep_volume_limits *limits, struct problem *p)
{
    uint64_t small = 0;
    int result;

    if (strcmp(item->string, "bytes_per_second") == 0)
        return take_number(item, NUMBER_MAX, &limits->bytes_second, p);
    if (strcmp(item->string, "bytes_burst") == 0)
        return take_number(item, NUMBER_MAX, &limits->bytes_burst, p);
    if (strcmp(item->string, "iops") != 0 && strcmp(item->string, "iops_burst") != 0)
        return problem_set(p, 422,
                           "limits.%.40s is no known field; there are iops, iops_burst, "
                           "bytes_per_second, bytes_burst.",
                           item->string);
    result = take_number(item, UINT32_MAX, &small, p);
    if (strcmp(item->string, "iops") == 0)
        limits->requests_second = (uint32_t)small;
    else
        limits->requests_burst = (uint32_t)small;
    return result;
}

/* What isn't named stays as it is. */
static int take_limits(const cJSON *item, struct storage_wish *wish, struct problem *p)
{
    const cJSON *limit;

    if (!cJSON_IsObject(item))
        return problem_set(p, 422, "limits must be an object.");
    cJSON_ArrayForEach(limit, item) if (take_limit(limit, &wish->limits, p) != 0) return -1;
    wish->has_limits = true;
    return 0;
}

static int take_bytes(const cJSON *item, struct storage_wish *wish, struct problem *p)
{
    if (!json_integer(item, 4096, NUMBER_MAX, &wish->bytes) || wish->bytes % 4096 != 0)
        return problem_set(p, 422, "size_bytes must be a multiple of 4096, and not 0.");
    wish->has_bytes = true;
    return 0;
}

static int take_labels(const cJSON *item, bool create, struct storage_wish *wish, struct problem *p)
{
    wish->has_labels = true;
    return (create ? labels_take : labels_patch)(item, wish->labels, p);
}

static int take_source(const cJSON *item, struct storage_wish *wish, struct problem *p)
{
    if (!cJSON_IsString(item))
        return problem_set(p, 422, "%s must be the name of a volume, a string.", item->string);
    if (wish->source)
        return problem_set(p, 422, "A volume is one of snapshot, clone and copy.");
    if (!access_sees(item->valuestring))
        return problem_set(p, 422, "There is no volume '%s' to copy.", item->valuestring);
    wish->source = item->valuestring;
    wish->snapshot = strcmp(item->string, "snapshot_of") == 0;
    wish->full = strcmp(item->string, "copy_of") == 0;
    return 0;
}

static int take_disk(const cJSON *item, struct storage_wish *wish, struct problem *p)
{
    if (!cJSON_IsString(item))
        return problem_set(p, 422, "disk must be the id of a disk, a string.");
    wish->disk = find_disk(item->valuestring, 422, p);
    return wish->disk ? 0 : -1;
}

static int take_field(const cJSON *item, bool create, struct storage_wish *wish, struct problem *p)
{
    const char *field = item->string;

    if (strcmp(field, "size_bytes") == 0)
        return take_bytes(item, wish, p);
    if (strcmp(field, "limits") == 0)
        return take_limits(item, wish, p);
    if (strcmp(field, "labels") == 0)
        return take_labels(item, create, wish, p);
    if (strcmp(field, "overcommit") == 0)
        return take_bool(item, &wish->overcommit, p);
    if (create && strcmp(field, "disk") == 0)
        return take_disk(item, wish, p);
    if (create && (strcmp(field, "snapshot_of") == 0 || strcmp(field, "clone_of") == 0 ||
                   strcmp(field, "copy_of") == 0))
        return take_source(item, wish, p);
    return problem_set(
        p, 422, "'%.40s' is no known field; there are size_bytes, limits, labels, %s.", field,
        create ? "overcommit, disk, snapshot_of, clone_of, copy_of" : "overcommit");
}

int volume_wish_read(struct storage_wish *wish, const cJSON *body, bool create, struct problem *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(body))
        return problem_set(p, 422, "The body must be a JSON object.");
    cJSON_ArrayForEach(item, body) if (take_field(item, create, wish, p) != 0) return -1;
    if (wish->snapshot && wish->has_bytes)
        return problem_set(p, 422, "A snapshot is as large as its source: leave size_bytes out.");
    return 0;
}

/* Whether what is there is what the client describes, but for what can be changed. */
static int check_same(const struct disk *disk, const struct volume *v,
                      const struct storage_wish *wish, struct problem *p)
{
    bool snapshot = v->record.kind == FORMAT_SNAPSHOT;

    if ((!wish->disk || wish->disk == disk) && !wish->full &&
        (wish->source ? strcmp(wish->source, v->record.parent) == 0 && wish->snapshot == snapshot
                      : !v->record.parent_id))
        return 0;
    return problem_set(p, 409,
                       "There is a volume '%s' of another origin: delete it, or choose another "
                       "name.",
                       v->record.name);
}

static int create_or_change(struct disk *disk, struct volume *v, struct storage_wish *wish,
                            struct problem *p)
{
    if (!v)
        return storage_create(wish, p);
    /* What isn't named has its default. */
    wish->has_limits = true;
    wish->has_labels = true;
    return check_same(disk, v, wish, p) == 0 ? storage_change(disk, v, wish, p) : -1;
}

static int put_of_app(struct storage_wish *wish, const cJSON *body, struct problem *p)
{
    struct disk *disk;
    struct volume *v = storage_find(wish->name, &disk);

    if (volume_wish_read(wish, body, true, p) != 0)
        return -1;
    if (wish->full || wish->snapshot)
        return problem_set(p, 422,
                           "An app's volume is new or a clone: make snapshots and copies by PUT "
                           "/v1/volumes/{name}.");
    return create_or_change(disk, v, wish, p);
}

int volume_put(const char *name, const cJSON *body, const uint8_t *uuid, struct problem *p)
{
    struct storage_wish wish = {.name = name, .uuid = uuid};

    return put_of_app(&wish, body, p);
}

int volume_foresee(const char *name, const cJSON *body, struct volumes_needs before[SKEP_DISKS_MAX],
                   cJSON **json, struct problem *p)
{
    struct storage_wish wish = {.name = name, .foreseen = json, .before = before};

    return put_of_app(&wish, body, p);
}

static int put(struct request *r, const cJSON *body)
{
    struct storage_wish wish = {.name = r->name, .foreseen = r->dry_run ? &r->json : NULL};
    struct disk *disk;
    struct volume *v = storage_find(r->name, &disk);

    if (volume_wish_read(&wish, body, true, &r->problem) != 0 || check_match(r, disk, v) != 0)
        return -1;
    return !v && wish.full ? api_operation_copy(r, &wish)
                           : create_or_change(disk, v, &wish, &r->problem);
}

static int patch(struct request *r, const cJSON *body)
{
    struct storage_wish wish = {.name = r->name, .foreseen = r->dry_run ? &r->json : NULL};
    struct disk *disk;
    struct volume *v = storage_find(r->name, &disk);

    if (!v)
        return api_no_volume(r);
    wish.limits = v->record.limits;
    memcpy(wish.labels, v->record.labels, sizeof(wish.labels));
    return volume_wish_read(&wish, body, false, &r->problem) == 0 && check_match(r, disk, v) == 0
               ? storage_change(disk, v, &wish, &r->problem)
               : -1;
}

/* The answer of a change that was made, or of a dry run's. */
static void answer_change(struct request *r, bool was_there, const char *former_etag)
{
    struct disk *disk;
    struct volume *v = storage_find(r->name, &disk);

    if (r->json)
        api_tag_json(r->etag, r->json);
    else if (v)
        answer_volume(r, disk, v);
    cJSON_AddStringToObject(r->json, "change",
                            !was_there                          ? "created"
                            : strcmp(former_etag, r->etag) == 0 ? "none"
                                                                : "applied");
    if (r->dry_run) {
        r->etag[0] = '\0';
    } else if (v) {
        audit_detail("%" PRIu64 " bytes", v->record.bytes);
        audit_after(describe_volume(disk, v));
    }
}

static int change(struct request *r, int (*act)(struct request *r, const cJSON *body))
{
    cJSON *body = api_read_json(r);
    char former_etag[ETAG_MAX] = "";
    struct disk *disk;
    struct volume *v;
    int status;

    if (!body)
        return -1;
    storage_lock();
    v = storage_find(r->name, &disk);
    if (v) {
        tag_volume(disk, v, former_etag);
        audit_before(describe_volume(disk, v));
    }
    status = act(r, body);
    if (status > 0 && status != 202)
        answer_change(r, v != NULL, former_etag);
    storage_unlock();
    cJSON_Delete(body);
    return status;
}

int api_volume_put(struct request *r)
{
    return change(r, put);
}

int api_volume_patch(struct request *r)
{
    return change(r, patch);
}

int api_volume_delete(struct request *r)
{
    struct disk *disk;
    struct volume *v;
    int status;

    storage_lock();
    v = storage_find(r->name, &disk);
    status = v ? check_match(r, disk, v) : api_no_volume(r);
    if (status == 0) {
        audit_before(describe_volume(disk, v));
        status = storage_delete(disk, v, &r->problem);
    }
    storage_unlock();
    return status;
}
