/* seal.c - encrypted and authenticated streams. */
#include "seal.h"

#include <string.h>

#include <mbedtls/pkcs5.h>
#include <mbedtls/platform_util.h>

#include "skep_tls.h"

#define ROUNDS     210000u
#define ROUNDS_MAX 1000000u
#define LAST       0x80000000u
#define MAGIC      "SKEPBACK"

/* Integers are little-endian. The check is the end of the derived key, which is used for nothing else. */
struct header {
    char magic[8];
    uint32_t version, rounds;
    uint8_t salt[16];
    uint8_t nonce[8];
    uint8_t check[16];
    uint8_t reserved[8];
    uint8_t digest[32]; /* SHA-256 of the above */
};
_Static_assert(sizeof(struct header) == SEAL_HEADER_BYTES, "as documented");

static void header_digest(const struct header *h, uint8_t digest[32])
{
    tls_sha256(h, offsetof(struct header, digest), digest);
}

int seal_derive(const char *passphrase, const uint8_t salt[16], uint32_t rounds, uint8_t key[64])
{
    return mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA512, (const uint8_t *)passphrase,
                                         strlen(passphrase), salt, 16, rounds, 64, key);
}

/*
 * Streams
 */

static enum seal_error set_key(struct seal *s, const struct header *h, const uint8_t key[64])
{
    memset(s, 0, sizeof(*s));
    memcpy(s->nonce, h->nonce, sizeof(h->nonce));
    memcpy(s->digest, h->digest, sizeof(h->digest));
    mbedtls_gcm_init(&s->gcm);
    if (mbedtls_gcm_setkey(&s->gcm, MBEDTLS_CIPHER_ID_AES, key, 256) == 0)
        return SEAL_OK;
    mbedtls_gcm_free(&s->gcm);
    return SEAL_UNABLE;
}

enum seal_error seal_begin(struct seal *s, const char *passphrase,
                           uint8_t header[SEAL_HEADER_BYTES])
{
    struct header h = {.version = SEAL_VERSION, .rounds = ROUNDS};
    uint8_t key[64];
    enum seal_error result;

    memcpy(h.magic, MAGIC, sizeof(h.magic));
    if (tls_random(h.salt, sizeof(h.salt)) != 0 || tls_random(h.nonce, sizeof(h.nonce)) != 0)
        return SEAL_UNABLE;
    if (seal_derive(passphrase, h.salt, h.rounds, key) != 0)
        return SEAL_UNABLE;
    memcpy(h.check, key + 48, sizeof(h.check));
    header_digest(&h, h.digest);
    memcpy(header, &h, sizeof(h));
    result = set_key(s, &h, key);
    mbedtls_platform_zeroize(key, sizeof(key));
    return result;
}

uint32_t seal_version(const uint8_t header[SEAL_HEADER_BYTES])
{
    struct header h;

    memcpy(&h, header, sizeof(h));
    return h.version;
}

static enum seal_error check_header(const struct header *h)
{
    uint8_t digest[32];

    if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0)
        return SEAL_FOREIGN;
    if (h->version != SEAL_VERSION)
        return SEAL_NEWER;
    header_digest(h, digest);
    if (memcmp(digest, h->digest, sizeof(digest)) != 0 || h->rounds == 0 || h->rounds > ROUNDS_MAX)
        return SEAL_DAMAGED;
    return SEAL_OK;
}

enum seal_error seal_open(struct seal *s, const char *passphrase,
                          const uint8_t header[SEAL_HEADER_BYTES])
{
    struct header h;
    uint8_t key[64];
    enum seal_error result;

    memcpy(&h, header, sizeof(h));
    result = check_header(&h);
    if (result != SEAL_OK)
        return result;
    if (seal_derive(passphrase, h.salt, h.rounds, key) != 0)
        return SEAL_UNABLE;
    result =
        memcmp(h.check, key + 48, sizeof(h.check)) == 0 ? set_key(s, &h, key) : SEAL_PASSPHRASE;
    mbedtls_platform_zeroize(key, sizeof(key));
    return result;
}

void seal_end(struct seal *s)
{
    mbedtls_gcm_free(&s->gcm);
    mbedtls_platform_zeroize(s, sizeof(*s));
}

/* The next piece's nonce, and what is authenticated with it. */
static void next_piece(struct seal *s, const uint8_t word[SEAL_WORD_BYTES], uint8_t with[36])
{
    memcpy(s->nonce + 8, &s->count, sizeof(s->count));
    s->count++;
    memcpy(with, s->digest, 32);
    memcpy(with + 32, word, SEAL_WORD_BYTES);
}

size_t seal_piece(struct seal *s, const void *data, uint32_t bytes, bool last,
                  uint8_t sealed[SEAL_SEALED_MAX])
{
    uint32_t word = bytes | (last ? LAST : 0);
    uint8_t *body = sealed + SEAL_WORD_BYTES, with[36];

    memcpy(sealed, &word, sizeof(word));
    next_piece(s, sealed, with);
    if (mbedtls_gcm_crypt_and_tag(&s->gcm, MBEDTLS_GCM_ENCRYPT, bytes, s->nonce, sizeof(s->nonce),
                                  with, sizeof(with), data, body, SEAL_TAG_BYTES,
                                  body + bytes) != 0)
        return 0;
    return SEAL_WORD_BYTES + bytes + SEAL_TAG_BYTES;
}

bool seal_read_word(const uint8_t word[SEAL_WORD_BYTES], uint32_t *bytes, bool *last)
{
    uint32_t value;

    memcpy(&value, word, sizeof(value));
    *last = value & LAST;
    *bytes = value & ~LAST;
    return *bytes <= SEAL_PIECE_MAX;
}

enum seal_error seal_open_piece(struct seal *s, const uint8_t word[SEAL_WORD_BYTES], uint8_t *data,
                                uint32_t bytes)
{
    uint8_t with[36];

    next_piece(s, word, with);
    if (mbedtls_gcm_auth_decrypt(&s->gcm, bytes, s->nonce, sizeof(s->nonce), with, sizeof(with),
                                 data + bytes, SEAL_TAG_BYTES, data, data) != 0)
        return SEAL_DAMAGED;
    return SEAL_OK;
}
