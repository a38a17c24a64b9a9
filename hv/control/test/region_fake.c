/* region_fake.c - the disk of the fake machine. */
#include "region.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "test/fake.h"
#include "test/ram_disk.h"

static struct ram_disk disk;

void fake_set_disk(void *data, uint64_t bytes)
{
    if (!data && bytes)
        data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        abort();
    if (disk.dev.bytes)
        munmap(disk.data, disk.dev.bytes);
    ram_disk_reset(&disk);
    ram_disk_init(&disk, data, bytes);
}

struct ram_disk *fake_disk(void)
{
    return &disk;
}

struct bdev *system_region(void)
{
    return disk.dev.bytes ? &disk.dev : NULL;
}

bool system_is_writable(void)
{
    return true;
}

const char *system_disk_id(void)
{
    return "fake-disk";
}
