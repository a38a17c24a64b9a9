/*
 * virtio_blk.h - the driver of virtio disks (Virtio 1.2, section 5.2).
 */
#ifndef DRIVERS_VIRTIO_BLK_H
#define DRIVERS_VIRTIO_BLK_H

#include "drivers/disk.h"
#include "drivers/pci.h"

/* Starts the disk at this PCI function; NULL when it is none, or (with a line in the log) when it can't be used. The client
 * is called from when its disk->index is set: the caller numbers the disk before anything is submitted. Boot CPU. */
struct disk *virtio_blk_start(const struct pci_device *pci, const struct disk_client *client);

#endif
