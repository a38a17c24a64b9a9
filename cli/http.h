/*
 * http.h - HTTPS to one Skep, by libcurl.
 *
 * What is trusted is the pinned public key, and nothing else: Skep's certificate is its own, and its names and dates
 * don't count. Without a pin nothing is sent, the token least of all. A client certificate, which is no secret, is shown to
 * whoever answers: libcurl compares the pin when the handshake is over.
 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stream.h"

/* Where calls go, and by whose right: that of a token, or of a client certificate. */
struct target {
    const char *url, *pin;
    const char *token;             /* NULL = there is none, but */
    const char *certificate, *key; /* files, PEM */
};

/* A line of an answer, without its end. False = no more of them are wanted. */
typedef bool http_line(void *arg, const char *line);

struct http_request {
    const char *method, *path; /* with its query */
    const char *json;          /* the body; or */
    struct stream *from;       /* the body */
    struct stream *to;         /* takes the body of a good answer as it comes */
    http_line *line;           /* takes it line by line */
    void *line_arg;
    const char *const *fields; /* more of the header, "Name: value"; ends with NULL */
    const char *progress;      /* what is under way, for a bar on a terminal; NULL = no bar */
    bool endless;              /* an answer that goes on until the far end, or Ctrl-C, ends it */
};

struct http_answer {
    long status;
    char *body; /* ends with a NUL; NULL if it went elsewhere */
    size_t bytes;
    uint64_t size;                /* of Skep-Size, else Content-Length; 0 = unknown */
    char digest[DIGEST_TEXT_MAX]; /* of Skep-Digest */
};

/* Where the following calls go. The texts stay the caller's, until http_end(). */
void http_begin(const struct target *target);
void http_end(void);

/* Sends and receives: EXIT_OK whatever the answer is. */
int http_send(const struct http_request *request, struct http_answer *answer);
void http_answer_end(struct http_answer *answer);

/*
 * A connection that goes on in another protocol. http_upgrade asks for it, with these further lines of the header, each
 * with its CR and LF. EXIT_OK whatever the answer is: with status 101 what follows is the caller's to read and write; the
 * value of the answer's field `name` is left alone if it has none. No other call may come until http_end().
 */
int http_upgrade(const char *path, const char *fields, const char *name, char *value, size_t room,
                 struct http_answer *answer);

#define HTTP_NOT_NOW (-1)

/* How many bytes; HTTP_NOT_NOW, or 0 when the connection is over. Neither waits. */
ssize_t http_read(void *data, size_t room);
ssize_t http_write(const void *data, size_t bytes);
int http_socket(void);

/* The certificate that a server shows, as PEM. Nothing is sent but a request for /healthz. */
int http_certificate(const char *url, char **pem);

/* Text as a segment of a path. The caller frees it. */
char *http_escape(const char *text);

#endif
