/*
 * image_disk.c - images on the disk.
 *
 * The record "images/NAME" holds the digest, and so names the file "files/NAME.DIGEST". A file that no record names is
 * that of an upload which was cut off, or of an image that was replaced or deleted: it goes at the next start.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "elf_image.h"
#include "image.h"
#include "log.h"
#include "persist.h"
#include "restore.h"
#include "skep/abi.h"
#include "spec.h"

#define IMAGES     "images/"
#define FILES      "files/"
#define KEPT_BYTES (sizeof(FILES) + SKEP_NAME_MAX + 64 + 1)

/* Of version 1 are those without labels, which is all that Skeps knew before there were any. */
enum { RECORD_PLAIN = 1, RECORD_LABELLED };

struct image_record {
    uint32_t version, reserved;
    uint64_t uploaded_wall_ns;
    uint8_t digest[32];
    char labels[LABELS_BYTES];
};

static size_t record_bytes(const struct image_record *record)
{
    return record->version == RECORD_PLAIN ? offsetof(struct image_record, labels)
                                           : sizeof(*record);
}

static void record_name(const char *name, char text[KEPT_BYTES])
{
    snprintf(text, KEPT_BYTES, IMAGES "%s", name);
}

static void file_name(const char *name, const uint8_t digest[32], char text[KEPT_BYTES])
{
    size_t n = (size_t)snprintf(text, KEPT_BYTES, FILES "%s.", name);

    for (unsigned i = 0; i < 32; i++)
        n += (size_t)snprintf(text + n, KEPT_BYTES - n, "%02x", digest[i]);
}

/* 0, or -SKEP_ENOENT if there is none, or another error. */
static int read_record(const char *name, struct image_record *record)
{
    char text[KEPT_BYTES];
    int64_t n;

    *record = (struct image_record){.version = 0};
    record_name(name, text);
    n = persist_get(text, record, sizeof(*record));
    if (n < 0)
        return (int)n;
    return (record->version == RECORD_PLAIN || record->version == RECORD_LABELLED) &&
                   n == (int64_t)record_bytes(record) && record->labels[LABELS_BYTES - 1] == '\0'
               ? 0
               : -SKEP_EIO;
}

bool image_is_kept(const char *name, const uint8_t digest[32])
{
    struct image_record record;

    return read_record(name, &record) == 0 && memcmp(record.digest, digest, 32) == 0;
}

int image_keep_file(const char *name, const uint8_t digest[32], const uint8_t *elf, size_t bytes,
                    struct problem *p)
{
    char text[KEPT_BYTES];

    file_name(name, digest, text);
    return persist_put(text, elf, bytes, p);
}

int image_keep_record(const char *name, const uint8_t digest[32], uint64_t uploaded_wall_ns,
                      const char labels[LABELS_BYTES], struct problem *p)
{
    struct image_record record = {.version = *labels ? RECORD_LABELLED : RECORD_PLAIN,
                                  .uploaded_wall_ns = uploaded_wall_ns};
    char text[KEPT_BYTES];

    /* A deletion of its namesake may have taken the file along meanwhile. */
    file_name(name, digest, text);
    if (persist_is_open() && persist_get(text, NULL, 0) < 0)
        return problem_set(p, 503, "The image was deleted while it was uploaded; try again.");
    memcpy(record.digest, digest, 32);
    memcpy(record.labels, labels, sizeof(record.labels));
    record_name(name, text);
    return persist_put(text, &record, record_bytes(&record), p);
}

int image_keep(struct image *image, struct problem *p)
{
    if (image_keep_record(image->name, image->digest, image->uploaded_wall_ns, image->labels, p) !=
        0)
        return -1;
    image->kept = persist_is_open();
    return 0;
}

int image_unkeep(const struct image *image, struct problem *p)
{
    char text[KEPT_BYTES];

    record_name(image->name, text);
    return persist_delete(text, p);
}

void image_unkeep_file(const struct image *image)
{
    char text[KEPT_BYTES];
    struct problem ignored;

    file_name(image->name, image->digest, text);
    persist_delete(text, &ignored);
}

/*
 * At the start
 */

uint8_t *image_read_file(const char *name, const uint8_t digest[32], size_t *bytes)
{
    char text[KEPT_BYTES];
    uint8_t *data = NULL;
    int64_t n;

    file_name(name, digest, text);
    n = persist_get(text, NULL, 0);
    if (n > 0 && n <= ELF_FILE_MAX)
        data = malloc((size_t)n);
    if (data && persist_get(text, data, (size_t)n) != n) {
        free(data);
        data = NULL;
    }
    *bytes = data ? (size_t)n : 0;
    return data;
}

static struct image *build(const char *name, const struct image_record *record, struct problem *p)
{
    struct image *image = NULL;
    size_t bytes;
    uint8_t *data = image_read_file(name, record->digest, &bytes);

    if (!data)
        problem_set(p, 500, "Its file can't be read.");
    else
        image = image_build(name, data, bytes, p);
    free(data);
    if (image && !image_same(image, record->digest)) {
        problem_set(p, 500, "Its file is another one.");
        image_discard(image);
        image = NULL;
    }
    return image;
}

static void load(const char *name)
{
    struct image *image = image_find(name);
    struct image_record record;
    struct problem p;

    if (!name_valid(name))
        return;
    if (read_record(name, &record) != 0) {
        log_line("image '%s' is left aside: its record can't be read", name);
    } else if (image) {
        image->kept = image_same(image, record.digest);
        if (image->kept)
            memcpy(image->labels, record.labels, sizeof(image->labels));
    } else if ((image = build(name, &record, &p)) != NULL) {
        image->uploaded_wall_ns = record.uploaded_wall_ns;
        memcpy(image->labels, record.labels, sizeof(image->labels));
        image->kept = true;
        image_insert(image);
    } else {
        log_line("image '%s' is left aside: %s", name, p.detail);
    }
}

static void end_unkept(void)
{
    struct image *next;
    struct problem p;

    for (struct image *image = image_first(); image; image = next) {
        next = image->next;
        if (!image->kept && (!persist_is_complete() || image_end(image, &p) != 0))
            log_line("image '%s' is not on the disk: upload it again", image->name);
    }
}

/* "files/NAME.DIGEST": whether a record names it, or may do. */
static bool is_named(const char *text)
{
    char name[SKEP_NAME_MAX], expected[KEPT_BYTES];
    const char *start = text + strlen(FILES);
    size_t bytes = strcspn(start, ".");
    struct image_record record;
    int result;

    if (bytes >= sizeof(name))
        return false;
    memcpy(name, start, bytes);
    name[bytes] = '\0';
    result = read_record(name, &record);
    if (result != 0)
        return result != -SKEP_ENOENT;
    file_name(name, record.digest, expected);
    return strcmp(expected, text) == 0;
}

static void delete_files(void)
{
    char *files = persist_list(FILES);
    struct problem ignored;

    for (const char *text = files; text && *text; text += strlen(text) + 1)
        if (!is_named(text))
            persist_delete(text, &ignored);
    free(files);
}

void image_load_kept(void)
{
    char *names = persist_list(IMAGES);

    if (names) {
        for (const char *kept = names; *kept; kept += strlen(kept) + 1)
            load(kept + strlen(IMAGES));
        end_unkept();
        /* A restore that waits for the machine's start needs files that no record names yet. */
        if (persist_get(RESTORE_VALUE, NULL, 0) < 0)
            delete_files();
    }
    free(names);
}
