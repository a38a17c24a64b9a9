/*
 * files.h - the files of guests' specs: configuration and secrets.
 *
 * They are packed (<skep/files.h>) into an image of ring 0's, which holds nothing else and is called as the guest: so
 * they outlive this service, cost it no memory, and are mapped into the guest as they are. A guest's record names its
 * image by handle; one that none names is destroyed at the next start. The spec has the pack's digest, which makes one
 * spec another. What an entry without content means is that content stays as it is.
 *
 * All functions but files_free are called with the model's lock held.
 */
#ifndef CONTROL_FILES_H
#define CONTROL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "problem.h"
#include "spec.h"

#define FILES_MAX       32u
#define FILES_PATH_MAX  255u
#define FILES_BYTES_MAX 32768u /* of all contents together */

struct skep_image_info;

/* A pack in memory, in whole pages. */
struct files {
    uint8_t *data; /* NULL = no files */
    size_t bytes;
};

/* Checks and packs the field `files` (NULL = none), and notes it in the spec, all other fields of which are there. What
 * has no content takes it from the pack in image `current` (0 = there is none). 0, or -1 and the problem; the caller
 * frees the files. */
int files_take(const cJSON *list, uint64_t current, struct spec *spec, struct files *files,
               struct problem *p);
void files_free(struct files *files);

/* Makes an image of them; 0 = of none. -1 and the problem. */
int files_create(const char *guest, const struct files *files, uint64_t *image, struct problem *p);

/* Destroys an image. False: a guest has it still. Of 0 nothing. */
bool files_destroy(uint64_t image);

/* Whether an image of ring 0's is one of files. */
bool files_is_image(const struct skep_image_info *info);

/* How much is shown. */
enum files_form {
    FILES_PATHS,  /* no content */
    FILES_PUBLIC, /* content that is no secret */
    FILES_WHOLE,  /* all of it, for the disk */
};
cJSON *files_to_json(uint64_t image, enum files_form form);
cJSON *files_packed_to_json(const struct files *files, enum files_form form);

#endif
