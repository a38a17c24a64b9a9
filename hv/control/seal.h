/*
 * seal.h - a stream that is encrypted and authenticated with a passphrase: what backups are written in. docs/storage.md
 * has the format.
 *
 * The key is PBKDF2's (RFC 8018) with HMAC-SHA-512; each piece is AES-256-GCM with a nonce of its own, bound to the header,
 * its place and whether it is the last. So a changed, missing, moved or foreign piece is found before anything of it is
 * used. Deriving the key is meant to take long: some four thousand million instructions.
 */
#ifndef CONTROL_SEAL_H
#define CONTROL_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/gcm.h>

#define SEAL_VERSION      1u
#define SEAL_HEADER_BYTES 96u
#define SEAL_PIECE_MAX    65536u
#define SEAL_TAG_BYTES    16u
#define SEAL_WORD_BYTES   4u /* in front of each piece */
#define SEAL_SEALED_MAX   (SEAL_WORD_BYTES + SEAL_PIECE_MAX + SEAL_TAG_BYTES)

#define SEAL_PASSPHRASE_MIN 12u
#define SEAL_PASSPHRASE_MAX 256u

struct seal {
    mbedtls_gcm_context gcm;
    uint8_t nonce[12]; /* the last four bytes count pieces */
    uint8_t digest[32];
    uint32_t count;
};

enum seal_error {
    SEAL_OK,
    SEAL_FOREIGN, /* it doesn't begin as one */
    SEAL_NEWER,   /* of a version that isn't known here */
    SEAL_DAMAGED,
    SEAL_PASSPHRASE, /* it is whole, but the passphrase is another one */
    SEAL_UNABLE,     /* no randomness or memory */
};

/* Each of the two begins; after SEAL_OK, seal_end() forgets the key. */
enum seal_error seal_begin(struct seal *s, const char *passphrase,
                           uint8_t header[SEAL_HEADER_BYTES]);
enum seal_error seal_open(struct seal *s, const char *passphrase,
                          const uint8_t header[SEAL_HEADER_BYTES]);
void seal_end(struct seal *s);

uint32_t seal_version(const uint8_t header[SEAL_HEADER_BYTES]);

/* Makes a piece; its bytes, 0 if it can't be made. */
size_t seal_piece(struct seal *s, const void *data, uint32_t bytes, bool last,
                  uint8_t sealed[SEAL_SEALED_MAX]);

/* What the word before a piece says of it; false if no piece begins so. */
bool seal_read_word(const uint8_t word[SEAL_WORD_BYTES], uint32_t *bytes, bool *last);

/* Of what follows the word, `bytes` and the tag, in place. */
enum seal_error seal_open_piece(struct seal *s, const uint8_t word[SEAL_WORD_BYTES], uint8_t *data,
                                uint32_t bytes);

/* The key, for tests. 0, or an error of mbedTLS: no memory. */
int seal_derive(const char *passphrase, const uint8_t salt[16], uint32_t rounds, uint8_t key[64]);

#endif
