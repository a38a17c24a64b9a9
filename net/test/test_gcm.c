/*
 * test_gcm.c - AES-GCM against published vectors, and of all lengths against the slow and certain way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/aes.h>
#include <mbedtls/gcm.h>
#include <cmocka.h>

#define BLOCK     16u
#define BYTES_MAX 400u

static void fill(uint8_t *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)rand();
}

/*
 * NIST SP 800-38D, 6.3 to 7.1, bit by bit
 */

static void multiply(uint8_t x[BLOCK], const uint8_t y[BLOCK])
{
    uint8_t z[BLOCK] = {0}, v[BLOCK];

    memcpy(v, y, BLOCK);
    for (unsigned i = 0; i < 128; i++) {
        bool carry = v[BLOCK - 1] & 1;
        if (x[i / 8] >> (7 - i % 8) & 1)
            for (unsigned j = 0; j < BLOCK; j++)
                z[j] ^= v[j];
        for (unsigned j = BLOCK; j-- > 0;)
            v[j] = (uint8_t)(v[j] >> 1 | (j ? v[j - 1] << 7 : 0));
        v[0] ^= carry ? 0xe1 : 0;
    }
    memcpy(x, z, BLOCK);
}

static void hash(uint8_t tag[BLOCK], const uint8_t key[BLOCK], const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        tag[i % BLOCK] ^= data[i];
        if (i % BLOCK == BLOCK - 1 || i == bytes - 1)
            multiply(tag, key);
    }
}

struct message {
    unsigned key_bits;
    uint8_t key[32], iv[12], aad[20];
    uint8_t counter[4]; /* of the block before the first */
    size_t aad_bytes, bytes;
    uint8_t plain[BYTES_MAX], cipher[BYTES_MAX], tag[BLOCK];
};

/* Sets the ciphertext and the tag. */
static void seal_slowly(struct message *m)
{
    uint8_t counter[BLOCK], stream[BLOCK], key[BLOCK] = {0}, lengths[BLOCK] = {0};
    mbedtls_aes_context aes;

    mbedtls_aes_init(&aes);
    mbedtls_aes_setkey_enc(&aes, m->key, m->key_bits);
    mbedtls_aes_crypt_ecb(&aes, MBEDTLS_AES_ENCRYPT, key, key);
    memcpy(counter, m->iv, sizeof(m->iv));
    memcpy(counter + sizeof(m->iv), m->counter, sizeof(m->counter));
    memset(m->tag, 0, BLOCK);
    hash(m->tag, key, m->aad, m->aad_bytes);
    for (size_t i = 0; i < m->bytes; i++) {
        if (i % BLOCK == 0) {
            for (unsigned j = BLOCK; j-- > sizeof(m->iv) && ++counter[j] == 0;)
                ;
            mbedtls_aes_crypt_ecb(&aes, MBEDTLS_AES_ENCRYPT, counter, stream);
        }
        m->cipher[i] = m->plain[i] ^ stream[i % BLOCK];
    }
    hash(m->tag, key, m->cipher, m->bytes);
    lengths[7] = (uint8_t)(m->aad_bytes * 8);
    lengths[14] = (uint8_t)(m->bytes * 8 >> 8);
    lengths[15] = (uint8_t)(m->bytes * 8);
    hash(m->tag, key, lengths, BLOCK);
    memcpy(counter + sizeof(m->iv), "\0\0\0\1", 4);
    mbedtls_aes_crypt_ecb(&aes, MBEDTLS_AES_ENCRYPT, counter, stream);
    for (unsigned i = 0; i < BLOCK; i++)
        m->tag[i] ^= stream[i];
    mbedtls_aes_free(&aes);
}

/* In two parts, in place, at an address that is aligned to nothing. */
static void check(const struct message *m, int mode, size_t first, unsigned offset)
{
    const uint8_t *from = mode == MBEDTLS_GCM_ENCRYPT ? m->plain : m->cipher;
    const uint8_t *wanted = mode == MBEDTLS_GCM_ENCRYPT ? m->cipher : m->plain;
    uint8_t room[BYTES_MAX + BLOCK], *data = room + offset, tag[BLOCK];
    mbedtls_gcm_context gcm;
    size_t done;

    memcpy(data, from, m->bytes);
    mbedtls_gcm_init(&gcm);
    assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, m->key, m->key_bits), 0);
    assert_int_equal(mbedtls_gcm_starts(&gcm, mode, m->iv, sizeof(m->iv)), 0);
    memcpy(gcm.MBEDTLS_PRIVATE(y) + sizeof(m->iv), m->counter, sizeof(m->counter));
    assert_int_equal(mbedtls_gcm_update_ad(&gcm, m->aad, m->aad_bytes), 0);
    assert_int_equal(mbedtls_gcm_update(&gcm, data, first, data, first, &done), 0);
    assert_int_equal(mbedtls_gcm_update(&gcm, data + first, m->bytes - first, data + first,
                                        m->bytes - first, &done),
                     0);
    assert_int_equal(mbedtls_gcm_finish(&gcm, NULL, 0, &done, tag, BLOCK), 0);
    mbedtls_gcm_free(&gcm);
    assert_memory_equal(data, wanted, m->bytes);
    assert_memory_equal(tag, m->tag, BLOCK);
}

static void all_lengths(void **state)
{
    struct message m;

    (void)state;
    srand(1);
    for (size_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
        m = (struct message){.key_bits = 128 + 64 * (bytes % 3), .counter = {0, 0, 0, 1}};
        fill(m.key, sizeof(m.key));
        fill(m.iv, sizeof(m.iv));
        fill(m.aad, sizeof(m.aad));
        fill(m.plain, sizeof(m.plain));
        m.aad_bytes = (size_t)rand() % (sizeof(m.aad) + 1);
        m.bytes = bytes;
        seal_slowly(&m);
        for (unsigned round = 0; round < 4; round++) {
            size_t first = round ? (size_t)rand() % (bytes + 1) : 0;
            check(&m, MBEDTLS_GCM_ENCRYPT, first, (unsigned)rand() % BLOCK);
            check(&m, MBEDTLS_GCM_DECRYPT, first, (unsigned)rand() % BLOCK);
        }
    }
}

/* The counter has 32 bits, and what is before it stays. */
static void the_counter_wraps(void **state)
{
    struct message m = {.key_bits = 256, .counter = {0xff, 0xff, 0xff, 0xfc}, .bytes = BYTES_MAX};

    (void)state;
    fill(m.plain, sizeof(m.plain));
    seal_slowly(&m);
    check(&m, MBEDTLS_GCM_ENCRYPT, 0, 0);
    check(&m, MBEDTLS_GCM_DECRYPT, 0, 0);
}

/* The destination may be in front of the source. */
static void moves_down(void **state)
{
    struct message m = {.key_bits = 128, .counter = {0, 0, 0, 1}, .bytes = 200};
    uint8_t room[BYTES_MAX];
    mbedtls_gcm_context gcm;
    uint8_t tag[BLOCK];

    (void)state;
    fill(m.plain, sizeof(m.plain));
    seal_slowly(&m);
    for (unsigned by = 0; by < 70; by++) {
        memcpy(room + by, m.plain, m.bytes);
        mbedtls_gcm_init(&gcm);
        assert_int_equal(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, m.key, m.key_bits), 0);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, m.bytes, m.iv,
                                                   sizeof(m.iv), NULL, 0, room + by, room, BLOCK,
                                                   tag),
                         0);
        mbedtls_gcm_free(&gcm);
        assert_memory_equal(room, m.cipher, m.bytes);
        assert_memory_equal(tag, m.tag, BLOCK);
    }
}

/* Cases 4 and 16 of D. McGrew's and J. Viega's specification. */
static void vectors(void **state)
{
    static const uint8_t key[] = "\xfe\xff\xe9\x92\x86\x65\x73\x1c\x6d\x6a\x8f\x94\x67\x30\x83\x08"
                                 "\xfe\xff\xe9\x92\x86\x65\x73\x1c\x6d\x6a\x8f\x94\x67\x30\x83\x08";
    static const uint8_t iv[] = "\xca\xfe\xba\xbe\xfa\xce\xdb\xad\xde\xca\xf8\x88";
    static const uint8_t aad[] = "\xfe\xed\xfa\xce\xde\xad\xbe\xef\xfe\xed\xfa\xce\xde\xad\xbe\xef"
                                 "\xab\xad\xda\xd2";
    static const uint8_t plain[] =
        "\xd9\x31\x32\x25\xf8\x84\x06\xe5\xa5\x59\x09\xc5\xaf\xf5\x26\x9a"
        "\x86\xa7\xa9\x53\x15\x34\xf7\xda\x2e\x4c\x30\x3d\x8a\x31\x8a\x72"
        "\x1c\x3c\x0c\x95\x95\x68\x09\x53\x2f\xcf\x0e\x24\x49\xa6\xb5\x25"
        "\xb1\x6a\xed\xf5\xaa\x0d\xe6\x57\xba\x63\x7b\x39";
    static const struct {
        unsigned key_bits;
        const char *tag;
    } cases[] = {
        {128, "\x5b\xc9\x4f\xbc\x32\x21\xa5\xdb\x94\xfa\xe9\x5a\xe7\x12\x1a\x47"},
        {256, "\x76\xfc\x6e\xce\x0f\x4e\x17\x68\xcd\xdf\x88\x53\xbb\x2d\x55\x1b"},
    };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct message m = {.key_bits = cases[i].key_bits,
                            .counter = {0, 0, 0, 1},
                            .aad_bytes = 20,
                            .bytes = sizeof(plain) - 1};
        memcpy(m.key, key, sizeof(m.key));
        memcpy(m.iv, iv, sizeof(m.iv));
        memcpy(m.aad, aad, sizeof(m.aad));
        memcpy(m.plain, plain, m.bytes);
        seal_slowly(&m);
        assert_memory_equal(m.tag, cases[i].tag, BLOCK);
        check(&m, MBEDTLS_GCM_ENCRYPT, 0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(all_lengths),
        cmocka_unit_test(the_counter_wraps),
        cmocka_unit_test(moves_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
