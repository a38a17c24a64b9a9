/*
 * test_string.c - libc-shim's part of <string.h>, for each position in a block, at the end of the memory there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Beside the host's. */
#define strlen  shim_strlen
#define strchr  shim_strchr
#define memcpy  shim_memcpy
#define memmove shim_memmove
#define memset  shim_memset
#define memcmp  shim_memcmp
#define strspn  shim_strspn
#define strcspn shim_strcspn
size_t strlen(const char *text);
char *strchr(const char *text, int byte);
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *memory, int byte, size_t bytes);
int memcmp(const void *memory, const void *than, size_t bytes);
size_t strspn(const char *text, const char *set);
size_t strcspn(const char *text, const char *set);
#include "../../libc-shim/src/string.c" /* NOLINT(bugprone-suspicious-include): under names of its own */
#undef strlen
#undef strchr
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strspn
#undef strcspn

#define LENGTH_MAX 70u
#define MOVED_MAX  300u

/* A page that none follows. */
static char *page_map(void)
{
    char *page =
        mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    assert_int_equal(mprotect(page + PAGE_BYTES, PAGE_BYTES, PROT_NONE), 0);
    return page;
}

static void page_unmap(char *page)
{
    munmap(page, 2 * PAGE_BYTES);
}

/* Text of some length with `rest` bytes between it and the page's end; all around it is `around`. */
static char *text_at(char *page, size_t length, size_t rest, char around)
{
    memset(page, around, PAGE_BYTES);
    char *text = page + PAGE_BYTES - rest - 1 - length;
    memset(text, 'x', length);
    text[length] = '\0';
    return text;
}

static void lengths(void **state)
{
    (void)state;
    char *page = page_map();
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        for (size_t rest = 0; rest < 2 * BLOCK_BYTES; rest++) {
            assert_int_equal(shim_strlen(text_at(page, length, rest, 'y')), length);
            assert_int_equal(shim_strlen(text_at(page, length, rest, '\0')), length);
        }
    }
    page_unmap(page);
}

static void bytes_found(void **state)
{
    (void)state;
    char *page = page_map();
    for (size_t length = 1; length <= LENGTH_MAX; length++) {
        for (size_t rest = 0; rest < BLOCK_BYTES; rest++) {
            char *text = text_at(page, length, rest, 'y');
            for (size_t at = 0; at < length; at++) {
                text[at] = '\xe4';
                assert_ptr_equal(shim_strchr(text, '\xe4'), text + at);
                assert_ptr_equal(shim_strchr(text, 0xe4), text + at); /* it is converted to char */
                text[at] = 'x';
            }
            assert_ptr_equal(shim_strchr(text, 'x'), text); /* the first of many */
        }
    }
    page_unmap(page);
}

/* Before the text, behind it, nowhere, and the end itself. */
static void bytes_not_in_it(void **state)
{
    (void)state;
    char *page = page_map();
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        for (size_t rest = 0; rest < BLOCK_BYTES; rest++) {
            char *text = text_at(page, length, rest, 'y');
            assert_null(shim_strchr(text, 'y'));
            assert_null(shim_strchr(text, 'z'));
            assert_null(shim_strchr(text, 'y' + 256));
            assert_ptr_equal(shim_strchr(text, '\0'), text + length);
        }
    }
    page_unmap(page);
}

/* The page's end holds bytes that all differ from their neighbours. */
static void fill(char *page)
{
    for (size_t i = 0; i < PAGE_BYTES; i++) {
        page[i] = (char)(i * 7 + i / 256);
    }
}

/* Each length, from each position in a block to each, up to the end of either's memory. */
static void bytes_moved(void **state)
{
    (void)state;
    char *from_page = page_map(), *to_page = page_map();
    fill(from_page);
    for (size_t bytes = 0; bytes <= MOVED_MAX; bytes++) {
        for (size_t rest = 0; rest < BLOCK_BYTES * BLOCK_BYTES; rest++) {
            const char *from = from_page + PAGE_BYTES - bytes - rest % BLOCK_BYTES;
            char *to = to_page + PAGE_BYTES - bytes - rest / BLOCK_BYTES;
            memset(to_page, 0x55, PAGE_BYTES);
            assert_ptr_equal(shim_memcpy(to, from, bytes), to);
            assert_memory_equal(to, from, bytes);
            assert_int_equal(to[-1], 0x55);
            if (rest >= BLOCK_BYTES) {
                assert_int_equal(to[bytes], 0x55);
            }
        }
    }
    page_unmap(from_page);
    page_unmap(to_page);
}

/* Long ones, from each position in a wide block to each. */
static void bytes_moved_wide(void **state)
{
    (void)state;
    char *from_page = page_map(), *to_page = page_map();
    if (!__builtin_cpu_supports("avx")) {
        skip();
    }
    skep_posix_string_start(XCR0_AVX);
    fill(from_page);
    for (size_t bytes = WIDE_MIN_BYTES; bytes <= WIDE_MIN_BYTES + 34 * WIDE_BYTES; bytes++) {
        for (size_t rest = 0; rest < 2 * WIDE_BYTES; rest++) {
            const char *from = from_page + PAGE_BYTES - bytes - rest * 7 % WIDE_BYTES;
            char *to = to_page + PAGE_BYTES - bytes - rest;
            memset(to_page, 0x55, PAGE_BYTES);
            assert_ptr_equal(shim_memcpy(to, from, bytes), to);
            assert_memory_equal(to, from, bytes);
            assert_int_equal(to[-1], 0x55);
            if (rest > 0) {
                assert_int_equal(to[bytes], 0x55);
            }
        }
    }
    skep_posix_string_start(0);
    page_unmap(from_page);
    page_unmap(to_page);
}

/* Onto themselves, up and down by each distance. */
static void bytes_moved_within(void **state)
{
    (void)state;
    char before[PAGE_BYTES], moved[PAGE_BYTES];
    fill(before);
    for (size_t bytes = 0; bytes <= MOVED_MAX; bytes++) {
        for (size_t to = 100; to <= 100 + 2 * MOVED_MAX; to++) {
            memcpy(moved, before, sizeof(moved));
            shim_memmove(moved + to, moved + 100 + MOVED_MAX, bytes);
            assert_memory_equal(moved, before, to);
            assert_memory_equal(moved + to, before + 100 + MOVED_MAX, bytes);
            assert_memory_equal(moved + to + bytes, before + to + bytes,
                                sizeof(moved) - to - bytes);
        }
    }
}

static void bytes_set(void **state)
{
    (void)state;
    char *page = page_map();
    for (size_t bytes = 0; bytes <= MOVED_MAX; bytes++) {
        for (size_t rest = 0; rest < BLOCK_BYTES; rest++) {
            char *memory = page + PAGE_BYTES - rest - bytes;
            memset(page, 0x55, PAGE_BYTES);
            assert_ptr_equal(shim_memset(memory, 0x1e4, bytes),
                             memory); /* it is converted to a byte */
            for (size_t i = 0; i < bytes; i++) {
                assert_int_equal(memory[i], (char)0xe4);
            }
            assert_int_equal(memory[-1], 0x55);
            for (size_t i = 0; i < rest; i++) {
                assert_int_equal(memory[bytes + i], 0x55);
            }
        }
    }
    page_unmap(page);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

/* Each length up to the end of either's memory, or with other bytes behind it, with one byte that differs, and greater ones
 * behind it that differ the other way. */
static void bytes_compared(void **state)
{
    (void)state;
    char *page = page_map(), *other_page = page_map();
    for (size_t bytes = 0; bytes <= LENGTH_MAX; bytes++) {
        for (size_t rest = 0; rest < 2 * BLOCK_BYTES; rest++) {
            size_t behind = rest < BLOCK_BYTES ? 0 : 2 * BLOCK_BYTES;
            char *one = page + PAGE_BYTES - bytes - rest - behind;
            char *other = other_page + PAGE_BYTES - bytes - rest * 7 % BLOCK_BYTES - behind;
            memset(page, 0x7f, PAGE_BYTES);
            memset(other_page, 0x7f, PAGE_BYTES);
            one[-1] = 1; /* it isn't looked at */
            if (behind != 0)
                one[bytes] = 1; /* nor is that */
            assert_int_equal(shim_memcmp(one, other, bytes), 0);
            for (size_t at = 0; at < bytes; at++) {
                one[at] = '\x80'; /* bytes have no sign */
                other[bytes - 1] = (char)(at + 1 < bytes ? 0xff : 0x7f);
                assert_int_equal(sign(shim_memcmp(one, other, bytes)), 1);
                assert_int_equal(sign(shim_memcmp(other, one, bytes)), -1);
                one[at] = other[bytes - 1] = 0x7f;
            }
        }
    }
    page_unmap(page);
    page_unmap(other_page);
}

/* Sets of no byte to all there are, against the host's. */
static void sets_of_bytes(void **state)
{
    (void)state;
    static const char *const sets[] = {"",    "x",   "z",    "zx",       "ab",
                                       "abc", "xyz", "\xe4", "\xe4\x01", "\xe4\x01z"};
    char every[256];
    char *page = page_map();
    for (size_t i = 0; i < sizeof(every); i++) {
        every[i] = (char)(i + 1);
    }
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        char *text = text_at(page, length, length % BLOCK_BYTES, 'y');
        for (size_t at = 0; at < length; at++) {
            text[at] = '\xe4';
            for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
                assert_int_equal(shim_strspn(text, sets[i]), strspn(text, sets[i]));
                assert_int_equal(shim_strcspn(text, sets[i]), strcspn(text, sets[i]));
            }
            text[at] = 'x';
        }
        assert_int_equal(shim_strspn(text, every), length);
        assert_int_equal(shim_strcspn(text, every), 0);
    }
    page_unmap(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),          cmocka_unit_test(bytes_found),
        cmocka_unit_test(bytes_not_in_it),  cmocka_unit_test(bytes_moved),
        cmocka_unit_test(bytes_moved_wide), cmocka_unit_test(bytes_moved_within),
        cmocka_unit_test(bytes_set),        cmocka_unit_test(bytes_compared),
        cmocka_unit_test(sets_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
