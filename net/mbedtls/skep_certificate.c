/* skep_certificate.c - what a server's certificates say. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>
#include <mbedtls/pem.h>

#include "skep_tls.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----\n"
#define PEM_END   "-----END CERTIFICATE-----\n"

/* Of RFC 5280's GeneralName. */
#define TAG_MASK    0x1f
#define TAG_DNS     2
#define TAG_ADDRESS 7

void tls_fingerprint(const uint8_t digest[32], char text[TLS_FINGERPRINT_MAX])
{
    for (unsigned i = 0; i < 32; i++)
        snprintf(text + 3 * i, 4, "%02X:", digest[i]);
    text[3 * 32 - 1] = '\0';
}

/* The bytes of the first of several certificates. */
static size_t first_bytes(const uint8_t *der, size_t bytes)
{
    uint8_t *at = (uint8_t *)(uintptr_t)der;
    size_t inside;

    if (mbedtls_asn1_get_tag(&at, der + bytes, &inside,
                             MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0)
        return bytes;
    return (size_t)(at - der) + inside;
}

void tls_identity_fingerprint(const struct tls_identity *id, char text[TLS_FINGERPRINT_MAX])
{
    uint8_t digest[32];

    tls_sha256(id->chain, first_bytes(id->chain, id->chain_bytes), digest);
    tls_fingerprint(digest, text);
}

static void describe_key(struct tls_description *d, const mbedtls_x509_crt *cert)
{
    bool is_rsa = mbedtls_pk_get_type(&cert->pk) == MBEDTLS_PK_RSA;
    uint8_t digest[32];
    size_t bytes;

    snprintf(d->key, sizeof(d->key), is_rsa ? "RSA %u" : "ECDSA P-%u",
             (unsigned)mbedtls_pk_get_bitlen(&cert->pk));
    tls_sha256(cert->pk_raw.p, cert->pk_raw.len, digest);
    mbedtls_base64_encode((uint8_t *)d->pin, sizeof(d->pin), &bytes, digest, sizeof(digest));
}

/* What is too long, or can't be shown, is left out with all behind it. */
static void describe_subject(char *text, size_t room, const mbedtls_x509_name *name)
{
    text[0] = '\0';
    (void)mbedtls_x509_dn_gets(text, room, name);
}

/* Others in the place of a DNS name are none of a host. */
static bool is_ascii(const mbedtls_x509_buf *name)
{
    for (size_t i = 0; i < name->len; i++)
        if (name->p[i] <= ' ' || name->p[i] > '~')
            return false;
    return true;
}

static void describe_names(const struct tls_description *d, const mbedtls_x509_crt *cert)
{
    const mbedtls_x509_sequence *at = &cert->subject_alt_names;
    char text[TLS_NAME_MAX];

    for (; d->name && at && at->buf.p; at = at->next) {
        int tag = at->buf.tag & TAG_MASK;
        if (tag == TAG_DNS && at->buf.len < sizeof(text) && is_ascii(&at->buf)) {
            memcpy(text, at->buf.p, at->buf.len);
            text[at->buf.len] = '\0';
        } else if (tag != TAG_ADDRESS || at->buf.len != 4 ||
                   !inet_ntop(AF_INET, at->buf.p, text, sizeof(text))) {
            continue;
        }
        d->name(d->context, text);
    }
}

static void format_time(char text[24], const mbedtls_x509_time *t)
{
    snprintf(text, 24, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)t->year % 10000u,
             (unsigned)t->mon % 100u, (unsigned)t->day % 100u, (unsigned)t->hour % 100u,
             (unsigned)t->min % 100u, (unsigned)t->sec % 100u);
}

int tls_describe(const struct tls_identity *id, struct tls_description *d)
{
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    int result;

    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    result = tls_identity_open(id, &chain, &pk);
    if (result == 0) {
        describe_subject(d->subject, sizeof(d->subject), &chain.subject);
        describe_subject(d->issuer, sizeof(d->issuer), &chain.issuer);
        describe_key(d, &chain);
        format_time(d->not_before, &chain.valid_from);
        format_time(d->not_after, &chain.valid_to);
        describe_names(d, &chain);
    }
    mbedtls_x509_crt_free(&chain);
    mbedtls_pk_free(&pk);
    return result;
}

int tls_certificate_digest(const char *pem, uint8_t digest[32])
{
    mbedtls_x509_crt chain;
    int result;

    mbedtls_x509_crt_init(&chain);
    result = mbedtls_x509_crt_parse(&chain, (const uint8_t *)pem, strlen(pem) + 1);
    if (result == 0)
        tls_sha256(chain.raw.p, chain.raw.len, digest);
    mbedtls_x509_crt_free(&chain);
    return result == 0 ? 0 : TLS_CHAIN_UNREADABLE;
}

char *tls_chain_pem(const struct tls_identity *id)
{
    size_t room = 2 * sizeof(id->chain), used = 0, bytes = 0;
    char *text = malloc(room);

    for (size_t at = 0; text && at < id->chain_bytes; at += bytes, used += strlen(text + used)) {
        size_t written;
        bytes = first_bytes(id->chain + at, id->chain_bytes - at);
        if (mbedtls_pem_write_buffer(PEM_BEGIN, PEM_END, id->chain + at, bytes,
                                     (uint8_t *)text + used, room - used, &written) != 0) {
            free(text);
            return NULL;
        }
    }
    return text;
}
