/* probe.c - recognises disks by the signatures that they are known by. */
#include "storage/probe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "storage/format.h"

#define HEAD_BYTES 69632u /* up to the end of the block at 64 KiB */
#define TAIL_BYTES 65536u

/* The first that matches says what it is: file systems before the MBR, which their boot sectors look like. */
static const struct signature {
    enum probe_kind kind;
    uint32_t offset;
    uint32_t bytes;
    const char *text;
} signatures[] = {
    {PROBE_SKEP_DAMAGED, offsetof(struct format_super, name), 8, FORMAT_NAME},
    {PROBE_GPT, 512, 8, "EFI PART"},
    {PROBE_GPT, 4096, 8, "EFI PART"},
    {PROBE_XFS, 0, 4, "XFSB"},
    {PROBE_EXT, 1024 + 56, 2, "\x53\xef"},
    {PROBE_BTRFS, 65536 + 64, 8, "_BHRfS_M"},
    {PROBE_LVM, 0, 8, "LABELONE"},
    {PROBE_LVM, 512, 8, "LABELONE"},
    {PROBE_LVM, 1024, 8, "LABELONE"},
    {PROBE_LVM, 1536, 8, "LABELONE"},
    {PROBE_SWAP, 4086, 10, "SWAPSPACE2"},
    {PROBE_SWAP, 4086, 10, "SWAP-SPACE"},
    {PROBE_ISO9660, 32768 + 1, 5, "CD001"},
    {PROBE_MBR, 510, 2, "\x55\xaa"},
};

static bool all_zero(const uint8_t *data, size_t bytes)
{
    return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

static enum probe_kind judge(const uint8_t *head, size_t head_bytes, const uint8_t *tail,
                             size_t tail_bytes)
{
    for (size_t i = 0; i < sizeof(signatures) / sizeof(*signatures); i++) {
        const struct signature *s = &signatures[i];
        if (s->offset + s->bytes <= head_bytes && memcmp(head + s->offset, s->text, s->bytes) == 0)
            return s->kind;
    }
    /* The other copy of the GPT is in the last sector, of 512 or 4096 bytes. */
    if (memcmp(tail + tail_bytes - 512, "EFI PART", 8) == 0 ||
        memcmp(tail + tail_bytes - 4096, "EFI PART", 8) == 0)
        return PROBE_GPT;
    if (memcmp(tail + tail_bytes - BDEV_BLOCK + offsetof(struct format_super, name), FORMAT_NAME,
               8) == 0)
        return PROBE_SKEP_DAMAGED;
    return all_zero(head, head_bytes) && all_zero(tail, tail_bytes) ? PROBE_EMPTY : PROBE_UNKNOWN;
}

int probe_disk(struct bdev *dev)
{
    uint64_t bytes = dev->bytes / BDEV_BLOCK * BDEV_BLOCK;
    size_t head_bytes = bytes < HEAD_BYTES ? (size_t)bytes : HEAD_BYTES;
    size_t tail_bytes = bytes < TAIL_BYTES ? (size_t)bytes : TAIL_BYTES;
    struct format_super super;
    uint8_t *data;
    int result;

    if (bytes == 0)
        return PROBE_EMPTY;
    result = format_find(dev, &super);
    if (result != 0)
        return result < 0 ? result : PROBE_SKEP;
    data = malloc(HEAD_BYTES + TAIL_BYTES);
    if (!data)
        return -SKEP_ENOMEM;
    result = dev->read(dev, 0, data, head_bytes);
    if (result == 0)
        result = dev->read(dev, bytes - tail_bytes, data + HEAD_BYTES, tail_bytes);
    if (result == 0)
        result = (int)judge(data, head_bytes, data + HEAD_BYTES, tail_bytes);
    free(data);
    return result;
}

const char *probe_name(enum probe_kind kind)
{
    static const char *const names[] = {
        [PROBE_EMPTY] = "empty",
        [PROBE_SKEP] = "Skep disk",
        [PROBE_SKEP_DAMAGED] = "damaged Skep disk",
        [PROBE_GPT] = "GPT partition table",
        [PROBE_MBR] = "MBR partition table",
        [PROBE_EXT] = "ext2, ext3 or ext4",
        [PROBE_XFS] = "XFS",
        [PROBE_BTRFS] = "Btrfs",
        [PROBE_LVM] = "LVM2",
        [PROBE_SWAP] = "swap",
        [PROBE_ISO9660] = "ISO 9660",
        [PROBE_UNKNOWN] = "unknown data",
    };
    return names[kind];
}
