/*
 * model.h - a tree of files in plain memory, random operations that are done to it and to a volume alike, and what of it
 * must be found after a power cut.
 */
#ifndef LIBC_SHIM_FS_TEST_MODEL_H
#define LIBC_SHIM_FS_TEST_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_NAMES 8u

struct model_options {
    uint64_t seed;
    uint32_t file_bytes_max;
    uint32_t write_bytes_max;
    uint32_t files_max;
    bool
        space_runs_out; /* -ENOSPC may come anywhere, and leaves things as they were or partly done */
};

/* The volume is mounted at /db, and empty. */
void model_start(const struct model_options *options);
void model_end(void);

/* One random operation; fails the test if the volume does anything else than the model. */
void model_step(void);

/* Closes all files, as it must be before unmounting. */
void model_close_all(void);

/* Forgets the open files of a volume that was discarded. */
void model_abandon_all(void);

/* The volume has exactly what the model has. */
void model_compare(void);

/* How often a sync has ended, to see when there was one. */
uint32_t model_syncs(void);

/* Everything that was synced and not changed since is in the volume as it was. The number of files that this was about. */
uint32_t model_check_durable(void);

#endif
