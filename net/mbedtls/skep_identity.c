/* skep_identity.c - a TLS server's key and certificate: made, read from PEM, fingerprinted. */
#include <stdio.h>
#include <string.h>

#include <mbedtls/ecp.h>
#include <mbedtls/platform_util.h>
#include <psa/crypto.h>

#include "skep_tls.h"

/* Clients pin the fingerprint, and the clock may be unknown when the certificate is made. */
#define VALID_FROM "20250101000000"
#define VALID_TO   "20491231235959"

static int random_for_mbedtls(void *ctx, unsigned char *buf, size_t bytes)
{
    (void)ctx;
    return tls_random(buf, bytes) == 0 ? 0 : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

/* mbedTLS writes DER at the end of a buffer. */
static int keep_der(uint8_t *to, size_t room, size_t *bytes, const uint8_t *end, int written)
{
    if (written <= 0 || (size_t)written > room)
        return TLS_FAILED;
    memcpy(to, end - written, (size_t)written);
    *bytes = (size_t)written;
    return 0;
}

static int keep_key(struct tls_identity *id, const mbedtls_pk_context *key)
{
    uint8_t der[sizeof(id->key)];
    int written = mbedtls_pk_write_key_der(key, der, sizeof(der));
    int result = keep_der(id->key, sizeof(id->key), &id->key_bytes, der + sizeof(der), written);
    mbedtls_platform_zeroize(der, sizeof(der));
    return result;
}

/* The names under which the service is reached: its own, and through a forwarded port. */
static int set_names(mbedtls_x509write_cert *cert, const char *hostname, uint32_t address)
{
    uint8_t loopback[4] = {127, 0, 0, 1}, own[4];
    mbedtls_x509_san_list list[4];
    const void *value[4] = {hostname, "localhost", loopback, own};
    const size_t bytes[4] = {strlen(hostname), 9, 4, 4};

    memcpy(own, &address, 4);
    memset(list, 0, sizeof(list));
    for (unsigned i = 0; i < 4; i++) {
        list[i].node.type = i < 2 ? MBEDTLS_X509_SAN_DNS_NAME : MBEDTLS_X509_SAN_IP_ADDRESS;
        list[i].node.san.unstructured_name.p = (uint8_t *)(uintptr_t)value[i];
        list[i].node.san.unstructured_name.len = bytes[i];
        list[i].next = i < (address ? 3u : 2u) ? &list[i + 1] : NULL;
    }
    return mbedtls_x509write_crt_set_subject_alternative_name(cert, list);
}

static int write_certificate(struct tls_identity *id, mbedtls_pk_context *key, const char *hostname,
                             uint32_t address)
{
    mbedtls_x509write_cert cert;
    char subject[96];
    uint8_t serial[16], der[TLS_DER_MAX];
    int result = TLS_FAILED;

    mbedtls_x509write_crt_init(&cert);
    snprintf(subject, sizeof(subject), "CN=%s,O=Skep", hostname);
    mbedtls_x509write_crt_set_version(&cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&cert, key);
    mbedtls_x509write_crt_set_issuer_key(&cert, key);
    if (tls_random(serial, sizeof(serial)) != 0)
        goto out;
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive and of full length */
    if (mbedtls_x509write_crt_set_serial_raw(&cert, serial, sizeof(serial)) != 0 ||
        mbedtls_x509write_crt_set_subject_name(&cert, subject) != 0 ||
        mbedtls_x509write_crt_set_issuer_name(&cert, subject) != 0 ||
        mbedtls_x509write_crt_set_validity(&cert, VALID_FROM, VALID_TO) != 0 ||
        mbedtls_x509write_crt_set_basic_constraints(&cert, 1, 0) != 0 ||
        set_names(&cert, hostname, address) != 0)
        goto out;
    int written = mbedtls_x509write_crt_der(&cert, der, sizeof(der), random_for_mbedtls, NULL);
    result = keep_der(id->cert, sizeof(id->cert), &id->cert_bytes, der + sizeof(der), written);
out:
    mbedtls_x509write_crt_free(&cert);
    return result;
}

int tls_identity_generate(struct tls_identity *id, const char *hostname, uint32_t address)
{
    mbedtls_pk_context key;
    int result = TLS_FAILED;

    memset(id, 0, sizeof(*id));
    mbedtls_pk_init(&key);
    if (psa_crypto_init() == PSA_SUCCESS &&
        mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0 &&
        mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), random_for_mbedtls,
                            NULL) == 0 &&
        keep_key(id, &key) == 0)
        result = write_certificate(id, &key, hostname, address);
    mbedtls_pk_free(&key);
    return result;
}

int tls_identity_from_pem(struct tls_identity *id, const char *cert, const char *key)
{
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    int result = TLS_FAILED;

    memset(id, 0, sizeof(*id));
    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    if (psa_crypto_init() != PSA_SUCCESS ||
        mbedtls_x509_crt_parse(&chain, (const uint8_t *)cert, strlen(cert) + 1) != 0 ||
        mbedtls_pk_parse_key(&pk, (const uint8_t *)key, strlen(key) + 1, NULL, 0,
                             random_for_mbedtls, NULL) != 0 ||
        mbedtls_pk_check_pair(&chain.pk, &pk, random_for_mbedtls, NULL) != 0)
        goto out;
    if (chain.raw.len > sizeof(id->cert) || keep_key(id, &pk) != 0)
        goto out;
    memcpy(id->cert, chain.raw.p, chain.raw.len);
    id->cert_bytes = chain.raw.len;
    result = 0;
out:
    mbedtls_x509_crt_free(&chain);
    mbedtls_pk_free(&pk);
    return result;
}

int tls_identity_check(const struct tls_identity *id)
{
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    int result = TLS_FAILED;

    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    if (psa_crypto_init() == PSA_SUCCESS &&
        mbedtls_x509_crt_parse_der(&chain, id->cert, id->cert_bytes) == 0 &&
        mbedtls_pk_parse_key(&pk, id->key, id->key_bytes, NULL, 0, random_for_mbedtls, NULL) == 0 &&
        mbedtls_pk_check_pair(&chain.pk, &pk, random_for_mbedtls, NULL) == 0)
        result = 0;
    mbedtls_x509_crt_free(&chain);
    mbedtls_pk_free(&pk);
    return result;
}

void tls_identity_fingerprint(const struct tls_identity *id, char text[TLS_FINGERPRINT_MAX])
{
    uint8_t digest[32];

    tls_sha256(id->cert, id->cert_bytes, digest);
    for (unsigned i = 0; i < sizeof(digest); i++)
        snprintf(text + 3 * i, 4, "%02X:", digest[i]);
    text[3 * sizeof(digest) - 1] = '\0';
}
