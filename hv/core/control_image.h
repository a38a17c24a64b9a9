/*
 * control_image.h - the control service's program as the boot file carries it: its ELF file flattened at build time
 * to pages and a segment table, so that ring 0 parses nothing.
 */
#ifndef CORE_CONTROL_IMAGE_H
#define CORE_CONTROL_IMAGE_H

#include "core/types.h"

struct control_image {
    uint64_t entry_offset;
    uint32_t page_count;
    uint32_t segment_count;
    const void *pages; /* page-aligned, in the core's own constants */
    struct skep_image_segment segments[SKEP_IMAGE_SEGMENTS_MAX];
};

extern const struct control_image control_image;

#endif
