/* http_reply.c - writes replies. */
#include <stdio.h>
#include <string.h>

#include "http.h"

#define HEAD_ROOM   1024
#define FIELDS_ROOM 256 /* of lines behind the last chunk */

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

/* Nothing isn't written: TLS would make an empty record of it, which OpenSSL's SSL_read() may take for the end. */
static int write_all(struct http_conn *c, const void *data, size_t bytes)
{
    int n = bytes ? c->transport.write(c->transport.context, data, bytes, c->write_deadline) : 0;

    if (n < 0)
        c->keep_alive = false;
    return n < 0 ? n : 0;
}

/* Makes the head, up to the empty line. */
static size_t make_head(struct http_conn *c, char *head, int status, const char *type,
                        const char *fields, const char *framing)
{
    int n = snprintf(head, HEAD_ROOM, "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s\r\n", status,
                     http_status_text(status), type ? "Content-Type: " : "", type ? type : "",
                     type ? "\r\n" : "", framing, fields ? fields : "",
                     c->keep_alive ? "" : "Connection: close\r\n");
    return n < HEAD_ROOM ? (size_t)n : 0;
}

/* A short body goes out with its head: one record, one packet. */
static int write_with_body(struct http_conn *c, char *head, size_t head_bytes, const void *body,
                           size_t bytes)
{
    size_t first = HEAD_ROOM - head_bytes < bytes ? HEAD_ROOM - head_bytes : bytes;
    int error;

    if (bytes)
        memcpy(head + head_bytes, body, first);
    error = write_all(c, head, head_bytes + first);
    if (error || first == bytes)
        return error;
    return write_all(c, (const char *)body + first, bytes - first);
}

int http_reply(struct http_conn *c, int status, const char *type, const char *fields,
               const void *body, size_t bytes)
{
    char head[HEAD_ROOM], framing[48] = "";
    size_t head_bytes;

    c->reply_started = true;
    c->reply_status = status;
    if (has_body(status))
        snprintf(framing, sizeof(framing), "Content-Length: %lu\r\n", (unsigned long)bytes);
    head_bytes = make_head(c, head, status, type, fields, framing);
    if (head_bytes == 0)
        return HTTP_E_TRANSPORT;
    if (c->method == HTTP_HEAD || !has_body(status))
        bytes = 0;
    return write_with_body(c, head, head_bytes, body, bytes);
}

int http_upgrade(struct http_conn *c, const char *fields)
{
    char head[HEAD_ROOM];
    size_t head_bytes;

    c->reply_started = c->body_done = true;
    c->reply_status = 101;
    c->keep_alive = true; /* "Connection" is among the fields */
    head_bytes = make_head(c, head, 101, NULL, fields, "");
    c->keep_alive = false; /* no request follows */
    return head_bytes ? write_all(c, head, head_bytes) : HTTP_E_TRANSPORT;
}

int http_raw_write(struct http_conn *c, const void *data, size_t bytes)
{
    return write_all(c, data, bytes);
}

int http_reply_begin(struct http_conn *c, int status, const char *type, const char *fields)
{
    char head[HEAD_ROOM];
    size_t head_bytes;

    c->reply_started = true;
    c->reply_status = status;
    c->reply_chunked = c->parser.http_major == 1 && c->parser.http_minor >= 1;
    if (!c->reply_chunked)
        c->keep_alive = false; /* the connection's end is the body's */
    head_bytes = make_head(c, head, status, type, fields,
                           c->reply_chunked ? "Transfer-Encoding: chunked\r\n" : "");
    return head_bytes ? write_all(c, head, head_bytes) : HTTP_E_TRANSPORT;
}

int http_reply_chunk(struct http_conn *c, const void *data, size_t bytes)
{
    char size[20];
    int error;

    if (bytes == 0)
        return 0; /* an empty chunk would end the body */
    if (!c->reply_chunked)
        return write_all(c, data, bytes);
    snprintf(size, sizeof(size), "%lx\r\n", (unsigned long)bytes);
    if ((error = write_all(c, size, strlen(size))) != 0 || (error = write_all(c, data, bytes)) != 0)
        return error;
    return write_all(c, "\r\n", 2);
}

int http_reply_end_with(struct http_conn *c, const char *fields)
{
    char end[FIELDS_ROOM];
    int n = snprintf(end, sizeof(end), "0\r\n%s\r\n", fields);

    if (!c->reply_chunked)
        return 0;
    return n < FIELDS_ROOM ? write_all(c, end, (size_t)n) : HTTP_E_TRANSPORT;
}

int http_reply_end(struct http_conn *c)
{
    return http_reply_end_with(c, "");
}
