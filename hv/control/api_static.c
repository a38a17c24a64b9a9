/*
 * api_static.c - the handler for what is sent as it was built: the page (hv/control/page), and the API's description
 * (docs/openapi.json).
 */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "skep_tls.h"

#define WRITE_NS 30000000000ull

/* The page gets everything from here, is shown in no other one, and runs nothing but its own scripts. */
#define RULES                                                                                  \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "       \
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors " \
    "'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"

struct static_file {
    const char *name, *type, *etag;
    const char *data;
    size_t bytes;
};

/* Put into the service by cmake/embed-static. */
extern const struct static_file static_files[];

/* The path's last segment; that of "/" is empty. */
static const struct static_file *find_file(const char *name)
{
    const struct static_file *file = static_files;

    if (!*name)
        name = "index.html";
    while (file->name && strcmp(file->name, name) != 0)
        file++;
    return file->name ? file : NULL;
}

int api_static(struct request *r)
{
    const struct static_file *file = find_file(r->name);
    char fields[512];
    bool known;

    if (!file)
        return problem_set(&r->problem, 404, "There is nothing at this path.");
    known = http_match(r->http, "If-None-Match", file->etag, true) == HTTP_MATCH_YES;
    snprintf(fields, sizeof(fields), "ETag: %s\r\nCache-Control: no-cache\r\n" RULES, file->etag);
    r->http->write_deadline = tls_clock_ns() + WRITE_NS;
    if (http_reply(r->http, known ? 304 : 200, known ? NULL : file->type, fields, file->data,
                   known ? 0 : file->bytes) != 0)
        r->http->keep_alive = false;
    return 0;
}
