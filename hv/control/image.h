/*
 * image.h - uploaded images: their table, how they get into ring 0's pages, and what is read back.
 *
 * Ring 0 keeps images, also while this service is restarted. After the pages that a guest sees come
 * pages that no segment names: the table of function names, and last the manifest, from which a new
 * service learns what it adopts. All functions but image_build, image_discard, image_put and
 * image_keep_file are called with the model's lock held.
 */
#ifndef CONTROL_IMAGE_H
#define CONTROL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "label.h"
#include "problem.h"
#include "skep/control.h"

struct image {
    struct image *next;  /* by name */
    struct guest *users; /* guests whose specs name it (guest_table.c) */
    uint64_t handle;
    uint64_t sequence; /* grows with each upload: of two with one name the later counts */
    uint64_t size;     /* bytes of the file */
    uint64_t stack_bytes;
    bool stack_reserved;
    uint64_t uploaded_wall_ns;
    uint32_t symbol_page, symbol_count;
    uint8_t digest[32];
    bool kept; /* on the disk */
    char name[SKEP_NAME_MAX];
    char labels[LABELS_BYTES]; /* label.h; an upload of another file leaves them */
};

/* Learns the images that ring 0 holds; ends those that were never completed or were replaced. */
void image_adopt_all(void);

/* Empties the table; ring 0 keeps what it has. For tests of restarts. */
void image_forget_all(void);

/* Makes a sealed image of an ELF file, not yet in the table; NULL and the problem if it can't be.
 * Needs no lock, since only the core knows of it. */
struct image *image_build(const char *name, const uint8_t *elf, size_t bytes, struct problem *p);
void image_discard(struct image *image);

/* Puts a built image, whose file is kept, into the table, in the place of its namesake. 0, or -1 and the problem (and
 * the image is still the caller's): the namesake is in use, or the disk doesn't take it. */
int image_publish(struct image *image, struct problem *p);
int image_remove(struct image *image, struct problem *p);

/* Ends one without a look at the disk; -1 and the problem: it is in use. */
int image_end(struct image *image, struct problem *p);

/*
 * On the disk (image_disk.c): the file as it was uploaded, and a record that names it. The image is there while its
 * record is. Without a disk all of them do nothing, and succeed.
 */

/* The file comes first, then the record: 0, or -1 and the problem. The file needs no lock. */
int image_keep_file(const char *name, const uint8_t digest[32], const uint8_t *elf, size_t bytes,
                    struct problem *p);
int image_keep(struct image *image, struct problem *p);

/* The record first; then the file, of which another try is made at the next start. */
int image_unkeep(const struct image *image, struct problem *p);
void image_unkeep_file(const struct image *image);

/* Only the record, for an image whose file is kept: -1 if that isn't there, or the disk refuses. */
int image_keep_record(const char *name, const uint8_t digest[32], uint64_t uploaded_wall_ns,
                      const char labels[LABELS_BYTES], struct problem *p);

/* The file itself, which the caller frees; NULL if it can't be read, or there is no memory. */
uint8_t *image_read_file(const char *name, const uint8_t digest[32], size_t *bytes);

/* Whether the disk's record of this name has this digest. */
bool image_is_kept(const char *name, const uint8_t digest[32]);

/* After image_adopt_all(): makes the images again that are on the disk only, and ends those that aren't on it and that
 * no guest uses: their uploads were never answered, if the disk was there at the time. What can't be read is told and left aside. */
void image_load_kept(void);
void image_insert(struct image *image);

/* Asked with the lock held whether an upload may become what is there (NULL = nothing): 0, or -1 and the problem of the
 * upload. */
struct image_guard {
    int (*check)(void *context, const struct image *there);
    void *context;
};

/* All that an upload does: 201, or 200 if it was there already, with the image as JSON, or -1 and the problem. Without
 * the lock, which it takes; one at a time. guard NULL = it may in any case. */
int image_put(const char *name, const uint8_t *elf, size_t bytes, const struct image_guard *guard,
              cJSON **json, struct problem *p);

/* What that would do, with "change": 200, or -1 and the problem. Nothing is changed. */
int image_foresee(const char *name, const uint8_t *elf, size_t bytes,
                  const struct image_guard *guard, cJSON **json, struct problem *p);

struct image *image_find(const char *name);
const char *image_name(uint64_t handle); /* "" if unknown */
struct image *image_by_handle(uint64_t handle);
struct image *image_first(void);

/* Gives it these labels: 0, or -1 and the problem (the disk doesn't take them). Those of an image that isn't on the disk
 * are only in memory. The audit record and the event are made. */
int image_set_labels(struct image *image, const char labels[LABELS_BYTES], struct problem *p);

cJSON *image_to_json(const struct image *image);

/* Whether a file with this digest is there already. */
bool image_same(const struct image *image, const uint8_t digest[32]);

#endif
