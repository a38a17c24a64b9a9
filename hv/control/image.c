/* image.c - images. */
#include "image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "core.h"
#include "elf_image.h"
#include "events.h"
#include "files.h"
#include "guest.h"
#include "hex.h"
#include "json.h"
#include "log.h"
#include "persist.h"
#include "points.h"
#include "skep_tls.h"
#include "symbols.h"

#define MANIFEST_MAGIC 0x31464d50454b53ull /* "SKEPMF1" */

/* The last page of an image. */
struct manifest {
    uint64_t magic;
    uint64_t sequence, size, stack_bytes, uploaded_wall_ns;
    uint32_t symbol_page, symbol_count;
    uint64_t stack_reserved;
    uint8_t image_digest[32];
    char name[SKEP_NAME_MAX];
    uint8_t digest[32]; /* SHA-256 of all above */
};
_Static_assert(sizeof(struct manifest) <= SKEP_PAGE_SIZE, "one page");

static struct image *images;
static uint64_t last_sequence;

static void manifest_digest(const struct manifest *m, uint8_t digest[32])
{
    tls_sha256(m, offsetof(struct manifest, digest), digest);
}

struct image *image_first(void)
{
    return images;
}

struct image *image_find(const char *name)
{
    struct image *image = images;

    while (image && strcmp(image->name, name) != 0)
        image = image->next;
    return image;
}

struct image *image_by_handle(uint64_t handle)
{
    struct image *image = images;

    while (image && image->handle != handle)
        image = image->next;
    return image;
}

const char *image_name(uint64_t handle)
{
    const struct image *image = image_by_handle(handle);
    return image ? image->name : "";
}

bool image_same(const struct image *image, const uint8_t digest[32])
{
    return memcmp(image->digest, digest, 32) == 0;
}

void image_insert(struct image *image)
{
    struct image **at = &images;

    while (*at && strcmp((*at)->name, image->name) < 0)
        at = &(*at)->next;
    image->next = *at;
    *at = image;
}

static void unlink_image(struct image *image)
{
    struct image **at = &images;

    while (*at != image)
        at = &(*at)->next;
    *at = image->next;
}

/*
 * Building
 */

/* Pages of a segment that have bytes of the file. */
static uint32_t file_pages(const struct elf_segment *s)
{
    if (s->file_bytes == 0)
        return 0;
    return (uint32_t)((s->address % SKEP_PAGE_SIZE + s->file_bytes + SKEP_PAGE_SIZE - 1) /
                      SKEP_PAGE_SIZE);
}

static void make_spec(struct skep_image_spec *spec, const struct elf_image *elf, const char *name)
{
    memset(spec, 0, sizeof(*spec));
    spec->entry_offset = elf->entry - elf->base;
    spec->segment_count = elf->segment_count;
    memcpy(spec->name, name, strlen(name) + 1);
    for (uint32_t i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *from = &elf->segments[i];
        struct skep_image_segment *to = &spec->segments[i];
        uint64_t lead = from->address % SKEP_PAGE_SIZE;
        uint64_t all = (lead + from->memory_bytes + SKEP_PAGE_SIZE - 1) / SKEP_PAGE_SIZE;

        to->va_offset = from->address - lead - elf->base;
        to->first_page = spec->page_count;
        to->page_count = file_pages(from);
        to->zero_pages = (uint32_t)all - to->page_count;
        to->prot = from->prot;
        spec->page_count += to->page_count;
    }
}

/* The page as a guest sees it: the file's bytes, and zeroes around them. */
static void make_page(uint8_t page[SKEP_PAGE_SIZE], const struct elf_segment *s, uint32_t index,
                      const uint8_t *elf)
{
    uint64_t lead = s->address % SKEP_PAGE_SIZE, start = (uint64_t)index * SKEP_PAGE_SIZE;
    uint64_t first = start > lead ? start - lead : 0; /* in the segment's bytes */
    uint64_t skip = start > lead ? 0 : lead;
    uint64_t bytes = s->file_bytes - first;

    if (bytes > SKEP_PAGE_SIZE - skip)
        bytes = SKEP_PAGE_SIZE - skip;
    memset(page, 0, SKEP_PAGE_SIZE);
    memcpy(page + skip, elf + s->offset + first, bytes);
}

static int64_t write_segments(uint64_t handle, const struct skep_image_spec *spec,
                              const struct elf_image *elf, const uint8_t *data)
{
    uint8_t page[SKEP_PAGE_SIZE];

    for (uint32_t i = 0; i < spec->segment_count; i++) {
        for (uint32_t k = 0; k < spec->segments[i].page_count; k++) {
            make_page(page, &elf->segments[i], k, data);
            int64_t result =
                core_image_write(handle, spec->segments[i].first_page + k, page, sizeof(page));
            if (result != 0)
                return result;
        }
    }
    return 0;
}

static int64_t write_symbols(const struct image *image, const struct symbol *table)
{
    for (uint32_t i = 0; i < image->symbol_count; i += SYMBOLS_PER_PAGE) {
        struct symbol page[SYMBOLS_PER_PAGE] = {0};
        uint32_t left = image->symbol_count - i;
        uint32_t count = left < SYMBOLS_PER_PAGE ? left : (uint32_t)SYMBOLS_PER_PAGE;

        memcpy(page, table + i, count * sizeof(*table));
        int64_t result = core_image_write(
            image->handle, image->symbol_page + i / (uint32_t)SYMBOLS_PER_PAGE, page, sizeof(page));
        if (result != 0)
            return result;
    }
    return 0;
}

static int64_t write_manifest(const struct image *image, uint32_t page_index)
{
    union {
        struct manifest m;
        uint8_t page[SKEP_PAGE_SIZE];
    } u = {.page = {0}};

    u.m.magic = MANIFEST_MAGIC;
    u.m.sequence = image->sequence;
    u.m.size = image->size;
    u.m.stack_bytes = image->stack_bytes;
    u.m.stack_reserved = image->stack_reserved;
    u.m.uploaded_wall_ns = image->uploaded_wall_ns;
    u.m.symbol_page = image->symbol_page;
    u.m.symbol_count = image->symbol_count;
    memcpy(u.m.image_digest, image->digest, 32);
    memcpy(u.m.name, image->name, sizeof(image->name));
    manifest_digest(&u.m, u.m.digest);
    return core_image_write(image->handle, page_index, u.page, sizeof(u.page));
}

static int core_problem(struct problem *p, int64_t result, const struct skep_image_spec *spec)
{
    struct skep_host_info info;

    if (result == -SKEP_ENOMEM && core_host_info(&info) == 0)
        return problem_set(p, 409,
                           "The image needs %" PRIu64 " bytes, but only %" PRIu64
                           " are free: delete images or guests first.",
                           (uint64_t)spec->page_count * SKEP_PAGE_SIZE, info.memory_free);
    if (result == -SKEP_ENOSPC)
        return problem_set(p, 409, "There are too many images: delete some first.");
    return problem_set(p, 422, "The core refuses the image (error %d).", (int)-result);
}

static int fill_image(struct image *image, struct skep_image_spec *spec,
                      const struct elf_image *elf, const uint8_t *data,
                      const struct symbol *symbols, struct problem *p)
{
    int64_t result;

    image->symbol_page = spec->page_count;
    spec->page_count += (image->symbol_count + (uint32_t)SYMBOLS_PER_PAGE - 1) / SYMBOLS_PER_PAGE;
    spec->page_count++;
    result = core_image_create(spec);
    if (result < 0)
        return core_problem(p, result, spec);
    image->handle = (uint64_t)result;
    commit_point(POINT_IMAGE_CREATED);
    if ((result = write_segments(image->handle, spec, elf, data)) != 0 ||
        (result = write_symbols(image, symbols)) != 0 ||
        (result = write_manifest(image, spec->page_count - 1)) != 0)
        goto fail;
    commit_point(POINT_IMAGE_WRITTEN);
    if ((result = core_image_seal(image->handle)) != 0)
        goto fail;
    commit_point(POINT_IMAGE_SEALED);
    return 0;
fail:
    core_image_destroy(image->handle);
    return core_problem(p, result, spec);
}

struct image *image_build(const char *name, const uint8_t *data, size_t bytes, struct problem *p)
{
    struct elf_image elf;
    struct skep_image_spec spec;
    const char *error = elf_image_check(&elf, data, bytes);
    struct image *image;
    struct symbol *symbols;
    int result;

    if (error) {
        problem_set(p, 422, "The image %s.", error);
        return NULL;
    }
    image = calloc(1, sizeof(*image));
    if (!image) {
        problem_set(p, 503, "There is no memory for the request now; try again.");
        return NULL;
    }
    memcpy(image->name, name, strlen(name) + 1);
    image->size = bytes;
    image->stack_bytes = elf.stack_bytes;
    image->stack_reserved = elf.stack_reserved;
    image->sequence = ++last_sequence;
    image->uploaded_wall_ns = core_wall_ns();
    tls_sha256(data, bytes, image->digest);
    make_spec(&spec, &elf, name);
    symbols = symbols_collect(&elf, data, &image->symbol_count);
    result = fill_image(image, &spec, &elf, data, symbols, p);
    free(symbols);
    if (result == 0)
        return image;
    free(image);
    return NULL;
}

void image_discard(struct image *image)
{
    core_image_destroy(image->handle);
    free(image);
}

/*
 * The table
 */

/* Also one that has ended, until it is destroyed. */
static bool is_used_in_core(const struct image *image)
{
    struct skep_image_info info;

    /* The one after its predecessor, of which only the index matters. */
    return core_image_next((uint32_t)image->handle - 1, &info) == (int64_t)image->handle &&
           info.users != 0;
}

static int check_unused(const struct image *image, struct problem *p)
{
    if (!image->users && !is_used_in_core(image))
        return 0;
    return problem_set(p, 409, "Image '%s' is in use by guest '%s': delete that first.",
                       image->name,
                       image->users ? access_shown(image->users->name) : "(one that is ending)");
}

/* One that nobody uses. */
static void forget(struct image *image)
{
    int64_t result = core_image_destroy(image->handle);

    if (result != 0 && result != -SKEP_ENOENT)
        log_line("image '%s' can't be destroyed (error %d)", image->name, (int)-result);
    commit_point(POINT_IMAGE_DELETED);
    unlink_image(image);
    free(image);
}

int image_remove(struct image *image, struct problem *p)
{
    if (check_unused(image, p) != 0)
        return -1;
    audit_expect(204);
    audit_before(image_to_json(image));
    if (image_unkeep(image, p) != 0)
        return -1;
    commit_point(POINT_IMAGE_UNKEPT);
    image_unkeep_file(image);
    events_add(EVENT_IMAGES, "deleted", image->name, audit_caller(), "%s", "");
    forget(image);
    return 0;
}

int image_end(struct image *image, struct problem *p)
{
    if (check_unused(image, p) != 0)
        return -1;
    forget(image);
    return 0;
}

static void tell(const struct image *image, const char *type)
{
    char digest[2 * sizeof(image->digest) + 1];

    hex_format(digest, image->digest, sizeof(image->digest));
    events_add(EVENT_IMAGES, type, image->name, audit_caller(),
               "\"digest\":\"sha256:%s\",\"size\":%" PRIu64, digest, image->size);
}

int image_publish(struct image *image, struct problem *p)
{
    struct image *old = image_find(image->name);

    if ((old && check_unused(old, p) != 0) || image_keep(image, p) != 0)
        return -1;
    commit_point(POINT_IMAGE_KEPT);
    if (old) {
        if (!image_same(old, image->digest))
            image_unkeep_file(old);
        forget(old);
    }
    image_insert(image);
    tell(image, "uploaded");
    guest_image_published(image);
    return 0;
}

int image_set_labels(struct image *image, const char labels[LABELS_BYTES], struct problem *p)
{
    struct image changed = *image;

    if (memcmp(image->labels, labels, LABELS_BYTES) == 0) {
        audit_idle();
        return 0;
    }
    memcpy(changed.labels, labels, LABELS_BYTES);
    audit_before(image_to_json(image));
    audit_after(image_to_json(&changed));
    /* One whose file isn't on the disk has no record there. */
    if (image->kept || !persist_is_open()) {
        audit_expect(200);
        if (image_keep(&changed, p) != 0)
            return -1;
    }
    memcpy(image->labels, labels, LABELS_BYTES);
    tell(image, "changed");
    return 0;
}

cJSON *image_to_json(const struct image *image)
{
    char digest[7 + 64 + 1] = "sha256:";
    cJSON *json = cJSON_CreateObject();

    hex_format(digest + 7, image->digest, 32);
    cJSON_AddStringToObject(json, "name", image->name);
    cJSON_AddStringToObject(json, "digest", digest);
    json_add_integer(json, "size", image->size);
    json_add_time(json, "uploaded_at", image->uploaded_wall_ns);
    labels_to_json(cJSON_AddObjectToObject(json, "labels"), image->labels, sizeof(image->labels));
    return json;
}

/*
 * Adoption
 */

static bool read_manifest(struct image *image, uint64_t handle, const struct skep_image_info *info)
{
    union {
        struct manifest m;
        uint8_t page[SKEP_PAGE_SIZE];
    } u;
    uint8_t digest[32];

    if (core_image_read(handle, info->spec.page_count - 1, u.page, sizeof(u.page)) != 0)
        return false;
    manifest_digest(&u.m, digest);
    u.m.name[SKEP_NAME_MAX - 1] = '\0';
    if (u.m.magic != MANIFEST_MAGIC || memcmp(digest, u.m.digest, 32) != 0 || !name_valid(u.m.name))
        return false;
    image->handle = handle;
    image->sequence = u.m.sequence;
    image->size = u.m.size;
    image->stack_bytes = u.m.stack_bytes;
    image->stack_reserved = u.m.stack_reserved != 0;
    image->uploaded_wall_ns = u.m.uploaded_wall_ns;
    image->symbol_page = u.m.symbol_page;
    image->symbol_count = u.m.symbol_count;
    memcpy(image->digest, u.m.image_digest, 32);
    memcpy(image->name, u.m.name, sizeof(image->name));
    return true;
}

/* Whether the image stays: it is in the table now, or has a guest's files. */
static bool adopt(uint64_t handle, const struct skep_image_info *info)
{
    struct image *image;

    if (files_is_image(info))
        return true;
    image = calloc(1, sizeof(*image));
    if (!image || !info->sealed || !read_manifest(image, handle, info)) {
        log_line("image '%.63s' was not completed and is destroyed", info->spec.name);
        core_image_destroy(handle);
        free(image);
        return false;
    }
    if (image->sequence > last_sequence)
        last_sequence = image->sequence;
    image_insert(image);
    return true;
}

/* Of two with one name: the disk's, or else the later one. */
static bool is_first_good(const struct image *first, const struct image *second)
{
    if (image_is_kept(first->name, first->digest))
        return true;
    return first->sequence > second->sequence && !image_is_kept(second->name, second->digest);
}

/* Of two with one name, which are neighbours, one was about to be destroyed. */
static void settle_namesakes(void)
{
    struct image **at = &images;

    while (*at && (*at)->next) {
        struct image *first = *at, *second = first->next;
        if (strcmp(first->name, second->name) != 0) {
            at = &first->next;
            continue;
        }
        log_line("of two images '%s' one is destroyed", first->name);
        if (!is_first_good(first, second)) {
            *at = second;
            image_discard(first);
        } else {
            first->next = second->next;
            image_discard(second);
        }
    }
}

void image_adopt_all(void)
{
    struct skep_image_info info;
    uint64_t adopted = 0;
    int64_t handle;

    while ((handle = core_image_next(adopted, &info)) > 0)
        if (adopt((uint64_t)handle, &info))
            adopted = (uint64_t)handle;
    settle_namesakes();
}

void image_forget_all(void)
{
    while (images) {
        struct image *next = images->next;
        free(images);
        images = next;
    }
}
