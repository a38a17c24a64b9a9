/*
 * bytes.h - numbers in frames, which are big-endian and not aligned.
 */
#ifndef IO_BYTES_H
#define IO_BYTES_H

#include "core/types.h"

static inline uint32_t be16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static inline void be16_put(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

#endif
