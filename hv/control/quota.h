/*
 * quota.h - whether the caller of this thread has enough left of its quotas (access.h).
 *
 * What is taken is the sum over all guests and volumes that its prefix covers, whoever made them. What doesn't grow is
 * always permitted. 0, or -1 and the problem.
 */
#ifndef CONTROL_QUOTA_H
#define CONTROL_QUOTA_H

#include <stdint.h>

#include "problem.h"
#include "spec.h"

/* The guest is to have this spec instead of the old one (NULL = there is no such guest yet). Holds the model's lock. */
int quota_check_guest(const struct spec *spec, const struct spec *old, struct problem *p);

/* Volumes are to have so many bytes more. Holds the storage's lock. */
int quota_check_volume(uint64_t more_bytes, struct problem *p);

#endif
