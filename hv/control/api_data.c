/* api_data.c - handlers for the data of whole volumes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "audit.h"
#include "events.h"
#include "json.h"
#include "skep_tls.h"
#include "storage.h"

#define SECOND      1000000000ull
#define STEP_NS     (30 * SECOND) /* without a byte to or from the client */
#define DIGEST_TEXT 72            /* "sha256:" and 64 digits */
#define DIGEST      "Skep-Digest"

static void digest_text(struct tls_hash *hash, char text[DIGEST_TEXT])
{
    uint8_t digest[32];
    int at = snprintf(text, DIGEST_TEXT, "sha256:");

    tls_hash_end(hash, digest);
    for (unsigned i = 0; i < sizeof(digest); i++)
        at += snprintf(text + at, DIGEST_TEXT - (size_t)at, "%02x", digest[i]);
}

/* Bytes of part n. */
static size_t part_bytes(const struct storage_stream *s, uint32_t n)
{
    uint64_t left = s->bytes - (uint64_t)n * s->chunk_bytes;
    return left < s->chunk_bytes ? (size_t)left : s->chunk_bytes;
}

static uint32_t part_count(const struct storage_stream *s)
{
    return (uint32_t)((s->bytes + s->chunk_bytes - 1) / s->chunk_bytes);
}

static int no_memory(struct request *r)
{
    return problem_set(&r->problem, 503, "There is no memory for the request now; try again.");
}

/*
 * From the volume
 */

static int send_parts(struct request *r, struct storage_stream *s, uint8_t *data)
{
    char text[DIGEST_TEXT], fields[sizeof(DIGEST) + DIGEST_TEXT + 8];
    struct tls_hash hash;
    int result = 0;

    tls_hash_begin(&hash);
    for (uint32_t n = 0; result == 0 && n < part_count(s); n++) {
        result = api_still_allowed(r) ? storage_stream_read(s, n, data) : HTTP_E_TRANSPORT;
        tls_hash_add(&hash, data, part_bytes(s, n));
        r->http->write_deadline = tls_clock_ns() + STEP_NS;
        if (result == 0)
            result = http_reply_chunk(r->http, data, part_bytes(s, n));
    }
    digest_text(&hash, text);
    snprintf(fields, sizeof(fields), DIGEST ": %s\r\n", text);
    return result ? result : http_reply_end_with(r->http, fields);
}

int api_volume_data_get(struct request *r)
{
    char fields[96];
    struct storage_stream s;
    uint8_t *data;

    if (storage_stream_begin(&s, r->name, false, &r->problem) != 0)
        return -1;
    data = malloc(s.chunk_bytes);
    snprintf(fields, sizeof(fields), "Trailer: " DIGEST "\r\nSkep-Size: %" PRIu64 "\r\n", s.bytes);
    r->http->write_deadline = tls_clock_ns() + STEP_NS;
    /* What was broken off must not look whole: the connection ends without the last chunk. */
    if (data && (http_reply_begin(r->http, 200, "application/octet-stream", fields) != 0 ||
                 (r->http->method != HTTP_HEAD && send_parts(r, &s, data) != 0)))
        r->http->keep_alive = false;
    storage_stream_end(&s);
    free(data);
    return data ? 0 : no_memory(r);
}

/*
 * To the volume
 */

/* A whole part, the rest of it zeroes; 0, or -1 and the problem. */
static int receive_part(struct request *r, const struct storage_stream *s, uint32_t n,
                        uint8_t *data)
{
    size_t wanted = part_bytes(s, n), bytes = 0;

    memset(data + wanted, 0, s->chunk_bytes - wanted);
    while (bytes < wanted) {
        int got = http_read_body(r->http, data + bytes, wanted - bytes, tls_clock_ns() + STEP_NS);
        if (got <= 0) {
            r->http->keep_alive = false;
            return problem_set(&r->problem, got == HTTP_E_TIMEOUT ? 408 : 400,
                               "The data didn't come in full%s.",
                               r->dry_run ? "" : ": the volume is written in part");
        }
        bytes += (size_t)got;
    }
    return 0;
}

static int explain(struct request *r, int error)
{
    r->http->keep_alive = false;
    return problem_set(
        &r->problem, error == -SKEP_ENOSPC ? 409 : 503,
        error == -SKEP_ENOSPC
            ? "The disk is full: the volume is written in part."
            : "The disk failed, or there is no memory: the volume is written in part.");
}

static int receive_parts(struct request *r, struct storage_stream *s, struct tls_hash *hash,
                         uint8_t *data)
{
    for (uint32_t n = 0; n < part_count(s); n++) {
        int result;
        if (receive_part(r, s, n, data) != 0 || !api_still_allowed(r))
            return -1;
        tls_hash_add(hash, data, part_bytes(s, n));
        result = storage_stream_write(s, n, data);
        if (result != 0)
            return explain(r, result);
    }
    return 0;
}

static int check_data(struct request *r, const struct storage_stream *s)
{
    if (!r->http->has_length)
        return problem_set(&r->problem, 411, "The data is needed, with Content-Length.");
    if (r->http->content_length != s->bytes)
        return problem_set(&r->problem, 422,
                           "The volume has %" PRIu64 " bytes, and so must the data have.",
                           s->bytes);
    return 0;
}

static int answer(struct request *r, const char *text)
{
    const char *expected = http_field(r->http, DIGEST);

    if (expected && strcmp(expected, text) != 0)
        return problem_set(&r->problem, 422,
                           "The volume %s what came, but that isn't what " DIGEST
                           " says: its digest is %s.",
                           r->dry_run ? "would have" : "has", text);
    r->json = cJSON_CreateObject();
    cJSON_AddStringToObject(r->json, "name", r->name);
    cJSON_AddStringToObject(r->json, "digest", text);
    return 200;
}

static int written(struct request *r, struct tls_hash *hash)
{
    char text[DIGEST_TEXT];

    digest_text(hash, text);
    audit_detail("%s", text);
    events_add(EVENT_VOLUMES, "written", r->name, audit_caller(), "\"digest\":\"%s\"", text);
    return answer(r, text);
}

/* Reads it all, as the digest is part of the answer; how many parts would take place, or -1 and the problem. */
static int count_parts(struct request *r, const struct storage_stream *s, struct tls_hash *hash,
                       uint8_t *data)
{
    int count = 0;

    for (uint32_t n = 0; n < part_count(s); n++) {
        if (receive_part(r, s, n, data) != 0 || !api_still_allowed(r))
            return -1;
        tls_hash_add(hash, data, part_bytes(s, n));
        count += !storage_is_zero(data, s->chunk_bytes);
    }
    return count;
}

/* The volume stays anybody's meanwhile, so that it is looked at again in the end. */
static int foresee(struct request *r)
{
    char text[DIGEST_TEXT];
    struct storage_stream s;
    struct tls_hash hash;
    uint8_t *data;
    int count;

    if (storage_stream_foresee(&s, r->name, 0, &r->problem) != 0 || check_data(r, &s) != 0)
        return -1;
    data = malloc(s.chunk_bytes);
    if (!data)
        return no_memory(r);
    tls_hash_begin(&hash);
    count = count_parts(r, &s, &hash, data);
    digest_text(&hash, text);
    free(data);
    if (count < 0 || storage_stream_foresee(&s, r->name, (uint32_t)count, &r->problem) != 0)
        return -1;
    return answer(r, text);
}

int api_volume_data_put(struct request *r)
{
    struct storage_stream s;
    struct tls_hash hash;
    uint8_t *data;
    int result, ended;

    if (r->dry_run)
        return foresee(r);
    if (storage_stream_begin(&s, r->name, true, &r->problem) != 0)
        return -1;
    tls_hash_begin(&hash);
    data = malloc(s.chunk_bytes);
    result = data ? check_data(r, &s) : no_memory(r);
    if (data && result == 0)
        result = receive_parts(r, &s, &hash, data);
    ended = storage_stream_end(&s);
    free(data);
    if (result == 0 && ended != 0)
        result = explain(r, ended);
    if (result == 0)
        return written(r, &hash);
    mbedtls_sha256_free(&hash.sha);
    return -1;
}
