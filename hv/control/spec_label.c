/* spec_label.c - labels of guests. */
#include "spec_label.h"

#include <stdlib.h>
#include <string.h>

#define SMALL "abcdefghijklmnopqrstuvwxyz0123456789"
#define LARGE "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool name_is_good(const char *name)
{
    size_t bytes = strlen(name);

    return bytes >= 1 && bytes <= SPEC_LABEL_MAX && strspn(name, SMALL "._/-") == bytes &&
           strspn(name, "._/-") == 0 && !strchr("._/-", name[bytes - 1]);
}

static bool value_is_good(const char *value)
{
    size_t bytes = strlen(value);
    return bytes <= SPEC_LABEL_MAX && strspn(value, SMALL LARGE "._:/@+-") == bytes;
}

static int check_label(const cJSON *label, struct problem *p)
{
    if (!name_is_good(label->string))
        return problem_set(p, 422,
                           "labels: '%.70s' is no name: 1 to %u of a-z, 0-9, '.', '_', '/' and "
                           "'-', with a letter or digit at both ends.",
                           label->string, SPEC_LABEL_MAX);
    if (!cJSON_IsString(label) || !value_is_good(label->valuestring))
        return problem_set(p, 422,
                           "labels.%s must be a string of at most %u letters, digits and ._:/@+-.",
                           label->string, SPEC_LABEL_MAX);
    return 0;
}

struct label {
    const cJSON *json;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->json->string, ((const struct label *)b)->json->string);
}

static int add_sorted(struct label *labels, unsigned count, struct spec *spec, struct problem *p)
{
    qsort(labels, count, sizeof(*labels), by_name);
    for (unsigned i = 0; i < count; i++)
        if (spec_add_string(spec, labels[i].json->string, labels[i].json->valuestring, p) != 0)
            return problem_set(p, 422,
                               "labels: args, env, start_after and labels together may have %u "
                               "bytes.",
                               SPEC_STRINGS_MAX);
    spec->label_count = count;
    return 0;
}

int spec_take_labels(const cJSON *item, struct spec *spec, struct problem *p)
{
    struct label labels[SPEC_LABELS_MAX];
    const cJSON *label;
    unsigned count = 0;

    if (item && (!cJSON_IsObject(item) || cJSON_GetArraySize(item) > (int)SPEC_LABELS_MAX))
        return problem_set(p, 422, "labels must be an object of at most %u strings.",
                           SPEC_LABELS_MAX);
    cJSON_ArrayForEach(label, item)
    {
        if (check_label(label, p) != 0)
            return -1;
        labels[count++].json = label;
    }
    return add_sorted(labels, count, spec, p);
}

static const char *first_label(const struct spec *spec)
{
    const char *text = spec_start_after(spec);

    for (uint32_t i = 0; i < spec->after_count; i++)
        text += strlen(text) + 1;
    return text;
}

void spec_labels_to_json(cJSON *object, const struct spec *spec)
{
    const char *text = first_label(spec);

    for (uint32_t i = 0; i < spec->label_count; i++, text += strlen(text) + 1) {
        size_t bytes = strcspn(text, "=");
        char name[SPEC_LABEL_MAX + 1] = "";
        memcpy(name, text, bytes < sizeof(name) ? bytes : 0);
        cJSON_AddStringToObject(object, name, text + bytes + 1);
    }
}

bool spec_has_label(const struct spec *spec, const char *label)
{
    const char *text = first_label(spec);

    for (uint32_t i = 0; i < spec->label_count; i++, text += strlen(text) + 1)
        if (strcmp(text, label) == 0)
            return true;
    return false;
}
