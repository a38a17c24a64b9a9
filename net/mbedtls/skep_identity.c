/* skep_identity.c - a TLS server's key and certificates: made, requested, read from PEM, checked. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/rsa.h>
#include <mbedtls/x509_csr.h>
#include <psa/crypto.h>

#include "skep_tls.h"

/* Clients pin the fingerprint, and the clock may be unknown when the certificate is made. */
#define VALID_FROM "20250101000000"
#define VALID_TO   "20491231235959"

#define RSA_BITS_MIN  2048u
#define RSA_BITS_MAX  4096u
#define COMMON_MAX    64u /* characters of a common name, by X.520 */
#define MADE_DER_MAX  (1024u + TLS_NAMES_MAX * (TLS_NAME_MAX + 4u))
#define REQUEST_BYTES (2u * MADE_DER_MAX)

static int random_for_mbedtls(void *ctx, unsigned char *buf, size_t bytes)
{
    (void)ctx;
    return tls_random(buf, bytes) == 0 ? 0 : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

const char *tls_why(int error)
{
    switch (error) {
    case TLS_CHAIN_UNREADABLE:
        return "certificate must be PEM: the server's own certificate, then its issuer's, and so on. "
               "Each has an ECDSA (P-256 or P-384) or RSA key, and a signature with SHA-2";
    case TLS_CHAIN_LARGE:
        return "the certificates are too large together: leave out the root's, which clients have";
    case TLS_CHAIN_ORDER:
        return "each certificate must be issued by the one behind it; the server's own comes first";
    case TLS_CHAIN_USAGE:
        return "the first certificate isn't for a server: its key usage must have digitalSignature, "
               "and its extended key usage serverAuth, if it has them";
    case TLS_KEY_UNREADABLE:
        return "key must be PEM of a private key that isn't encrypted";
    case TLS_KEY_UNFIT:
        return "key must be of ECDSA with P-256 or P-384, or of RSA with 2048 to 4096 bits";
    case TLS_KEY_OTHER:
        return "the key isn't that of the first certificate";
    default:
        return "there is no memory, or no entropy, for it now";
    }
}

/*
 * Making
 */

/* mbedTLS writes DER at the end of a buffer. */
static int keep_der(uint8_t *to, size_t room, size_t *bytes, const uint8_t *end, int written)
{
    if (written <= 0 || (size_t)written > room)
        return TLS_FAILED;
    memcpy(to, end - written, (size_t)written);
    *bytes = (size_t)written;
    return 0;
}

int tls_key_generate(uint8_t key[TLS_EC_KEY_MAX], size_t *bytes)
{
    uint8_t der[TLS_EC_KEY_MAX];
    mbedtls_pk_context pk;
    int result = TLS_FAILED;

    mbedtls_pk_init(&pk);
    if (psa_crypto_init() == PSA_SUCCESS &&
        mbedtls_pk_setup(&pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0 &&
        mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(pk), random_for_mbedtls,
                            NULL) == 0)
        result = keep_der(key, TLS_EC_KEY_MAX, bytes, der + sizeof(der),
                          mbedtls_pk_write_key_der(&pk, der, sizeof(der)));
    mbedtls_platform_zeroize(der, sizeof(der));
    mbedtls_pk_free(&pk);
    return result;
}

static int parse_key(mbedtls_pk_context *pk, const uint8_t *key, size_t bytes)
{
    if (psa_crypto_init() != PSA_SUCCESS ||
        mbedtls_pk_parse_key(pk, key, bytes, NULL, 0, random_for_mbedtls, NULL) != 0)
        return TLS_KEY_UNREADABLE;
    return 0;
}

struct names {
    mbedtls_x509_san_list list[TLS_NAMES_MAX];
    struct in_addr addresses[TLS_NAMES_MAX];
};

/* The last one first: mbedTLS writes from the end. */
static const mbedtls_x509_san_list *list_names(struct names *n, const char *const *names,
                                               unsigned count)
{
    memset(n, 0, sizeof(*n));
    for (unsigned i = 0; i < count; i++) {
        bool is_address = inet_pton(AF_INET, names[i], &n->addresses[i]) == 1;
        const void *value = is_address ? (const void *)&n->addresses[i] : names[i];
        mbedtls_x509_subject_alternative_name *node = &n->list[i].node;

        node->type = is_address ? MBEDTLS_X509_SAN_IP_ADDRESS : MBEDTLS_X509_SAN_DNS_NAME;
        node->san.unstructured_name.p = (uint8_t *)(uintptr_t)value;
        node->san.unstructured_name.len =
            is_address ? sizeof(n->addresses[i]) : strlen((const char *)value);
        n->list[i].next = i > 0 ? &n->list[i - 1] : NULL;
    }
    return &n->list[count - 1];
}

/* The first name, if a common name can be so long. */
static void make_subject(char *subject, size_t room, const char *const *names)
{
    if (strlen(names[0]) <= COMMON_MAX)
        snprintf(subject, room, "CN=%s,O=Skep", names[0]);
    else
        snprintf(subject, room, "O=Skep");
}

static int set_certificate(mbedtls_x509write_cert *cert, const char *const *names, unsigned count)
{
    char subject[COMMON_MAX + 16];
    uint8_t serial[16];
    struct names san;

    if (tls_random(serial, sizeof(serial)) != 0)
        return TLS_FAILED;
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive and of full length */
    make_subject(subject, sizeof(subject), names);
    if (mbedtls_x509write_crt_set_serial_raw(cert, serial, sizeof(serial)) != 0 ||
        mbedtls_x509write_crt_set_subject_name(cert, subject) != 0 ||
        mbedtls_x509write_crt_set_issuer_name(cert, subject) != 0 ||
        mbedtls_x509write_crt_set_validity(cert, VALID_FROM, VALID_TO) != 0 ||
        mbedtls_x509write_crt_set_basic_constraints(cert, 1, 0) != 0 ||
        mbedtls_x509write_crt_set_subject_alternative_name(cert, list_names(&san, names, count)) !=
            0)
        return TLS_FAILED;
    return 0;
}

static int write_certificate(struct tls_identity *id, mbedtls_pk_context *key,
                             const char *const *names, unsigned count)
{
    mbedtls_x509write_cert cert;
    uint8_t der[MADE_DER_MAX];
    int result;

    mbedtls_x509write_crt_init(&cert);
    mbedtls_x509write_crt_set_version(&cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&cert, key);
    mbedtls_x509write_crt_set_issuer_key(&cert, key);
    result = set_certificate(&cert, names, count);
    if (result == 0)
        result =
            keep_der(id->chain, sizeof(id->chain), &id->chain_bytes, der + sizeof(der),
                     mbedtls_x509write_crt_der(&cert, der, sizeof(der), random_for_mbedtls, NULL));
    mbedtls_x509write_crt_free(&cert);
    return result;
}

int tls_identity_generate(struct tls_identity *id, const char *const *names, unsigned count)
{
    mbedtls_pk_context key;
    int result;

    memset(id, 0, sizeof(*id));
    mbedtls_pk_init(&key);
    result = tls_key_generate(id->key, &id->key_bytes);
    if (result == 0)
        result = parse_key(&key, id->key, id->key_bytes);
    if (result == 0)
        result = write_certificate(id, &key, names, count);
    mbedtls_pk_free(&key);
    return result;
}

char *tls_request_pem(const uint8_t *key, size_t bytes, const char *const *names, unsigned count)
{
    char *text = malloc(REQUEST_BYTES), subject[COMMON_MAX + 16];
    mbedtls_x509write_csr csr;
    mbedtls_pk_context pk;
    struct names san;
    int result;

    mbedtls_pk_init(&pk);
    mbedtls_x509write_csr_init(&csr);
    mbedtls_x509write_csr_set_md_alg(&csr, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(&csr, &pk);
    make_subject(subject, sizeof(subject), names);
    result = text ? parse_key(&pk, key, bytes) : TLS_FAILED;
    if (result == 0 && (mbedtls_x509write_csr_set_subject_name(&csr, subject) != 0 ||
                        mbedtls_x509write_csr_set_subject_alternative_name(
                            &csr, list_names(&san, names, count)) != 0))
        result = TLS_FAILED;
    if (result == 0)
        result = mbedtls_x509write_csr_pem(&csr, (uint8_t *)text, REQUEST_BYTES, random_for_mbedtls,
                                           NULL);
    mbedtls_x509write_csr_free(&csr);
    mbedtls_pk_free(&pk);
    if (result == 0)
        return text;
    free(text);
    return NULL;
}

/*
 * Reading
 */

static int parse_chain(mbedtls_x509_crt *chain, const uint8_t *der, size_t bytes)
{
    const mbedtls_x509_crt *last = chain;

    for (size_t at = 0; at < bytes; at += last->raw.len) {
        if (mbedtls_x509_crt_parse_der(chain, der + at, bytes - at) != 0)
            return TLS_CHAIN_UNREADABLE;
        while (last->next)
            last = last->next;
    }
    return chain->raw.len ? 0 : TLS_CHAIN_UNREADABLE;
}

static int check_key(const mbedtls_pk_context *pk)
{
    size_t bits = mbedtls_pk_get_bitlen(pk);

    if (mbedtls_pk_get_type(pk) == MBEDTLS_PK_RSA)
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? 0 : TLS_KEY_UNFIT;
    if (mbedtls_pk_get_type(pk) != MBEDTLS_PK_ECKEY)
        return TLS_KEY_UNFIT;
    switch (mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*pk))) {
    case MBEDTLS_ECP_DP_SECP256R1:
    case MBEDTLS_ECP_DP_SECP384R1:
        return 0;
    default:
        return TLS_KEY_UNFIT;
    }
}

/* Clients refuse a certificate that is for something else, and mbedTLS doesn't even show it. */
static int check_chain(const mbedtls_x509_crt *chain)
{
    if (mbedtls_x509_crt_check_key_usage(chain, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) != 0 ||
        mbedtls_x509_crt_check_extended_key_usage(chain, MBEDTLS_OID_SERVER_AUTH,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) != 0)
        return TLS_CHAIN_USAGE;
    for (; chain->next; chain = chain->next) {
        const mbedtls_x509_buf *issuer = &chain->issuer_raw, *next = &chain->next->subject_raw;
        if (issuer->len != next->len || memcmp(issuer->p, next->p, issuer->len) != 0)
            return TLS_CHAIN_ORDER;
    }
    return 0;
}

static int check_pair(const mbedtls_x509_crt *chain, const mbedtls_pk_context *pk)
{
    int result = check_key(pk);

    if (result == 0 && mbedtls_pk_check_pair(&chain->pk, pk, random_for_mbedtls, NULL) != 0)
        result = TLS_KEY_OTHER;
    return result ? result : check_chain(chain);
}

static int keep_chain(struct tls_identity *id, const mbedtls_x509_crt *chain)
{
    for (id->chain_bytes = 0; chain; chain = chain->next) {
        if (chain->raw.len > sizeof(id->chain) - id->chain_bytes)
            return TLS_CHAIN_LARGE;
        memcpy(id->chain + id->chain_bytes, chain->raw.p, chain->raw.len);
        id->chain_bytes += chain->raw.len;
    }
    return 0;
}

static int keep_key(struct tls_identity *id, const mbedtls_pk_context *pk)
{
    uint8_t der[TLS_KEY_MAX];
    int written = mbedtls_pk_write_key_der(pk, der, sizeof(der));
    int result = keep_der(id->key, sizeof(id->key), &id->key_bytes, der + sizeof(der), written);

    mbedtls_platform_zeroize(der, sizeof(der));
    return result;
}

/* The key is PEM with its NUL, or DER. */
static int take(struct tls_identity *id, const char *text, const uint8_t *key, size_t bytes)
{
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    int result;

    memset(id, 0, sizeof(*id));
    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    result = parse_key(&pk, key, bytes);
    if (result == 0 && mbedtls_x509_crt_parse(&chain, (const uint8_t *)text, strlen(text) + 1) != 0)
        result = TLS_CHAIN_UNREADABLE;
    if (result == 0)
        result = check_pair(&chain, &pk);
    if (result == 0)
        result = keep_chain(id, &chain);
    if (result == 0)
        result = keep_key(id, &pk);
    mbedtls_x509_crt_free(&chain);
    mbedtls_pk_free(&pk);
    return result;
}

int tls_identity_from_pem(struct tls_identity *id, const char *chain, const char *key)
{
    return take(id, chain, (const uint8_t *)key, strlen(key) + 1);
}

int tls_identity_from_chain(struct tls_identity *id, const char *chain, const uint8_t *key,
                            size_t bytes)
{
    return take(id, chain, key, bytes);
}

int tls_identity_open(const struct tls_identity *id, mbedtls_x509_crt *chain,
                      mbedtls_pk_context *key)
{
    int result = parse_key(key, id->key, id->key_bytes);

    return result ? result : parse_chain(chain, id->chain, id->chain_bytes);
}

int tls_identity_check(const struct tls_identity *id)
{
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    int result;

    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    result = tls_identity_open(id, &chain, &pk);
    if (result == 0)
        result = check_pair(&chain, &pk);
    mbedtls_x509_crt_free(&chain);
    mbedtls_pk_free(&pk);
    return result;
}
