/* symbols.c - function names for backtraces. */
#include "symbols.h"

#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "functions.h"

#define STT_FUNC 2

struct elf_symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
};

/* A client chose the name: what is no plain character doesn't get into logs and answers. */
static void copy_name(char *to, const uint8_t *name, uint64_t bytes)
{
    size_t n = 0;

    for (; n < SYMBOL_NAME_MAX - 1 && n < bytes && name[n]; n++) {
        uint8_t c = name[n];
        to[n] = c > ' ' && c < 0x7f ? (char)c : '?';
    }
    to[n] = '\0';
}

static bool take(struct symbol *to, const struct elf_symbol *from, const struct elf_image *elf,
                 const uint8_t *data)
{
    uint64_t offset = from->value - elf->base;

    if ((from->info & 15) != STT_FUNC || from->section == 0 || from->name >= elf->names_bytes)
        return false;
    if (offset > ELF_SPAN_MAX || from->size > ELF_SPAN_MAX)
        return false;
    to->offset = (uint32_t)offset;
    to->bytes = (uint32_t)from->size;
    copy_name(to->name, data + elf->names_offset + from->name, elf->names_bytes - from->name);
    return to->name[0] != '\0';
}

static int by_offset(const void *a, const void *b)
{
    const struct symbol *one = a, *two = b;
    return (one->offset > two->offset) - (one->offset < two->offset);
}

static uint32_t count_functions(const struct elf_image *elf, const uint8_t *data)
{
    uint32_t count = 0;

    for (uint64_t i = 0; i < elf->symbol_count; i++)
        count += (data[elf->symbols_offset + i * sizeof(struct elf_symbol) + 4] & 15) == STT_FUNC;
    return count;
}

/* Those of the note ascend already. */
static uint32_t take_functions(struct symbol *table, uint32_t room, const struct elf_image *elf,
                               const uint8_t *data)
{
    struct functions f;
    uint32_t count = 0;

    functions_begin(&f, data + elf->functions_offset, elf->functions_bytes);
    for (; count < room && functions_next(&f) == FUNCTIONS_ONE; count++) {
        table[count].offset = f.offset;
        table[count].bytes = f.bytes;
        copy_name(table[count].name, (const uint8_t *)f.name, sizeof(f.name));
    }
    return count;
}

static uint32_t take_symbols(struct symbol *table, uint32_t room, const struct elf_image *elf,
                             const uint8_t *data)
{
    uint32_t count = 0;

    for (uint64_t i = 0; i < elf->symbol_count && count < room; i++) {
        struct elf_symbol s;
        memcpy(&s, data + elf->symbols_offset + i * sizeof(s), sizeof(s));
        count += take(&table[count], &s, elf, data);
    }
    qsort(table, count, sizeof(*table), by_offset);
    return count;
}

struct symbol *symbols_collect(const struct elf_image *elf, const uint8_t *data, uint32_t *count)
{
    uint32_t found = elf->function_count ? elf->function_count : count_functions(elf, data);
    uint32_t room = found < SYMBOLS_KEPT_MAX ? found : SYMBOLS_KEPT_MAX;
    struct symbol *table = room ? calloc(room, sizeof(*table)) : NULL;

    *count = 0;
    if (table)
        *count = (elf->function_count ? take_functions : take_symbols)(table, room, elf, data);
    return table;
}

static bool read_symbol(uint64_t image, uint32_t first_page, uint32_t index, struct symbol *out)
{
    struct symbol page[SYMBOLS_PER_PAGE];
    uint32_t number = first_page + index / (uint32_t)SYMBOLS_PER_PAGE;

    if (core_image_read(image, number, page, sizeof(page)) != 0)
        return false;
    *out = page[index % SYMBOLS_PER_PAGE];
    return true;
}

bool symbols_find(uint64_t image, uint32_t first_page, uint32_t count, uint64_t offset,
                  struct symbol *found)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (!read_symbol(image, first_page, middle, found))
            return false;
        if (found->offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || !read_symbol(image, first_page, low - 1, found))
        return false;
    /* Assembly often has no sizes. */
    return found->bytes == 0 || offset - found->offset < found->bytes;
}
