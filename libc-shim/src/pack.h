/*
 * pack.h - packs of read-only files (<skep/files.h>), one over the other, as one tree.
 *
 * Paths begin without a slash, have no empty names and neither "." nor ".."; "" is the root. What an upper pack has hides
 * what a lower one has at the same path: a file a whole folder, a folder a file; two folders are one.
 */
#ifndef LIBC_SHIM_PACK_H
#define LIBC_SHIM_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/files.h"

#define PACK_LAYERS     2
#define PACK_NAME_BYTES 256
#define PACK_PATH_BYTES 1280 /* of a folder and a name in it */

/* The upper one first; NULL = there is none. */
struct pack_tree {
    const struct skep_files *layer[PACK_LAYERS];
};

struct pack_found {
    const struct skep_files *pack;
    const struct skep_files_entry *entry; /* NULL = a folder */
};

/* 0, -ENOENT, or -ENOTDIR: a file is on the way. */
int pack_find(const struct pack_tree *tree, const char *path, struct pack_found *out);

/* The first name of a folder behind `after` ("" = from the start), in the order of packs. False: there is none. */
bool pack_next(const struct pack_tree *tree, const char *folder, const char *after,
               char name[PACK_NAME_BYTES], bool *is_folder);

static inline const char *pack_data(const struct pack_found *found)
{
    return (const char *)found->pack + found->entry->data;
}

#endif
