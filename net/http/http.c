/*
 * http.c - reads requests with llhttp.
 *
 * llhttp calls back while it is fed. At the end of the head it is paused, so that the caller can look
 * at the request before any of the body is taken. Body bytes are never more than the bytes fed, so
 * feeding at most what the caller's buffer holds makes a copy without overflow. At the end of the
 * message it is paused again: what follows in the input is the next request's.
 */
#include "http.h"

#include <string.h>
#include <strings.h>

/* What chunks may have beside their data, extensions and trailers (RFC 9112, 7.1.1): so much for each byte of it, and so
 * much more. A chunk of one byte has five. */
#define FRAMING_PER_BYTE 16u
#define FRAMING_MAX      HTTP_HEAD_MAX

static struct http_conn *conn_of(llhttp_t *parser)
{
    return parser->data;
}

static int fail(struct http_conn *c, int error)
{
    c->error = error;
    return HPE_USER;
}

static int on_url(llhttp_t *parser, const char *at, size_t bytes)
{
    struct http_conn *c = conn_of(parser);
    if (bytes > HTTP_URL_MAX - c->url_bytes)
        return fail(c, HTTP_E_URL_LARGE);
    memcpy(c->url + c->url_bytes, at, bytes);
    c->url_bytes += bytes;
    return 0;
}

/* Names and values follow each other in c->text, each ended by a NUL; the last two bytes are kept for
 * these. Trailers (after the head) are dropped. */
static int append_text(struct http_conn *c, const char *at, size_t bytes)
{
    if (c->head_done)
        return 0;
    if (bytes + 2 > sizeof(c->text) - c->text_bytes)
        return fail(c, HTTP_E_HEAD_LARGE);
    memcpy(c->text + c->text_bytes, at, bytes);
    c->text_bytes += bytes;
    return 0;
}

static int on_text(llhttp_t *parser, const char *at, size_t bytes)
{
    return append_text(conn_of(parser), at, bytes);
}

static int on_name_complete(llhttp_t *parser)
{
    struct http_conn *c = conn_of(parser);
    if (c->head_done)
        return 0;
    if (c->field_count == HTTP_FIELDS_MAX)
        return fail(c, HTTP_E_HEAD_LARGE);
    c->fields[c->field_count].name = c->text + c->value_start;
    c->text[c->text_bytes++] = '\0';
    c->value_start = c->text_bytes;
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http_conn *c = conn_of(parser);
    if (c->head_done)
        return 0;
    c->fields[c->field_count++].value = c->text + c->value_start;
    c->text[c->text_bytes++] = '\0';
    c->value_start = c->text_bytes;
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct http_conn *c = conn_of(parser);
    c->head_done = true;
    c->upgrade = parser->upgrade;
    parser->upgrade = 0; /* who isn't given another protocol goes on with this one */
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t bytes)
{
    struct http_conn *c = conn_of(parser);
    memcpy(c->body + c->body_bytes, at, bytes);
    c->body_bytes += bytes;
    return 0;
}

static int on_message(llhttp_t *parser)
{
    conn_of(parser)->body_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_text,
    .on_header_field_complete = on_name_complete,
    .on_header_value = on_text,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_message,
};

void http_conn_init(struct http_conn *c, const struct http_transport *transport)
{
    memset(c, 0, sizeof(*c));
    c->transport = *transport;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
}

/* Feeds at most limit bytes of the input; 0, or why it can't go on. */
static int feed(struct http_conn *c, size_t limit)
{
    const char *start = (const char *)c->input + c->input_first;
    size_t bytes = c->input_end - c->input_first;
    llhttp_errno_t result;

    if (bytes > limit)
        bytes = limit;
    if (llhttp_get_errno(&c->parser) == HPE_PAUSED)
        llhttp_resume(&c->parser);
    result = llhttp_execute(&c->parser, start, bytes);
    if (result == HPE_OK) {
        c->input_first += bytes;
        return 0;
    }
    if (result == HPE_PAUSED) {
        c->input_first += (size_t)(llhttp_get_error_pos(&c->parser) - start);
        return 0;
    }
    if (result == HPE_USER && c->error)
        return c->error;
    if (result == HPE_INVALID_METHOD && *start >= 'A' && *start <= 'Z')
        return HTTP_E_METHOD; /* else it is no HTTP at all */
    return result == HPE_INVALID_VERSION ? HTTP_E_VERSION : HTTP_E_SYNTAX;
}

static int fill(struct http_conn *c, uint64_t deadline)
{
    int n;

    if (c->input_first < c->input_end)
        return 0;
    n = c->transport.read(c->transport.context, c->input, sizeof(c->input), deadline);
    if (n <= 0)
        return n < 0 ? n : HTTP_E_CLOSED;
    c->input_first = 0;
    c->input_end = (size_t)n;
    return 0;
}

static void reset_request(struct http_conn *c)
{
    c->head_done = c->body_done = c->reply_started = false;
    c->reply_status = 0;
    c->field_count = 0;
    c->error = 0;
    c->head_bytes = c->url_bytes = c->text_bytes = c->value_start = 0;
    c->content_length = c->output_bytes = 0;
    c->body_total = c->framing = 0;
    c->has_length = c->chunked = c->keep_alive = c->expects_continue = c->upgrade = false;
}

unsigned http_field_count(const struct http_conn *c, const char *name)
{
    unsigned count = 0;

    for (unsigned i = 0; i < c->field_count; i++)
        count += strcasecmp(c->fields[i].name, name) == 0;
    return count;
}

/* White space may follow a field's value. */
static bool is_chunked(const char *coding)
{
    return strncasecmp(coding, "chunked", 7) == 0 && coding[7 + strspn(coding + 7, " \t")] == '\0';
}

static int finish_head(struct http_conn *c)
{
    const char *expect = http_field(c, "expect"), *coding = http_field(c, "transfer-encoding");
    unsigned hosts;
    char *mark;

    if (c->parser.http_major != 1)
        return HTTP_E_VERSION;
    c->url[c->url_bytes] = '\0';
    c->path = c->url;
    mark = strchr(c->url, '?');
    c->query = mark ? mark + 1 : c->url + c->url_bytes;
    if (mark)
        *mark = '\0';
    c->method = (llhttp_method_t)llhttp_get_method(&c->parser);
    c->keep_alive = llhttp_should_keep_alive(&c->parser);
    c->has_length = (c->parser.flags & F_CONTENT_LENGTH) != 0;
    c->chunked = (c->parser.flags & F_CHUNKED) != 0;
    c->content_length = c->has_length ? c->parser.content_length : 0;
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return HTTP_E_EXPECTATION;
    c->expects_continue = expect != NULL;
    /* RFC 9112, 6.1: chunks are the only coding that is known here, and HTTP/1.0 has none. What is before us may see it
     * otherwise, and where the body ends. */
    if (coding && (!is_chunked(coding) || !c->chunked || c->parser.http_minor == 0))
        return HTTP_E_SYNTAX;
    /* RFC 9112, 3.2: without or with two Host fields the request is malformed. */
    hosts = http_field_count(c, "host");
    return hosts > 1 || (hosts == 0 && c->parser.http_minor >= 1) ? HTTP_E_SYNTAX : 0;
}

int http_read_head(struct http_conn *c, uint64_t idle_deadline, uint64_t head_ns,
                   uint64_t (*clock)(void))
{
    uint64_t deadline = idle_deadline;
    int error;

    reset_request(c);
    while (!c->head_done) {
        if ((error = fill(c, deadline)) != 0)
            return error;
        if (deadline == idle_deadline)
            deadline = clock() + head_ns;
        size_t room = HTTP_HEAD_MAX - c->head_bytes, before = c->input_first;
        if (room == 0)
            return HTTP_E_HEAD_LARGE;
        if ((error = feed(c, room)) != 0)
            return error;
        c->head_bytes += c->input_first - before;
    }
    return finish_head(c);
}

const char *http_field(const struct http_conn *c, const char *name)
{
    for (unsigned i = 0; i < c->field_count; i++)
        if (strcasecmp(c->fields[i].name, name) == 0)
            return c->fields[i].value;
    return NULL;
}

static int say_continue(struct http_conn *c, uint64_t deadline)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    int n;

    c->expects_continue = false;
    n = c->transport.write(c->transport.context, line, sizeof(line) - 1, deadline);
    return n < 0 ? n : 0;
}

static int feed_body(struct http_conn *c, size_t limit)
{
    size_t first = c->input_first, before = c->body_bytes;
    int error = feed(c, limit);

    c->body_total += c->body_bytes - before;
    c->framing += c->input_first - first - (c->body_bytes - before);
    if (error == 0 && c->framing > FRAMING_MAX + FRAMING_PER_BYTE * c->body_total)
        return HTTP_E_SYNTAX;
    return error;
}

int http_read_body(struct http_conn *c, void *buf, size_t bytes, uint64_t deadline)
{
    int error;

    c->body = buf;
    c->body_bytes = 0;
    /* Without a body llhttp completes the message when it is resumed, and needs no input for it. */
    if (!c->body_done && !c->chunked && c->content_length == 0 && (error = feed(c, 0)) != 0)
        return error;
    if (!c->body_done && c->expects_continue && (error = say_continue(c, deadline)) != 0)
        return error;
    while (!c->body_done && c->body_bytes == 0) {
        if ((error = fill(c, deadline)) != 0)
            return error;
        if ((error = feed_body(c, bytes)) != 0)
            return error;
    }
    return (int)c->body_bytes;
}

int http_raw_read(struct http_conn *c, void *buf, size_t bytes, uint64_t deadline)
{
    int error = fill(c, deadline);
    size_t there = c->input_end - c->input_first;

    if (error != 0)
        return error;
    if (bytes > there)
        bytes = there;
    memcpy(buf, c->input + c->input_first, bytes);
    c->input_first += bytes;
    return (int)bytes;
}

bool http_drop_body(struct http_conn *c, size_t limit, uint64_t deadline)
{
    uint8_t scratch[1024];
    size_t dropped = 0;

    /* Who still waits for "100 Continue" may send the body or not: only closing is unambiguous. */
    if (c->expects_continue && !c->body_done)
        return false;
    while (!c->body_done) {
        int n = http_read_body(c, scratch, sizeof(scratch), deadline);
        if (n < 0 || (dropped += (size_t)n) > limit)
            return false;
    }
    return true;
}

int http_error_status(int error)
{
    switch (error) {
    case HTTP_E_SYNTAX:
        return 400;
    case HTTP_E_TIMEOUT:
        return 408;
    case HTTP_E_URL_LARGE:
        return 414;
    case HTTP_E_EXPECTATION:
        return 417;
    case HTTP_E_HEAD_LARGE:
        return 431;
    case HTTP_E_METHOD:
        return 501;
    case HTTP_E_VERSION:
        return 505;
    default:
        return 0;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(char *text)
{
    char *to = text;

    for (; *text; text++) {
        if (*text != '%') {
            *to++ = *text;
            continue;
        }
        int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0 || (high | low) == 0)
            return false;
        *to++ = (char)(high << 4 | low);
        text += 2;
    }
    *to = '\0';
    return true;
}

/* Bytes of the query's first part: strcspn() would compare each with all of its set. */
static size_t part_length(const char *query)
{
    const char *end = strchr(query, '&');

    return end ? (size_t)(end - query) : strlen(query);
}

int http_query_next(const char **query, const char *name, char *value, size_t room)
{
    size_t name_bytes = strlen(name);

    while (**query) {
        const char *at = *query;
        size_t bytes = part_length(at);
        *query += bytes + (at[bytes] == '&');
        if (bytes >= name_bytes && strncmp(at, name, name_bytes) == 0 &&
            (bytes == name_bytes || at[name_bytes] == '=')) {
            size_t skip = bytes == name_bytes ? name_bytes : name_bytes + 1;
            if (bytes - skip >= room)
                return -1;
            memcpy(value, at + skip, bytes - skip);
            value[bytes - skip] = '\0';
            return http_unescape(value) ? 1 : -1;
        }
    }
    return 0;
}

int http_query_value(const char *query, const char *name, char *value, size_t room)
{
    return http_query_next(&query, name, value, room);
}
