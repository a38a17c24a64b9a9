/* client.c - requests and answers in memory. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "config.h"
#include "identity.h"
#include "skep_tls.h"
#include "test_control.h"
#include "throttle.h"

/* What goes to the service: the head, then the body. */
struct piece {
    const char *data;
    size_t bytes;
};

static struct piece pieces[2];
static char answer[CLIENT_ANSWER_MAX];
static size_t answer_bytes;
static struct api_client client;
static int peer; /* the client's end of the connection, -1 = it has left */
static bool (*on_write)(void);
static int writes_left = -1;
static void (*before_body)(void), (*after_head)(void);

void client_setup(void)
{
    struct config config;

    config_defaults(&config);
    strcpy(config.token, BOOT);
    assert_true(token_get(&config, true));
    client_set_reader(NULL, -1);
}

void client_set_reader(bool (*hook)(void), int writes)
{
    on_write = hook;
    writes_left = writes;
}

static void leave(void)
{
    if (peer >= 0)
        close(peer);
    peer = -1;
}

static void call_once(void (**hook)(void))
{
    void (*now)(void) = *hook;

    *hook = NULL;
    if (now)
        now();
}

static int read_piece(void *context, void *buf, size_t bytes, uint64_t deadline)
{
    struct piece *p = pieces[0].bytes ? &pieces[0] : &pieces[1];
    size_t n = p->bytes < bytes ? p->bytes : bytes;

    (void)context, (void)deadline;
    if (p == &pieces[1])
        call_once(&before_body);
    if (n == 0)
        return HTTP_E_CLOSED;
    memcpy(buf, p->data, n);
    p->data += n;
    p->bytes -= n;
    return (int)n;
}

static int write_answer(void *context, const void *buf, size_t bytes, uint64_t deadline)
{
    (void)context, (void)deadline;
    if (writes_left >= 0 && writes_left-- == 0)
        return HTTP_E_TIMEOUT;
    assert_true(answer_bytes + bytes < sizeof(answer));
    memcpy(answer + answer_bytes, buf, bytes);
    answer_bytes += bytes;
    answer[answer_bytes] = '\0';
    if (strstr(answer, "\r\n\r\n"))
        call_once(&after_head);
    if (!on_write || !on_write())
        leave();
    return (int)bytes;
}

int client_send(const char *method, const char *path, const char *fields, const void *body,
                size_t bytes)
{
    const struct http_transport transport = {NULL, read_piece, write_answer};
    char head[4096];
    int pair[2], n = snprintf(head, sizeof(head),
                              "%s %s HTTP/1.1\r\nHost: skep\r\n%sContent-Length: %zu\r\n\r\n",
                              method, path, fields, bytes);

    assert_in_range(n, 1, sizeof(head) - 1);
    throttle_forget();
    pieces[0] = (struct piece){head, (size_t)n};
    pieces[1] = (struct piece){body, bytes};
    answer_bytes = 0;
    answer[0] = '\0';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    client.fd = pair[0];
    peer = pair[1];
    http_conn_init(&client.http, &transport);
    assert_int_equal(
        http_read_head(&client.http, tls_clock_ns() + 1000000000u, 1000000000u, tls_clock_ns), 0);
    api_serve(&client);
    close(pair[0]);
    leave();
    before_body = after_head = NULL;
    assert_memory_equal(answer, "HTTP/1.1 ", 9);
    return (int)strtol(answer + 9, NULL, 10);
}

int client_call(const char *token, const char *method, const char *path, const char *body)
{
    char fields[512];

    snprintf(fields, sizeof(fields), "%s%s%sContent-Type: application/json\r\n",
             token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");
    return client_send(method, path, fields, body ? body : "", body ? strlen(body) : 0);
}

const char *client_get(const char *path, const char *fields)
{
    char all[512];

    snprintf(all, sizeof(all), "Authorization: Bearer " BOOT "\r\n%s", fields);
    client_send("GET", path, all, "", 0);
    return answer;
}

const char *client_answer(void)
{
    return answer;
}

const char *client_body(void)
{
    const char *body = strstr(answer, "\r\n\r\n");
    return body ? body + 4 : "";
}

unsigned client_count(const char *text, const char *word)
{
    unsigned n = 0;

    for (; (text = strstr(text, word)) != NULL; n++)
        text += strlen(word);
    return n;
}

bool client_is_kept(void)
{
    return client.http.keep_alive;
}

bool client_has_last_chunk(void)
{
    size_t head = (size_t)(client_body() - answer);
    return answer_bytes >= head + 5 && memcmp(answer + answer_bytes - 5, "0\r\n\r\n", 5) == 0;
}

void client_before_body(void (*hook)(void))
{
    before_body = hook;
}

void client_after_head(void (*hook)(void))
{
    after_head = hook;
}
