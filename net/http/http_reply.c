/* http_reply.c - writes replies. */
#include <string.h>

#include "http.h"

#define DIGITS_MAX 21 /* of a number, and a NUL */

const char *http_status_text(int status)
{
    const char *text = llhttp_status_name((llhttp_status_t)status);
    switch (status) { /* llhttp has them in capitals; these are the ones we use */
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    default:
        return text ? text : "";
    }
}

/* 204 and 304 have no body, and so no length of one. */
static bool has_body(int status)
{
    return status != 204 && status != 304;
}

static int write_now(struct http_conn *c, const void *data, size_t bytes)
{
    int n = c->transport.write(c->transport.context, data, bytes, c->write_deadline);

    if (n < 0)
        c->keep_alive = false;
    return n < 0 ? n : 0;
}

/* Nothing isn't written: TLS would make an empty record of it, which OpenSSL's SSL_read() may take for the end. */
int http_reply_flush(struct http_conn *c)
{
    size_t bytes = c->output_bytes;

    c->output_bytes = 0;
    return bytes ? write_now(c, c->output, bytes) : 0;
}

/* What is small goes out together: of each write TLS makes a record, and TCP a packet. */
static int put(struct http_conn *c, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    int error = 0;

    while (error == 0 && bytes > 0) {
        size_t room = sizeof(c->output) - c->output_bytes, part = bytes < room ? bytes : room;
        if (bytes >= sizeof(c->output) && c->output_bytes == 0)
            return write_now(c, at, bytes);
        memcpy(c->output + c->output_bytes, at, part);
        c->output_bytes += part;
        at += part;
        bytes -= part;
        if (part == room)
            error = http_reply_flush(c);
    }
    return error;
}

static int put_text(struct http_conn *c, const char *text)
{
    return put(c, text, strlen(text));
}

/* A number's digits, at the room's end: printf() would take longer than all else that makes a head. */
static const char *digits_of(char room[DIGITS_MAX], uint64_t value, unsigned base)
{
    char *at = room + DIGITS_MAX - 1;

    *at = '\0';
    do
        *--at = "0123456789abcdef"[value % base];
    while ((value /= base) > 0);
    return at;
}

/* The head, up to the empty line. */
static int put_head(struct http_conn *c, int status, const char *type, const char *fields,
                    const char *framing)
{
    char room[DIGITS_MAX];
    const char *const parts[] = {"HTTP/1.1 ",
                                 digits_of(room, (unsigned)status, 10),
                                 " ",
                                 http_status_text(status),
                                 type ? "\r\nContent-Type: " : "",
                                 type ? type : "",
                                 "\r\n",
                                 framing,
                                 fields ? fields : "",
                                 c->keep_alive ? "\r\n" : "Connection: close\r\n\r\n"};
    int error = 0;

    c->reply_started = true;
    c->reply_status = status;
    for (unsigned i = 0; error == 0 && i < sizeof(parts) / sizeof(*parts); i++)
        error = put_text(c, parts[i]);
    return error;
}

int http_reply(struct http_conn *c, int status, const char *type, const char *fields,
               const void *body, size_t bytes)
{
    char room[DIGITS_MAX], framing[48] = "";
    int error;

    if (has_body(status))
        stpcpy(stpcpy(stpcpy(framing, "Content-Length: "), digits_of(room, bytes, 10)), "\r\n");
    error = put_head(c, status, type, fields, framing);
    if (error == 0 && c->method != HTTP_HEAD && has_body(status))
        error = put(c, body, bytes);
    return error ? error : http_reply_flush(c);
}

int http_upgrade(struct http_conn *c, const char *fields)
{
    int error;

    c->body_done = true;
    c->keep_alive = true; /* "Connection" is among the fields */
    error = put_head(c, 101, NULL, fields, "");
    c->keep_alive = false; /* no request follows */
    return error ? error : http_reply_flush(c);
}

int http_raw_write(struct http_conn *c, const void *data, size_t bytes)
{
    return bytes ? write_now(c, data, bytes) : 0;
}

int http_reply_begin(struct http_conn *c, int status, const char *type, const char *fields)
{
    int error;

    c->reply_chunked = c->parser.http_major == 1 && c->parser.http_minor >= 1;
    if (!c->reply_chunked)
        c->keep_alive = false; /* the connection's end is the body's */
    error =
        put_head(c, status, type, fields, c->reply_chunked ? "Transfer-Encoding: chunked\r\n" : "");
    return error || c->method != HTTP_HEAD ? error : http_reply_flush(c);
}

int http_reply_chunk(struct http_conn *c, const void *data, size_t bytes)
{
    char room[DIGITS_MAX];
    int error;

    if (bytes == 0)
        return 0; /* an empty chunk would end the body */
    if (!c->reply_chunked)
        return put(c, data, bytes);
    if ((error = put_text(c, digits_of(room, bytes, 16))) != 0 ||
        (error = put(c, "\r\n", 2)) != 0 || (error = put(c, data, bytes)) != 0)
        return error;
    return put(c, "\r\n", 2);
}

int http_reply_end_with(struct http_conn *c, const char *fields)
{
    int error = 0;

    if (c->reply_chunked && (error = put(c, "0\r\n", 3)) == 0 && (error = put_text(c, fields)) == 0)
        error = put(c, "\r\n", 2);
    return error ? error : http_reply_flush(c);
}

int http_reply_end(struct http_conn *c)
{
    return http_reply_end_with(c, "");
}
