/* audit_json.c - the audit trail as clients see it, and whether its digests are right. */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "audit_log.h"
#include "hex.h"
#include "json.h"

static const char *const names[AUDIT_LINES] = {
    "id",           "time",        "method", "path",     "caller", "status", "value",
    "value_before", "value_after", "detail", "previous", "before", "after",  "cut"};

/* Numbers as such, JSON as it is, so that its text is what the digest is of; what is empty is null. False: it is no JSON. */
static bool add_line(cJSON *item, unsigned line, const char *text)
{
    cJSON *json = NULL;

    if (line == AUDIT_ID || line == AUDIT_STATUS)
        json_add_item(item, names[line], json_create_integer(strtoull(text, NULL, 10)));
    else if (!*text)
        cJSON_AddNullToObject(item, names[line]);
    else if (line < AUDIT_LINES_1)
        cJSON_AddStringToObject(item, names[line], text);
    else if ((json = cJSON_Parse(text)))
        cJSON_AddRawToObject(item, names[line], text);
    else
        return false;
    cJSON_Delete(json);
    return true;
}

static bool add_lines(cJSON *item, struct audit_record *r)
{
    const char *lines[AUDIT_LINES];
    bool right = audit_split(r->text, lines);

    for (unsigned i = 0; right && i < AUDIT_LINES; i++)
        right = add_line(item, i, lines[i]);
    return right;
}

/* Adds the record, and whether it follows the one whose digest this is ("" = any), which becomes its own; false without it,
 * or if it isn't whole. */
static bool add_record(cJSON *item, struct audit_record *r, uint64_t id, char *previous,
                       bool *follows)
{
    const char *before;

    if (!audit_read(id, r))
        return false;
    json_add_integer(item, "version", r->magic == AUDIT_MAGIC ? 1 : 2);
    if (!add_lines(item, r))
        return false;
    before = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, names[AUDIT_PREVIOUS]));
    *follows &= *previous == '\0' || (before && strcmp(previous, before) == 0);
    hex_format(previous, r->digest, sizeof(r->digest));
    cJSON_AddStringToObject(item, "digest", previous);
    return true;
}

static cJSON *damaged(uint64_t id)
{
    cJSON *item = cJSON_CreateObject();

    json_add_integer(item, "id", id);
    cJSON_AddBoolToObject(item, "damaged", true);
    return item;
}

/* Of the record before the first one, if it is there. */
static void read_previous(struct audit_record *r, uint64_t id, char *previous)
{
    *previous = '\0';
    if (audit_read(id, r))
        hex_format(previous, r->digest, sizeof(r->digest));
}

/* Up to the end, or as many as an answer may have bytes of. */
static bool add_items(cJSON *items, uint64_t id, uint64_t end, struct audit_record *r)
{
    char previous[2 * 32 + 1];
    bool valid = true;

    read_previous(r, id - 1, previous);
    for (size_t bytes = 0; id <= end && bytes < AUDIT_PAGE_BYTES; id++) {
        cJSON *item = cJSON_CreateObject();
        if (add_record(item, r, id, previous, &valid)) {
            bytes += r->bytes;
        } else {
            cJSON_Delete(item);
            item = damaged(id);
            *previous = '\0';
            valid = false;
        }
        cJSON_AddItemToArray(items, item);
    }
    return valid;
}

cJSON *audit_to_json(uint64_t after, uint32_t limit)
{
    struct audit_record *r = malloc(sizeof(*r));
    struct audit_extent extent;
    cJSON *json = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(json, "items");
    uint64_t id, end;
    char head[2 * sizeof(extent.digest) + 1];

    audit_extent(&extent);
    id = after < extent.first ? extent.first : after < extent.last ? after + 1 : extent.last + 1;
    end = extent.last - id < limit ? extent.last : id + limit - 1;
    end = id > extent.last ? extent.last : end;
    cJSON_AddBoolToObject(json, "valid", extent.last == 0 || (r && add_items(items, id, end, r)));
    free(r);
    json_add_integer(json, "first", extent.first);
    json_add_integer(json, "last", extent.last);
    hex_format(head, extent.digest, sizeof(extent.digest));
    cJSON_AddStringToObject(json, "head", head);
    cJSON_AddStringToObject(json, "kept", extent.on_disk ? "disk" : "memory");
    return json;
}
