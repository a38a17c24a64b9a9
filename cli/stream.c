/* stream.c - files that go to Skep or come from it. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"

#define TEXT_BYTES_MAX (16u << 20) /* of a file that is taken as a whole */

static void begin(struct stream *s, const char *path)
{
    memset(s, 0, sizeof(*s));
    s->path = path;
    mbedtls_sha256_init(&s->hash);
    mbedtls_sha256_starts(&s->hash, 0);
}

int stream_read(struct stream *s, const char *path)
{
    struct stat status;

    begin(s, path);
    s->file = fopen(path, "re");
    if (!s->file)
        return fail(EXIT_LOCAL, "%s: %s", path, strerror(errno));
    if (fstat(fileno(s->file), &status) == 0 && S_ISREG(status.st_mode)) {
        s->bytes = (uint64_t)status.st_size;
        return EXIT_OK;
    }
    fclose(s->file);
    return fail(EXIT_LOCAL, "%s: is no regular file", path);
}

int stream_write(struct stream *s, const char *path)
{
    int fd;

    begin(s, path);
    if (strcmp(path, "-") == 0) {
        s->file = stdout;
        return EXIT_OK;
    }
    s->part = text_format("%s.part", path);
    /* Readable by its owner only: backups have keys in them, and volumes may. */
    fd = open(s->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    s->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (s->file)
        return EXIT_OK;
    fail(EXIT_LOCAL, "%s: %s", s->part, strerror(errno));
    free(s->part);
    return EXIT_LOCAL;
}

size_t stream_get(struct stream *s, void *data, size_t room)
{
    size_t bytes = fread(data, 1, room, s->file);

    mbedtls_sha256_update(&s->hash, data, bytes);
    return bytes;
}

bool stream_put(struct stream *s, const void *data, size_t bytes)
{
    mbedtls_sha256_update(&s->hash, data, bytes);
    s->bytes += bytes;
    return fwrite(data, 1, bytes, s->file) == bytes;
}

void stream_digest(struct stream *s, char text[DIGEST_TEXT_MAX])
{
    unsigned char digest[32];
    int at = snprintf(text, DIGEST_TEXT_MAX, "sha256:");

    mbedtls_sha256_finish(&s->hash, digest);
    for (unsigned i = 0; i < sizeof(digest); i++)
        at += snprintf(text + at, DIGEST_TEXT_MAX - (size_t)at, "%02x", digest[i]);
}

/* What was written takes its name, or goes. */
static int finish(struct stream *s, bool whole)
{
    bool written = fflush(s->file) == 0 && fsync(fileno(s->file)) == 0;
    int error = errno;

    fclose(s->file);
    if (whole && written && rename(s->part, s->path) == 0)
        return EXIT_OK;
    if (whole)
        fail(EXIT_LOCAL, "%s: %s", s->path, strerror(written ? errno : error));
    unlink(s->part);
    return EXIT_LOCAL;
}

int stream_end(struct stream *s, bool whole)
{
    int result = EXIT_OK;

    mbedtls_sha256_free(&s->hash);
    if (s->part)
        result = finish(s, whole);
    else if (s->file != stdout)
        fclose(s->file);
    else if (fflush(stdout) != 0) /* before what is said about it */
        result = fail(EXIT_LOCAL, "standard output: %s", strerror(errno));
    free(s->part);
    return result;
}

int file_digest(const char *path, char text[DIGEST_TEXT_MAX])
{
    char data[16384];
    struct stream s;
    int result = stream_read(&s, path);

    if (result != EXIT_OK)
        return result;
    while (stream_get(&s, data, sizeof(data)) > 0)
        continue;
    stream_digest(&s, text);
    if (ferror(s.file))
        result = fail(EXIT_LOCAL, "%s: can't be read", path);
    stream_end(&s, true);
    return result;
}

char *file_read(const char *path, size_t *bytes_read)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text;
    size_t bytes;

    if (!file) {
        fail(EXIT_LOCAL, "%s: %s", path, strerror(errno));
        return NULL;
    }
    text = memory_take(TEXT_BYTES_MAX);
    bytes = fread(text, 1, TEXT_BYTES_MAX, file);
    if (ferror(file) || bytes == TEXT_BYTES_MAX) {
        fail(EXIT_LOCAL, "%s: can't be read, or has more than %u bytes", path, TEXT_BYTES_MAX - 1);
        free(text);
        text = NULL;
    } else {
        text[bytes] = '\0';
        *bytes_read = bytes;
    }
    if (file != stdin)
        fclose(file);
    return text;
}

char *file_text(const char *path)
{
    size_t bytes;
    return file_read(path, &bytes);
}
