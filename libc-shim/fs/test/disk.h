/*
 * disk.h - block devices in memory for the tests: what skep/block.h promises, with a log of all writes, power cuts from
 * that log, and errors on request.
 */
#ifndef LIBC_SHIM_FS_TEST_DISK_H
#define LIBC_SHIM_FS_TEST_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISKS_MAX 4u

/* A new disk of zeros; the device's number. */
unsigned disk_new(const char *name, uint64_t bytes, uint32_t block_bytes);
void disk_delete_all(void);
char *disk_data(unsigned device);
uint64_t disk_bytes(unsigned device);
void disk_set_flags(unsigned device, uint32_t flags);

/* The log begins now, with the disk as it is. */
void disk_log_start(unsigned device);

/* How far the log is: a moment, to be named later. */
uint32_t disk_log_position(unsigned device);

/* What may be on the disk if the power went at a random moment between two positions: each write that a flush before it
 * covers, and of the others any, in any order of arrival, and any sectors of them. The log stays as it is, for more cuts,
 * until a new one starts. */
void disk_cut(unsigned device, uint32_t first, uint32_t last, uint64_t seed);

/* From now on the n-th request of a kind fails with an error, and all after it if `forever`. n counts from 1; 0 = none. */
enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_OPS };
void disk_fail(unsigned device, enum disk_op op, uint64_t n, bool forever, int error);

struct disk_counts {
    uint64_t requests[DISK_OPS];
    uint64_t bytes[DISK_OPS];
};
struct disk_counts disk_counts(unsigned device);

void disk_save(unsigned device, const char *path);
void disk_load(unsigned device, const char *path);

/* A generator of random numbers that gives the same ones everywhere. */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);

#endif
