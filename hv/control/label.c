/* label.c - labels. */
#include "label.h"

#include <stdlib.h>
#include <string.h>

#include <cJSON_Utils.h>

#include "http.h"
#include "storage/format.h"

#define SMALL "abcdefghijklmnopqrstuvwxyz0123456789"
#define LARGE "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_Static_assert(LABELS_BYTES == FORMAT_LABELS, "a volume's are a field of its record");

/*
 * Reading
 */

static bool name_is_good(const char *name)
{
    size_t bytes = strlen(name);

    return bytes >= 1 && bytes <= LABEL_MAX && strspn(name, SMALL "._/-") == bytes &&
           strspn(name, "._/-") == 0 && !strchr("._/-", name[bytes - 1]);
}

static bool value_is_good(const char *value)
{
    size_t bytes = strlen(value);
    return bytes <= LABEL_MAX && strspn(value, SMALL LARGE "._:/@+-") == bytes;
}

static int check_label(const cJSON *label, struct problem *p)
{
    if (!name_is_good(label->string))
        return problem_set(p, 422,
                           "labels: '%.70s' is no name: 1 to %u of a-z, 0-9, '.', '_', '/' and "
                           "'-', with a letter or digit at both ends.",
                           label->string, LABEL_MAX);
    if (!cJSON_IsString(label) || !value_is_good(label->valuestring))
        return problem_set(p, 422,
                           "labels.%s must be a string of at most %u letters, digits and ._:/@+-.",
                           label->string, LABEL_MAX);
    return 0;
}

struct label {
    const cJSON *json;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->json->string, ((const struct label *)b)->json->string);
}

/* "NAME=value"; the bytes it has with its NUL. */
static size_t write_text(char *text, const cJSON *label)
{
    size_t name = strlen(label->string), value = strlen(label->valuestring) + 1;

    memcpy(text, label->string, name);
    text[name] = '=';
    memcpy(text + name + 1, label->valuestring, value);
    return name + 1 + value;
}

int labels_read(const cJSON *item, char texts[LABELS_TEXT], size_t *bytes, struct problem *p)
{
    struct label labels[LABELS_MAX];
    const cJSON *label;
    unsigned count = 0;

    *bytes = 0;
    if (item && (!cJSON_IsObject(item) || cJSON_GetArraySize(item) > (int)LABELS_MAX))
        return problem_set(p, 422, "labels must be an object of at most %u strings.", LABELS_MAX);
    cJSON_ArrayForEach(label, item)
    {
        if (check_label(label, p) != 0)
            return -1;
        labels[count++].json = label;
    }
    qsort(labels, count, sizeof(*labels), by_name);
    for (unsigned i = 0; i < count; i++)
        *bytes += write_text(texts + *bytes, labels[i].json);
    return 0;
}

/*
 * Telling
 */

/* The text after this one, the first one after NULL; NULL = there is none. */
static const char *next_text(const char *texts, size_t bytes, const char *text)
{
    const char *next = text ? text + strlen(text) + 1 : texts;

    return next < texts + bytes && *next ? next : NULL;
}

void labels_to_json(cJSON *object, const char *texts, size_t bytes)
{
    for (const char *text = NULL; (text = next_text(texts, bytes, text)) != NULL;) {
        size_t length = strcspn(text, "=");
        char name[LABEL_MAX + 1] = "";
        memcpy(name, text, length < sizeof(name) ? length : 0);
        cJSON_AddStringToObject(object, name, text + length + (text[length] == '='));
    }
}

static bool has(const char *texts, size_t bytes, const char *label)
{
    const char *text = NULL;

    while ((text = next_text(texts, bytes, text)) != NULL && strcmp(text, label) != 0)
        continue;
    return text != NULL;
}

bool labels_are_wanted(const char *query, const char *texts, size_t bytes)
{
    char label[LABEL_TEXT];

    while (http_query_next(&query, "label", label, sizeof(label)) > 0)
        if (!has(texts, bytes, label))
            return false;
    return true;
}

/*
 * Of volumes and images
 */

int labels_take(const cJSON *item, char labels[LABELS_BYTES], struct problem *p)
{
    char texts[LABELS_TEXT];
    size_t bytes;

    if (labels_read(item, texts, &bytes, p) != 0)
        return -1;
    if (bytes >= LABELS_BYTES)
        return problem_set(p, 422,
                           "labels: all together may have %u bytes, with two more for each; these "
                           "have %zu.",
                           LABELS_BYTES - 1, bytes);
    memset(labels, 0, LABELS_BYTES);
    memcpy(labels, texts, bytes);
    return 0;
}

int labels_patch(const cJSON *patch, char labels[LABELS_BYTES], struct problem *p)
{
    cJSON *json = cJSON_CreateObject();
    int result;

    labels_to_json(json, labels, LABELS_BYTES);
    json = cJSONUtils_MergePatchCaseSensitive(json, patch);
    if (!json)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    result = labels_take(cJSON_IsNull(json) ? NULL : json, labels, p);
    cJSON_Delete(json);
    return result;
}

/*
 * Of guests
 */

int spec_take_labels(const cJSON *item, struct spec *spec, struct problem *p)
{
    char texts[LABELS_TEXT];
    size_t bytes;

    if (labels_read(item, texts, &bytes, p) != 0)
        return -1;
    if (bytes > SPEC_STRINGS_MAX - spec->strings_bytes)
        return problem_set(p, 422,
                           "labels: args, env, start_after and labels together may have %u bytes.",
                           SPEC_STRINGS_MAX);
    memcpy(spec->strings + spec->strings_bytes, texts, bytes);
    spec->strings_bytes += (uint32_t)bytes;
    spec->label_count = (uint32_t)cJSON_GetArraySize(item);
    return 0;
}

static const char *first_label(const struct spec *spec, size_t *bytes)
{
    const char *text = spec_start_after(spec);

    for (uint32_t i = 0; i < spec->after_count; i++)
        text += strlen(text) + 1;
    *bytes = (size_t)(spec->strings + spec->strings_bytes - text);
    return text;
}

void spec_labels_to_json(cJSON *object, const struct spec *spec)
{
    size_t bytes;
    const char *texts = first_label(spec, &bytes);

    labels_to_json(object, texts, bytes);
}

bool spec_is_wanted(const char *query, const struct spec *spec)
{
    size_t bytes;
    const char *texts = first_label(spec, &bytes);

    return labels_are_wanted(query, texts, bytes);
}
