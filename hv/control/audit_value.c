/* audit_value.c - makes texts of values for the audit trail that are as long as they may be. */
#include "audit_value.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FOR_WHOLE 20u /* "before","after" */

static size_t printed_bytes(const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    size_t bytes = text ? strlen(text) : 0;

    free(text);
    return bytes;
}

static cJSON *find_largest(const cJSON *object)
{
    cJSON *item, *largest = NULL;
    size_t most = 0;

    cJSON_ArrayForEach(item, object)
    {
        size_t bytes = printed_bytes(item);
        if (bytes >= most)
            largest = item;
        most = bytes > most ? bytes : most;
    }
    return largest;
}

static bool has_objects(const cJSON *item)
{
    const cJSON *member;
    bool found = false;

    if (cJSON_IsObject(item))
        cJSON_ArrayForEach(member, item) found |= cJSON_IsObject(member);
    return found;
}

/* A list of JSON's strings. Names of members need no escapes: they are the API's, or those of guests and volumes. False: it
 * is full. */
static bool note_cut(char cut[AUDIT_CUT_MAX], const char *side, const char *parent,
                     const char *name)
{
    size_t at = strlen(cut), room = (parent ? AUDIT_CUT_MAX - ROOM_FOR_WHOLE : AUDIT_CUT_MAX) - at;
    int n = snprintf(cut + at, room, "%s\"%s%s%s%s%s\"", at ? "," : "", side, parent ? "." : "",
                     parent ? parent : "", name ? "." : "", name ? name : "");

    if (n < (int)room)
        return true;
    cut[at] = '\0';
    return false;
}

/* Of the guests and volumes of an app one is cut, and no more. */
static bool cut_largest(cJSON *json, const char *side, char cut[AUDIT_CUT_MAX])
{
    cJSON *parent = NULL, *item = find_largest(json);

    if (item && has_objects(item)) {
        parent = item;
        item = find_largest(parent);
    }
    if (!item ||
        !note_cut(cut, side, parent ? parent->string : item->string, parent ? item->string : NULL))
        return false;
    cJSON_Delete(cJSON_DetachItemViaPointer(parent ? parent : json, item));
    return true;
}

char *audit_value_text(cJSON *json, const char *side, char cut[AUDIT_CUT_MAX])
{
    size_t noted = strlen(cut);
    char *text = NULL;

    if (!json)
        return NULL;
    while ((text = cJSON_PrintUnformatted(json)) && strlen(text) > AUDIT_VALUE_MAX) {
        free(text);
        text = NULL;
        if (!cut_largest(json, side, cut))
            break;
    }
    if (!text) { /* nothing of it, then, instead of half a list of what is missing */
        cut[noted] = '\0';
        note_cut(cut, side, NULL, NULL);
    }
    cJSON_Delete(json);
    return text;
}
