/*
 * backup.h - the configuration as a text: a line of JSON for each thing. docs/storage.md has the format.
 *
 * A backup is that text, sealed (seal.h), and the images' files behind it if they were asked for.
 */
#ifndef CONTROL_BACKUP_H
#define CONTROL_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "label.h"
#include "problem.h"

#define BACKUP_TEXT_MAX (4u << 20)
#define BACKUP_LINE_MAX (256u << 10) /* each byte of a guest's files may take six */

/* All of one moment: others wait meanwhile. NULL and the problem if it can't be made; else the caller frees it. */
char *backup_make(bool files, size_t *bytes, struct problem *p);

enum backup_kind {
    BACKUP_END,
    BACKUP_ABOUT,
    BACKUP_IDENTITY,
    BACKUP_IMAGE,
    BACKUP_VOLUME,
    BACKUP_GUEST,
    BACKUP_APP,
    BACKUP_RESTORE, /* in front of the text while it is being restored: restore.c's own */
};

struct backup_line {
    enum backup_kind kind;
    cJSON *json;        /* the whole line; backup_line_free() */
    const cJSON *value; /* what it says */
};

/* Reads the line at *at, which goes to the next one: 1, or 0 at the end, or -1 and the problem. Blank lines are left out. */
int backup_read(const char **at, struct backup_line *line, struct problem *p);
void backup_line_free(struct backup_line *line);

/* A string of the line's value, or NULL. */
const char *backup_string(const struct backup_line *line, const char *name);

/* What a line says of an image. */
struct backup_image {
    const char *name;
    uint8_t digest[32];
    uint64_t bytes;
    bool has_file; /* behind the text */
    char labels[LABELS_BYTES];
};
int backup_read_image(const struct backup_line *line, struct backup_image *image,
                      struct problem *p);

#endif
