/* storage_json.c - disks and volumes as clients see them. */
#include <stdio.h>

#include "access.h"
#include "hex.h"
#include "json.h"
#include "label.h"
#include "storage.h"
#include "storage/probe.h"

void storage_uuid_text(const uint8_t uuid[16], char text[STORAGE_UUID_TEXT])
{
    unsigned at = 0;

    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        at += (unsigned)snprintf(text + at, 3, "%02x", uuid[i]);
    }
}

bool storage_uuid_read(const char *text, uint8_t uuid[16])
{
    char digits[33];
    unsigned count = 0;

    for (; *text && count < sizeof(digits) - 1; text++)
        if (*text != '-')
            digits[count++] = *text;
    digits[count] = '\0';
    return *text == '\0' && hex_parse(digits, uuid, 16);
}

static void add_uuid(cJSON *json, const uint8_t uuid[16])
{
    char text[STORAGE_UUID_TEXT];

    storage_uuid_text(uuid, text);
    cJSON_AddStringToObject(json, "uuid", text);
}

const char *storage_state_text(enum disk_state state)
{
    static const char *const names[] = {[DISK_ABSENT] = "absent",
                                        [DISK_UNFORMATTED] = "unformatted",
                                        [DISK_ONLINE] = "online",
                                        [DISK_DAMAGED] = "damaged",
                                        [DISK_FAILED] = "failed"};
    return names[state];
}

void storage_usage(const struct volumes *vs, uint64_t *capacity_bytes, uint64_t *used_bytes)
{
    uint64_t chunk = vs->super.chunk_bytes;

    *capacity_bytes = vs->super.chunk_count * chunk;
    *used_bytes = (vs->super.chunk_count - vs->chunks.free_count - vs->chunks.taken_count) * chunk;
}

static void add_usage(cJSON *json, const struct format_super *super, unsigned volumes,
                      uint64_t promised, uint64_t used_bytes, uint64_t taken)
{
    uint64_t chunk = super->chunk_bytes;

    json_add_time(json, "formatted_at", super->created_ns);
    cJSON_AddNumberToObject(json, "volumes", volumes);
    json_add_integer(json, "chunk_bytes", chunk);
    json_add_integer(json, "capacity_bytes", super->chunk_count * chunk);
    json_add_integer(json, "promised_bytes", promised * chunk);
    json_add_integer(json, "used_bytes", used_bytes);
    json_add_integer(json, "pooled_bytes", taken * chunk);
}

static void add_volumes(cJSON *json, const struct volumes *vs)
{
    uint64_t capacity, used;
    unsigned count = 0;
    cJSON *damage;

    for (const struct volume *v = vs->first; v; v = v->next)
        count++;
    storage_usage(vs, &capacity, &used);
    add_uuid(json, vs->super.uuid);
    add_usage(json, &vs->super, count, volumes_promised(vs), used, vs->chunks.taken_count);
    damage = cJSON_AddArrayToObject(json, "damage");
    for (uint32_t i = 0; i < vs->damage_count && i < VOLUMES_DAMAGE_MAX; i++)
        if (!*access_prefix()) /* they name volumes */
            cJSON_AddItemToArray(damage, cJSON_CreateString(vs->damage[i]));
}

static void add_device(cJSON *json, uint32_t index)
{
    struct skep_disk_info info;

    if (core_disk_info(index, &info) != 0)
        return;
    info.serial[sizeof(info.serial) - 1] = '\0';
    json_clean_text(info.serial);
    cJSON_AddStringToObject(json, "serial", info.serial);
    json_add_integer(json, "size_bytes", info.bytes);
    cJSON_AddNumberToObject(json, "block_bytes", info.block_bytes);
    cJSON_AddBoolToObject(json, "read_only", info.flags & SKEP_DISK_READ_ONLY);
    cJSON_AddNumberToObject(json, "silent_seconds", info.silent_s);
    json_add_integer(json, "reads", info.reads);
    json_add_integer(json, "writes", info.writes);
    json_add_integer(json, "flushes", info.flushes);
    json_add_integer(json, "errors", info.errors);
    json_add_integer(json, "read_bytes", info.read_bytes);
    json_add_integer(json, "written_bytes", info.written_bytes);
}

/* What is known of every disk. */
static cJSON *disk_to_json(uint32_t index, enum disk_state state, int content)
{
    cJSON *json = cJSON_CreateObject();
    char id[12];

    snprintf(id, sizeof(id), "%u", (unsigned)index);
    cJSON_AddStringToObject(json, "id", id);
    cJSON_AddStringToObject(json, "state", storage_state_text(state));
    if (content >= 0)
        cJSON_AddStringToObject(json, "content", probe_name((enum probe_kind)content));
    else
        cJSON_AddNullToObject(json, "content");
    add_device(json, index);
    return json;
}

cJSON *storage_disk_to_json(const struct disk *disk)
{
    cJSON *json = disk_to_json(storage_disk_index(disk), disk->state, disk->content);

    if (disk->volumes)
        add_volumes(json, disk->volumes);
    return json;
}

cJSON *storage_formatted_to_json(const struct disk *disk)
{
    cJSON *json = disk_to_json(storage_disk_index(disk), DISK_ONLINE, PROBE_SKEP), *lost;
    const struct volume *v = disk->volumes ? disk->volumes->first : NULL;
    struct format_super super = {.chunk_count = 0};

    format_plan(&super, disk->dev->bytes);
    cJSON_AddNullToObject(json, "uuid");
    add_usage(json, &super, 0, 0, 0, 0);
    cJSON_AddArrayToObject(json, "damage");
    lost = cJSON_AddArrayToObject(json, "lost_volumes");
    for (; v; v = v->next)
        cJSON_AddItemToArray(lost, cJSON_CreateString(v->record.name));
    return json;
}

static void add_limits(cJSON *json, const struct skep_volume_limits *l)
{
    json_add_integer(json, "iops", l->requests_second);
    json_add_integer(json, "iops_burst", l->requests_burst);
    json_add_integer(json, "bytes_per_second", l->bytes_second);
    json_add_integer(json, "bytes_burst", l->bytes_burst);
}

const char *storage_look(const struct disk *disk, const struct volume *v,
                         struct skep_volume_status *s, uint64_t *allocated_bytes)
{
    const struct open_volume *o = storage_find_open(disk, v);
    bool open = o && core_volume_read(o->handle, SKEP_VOLUME_STATUS, (uintptr_t)s, 0, 0) == 0;

    if (!open)
        *s = (struct skep_volume_status){.mapped = v->mapped};
    *allocated_bytes = s->mapped * (uint64_t)disk->volumes->super.chunk_bytes;
    return disk->state == DISK_FAILED || v->damaged || (o && o->offline) ? "offline"
           : v->record.flags & FORMAT_UNFINISHED                         ? "copying"
           : disk->state == DISK_DAMAGED                                 ? "read-only"
           : s->full                                                     ? "full"
                                                                         : "online";
}

static void add_status(cJSON *json, const struct disk *disk, const struct volume *v)
{
    struct skep_volume_status s;
    uint64_t allocated;

    cJSON_AddStringToObject(json, "state", storage_look(disk, v, &s, &allocated));
    json_add_integer(json, "allocated_bytes", allocated);
    cJSON_AddNumberToObject(json, "guests", s.users);
    json_add_integer(json, "reads", s.reads);
    json_add_integer(json, "writes", s.writes);
    json_add_integer(json, "flushes", s.flushes);
    json_add_integer(json, "discards", s.discards);
    json_add_integer(json, "errors", s.errors);
    json_add_integer(json, "read_bytes", s.read_bytes);
    json_add_integer(json, "written_bytes", s.written_bytes);
}

cJSON *storage_volume_to_json(const struct disk *disk, struct volume *v)
{
    cJSON *json = cJSON_CreateObject();
    char id[12];

    snprintf(id, sizeof(id), "%u", (unsigned)storage_disk_index(disk));
    cJSON_AddStringToObject(json, "name", v->record.name);
    add_uuid(json, v->record.uuid);
    cJSON_AddStringToObject(json, "kind",
                            v->record.kind == FORMAT_SNAPSHOT ? "snapshot" : "volume");
    cJSON_AddStringToObject(json, "disk", id);
    json_add_integer(json, "size_bytes", v->record.bytes);
    if (v->record.parent_id && access_sees(v->record.parent))
        cJSON_AddStringToObject(json, "copy_of", v->record.parent);
    else
        cJSON_AddNullToObject(json, "copy_of");
    json_add_time(json, "created_at", v->record.created_ns);
    add_limits(cJSON_AddObjectToObject(json, "limits"), &v->record.limits);
    labels_to_json(cJSON_AddObjectToObject(json, "labels"), v->record.labels,
                   sizeof(v->record.labels));
    add_status(cJSON_AddObjectToObject(json, "status"), disk, v);
    return json;
}

cJSON *storage_new_to_json(const struct disk *disk, struct volume *v)
{
    cJSON *json = storage_volume_to_json(disk, v);

    cJSON_ReplaceItemInObjectCaseSensitive(json, "uuid", cJSON_CreateNull());
    cJSON_ReplaceItemInObjectCaseSensitive(json, "created_at", cJSON_CreateNull());
    return json;
}

cJSON *storage_changed_to_json(const struct disk *disk, struct volume *v,
                               const struct storage_wish *wish)
{
    cJSON *json = storage_volume_to_json(disk, v), *limits = cJSON_CreateObject(),
          *labels = cJSON_CreateObject();

    if (wish->has_bytes)
        cJSON_ReplaceItemInObjectCaseSensitive(json, "size_bytes",
                                               cJSON_CreateNumber((double)wish->bytes));
    add_limits(limits, wish->has_limits ? &wish->limits : &v->record.limits);
    cJSON_ReplaceItemInObjectCaseSensitive(json, "limits", limits);
    labels_to_json(labels, wish->has_labels ? wish->labels : v->record.labels,
                   sizeof(v->record.labels));
    cJSON_ReplaceItemInObjectCaseSensitive(json, "labels", labels);
    return json;
}
