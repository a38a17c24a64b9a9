/*
 * string.c - what programs call most of <string.h>, sixteen bytes at a time: newlib's look at each byte of a short
 * string, compare and move what is short in single bytes, and look for each byte of a set in turn. All other string
 * functions are newlib's.
 *
 * What is searched is read in blocks that don't reach into a page in which nothing of the string is: the first one from its
 * begin, unless the page ends before the block does, all others aligned. What a block has behind the string's end is found too
 * late to matter. Up to 16 bytes are compared so, too.
 *
 * What is moved or set is its first and its last blocks, which may overlap, and whole ones between them. Where the CPU has
 * registers of 32 bytes (AVX), long copies go through those.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "wide.h"

#define BLOCK_BYTES    16u
#define WIDE_BYTES     32u
#define WIDE_MIN_BYTES 512u               /* of a copy */
#define MANY_BYTES     (4u * BLOCK_BYTES) /* moved in one go */
#define PAGE_BYTES     4096u

#define XCR0_AVX (1u << 2)

typedef char block __attribute__((vector_size(BLOCK_BYTES), may_alias));

/* The same, and words, wherever they lie. */
typedef char loose_block __attribute__((vector_size(BLOCK_BYTES), aligned(1), may_alias));
typedef char wide_block __attribute__((vector_size(WIDE_BYTES), aligned(1), may_alias));
typedef uint64_t loose_word __attribute__((aligned(1), may_alias));
typedef uint32_t loose_half __attribute__((aligned(1), may_alias));

/* A bit for each byte that is set in all of its bits. */
static inline uint32_t bits_of(block bytes)
{
    return (uint32_t)__builtin_ia32_pmovmskb128(bytes);
}

/* A bit for each byte of the block that is `one`, `other` or 0. */
static inline uint32_t found_in(block bytes, block one, block other)
{
    return bits_of((bytes == one) | (bytes == other) | (bytes == 0));
}

/* Not the compiler's way, which widens the number once more. */
static inline size_t first_of(uint32_t bits)
{
    size_t first;
    __asm__("tzcntl %1, %k0" : "=r"(first) : "r"(bits) : "cc"); /* bsf, where a CPU hasn't it */
    return first;
}

/* The aligned block that a byte is in. */
static inline const block *block_of(const char *at)
{
    return (const block *)(at - (uintptr_t)at % BLOCK_BYTES);
}

/* Whether the block that begins there ends in the same page. */
static inline bool is_in_page(uintptr_t at)
{
    return at % PAGE_BYTES <= PAGE_BYTES - BLOCK_BYTES;
}

/* A bit for each byte of the text in its first block that is one of these or 0. */
__attribute__((no_sanitize("address"))) static inline uint32_t found_first(const char *text,
                                                                           block one, block other)
{
    if (is_in_page((uintptr_t)text))
        return found_in(*(const loose_block *)text, one, other);
    return found_in(*block_of(text), one, other) >> (uintptr_t)text % BLOCK_BYTES;
}

/* Where the first of them is in the blocks after that one. */
__attribute__((no_sanitize("address"), always_inline)) static inline size_t find_behind(
    const char *text, block one, block other)
{
    const block *at = block_of(text);
    uint32_t found;
    do
        found = found_in(*++at, one, other);
    while (found == 0);
    return (size_t)((const char *)at - text) + first_of(found);
}

/* Functions of their own, so that short texts don't pay for what these begin with. */
__attribute__((noinline)) static size_t find_far(const char *text, block one, block other)
{
    return find_behind(text, one, other);
}

__attribute__((noinline)) static size_t find_end_far(const char *text)
{
    return find_behind(text, (block){0}, (block){0});
}

/* Where in the text the first `one`, `other` or 0 is. */
static inline size_t find(const char *text, char one, char other)
{
    block ones = (block){0} + one, others = (block){0} + other;
    uint32_t found = found_first(text, ones, others);
    return found != 0 ? first_of(found) : find_far(text, ones, others);
}

size_t strlen(const char *text)
{
    uint32_t found = found_first(text, (block){0}, (block){0});
    return found != 0 ? first_of(found) : find_end_far(text);
}

char *strchr(const char *text, int byte)
{
    const char *at = text + find(text, (char)byte, (char)byte);
    return *at == (char)byte ? (char *)at : NULL;
}

/* Bytes of the text before the first that is (or isn't) in a set. 0 ends both. */
static size_t span(const char *text, const char *set, bool while_in)
{
    uint64_t in[4] = {!while_in};
    const unsigned char *at = (const unsigned char *)set;
    for (; *at != 0; at++)
        in[*at / 64] |= 1ull << *at % 64;
    for (at = (const unsigned char *)text; (in[*at / 64] >> *at % 64 & 1) == while_in; at++)
        ;
    return (size_t)((const char *)at - text);
}

size_t strspn(const char *text, const char *set)
{
    return span(text, set, true);
}

size_t strcspn(const char *text, const char *set)
{
    if (set[0] != 0 && set[1] != 0 && set[2] != 0)
        return span(text, set, false);
    char other = set[0] != 0 ? set[1] : 0; /* 0 is looked for in any case */
    return find(text, set[0], other);
}

/* Which of two words is greater, as bytes in memory are compared. */
static inline int order(uint64_t one, uint64_t other)
{
    one = __builtin_bswap64(one);
    other = __builtin_bswap64(other);
    return (one > other) - (one < other);
}

/* Up to 16 bytes: the first and the last of them, which may overlap. */
static inline int compare_short(const char *one, const char *other, size_t bytes)
{
    if (bytes >= sizeof(uint64_t)) {
        int first = order(*(const loose_word *)one, *(const loose_word *)other);
        size_t last = bytes - sizeof(uint64_t);
        return first != 0
                   ? first
                   : order(*(const loose_word *)(one + last), *(const loose_word *)(other + last));
    }
    if (bytes >= sizeof(uint32_t)) {
        size_t last = bytes - sizeof(uint32_t);
        return order(*(const loose_half *)one | (uint64_t) * (const loose_half *)(one + last) << 32,
                     *(const loose_half *)other | (uint64_t) * (const loose_half *)(other + last)
                                                      << 32);
    }
    int differ = 0;
    for (size_t i = 0; i < bytes && differ == 0; i++)
        differ = (unsigned char)one[i] - (unsigned char)other[i];
    return differ;
}

#define ALL_SAME 0xffffu

/* A bit for each byte in which two blocks are the same. */
__attribute__((no_sanitize("address"))) static inline uint32_t same_in(const char *one,
                                                                       const char *other)
{
    return bits_of(*(const loose_block *)one == *(const loose_block *)other);
}

/* Two blocks; the lowest bit of `same` that isn't set is the lowest of same + 1 that is. */
static inline int compare_blocks(const char *one, const char *other, uint32_t same)
{
    size_t at = first_of(same + 1);
    return (unsigned char)one[at] - (unsigned char)other[at];
}

/* From the second block on; a function of its own, so that less doesn't pay for what it begins with. */
__attribute__((noinline)) static int compare_far(const char *one, const char *other, size_t last)
{
    size_t at = BLOCK_BYTES;
    uint32_t same;
    while ((same = same_in(one + at, other + at)) == ALL_SAME) {
        if (at == last)
            return 0;
        at += BLOCK_BYTES;
        if (at > last)
            at = last;
    }
    return compare_blocks(one + at, other + at, same);
}

/* Over 16 bytes. */
static inline int compare_long(const char *one, const char *other, size_t bytes)
{
    size_t last = bytes - BLOCK_BYTES;
    uint32_t same = same_in(one, other);
    if (same != ALL_SAME)
        return compare_blocks(one, other, same);
    if (last > BLOCK_BYTES)
        return compare_far(one, other, last);
    same = same_in(one + last, other + last);
    return same != ALL_SAME ? compare_blocks(one + last, other + last, same) : 0;
}

__attribute__((no_sanitize("address"))) int memcmp(const void *memory, const void *than,
                                                   size_t bytes)
{
    const char *one = memory, *other = than;
    if (bytes > BLOCK_BYTES)
        return compare_long(one, other, bytes);
    if (bytes == 0) /* nothing may be there */
        return 0;
    if (!is_in_page((uintptr_t)one | (uintptr_t)other)) /* one of the two may reach into another */
        return compare_short(one, other, bytes);
    size_t at = first_of(same_in(one, other) + 1);
    return at < bytes ? (unsigned char)one[at] - (unsigned char)other[at] : 0;
}

static inline loose_block block_at(const char *from, size_t index)
{
    return ((const loose_block *)from)[index];
}

static inline void put_block(char *to, size_t index, loose_block bytes)
{
    ((loose_block *)to)[index] = bytes;
}

/* Up to 16 bytes, all read before the first is written. */
static inline void *move_words(char *to, const char *from, size_t bytes)
{
    if (bytes >= sizeof(uint64_t)) {
        uint64_t first = *(const loose_word *)from;
        uint64_t last = *(const loose_word *)(from + bytes - sizeof(uint64_t));
        *(loose_word *)to = first;
        *(loose_word *)(to + bytes - sizeof(uint64_t)) = last;
    } else if (bytes >= sizeof(uint32_t)) {
        uint32_t first = *(const loose_half *)from;
        uint32_t last = *(const loose_half *)(from + bytes - sizeof(uint32_t));
        *(loose_half *)to = first;
        *(loose_half *)(to + bytes - sizeof(uint32_t)) = last;
    } else if (bytes > 0) {
        char first = from[0], middle = from[bytes / 2], last = from[bytes - 1];
        to[0] = first;
        to[bytes / 2] = middle;
        to[bytes - 1] = last;
    }
    return to;
}

/* 16 to 64 bytes, likewise. */
static inline void *move_blocks(char *to, const char *from, size_t bytes)
{
    loose_block first = block_at(from, 0);
    loose_block last = *(const loose_block *)(from + bytes - BLOCK_BYTES);
    if (bytes > 2 * BLOCK_BYTES) {
        loose_block second = block_at(from, 1);
        loose_block third = *(const loose_block *)(from + bytes - 2 * BLOCK_BYTES);
        put_block(to, 1, second);
        *(loose_block *)(to + bytes - 2 * BLOCK_BYTES) = third;
    }
    put_block(to, 0, first);
    *(loose_block *)(to + bytes - BLOCK_BYTES) = last;
    return to;
}

static inline void move_four(char *to, const char *from)
{
    loose_block a = block_at(from, 0), b = block_at(from, 1);
    loose_block c = block_at(from, 2), d = block_at(from, 3);
    put_block(to, 0, a);
    put_block(to, 1, b);
    put_block(to, 2, c);
    put_block(to, 3, d);
}

/* Over 64 bytes, from the first on: right unless they are moved up onto themselves. The last four blocks are read before they
 * are written over. */
static inline void *move_forward(char *target, const char *from, size_t bytes)
{
    char *to = target, *end = to + bytes - MANY_BYTES;
    const char *from_end = from + bytes - MANY_BYTES;
    loose_block a = block_at(from_end, 0), b = block_at(from_end, 1);
    loose_block c = block_at(from_end, 2), d = block_at(from_end, 3);
    for (; to < end; to += MANY_BYTES, from += MANY_BYTES)
        move_four(to, from);
    put_block(end, 0, a);
    put_block(end, 1, b);
    put_block(end, 2, c);
    put_block(end, 3, d);
    return target;
}

/* The same from the last on. */
static inline void *move_backward(char *to, const char *from, size_t bytes)
{
    loose_block a = block_at(from, 0), b = block_at(from, 1);
    loose_block c = block_at(from, 2), d = block_at(from, 3);
    for (; bytes > MANY_BYTES; bytes -= MANY_BYTES)
        move_four(to + bytes - MANY_BYTES, from + bytes - MANY_BYTES);
    put_block(to, 0, a);
    put_block(to, 1, b);
    put_block(to, 2, c);
    put_block(to, 3, d);
    return to;
}

static bool has_wide;

void skep_posix_string_start(uint64_t xcr0)
{
    has_wide = (xcr0 & XCR0_AVX) != 0;
}

/* Four of them. */
__attribute__((target("avx"), always_inline)) static inline void copy_four(char *to,
                                                                           const char *from)
{
    wide_block a = ((const wide_block *)from)[0], b = ((const wide_block *)from)[1];
    wide_block c = ((const wide_block *)from)[2], d = ((const wide_block *)from)[3];
    ((wide_block *)to)[0] = a;
    ((wide_block *)to)[1] = b;
    ((wide_block *)to)[2] = c;
    ((wide_block *)to)[3] = d;
}

/* WIDE_MIN_BYTES or more that don't overlap. All but the first and the last are written to aligned addresses. memcpy() ends
 * with it: a call would have every short copy save registers. */
__attribute__((target("avx"), noinline)) static void *copy_wide(void *restrict target,
                                                                const char *restrict from,
                                                                size_t bytes)
{
    char *to = target;
    char *last = to + bytes - 4 * WIDE_BYTES;
    const char *last_from = from + bytes - 4 * WIDE_BYTES;
    size_t first_bytes = WIDE_BYTES - (uintptr_t)to % WIDE_BYTES;
    *(wide_block *)to = *(const wide_block *)from;
    to += first_bytes, from += first_bytes;
    for (const char *stop = last - 12 * WIDE_BYTES; to < stop; to += 16 * WIDE_BYTES) {
        copy_four(to, from);
        copy_four(to + 4 * WIDE_BYTES, from + 4 * WIDE_BYTES);
        copy_four(to + 8 * WIDE_BYTES, from + 8 * WIDE_BYTES);
        copy_four(to + 12 * WIDE_BYTES, from + 12 * WIDE_BYTES);
        from += 16 * WIDE_BYTES;
    }
    for (; to < last; to += 4 * WIDE_BYTES, from += 4 * WIDE_BYTES)
        copy_four(to, from);
    copy_four(last, last_from);
    return target;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    if (bytes < BLOCK_BYTES)
        return move_words(to, from, bytes);
    if (bytes <= MANY_BYTES)
        return move_blocks(to, from, bytes);
    if (bytes >= WIDE_MIN_BYTES && has_wide)
        return copy_wide(to, from, bytes);
    return move_forward(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
    if (bytes < BLOCK_BYTES)
        return move_words(to, from, bytes);
    if (bytes <= MANY_BYTES)
        return move_blocks(to, from, bytes);
    if ((uintptr_t)to - (uintptr_t)from >= bytes)
        return move_forward(to, from, bytes);
    return move_backward(to, from, bytes);
}

void *memset(void *memory, int byte, size_t bytes)
{
    char *to = memory, *end = to + bytes;
    uint64_t word = (unsigned char)byte * 0x0101010101010101ull;
    if (bytes >= BLOCK_BYTES) {
        loose_block all = (loose_block){0} + (char)byte;
        for (; end - to > 4 * (ptrdiff_t)BLOCK_BYTES; to += 4 * BLOCK_BYTES) {
            ((loose_block *)to)[0] = all;
            ((loose_block *)to)[1] = all;
            ((loose_block *)to)[2] = all;
            ((loose_block *)to)[3] = all;
        }
        for (; end - to > (ptrdiff_t)BLOCK_BYTES; to += BLOCK_BYTES)
            *(loose_block *)to = all;
        *(loose_block *)(end - BLOCK_BYTES) = all;
    } else if (bytes >= sizeof(uint64_t)) {
        *(loose_word *)to = word;
        *(loose_word *)(end - sizeof(uint64_t)) = word;
    } else {
        while (to < end)
            *to++ = (char)byte;
    }
    return memory;
}
