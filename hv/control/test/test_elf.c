/* test_elf.c - the ELF checks: a good file, each rule broken, and random damage. */
#include <stdlib.h>
#include <string.h>

#include "boots.h"
#include "elf_image.h"
#include "fake.h"
#include "functions.h"
#include "image.h"
#include "symbols.h"
#include "test_control.h"

#define PH(i) (64 + 56 * (i)) /* program header i; 0 to 2 are loaded, 3 is the note */
#define NOTE  0x200

static void put(uint8_t *data, size_t at, uint64_t value, size_t bytes)
{
    memcpy(data + at, &value, bytes);
}

static void put_segment(uint8_t *data, unsigned i, uint32_t type, uint32_t flags, uint64_t offset,
                        uint64_t address, uint64_t file_bytes, uint64_t memory_bytes,
                        uint64_t align)
{
    const uint64_t fields[6] = {offset, address, address, file_bytes, memory_bytes, align};

    put(data, PH(i), type, 4);
    put(data, PH(i) + 4, flags, 4);
    memcpy(data + PH(i) + 8, fields, sizeof(fields));
}

static void put_symbols(uint8_t *data)
{
    static const char names[] = "\0main\0helper";

    put(data, 0x2100 + 24, 1 | 0x12ull << 32 | 1ull << 48, 8);
    put(data, 0x2100 + 32, 0x1000, 8);
    put(data, 0x2100 + 40, 0x40, 8);
    put(data, 0x2100 + 48, 6 | 0x12ull << 32 | 1ull << 48, 8);
    put(data, 0x2100 + 56, 0x1040, 8);
    put(data, 0x2100 + 64, 0x40, 8);
    memcpy(data + 0x2200, names, sizeof(names));
    /* Sections: none, the symbols, their names. */
    put(data, 0x2300 + 64 + 4, 2, 4);
    put(data, 0x2300 + 64 + 24, 0x2100, 8);
    put(data, 0x2300 + 64 + 32, 72, 8);
    put(data, 0x2300 + 64 + 40, 2, 4);
    put(data, 0x2300 + 128 + 4, 3, 4);
    put(data, 0x2300 + 128 + 24, 0x2200, 8);
    put(data, 0x2300 + 128 + 32, sizeof(names), 8);
}

size_t test_elf(uint8_t *data)
{
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    memset(data, 0, TEST_ELF_MAX);
    memcpy(data, ident, sizeof(ident));
    put(data, 16, 3 | 62 << 16, 4);
    put(data, 20, 1, 4);
    put(data, 24, 0x1010, 8);
    put(data, 32, 64, 8);
    put(data, 40, 0x2300, 8);
    put(data, 52, 64 | 56ull << 16 | 5ull << 32 | 64ull << 48, 8);
    put(data, 60, 3, 2);
    put_segment(data, 0, 1, 4, 0, 0, 0x400, 0x400, 4096);
    put_segment(data, 1, 1, 5, 0x1000, 0x1000, 0x100, 0x100, 4096);
    put_segment(data, 2, 1, 6, 0x2010, 0x2010, 0x40, 0x5000, 4096);
    put_segment(data, 3, 4, 4, NOTE, NOTE, 36, 36, 4);
    put_segment(data, 4, 0x6474e551, 6, 0, 0, 0, 0x20000, 16);
    put(data, NOTE, 5, 4);
    put(data, NOTE + 4, 16, 4);
    put(data, NOTE + 8, 1, 4);
    memcpy(data + NOTE + 12, "Skep", 5);
    put(data, NOTE + 20, 1, 4);
    put_symbols(data);
    return 0x2300 + 3 * 64;
}

static void test_good(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = test_elf(data);
    struct elf_image image;

    (void)state;
    assert_null(elf_image_check(&image, data, bytes));
    assert_int_equal(image.segment_count, 3);
    assert_int_equal(image.segments[1].prot, SKEP_PROT_READ | SKEP_PROT_EXEC);
    assert_int_equal(image.segments[2].prot, SKEP_PROT_READ | SKEP_PROT_WRITE);
    assert_int_equal(image.entry, 0x1010);
    assert_int_equal(image.stack_bytes, 0x20000);
    assert_int_equal(image.symbol_count, 3);
    assert_false(image.stack_reserved);
    put(data, NOTE + 24, 0xffffffff, 4); /* flags: those unknown say nothing */
    assert_null(elf_image_check(&image, data, bytes));
    assert_true(image.stack_reserved);
}

static void test_symbols(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = test_elf(data);
    struct elf_image image;
    struct symbol *table;
    uint32_t count;

    (void)state;
    assert_null(elf_image_check(&image, data, bytes));
    table = symbols_collect(&image, data, &count);
    assert_int_equal(count, 2);
    assert_string_equal(table[0].name, "main");
    assert_string_equal(table[1].name, "helper");
    assert_int_equal(table[1].offset, 0x1040);
    free(table);
}

/* A function's record: a distance, its bytes, what of the former's name it begins with, and the rest. */
#define NAMES      0x2100
#define SECTION(i) (0x2300 + 64 * (i))

/* A note of function names in place of the symbol table: `contents` of so many bytes. */
static size_t put_functions(uint8_t *data, const char *contents, size_t bytes)
{
    size_t file_bytes = test_elf(data);

    memset(data + NAMES, 0, SECTION(0) - NAMES);
    put(data, NAMES, 5 | (uint64_t)bytes << 32, 8);
    put(data, NAMES + 8, SKEP_NOTE_FUNCTIONS, 4);
    memcpy(data + NAMES + 12, "Skep", 5);
    memcpy(data + NAMES + 20, contents, bytes);
    put(data, SECTION(1) + 4, 7, 4);
    put(data, SECTION(1) + 32, 20 + bytes, 8);
    return file_bytes;
}

static const char functions[] = "\x80\x20\x40\0main\0"  /* 0x1000, 64 bytes */
                                "\x40\xc0\x01\2x\x01\0" /* 0x1040, 192 bytes: ma, x, and a 1 */
                                "\x80\1\0\0helper";     /* 0x10c0, of unknown size */

static void test_functions(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = put_functions(data, functions, sizeof(functions));
    struct elf_image image;
    struct symbol *table;
    uint32_t count;

    (void)state;
    assert_null(elf_image_check(&image, data, bytes));
    assert_int_equal(image.function_count, 3);
    table = symbols_collect(&image, data, &count);
    assert_int_equal(count, 3);
    assert_string_equal(table[0].name, "main");
    assert_int_equal(table[0].offset, 0x1000);
    assert_int_equal(table[0].bytes, 64);
    assert_string_equal(table[1].name, "max?");
    assert_int_equal(table[1].offset, 0x1040);
    assert_int_equal(table[1].bytes, 192);
    assert_string_equal(table[2].name, "helper");
    assert_int_equal(table[2].offset, 0x10c0);
    assert_int_equal(table[2].bytes, 0);
    free(table);
}

static void check_damaged(const char *contents, size_t bytes)
{
    uint8_t data[TEST_ELF_MAX];
    struct elf_image image;
    size_t file_bytes = put_functions(data, contents, bytes);
    const char *error = elf_image_check(&image, data, file_bytes);

    assert_non_null(error);
    assert_non_null(strstr(error, "damaged note of function names"));
}

#define CHECK_DAMAGED(text) check_damaged(text, sizeof(text) - 1)

static void test_damaged_functions(void **state)
{
    char name[FUNCTION_NAME_MAX + 4] = {1, 1, 0};
    uint8_t data[TEST_ELF_MAX];
    struct elf_image image;
    size_t bytes;

    (void)state;
    for (size_t i = 1; i < sizeof(functions); i++)
        if (i != 9 && i != 16) /* where a function ends */
            check_damaged(functions, i);
    CHECK_DAMAGED("\1\1\1a\0");                            /* the first has no former one */
    CHECK_DAMAGED("\1\1\0ab\0\1\1\3c\0");                  /* more than the former's name */
    CHECK_DAMAGED("\x80\x80\x80\x80\x10\1\0a\0");          /* 2^32 */
    CHECK_DAMAGED("\xff\xff\xff\xff\xff\1\1\0a\0");        /* too many bytes */
    CHECK_DAMAGED("\xff\xff\xff\xff\x0f\1\0a\0\1\1\0b\0"); /* beyond 2^32 together */
    memset(name + 3, 'n', FUNCTION_NAME_MAX);
    check_damaged(name, sizeof(name)); /* 56 characters */
    name[sizeof(name) - 2] = 0;
    bytes = put_functions(data, name, sizeof(name) - 1);
    assert_null(elf_image_check(&image, data, bytes));
    put(data, NAMES + 4, sizeof(name), 4);
    assert_string_equal(elf_image_check(&image, data, bytes),
                        "has a note of function names that is larger than its section");
    /* Others' notes are nobody's business, nor are notes outside of the file. */
    put(data, NAMES + 8, 7, 4);
    assert_null(elf_image_check(&image, data, bytes));
    put(data, SECTION(1) + 24, ~0ull, 8);
    assert_null(elf_image_check(&image, data, bytes));
    assert_int_equal(image.function_count, 0);
}

/* One field of a good file changed, and a word of the answer. */
static const struct spoil {
    size_t at, bytes;
    uint64_t value;
    const char *word;
} spoils[] = {
    {0, 4, 0, "no ELF"},
    {4, 1, 1, "ELF64"},
    {5, 1, 2, "ELF64"},
    {16, 2, 2, "PIE"},
    {18, 2, 183, "machine"},
    {24, 8, 0x2010, "entry"},
    {24, 8, ~0ull, "entry"},
    {32, 8, 1ull << 40, "truncated"},
    {32, 8, ~31ull, "truncated"},
    {54, 2, 8, "program header"},
    {56, 2, 0, "program header"},
    {56, 2, 65535, "program header"},
    {40, 8, 1ull << 40, "section headers"},
    {58, 2, 8, "section header"},
    {PH(1) + 4, 4, 7, "writable and executable"},
    {PH(1) + 4, 4, 1, "readable"},
    {PH(1) + 8, 8, 1ull << 40, "truncated"},
    {PH(1) + 8, 8, ~4095ull, "truncated"},
    {PH(1) + 16, 8, 0, "overlap"},
    {PH(1) + 16, 8, 0x1008, "aligned"},
    {PH(1) + 48, 8, 4095, "aligned"},
    {PH(1) + 48, 8, 16, "aligned"},
    {PH(1) + 32, 8, 0x200, "more bytes in the file"},
    {PH(2) + 16, 8, 0xffffffff80000010, "outside"},
    {PH(2) + 16, 8, (1ull << 47) + 0x10, "outside"},
    {PH(2) + 16, 8, (1ull << 40) + 0x10, "1 GiB"},
    {PH(2) + 40, 8, ~0ull, "1 GiB"},
    {PH(2) + 40, 8, 1ull << 46, "1 GiB"},
    {PH(3), 4, 0, "no Skep note"},
    {PH(3), 4, 3, "interpreter"},
    {PH(3) + 8, 8, 1ull << 40, "notes outside"},
    {PH(4) + 4, 4, 7, "executable stack"},
    {PH(4) + 40, 8, 1ull << 40, "stack"},
    {NOTE, 4, ~0u, "larger than its segment"},
    {NOTE + 4, 4, 8, "larger than|damaged"},
    {NOTE + 20, 2, 99, "another version"},
    {NOTE + 22, 2, 99, "another version"},
    {NOTE + 28, 8, 1ull << 63, "features"},
    {0x2300 + 64 + 24, 8, 1ull << 40, "symbol table outside"},
    {0x2300 + 64 + 40, 4, 3, "without names"},
};

static void test_spoiled(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    struct elf_image image;

    (void)state;
    for (size_t i = 0; i < sizeof(spoils) / sizeof(*spoils); i++) {
        size_t bytes = test_elf(data);
        put(data, spoils[i].at, spoils[i].value, spoils[i].bytes);
        const char *error = elf_image_check(&image, data, bytes);
        if (!error)
            fail_msg("spoil %zu (%s) was accepted", i, spoils[i].word);
        else if (!strchr(spoils[i].word, '|') && !strstr(error, spoils[i].word))
            fail_msg("spoil %zu: \"%s\" doesn't say \"%s\"", i, error, spoils[i].word);
    }
}

/* At its exact size, so that ASan sees a read past the end. */
static const char *check_copy(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes ? bytes : 1);
    struct elf_image image;
    struct symbol *table = NULL;
    const char *error;
    uint32_t count;

    memcpy(copy, data, bytes);
    error = elf_image_check(&image, copy, bytes);
    if (!error)
        table = symbols_collect(&image, copy, &count);
    free(table);
    free(copy);
    return error;
}

static void test_truncated(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = test_elf(data);

    (void)state;
    for (size_t i = 0; i < bytes; i++)
        assert_non_null(check_copy(data, i));
}

static void test_random_damage(void **state)
{
    uint8_t data[TEST_ELF_MAX];
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t bytes =
            round % 2 ? test_elf(data) : put_functions(data, functions, sizeof(functions));
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525 + 1013904223;
            size_t range = seed & 0x80 ? 64 + 5 * 56 : bytes;
            data[(seed >> 8) % range] = (uint8_t)(seed >> 24);
        }
        check_copy(data, bytes);
    }
}

/* What the note says is the image's, before and after a restart of the service. */
static void test_reserved_stack(void **state)
{
    static const char *const names[] = {"promised", "reserved"};
    uint8_t data[TEST_ELF_MAX];
    size_t bytes = test_elf(data);
    struct problem problem;

    (void)state;
    fake_start("", "");
    boots_restart(false);
    for (uint32_t i = 0; i < 2; i++) {
        put(data, NOTE + 24, i, 4);
        struct image *image = image_build(names[i], data, bytes, &problem);
        assert_non_null(image);
        assert_int_equal(image_publish(image, &problem), 0);
    }
    boots_restart(false);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(image_find(names[i])->stack_reserved, i);
    boots_forget();
}

int run_elf_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_spoiled),       cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_random_damage), cmocka_unit_test(test_reserved_stack),
        cmocka_unit_test(test_functions),     cmocka_unit_test(test_damaged_functions),
    };
    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
