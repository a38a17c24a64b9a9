/*
 * blkid.h - what of libblkid the replay of journals asks for: where a journal on another device is. There are none.
 */
#ifndef SKEP_EXT2FS_BLKID_H
#define SKEP_EXT2FS_BLKID_H

#include <sys/types.h>

typedef struct skep_no_cache *blkid_cache;

int blkid_get_cache(blkid_cache *cache, const char *name);
void blkid_put_cache(blkid_cache cache);
char *blkid_get_devname(blkid_cache cache, const char *token, const char *value);
char *blkid_devno_to_devname(dev_t device);

#endif
