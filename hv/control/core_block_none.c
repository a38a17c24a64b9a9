/* core_block_none.c - in the place of core_block.c while guestlib has no block devices: the service sees no disks. */
#include "bdev.h"
#include "core.h"

struct bdev *core_disk_bdev(uint32_t disk)
{
    (void)disk;
    return NULL;
}
