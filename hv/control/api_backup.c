/* api_backup.c - handlers for backups: the sealed stream to and from clients. */
#include <stdlib.h>
#include <string.h>

#include <mbedtls/platform_util.h>

#include "api.h"
#include "audit.h"
#include "backup.h"
#include "elf_image.h"
#include "image.h"
#include "persist.h"
#include "restore.h"
#include "seal.h"
#include "skep_tls.h"

#define SECOND     1000000000ull
#define STEP_NS    (30 * SECOND)  /* without a byte to or from the client */
#define RESTORE_NS (600 * SECOND) /* for all of a backup to come */
#define PASSPHRASE "Skep-Passphrase"

/* A stream under way. Text and files follow each other in it without regard to its pieces. */
struct stream {
    struct request *r;
    struct seal seal;
    uint64_t deadline;  /* of all that is to come */
    bool last;          /* the last piece has come */
    uint32_t at, bytes; /* of the piece at hand */
    uint8_t plain[SEAL_PIECE_MAX + SEAL_TAG_BYTES];
    uint8_t sealed[SEAL_SEALED_MAX];
};

static int no_memory(struct request *r)
{
    return problem_set(&r->problem, 503, "There is no memory for the request now; try again.");
}

static const char *passphrase(struct request *r)
{
    const char *text = http_field(r->http, PASSPHRASE);
    size_t bytes = text ? strlen(text) : 0;

    for (const char *c = text; c && *c; c++)
        if (*c < ' ' || *c > '~')
            bytes = 0;
    if (bytes >= SEAL_PASSPHRASE_MIN && bytes <= SEAL_PASSPHRASE_MAX)
        return text;
    problem_set(&r->problem, 422,
                "The header " PASSPHRASE " must have the backup's passphrase: %u to %u characters "
                "of visible ASCII and spaces.",
                SEAL_PASSPHRASE_MIN, SEAL_PASSPHRASE_MAX);
    return NULL;
}

/*
 * To the client
 */

static int send_piece(struct stream *s, bool last)
{
    size_t bytes = seal_piece(&s->seal, s->plain, s->bytes, last, s->sealed);

    s->bytes = 0;
    s->r->http->write_deadline = tls_clock_ns() + STEP_NS;
    return bytes ? http_reply_chunk(s->r->http, s->sealed, bytes) : HTTP_E_TRANSPORT;
}

static int send_bytes(struct stream *s, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    int result = 0;

    while (bytes && result == 0) {
        size_t part = SEAL_PIECE_MAX - s->bytes < bytes ? SEAL_PIECE_MAX - s->bytes : bytes;
        memcpy(s->plain + s->bytes, from, part);
        s->bytes += (uint32_t)part;
        from += part;
        bytes -= part;
        if (s->bytes == SEAL_PIECE_MAX)
            result = send_piece(s, false);
    }
    return result;
}

/* One that was deleted meanwhile ends the stream: what was promised in the text must follow. */
static int send_file(struct stream *s, const struct backup_image *image)
{
    size_t bytes;
    uint8_t *data = image_read_file(image->name, image->digest, &bytes);
    int result = HTTP_E_TRANSPORT;

    if (data && bytes == image->bytes)
        result = send_bytes(s, data, bytes);
    free(data);
    return result;
}

static int send_files(struct stream *s, const char *text)
{
    struct backup_line line;
    int result = 0;

    while (result == 0 && backup_read(&text, &line, &s->r->problem) > 0) {
        struct backup_image image;
        if (line.kind == BACKUP_IMAGE && backup_read_image(&line, &image, &s->r->problem) == 0 &&
            image.has_file)
            result = send_file(s, &image);
        backup_line_free(&line);
    }
    return result;
}

static int send_all(struct stream *s, const char *text, size_t bytes)
{
    uint64_t length = bytes;
    uint8_t header[SEAL_HEADER_BYTES];
    int result;

    if (seal_begin(&s->seal, http_field(s->r->http, PASSPHRASE), header) != SEAL_OK)
        return HTTP_E_TRANSPORT;
    s->r->http->write_deadline = tls_clock_ns() + STEP_NS;
    result = http_reply_chunk(s->r->http, header, sizeof(header));
    if (result == 0)
        result = send_bytes(s, &length, sizeof(length));
    if (result == 0)
        result = send_bytes(s, text, bytes);
    if (result == 0)
        result = send_files(s, text);
    if (result == 0)
        result = send_piece(s, true);
    seal_end(&s->seal);
    return result == 0 ? http_reply_end(s->r->http) : result;
}

/* What was broken off must not look whole: the connection ends without the last chunk, and the last piece is missing. */
static int answer_backup(struct request *r, const char *text, size_t bytes)
{
    struct stream *s = calloc(1, sizeof(*s));

    if (!s)
        return no_memory(r);
    s->r = r;
    r->http->write_deadline = tls_clock_ns() + STEP_NS;
    if (http_reply_begin(r->http, 200, "application/octet-stream", NULL) != 0 ||
        (r->http->method != HTTP_HEAD && send_all(s, text, bytes) != 0))
        r->http->keep_alive = false;
    mbedtls_platform_zeroize(s, sizeof(*s));
    free(s);
    return 0;
}

int api_backup_get(struct request *r)
{
    bool files = false;
    size_t bytes = 0;
    char *text;
    int result = -1;

    if (!passphrase(r) || api_query_bool(r, "images", &files) != 0)
        return -1;
    if (files && !persist_is_open())
        return problem_set(&r->problem, 409,
                           "The files of images are kept on a disk only, and there is none: leave "
                           "?images=true out.");
    if (api_take_turn(r) != 0)
        return -1;
    text = api_still_allowed(r) ? backup_make(files, &bytes, &r->problem) : NULL;
    if (text) {
        audit_detail("%zu bytes%s", bytes, files ? ", and the files of images" : "");
        result = answer_backup(r, text, bytes);
        mbedtls_platform_zeroize(text, bytes);
    }
    free(text);
    api_end_turn();
    return result;
}

/*
 * From the client
 */

static int explain(struct stream *s, enum seal_error error, const uint8_t *header)
{
    struct problem *p = &s->r->problem;

    switch (error) {
    case SEAL_FOREIGN:
        return problem_set(p, 422, "The body is no backup of Skep's.");
    case SEAL_NEWER:
        return problem_set(p, 422,
                           "The backup has version %u of the format; this Skep reads version %u.",
                           seal_version(header), SEAL_VERSION);
    case SEAL_PASSPHRASE:
        return problem_set(p, 403, "The passphrase is not the one of this backup.");
    case SEAL_UNABLE:
        return no_memory(s->r);
    default:
        return problem_set(p, 422,
                           "The backup is damaged: it isn't what was written. Nothing of it is "
                           "restored.");
    }
}

/* Exactly so many bytes of the body; -1 and the problem if they don't come. */
static int receive(struct stream *s, void *data, size_t bytes)
{
    uint8_t *to = data;

    while (bytes) {
        uint64_t step = tls_clock_ns() + STEP_NS;
        int n = http_read_body(s->r->http, to, bytes, step < s->deadline ? step : s->deadline);
        if (n < 0)
            return problem_set(&s->r->problem, n == HTTP_E_TIMEOUT ? 408 : 400,
                               "The backup didn't come in full.");
        if (n == 0)
            return problem_set(&s->r->problem, 422,
                               "The backup is cut short: its end is missing. Nothing of it is "
                               "restored.");
        to += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int receive_header(struct stream *s, const char *words)
{
    uint8_t header[SEAL_HEADER_BYTES];
    enum seal_error error;

    if (receive(s, header, sizeof(header)) != 0)
        return -1;
    error = seal_open(&s->seal, words, header);
    return error == SEAL_OK ? 0 : explain(s, error, header);
}

static int receive_piece(struct stream *s)
{
    uint8_t word[SEAL_WORD_BYTES];

    s->at = 0;
    if (s->last || receive(s, word, sizeof(word)) != 0)
        return s->last ? explain(s, SEAL_DAMAGED, NULL) : -1;
    if (!seal_read_word(word, &s->bytes, &s->last))
        return explain(s, SEAL_DAMAGED, NULL);
    if (receive(s, s->plain, s->bytes + SEAL_TAG_BYTES) != 0)
        return -1;
    if (seal_open_piece(&s->seal, word, s->plain, s->bytes) != SEAL_OK)
        return explain(s, SEAL_DAMAGED, NULL);
    return 0;
}

static int take_bytes(struct stream *s, void *data, size_t bytes)
{
    uint8_t *to = data;

    while (bytes) {
        size_t part = s->bytes - s->at < bytes ? s->bytes - s->at : bytes;
        memcpy(to, s->plain + s->at, part);
        s->at += (uint32_t)part;
        to += part;
        bytes -= part;
        if (bytes && receive_piece(s) != 0)
            return -1;
    }
    return 0;
}

/* All must have been of use, and nothing may follow. */
static int check_end(struct stream *s)
{
    uint8_t more;
    int n;

    while (!s->last && s->at == s->bytes)
        if (receive_piece(s) != 0)
            return -1;
    n = http_read_body(s->r->http, &more, 1, tls_clock_ns() + STEP_NS);
    if (n < 0)
        return problem_set(&s->r->problem, 400, "The backup didn't come in full.");
    return s->at == s->bytes && n == 0 ? 0 : explain(s, SEAL_DAMAGED, NULL);
}

static int take_text(struct stream *s, struct restore *restore)
{
    uint64_t length;

    if (take_bytes(s, &length, sizeof(length)) != 0)
        return -1;
    if (length > BACKUP_TEXT_MAX)
        return problem_set(&s->r->problem, 413, "The backup's text has more than %u bytes.",
                           BACKUP_TEXT_MAX);
    restore->text = malloc(length + 1);
    if (!restore->text)
        return no_memory(s->r);
    restore->bytes = length;
    restore->text[length] = '\0';
    return take_bytes(s, restore->text, length);
}

static int take_file(struct stream *s, struct restore *restore, const struct backup_image *image)
{
    uint8_t *data = malloc(image->bytes);
    int result = data ? take_bytes(s, data, image->bytes) : no_memory(s->r);

    if (result == 0)
        result = restore_take_file(restore, image, data, &s->r->problem);
    free(data);
    return result;
}

static int take_files(struct stream *s, struct restore *restore)
{
    const char *text = restore->text;
    struct backup_line line;
    int result;

    while ((result = backup_read(&text, &line, &s->r->problem)) > 0) {
        struct backup_image image;
        result = line.kind == BACKUP_IMAGE ? backup_read_image(&line, &image, &s->r->problem) : 0;
        if (result == 0 && line.kind == BACKUP_IMAGE && image.has_file)
            result = take_file(s, restore, &image);
        backup_line_free(&line);
        if (result < 0)
            break;
    }
    return result;
}

static int restore_body(struct stream *s, struct restore *restore)
{
    if (take_text(s, restore) != 0 || restore_check(restore, &s->r->problem) != 0 ||
        take_files(s, restore) != 0 || check_end(s) != 0 || !api_still_allowed(s->r))
        return -1;
    return restore_commit(restore, &s->r->json, &s->r->problem);
}

static int receive_backup(struct request *r, const char *words, struct restore *restore)
{
    struct stream *s = calloc(1, sizeof(*s));
    int status;

    if (!s)
        return no_memory(r);
    s->r = r;
    s->deadline = tls_clock_ns() + RESTORE_NS;
    status = receive_header(s, words);
    if (status == 0) {
        status = restore_body(s, restore);
        seal_end(&s->seal);
    }
    if (restore->text)
        mbedtls_platform_zeroize(restore->text, restore->bytes);
    mbedtls_platform_zeroize(s, sizeof(*s));
    free(s);
    return status;
}

int api_backup_put(struct request *r)
{
    struct restore restore = {.dry_run = r->dry_run};
    const char *words = passphrase(r);
    int status;

    if (!words || api_query_bool(r, "replace", &restore.replace) != 0 ||
        api_query_bool(r, "identity", &restore.identity) != 0)
        return -1;
    if (!api_has_body(r))
        return problem_set(&r->problem, 411, "The body must be the backup.");
    if (api_take_turn(r) != 0)
        return -1;
    status = receive_backup(r, words, &restore);
    restore_end(&restore);
    free(restore.text);
    api_end_turn();
    return status;
}
