/* symbols.h - function names of an image: collected from its ELF file's note or symbol table, kept in
 * its last pages, and looked up page by page for backtraces. */
#ifndef CONTROL_SYMBOLS_H
#define CONTROL_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf_image.h"

#define SYMBOL_NAME_MAX 56 /* with the 0 */

/* A function: where it begins, from the image's base, and its name in place. 64 bytes, so that a
 * page has a whole number of them and one read gets one. */
struct symbol {
    uint32_t offset;
    uint32_t bytes;
    char name[SYMBOL_NAME_MAX];
};
_Static_assert(sizeof(struct symbol) == 64, "a page has a whole number of them");

#define SYMBOLS_PER_PAGE (SKEP_PAGE_SIZE / sizeof(struct symbol))
#define SYMBOLS_KEPT_MAX 32768u

/* The functions, sorted by offset. NULL if there are none (count 0) or no memory. */
struct symbol *symbols_collect(const struct elf_image *elf, const uint8_t *data, uint32_t *count);

/* Finds the function that covers offset. Reads pages of the image through the core. */
bool symbols_find(uint64_t image, uint32_t first_page, uint32_t count, uint64_t offset,
                  struct symbol *found);

#endif
