/* spec_label.h - the labels of a guest's spec: the client's own words about it, by which lists select. */
#ifndef CONTROL_SPEC_LABEL_H
#define CONTROL_SPEC_LABEL_H

#include <stdbool.h>

#include <cJSON.h>

#include "problem.h"
#include "spec.h"

#define SPEC_LABELS_MAX 16u
#define SPEC_LABEL_MAX  63u /* bytes of a name, and of a value */
#define SPEC_LABEL_TEXT (2 * SPEC_LABEL_MAX + 2)

/* The field `labels` (NULL = none), which comes last among a spec's strings: "NAME=value", sorted. 0, or -1 and the
 * problem. */
int spec_take_labels(const cJSON *item, struct spec *spec, struct problem *p);
void spec_labels_to_json(cJSON *object, const struct spec *spec);

/* Whether it has this label, "NAME=value". */
bool spec_has_label(const struct spec *spec, const char *label);

#endif
