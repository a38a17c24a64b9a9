/* table.h - tables for people: aligned columns, sizes and durations that can be read. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS_MAX 12
#define TEXT_MAX          32 /* of a size or duration */

struct table {
    char **rows; /* cells with tabs in between; the first row is the head, or NULL */
    size_t count, room;
};

/* A head's column that begins with ">" is aligned to the right, one that begins with "*" has a state in it. */
void table_begin(struct table *t, const char *head);
void table_add(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_end(struct table *t); /* prints it */

const char *size_text(double bytes, char text[TEXT_MAX]);           /* "4.0 MiB" */
const char *duration_text(double nanoseconds, char text[TEXT_MAX]); /* "3d04h", "1m20s", "12ms" */

/* "4M", "64KiB", "4096": bytes, powers of 1024. 0 and EXIT_USAGE's message if it is none. */
int size_read(const char *text, uint64_t *bytes);

#endif
