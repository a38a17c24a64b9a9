/*
 * region.h - the part of a disk that Skep's own state is kept on. Which disk that is, its format decides.
 */
#ifndef CONTROL_REGION_H
#define CONTROL_REGION_H

#include "bdev.h"

/* NULL if there is none yet. From then on it is the same as long as the service runs; a new one reads as zeroes. */
struct bdev *system_region(void);

/* What the disk is called; valid if there is a region. */
const char *system_disk_id(void);

#endif
