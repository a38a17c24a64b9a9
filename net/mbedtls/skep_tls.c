/* skep_tls.c - TLS server sessions on non-blocking POSIX sockets. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <mbedtls/sha256.h>
#include <mbedtls/ssl_ticket.h>
#include <psa/crypto.h>

#include "skep_tls.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

struct tls_server {
    atomic_uint holds;
    mbedtls_ssl_config config;
    mbedtls_pk_context key;
    mbedtls_x509_crt chain;
    mbedtls_ssl_ticket_context tickets;
};

/* What a session can be resumed by is with the client, sealed by a key of this context that serves for so long, and for as
 * long again to open what it has sealed. So nothing is kept of sessions, and a client of the former certificate must look
 * at the new one. */
#define TICKET_SECONDS 3600u

/* mbedTLS passes over warnings and the like for as long as some come, without a word to its caller. So it is given no more
 * than so much at a time: of a handshake all, a few times what the longest needs, else until the deadline is looked at. */
#define BUDGET_BYTES (32u << 10)

/* A sleeping session looks this often whether it has been told to end. */
#define WAIT_SLICE_MS 5000

uint64_t tls_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int tls_random(void *buf, size_t bytes)
{
    if (psa_crypto_init() != PSA_SUCCESS)
        return TLS_FAILED;
    return psa_generate_random(buf, bytes) == PSA_SUCCESS ? 0 : TLS_FAILED;
}

void tls_sha256(const void *data, size_t bytes, uint8_t digest[32])
{
    mbedtls_sha256(data, bytes, digest, 0);
}

void tls_sha512_half(const void *data, size_t bytes, uint8_t digest[32])
{
    uint8_t whole[64];

    mbedtls_sha512(data, bytes, whole, 0);
    memcpy(digest, whole, 32);
}

void tls_hash_begin(struct tls_hash *hash)
{
    mbedtls_sha256_init(&hash->sha);
    mbedtls_sha256_starts(&hash->sha, 0);
}

void tls_hash_add(struct tls_hash *hash, const void *data, size_t bytes)
{
    mbedtls_sha256_update(&hash->sha, data, bytes);
}

void tls_hash_end(struct tls_hash *hash, uint8_t digest[32])
{
    mbedtls_sha256_finish(&hash->sha, digest);
    mbedtls_sha256_free(&hash->sha);
}

static int random_for_mbedtls(void *ctx, unsigned char *buf, size_t bytes)
{
    (void)ctx;
    return tls_random(buf, bytes) == 0 ? 0 : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t)(tls_clock_ns() / 1000000u);
}

/* A ticket doesn't hold the client's certificate, so who has shown one gets none that is worth anything, and shows it again:
 * with 1.3 one to be discarded at once (RFC 8446, 4.6.1), with 1.2 an empty one (RFC 5077, 3.3). */
static int write_ticket(void *tickets, const mbedtls_ssl_session *session, unsigned char *start,
                        const unsigned char *end, size_t *bytes, uint32_t *lifetime)
{
    if (!session->MBEDTLS_PRIVATE(peer_cert))
        return mbedtls_ssl_ticket_write(tickets, session, start, end, bytes, lifetime);
    *lifetime = 0;
    *bytes = 0;
    if (session->MBEDTLS_PRIVATE(tls_version) == MBEDTLS_SSL_VERSION_TLS1_3 && start < end) {
        *start = 0;
        *bytes = 1;
    }
    return 0;
}

/* A handshake is one thread's from its start to its end. */
static _Thread_local bool has_good_ticket;

static int parse_ticket(void *tickets, mbedtls_ssl_session *session, unsigned char *text,
                        size_t bytes)
{
    int result = mbedtls_ssl_ticket_parse(tickets, session, text, bytes);

    has_good_ticket = result == 0;
    return result;
}

static int configure(struct tls_server *server)
{
    static const char *const protocols[] = {"http/1.1", NULL};
    mbedtls_ssl_config *config = &server->config;

    if (mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return TLS_FAILED;
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_rng(config, random_for_mbedtls, NULL);
    /* A client may show a certificate. Whose it is, is for the server's owner to say: nobody has to have signed it. */
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_OPTIONAL);
    mbedtls_ssl_conf_session_tickets_cb(config, write_ticket, parse_ticket, &server->tickets);
    if (mbedtls_ssl_ticket_setup(&server->tickets, random_for_mbedtls, NULL,
                                 MBEDTLS_CIPHER_AES_256_GCM, TICKET_SECONDS) != 0 ||
        mbedtls_ssl_conf_alpn_protocols(config, (const char **)(uintptr_t)protocols) != 0 ||
        mbedtls_ssl_conf_own_cert(config, &server->chain, &server->key) != 0)
        return TLS_FAILED;
    return 0;
}

struct tls_server *tls_server_new(const struct tls_identity *id)
{
    struct tls_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    mbedtls_ssl_config_init(&server->config);
    mbedtls_pk_init(&server->key);
    mbedtls_x509_crt_init(&server->chain);
    mbedtls_ssl_ticket_init(&server->tickets);
    atomic_init(&server->holds, 1);
    if (psa_crypto_init() == PSA_SUCCESS &&
        tls_identity_open(id, &server->chain, &server->key) == 0 && configure(server) == 0)
        return server;
    tls_server_release(server);
    return NULL;
}

struct tls_server *tls_server_hold(struct tls_server *server)
{
    atomic_fetch_add_explicit(&server->holds, 1, memory_order_relaxed);
    return server;
}

void tls_server_release(struct tls_server *server)
{
    /* Whoever lets go last sees what the others did with it: each release pairs with the last one's acquire. */
    if (atomic_fetch_sub_explicit(&server->holds, 1, memory_order_acq_rel) != 1)
        return;
    mbedtls_ssl_config_free(&server->config);
    mbedtls_pk_free(&server->key);
    mbedtls_x509_crt_free(&server->chain);
    mbedtls_ssl_ticket_free(&server->tickets);
    free(server);
}

static bool looks_like_http(uint8_t first)
{
    return (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z');
}

static int receive(void *ctx, unsigned char *buf, size_t bytes)
{
    struct tls_session *s = ctx;
    ssize_t n;

    if (s->budget == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    n = recv(s->fd, buf, bytes < s->budget ? bytes : s->budget, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ
                                                                         : MBEDTLS_ERR_SSL_CONN_EOF;
    if (n > 0 && !s->seen_bytes) {
        s->seen_bytes = true;
        s->plain_http = looks_like_http(buf[0]);
    }
    s->budget -= (size_t)n;
    return s->plain_http ? MBEDTLS_ERR_SSL_INVALID_RECORD : (int)n;
}

static int transmit(void *ctx, const unsigned char *buf, size_t bytes)
{
    struct tls_session *s = ctx;
    ssize_t n = send(s->fd, buf, bytes, MSG_NOSIGNAL);
    if (n >= 0)
        return (int)n;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
                                                                     : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* Sleeps until mbedTLS's wish can be granted. Returns 0, or the code that ends the call. */
static int wait_for(struct tls_session *s, int wish)
{
    struct pollfd p = {.fd = s->fd};
    uint64_t now = tls_clock_ns();
    uint64_t left_ms = now < s->deadline ? (s->deadline - now) / 1000000 + 1 : 0;
    int n;

    if (wish != MBEDTLS_ERR_SSL_WANT_READ && wish != MBEDTLS_ERR_SSL_WANT_WRITE)
        return wish == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || wish == MBEDTLS_ERR_SSL_CONN_EOF
                   ? TLS_CLOSED
                   : TLS_FAILED;
    if (left_ms == 0)
        return TLS_TIMEOUT;
    p.events = wish == MBEDTLS_ERR_SSL_WANT_READ ? POLLIN : POLLOUT;
    atomic_store_explicit(&s->waits, s->began, memory_order_relaxed);
    n = poll(&p, 1, left_ms > WAIT_SLICE_MS ? WAIT_SLICE_MS : (int)left_ms);
    atomic_store_explicit(&s->waits, 0, memory_order_relaxed);
    return n < 0 && errno != EINTR ? TLS_CLOSED : 0;
}

static void begin_call(struct tls_session *s, uint64_t deadline)
{
    s->began = tls_clock_ns();
    s->deadline = deadline;
    s->budget = BUDGET_BYTES;
}

static int step_handshake(struct tls_session *s, const struct tls_turns *turns)
{
    int result;

    turns->begin(turns->context);
    /* Its turn may have come too late. */
    result =
        tls_clock_ns() < s->deadline ? mbedtls_ssl_handshake(&s->ssl) : MBEDTLS_ERR_SSL_TIMEOUT;
    turns->end(turns->context);
    return result;
}

int tls_session_open(struct tls_session *s, struct tls_server *server, int fd, uint64_t deadline,
                     const struct tls_turns *turns)
{
    int result, error;

    memset(s, 0, sizeof(*s));
    s->server = server;
    s->fd = fd;
    begin_call(s, deadline);
    mbedtls_ssl_init(&s->ssl);
    if (mbedtls_ssl_setup(&s->ssl, &server->config) != 0)
        return TLS_FAILED;
    mbedtls_ssl_set_bio(&s->ssl, s, transmit, receive, NULL);
    has_good_ticket = false;
    while ((result = step_handshake(s, turns)) != 0) {
        if (s->plain_http)
            return TLS_PLAIN_HTTP;
        if (s->budget == 0)
            return TLS_FAILED;
        if ((error = wait_for(s, result)) != 0)
            return error;
    }
    s->is_resumed = has_good_ticket;
    return 0;
}

bool tls_session_peer(const struct tls_session *s, uint8_t digest[32])
{
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&s->ssl);

    if (peer)
        tls_sha256(peer->raw.p, peer->raw.len, digest);
    return peer != NULL;
}

int tls_session_read(struct tls_session *s, void *buf, size_t bytes, uint64_t deadline)
{
    int result, error;

    begin_call(s, deadline);
    for (;;) {
        result = mbedtls_ssl_read(&s->ssl, buf, bytes);
        if (result > 0)
            return result;
        if (result == 0)
            return TLS_CLOSED;
        if ((error = wait_for(s, result)) != 0)
            return error;
        s->budget = BUDGET_BYTES;
    }
}

int tls_session_write(struct tls_session *s, const void *buf, size_t bytes, uint64_t deadline)
{
    size_t done = 0;

    begin_call(s, deadline);
    while (done < bytes) {
        int error, result = mbedtls_ssl_write(&s->ssl, (const uint8_t *)buf + done, bytes - done);
        if (result >= 0) {
            done += (size_t)result;
            s->began = tls_clock_ns(); /* the client takes something */
        } else if ((error = wait_for(s, result)) != 0) {
            return error;
        }
    }
    return (int)bytes;
}

void tls_session_close(struct tls_session *s)
{
    if (mbedtls_ssl_is_handshake_over(&s->ssl))
        (void)mbedtls_ssl_close_notify(&s->ssl);
    mbedtls_ssl_free(&s->ssl);
    tls_server_release(s->server);
}
