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

/* What is wrong with a key or certificates; tls_why() has the words. */
#define TLS_CHAIN_UNREADABLE (-5)
#define TLS_CHAIN_LARGE      (-6)
#define TLS_CHAIN_ORDER      (-7)
#define TLS_CHAIN_USAGE      (-8)
#define TLS_KEY_UNREADABLE   (-9)
#define TLS_KEY_UNFIT        (-10)
#define TLS_KEY_OTHER        (-11)

#define TLS_CHAIN_MAX       8000 /* bytes of a server's certificate and those behind it */
#define TLS_KEY_MAX         2400 /* bytes of a key: RSA of 4096 bits */
#define TLS_EC_KEY_MAX      160  /* bytes of a key that is made here */
#define TLS_NAMES_MAX       16   /* that a certificate or request is made for */
#define TLS_NAME_MAX        254  /* bytes of one, with its NUL */
#define TLS_FINGERPRINT_MAX 100  /* "AB:CD:…" of SHA-256 and a NUL */

/* Private key and certificates in DER, as they are kept: the server's own certificate, followed by its issuer's, and so
 * on. */
struct tls_identity {
    size_t key_bytes, chain_bytes;
    uint8_t key[TLS_KEY_MAX];
    uint8_t chain[TLS_CHAIN_MAX];
};

/* A context for sessions. It ends with the last that holds it. */
struct tls_server;

/* Around the arithmetic of a handshake: the first may wait for others to end theirs. */
struct tls_turns {
    void (*begin)(void *context);
    void (*end)(void *context);
    void *context;
};

struct tls_session {
    mbedtls_ssl_context ssl;
    struct tls_server *server;
    int fd;
    uint64_t began, deadline; /* of the call in progress */
    size_t budget;            /* bytes that it may still receive before it looks at its deadline */
    /* Since when it is waited for the client, 0 = it isn't. Any thread may look. */
    _Atomic uint64_t waits;
    bool plain_http, seen_bytes;
    bool is_resumed; /* by a ticket of the client's, which was good */
};

uint64_t tls_clock_ns(void);

/* Fills buf with bytes fit for keys; fails when the platform has none. */
int tls_random(void *buf, size_t bytes);

void tls_sha256(const void *data, size_t bytes, uint8_t digest[32]);

/* The first half of its 64 bytes: of long texts in half of SHA-256's instructions. */
void tls_sha512_half(const void *data, size_t bytes, uint8_t digest[32]);

/* The same in parts. */
struct tls_hash {
    mbedtls_sha256_context sha;
};
void tls_hash_begin(struct tls_hash *hash);
void tls_hash_add(struct tls_hash *hash, const void *data, size_t bytes);
void tls_hash_end(struct tls_hash *hash, uint8_t digest[32]);

/*
 * Identities (skep_identity.c)
 */

/* Makes a P-256 key. */
int tls_key_generate(uint8_t key[TLS_EC_KEY_MAX], size_t *bytes);

/* A P-256 key and a certificate for it, signed by itself. Names are those of hosts, or IPv4 addresses. */
int tls_identity_generate(struct tls_identity *id, const char *const *names, unsigned count);

/* From PEM texts; one of the TLS_CHAIN_… or TLS_KEY_… codes unless they can serve together. */
int tls_identity_from_pem(struct tls_identity *id, const char *chain, const char *key);

/* The same with a key in DER. */
int tls_identity_from_chain(struct tls_identity *id, const char *chain, const uint8_t *key,
                            size_t bytes);

/* 0 if key and certificates can be read and belong together. */
int tls_identity_check(const struct tls_identity *id);

/* Parses both into contexts that were initialized. */
int tls_identity_open(const struct tls_identity *id, mbedtls_x509_crt *chain,
                      mbedtls_pk_context *key);

/* What is wrong, and how it should be. */
const char *tls_why(int error);

/* A request (PKCS #10, PEM) for a certificate of these names and the key; the caller frees it, NULL without memory. */
char *tls_request_pem(const uint8_t *key, size_t bytes, const char *const *names, unsigned count);

/*
 * Certificates (skep_certificate.c)
 */

/* What a server's certificate says. */
struct tls_description {
    char subject[512], issuer[512], key[24];
    char pin[48]; /* SHA-256 of the public key, base64, as curl has it */
    char not_before[24], not_after[24];
    void (*name)(void *context, const char *name); /* called for each, unless it is NULL */
    void *context;
};

int tls_describe(const struct tls_identity *id, struct tls_description *d);

/* Of a digest, and of the server's certificate. */
void tls_fingerprint(const uint8_t digest[32], char text[TLS_FINGERPRINT_MAX]);
void tls_identity_fingerprint(const struct tls_identity *id, char text[TLS_FINGERPRINT_MAX]);

/* SHA-256 of the first certificate of a PEM text. */
int tls_certificate_digest(const char *pem, uint8_t digest[32]);

/* The chain as PEM; the caller frees it, NULL without memory. */
char *tls_chain_pem(const struct tls_identity *id);

/*
 * Servers and sessions (skep_tls.c)
 */

/* NULL if the identity can't be used, or there is no memory. */
struct tls_server *tls_server_new(const struct tls_identity *id);
struct tls_server *tls_server_hold(struct tls_server *server);
void tls_server_release(struct tls_server *server);

/* fd must be non-blocking and stays the caller's. The session has the caller's hold on the server, until it is closed. */
int tls_session_open(struct tls_session *s, struct tls_server *server, int fd, uint64_t deadline,
                     const struct tls_turns *turns);

/* SHA-256 of the certificate whose key the client has shown to have, if it has. */
bool tls_session_peer(const struct tls_session *s, uint8_t digest[32]);

int tls_session_read(struct tls_session *s, void *buf, size_t bytes, uint64_t deadline);
int tls_session_write(struct tls_session *s, const void *buf, size_t bytes, uint64_t deadline);

/* Says goodbye if that needs no waiting, and frees all. Also after a failed open. */
void tls_session_close(struct tls_session *s);

#endif
