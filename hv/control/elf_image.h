/*
 * elf_image.h - checks an uploaded ELF file and says what an image needs of it.
 *
 * The file is a client's: every number is checked before it is used, and nothing is read outside of
 * [data, data + bytes). What is accepted: ELF64, little-endian, x86-64, a static PIE with at most
 * SKEP_IMAGE_SEGMENTS_MAX ascending segments, none of them writable and executable, and Skep's note.
 */
#ifndef CONTROL_ELF_IMAGE_H
#define CONTROL_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skep/control.h"

#define ELF_FILE_MAX  (16u << 20)
#define ELF_SPAN_MAX  (1ull << 30) /* from the first segment's start to the last one's end */
#define ELF_STACK_MIN (64u << 10)
#define ELF_STACK_MAX (64u << 20)

struct elf_segment {
    uint64_t address, memory_bytes; /* as in the file, not rounded */
    uint64_t offset, file_bytes;
    uint32_t prot;
};

struct elf_image {
    uint64_t base; /* page of the first segment's start */
    uint64_t entry;
    uint64_t stack_bytes; /* 0 = the file doesn't say */
    bool stack_reserved;  /* its pages count when they are touched */
    uint32_t segment_count;
    struct elf_segment segments[SKEP_IMAGE_SEGMENTS_MAX];
    /* The contents of the note with function names, 0 bytes if there is none. */
    uint64_t functions_offset, functions_bytes;
    uint32_t function_count;
    /* The symbol table, 0 entries if there is none. */
    uint64_t symbols_offset, symbol_count;
    uint64_t names_offset, names_bytes;
};

/* NULL if the file is a good image, else what is wrong with it, a phrase to follow "The image". */
const char *elf_image_check(struct elf_image *image, const uint8_t *data, size_t bytes);

#endif
