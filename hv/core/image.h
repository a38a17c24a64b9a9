/*
 * image.h - an image: pages that guests share, and how they are laid out. Sealed before its first guest.
 */
#ifndef CORE_IMAGE_H
#define CORE_IMAGE_H

#include <stdatomic.h>

#include "core/types.h"

#define IMAGE_PAGES_MAX 65536u
#define IMAGES_MAX      8192u

struct guest;

struct image {
    uint64_t handle;
    struct skep_image_spec spec;
    bool sealed;
    bool dying;
    uint32_t written;                                                /* pages, before the seal */
    _Atomic uint32_t users;                                          /* guests */
    pfn_t lists[IMAGE_PAGES_MAX / (SKEP_PAGE_SIZE / sizeof(pfn_t))]; /* frames of page numbers */
};
_Static_assert(sizeof(struct image) <= SKEP_PAGE_SIZE, "an image is one frame");

/* Makes an empty image, whose pages are promised. The handle, or -SKEP_EINVAL (layout), -SKEP_ENOMEM, -SKEP_ENOSPC. */
int64_t image_create(const struct skep_image_spec *spec);

/* Copies between an image's pages, from page `page` on, and the caller's memory. Writing only before the seal:
 * -SKEP_EBUSY after it. -SKEP_EINVAL out of range, -SKEP_ENOENT for an unwritten page, -SKEP_EFAULT. */
int image_write(struct guest *caller, uint64_t handle, uint32_t page, gva_t from, uint64_t bytes);
int image_read(struct guest *caller, uint64_t handle, uint32_t page, gva_t to, uint64_t bytes);

/* -SKEP_EINVAL when a page has not been written. */
int image_seal(uint64_t handle);

/* -SKEP_EBUSY while a guest uses it; -SKEP_EAGAIN: part is done, call again. */
int image_destroy(uint64_t handle);

/* The next image after `handle` (0 = from the start), 0 = none. */
uint64_t image_next(uint64_t handle, struct skep_image_info *info);
uint32_t image_count(void);

/* A sealed image, of files or to be run, with one more user; or NULL. */
struct image *image_use(uint64_t handle, bool files);
void image_unuse(struct image *image);

/* The frame of a page of a sealed image. */
pfn_t image_page(const struct image *image, uint32_t page);

/* Makes the image of the control service, whose pages are part of the boot file. */
struct image *image_create_control(void);

#endif
