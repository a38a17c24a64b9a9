/* region_none.c - without a disk format no disk has a part for Skep's own state. */
#include "region.h"

#include <stddef.h>

struct bdev *system_region(void)
{
    return NULL;
}

const char *system_disk_id(void)
{
    return "";
}
