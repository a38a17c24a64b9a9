/*
 * region.h - the part of a disk that Skep's own state is kept on. Which disk that is, its format decides.
 */
#ifndef CONTROL_REGION_H
#define CONTROL_REGION_H

#include <stdbool.h>

#include "bdev.h"

/* NULL if there is none yet. From then on it is the same, until its disk is formatted anew; a new one reads as zeroes. */
struct bdev *system_region(void);

/* Whether something may be written to it: not to that of a damaged disk. Valid if there is a region. */
bool system_is_writable(void);

/* What the disk is called; valid if there is a region. */
const char *system_disk_id(void);

#endif
