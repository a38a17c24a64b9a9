/*
 * skep_tls.h - TLS servers on POSIX sockets: an identity, a server context made from it, and
 * sessions whose reads and writes keep to a deadline.
 *
 * Errors: 0 or a count on success, else a negative TLS_… code. Deadlines are CLOCK_MONOTONIC
 * nanoseconds. A session is used by one thread at a time; contexts may be shared.
 */
#ifndef SKEP_TLS_H
#define SKEP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#define TLS_CLOSED     (-1) /* by the peer, or by whoever shut the socket down */
#define TLS_TIMEOUT    (-2)
#define TLS_FAILED     (-3) /* the protocol was broken, or a key is unusable */
#define TLS_PLAIN_HTTP (-4) /* the client's first bytes are an HTTP request */

#define TLS_DER_MAX         1536 /* bytes of a certificate or key that tls_identity_… handles */
#define TLS_FINGERPRINT_MAX 100  /* "AB:CD:…" of SHA-256 and a NUL */

/* Private key and certificate in DER, as they are kept. */
struct tls_identity {
    size_t key_bytes, cert_bytes;
    uint8_t key[TLS_DER_MAX / 4];
    uint8_t cert[TLS_DER_MAX];
};

struct tls_server {
    mbedtls_ssl_config config;
    mbedtls_pk_context key;
    mbedtls_x509_crt chain;
};

struct tls_session {
    mbedtls_ssl_context ssl;
    int fd;
    uint64_t deadline; /* of the call in progress */
    bool timed_out, plain_http, seen_bytes;
};

uint64_t tls_clock_ns(void);

/* Fills buf with bytes fit for keys; fails when the platform has none. */
int tls_random(void *buf, size_t bytes);

void tls_sha256(const void *data, size_t bytes, uint8_t digest[32]);

/* The same in parts. */
struct tls_hash {
    mbedtls_sha256_context sha;
};
void tls_hash_begin(struct tls_hash *hash);
void tls_hash_add(struct tls_hash *hash, const void *data, size_t bytes);
void tls_hash_end(struct tls_hash *hash, uint8_t digest[32]);

/* Makes a P-256 key and a self-signed certificate for the name and, unless it is 0, the IPv4
 * address (network byte order). */
int tls_identity_generate(struct tls_identity *id, const char *hostname, uint32_t address);

/* From PEM texts; fails unless they belong together. */
int tls_identity_from_pem(struct tls_identity *id, const char *cert, const char *key);

/* 0 if key and certificate can be read and belong together. */
int tls_identity_check(const struct tls_identity *id);

void tls_identity_fingerprint(const struct tls_identity *id, char text[TLS_FINGERPRINT_MAX]);

int tls_server_init(struct tls_server *server, const struct tls_identity *id);
void tls_server_free(struct tls_server *server);

/* fd must be non-blocking and stays the caller's. */
int tls_session_open(struct tls_session *s, struct tls_server *server, int fd, uint64_t deadline);
int tls_session_read(struct tls_session *s, void *buf, size_t bytes, uint64_t deadline);
int tls_session_write(struct tls_session *s, const void *buf, size_t bytes, uint64_t deadline);

/* Says goodbye if that needs no waiting, and frees all. Also after a failed open. */
void tls_session_close(struct tls_session *s);

#endif
