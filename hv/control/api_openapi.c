/* api_openapi.c - the handler for the API's description (docs/openapi.json). */
#include <stdio.h>

#include "api.h"
#include "skep_tls.h"

#define WRITE_NS 30000000000ull

/* Put into the service by the build. */
extern const char openapi_json[], openapi_json_end[];

int api_openapi(struct request *r)
{
    size_t bytes = (size_t)(openapi_json_end - openapi_json);
    char etag[ETAG_MAX], fields[96];
    bool known;

    api_make_etag(etag, openapi_json, bytes);
    known = http_match(r->http, "If-None-Match", etag, true) == HTTP_MATCH_YES;
    snprintf(fields, sizeof(fields), "ETag: %s\r\nCache-Control: no-cache\r\n", etag);
    r->http->write_deadline = tls_clock_ns() + WRITE_NS;
    if (http_reply(r->http, known ? 304 : 200, known ? NULL : "application/json", fields,
                   openapi_json, known ? 0 : bytes) != 0)
        r->http->keep_alive = false;
    return 0;
}
