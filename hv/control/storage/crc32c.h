/* crc32c.h - CRC-32C (Castagnoli), the checksum of every metadata block of a disk. */
#ifndef CONTROL_STORAGE_CRC32C_H
#define CONTROL_STORAGE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, 0 at the start. The first call makes tables: callers take turns. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
