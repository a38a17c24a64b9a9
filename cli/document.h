/*
 * document.h - what somebody wants a Skep to have, in one JSON document:
 *
 *   {"images": {NAME: FILE}, "volumes": {NAME: what PUT takes}, "guests": {NAME: a spec}, "apps": {NAME: what PUT takes}}
 *
 * Files are relative to the document's folder. What it doesn't name stays as it is.
 */
#ifndef CLI_DOCUMENT_H
#define CLI_DOCUMENT_H

#include <stdbool.h>

#include <cJSON.h>

struct document {
    cJSON *json;
    char *folder; /* of the document, with a slash at its end; "" for standard input */
};

/* In the order in which they are made: images first, then what may name those before it. */
#define DOCUMENT_PARTS 4u
extern const char *const document_parts[DOCUMENT_PARTS];

/* For "%.*s": a part's name without its plural's s. */
#define DOCUMENT_KIND(part) (int)strlen(part) - 1, part

/* An exit code; the document has to be ended in any case. */
int document_read(struct document *d, const char *path);
void document_end(struct document *d);
const cJSON *document_part(const struct document *d, const char *part);
char *document_file(const struct document *d, const cJSON *image); /* the caller frees it */

#endif
