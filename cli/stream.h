/*
 * stream.h - files that go to Skep or come from it, with their SHA-256.
 *
 * What comes is written beside the file and takes its name when it is whole; "-" is standard output.
 */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <mbedtls/sha256.h>

#define DIGEST_TEXT_MAX 72 /* "sha256:" and 64 digits */

struct stream {
    FILE *file;
    const char *path;
    char *part; /* the name while it isn't whole; NULL = none */
    uint64_t bytes;
    mbedtls_sha256_context hash;
};

/* These return an exit code. stream_read takes regular files only, whose size is known. */
int stream_read(struct stream *s, const char *path);
int stream_write(struct stream *s, const char *path);

size_t stream_get(struct stream *s, void *data, size_t room); /* 0 = its end or an error */
bool stream_put(struct stream *s, const void *data, size_t bytes);

void stream_digest(struct stream *s, char text[DIGEST_TEXT_MAX]); /* of what went through; once */
int stream_end(struct stream *s, bool whole);

/* All of a file, or of standard input for "-", with a NUL behind it; the caller frees it. NULL, with the reason told, if it can't be had. */
char *file_text(const char *path);
char *file_read(const char *path, size_t *bytes_read); /* may have NULs */

/* The digest of a file, as the API writes it. */
int file_digest(const char *path, char text[DIGEST_TEXT_MAX]);

#endif
