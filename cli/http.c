/* http.c - HTTPS to one Skep, by libcurl. */
#include "http.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fail.h"
#include "interrupt.h"
#include "progress.h"
#include "trace.h"

#define CONNECT_SECONDS 10L
#define SILENT_SECONDS  60L         /* without a byte in either direction */
#define ANSWER_MAX      (64u << 20) /* of an answer that is kept in memory */
#define FIELD_MAX       8192u       /* of a line of the header */
#define AGENT           "skepctl/" SKEP_VERSION

static struct {
    CURL *curl; /* one, so that it keeps its connection */
    struct target to;
} far;

/* A call under way. */
struct transfer {
    const struct http_request *request;
    struct http_answer *answer;
    struct progress progress;
    size_t room;
    int write_error; /* errno; 0 = none */
    bool too_large, enough;
};

void http_begin(const struct target *target)
{
    far.to = *target;
}

void http_end(void)
{
    curl_easy_cleanup(far.curl);
    far.curl = NULL;
    curl_global_cleanup();
}

static CURL *handle(void)
{
    if (!far.curl) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        far.curl = curl_easy_init();
    }
    if (!far.curl)
        exit(fail(EXIT_LOCAL, "libcurl can't be used here"));
    curl_easy_reset(far.curl); /* keeps connections */
    trace_begin(far.curl);
    return far.curl;
}

/*
 * Callbacks
 */

static size_t keep_body(struct transfer *t, const char *data, size_t bytes)
{
    struct http_answer *a = t->answer;

    if (bytes > ANSWER_MAX - a->bytes) {
        t->too_large = true;
        return 0;
    }
    if (a->bytes + bytes + 1 > t->room) {
        t->room = 2 * (a->bytes + bytes + 1);
        a->body = memory_resize(a->body, t->room);
    }
    memcpy(a->body + a->bytes, data, bytes);
    a->bytes += bytes;
    a->body[a->bytes] = '\0';
    return bytes;
}

/* Hands on the lines that are whole, and keeps the rest. */
static size_t take_lines(struct transfer *t, const char *data, size_t bytes)
{
    struct http_answer *a = t->answer;
    char *at, *end;

    if (keep_body(t, data, bytes) != bytes)
        return 0;
    for (at = a->body; (end = memchr(at, '\n', a->bytes - (size_t)(at - a->body))); at = end + 1) {
        *end = '\0';
        t->enough = !t->request->line(t->request->line_arg, at);
        if (t->enough)
            return 0;
    }
    a->bytes -= (size_t)(at - a->body);
    memmove(a->body, at, a->bytes + 1);
    if (fflush(stdout) == 0)
        return bytes;
    t->write_error = errno;
    return 0;
}

static size_t take_body(char *data, size_t one, size_t bytes, void *arg)
{
    struct transfer *t = arg;
    struct stream *to = t->request->to;

    curl_easy_getinfo(far.curl, CURLINFO_RESPONSE_CODE, &t->answer->status);
    if (t->request->line && t->answer->status < 300)
        return take_lines(t, data, bytes);
    if (!to || t->answer->status >= 300)
        return keep_body(t, data, bytes);
    if (stream_put(to, data, bytes) && (!t->request->endless || fflush(to->file) == 0))
        return bytes;
    t->write_error = errno;
    return 0;
}

static size_t give_body(char *data, size_t one, size_t room, void *arg)
{
    struct transfer *t = arg;
    size_t bytes = stream_get(t->request->from, data, one * room);

    return bytes == 0 && ferror(t->request->from->file) ? CURL_READFUNC_ABORT : bytes;
}

/* The value if the line is this field and its value fits, without what surrounds it; else NULL. */
static const char *field_value(const char *line, size_t bytes, const char *name, char *text,
                               size_t room)
{
    size_t skip = strlen(name);

    if (bytes <= skip || strncasecmp(line, name, skip) != 0 || line[skip] != ':')
        return NULL;
    for (skip++; skip < bytes && line[skip] == ' ';)
        skip++;
    while (bytes > skip && strchr("\r\n ", line[bytes - 1]))
        bytes--;
    if (bytes - skip >= room)
        return NULL;
    memcpy(text, line + skip, bytes - skip);
    text[bytes - skip] = '\0';
    return text;
}

/* Also of trailers. */
static size_t take_field(char *line, size_t one, size_t bytes, void *arg)
{
    struct transfer *t = arg;
    struct http_answer *a = t->answer;
    char text[DIGEST_TEXT_MAX];

    if (field_value(line, bytes, "Skep-Digest", text, sizeof(text)))
        memcpy(a->digest, text, sizeof(text));
    else if (field_value(line, bytes, "Skep-Size", text, sizeof(text)) ||
             field_value(line, bytes, "Content-Length", text, sizeof(text)))
        a->size = strtoull(text, NULL, 10);
    return bytes;
}

/* Also asked once a second when nothing moves. */
static int look(void *arg, curl_off_t to_come, curl_off_t came, curl_off_t to_go, curl_off_t gone)
{
    struct transfer *t = arg;

    if (t->request->from)
        progress_show(&t->progress, (uint64_t)gone, t->request->from->bytes);
    else
        progress_show(&t->progress, (uint64_t)came, t->answer->size);
    return interrupt_came();
}

/*
 * Calls
 */

static void set_security(CURL *curl, const char *pin)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L); /* the pin says more */
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    if (pin)
        curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, pin);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, AGENT);
}

static void set_certificate(CURL *curl)
{
    if (!far.to.certificate)
        return;
    curl_easy_setopt(curl, CURLOPT_SSLCERT, far.to.certificate);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, far.to.key);
    curl_easy_setopt(curl, CURLOPT_KEYPASSWD, ""); /* else OpenSSL itself asks for it */
}

static void set_body(CURL *curl, struct transfer *t)
{
    const struct http_request *r = t->request;

    if (r->json) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(r->json));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->json);
    } else if (r->from) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->from->bytes);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, t);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static struct curl_slist *add_field(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);

    if (!longer)
        exit(fail(EXIT_LOCAL, "there is no memory for the request"));
    return longer;
}

static struct curl_slist *make_fields(const struct http_request *r)
{
    char *token = far.to.token ? text_format("Authorization: Bearer %s", far.to.token) : NULL;
    struct curl_slist *list = token ? add_field(NULL, token) : NULL;

    if (r->json)
        list = add_field(list, "Content-Type: application/json");
    if (r->from)
        list = add_field(list, "Content-Type: application/octet-stream");
    for (const char *const *field = r->fields; field && *field; field++)
        list = add_field(list, *field);
    free(token);
    return list;
}

static void set_transfer(CURL *curl, struct transfer *t)
{
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    if (!t->request->endless) {
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENT_SECONDS);
    }
}

static int explain_connection(CURLcode code, const char *message)
{
    if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        return fail(
            EXIT_CONNECTION,
            "%s shows another key than the one that is pinned: it was made anew, or it is not "
            "that Skep. If the former, log in again",
            far.to.url);
    if (code == CURLE_SSL_CERTPROBLEM && far.to.certificate)
        return fail(EXIT_USAGE,
                    "%s and %s are no certificate and its private key, PEM and without a pass "
                    "phrase: %s",
                    far.to.certificate, far.to.key, message);
    return fail(EXIT_CONNECTION, "%s: %s", far.to.url,
                *message ? message : curl_easy_strerror(code));
}

/* What libcurl's result means. */
static int explain(const struct transfer *t, CURLcode code, const char *message)
{
    if (code == CURLE_OK || t->enough)
        return EXIT_OK;
    if (code == CURLE_ABORTED_BY_CALLBACK && interrupt_came())
        return t->request->endless ? EXIT_OK : fail(EXIT_NO, "broken off");
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return fail(EXIT_LOCAL, "%s: can't be read", t->request->from->path);
    if (t->too_large)
        return fail(EXIT_SERVER, "the answer has more than %u bytes", ANSWER_MAX);
    if (t->write_error == EPIPE) { /* libcurl keeps the signal away while it works */
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    if (t->write_error)
        return fail(EXIT_LOCAL, "%s: %s", t->request->to ? t->request->to->path : "standard output",
                    strerror(t->write_error));
    return explain_connection(code, message);
}

int http_send(const struct http_request *request, struct http_answer *answer)
{
    struct transfer t = {.request = request, .answer = answer};
    char *url = text_format("%s%s", far.to.url, request->path), message[CURL_ERROR_SIZE] = "";
    struct curl_slist *fields = make_fields(request);
    CURL *curl = handle();
    CURLcode code;

    memset(answer, 0, sizeof(*answer));
    progress_begin(&t.progress, request->progress);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    set_security(curl, far.to.pin);
    set_certificate(curl);
    set_body(curl, &t);
    set_transfer(curl, &t);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    progress_end(&t.progress);
    curl_slist_free_all(fields);
    free(url);
    /* An upload that is refused early: the answer counts, not that the rest couldn't be sent. */
    if (code == CURLE_SEND_ERROR && answer->status >= 400 && answer->bytes > 0)
        code = CURLE_OK;
    return explain(&t, code, message);
}

void http_answer_end(struct http_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

/*
 * Connections that go on in another protocol
 */

static int lost(void)
{
    return interrupt_came() ? fail(EXIT_NO, "broken off")
                            : fail(EXIT_CONNECTION, "%s: the connection is lost", far.to.url);
}

int http_socket(void)
{
    curl_socket_t descriptor = CURL_SOCKET_BAD;

    curl_easy_getinfo(far.curl, CURLINFO_ACTIVESOCKET, &descriptor);
    return descriptor;
}

ssize_t http_read(void *data, size_t room)
{
    size_t bytes = 0;
    CURLcode code = curl_easy_recv(far.curl, data, room, &bytes);

    if (code == CURLE_AGAIN)
        return HTTP_NOT_NOW;
    return code == CURLE_OK ? (ssize_t)bytes : 0;
}

ssize_t http_write(const void *data, size_t bytes)
{
    size_t written = 0;
    CURLcode code = curl_easy_send(far.curl, data, bytes, &written);

    if (code == CURLE_AGAIN)
        return HTTP_NOT_NOW;
    return code == CURLE_OK ? (ssize_t)written : 0;
}

static bool stirs(short events)
{
    struct pollfd p = {.fd = http_socket(), .events = events};
    return interrupt_poll(&p, 1, SILENT_SECONDS * 1000) && p.revents;
}

/* Whether all of it was written. */
static bool write_all(const char *data, size_t bytes)
{
    ssize_t n;

    for (; bytes > 0; bytes -= (size_t)n, data += n) {
        while ((n = http_write(data, bytes)) == HTTP_NOT_NOW)
            if (!stirs(POLLOUT))
                return false;
        if (n <= 0)
            return false;
    }
    return true;
}

/* Reads so many bytes of an answer behind those that there are; whether they came. */
static bool read_more(struct transfer *t, size_t bytes)
{
    char data[1024];
    ssize_t n;

    for (; bytes > 0; bytes -= (size_t)n) {
        while ((n = http_read(data, bytes < sizeof(data) ? bytes : sizeof(data))) == HTTP_NOT_NOW)
            if (!stirs(POLLIN))
                return false;
        if (n <= 0 || keep_body(t, data, (size_t)n) != (size_t)n)
            return false;
        trace_answer(data, (size_t)n);
    }
    return true;
}

/* Reads a line of the header, byte by byte, as what follows the header may not be taken. Its end is cut off. */
static bool read_line(struct transfer *t)
{
    struct http_answer *a = t->answer;

    a->bytes = 0;
    do {
        if (a->bytes >= FIELD_MAX || !read_more(t, 1))
            return false;
    } while (a->body[a->bytes - 1] != '\n');
    while (a->bytes > 0 && strchr("\r\n", a->body[a->bytes - 1]))
        a->body[--a->bytes] = '\0';
    return true;
}

/* The header, and of a refusal the body. */
static bool read_answer(struct transfer *t, const char *name, char *value, size_t room)
{
    struct http_answer *a = t->answer;

    if (!read_line(t) || strncmp(a->body, "HTTP/1.1 ", 9) != 0)
        return false;
    a->status = strtol(a->body + 9, NULL, 10);
    do {
        if (!read_line(t))
            return false;
        take_field(a->body, 1, a->bytes, t);
        (void)field_value(a->body, a->bytes, name, value, room);
    } while (a->bytes > 0);
    return a->status == 101 || read_more(t, a->size);
}

/* The far end's address may have a path, and what is asked for is behind that. */
static char *make_upgrade(const char *path, const char *fields)
{
    const char *host = far.to.url + strlen("https://");
    int bytes = (int)strcspn(host, "/");
    const char *token = far.to.token;

    return text_format("GET %s%s HTTP/1.1\r\nHost: %.*s\r\n%s%s%sUser-Agent: " AGENT
                       "\r\nConnection: Upgrade\r\n%s\r\n",
                       host + bytes, path, bytes, host, token ? "Authorization: Bearer " : "",
                       token ? token : "", token ? "\r\n" : "", fields);
}

int http_upgrade(const char *path, const char *fields, const char *name, char *value, size_t room,
                 struct http_answer *answer)
{
    struct transfer t = {.answer = answer};
    char message[CURL_ERROR_SIZE] = "", *text = make_upgrade(path, fields);
    CURL *curl = handle();
    CURLcode code;
    bool done;

    memset(answer, 0, sizeof(*answer));
    curl_easy_setopt(curl, CURLOPT_URL, far.to.url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set_security(curl, far.to.pin);
    set_certificate(curl);
    code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        trace_request(text, strlen(text));
    done = code == CURLE_OK && write_all(text, strlen(text)) && read_answer(&t, name, value, room);
    free(text);
    if (code != CURLE_OK)
        return explain_connection(code, message);
    return done ? EXIT_OK : lost();
}

static size_t drop(char *data, size_t one, size_t bytes, void *arg)
{
    return bytes;
}

int http_certificate(const char *url, char **pem)
{
    char *whole = text_format("%s/healthz", url), message[CURL_ERROR_SIZE] = "";
    struct curl_certinfo *info = NULL;
    CURL *curl = handle();
    CURLcode code;

    *pem = NULL;
    curl_easy_setopt(curl, CURLOPT_URL, whole);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, SILENT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
    /* The next call must not go on with a connection that nobody has checked. */
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    set_security(curl, NULL);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info);
    for (struct curl_slist *line = info && info->num_of_certs > 0 ? info->certinfo[0] : NULL;
         line && code == CURLE_OK; line = line->next)
        if (strncmp(line->data, "Cert:", 5) == 0 && !*pem)
            *pem = text_copy(line->data + 5);
    free(whole);
    if (*pem)
        return EXIT_OK;
    return fail(EXIT_CONNECTION, "%s: %s", url,
                *message ? message : "it shows no certificate that libcurl could read");
}

char *http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0), *copy;

    if (!escaped)
        exit(fail(EXIT_LOCAL, "there is no memory for the request"));
    copy = text_copy(escaped);
    curl_free(escaped);
    return copy;
}
