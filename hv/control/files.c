/* files.c - the files of guests' specs. */
#include "files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/base64.h>

#include "core.h"
#include "log.h"
#include "skep/files.h"
#include "skep_tls.h"
#include "spec_volume.h"

#define ALIGN     16u
#define BYTES_MAX (SKEP_FILES_PAGES_MAX * SKEP_PAGE_SIZE)
_Static_assert(sizeof(struct skep_files) + FILES_BYTES_MAX +
                       FILES_MAX * (sizeof(struct skep_files_entry) + FILES_PATH_MAX + ALIGN) +
                       ALIGN <=
                   BYTES_MAX,
               "what the limits allow fits");

struct file {
    const char *path; /* without its first slash */
    const uint8_t *data;
    size_t bytes;
    uint32_t flags;   /* SKEP_FILE_… */
    uint8_t *decoded; /* on the heap, or NULL */
};

/* What is read from a request. */
struct reader {
    struct file files[FILES_MAX];
    unsigned count;
    uint64_t current;
    struct skep_files *former; /* the pack of the image `current`, once it was needed */
    struct problem *p;
};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/*
 * Packs in ring 0
 */

static bool read_pages(uint64_t image, uint8_t *pack, size_t from, size_t to)
{
    size_t part;

    for (; from < to; from += part) {
        part = to - from < SKEP_IMAGE_IO_MAX ? to - from : SKEP_IMAGE_IO_MAX;
        if (core_image_read(image, (uint32_t)(from / SKEP_PAGE_SIZE), pack + from, part) != 0)
            return false;
    }
    return true;
}

/* The caller frees it; NULL when there is none that can be read. */
static struct skep_files *read_pack(uint64_t image)
{
    struct skep_files *pack = image ? malloc(SKEP_PAGE_SIZE) : NULL, *whole = NULL;
    size_t bytes;

    if (!image)
        return NULL;
    if (pack && read_pages(image, (uint8_t *)pack, 0, SKEP_PAGE_SIZE) &&
        pack->magic == SKEP_FILES_MAGIC && pack->bytes >= sizeof(*pack) &&
        pack->bytes <= BYTES_MAX) {
        bytes = round_up(pack->bytes, SKEP_PAGE_SIZE);
        whole = realloc(pack, bytes);
        pack = whole ? whole : pack;
        if (whole && read_pages(image, (uint8_t *)whole, SKEP_PAGE_SIZE, bytes))
            return whole;
    }
    log_line("the files of a guest can't be read");
    free(pack);
    return NULL;
}

static const char *path_of(const struct skep_files *pack, const struct skep_files_entry *entry)
{
    return (const char *)pack + entry->path;
}

static const struct skep_files_entry *find(const struct skep_files *pack, const char *path)
{
    for (uint32_t i = 0; pack && i < pack->count; i++)
        if (strcmp(path_of(pack, &pack->entries[i]), path) == 0)
            return &pack->entries[i];
    return NULL;
}

static int64_t write_pack(uint64_t image, const struct files *files)
{
    for (size_t done = 0; done < files->bytes; done += SKEP_IMAGE_IO_MAX) {
        size_t left = files->bytes - done;
        int64_t result =
            core_image_write(image, (uint32_t)(done / SKEP_PAGE_SIZE), files->data + done,
                             left < SKEP_IMAGE_IO_MAX ? left : SKEP_IMAGE_IO_MAX);
        if (result != 0)
            return result;
    }
    return core_image_seal(image);
}

int files_create(const char *guest, const struct files *files, uint64_t *image, struct problem *p)
{
    uint32_t pages = (uint32_t)(files->bytes / SKEP_PAGE_SIZE);
    struct skep_image_spec spec = {.page_count = pages, .segment_count = 1};
    int64_t result;

    *image = 0;
    if (files->bytes == 0)
        return 0;
    spec.segments[0] = (struct skep_image_segment){.page_count = pages, .prot = SKEP_PROT_READ};
    memcpy(spec.name, guest, strlen(guest) + 1);
    result = core_image_create(&spec);
    if (result > 0) {
        *image = (uint64_t)result;
        result = write_pack(*image, files);
    }
    if (result == 0)
        return 0;
    files_destroy(*image);
    *image = 0;
    if (result == -SKEP_ENOSPC)
        return problem_set(p, 409,
                           "files: there are too many images and guests with files: delete some.");
    return problem_set(p, 409,
                       "files: the machine has no memory for the %u bytes that they take: delete "
                       "guests or images first.",
                       pages * SKEP_PAGE_SIZE);
}

bool files_destroy(uint64_t image)
{
    return image == 0 || core_image_destroy(image) != -SKEP_EBUSY;
}

bool files_is_image(const struct skep_image_info *info)
{
    return skep_image_is_files(&info->spec);
}

/*
 * Reading
 */

static int wrong(const struct reader *r, const char *what)
{
    return problem_set(r->p, 422, "files[%u]%s.", r->count, what);
}

/* Absolute, and the only way to write it. */
static bool path_is_good(const char *path)
{
    size_t bytes = strlen(path);

    if (path[0] != '/' || bytes < 2 || bytes > FILES_PATH_MAX || path[bytes - 1] == '/')
        return false;
    for (const char *at = path; *at; at++) {
        size_t name = strcspn(at + 1, "/");
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
        if (*at == '/' && (name == 0 || (name <= 2 && strspn(at + 1, ".") >= name)))
            return false;
    }
    return true;
}

static int take_path(struct reader *r, const cJSON *item, const struct spec *spec)
{
    const char *path = cJSON_IsString(item) ? item->valuestring : "";
    const char *mount;

    if (!path_is_good(path))
        return problem_set(r->p, 422,
                           "files[%u].path must be an absolute path of at most %u bytes, without "
                           "empty names, \".\" and \"..\", and not end in '/'.",
                           r->count, FILES_PATH_MAX);
    if (strncmp(path, "/dev/", 5) == 0)
        return wrong(r, ".path lies in /dev, where a guest has its devices");
    mount = spec_mount_at(spec, path);
    if (mount)
        return problem_set(r->p, 422,
                           "files[%u].path: '%.60s' is in the way of the volume that is mounted at "
                           "'%s': choose another path.",
                           r->count, path, mount);
    r->files[r->count].path = path + 1;
    return 0;
}

static int take_base64(struct reader *r, const char *text)
{
    struct file *file = &r->files[r->count];
    size_t room = strlen(text) / 4 * 3 + 3;

    free(file->decoded);
    file->decoded = malloc(room);
    if (!file->decoded)
        return problem_set(r->p, 503, "There is no memory for the request now; try again.");
    if (strpbrk(text, "\r\n ") || mbedtls_base64_decode(file->decoded, room, &file->bytes,
                                                        (const uint8_t *)text, strlen(text)) != 0)
        return wrong(r, ".content_base64 is no base64 (RFC 4648, section 4, with padding)");
    file->data = file->decoded;
    file->flags |= SKEP_FILE_BASE64;
    return 0;
}

static int take_content(struct reader *r, const cJSON *item)
{
    struct file *file = &r->files[r->count];

    if (!cJSON_IsString(item))
        return problem_set(r->p, 422, "files[%u].%s must be a string.", r->count, item->string);
    if (file->data)
        return wrong(r, " has content and content_base64: leave one of them out");
    if (strcmp(item->string, "content_base64") == 0)
        return take_base64(r, item->valuestring);
    file->data = (const uint8_t *)item->valuestring;
    file->bytes = strlen(item->valuestring);
    return 0;
}

static int take_field(struct reader *r, const cJSON *item, const struct spec *spec)
{
    if (strcmp(item->string, "path") == 0)
        return take_path(r, item, spec);
    if (strcmp(item->string, "content") == 0 || strcmp(item->string, "content_base64") == 0)
        return take_content(r, item);
    if (strcmp(item->string, "secret") != 0)
        return problem_set(r->p, 422,
                           "files[%u].%.40s is no known field; there are path, content, "
                           "content_base64, secret.",
                           r->count, item->string);
    if (!cJSON_IsBool(item))
        return wrong(r, ".secret must be true or false");
    r->files[r->count].flags |= cJSON_IsTrue(item) ? SKEP_FILE_SECRET : 0;
    return 0;
}

/* Content that is to stay as it is. That of a secret stays one. */
static int keep_content(struct reader *r)
{
    struct file *file = &r->files[r->count];
    const struct skep_files_entry *entry;

    if (!r->former)
        r->former = read_pack(r->current);
    entry = find(r->former, file->path);
    if (!entry)
        return problem_set(r->p, 422,
                           "files[%u] needs content or content_base64: the guest has no file "
                           "'/%.100s' whose content could stay.",
                           r->count, file->path);
    if (entry->flags & ~file->flags & SKEP_FILE_SECRET)
        return problem_set(r->p, 422,
                           "files[%u]: '/%.100s' is a secret: say \"secret\": true, or give it new "
                           "content.",
                           r->count, file->path);
    file->data = (const uint8_t *)r->former + entry->data;
    file->bytes = entry->bytes;
    file->flags |= entry->flags & SKEP_FILE_BASE64;
    return 0;
}

static int take_file(struct reader *r, const cJSON *item, const struct spec *spec)
{
    const cJSON *field;

    if (!cJSON_IsObject(item))
        return wrong(r, " must be an object");
    cJSON_ArrayForEach(field, item) if (take_field(r, field, spec) != 0) return -1;
    if (!r->files[r->count].path)
        return wrong(r, ".path is missing: an absolute path");
    if (!r->files[r->count].data && keep_content(r) != 0)
        return -1;
    r->count++;
    return 0;
}

/* '/' before all other bytes, so that what is in a folder stands together. */
static int compare(const void *a, const void *b)
{
    const unsigned char *left = (const unsigned char *)((const struct file *)a)->path;
    const unsigned char *right = (const unsigned char *)((const struct file *)b)->path;

    while (*left && *left == *right)
        left++, right++;
    if (*left == *right)
        return 0;
    return (*left == '/' ? 1
            : *left      ? *left + 1
                         : 0) < (*right == '/' ? 1
                            : *right      ? *right + 1
                                          : 0)
               ? -1
               : 1;
}

/* Of sorted files: each path is there once, and none is another's folder. */
static int check_paths(const struct reader *r)
{
    for (unsigned i = 1; i < r->count; i++) {
        const char *path = r->files[i].path, *before = r->files[i - 1].path;
        size_t bytes = strlen(before);
        if (strcmp(path, before) == 0)
            return problem_set(r->p, 422, "files: '/%.200s' comes twice.", path);
        if (strncmp(path, before, bytes) == 0 && path[bytes] == '/')
            return problem_set(r->p, 422,
                               "files: '/%.100s' can't be a file and the folder of '/%.100s'.",
                               before, path);
    }
    return 0;
}

static int check_bytes(const struct reader *r)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < r->count; i++)
        bytes += r->files[i].bytes;
    if (bytes <= FILES_BYTES_MAX)
        return 0;
    return problem_set(r->p, 422,
                       "files: the contents have %zu bytes together, and may have %u: put large "
                       "files into the image or on a volume.",
                       bytes, FILES_BYTES_MAX);
}

/*
 * Packing
 */

static size_t aligned(size_t bytes)
{
    return round_up(bytes, ALIGN);
}

static size_t head_bytes(const struct reader *r)
{
    size_t bytes = sizeof(struct skep_files) + r->count * sizeof(struct skep_files_entry);

    for (unsigned i = 0; i < r->count; i++)
        bytes += strlen(r->files[i].path) + 1;
    return aligned(bytes);
}

static void fill_pack(struct skep_files *pack, const struct reader *r, size_t bytes)
{
    size_t path = sizeof(*pack) + r->count * sizeof(struct skep_files_entry);
    size_t data = head_bytes(r);

    pack->magic = SKEP_FILES_MAGIC;
    pack->bytes = (uint32_t)bytes;
    pack->count = r->count;
    for (unsigned i = 0; i < r->count; i++) {
        const struct file *file = &r->files[i];
        pack->entries[i] = (struct skep_files_entry){(uint32_t)path, (uint32_t)data,
                                                     (uint32_t)file->bytes, file->flags};
        memcpy((char *)pack + path, file->path, strlen(file->path) + 1);
        memcpy((char *)pack + data, file->data, file->bytes);
        path += strlen(file->path) + 1;
        data += aligned(file->bytes);
    }
}

static int pack_files(const struct reader *r, struct files *files)
{
    size_t bytes = head_bytes(r);

    for (unsigned i = 0; i < r->count; i++)
        bytes += aligned(r->files[i].bytes);
    files->bytes = round_up(bytes, SKEP_PAGE_SIZE);
    files->data = calloc(1, files->bytes);
    if (!files->data)
        return problem_set(r->p, 503, "There is no memory for the request now; try again.");
    fill_pack((struct skep_files *)(void *)files->data, r, bytes);
    return 0;
}

static int take_list(struct reader *r, const cJSON *list, const struct spec *spec,
                     struct files *files)
{
    const cJSON *item;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > (int)FILES_MAX)
        return problem_set(r->p, 422, "files must be an array of at most %u objects.", FILES_MAX);
    cJSON_ArrayForEach(item, list) if (take_file(r, item, spec) != 0) return -1;
    qsort(r->files, r->count, sizeof(*r->files), compare);
    if (r->count == 0)
        return 0;
    return check_paths(r) == 0 && check_bytes(r) == 0 ? pack_files(r, files) : -1;
}

int files_take(const cJSON *list, uint64_t current, struct spec *spec, struct files *files,
               struct problem *p)
{
    struct reader r = {.current = current, .p = p};
    int result = 0;

    *files = (struct files){0};
    if (list)
        result = take_list(&r, list, spec, files);
    if (result == 0 && files->data) {
        spec->file_count = r.count;
        tls_sha256(files->data, files->bytes, spec->files_digest);
    }
    for (unsigned i = 0; i < FILES_MAX; i++)
        free(r.files[i].decoded);
    free(r.former);
    return result;
}

void files_free(struct files *files)
{
    free(files->data);
    *files = (struct files){0};
}

/*
 * Showing
 */

static void add_content(cJSON *item, const struct skep_files *pack,
                        const struct skep_files_entry *entry)
{
    bool is_base64 = entry->flags & SKEP_FILE_BASE64;
    const char *data = (const char *)pack + entry->data;
    size_t room = entry->bytes / 3 * 4 + 5, used;
    char *text = malloc(room);

    if (text)
        text[0] = '\0'; /* of no bytes, the encoder writes none */
    if (text && is_base64 &&
        mbedtls_base64_encode((uint8_t *)text, room, &used, (const uint8_t *)data, entry->bytes) ==
            0)
        cJSON_AddStringToObject(item, "content_base64", text);
    if (text && !is_base64) {
        memcpy(text, data, entry->bytes);
        text[entry->bytes] = '\0';
        cJSON_AddStringToObject(item, "content", text);
    }
    free(text);
}

static void add_file(cJSON *list, const struct skep_files *pack,
                     const struct skep_files_entry *entry, enum files_form form)
{
    bool is_secret = entry->flags & SKEP_FILE_SECRET;
    cJSON *item = cJSON_CreateObject();
    char path[FILES_PATH_MAX + 1];

    snprintf(path, sizeof(path), "/%s", path_of(pack, entry));
    cJSON_AddStringToObject(item, "path", path);
    cJSON_AddBoolToObject(item, "secret", is_secret);
    if (form == FILES_WHOLE || (form == FILES_PUBLIC && !is_secret))
        add_content(item, pack, entry);
    cJSON_AddItemToArray(list, item);
}

static cJSON *pack_to_json(const struct skep_files *pack, enum files_form form)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t i = 0; pack && i < pack->count; i++)
        add_file(list, pack, &pack->entries[i], form);
    return list;
}

cJSON *files_to_json(uint64_t image, enum files_form form)
{
    struct skep_files *pack = read_pack(image);
    cJSON *list = pack_to_json(pack, form);

    free(pack);
    return list;
}

cJSON *files_packed_to_json(const struct files *files, enum files_form form)
{
    return pack_to_json((const struct skep_files *)(const void *)files->data, form);
}
