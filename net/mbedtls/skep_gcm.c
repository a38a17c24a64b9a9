/*
 * skep_gcm.c - AES-GCM of four blocks at a time, where mbedTLS takes one through all its layers.
 *
 * With its bytes turned around, a block is an element of the tag's field in reflected order. There carry-less multiplication
 * gives a product that is short of a shift by one bit, so the key's powers are kept shifted. Four products are added up
 * before they are reduced. No branch and no address depends on data or keys.
 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/aes.h>
#include <mbedtls/gcm.h>

#define BLOCK 16u
#define LANES 4u

/* mbedTLS calls this on CPUs only that have the first two; those have SSSE3 as well. */
#define VECTOR __attribute__((target("aes,pclmul,ssse3")))

struct quad {
    __m128i a, b, c, d;
};

/* What of a product isn't reduced yet: low, middle and high 128 of its bits, each half a width above the one before. */
struct product {
    __m128i low, middle, high;
};

struct state {
    const uint8_t *round_keys;
    unsigned rounds;
    __m128i counter, tag;   /* bytes turned around */
    struct quad key_powers; /* 4th, 3rd, 2nd, 1st; shifted by a bit */
};

VECTOR static __m128i load(const void *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

VECTOR static void store(void *to, __m128i value)
{
    _mm_storeu_si128((__m128i *)to, value);
}

VECTOR static __m128i turn(__m128i block)
{
    return _mm_shuffle_epi8(block,
                            _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* 1/x, which is x^127 + x^6 + x + 1: reflected, the top bit is that of 1. */
VECTOR static __m128i inverse_of_x(void)
{
    return _mm_set_epi64x((int64_t)0xc200000000000000u, 1);
}

/* Over x, in the field. */
VECTOR static __m128i shift(__m128i value)
{
    __m128i carries = _mm_srli_epi64(value, 63);
    __m128i top = _mm_shuffle_epi32(_mm_srai_epi32(value, 31), 0xff); /* all ones, or zeros */

    value = _mm_or_si128(_mm_slli_epi64(value, 1), _mm_slli_si128(carries, 8));
    return _mm_xor_si128(value, _mm_and_si128(top, inverse_of_x()));
}

VECTOR static struct product multiply(__m128i x, __m128i y)
{
    return (struct product){
        .low = _mm_clmulepi64_si128(x, y, 0x00),
        .middle = _mm_xor_si128(_mm_clmulepi64_si128(x, y, 0x01), _mm_clmulepi64_si128(x, y, 0x10)),
        .high = _mm_clmulepi64_si128(x, y, 0x11)};
}

VECTOR static struct product add(struct product p, struct product q)
{
    return (struct product){.low = _mm_xor_si128(p.low, q.low),
                            .middle = _mm_xor_si128(p.middle, q.middle),
                            .high = _mm_xor_si128(p.high, q.high)};
}

VECTOR static __m128i fold(__m128i value)
{
    return _mm_xor_si128(_mm_shuffle_epi32(value, 0x4e),
                         _mm_clmulepi64_si128(value, inverse_of_x(), 0x10));
}

/* Twice the lowest 64 bits, the highest powers, are said by lower ones. */
VECTOR static __m128i reduce(struct product p)
{
    __m128i low = _mm_xor_si128(p.low, _mm_slli_si128(p.middle, 8));
    __m128i high = _mm_xor_si128(p.high, _mm_srli_si128(p.middle, 8));

    return _mm_xor_si128(high, fold(fold(low)));
}

VECTOR static __m128i next_counter(struct state *s)
{
    s->counter =
        _mm_add_epi32(s->counter, _mm_set_epi32(0, 0, 0, 1)); /* modulo 2^32, as GCM has it */
    return turn(s->counter);
}

VECTOR static __m128i encrypt(const struct state *s, __m128i block)
{
    const uint8_t *key = s->round_keys;

    block = _mm_xor_si128(block, load(key));
    for (unsigned left = s->rounds - 1; left > 0; left--)
        block = _mm_aesenc_si128(block, load(key += BLOCK));
    return _mm_aesenclast_si128(block, load(key + BLOCK));
}

VECTOR static struct quad encrypt_four(const struct state *s, struct quad q)
{
    const uint8_t *at = s->round_keys;
    __m128i key = load(at);

    q.a = _mm_xor_si128(q.a, key);
    q.b = _mm_xor_si128(q.b, key);
    q.c = _mm_xor_si128(q.c, key);
    q.d = _mm_xor_si128(q.d, key);
    for (unsigned left = s->rounds - 1; left > 0; left--) {
        key = load(at += BLOCK);
        q.a = _mm_aesenc_si128(q.a, key);
        q.b = _mm_aesenc_si128(q.b, key);
        q.c = _mm_aesenc_si128(q.c, key);
        q.d = _mm_aesenc_si128(q.d, key);
    }
    key = load(at + BLOCK);
    q.a = _mm_aesenclast_si128(q.a, key);
    q.b = _mm_aesenclast_si128(q.b, key);
    q.c = _mm_aesenclast_si128(q.c, key);
    q.d = _mm_aesenclast_si128(q.d, key);
    return q;
}

VECTOR static void take_one(struct state *s, __m128i ciphertext)
{
    s->tag = reduce(multiply(_mm_xor_si128(s->tag, turn(ciphertext)), s->key_powers.d));
}

VECTOR static void take_four(struct state *s, struct quad ciphertext)
{
    struct product p = multiply(_mm_xor_si128(s->tag, turn(ciphertext.a)), s->key_powers.a);

    p = add(p, multiply(turn(ciphertext.b), s->key_powers.b));
    p = add(p, multiply(turn(ciphertext.c), s->key_powers.c));
    p = add(p, multiply(turn(ciphertext.d), s->key_powers.d));
    s->tag = reduce(p);
}

VECTOR static void crypt_one(struct state *s, bool decrypts, const uint8_t *from, uint8_t *to)
{
    __m128i in = load(from), out = _mm_xor_si128(in, encrypt(s, next_counter(s)));

    take_one(s, decrypts ? in : out);
    store(to, out);
}

/* All is read before anything is written: `to` may be `from`, or a little before it. */
VECTOR static void crypt_four(struct state *s, bool decrypts, const uint8_t *from, uint8_t *to)
{
    struct quad in = {load(from), load(from + BLOCK), load(from + 2 * BLOCK),
                      load(from + 3 * BLOCK)};
    struct quad out;

    out.a = next_counter(s);
    out.b = next_counter(s);
    out.c = next_counter(s);
    out.d = next_counter(s);
    out = encrypt_four(s, out);
    out.a = _mm_xor_si128(out.a, in.a);
    out.b = _mm_xor_si128(out.b, in.b);
    out.c = _mm_xor_si128(out.c, in.c);
    out.d = _mm_xor_si128(out.d, in.d);
    take_four(s, decrypts ? in : out);
    store(to, out.a);
    store(to + BLOCK, out.b);
    store(to + 2 * BLOCK, out.c);
    store(to + 3 * BLOCK, out.d);
}

/* Powers above the first are for who has four blocks. A product of two that are shifted is shifted. */
VECTOR static void set_powers(struct state *s, const mbedtls_gcm_context *ctx, size_t bytes)
{
    __m128i first = shift(turn(load(ctx->H[MBEDTLS_GCM_HTABLE_SIZE / 2])));

    s->key_powers.d = first;
    if (bytes < LANES * BLOCK)
        return;
    s->key_powers.c = reduce(multiply(first, first));
    s->key_powers.b = reduce(multiply(s->key_powers.c, first));
    s->key_powers.a = reduce(multiply(s->key_powers.b, first));
}

static bool is_aes(mbedtls_cipher_type_t type)
{
    return type == MBEDTLS_CIPHER_AES_128_ECB || type == MBEDTLS_CIPHER_AES_192_ECB ||
           type == MBEDTLS_CIPHER_AES_256_ECB;
}

VECTOR size_t mbedtls_gcm_blocks_alt(mbedtls_gcm_context *ctx, const unsigned char *input,
                                     size_t bytes, unsigned char *output)
{
    const mbedtls_aes_context *aes = ctx->cipher_ctx.cipher_ctx;
    bool decrypts = ctx->mode == MBEDTLS_GCM_DECRYPT;
    size_t done = 0;
    struct state s;

    if (bytes < BLOCK || !is_aes(mbedtls_cipher_get_type(&ctx->cipher_ctx)))
        return 0;
    s.round_keys = (const uint8_t *)(aes->buf + aes->rk_offset);
    s.rounds = (unsigned)aes->nr;
    s.counter = turn(load(ctx->y));
    s.tag = turn(load(ctx->buf));
    set_powers(&s, ctx, bytes);
    for (; bytes - done >= LANES * BLOCK; done += LANES * BLOCK)
        crypt_four(&s, decrypts, input + done, output + done);
    for (; bytes - done >= BLOCK; done += BLOCK)
        crypt_one(&s, decrypts, input + done, output + done);
    store(ctx->y, turn(s.counter));
    store(ctx->buf, turn(s.tag));
    return done;
}
