/* spec_volume.h - the part of a guest's specification that is about volumes; for spec.c and guest_core.c. */
#ifndef CONTROL_SPEC_VOLUME_H
#define CONTROL_SPEC_VOLUME_H

#include <stddef.h>

#include <cJSON.h>

#include "problem.h"
#include "spec.h"

/* All but the mount points, which are strings of the spec and come last: spec_take_mounts() is called after args and env. */
int spec_take_volumes(const cJSON *item, struct spec *spec, struct problem *p);
int spec_take_mounts(const cJSON *item, struct spec *spec, struct problem *p);

void spec_volumes_to_json(cJSON *list, const struct spec *spec);

/* The mount point that a file's path lies in, or is in the way of; NULL = none. */
const char *spec_mount_at(const struct spec *spec, const char *path);

/* Bytes of args and env alone. */
size_t spec_env_bytes(const struct spec *spec);

/* "SKEP_MOUNTS=db:/data:format,www:/srv:ro", which tells the guest what to mount; its bytes with the NUL, or 0 if nothing is to
 * be mounted. At most `room`, of which SPEC_STRINGS_MAX * 2 is always enough. */
#define SPEC_MOUNTS_NAME "SKEP_MOUNTS"
size_t spec_mounts_text(const struct spec *spec, char *text, size_t room);

#endif
