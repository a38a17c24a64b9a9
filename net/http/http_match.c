/* http_match.c - conditional requests: the lists of entity tags in If-Match and If-None-Match (RFC 9110, 13.1). */
#include <string.h>
#include <strings.h>

#include "http.h"

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

/* One list of a field; tags are compared with their quotes. */
static enum http_match match_list(const char *at, const char *etag, bool weak)
{
    enum http_match result = HTTP_MATCH_NO;

    at = skip_space(at);
    if (*at == '*' && *skip_space(at + 1) == '\0')
        return etag ? HTTP_MATCH_YES : HTTP_MATCH_NO;
    do {
        bool is_weak = strncmp(at, "W/", 2) == 0;
        const char *tag = at + (is_weak ? 2 : 0);
        const char *end = *tag == '"' ? strchr(tag + 1, '"') : NULL;

        if (!end)
            return HTTP_MATCH_MALFORMED;
        at = skip_space(++end);
        if (*at && *at != ',')
            return HTTP_MATCH_MALFORMED;
        if (etag && (weak || !is_weak) && (size_t)(end - tag) == strlen(etag) &&
            strncmp(tag, etag, strlen(etag)) == 0)
            result = HTTP_MATCH_YES;
        at = *at ? skip_space(at + 1) : at;
    } while (*at);
    return result;
}

enum http_match http_match(const struct http_conn *c, const char *field, const char *etag,
                           bool weak)
{
    enum http_match all = HTTP_MATCH_NONE, one;

    for (unsigned i = 0; i < c->field_count; i++) {
        if (strcasecmp(c->fields[i].name, field) != 0)
            continue;
        one = match_list(c->fields[i].value, etag, weak);
        if (one == HTTP_MATCH_MALFORMED)
            return one;
        all = all == HTTP_MATCH_YES ? all : one;
    }
    return all;
}
