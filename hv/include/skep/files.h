/*
 * files.h - a pack of read-only files: what the build puts into an image, and the control service before a guest.
 *
 * A pack is found by its place alone: offsets count from its start, so it needs no relocation and its pages are shared.
 * Entries are sorted by path, name by name ('/' comes before every other byte), so that one binary search finds a file, and
 * what is in a folder stands together. Folders are what the paths imply. Ring 0 never looks into one.
 */
#ifndef SKEP_FILES_H
#define SKEP_FILES_H

#include <stdint.h>

#define SKEP_FILES_MAGIC 0x31464b5050454b53ull /* "SKEPPKF1" */

#define SKEP_FILE_SECRET (1u << 0) /* the API doesn't show it */
#define SKEP_FILE_BASE64 (1u << 1) /* the API takes and shows it so */

struct skep_files_entry {
    uint32_t path; /* offset; ended by a NUL, without a slash at its start */
    uint32_t data; /* offset */
    uint32_t bytes;
    uint32_t flags; /* SKEP_FILE_… */
};
_Static_assert(sizeof(struct skep_files_entry) == 16, "ABI");

struct skep_files {
    uint64_t magic;
    uint32_t bytes; /* of the whole pack */
    uint32_t count; /* of entries */
    int64_t mtime;  /* UNIX time in seconds that all of them have */
    uint64_t reserved;
    struct skep_files_entry entries[];
};
_Static_assert(sizeof(struct skep_files) == 32, "ABI");

#endif
