/*
 * port.c - functions of e2fsprogs whose originals need a generated table, a host's devices, or a terminal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

#include "blkid/blkid.h"
#include "ext2fs/ext2_fs.h"
#include "ext2fs/ext2fs.h"
#include "uuid/uuid.h"

#define CASTAGNOLI 0x82f63b78u /* CRC-32C's polynomial, the lowest bit first */
#define ETHERNET   0x04c11db7u /* CRC-32's, the highest bit first */

/* crc_tables[0] advances by one byte, [n] by a byte that n zeros follow. */
static uint32_t crc_tables[8][256];

static void make_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? CASTAGNOLI : 0);
        crc_tables[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++)
        for (int n = 1; n < 8; n++)
            crc_tables[n][i] =
                crc_tables[n - 1][i] >> 8 ^ crc_tables[0][crc_tables[n - 1][i] & 0xff];
}

__u32 ext2fs_crc32c_le(__u32 crc, unsigned char const *data, size_t bytes)
{
    if (crc_tables[0][1] == 0)
        make_tables(); /* by the first mount, when nobody else is there */
    for (; bytes >= 8; data += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        word ^= crc;
        crc = 0;
        for (int i = 0; i < 8; i++)
            crc ^= crc_tables[7 - i][word >> (8 * i) & 0xff];
    }
    while (bytes-- > 0)
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *data++) & 0xff];
    return crc;
}

/* For the commit blocks of an old format only. */
__u32 ext2fs_crc32_be(__u32 crc, unsigned char const *data, size_t bytes)
{
    while (bytes-- > 0) {
        crc ^= (uint32_t)*data++ << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ (crc & 1u << 31 ? ETHERNET : 0);
    }
    return crc;
}

int uuid_is_null(const unsigned char *uuid)
{
    static const unsigned char null[16];
    return memcmp(uuid, null, sizeof(null)) == 0;
}

/* A journal on another device isn't supported, and is never found. */
io_manager unix_io_manager;

void uuid_unparse(const unsigned char *uuid, char *out)
{
    out[0] = 0;
}

int blkid_get_cache(blkid_cache *cache, const char *name)
{
    *cache = NULL;
    return -1;
}

void blkid_put_cache(blkid_cache cache)
{
}

char *blkid_get_devname(blkid_cache cache, const char *token, const char *value)
{
    return NULL;
}

char *blkid_devno_to_devname(dev_t device)
{
    return NULL;
}

/* Names that ignore case aren't supported: mounting refuses such file systems. */
const struct ext2fs_nls_table *ext2fs_load_nls_table(int encoding)
{
    return NULL;
}

/* Device names here are no files, and never mounted by somebody else. */
errcode_t ext2fs_check_mount_point(const char *device, int *flags, char *path, int length)
{
    *flags = 0;
    return 0;
}

errcode_t ext2fs_check_if_mounted(const char *device, int *flags)
{
    *flags = 0;
    return 0;
}

/* What upstream tells a user: errors become return values as well, so here it goes nowhere. */
void com_err(const char *who, errcode_t code, const char *format, ...)
{
}
