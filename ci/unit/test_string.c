/*
 * test_string.c - libc-shim's strlen() and strchr(), for each position in a block, at the end of the memory there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Beside the host's. */
#define strlen shim_strlen
#define strchr shim_strchr
size_t strlen(const char *text);
char *strchr(const char *text, int byte);
#include "../../libc-shim/src/string.c" /* NOLINT(bugprone-suspicious-include): under names of its own */
#undef strlen
#undef strchr

#define PAGE_BYTES 4096u
#define LENGTH_MAX 70u

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(bytes_found),
        cmocka_unit_test(bytes_not_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
