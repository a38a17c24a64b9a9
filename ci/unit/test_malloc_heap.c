/*
 * test_malloc_heap.c - the heap below a guest's malloc(): seeded random use against what each block should
 * hold, joining, and every kind of misuse that it promises to find.
 */
/* clang-format off: cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include "../../libc-shim/src/heap.h"

#define REGION_BYTES (1u << 20)
#define COUNT        300u
#define STEPS        200000u

/* The heap is one for all tests; all free memory is one block again after each. */
static _Alignas(4096) char region[REGION_BYTES + 4096];
static jmp_buf on_broken;

_Noreturn void skep_heap_broken(const void *where)
{
    longjmp(on_broken, 1);
}

static enum heap_check give(void *memory)
{
    bool much;
    return skep_heap_give(memory, &much);
}

static void join_all(void)
{
    uint32_t list = 0;
    while (skep_heap_join_kept(&list)) {
    }
}

static size_t all_free(void)
{
    join_all();
    return skep_heap_free_at_end();
}

static int set_up(void **state)
{
    const uint64_t key[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    skep_heap_start(key);
    assert_null(skep_heap_end());
    skep_heap_add(region, REGION_BYTES / 2);
    skep_heap_add(region + REGION_BYTES / 2, REGION_BYTES / 2);
    assert_ptr_equal(skep_heap_end(), region + REGION_BYTES);
    return 0;
}

struct piece {
    unsigned char *memory;
    size_t bytes;
    unsigned char fill;
};

static void check_piece(const struct piece *piece)
{
    assert_int_equal(skep_heap_bytes(piece->memory), piece->bytes);
    assert_int_equal(skep_heap_check(piece->memory), HEAP_GOOD);
    for (size_t i = 0; i < piece->bytes; i++) {
        assert_int_equal(piece->memory[i], piece->fill);
    }
}

static void take_piece(struct piece *piece)
{
    size_t alignment = rand() % 8 == 0 ? 16u << rand() % 9 : 16;
    piece->bytes = (size_t)rand() % (rand() % 10 == 0 ? 20000 : 600);
    piece->memory = skep_heap_take(piece->bytes, alignment);
    if (piece->memory == NULL) {
        return;
    }
    assert_int_equal((uintptr_t)piece->memory % alignment, 0);
    piece->fill = (unsigned char)rand();
    memset(piece->memory, piece->fill, piece->bytes);
}

static void resize_piece(struct piece *piece)
{
    size_t bytes = (size_t)rand() % 1000;
    if (!skep_heap_resize(piece->memory, bytes)) {
        return;
    }
    if (bytes > piece->bytes) {
        memset(piece->memory + piece->bytes, piece->fill, bytes - piece->bytes);
    }
    piece->bytes = bytes;
}

static void random_use_keeps_what_is_in_blocks(void **state)
{
    static struct piece pieces[COUNT];
    size_t before = all_free();
    srand(2);
    for (unsigned step = 0; step < STEPS; step++) {
        struct piece *piece = &pieces[(unsigned)rand() % COUNT];
        if (piece->memory == NULL) {
            take_piece(piece);
            continue;
        }
        check_piece(piece);
        if (rand() % 3 == 0) {
            resize_piece(piece);
            continue;
        }
        assert_int_equal(give(piece->memory), HEAP_GOOD);
        piece->memory = NULL;
        if (step % 5000 == 0) {
            join_all();
        }
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (pieces[i].memory != NULL) {
            check_piece(&pieces[i]);
            assert_int_equal(give(pieces[i].memory), HEAP_GOOD);
        }
    }
    assert_int_equal(all_free(), before);
}

static void what_is_cut_off_can_be_added_again(void **state)
{
    size_t before = all_free();
    skep_heap_cut(65536);
    assert_ptr_equal(skep_heap_end(), region + REGION_BYTES - 65536);
    assert_int_equal(skep_heap_free_at_end(), before - 65536);
    void *most = skep_heap_take(before - 65536 - 16, 16);
    assert_null(most); /* rounded up in the lists, it isn't there for certain */
    skep_heap_add(region + REGION_BYTES - 65536, 65536);
    assert_int_equal(all_free(), before);
}

/* A program's every request takes some memory and gives it back, beside much that is free. */
static void joining_is_due_once_for_much_that_was_freed(void **state)
{
    enum { ROUNDS = 1000, BYTES = 4000, MANY = 100 };
    void *many[MANY];
    unsigned due = 0;
    bool much;
    all_free();
    void *used = skep_heap_take(REGION_BYTES / 4, 16);
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(skep_heap_give(skep_heap_take(BYTES, 16), &much), HEAP_GOOD);
        due += much;
    }
    assert_in_range(due, 0, 1);
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = skep_heap_take(BYTES, 16);
    }
    due = 0;
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(skep_heap_give(many[i], &much), HEAP_GOOD);
        due += much;
        if (much) {
            join_all();
        }
    }
    assert_in_range(due, 1, MANY * BYTES / (64 * 1024));
    assert_int_equal(give(used), HEAP_GOOD);
}

/* Of larger sizes, too, the block that was given back last is the one that is given out next, if it is large enough. */
static void larger_blocks_are_kept(void **state)
{
    static const size_t sizes[] = {1500, 4096, 8200, 16000};
    all_free();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        void *memory = skep_heap_take(sizes[i], 16), *behind = skep_heap_take(100, 16);
        assert_int_equal(give(memory), HEAP_GOOD);
        assert_ptr_equal(skep_heap_take(sizes[i], 16), memory);
        assert_int_equal(give(memory), HEAP_GOOD);
        assert_ptr_equal(skep_heap_take(sizes[i] - 20, 16), memory);
        assert_int_equal(give(memory), HEAP_GOOD);
        void *larger = skep_heap_take(sizes[i] + 40, 16);
        assert_ptr_not_equal(larger, memory);
        assert_int_equal(give(larger), HEAP_GOOD);
        assert_int_equal(give(behind), HEAP_GOOD);
    }
}

static void no_room_is_no_block(void **state)
{
    assert_null(skep_heap_take(REGION_BYTES * 2, 16));
    assert_null(skep_heap_take(SIZE_MAX / 4, 16));
    assert_null(skep_heap_take(16, 1u << 30));
}

/* Most are kept, large ones joined: both are recognised. */
static void double_free_is_found(void **state)
{
    static const size_t sizes[] = {0, 24, 100, 1000, 5000, 70000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        void *before = skep_heap_take(5000, 16);
        void *memory = skep_heap_take(sizes[i], 16);
        assert_int_equal(give(memory), HEAP_GOOD);
        assert_int_equal(give(memory), HEAP_FREED);
        assert_int_equal(give(before), HEAP_GOOD); /* joins the two */
        join_all();
        assert_int_equal(give(memory), HEAP_FREED);
    }
}

static void overflow_by_a_byte_is_found(void **state)
{
    for (size_t bytes = 0; bytes < 1200; bytes++) {
        unsigned char *memory = skep_heap_take(bytes, 16), *next = skep_heap_take(40, 16);
        unsigned char old = memory[bytes];
        memory[bytes] = (unsigned char)(old ^ 1);
        assert_int_equal(give(memory), HEAP_OVERFLOW);
        memory[bytes] = old;
        assert_int_equal(give(memory), HEAP_GOOD);
        assert_int_equal(give(next), HEAP_GOOD);
    }
}

static void invalid_free_is_found(void **state)
{
    char *memory = skep_heap_take(500, 16);
    memset(memory, 0, 500);
    assert_int_equal(give(memory + 16), HEAP_NO_BLOCK);
    assert_int_equal(give(memory + 1), HEAP_NO_BLOCK);
    memory[-9] ^= 1; /* in its header */
    assert_int_equal(give(memory), HEAP_NO_BLOCK);
    memory[-9] ^= 1;
    assert_int_equal(give(memory), HEAP_GOOD);
    assert_false(skep_heap_has((uintptr_t)region));
    assert_false(skep_heap_has((uintptr_t)region + REGION_BYTES));
    assert_true(skep_heap_has((uintptr_t)memory));
}

/* A link that was overwritten after a free is not followed. */
static void give_bad(void *memory)
{
    give(memory);
}

static void take_bad(void *unused)
{
    (void)unused;
    skep_heap_take(5000, 16);
}

/* What a free block begins with is overwritten until the call is made that looks at it. */
static void found_by(char *block, void (*call)(void *), void *argument)
{
    uint64_t links[2];
    memcpy(links, block, sizeof(links));
    memset(block, 0x11, sizeof(links));
    if (setjmp(on_broken) == 0) {
        call(argument);
        fail_msg("it was not found");
    }
    memcpy(block, links, sizeof(links));
}

/* When a kept block is to be given out again, when any other one's neighbour is freed. */
static void write_after_free_is_found(void **state)
{
    char *kept = skep_heap_take(5000, 16), *first = skep_heap_take(20000, 16);
    char *wall = skep_heap_take(20000, 16);
    assert_int_equal(give(kept), HEAP_GOOD);
    found_by(kept, take_bad, NULL);
    assert_int_equal(give(first), HEAP_GOOD);
    found_by(first, give_bad, wall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_use_keeps_what_is_in_blocks),
        cmocka_unit_test(what_is_cut_off_can_be_added_again),
        cmocka_unit_test(joining_is_due_once_for_much_that_was_freed),
        cmocka_unit_test(larger_blocks_are_kept),
        cmocka_unit_test(no_room_is_no_block),
        cmocka_unit_test(double_free_is_found),
        cmocka_unit_test(overflow_by_a_byte_is_found),
        cmocka_unit_test(invalid_free_is_found),
        cmocka_unit_test(write_after_free_is_found), /* leaves the heap unfit for others */
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
