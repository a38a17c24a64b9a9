/* label.c - NAME=VALUE options, and labels: image set, volume set. */
#include "label.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"

int pairs_add(const struct call *call, const char *option, const char *field, cJSON *body)
{
    cJSON *all = cJSON_CreateObject();
    const char *one;

    for (int at = 0; (one = call_next(call, option, &at));) {
        size_t bytes = strcspn(one, "=");
        char *name = text_format("%.*s", (int)bytes, one);
        cJSON_DeleteItemFromObjectCaseSensitive(all, name);
        if (bytes > 0 && one[bytes] == '=')
            cJSON_AddStringToObject(all, name, one + bytes + 1);
        free(name);
        if (bytes == 0 || one[bytes] != '=') {
            cJSON_Delete(all);
            return fail(EXIT_USAGE, "--%s '%s': say NAME=VALUE", option, one);
        }
    }
    cJSON_AddItemToObject(body, field, all);
    return EXIT_OK;
}

int labels_add(const struct call *call, cJSON *body)
{
    const char *name;
    cJSON *labels;

    if (!call_value(call, "label") && !call_value(call, "unlabel"))
        return EXIT_OK;
    if (pairs_add(call, "label", "labels", body) != EXIT_OK)
        return EXIT_USAGE;
    labels = cJSON_GetObjectItemCaseSensitive(body, "labels");
    for (int at = 0; (name = call_next(call, "unlabel", &at));) {
        cJSON_DeleteItemFromObjectCaseSensitive(labels, name);
        cJSON_AddNullToObject(labels, name);
    }
    return EXIT_OK;
}

static int set(const struct call *call, const char *kind, const char *name)
{
    cJSON *patch = cJSON_CreateObject();
    int result = labels_add(call, patch);

    if (result == EXIT_OK && !patch->child)
        result = fail(EXIT_USAGE, "say what is to change: --label, --unlabel, or several of them");
    if (result == EXIT_OK)
        result = api_set(call, kind, name, patch);
    cJSON_Delete(patch);
    return result;
}

static int set_image(const struct call *call, const char *name)
{
    return set(call, "images", name);
}

static int set_volume(const struct call *call, const char *name)
{
    return set(call, "volumes", name);
}

int image_set(const struct call *call)
{
    return each_operand(call, set_image);
}

int volume_set(const struct call *call)
{
    return each_operand(call, set_volume);
}
