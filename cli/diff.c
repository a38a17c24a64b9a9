/*
 * diff.c - what applying a document would change.
 *
 * PUT gives every field that a document leaves out its default, so these are known here, too. What is there has all
 * fields. Contents of secrets can't be compared, as nobody can read them: they count as the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "document.h"
#include "stream.h"

/* Defaults of specs as docs/api.md has them. */
static const struct {
    const char *field, *json;
} defaults[] = {
    {"labels", "{}"},
    {"memory_bytes", "16777216"},
    {"vcpus", "1"},
    {"max_vcpus", NULL}, /* as vcpus */
    {"weight", "100"},
    {"cpu_cap", "0"},
    {"cpu_affinity", "[]"},
    {"args", "[]"},
    {"env", "{}"},
    {"networks", "[]"},
    {"volumes", "[]"},
    {"files", "[]"},
    {"start_after", "[]"},
    {"desired_state", "\"running\""},
    {"restart", "\"never\""},
    {"stop_grace_ms", "10000"},
    {"restart_limit", "0"},
    {"restart_delay_ms", "500"},
    {"restart_delay_max_ms", "60000"},
    {"restart_reset_ms", "30000"},
};

static unsigned print_change(const char *kind, const char *name, const char *field,
                             const cJSON *there, const cJSON *wanted)
{
    char *from = there ? cJSON_PrintUnformatted(there) : text_copy("nothing");
    char *to = wanted ? cJSON_PrintUnformatted(wanted) : text_copy("nothing");

    printf("~ %s %s: %s %s -> %s\n", kind, name, field, from, to);
    free(from);
    free(to);
    return 1;
}

/* Whether a value is as good as not there: null, false, or an empty text. */
static bool is_nothing(const cJSON *value)
{
    return !value || cJSON_IsNull(value) || cJSON_IsFalse(value) ||
           (cJSON_IsString(value) && *value->valuestring == '\0');
}

/* Whether an element of networks, volumes or files is as wanted. What Skep adds by itself doesn't count. */
static bool element_same(const cJSON *wanted, const cJSON *there)
{
    bool secret = cJSON_IsTrue(value_at(there, "secret"));
    const cJSON *one;

    if (!cJSON_IsObject(wanted) || !cJSON_IsObject(there))
        return cJSON_Compare(wanted, there, true);
    cJSON_ArrayForEach(one, wanted)
    {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(there, one->string);
        if (secret && strncmp(one->string, "content", 7) == 0)
            continue;
        if (!(is_nothing(one) && is_nothing(other)) && !cJSON_Compare(one, other, true))
            return false;
    }
    cJSON_ArrayForEach(one, there)
    {
        /* The MAC is made of the name; a content that isn't named stays. */
        if (!cJSON_HasObjectItem(wanted, one->string) && strcmp(one->string, "mac") != 0 &&
            strncmp(one->string, "content", 7) != 0 && !is_nothing(one))
            return false;
    }
    return true;
}

/* The element that is to be compared with this one: files are found by their path, the others by their place. */
static const cJSON *counterpart(const cJSON *element, const cJSON *list, int index)
{
    const char *path = value_text(element, "path", NULL);
    const cJSON *other;

    if (!path)
        return cJSON_GetArrayItem(list, index);
    cJSON_ArrayForEach(other, list)
    {
        if (strcmp(value_text(other, "path", ""), path) == 0)
            return other;
    }
    return NULL;
}

static bool value_same(const cJSON *wanted, const cJSON *there)
{
    const cJSON *element;
    int index = 0;

    if (!cJSON_IsArray(wanted) || !cJSON_IsArray(there))
        return cJSON_Compare(wanted, there, true);
    if (cJSON_GetArraySize(wanted) != cJSON_GetArraySize(there))
        return false;
    cJSON_ArrayForEach(element, wanted)
    {
        if (!element_same(element, counterpart(element, there, index++)))
            return false;
    }
    return true;
}

/* The default of a field that isn't named; the caller deletes it. */
static cJSON *default_of(size_t i, const cJSON *wanted)
{
    const cJSON *vcpus = value_at(wanted, "vcpus");

    if (defaults[i].json)
        return cJSON_Parse(defaults[i].json);
    return vcpus ? cJSON_Duplicate(vcpus, true) : cJSON_CreateNumber(1);
}

unsigned diff_guest(const char *name, const cJSON *wanted, const cJSON *there)
{
    unsigned count = 0;
    const cJSON *field;

    cJSON_ArrayForEach(field, wanted)
    {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(there, field->string);
        if (!cJSON_IsNull(field) && !value_same(field, other))
            count += print_change("guest", name, field->string, other, field);
    }
    for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(there, defaults[i].field);
        cJSON *fallback = default_of(i, wanted);
        if (!value_at(wanted, defaults[i].field) && !value_same(fallback, other))
            count += print_change("guest", name, defaults[i].field, other, fallback);
        cJSON_Delete(fallback);
    }
    return count;
}

static unsigned diff_limits(const char *name, const cJSON *wanted, const cJSON *there)
{
    unsigned count = 0;
    const cJSON *limit;

    cJSON_ArrayForEach(limit, value_at(there, "limits"))
    {
        const cJSON *value =
            cJSON_GetObjectItemCaseSensitive(value_at(wanted, "limits"), limit->string);
        if ((value ? value->valuedouble : 0) != limit->valuedouble)
            count += print_change("volume", name, limit->string, limit, value);
    }
    return count;
}

unsigned diff_volume(const char *name, const cJSON *wanted, const cJSON *there)
{
    const cJSON *size = value_at(wanted, "size_bytes"), *disk = value_at(wanted, "disk");
    const cJSON *snapshot = value_at(wanted, "snapshot_of"), *clone = value_at(wanted, "clone_of");
    const cJSON *origin = snapshot ? snapshot : clone, *copy_of = value_at(there, "copy_of");
    unsigned count = diff_limits(name, wanted, there);

    if (size && !cJSON_Compare(size, value_at(there, "size_bytes"), true))
        count += print_change("volume", name, "size_bytes", value_at(there, "size_bytes"), size);
    if (disk && !cJSON_Compare(disk, value_at(there, "disk"), true))
        count += print_change("volume", name, "disk", value_at(there, "disk"), disk);
    if (origin || copy_of)
        if (!origin || !copy_of || !cJSON_Compare(origin, copy_of, true) ||
            (snapshot != NULL) != (strcmp(value_text(there, "kind", ""), "snapshot") == 0))
            count += print_change("volume", name, snapshot ? "snapshot_of" : "clone_of", copy_of,
                                  origin);
    return count;
}

/*
 * diff
 */

/* The differences of one object, *count; an exit code. */
static int diff_one(const char *part, const cJSON *wanted, unsigned *count)
{
    bool guest = strcmp(part, "guests") == 0;
    char *path = api_path(part, wanted->string, "");
    struct answer a;
    int result = api_try("GET", path, NULL, &a);

    if (result == EXIT_OK && a.http.status == 404) {
        printf("+ %s %s\n", guest ? "guest" : "volume", wanted->string);
        ++*count;
    } else if (result == EXIT_OK && (result = api_check(&a)) == EXIT_OK) {
        *count += guest ? diff_guest(wanted->string, wanted, value_at(a.json, "spec"))
                        : diff_volume(wanted->string, wanted, a.json);
    }
    answer_end(&a);
    free(path);
    return result;
}

static int diff_image(const struct document *d, const cJSON *image, unsigned *count)
{
    char digest[DIGEST_TEXT_MAX], *file = document_file(d, image),
                                  *path = api_path("images", image->string, "");
    struct answer a = {.json = NULL};
    int result = file_digest(file, digest);

    if (result == EXIT_OK)
        result = api_try("GET", path, NULL, &a);
    if (result == EXIT_OK && a.http.status != 404)
        result = api_check(&a);
    if (result == EXIT_OK && strcmp(value_text(a.json, "digest", ""), digest) != 0) {
        printf("%c image %s: %s\n", a.http.status == 404 ? '+' : '~', image->string, digest);
        ++*count;
    }
    answer_end(&a);
    free(path);
    free(file);
    return result;
}

int document_diff(const struct call *call)
{
    static const char *const parts[] = {"images", "volumes", "guests"};
    const char *path = call_value(call, "file");
    unsigned count = 0;
    struct document d;
    const cJSON *item;
    int result;

    if (!path)
        return fail(EXIT_USAGE, "say -f FILE, or -f - for standard input");
    result = document_read(&d, path);
    for (int i = 0; i < 3; i++)
        cJSON_ArrayForEach(item, document_part(&d, parts[i]))
        {
            if (result == EXIT_OK)
                result = i == 0 ? diff_image(&d, item, &count) : diff_one(parts[i], item, &count);
        }
    document_end(&d);
    return result != EXIT_OK ? result : count ? EXIT_NO : EXIT_OK;
}
