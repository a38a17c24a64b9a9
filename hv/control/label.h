/*
 * label.h - labels of guests, volumes, images and apps: the client's own words about them, by which lists select.
 *
 * They are kept as texts, "NAME=value", sorted by name, each ended by a NUL, one behind the other: those of guests among
 * the strings of their specs, those of volumes and images in a field of LABELS_BYTES, which has zeroes behind them.
 *
 * Any thread may call any function. What fails is -1, and the problem says what to change.
 */
#ifndef CONTROL_LABEL_H
#define CONTROL_LABEL_H

#include <stdbool.h>
#include <stddef.h>

#include <cJSON.h>

#include "problem.h"
#include "spec.h"

#define LABELS_MAX  16u
#define LABEL_MAX   63u                 /* bytes of a name, and of a value */
#define LABEL_TEXT  (2 * LABEL_MAX + 2) /* bytes of a text, with its NUL */
#define LABELS_TEXT (LABELS_MAX * LABEL_TEXT)

/* Of a volume, or an image; the last one is a zero. */
#define LABELS_BYTES 256u

/* The field `labels` of a body (NULL = none) as texts; *bytes is how many they have. 422: they are no labels, or too
 * many. */
int labels_read(const cJSON *item, char texts[LABELS_TEXT], size_t *bytes, struct problem *p);

/* The texts in the first `bytes`, or up to an empty one, added to an object. */
void labels_to_json(cJSON *object, const char *texts, size_t bytes);

/* Whether they have all labels that a list's query asks for, each as `label=NAME=value`. */
bool labels_are_wanted(const char *query, const char *texts, size_t bytes);

/* The field of a volume or image: as a PUT has it, and as a PATCH (a merge patch, RFC 7396) changes it. 422: as above, or
 * there is no room for them; then it is as it was. */
int labels_take(const cJSON *item, char labels[LABELS_BYTES], struct problem *p);
int labels_patch(const cJSON *patch, char labels[LABELS_BYTES], struct problem *p);

/* The field `labels` of a spec (NULL = none), which comes last among its strings. */
int spec_take_labels(const cJSON *item, struct spec *spec, struct problem *p);
void spec_labels_to_json(cJSON *object, const struct spec *spec);
bool spec_is_wanted(const char *query, const struct spec *spec);

#endif
