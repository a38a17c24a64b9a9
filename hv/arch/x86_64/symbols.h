/*
 * symbols.h - names of functions, for backtraces. hv/tools/symbols writes the tables from the linked
 * programs.
 */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <stdint.h>

struct symbol {
    uint32_t start; /* from KERNEL_BASE, or from the control service's base */
    uint32_t bytes;
    uint32_t name; /* offset into names */
};
_Static_assert(sizeof(struct symbol) == 12, "hv/tools/symbols");

struct symbol_table {
    const struct symbol *symbols; /* ascending */
    const char *names;
    uint64_t count;
};
_Static_assert(sizeof(struct symbol_table) == 24, "hv/tools/symbols");

extern const struct symbol_table symbols_core, symbols_control;

#endif
