/* spec_volume.c - a guest's volumes: checked, and put into words for the guest. */
#include "spec_volume.h"

#include <stdio.h>
#include <string.h>

#include "storage/volumes.h"

static int take_text(const cJSON *item, const char *path, char name[FORMAT_VOLUME_NAME],
                     struct problem *p)
{
    if (!cJSON_IsString(item) || !volume_name_valid(item->valuestring))
        return problem_set(p, 422, "%s.name must be the name of a volume, a string.", path);
    memcpy(name, item->valuestring, strlen(item->valuestring) + 1);
    return 0;
}

/* A colon or comma would end it in SKEP_MOUNTS. */
static bool mount_is_good(const char *mount)
{
    size_t bytes = strlen(mount);

    if (mount[0] != '/' || bytes > SPEC_MOUNT_MAX || strpbrk(mount, ":,") || strstr(mount, "//") ||
        (bytes > 1 && mount[bytes - 1] == '/'))
        return false;
    for (const char *at = mount; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    for (const char *at = strchr(mount, '/'); at; at = strchr(at + 1, '/'))
        if (strcspn(at + 1, "/") <= 2 && strspn(at + 1, ".") == strcspn(at + 1, "/") && at[1])
            return false;
    return true;
}

static int take_field(const cJSON *field, const char *path, struct spec_volume *v,
                      struct problem *p)
{
    bool read_only = strcmp(field->string, "read_only") == 0;

    if (strcmp(field->string, "name") == 0)
        return take_text(field, path, v->name, p);
    if (strcmp(field->string, "mount") == 0) {
        if (!cJSON_IsString(field) || !mount_is_good(field->valuestring))
            return problem_set(
                p, 422,
                "%s.mount must be an absolute path of at most %u bytes, without ':', "
                "',', \".\" and \"..\".",
                path, SPEC_MOUNT_MAX);
        return 0; /* it is a string of the spec's, and these come last */
    }
    if (!read_only && strcmp(field->string, "format") != 0)
        return problem_set(p, 422,
                           "%s.%.40s is no known field; there are name, read_only, mount, format.",
                           path, field->string);
    if (!cJSON_IsBool(field))
        return problem_set(p, 422, "%s.%s must be true or false.", path, field->string);
    *(read_only ? &v->read_only : &v->format) = cJSON_IsTrue(field);
    return 0;
}

static int take_volume(const cJSON *item, struct spec *spec, struct problem *p)
{
    struct spec_volume *v = &spec->volume[spec->volume_count];
    const cJSON *field;
    char path[24];

    snprintf(path, sizeof(path), "volumes[%u]", spec->volume_count);
    if (!cJSON_IsObject(item))
        return problem_set(p, 422, "%s must be an object.", path);
    cJSON_ArrayForEach(field, item) if (take_field(field, path, v, p) != 0) return -1;
    if (!v->name[0])
        return problem_set(p, 422, "%s.name is missing: the name of a volume.", path);
    if (v->format && (v->read_only || !cJSON_HasObjectItem(item, "mount")))
        return problem_set(p, 422, "%s.format needs a mount, and not read_only.", path);
    for (uint32_t i = 0; i < spec->volume_count; i++)
        if (strcmp(spec->volume[i].name, v->name) == 0)
            return problem_set(p, 422, "%s is the volume of volumes[%u].", path, i);
    spec->volume_count++;
    return 0;
}

int spec_take_volumes(const cJSON *item, struct spec *spec, struct problem *p)
{
    const cJSON *volume;

    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) > (int)SKEP_BLOCKS_MAX)
        return problem_set(p, 422, "volumes must be an array of at most %u objects.",
                           SKEP_BLOCKS_MAX);
    cJSON_ArrayForEach(volume, item) if (take_volume(volume, spec, p) != 0) return -1;
    return 0;
}

static const char *mount_of(const cJSON *volume)
{
    const cJSON *mount = cJSON_GetObjectItemCaseSensitive(volume, "mount");
    return mount ? mount->valuestring : "";
}

/* One string each, empty if it is not to be mounted. */
int spec_take_mounts(const cJSON *item, struct spec *spec, struct problem *p)
{
    const cJSON *volume, *other;

    cJSON_ArrayForEach(volume, item)
    {
        const char *mount = mount_of(volume);
        for (other = item->child; other != volume; other = other->next)
            if (*mount && strcmp(mount_of(other), mount) == 0)
                return problem_set(p, 422, "Two volumes have the mount '%s'.", mount);
        if (spec_add_string(spec, NULL, mount, p) != 0)
            return -1;
    }
    return 0;
}

static const char *first_mount(const struct spec *spec)
{
    const char *text = spec->strings;

    for (uint32_t i = 0; i < spec->argc + spec->envc; i++)
        text += strlen(text) + 1;
    return text;
}

size_t spec_env_bytes(const struct spec *spec)
{
    return (size_t)(first_mount(spec) - spec->strings);
}

static bool lies_below(const char *lower, const char *upper)
{
    size_t bytes = strcmp(upper, "/") == 0 ? 0 : strlen(upper);
    return strncmp(upper, lower, bytes) == 0 && (lower[bytes] == '/' || lower[bytes] == '\0');
}

const char *spec_mount_at(const struct spec *spec, const char *path)
{
    const char *mount = first_mount(spec);

    for (uint32_t i = 0; i < spec->volume_count; i++, mount += strlen(mount) + 1)
        if (*mount && (lies_below(path, mount) || lies_below(mount, path)))
            return mount;
    return NULL;
}

void spec_volumes_to_json(cJSON *list, const struct spec *spec)
{
    const char *mount = first_mount(spec);

    for (uint32_t i = 0; i < spec->volume_count; i++, mount += strlen(mount) + 1) {
        const struct spec_volume *v = &spec->volume[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", v->name);
        cJSON_AddBoolToObject(item, "read_only", v->read_only);
        if (*mount) {
            cJSON_AddStringToObject(item, "mount", mount);
            cJSON_AddBoolToObject(item, "format", v->format);
        }
        cJSON_AddItemToArray(list, item);
    }
}

size_t spec_mounts_text(const struct spec *spec, char *text, size_t room)
{
    const char *mount = first_mount(spec);
    size_t used = 0;

    for (uint32_t i = 0; i < spec->volume_count; i++, mount += strlen(mount) + 1) {
        const struct spec_volume *v = &spec->volume[i];
        if (*mount)
            used += (size_t)snprintf(text + used, room - used, "%s%s:%s%s%s",
                                     used ? "," : SPEC_MOUNTS_NAME "=", v->name, mount,
                                     v->read_only ? ":ro" : "", v->format ? ":format" : "");
    }
    return used ? used + 1 : 0;
}
