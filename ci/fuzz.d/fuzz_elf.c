/*
 * fuzz_elf.c - an uploaded ELF file: the checks, and the names of its functions.
 */
#include <stdlib.h>

#include "elf_image.h"
#include "harness.h"
#include "symbols.h"

void fuzz_start(void)
{
}

static void segments_check(const struct elf_image *image, size_t bytes)
{
    uint64_t end = image->base;
    FUZZ_CHECK(image->segment_count && image->segment_count <= SKEP_IMAGE_SEGMENTS_MAX);
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        FUZZ_CHECK(segment->offset <= bytes && segment->file_bytes <= bytes - segment->offset);
        FUZZ_CHECK(segment->file_bytes <= segment->memory_bytes);
        FUZZ_CHECK(segment->address >= end && segment->memory_bytes <= ELF_SPAN_MAX);
        FUZZ_CHECK(!(segment->prot & SKEP_PROT_WRITE) || !(segment->prot & SKEP_PROT_EXEC));
        end = segment->address + segment->memory_bytes;
    }
    FUZZ_CHECK(end - image->base <= ELF_SPAN_MAX);
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct elf_image image;
    uint32_t count = 0;
    if (elf_image_check(&image, data, bytes)) {
        return 0;
    }
    segments_check(&image, bytes);
    struct symbol *symbols = symbols_collect(&image, data, &count);
    uint64_t way = way_add(image.entry, count);
    for (uint32_t i = 0; symbols && i < count; i++) {
        way = way_add(way, symbols[i].offset);
    }
    free(symbols);
    return way;
}
