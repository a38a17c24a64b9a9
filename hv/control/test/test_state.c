/* test_state.c - the store of Skep's own state: what it keeps, and what power cuts at any moment leave. */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/abi.h"
#include "skep_tls.h"
#include "state_name.h"
#include "test/ram_disk.h"
#include "test_control.h"

#define BYTES (256u * BDEV_BLOCK)

static uint8_t medium[BYTES];
static struct ram_disk disk;

static int setup(void **state)
{
    (void)state;
    memset(medium, 0, sizeof(medium));
    ram_disk_init(&disk, medium, BYTES);
    assert_int_equal(state_open(&disk.dev, true), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    state_close();
    ram_disk_reset(&disk);
    return 0;
}

static void reopen(void)
{
    state_close();
    assert_int_equal(state_open(&disk.dev, false), 0);
}

static void assert_value(const char *name, const char *value)
{
    char data[64];

    if (!value) {
        assert_int_equal(state_get(name, data, sizeof(data)), -SKEP_ENOENT);
        return;
    }
    assert_int_equal(state_get(name, data, sizeof(data)), strlen(value));
    assert_memory_equal(data, value, strlen(value));
}

static void test_values(void **state)
{
    (void)state;
    assert_value("guests/web", NULL);
    assert_int_equal(state_put("guests/web", "one", 3), 0);
    assert_int_equal(state_put("guests/db", "", 0), 0);
    assert_int_equal(state_put("guests/web", "other", 5), 0);
    reopen();
    assert_value("guests/web", "other");
    assert_value("guests/db", "");
    assert_int_equal(state_delete("guests/db"), 0);
    assert_int_equal(state_delete("guests/db"), -SKEP_ENOENT);
    reopen();
    assert_value("guests/db", NULL);
    /* One that doesn't fit tells its size. */
    assert_int_equal(state_get("guests/web", NULL, 0), 5);
    state_close();
    assert_int_equal(state_put("guests/web", "x", 1), -SKEP_ENODEV);
    assert_int_equal(state_get("guests/web", NULL, 0), -SKEP_ENODEV);
}

static void test_list(void **state)
{
    char *names, name[32];
    unsigned count = 0, sum = 0;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "a/%u", i);
        assert_int_equal(state_put(name, "x", 1), 0);
    }
    assert_int_equal(state_put("b/1", "x", 1), 0);
    assert_int_equal(state_list("a/", &names), 0);
    for (const char *n = names; *n; n += strlen(n) + 1, count++) {
        assert_int_equal(strncmp(n, "a/", 2), 0);
        sum += (unsigned)strtoul(n + 2, NULL, 10);
    }
    assert_int_equal(count, 20);
    assert_int_equal(sum, 190);
    free(names);
    assert_int_equal(state_list("c/", &names), 0);
    assert_int_equal(names[0], 0);
    free(names);
}

static void test_empty_and_damaged(void **state)
{
    (void)state;
    assert_int_equal(state_put("a", "1", 1), 0);
    state_close();
    /* A new one isn't formatted unless that is asked for; a damaged one never. */
    memset(medium, 0, BDEV_BLOCK);
    assert_int_equal(state_open(&disk.dev, false), -SKEP_ENOENT);
    medium[BDEV_BLOCK - 1] = 1;
    assert_int_equal(state_open(&disk.dev, true), -SKEP_EIO);
    medium[BDEV_BLOCK - 1] = 0;
    assert_int_equal(state_open(&disk.dev, true), 0);
    assert_value("a", NULL);
    state_close();
    memset(medium + BDEV_BLOCK, 0xff, 2 * BDEV_BLOCK);
    assert_int_equal(state_open(&disk.dev, true), -SKEP_EIO);
}

/* A region that Skep's first version formatted goes on as that had it. */
static void test_flat(void **state)
{
    char path[STATE_PATH_BYTES], *names;

    (void)state;
    assert_int_equal(state_path(STATE_FLAT, "guests/web", path), 0);
    assert_string_equal(path, "79/guests~web");
    assert_int_equal(state_path(STATE_DEEP, "guests/web", path), 0);
    assert_string_equal(path, "7/9/guests~web");
    state_close();
    assert_memory_equal(medium, "SKSTATS2", 8);
    medium[7] = '1';
    assert_int_equal(state_open(&disk.dev, false), -SKEP_EIO); /* its digest is another */
    tls_sha256(medium, 16, medium + 16);
    assert_int_equal(state_open(&disk.dev, false), 0);
    assert_int_equal(state_put("guests/web", "one", 3), 0);
    reopen();
    assert_value("guests/web", "one");
    assert_int_equal(state_list("guests/", &names), 0);
    assert_string_equal(names, "guests/web");
    free(names);
    /* As one that is deep, it has nothing there. */
    state_close();
    medium[7] = '2';
    tls_sha256(medium, 16, medium + 16);
    assert_int_equal(state_open(&disk.dev, false), 0);
    assert_value("guests/web", NULL);
}

/* A byte of a value's own block is another one: the value isn't believed, the rest is. */
static void test_damaged_value(void **state)
{
    static uint8_t value[3000], back[3000];
    uint8_t *at = medium;

    (void)state;
    memset(value, 0x5a, sizeof(value));
    assert_int_equal(state_put("blob", value, sizeof(value)), 0);
    assert_int_equal(state_put("other", "1", 1), 0);
    while (memcmp(at, value, sizeof(value)) != 0)
        assert_true(++at < medium + BYTES - sizeof(value));
    at[1000] ^= 1;
    reopen();
    assert_int_equal(state_get("blob", back, sizeof(back)), -SKEP_EIO);
    assert_value("other", "1");
    assert_int_equal(state_put("blob", value, sizeof(value)), 0);
    assert_int_equal(state_get("blob", back, sizeof(back)), sizeof(value));
}

/* What a value is after so many of the changes below: 0 = none, or the number that its bytes have. */
static unsigned expected_value(unsigned name)
{
    return name % 5 == 0 ? 0 : name % 3 == 0 ? 100 + name : name + 1;
}

static void make_history(uint8_t *value, unsigned names)
{
    char name[32];

    for (unsigned i = 0; i < 2 * names; i++) {
        unsigned n = i % names;
        snprintf(name, sizeof(name), "n%u", n);
        memset(value, (int)(i < names ? n + 1 : 100 + n), 2000);
        if (i < names || n % 3 == 0)
            assert_int_equal(state_put(name, value, n % 4 ? 200 : 2000), 0);
    }
    for (unsigned n = 0; n < names; n += 5) {
        snprintf(name, sizeof(name), "n%u", n);
        assert_int_equal(state_delete(name), 0);
    }
}

/* Any one bit: each value is there as it was, or said to be damaged; none is older, missing, or back. */
static void test_a_flipped_bit(void **state)
{
    enum { NAMES = 60, ROUNDS = 3000 };
    static uint8_t before[BYTES], value[2000];
    unsigned unreadable = 0, closed = 0;
    uint32_t seed = 5;
    char name[32];

    (void)state;
    make_history(value, NAMES);
    state_close();
    memcpy(before, medium, BYTES);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t at;
        do {
            seed = seed * 1664525 + 1013904223;
            at = (seed >> 4) % BYTES;
        } while (before[at] == 0);
        medium[at] ^= (uint8_t)(1u << (seed >> 29));
        ram_disk_init(&disk, medium, BYTES);
        if (state_open(&disk.dev, false) != 0) {
            closed++;
            medium[at] = before[at];
            continue;
        }
        for (unsigned n = 0; n < NAMES; n++) {
            snprintf(name, sizeof(name), "n%u", n);
            int64_t bytes = state_get(name, value, sizeof(value));
            unreadable += bytes == -SKEP_EIO;
            if (bytes == -SKEP_EIO)
                continue;
            assert_int_equal(bytes > 0 ? value[0] : 0, expected_value(n));
            assert_true(bytes > 0 || bytes == -SKEP_ENOENT);
        }
        state_close();
        medium[at] = before[at];
    }
    print_message("%u flipped bits: %u values unreadable, %u not opened\n", ROUNDS, unreadable,
                  closed);
}

/* With a single value, too, each block of what leads to it is there twice. */
static void test_a_flipped_bit_beside_little(void **state)
{
    static uint8_t before[BYTES];
    unsigned flipped = 0;

    (void)state;
    assert_int_equal(state_put("only", "one", 3), 0);
    state_close();
    memcpy(before, medium, BYTES);
    for (size_t at = BDEV_BLOCK; at < BYTES; at += BDEV_BLOCK) {
        if (memcmp(before + at, (const uint8_t[64]){0}, 64) == 0)
            continue;
        memcpy(medium, before, BYTES);
        medium[at + 4] ^= 1;
        ram_disk_init(&disk, medium, BYTES);
        assert_int_equal(state_open(&disk.dev, false), 0);
        assert_value("only", "one");
        state_close();
        flipped++;
    }
    assert_int_equal(flipped, 6); /* both blocks of three folders */
}

/* Whatever bytes are others: what is there can be read or not, but is never something else, and nothing crashes. */
static void test_any_damage(void **state)
{
    static uint8_t before[BYTES], value[2000];
    uint32_t seed = 11;
    unsigned opened = 0, read = 0;
    char name[32], *names;

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "n%u", i % 20);
        memset(value, (int)(i % 20), sizeof(value));
        assert_int_equal(state_put(name, value, i % 3 ? 200 : sizeof(value)), 0);
    }
    state_close();
    memcpy(before, medium, BYTES);
    for (unsigned round = 0; round < 1000; round++) {
        memcpy(medium, before, BYTES);
        for (unsigned k = 0; k <= round % 4; k++) {
            uint32_t at;
            do { /* most of it is unused */
                seed = seed * 1664525 + 1013904223;
                at = (seed >> 4) % BYTES;
            } while (medium[at] == 0);
            medium[at] ^= (uint8_t)(1 + (seed >> 25) % 255);
        }
        ram_disk_init(&disk, medium, BYTES);
        if (state_open(&disk.dev, true) != 0)
            continue;
        opened++;
        for (unsigned i = 0; i < 20; i++) {
            snprintf(name, sizeof(name), "n%u", i);
            int64_t n = state_get(name, value, sizeof(value));
            read += n > 0;
            for (int64_t at = 0; at < n; at++)
                assert_int_equal(value[at], i);
        }
        if (state_list("", &names) == 0)
            free(names);
        state_put("n3", value, 1500);
        state_put("new", value, 100);
        state_delete("n4");
        state_close();
    }
    print_message("1000 damages: %u opened, %u of %u values read\n", opened, read, opened * 20);
}

/* Until nothing fits any more; then nothing has changed, and what is deleted makes room again. */
static void test_full(void **state)
{
    static uint8_t value[20000], back[20000];
    uint64_t bytes, used;
    unsigned count = 0;
    char name[32];

    (void)state;
    memset(value, 1, sizeof(value));
    for (;; count++) {
        snprintf(name, sizeof(name), "blob/%u", count);
        int result = state_put(name, value, sizeof(value));
        if (result != 0) {
            assert_int_equal(result, -SKEP_ENOSPC);
            break;
        }
        assert_true(count < BYTES / sizeof(value));
    }
    assert_true(count > BYTES / sizeof(value) / 2);
    state_usage(&bytes, &used);
    assert_int_equal(bytes, BYTES / 16 * 15); /* the rest is the log's */
    assert_true(used > bytes * 3 / 4 && used <= bytes);
    assert_int_equal(state_get(name, back, sizeof(back)), -SKEP_ENOENT);
    memset(value, 2, sizeof(value));
    assert_int_equal(state_put("blob/0", value, sizeof(value)), -SKEP_ENOSPC);
    reopen();
    assert_int_equal(state_get(name, back, sizeof(back)), -SKEP_ENOENT);
    assert_int_equal(state_get("blob/0", back, sizeof(back)), sizeof(back));
    assert_int_equal(back[19999], 1);
    assert_int_equal(state_delete("blob/1"), 0);
    assert_int_equal(state_delete("blob/2"), 0);
    assert_int_equal(state_put("blob/0", value, sizeof(value)), 0);
    assert_int_equal(state_get("blob/0", back, sizeof(back)), sizeof(back));
    assert_int_equal(back[19999], 2);
}

/* What a new name asks of the disk doesn't grow with the number of others, but for the blocks of its folder. */
static void test_cost(void **state)
{
    enum { MANY = 3000, LAST = 100, BIG = 32 << 20 };
    static uint8_t value[400];
    uint8_t *data = calloc(1, BIG);
    struct ram_disk big;
    char name[32];

    (void)state;
    state_close();
    ram_disk_init(&big, data, BIG);
    assert_int_equal(state_open(&big.dev, true), 0);
    for (unsigned i = 0; i < MANY; i++) {
        if (i == MANY - LAST)
            big.reads = big.writes = big.flushes = 0;
        snprintf(name, sizeof(name), "guests/guest-%u", i);
        assert_int_equal(state_put(name, value, sizeof(value)), 0);
    }
    print_message("%u names: each %u/100 reads, %u/100 writes, %u/100 flushes\n", MANY, big.reads,
                  big.writes, big.flushes);
    assert_true(big.reads <= 8 * LAST);
    assert_true(big.writes <= 4 * LAST && big.flushes <= 3 * LAST);
    /* A change of one that fits into its folder's block is two writes and a flush. */
    big.writes = big.flushes = 0;
    assert_int_equal(state_put("guests/guest-7", value, 300), 0);
    assert_int_equal(big.writes, 2);
    assert_int_equal(big.flushes, 1);
    state_close();
    free(data);
}

/* A disk that fails at the n-th write or flush of a change: nothing is written any more, and what was is there. */
static void test_failing_disk(void **state)
{
    static uint8_t value[9000], back[9000];
    int failures = 0;

    (void)state;
    for (int n = 0; n < 20; n++) {
        memset(value, 'a', sizeof(value));
        assert_int_equal(state_put("a", value, sizeof(value)), 0);
        memset(value, 'b', sizeof(value));
        disk.fails_after = n;
        if (state_put("a", value, sizeof(value)) == 0)
            break;
        failures++;
        disk.fails_after = -1;
        assert_int_equal(state_put("b", value, 1), -SKEP_EIO);
        assert_int_equal(state_delete("a"), -SKEP_EIO);
        reopen();
        assert_int_equal(state_get("a", back, sizeof(back)), sizeof(back));
        assert_true(back[0] == 'a' || back[0] == 'b');
        assert_int_equal(state_put("b", value, 1), 0);
    }
    disk.fails_after = -1;
    assert_int_equal(failures,
                     7); /* three blocks, a flush, the folder's block, a flush, its other one */
}

/*
 * Power cuts
 */

#define NAMES   12u
#define CHANGES 100u

/* One put or delete, with its place in the disk's log. */
static struct change {
    unsigned name, version; /* 0 = deleted */
    size_t first_op, end_op;
} changes[CHANGES];

static size_t value_of(unsigned name, unsigned version, uint8_t *data)
{
    static const size_t sizes[] = {40, 300, 700, 4096, 9000, 20000};
    size_t bytes = sizes[(name * 5 + version * 7) % 6];

    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(version + name * 31 + i / 512);
    memcpy(data, &version, sizeof(version));
    return bytes;
}

static void name_of(unsigned name, char text[32])
{
    /* Some share a folder. */
    snprintf(text, 32, "%s/n%u", name % 2 ? "guests" : "images", name);
}

static void make_changes(void)
{
    static uint8_t data[20000];
    uint32_t seed = 3;
    bool there[NAMES] = {false};
    char name[32];

    for (unsigned i = 0; i < CHANGES; i++) {
        struct change *c = &changes[i];
        seed = seed * 1664525 + 1013904223;
        c->name = (seed >> 10) % NAMES;
        c->version = there[c->name] && (seed >> 20) % 4 == 0 ? 0 : i + 1;
        there[c->name] = c->version != 0;
        c->first_op = disk.op_count;
        name_of(c->name, name);
        if (c->version == 0)
            assert_int_equal(state_delete(name), 0);
        else
            assert_int_equal(state_put(name, data, value_of(c->name, c->version, data)), 0);
        c->end_op = disk.op_count;
    }
}

static bool has_version(unsigned name, unsigned version)
{
    static uint8_t data[20000], expected[20000];
    size_t bytes = version ? value_of(name, version, expected) : 0;
    char text[32];
    int64_t n;

    name_of(name, text);
    n = state_get(text, data, sizeof(data));
    if (version == 0)
        return n == -SKEP_ENOENT;
    return n == (int64_t)bytes && memcmp(data, expected, bytes) == 0;
}

/* After a cut behind `ops` operations: of each name the version of the latest change that was acknowledged, or of the
 * one that was underway. */
static void check_all(size_t ops)
{
    for (unsigned name = 0; name < NAMES; name++) {
        unsigned version = 0, underway = 0;
        for (unsigned i = 0; i < CHANGES && changes[i].first_op < ops; i++) {
            if (changes[i].name != name)
                continue;
            if (changes[i].end_op <= ops)
                version = underway = changes[i].version;
            else
                underway = changes[i].version;
        }
        if (!has_version(name, version) && !has_version(name, underway))
            fail_msg("cut after %zu operations: name %u has neither version %u nor %u", ops, name,
                     version, underway);
    }
}

static void cut_here(const uint8_t *before, size_t ops, enum ram_cut how, uint32_t *seed)
{
    static uint8_t after[BYTES];
    struct ram_disk cut;

    memcpy(after, before, BYTES);
    ram_disk_cut(&disk, after, ops, how, seed);
    ram_disk_init(&cut, after, BYTES);
    if (state_open(&cut.dev, false) != 0)
        fail_msg("cut after %zu operations: not opened", ops);
    check_all(ops);
    /* It can be written to as ever. */
    assert_int_equal(state_put("guests/new", "x", 1), 0);
    check_all(ops);
    state_close();
}

static void test_power_cuts(void **state)
{
    static uint8_t before[BYTES];
    uint32_t seed = 1;
    size_t ops;

    (void)state;
    memcpy(before, medium, BYTES);
    disk.log = true;
    make_changes();
    ops = disk.op_count;
    disk.log = false;
    print_message("%u changes: %u writes, %u flushes\n", CHANGES, disk.writes, disk.flushes);
    state_close();
    for (size_t i = 0; i <= ops; i++)
        for (int how = 0; how < 2 * CUT_KINDS; how++)
            cut_here(before, i, how < CUT_KINDS ? (enum ram_cut)how : CUT_SECTORS, &seed);
}

/* A format that is cut off begins again. */
static void test_cut_format(void **state)
{
    static uint8_t after[BYTES];
    struct ram_disk cut;
    uint32_t seed = 5;

    (void)state;
    state_close();
    memset(medium, 0, BYTES);
    disk.log = true;
    assert_int_equal(state_open(&disk.dev, true), 0);
    state_close();
    for (size_t i = 0; i <= disk.op_count; i++) {
        for (int how = 0; how < CUT_KINDS; how++) {
            memset(after, 0, BYTES);
            ram_disk_cut(&disk, after, i, (enum ram_cut)how, &seed);
            ram_disk_init(&cut, after, BYTES);
            assert_int_equal(state_open(&cut.dev, true), 0);
            assert_int_equal(state_put("a", "1", 1), 0);
            state_close();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_and_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flipped_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flipped_bit_beside_little, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_format, setup, teardown),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
