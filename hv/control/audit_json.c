/* audit_json.c - the audit trail as clients see it, and whether its digests are right. */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "audit_log.h"
#include "hex.h"
#include "json.h"

static const char *const names[AUDIT_LINES] = {"id",     "time",   "method",  "path",
                                               "caller", "status", "value",   "before",
                                               "after",  "detail", "previous"};

/* Numbers as such; what is empty is null. */
static void add_line(cJSON *item, unsigned line, const char *text)
{
    if (line == AUDIT_ID || line == AUDIT_STATUS)
        json_add_integer(item, names[line], strtoull(text, NULL, 10));
    else if (*text)
        cJSON_AddStringToObject(item, names[line], text);
    else
        cJSON_AddNullToObject(item, names[line]);
}

/* Adds the record; whether it is whole and follows the one whose digest this is ("" = any), which becomes its own. */
static bool add_record(cJSON *item, const struct audit_record *r, uint64_t wanted, char *previous)
{
    char text[AUDIT_TEXT_MAX];
    const char *lines[AUDIT_LINES];
    uint64_t id;
    bool follows;

    if (!audit_record_id(r, true, &id) || id != wanted)
        return false;
    memcpy(text, r->text, r->bytes + 1);
    if (!audit_split(text, lines))
        return false;
    for (unsigned i = 0; i < AUDIT_LINES; i++)
        add_line(item, i, lines[i]);
    follows = *previous == '\0' || strcmp(previous, lines[AUDIT_PREVIOUS]) == 0;
    hex_format(previous, r->digest, sizeof(r->digest));
    cJSON_AddStringToObject(item, "digest", previous);
    return follows;
}

/* Of the record before the first one, if it is there. */
static void read_previous(uint64_t id, const struct audit_extent *extent, char *previous)
{
    struct audit_record r;

    *previous = '\0';
    if (id >= extent->first && id > 0 && audit_read(id, &r))
        hex_format(previous, r.digest, sizeof(r.digest));
}

static bool add_items(cJSON *items, uint64_t id, uint64_t end, const struct audit_extent *extent)
{
    char previous[2 * 32 + 1];
    struct audit_record r;
    bool valid = true;

    read_previous(id - 1, extent, previous);
    for (; id <= end; id++) {
        cJSON *item = cJSON_CreateObject();
        if (audit_read(id, &r) && !add_record(item, &r, id, previous))
            valid = false;
        if (!cJSON_HasObjectItem(item, "id")) {
            json_add_integer(item, "id", id);
            cJSON_AddBoolToObject(item, "damaged", true);
            *previous = '\0';
            valid = false;
        }
        cJSON_AddItemToArray(items, item);
    }
    return valid;
}

cJSON *audit_to_json(uint64_t after, uint32_t limit)
{
    struct audit_extent extent;
    cJSON *json = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(json, "items");
    uint64_t id, end;
    char head[2 * sizeof(extent.digest) + 1];

    audit_extent(&extent);
    id = after < extent.first ? extent.first : after < extent.last ? after + 1 : extent.last + 1;
    end = extent.last - id < limit ? extent.last : id + limit - 1;
    end = id > extent.last ? extent.last : end;
    cJSON_AddBoolToObject(json, "valid", extent.last == 0 || add_items(items, id, end, &extent));
    json_add_integer(json, "first", extent.first);
    json_add_integer(json, "last", extent.last);
    hex_format(head, extent.digest, sizeof(extent.digest));
    cJSON_AddStringToObject(json, "head", head);
    cJSON_AddStringToObject(json, "kept", extent.on_disk ? "disk" : "memory");
    return json;
}
