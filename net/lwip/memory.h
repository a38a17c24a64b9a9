/*
 * memory.h - the allocator below lwIP, for threads only. Memory is aligned to 8 bytes.
 */
#ifndef SKEP_NETWORK_MEMORY_H
#define SKEP_NETWORK_MEMORY_H

#include <stddef.h>

/* NULL when there is no memory. */
void *network_malloc(size_t bytes);
void *network_calloc(size_t count, size_t bytes_each);

/* Not for NULL. */
void network_free(void *memory);

/* Gives longer blocks than a packet's that are kept back. */
void network_memory_trim(void);

#endif
