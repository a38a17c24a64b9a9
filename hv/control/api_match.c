/* api_match.c - entity tags, and the conditions that requests make of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "hex.h"
#include "skep_tls.h"

void api_format_etag(char etag[ETAG_MAX], const uint8_t digest[32])
{
    char text[ETAG_MAX - 2];

    hex_format(text, digest, sizeof(text) / 2);
    snprintf(etag, ETAG_MAX, "\"%s\"", text);
}

void api_make_etag(char etag[ETAG_MAX], const void *data, size_t bytes)
{
    uint8_t digest[32];

    tls_sha256(data, bytes, digest);
    api_format_etag(etag, digest);
}

void api_tag_json(char etag[ETAG_MAX], const cJSON *json)
{
    cJSON *copy = cJSON_Duplicate(json, true);
    char *text;

    cJSON_DeleteItemFromObjectCaseSensitive(copy, "status");
    text = cJSON_PrintUnformatted(copy);
    cJSON_Delete(copy);
    api_make_etag(etag, text ? text : "", text ? strlen(text) : 0);
    free(text);
}

static int failed(struct request *r, const char *field, const char *etag)
{
    if (!etag)
        return problem_set(&r->problem, 412, "%s: there is no '%.63s' yet, so nothing was changed.",
                           field, r->name);
    return problem_set(
        &r->problem, 412,
        "%s: '%.63s' is there with the ETag %s, so nothing was changed: look at what "
        "it is now.",
        field, r->name, etag);
}

/* Weak tags are none of ours: they match where only a change is to be prevented. */
int api_check_match(struct request *r, const char *etag)
{
    enum http_match match = http_match(r->http, "If-Match", etag, false);
    enum http_match none = http_match(r->http, "If-None-Match", etag, true);

    if (match == HTTP_MATCH_MALFORMED || none == HTTP_MATCH_MALFORMED)
        return problem_set(&r->problem, 400,
                           "If-Match and If-None-Match must be * or ETags, each in quotes.");
    if (match == HTTP_MATCH_NO)
        return failed(r, "If-Match", etag);
    return none == HTTP_MATCH_YES ? failed(r, "If-None-Match", etag) : 0;
}

bool api_has_match(const struct request *r)
{
    return http_field(r->http, "If-Match") || http_field(r->http, "If-None-Match");
}

int api_refuse_match(struct request *r)
{
    if (!api_has_match(r))
        return 0;
    return problem_set(&r->problem, 400,
                       "This call has no conditions, so nothing was done: leave If-Match and "
                       "If-None-Match out.");
}
