/*
 * block.h - block requests without any driver between them and ring 0.
 */
#ifndef BLOCK_H
#define BLOCK_H

#include "net.h"

#define IN      SKEP_BLOCK_T_IN
#define OUT     SKEP_BLOCK_T_OUT
#define FLUSH   SKEP_BLOCK_T_FLUSH
#define DISCARD SKEP_BLOCK_T_DISCARD
#define ZEROES  SKEP_BLOCK_T_WRITE_ZEROES

#define SECTOR        512u
#define BLOCK         4096u
#define CHUNK         65536u
#define BLOCK_SECTORS (BLOCK / SECTOR)
#define CHUNK_SECTORS (CHUNK / SECTOR)
#define UNANSWERED    0xee

/* Of request n, for a ring of any size. */
extern struct skep_block_header headers[SKEP_QUEUE_SIZE_MAX];
extern struct skep_block_range ranges[SKEP_QUEUE_SIZE_MAX];
extern uint8_t statuses[SKEP_QUEUE_SIZE_MAX];

/* Makes the chain of request n, in descriptors 3n to 3n + 2, with one part of data, or none. */
void request_set(struct ring *ring, uint16_t n, uint32_t type, uint64_t sector, const void *at,
                 uint32_t bytes);

/* The same for one of the types that have a range. */
void range_set(struct ring *ring, uint16_t n, uint32_t type, struct skep_block_range range);

#endif
