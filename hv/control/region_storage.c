/* region_storage.c - Skep's own state is on the first disk of Skep's. */
#include "region.h"

#include <stddef.h>

#include "storage.h"

struct bdev *system_region(void)
{
    return storage_system_region();
}

bool system_is_writable(void)
{
    return storage_system_is_writable();
}

const char *system_disk_id(void)
{
    return storage_system_id();
}
