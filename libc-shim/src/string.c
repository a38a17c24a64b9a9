/*
 * string.c - strlen() and strchr(), sixteen bytes at a time: programs that parse text spend their time there, and
 * newlib's look at each byte of a short string. All other string functions are newlib's.
 *
 * Blocks are aligned, so that none reaches into a page in which nothing of the string is. What a block has before
 * the string's begin is left out, and what it has behind its end is found too late to matter.
 */
#include <stdint.h>
#include <string.h>

#define BLOCK_BYTES 16u

typedef char block __attribute__((vector_size(BLOCK_BYTES), may_alias));

/* A bit for each byte of the block that is `byte` or 0. */
__attribute__((no_sanitize("address"))) static inline uint32_t found_in(const block *at, char byte)
{
    block wanted = {0};
    wanted += byte;
    return (uint32_t)__builtin_ia32_pmovmskb128((*at == wanted) | (*at == 0));
}

/* The first `byte` or 0 of the text. */
static inline const char *find(const char *text, char byte)
{
    uint32_t skipped = (uintptr_t)text % BLOCK_BYTES;
    const block *at = (const block *)(text - skipped);
    uint32_t found = found_in(at, byte) >> skipped << skipped;
    while (found == 0)
        found = found_in(++at, byte);
    return (const char *)at + __builtin_ctz(found);
}

size_t strlen(const char *text)
{
    return (size_t)(find(text, 0) - text);
}

char *strchr(const char *text, int byte)
{
    const char *at = find(text, (char)byte);
    return *at == (char)byte ? (char *)at : NULL;
}
