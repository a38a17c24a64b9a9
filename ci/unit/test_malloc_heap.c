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

#include "../../libc-shim/src/heap_cache.h"

#define REGION_BYTES (1u << 20)
#define COUNT        300u
#define USED_BYTES   (128u * 1024u) /* by all tests: of less threads keep little */
#define STEPS        200000u

/* The heap is one for all tests; all free memory is one block again after each. */
static _Alignas(4096) char region[REGION_BYTES + 4096];
static jmp_buf on_broken;

_Noreturn void skep_heap_broken(const void *where)
{
    longjmp(on_broken, 1);
}

static struct heap_cache cache;
static void *used;

static bool empty(struct heap_cache *what)
{
    uint32_t list = 0;
    bool much = false;
    while (skep_heap_flush(what, &list, &much)) {
    }
    return much;
}

/* What free() does. */
static enum heap_check give_or_much(void *memory)
{
    if (heap_cache_give(&cache, memory)) {
        return HEAP_GOOD;
    }
    if ((uintptr_t)memory % HEAP_ALIGNMENT != 0) {
        return skep_heap_give(memory);
    }
    uint32_t units = heap_block_of(memory)->state - HEAP_IN_USE;
    bool is_full = units <= HEAP_SMALL_UNITS && cache.room < (int32_t)units;
    enum heap_check check = skep_heap_give(memory);
    bool much = is_full && empty(&cache);
    return much && check == HEAP_GOOD ? HEAP_MUCH : check;
}

static enum heap_check give(void *memory)
{
    enum heap_check check = give_or_much(memory);
    return check == HEAP_MUCH ? HEAP_GOOD : check;
}

/* What malloc() does. */
static void *take(size_t bytes)
{
    if (bytes > HEAP_SMALL_MAX) {
        return skep_heap_take(bytes, 16);
    }
    void *memory = heap_cache_take(&cache, bytes);
    if (memory == NULL) {
        memory = skep_heap_take_small(&cache, bytes);
    }
    return memory != NULL ? memory : skep_heap_take(bytes, 16);
}

static void join_all(void)
{
    uint32_t list = 0;
    empty(&cache);
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
    const uint64_t keys[3] = {0x0123456789abcdef, 0xfedcba9876543210, 0x0f1e2d3c4b5a6978};
    skep_heap_start(keys);
    assert_null(skep_heap_end());
    skep_heap_add(region, REGION_BYTES / 2);
    skep_heap_add(region + REGION_BYTES / 2, REGION_BYTES / 2);
    assert_ptr_equal(skep_heap_end(), region + REGION_BYTES);
    used = skep_heap_take(USED_BYTES, 16);
    assert_non_null(used);
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
    piece->memory = alignment == 16 ? take(piece->bytes) : skep_heap_take(piece->bytes, alignment);
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
    if (!heap_resize_within(piece->memory, bytes) && !skep_heap_resize(piece->memory, bytes)) {
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
static void joining_is_not_due_for_little(void **state)
{
    enum { ROUNDS = 1000, BYTES = 4000 };
    unsigned due = 0;
    all_free();
    void *quarter = take(REGION_BYTES / 4);
    for (unsigned i = 0; i < ROUNDS; i++) {
        enum heap_check check = give_or_much(take(BYTES));
        assert_true(check == HEAP_GOOD || check == HEAP_MUCH);
        due += check == HEAP_MUCH;
    }
    assert_in_range(due, 0, 1);
    assert_int_equal(give(quarter), HEAP_GOOD);
}

/* How often joining is due while so much is given back. It comes before all other tests, which have effects on that. */
static unsigned take_and_give(size_t bytes, unsigned count)
{
    static void *many[REGION_BYTES / 64];
    unsigned due = 0;
    for (unsigned i = 0; i < count; i++) {
        many[i] = take(bytes);
        assert_non_null(many[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        enum heap_check check = give_or_much(many[i]);
        assert_true(check == HEAP_GOOD || check == HEAP_MUCH);
        if (check == HEAP_MUCH) {
            due++;
            join_all();
        }
    }
    return due;
}

static void joining_is_due_less_often_for_what_is_used_again(void **state)
{
    enum { BYTES = 48, MANY = 6250 };
    unsigned due = 0;
    void *quarter = take(REGION_BYTES / 4);
    assert_in_range(take_and_give(BYTES, MANY), 1, MANY * 64 / (64 * 1024));
    for (unsigned i = 0; i < 10; i++) {
        due += take_and_give(BYTES, MANY);
    }
    assert_in_range(due, 0, 1);
    assert_int_equal(give(quarter), HEAP_GOOD);
}

static void kept_blocks_are_counted(void **state)
{
    void *memory = take(1200), *wall = take(16000);
    join_all();
    assert_false(skep_heap_keeps_over(0, 1));
    assert_int_equal(give(memory), HEAP_GOOD);
    assert_true(skep_heap_keeps_over(0, 1000));
    assert_false(skep_heap_keeps_over(0, 1)); /* more is used */
    assert_false(skep_heap_keeps_over(2000, 1000));
    assert_ptr_equal(take(1200), memory);
    assert_false(skep_heap_keeps_over(0, 1000));
    assert_int_equal(give(memory), HEAP_GOOD);
    assert_int_equal(give(wall), HEAP_GOOD);
}

/* Of larger sizes, too, the block that was given back last is the one that is given out next, if it is large enough. */
static void larger_blocks_are_kept(void **state)
{
    static const size_t sizes[] = {1500, 4096, 8200, 16000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        all_free();
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
        unsigned char *memory = take(bytes), *next = take(40);
        unsigned char old = memory[bytes];
        memory[bytes] = (unsigned char)(old ^ 1);
        assert_int_equal(give(memory), HEAP_OVERFLOW);
        memory[bytes] = old;
        assert_int_equal(give(memory), HEAP_GOOD);
        assert_int_equal(give(next), HEAP_GOOD);
    }
}

/* The first and the last word of what wasn't asked for, which are all of it up to 16 bytes: in blocks that were taken anew,
 * that were taken again, and whose size was changed, which leaves what is in them. */
static void every_byte_of_the_pattern_is_looked_at(void **state)
{
    for (size_t bytes = 0; bytes <= HEAP_SMALL_MAX; bytes++) {
        size_t had = bytes + (size_t)rand() % 16;
        unsigned char *memory = take(had <= HEAP_SMALL_MAX ? had : bytes);
        memset(memory, 0xa5, bytes);
        if (!heap_resize_within(memory, bytes)) {
            assert_int_equal(give(memory), HEAP_GOOD);
            memory = memset(take(bytes), 0xa5, bytes);
        }
        size_t slack = heap_block_of(memory)->slack;
        assert_true(slack < 64);
        for (size_t at = 0; at < slack; at++) {
            bool looked_at = at < 8 || at >= slack - 8;
            memory[bytes + at] ^= 0x80;
            assert_int_equal(skep_heap_check(memory), looked_at ? HEAP_OVERFLOW : HEAP_GOOD);
            assert_true(!looked_at || !heap_cache_give(&cache, memory));
            memory[bytes + at] ^= 0x80;
        }
        for (size_t at = 0; at < bytes; at++) {
            assert_int_equal(memory[at], 0xa5);
        }
        assert_int_equal(give(memory), HEAP_GOOD);
    }
}

/* Of small blocks that are taken again for as many bytes, and for fewer: their ends have the pattern, whatever a kept
 * one's link was written over. */
static void overflow_of_a_block_taken_again_is_found(void **state)
{
    for (size_t bytes = 0; bytes < 200; bytes++) {
        for (size_t fewer = 0; fewer <= (bytes + 15) % 16 && fewer <= bytes; fewer++) {
            unsigned char *memory = take(bytes);
            assert_int_equal(give(memory), HEAP_GOOD);
            assert_ptr_equal(take(bytes - fewer), memory);
            assert_int_equal(skep_heap_bytes(memory), bytes - fewer);
            memory[bytes - fewer] ^= 1;
            assert_int_equal(skep_heap_check(memory), HEAP_OVERFLOW);
            memory[bytes - fewer] ^= 1;
            assert_int_equal(give(memory), HEAP_GOOD);
        }
    }
}

/* Each bit of a kept block's header, of a thread's own one and of another. What has no seal is what was asked for and that
 * it is kept, which are written when it is taken again, and what is before. */
static void overwritten_header(size_t bytes)
{
    char *volatile memory = take(bytes);
    char *volatile next = take(bytes);
    for (volatile unsigned bit = 0; bit < 128; bit++) {
        bool sealed = bit < 32 || bit >= 64;
        unsigned char mask = (unsigned char)(1u << bit % 8);
        assert_int_equal(give(memory), HEAP_GOOD);
        unsigned char *at = (unsigned char *)memory - 16 + bit / 8;
        *at ^= mask;
        if (setjmp(on_broken) == 0) {
            void *again = take(bytes);
            assert_ptr_equal(again, memory);
            assert_int_equal(skep_heap_check(again), sealed ? HEAP_NO_BLOCK : HEAP_GOOD);
            if (sealed || bit >= 56) {
                *at ^= mask;
            }
        } else {
            assert_true(sealed && bytes > HEAP_SMALL_MAX);
            *at ^= mask;
            assert_ptr_equal(take(bytes), memory);
        }
    }
    assert_int_equal(give(memory), HEAP_GOOD);
    assert_int_equal(give(next), HEAP_GOOD);
}

static void overwritten_header_of_a_kept_block_is_found(void **state)
{
    overwritten_header(100);
    overwritten_header(1200);
}

/* One block's header is being changed, under the lock: what is before is whole then only for who has the lock. */
static void who_lacks_the_lock_leaves_it_to_the_heap(void **state)
{
    char *memory = take(112), *next = take(112);
    struct heap_block *block = heap_block_of(next);
    while (heap_block_of(memory) + 8 != block) { /* carved blocks come the other way round */
        memory = next;
        next = take(112);
        block = heap_block_of(next);
        assert_non_null(next);
    }
    block->seal ^= 1;
    assert_false(heap_cache_give(&cache, memory));
    assert_false(heap_resize_within(memory, 111));
    assert_int_equal(skep_heap_bytes(memory), 112);
    block->seal ^= 1;
    assert_true(heap_resize_within(memory, 111));
    assert_int_equal(skep_heap_bytes(memory), 111);
    assert_true(heap_cache_give(&cache, memory));
    assert_false(heap_cache_give(&cache, memory));
    assert_int_equal(skep_heap_give(memory), HEAP_FREED);
}

static unsigned units_in(const struct heap_cache *of)
{
    unsigned units = 0;
    for (uint32_t list = 0; list <= HEAP_SMALL_UNITS; list++) {
        for (struct heap_block *block = of->first[list]; block != NULL;
             block = ((struct heap_link *)heap_memory_of(block))->next) {
            units += list;
        }
    }
    return units;
}

static size_t bytes_in_use(void)
{
    size_t all, in_use;
    skep_heap_totals(&all, &in_use);
    return in_use;
}

/* Whatever is taken and given, a thread keeps no more than it may; and all that goes to whoever needs it next. */
static void a_thread_keeps_little(void **state)
{
    enum { COUNT_KEPT = 400 };
    static void *many[COUNT_KEPT];
    static const size_t sizes[] = {1, 40, 250, 1008};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        size_t before = all_free(), in_use = bytes_in_use();
        for (size_t j = 0; j < COUNT_KEPT; j++) {
            many[j] = take(sizes[i]);
            assert_non_null(many[j]);
            assert_in_range(units_in(&cache), 0, HEAP_CACHE_UNITS);
        }
        for (size_t j = 0; j < COUNT_KEPT; j++) {
            assert_int_equal(give(many[j]), HEAP_GOOD);
            assert_int_equal(units_in(&cache) + (unsigned)cache.room, HEAP_CACHE_UNITS);
            assert_in_range(cache.room, 0, HEAP_CACHE_UNITS);
        }
        assert_true(units_in(&cache) > 0);
        assert_int_equal(bytes_in_use(), in_use);
        assert_int_equal(all_free(), before);
        assert_int_equal(units_in(&cache), 0);
    }
}

/* The last blocks of many don't stay where they are, and what is before them can be given back. */
static void nobody_keeps_the_last_of_many(void **state)
{
    enum { LAST_COUNT = 600 };
    static void *many[LAST_COUNT];
    size_t before = all_free();
    for (size_t i = 0; i < LAST_COUNT; i++) {
        many[i] = take(HEAP_SMALL_MAX);
    }
    assert_int_equal(skep_heap_give(used), HEAP_GOOD);
    for (size_t i = 0; i < LAST_COUNT; i++) {
        if (give_or_much(many[i]) == HEAP_MUCH) {
            join_all();
        }
    }
    assert_int_equal(units_in(&cache), 0);
    assert_in_range(skep_heap_free_at_end(), before, REGION_BYTES);
    used = skep_heap_take(USED_BYTES, 16);
    assert_non_null(used);
}

static void another_thread_takes_what_one_has_left(void **state)
{
    static struct heap_cache other;
    void *few[4];
    all_free();
    empty(&other);
    for (size_t i = 0; i < 4; i++) {
        few[i] = take(1000);
    }
    void *wall = take(2000); /* what nothing is behind isn't kept */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(give(few[i]), HEAP_GOOD);
    }
    assert_null(heap_cache_take(&other, 1000));
    assert_null(skep_heap_take_small(&other, 1000));
    empty(&cache);
    void *memory = skep_heap_take_small(&other, 1000);
    assert_non_null(memory);
    assert_int_equal(units_in(&other), 3 * heap_small_units(1000)); /* and the rest with it */
    assert_true(heap_cache_give(&other, memory));
    empty(&other);
    skep_heap_cache_end(&other);
    assert_false(heap_cache_give(&other, wall));
    assert_int_equal(give(wall), HEAP_GOOD);
}

static void invalid_free_is_found(void **state)
{
    char *memory = skep_heap_take(500, 16);
    memset(memory, 0, 500);
    assert_int_equal(give(memory + 16), HEAP_NO_BLOCK);
    assert_int_equal(give(memory + 1), HEAP_NO_BLOCK);
    memory[-13] ^= 1; /* in its header */
    assert_int_equal(give(memory), HEAP_NO_BLOCK);
    memory[-13] ^= 1;
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

static void take_bad(void *bytes)
{
    take(*(size_t *)bytes);
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
    static size_t sizes[] = {10, 100, 1000, 5000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *kept = take(sizes[i]);
        assert_int_equal(give(kept), HEAP_GOOD);
        found_by(kept, take_bad, &sizes[i]);
    }
    char *first = skep_heap_take(20000, 16), *wall = skep_heap_take(20000, 16);
    assert_int_equal(give(first), HEAP_GOOD);
    found_by(first, give_bad, wall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_is_due_less_often_for_what_is_used_again),
        cmocka_unit_test(random_use_keeps_what_is_in_blocks),
        cmocka_unit_test(what_is_cut_off_can_be_added_again),
        cmocka_unit_test(joining_is_not_due_for_little),
        cmocka_unit_test(kept_blocks_are_counted),
        cmocka_unit_test(larger_blocks_are_kept),
        cmocka_unit_test(no_room_is_no_block),
        cmocka_unit_test(double_free_is_found),
        cmocka_unit_test(overflow_by_a_byte_is_found),
        cmocka_unit_test(every_byte_of_the_pattern_is_looked_at),
        cmocka_unit_test(overflow_of_a_block_taken_again_is_found),
        cmocka_unit_test(overwritten_header_of_a_kept_block_is_found),
        cmocka_unit_test(who_lacks_the_lock_leaves_it_to_the_heap),
        cmocka_unit_test(a_thread_keeps_little),
        cmocka_unit_test(nobody_keeps_the_last_of_many),
        cmocka_unit_test(another_thread_takes_what_one_has_left),
        cmocka_unit_test(invalid_free_is_found),
        cmocka_unit_test(write_after_free_is_found), /* leaves the heap unfit for others */
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
