/* probe.h - what is on a disk, before anything is written to it. */
#ifndef CONTROL_STORAGE_PROBE_H
#define CONTROL_STORAGE_PROBE_H

#include "bdev.h"

enum probe_kind {
    PROBE_EMPTY, /* what was looked at, the first and last 64 KiB, is zeroes */
    PROBE_SKEP,
    PROBE_SKEP_DAMAGED, /* it says that it is Skep's, but no superblock is whole, or of this version */
    PROBE_GPT,
    PROBE_MBR,
    PROBE_EXT,
    PROBE_XFS,
    PROBE_BTRFS,
    PROBE_LVM,
    PROBE_SWAP,
    PROBE_ISO9660,
    PROBE_UNKNOWN, /* data of some other kind */
};

/* The kind, or a negative SKEP_E… code. */
int probe_disk(struct bdev *dev);
const char *probe_name(enum probe_kind kind); /* "GPT partition table" */

#endif
