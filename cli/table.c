/* table.c - tables for people. */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"

void table_begin(struct table *t, const char *head)
{
    *t = (struct table){NULL, 0, 0};
    t->rows = memory_take(16 * sizeof(*t->rows));
    t->room = 16;
    t->rows[t->count++] = head ? text_copy(head) : NULL;
}

void table_add(struct table *t, const char *format, ...)
{
    va_list list;
    char *text = NULL;

    va_start(list, format);
    if (vasprintf(&text, format, list) < 0)
        exit(fail(EXIT_LOCAL, "there is no memory for a table"));
    va_end(list);
    text_clean(text, '\t');
    if (t->count == t->room) {
        t->room *= 2;
        t->rows = memory_resize(t->rows, t->room * sizeof(*t->rows));
    }
    t->rows[t->count++] = text;
}

/* Characters, not bytes; those that are two columns wide count as one. */
static int width_of(const char *text, size_t bytes)
{
    int width = 0;

    for (size_t i = 0; i < bytes; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

struct layout {
    int widths[TABLE_COLUMNS_MAX];
    char marks[TABLE_COLUMNS_MAX]; /* '>', '*' or 0 */
    bool colour;
};

/* The next cell of a row: its bytes, and where the one after it begins. */
static size_t cell_of(const char **row, const char **cell)
{
    size_t bytes = strcspn(*row, "\t");

    *cell = *row;
    *row += bytes + ((*row)[bytes] == '\t');
    return bytes;
}

static void read_head(struct layout *l, char *head)
{
    char *to = head;
    int column = 0;

    for (const char *at = head; *at; at++) {
        if ((*at == '>' || *at == '*') && (at == head || at[-1] == '\t')) {
            l->marks[column] = *at;
            continue;
        }
        column += *at == '\t' && column < TABLE_COLUMNS_MAX - 1;
        *to++ = *at;
    }
    *to = '\0';
}

static void measure(struct layout *l, const char *row)
{
    const char *cell;

    for (int column = 0; *row && column < TABLE_COLUMNS_MAX; column++) {
        size_t bytes = cell_of(&row, &cell);
        int width = width_of(cell, bytes);
        if (width > l->widths[column])
            l->widths[column] = width;
    }
}

/* The colour of a state's cell, or NULL. */
static const char *colour_of(const char *cell, size_t bytes)
{
    static const struct {
        const char *state, *colour;
    } colours[] = {
        {"running", "\033[32m"}, {"online", "\033[32m"},        {"crashed", "\033[31m"},
        {"killed", "\033[31m"},  {"crash-looping", "\033[31m"}, {"damaged", "\033[31m"},
        {"failed", "\033[31m"},  {"offline", "\033[31m"},       {"full", "\033[31m"},
        {"waiting", "\033[33m"}, {"paused", "\033[33m"},        {"stopping", "\033[33m"},
    };

    for (size_t i = 0; i < sizeof(colours) / sizeof(*colours); i++)
        if (strlen(colours[i].state) == bytes && memcmp(colours[i].state, cell, bytes) == 0)
            return colours[i].colour;
    return NULL;
}

static void print_row(const struct layout *l, const char *row)
{
    const char *cell;

    for (int column = 0; *row && column < TABLE_COLUMNS_MAX; column++) {
        size_t bytes = cell_of(&row, &cell);
        int gap = l->widths[column] - width_of(cell, bytes);
        const char *colour = l->colour && l->marks[column] == '*' ? colour_of(cell, bytes) : NULL;
        printf("%s%*s%s%.*s%s", column ? "  " : "", l->marks[column] == '>' ? gap : 0, "",
               colour ? colour : "", (int)bytes, cell, colour ? "\033[0m" : "");
        if (*row && l->marks[column] != '>')
            printf("%*s", gap, "");
    }
    putchar('\n');
}

void table_end(struct table *t)
{
    const char *no_colour = getenv("NO_COLOR");
    struct layout l = {.colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour)};

    if (t->rows[0])
        read_head(&l, t->rows[0]);
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i])
            measure(&l, t->rows[i]);
    for (size_t i = 0; i < t->count; i++) {
        if (t->rows[i])
            print_row(&l, t->rows[i]);
        free(t->rows[i]);
    }
    free(t->rows);
}

const char *size_text(double bytes, char text[TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;

    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, TEXT_MAX, unit && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

const char *duration_text(double nanoseconds, char text[TEXT_MAX])
{
    unsigned long long s = (unsigned long long)(nanoseconds / 1e9);

    if (nanoseconds < 1e9)
        snprintf(text, TEXT_MAX, "%.0fms", nanoseconds / 1e6);
    else if (s < 60)
        snprintf(text, TEXT_MAX, "%.1fs", nanoseconds / 1e9);
    else if (s < 3600)
        snprintf(text, TEXT_MAX, "%llum%02llus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, TEXT_MAX, "%lluh%02llum", s / 3600, s / 60 % 60);
    else
        snprintf(text, TEXT_MAX, "%llud%02lluh", s / 86400, s / 3600 % 24);
    return text;
}

int size_read(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    const char *unit;
    char *end;

    errno = 0;
    *bytes = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno)
        return fail(EXIT_USAGE, "'%s' is no size: say 4M, 64K or bytes", text);
    unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    for (long shift = unit ? unit - units + 1 : 0; shift > 0; shift--) {
        if (*bytes > UINT64_MAX >> 10)
            return fail(EXIT_USAGE, "'%s' is more than can be", text);
        *bytes <<= 10;
    }
    end += unit != NULL;
    if (*end && strcmp(end, "iB") != 0 && strcmp(end, "B") != 0)
        return fail(EXIT_USAGE, "'%s' is no size: say 4M, 64K or bytes", text);
    return EXIT_OK;
}
