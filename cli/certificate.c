/* certificate.c - fingerprints and pins, by mbedTLS. */
#include "certificate.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>
#include <mbedtls/x509_crt.h>

#include "fail.h"

#define DIGEST_BYTES 32

static void write_fingerprint(const unsigned char digest[DIGEST_BYTES], char text[96])
{
    for (int i = 0; i < DIGEST_BYTES; i++)
        snprintf(text + 3 * i, 4, i + 1 < DIGEST_BYTES ? "%02X:" : "%02X", digest[i]);
}

static int identify(const mbedtls_x509_crt *crt, struct certificate *c)
{
    unsigned char digest[DIGEST_BYTES], base64[64];
    size_t bytes;

    if (mbedtls_sha256(crt->raw.p, crt->raw.len, digest, 0) != 0)
        return -1;
    write_fingerprint(digest, c->fingerprint);
    if (mbedtls_sha256(crt->pk_raw.p, crt->pk_raw.len, digest, 0) != 0 ||
        mbedtls_base64_encode(base64, sizeof(base64), &bytes, digest, sizeof(digest)) != 0)
        return -1;
    snprintf(c->pin, sizeof(c->pin), "sha256//%s", (const char *)base64);
    return 0;
}

int certificate_read(const char *pem, struct certificate *certificate)
{
    mbedtls_x509_crt crt;
    int result;

    mbedtls_x509_crt_init(&crt);
    result = mbedtls_x509_crt_parse(&crt, (const unsigned char *)pem, strlen(pem) + 1);
    if (result == 0)
        result = identify(&crt, certificate);
    mbedtls_x509_crt_free(&crt);
    return result == 0
               ? EXIT_OK
               : fail(EXIT_CONNECTION, "the certificate is malformed, or has a key of a kind that "
                                       "no Skep has");
}

int fingerprint_read(const char *text, char fingerprint[96])
{
    unsigned char digest[DIGEST_BYTES] = {0};
    unsigned digits = 0;

    if (strncasecmp(text, "sha256:", 7) == 0)
        text += 7;
    for (; *text && digits < 2 * DIGEST_BYTES; text++) {
        static const char hex[] = "0123456789abcdef";
        const char *digit = strchr(hex, tolower((unsigned char)*text));
        if (*text == ':')
            continue;
        if (!digit)
            break;
        digest[digits / 2] = (unsigned char)(digest[digits / 2] << 4 | (digit - hex));
        digits++;
    }
    if (*text || digits != 2 * DIGEST_BYTES)
        return fail(EXIT_USAGE, "a fingerprint has 64 hexadecimal digits, as on the serial log");
    write_fingerprint(digest, fingerprint);
    return EXIT_OK;
}
