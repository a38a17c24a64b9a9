/*
 * http.h - the server side of HTTP/1.1 on one connection: requests are read, bodies streamed,
 * replies written, by the thread that owns the connection.
 *
 * Parsing is llhttp's; nothing lenient is switched on. What a peer can make us hold is bounded: a
 * request's head by HTTP_HEAD_MAX, and bodies go straight into the caller's buffer.
 *
 * Errors: 0 or a count on success, else a negative HTTP_E_… code; a caller answers those that have a
 * status (http_error_status) and closes in any case. Deadlines are nanoseconds of the transport's
 * clock and are passed through.
 */
#ifndef SKEP_HTTP_H
#define SKEP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#define HTTP_HEAD_MAX   8192 /* bytes of request line and header fields */
#define HTTP_URL_MAX    1024
#define HTTP_FIELDS_MAX 64
#define HTTP_OUTPUT_MAX 4096 /* bytes of a reply that wait to be written together */

#define HTTP_E_CLOSED      (-1) /* by the peer, between requests or amid one */
#define HTTP_E_TIMEOUT     (-2)
#define HTTP_E_TRANSPORT   (-3)
#define HTTP_E_SYNTAX      (-4) /* 400 */
#define HTTP_E_HEAD_LARGE  (-5) /* 431 */
#define HTTP_E_URL_LARGE   (-6) /* 414 */
#define HTTP_E_EXPECTATION (-7) /* 417 */
#define HTTP_E_METHOD      (-8) /* 501 */
#define HTTP_E_VERSION     (-9) /* 505 */

/* Reads at least a byte, or writes all of them, by the deadline: a count, or HTTP_E_CLOSED,
 * _TIMEOUT or _TRANSPORT. */
struct http_transport {
    void *context;
    int (*read)(void *context, void *buf, size_t bytes, uint64_t deadline);
    int (*write)(void *context, const void *buf, size_t bytes, uint64_t deadline);
};

struct http_field {
    const char *name, *value;
};

struct http_conn {
    struct http_transport transport;
    llhttp_t parser;

    /* The request at hand. Strings live in url and text. */
    llhttp_method_t method;
    char *path;  /* as sent, without the query */
    char *query; /* after '?', or "" */
    unsigned field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
    bool has_length, chunked, keep_alive, expects_continue;
    bool upgrade; /* it asks for another protocol: "upgrade" has its name */
    uint64_t content_length;

    /* The reply. */
    bool reply_started, reply_chunked;
    int reply_status; /* once it has started */
    uint64_t write_deadline;
    size_t output_bytes; /* that wait to be written */
    uint8_t output[HTTP_OUTPUT_MAX];

    /* Parsing. */
    bool head_done, body_done;
    int error; /* found in a callback */
    size_t head_bytes, url_bytes, text_bytes, value_start;
    uint64_t body_total; /* bytes of the body that were read */
    uint64_t framing;    /* and of what was between them */
    char url[HTTP_URL_MAX + 1];
    char text[HTTP_HEAD_MAX + 2 * HTTP_FIELDS_MAX];
    uint8_t *body;
    size_t body_bytes;
    size_t input_first, input_end;
    uint8_t input[2048];
};

void http_conn_init(struct http_conn *c, const struct http_transport *transport);

/* Waits for a request: its first byte by idle_deadline, its head complete by head_ns after that.
 * clock() tells the transport's time. */
int http_read_head(struct http_conn *c, uint64_t idle_deadline, uint64_t head_ns,
                   uint64_t (*clock)(void));

/* A header field's value, NULL if there is none. Names are compared without case. */
const char *http_field(const struct http_conn *c, const char *name);

/* How many fields have this name. */
unsigned http_field_count(const struct http_conn *c, const char *name);

/* Whether If-Match or If-None-Match names the entity tag, which is in quotes; NULL = there is nothing, and so no tag of
 * it. Weak tags match where weak says so. */
enum http_match { HTTP_MATCH_NONE, HTTP_MATCH_YES, HTTP_MATCH_NO, HTTP_MATCH_MALFORMED };
enum http_match http_match(const struct http_conn *c, const char *field, const char *etag,
                           bool weak);

/* Up to bytes of the body; 0 = it is complete. Says "100 Continue" first to who waits for it. Chunks with far more framing
 * than data are HTTP_E_SYNTAX. */
int http_read_body(struct http_conn *c, void *buf, size_t bytes, uint64_t deadline);

/* Reads and drops what is left of a body, at most limit bytes; whether the connection can go on. */
bool http_drop_body(struct http_conn *c, size_t limit, uint64_t deadline);

/* The status that answers an error, 0 if nothing can be answered. */
int http_error_status(int error);

const char *http_status_text(int status);

/*
 * Replies. `fields` is further header lines, each ended by CRLF, or NULL. Content-Length or chunked
 * framing, Connection and the body's omission for HEAD are done here.
 */
int http_reply(struct http_conn *c, int status, const char *type, const char *fields,
               const void *body, size_t bytes);

/* A reply whose body comes in parts, which go out when there are HTTP_OUTPUT_MAX bytes of them, at its end, or by
 * http_reply_flush(), which whoever waits before the next part calls. A head without a body (HEAD) goes out at once. */
int http_reply_begin(struct http_conn *c, int status, const char *type, const char *fields);
int http_reply_chunk(struct http_conn *c, const void *data, size_t bytes);
int http_reply_flush(struct http_conn *c);
int http_reply_end(struct http_conn *c);
/* With header lines that were not known before, each ended by CRLF; a client of HTTP/1.0 doesn't get them. */
int http_reply_end_with(struct http_conn *c, const char *fields);

/*
 * Another protocol (RFC 9110, 7.8): says 101 with these header lines, among them Upgrade and Connection. From then on the
 * connection is the caller's alone, and its bytes are read and written as they are, by the transport's rules; the first
 * ones may have come along with the request.
 */
int http_upgrade(struct http_conn *c, const char *fields);
int http_raw_read(struct http_conn *c, void *buf, size_t bytes, uint64_t deadline);
int http_raw_write(struct http_conn *c, const void *data, size_t bytes);

/* Decodes %XX in place; false for bad or NUL sequences. */
bool http_unescape(char *text);

/* Finds `name=` in a query and copies its unescaped value; 1 found, 0 absent, -1 malformed or too
 * long. */
int http_query_value(const char *query, const char *name, char *value, size_t room);

/* The same from *query on, which is then behind what was found, for names that may come several times. */
int http_query_next(const char **query, const char *name, char *value, size_t room);

#endif
